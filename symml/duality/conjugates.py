"""inf over u of sum_i w_i F_i(b_i u + c_i) + A u, one row for each F: the table of conjugates.

    minimised([Piece("square", w, b, c)], A)  ->  Minimum(value=-A^2/(4 w b^2) - A c/b, at=..., conditions=())

Source: Boyd, Vandenberghe, "Convex Optimization" (2004), 3.3 and 5.1; each value is compared with the Lagrangian at its minimiser
before it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import sympy
from sympy import Expr

from symml.ir.expand import expand
from symml.ir.functions import absolute, relu, signum, softplus
from symml.ir.program import Access
from symml.methods.signs import nonnegative, positive, weight
from symml.methods.terms import NoClosedForm


@dataclass(frozen=True)
class Piece:
    """w F(b u + c), where w, b and c are free of u; of `entropy` it is w u log(b u)."""

    kind: str
    w: Expr
    b: Expr
    c: Expr


@dataclass(frozen=True)
class Minimum:
    """value: the infimum; at: where it is; conditions: (expression, sense) where it is finite, sense at_least, above or
    equal (against 0); nonnegative: the minimiser is never negative; how: the rule in words."""

    value: Expr
    at: Expr
    how: str
    conditions: tuple[tuple[Expr, str], ...] = ()
    nonnegative: bool = False


def piece(body: Expr, u: Access) -> Piece | None:
    """A product as w F(b u + c); None where no row covers it."""
    holding = [f for f in sympy.Mul.make_args(body) if u in f.free_symbols]
    w = sympy.Mul(*(f for f in sympy.Mul.make_args(body) if u not in f.free_symbols))
    if len(holding) == 2 and u in holding:
        (other,) = [f for f in holding if f != u]
        if isinstance(other, sympy.log) and (affine := _affine(other.args[0], u)) and affine[1] == 0:
            return Piece("entropy", w, *affine)
        return None
    if len(holding) != 1:
        return None
    (f,) = holding
    kind, inner = _named(f)
    affine = _affine(inner, u) if kind else None
    return Piece(kind, w, *affine) if affine else None


def _named(f: Expr) -> tuple[str, Expr]:
    if f.is_Pow and f.exp == 2:
        return "square", f.base
    name = {sympy.exp: "exp", sympy.log: "log", softplus: "softplus", relu: "relu", absolute: "abs"}.get(f.func)
    return (name, f.args[0]) if name else ("", f)


def _affine(e: Expr, u: Access) -> tuple[Expr, Expr] | None:
    slope = expand(e).diff(u)
    if u in slope.free_symbols or slope == 0:
        return None
    return slope, expand(e - slope * u)


def minimised(pieces: list[Piece], a: Expr) -> Minimum:
    """The infimum of pieces plus a u; NoClosedForm where no row covers them together."""
    pieces = _together(pieces)
    kinds = tuple(sorted(p.kind for p in pieces))
    if set(kinds) == {"square"} and len(kinds) > 1:
        return _squares(pieces, a)
    row = ROWS.get(kinds)
    if row is None:
        raise NoClosedForm(" plus ".join(kinds))
    return row(*sorted(pieces, key=lambda p: p.kind), a)


def _together(pieces: list[Piece]) -> list[Piece]:
    """What differs in its factor alone, as one."""
    alike: dict[tuple[str, Expr, Expr], list[Piece]] = {}
    for p in pieces:
        alike.setdefault((p.kind, p.b, p.c), []).append(p)
    return [p[0] if len(p) == 1 else replace(p[0], w=weight(q.w for q in p)) for p in alike.values()]


def _positive(e: Expr, what: str) -> tuple[tuple[Expr, str], ...]:
    """Nothing more where a factor is positive; where it may be 0 (a multiplier) that it is not."""
    if positive(e):
        return ()
    if nonnegative(e):
        return ((e, "above"),)
    raise NoClosedForm(f"{what}, whose factor {e} is not known to be positive")


def _squares(pieces: list[Piece], a: Expr) -> Minimum:
    h = sympy.Add(*(2 * p.w * p.b**2 for p in pieces))
    g = sympy.Add(a, *(2 * p.w * p.b * p.c for p in pieces))
    value = sympy.Add(*(p.w * p.c**2 for p in pieces)) - g**2 / (2 * h)
    return Minimum(value, -g / h, "a quadratic", _positive(h, "squares"))


def _square(p: Piece, a: Expr) -> Minimum:
    v = -a / (2 * p.w * p.b)
    value = -((a / p.b) ** 2) / (4 * p.w) - a / p.b * p.c
    return Minimum(value, (v - p.c) / p.b, "a quadratic", _positive(p.w, "a square"))


def _abs(p: Piece, a: Expr) -> Minimum:
    _positive(p.w, "an absolute value")
    q = a / p.b
    return Minimum(-q * p.c, -p.c / p.b, "an absolute value, inside its condition", ((p.w - absolute(q), "at_least"),))


def _relu(p: Piece, a: Expr) -> Minimum:
    _positive(p.w, "a hinge")
    q = -a / p.b
    return Minimum(q * p.c, -p.c / p.b, "a hinge, inside its conditions", ((q, "at_least"), (p.w - q, "at_least")))


def _abs_square(p: Piece, s: Piece, a: Expr) -> Minimum:
    """w |b u| + s u^2: what of the slope exceeds w b is taken by the square."""
    _positive(p.w, "an absolute value")
    _positive(s.w, "a square")
    if p.c != 0 or s.c != 0:
        raise NoClosedForm("an absolute value and a square about different points")
    over = relu(absolute(a) - p.w * (abs(p.b) if p.b.is_number else absolute(p.b)))
    h = 2 * s.w * s.b**2
    return Minimum(-(over**2) / (2 * h), -signum(a) * over / h, "an absolute value plus a square")


def _entropy(p: Piece, a: Expr) -> Minimum:
    """w u log(b u) + a u is least at exp(-1 - a/w)/b."""
    _positive(p.w, "an entropy")
    _positive(p.b, "an entropy")
    at = sympy.exp(expand(-1 - a / p.w)) / p.b
    return Minimum(-p.w * at, at, "an entropy", nonnegative=True)


def _log(p: Piece, a: Expr) -> Minimum:
    """-m log(b u + c) + a u, finite where a/b > 0."""
    m = -p.w
    _positive(m, "a negative logarithm")
    q = a / p.b
    value = m - m * sympy.log(m) + m * sympy.log(q) - q * p.c
    inside = bool(p.c == 0 and p.b.is_positive)
    return Minimum(value, (m / q - p.c) / p.b, "a negative logarithm", ((q, "above"),), inside)


def _exp(p: Piece, a: Expr) -> Minimum:
    """w exp(b u + c) + a u, finite where -a/b > 0."""
    _positive(p.w, "an exponential")
    q = -a / p.b
    log = sympy.log(q) - sympy.log(p.w)
    return Minimum(q - q * log + q * p.c, (log - p.c) / p.b, "an exponential", ((q, "above"),))


def _softplus(p: Piece, a: Expr) -> Minimum:
    """w softplus(b u + c) + a u: the entropy of q = -a/(w b), finite for q in (0, 1)."""
    _positive(p.w, "a softplus")
    q = -a / (p.w * p.b)
    entropy = -q * sympy.log(q) - (1 - q) * sympy.log(1 - q)
    at = (sympy.log(q) - sympy.log(1 - q) - p.c) / p.b
    return Minimum(p.w * entropy + p.w * q * p.c, at, "a softplus", ((q, "above"), (1 - q, "above")))


ROWS: Mapping[tuple[str, ...], Callable[..., Minimum]] = MappingProxyType(
    {
        ("square",): _square,
        ("abs",): _abs,
        ("relu",): _relu,
        ("abs", "square"): _abs_square,
        ("entropy",): _entropy,
        ("log",): _log,
        ("exp",): _exp,
        ("softplus",): _softplus,
    }
)

"""Curvature of what is made of eigenvalues, singular values and inverses: atoms whose entries have none by themselves.

Source: Boyd & Vandenberghe, "Convex Optimization" (2004), sections 3.1.5, 3.1.7 and 3.2.4. Of an affine map S of the unknowns
the largest eigenvalue is convex and their sum affine; of P positive definite tr P^-1 and v' P^-1 v are convex.

    atom(statement, kinds, sign_of)  ->  Atom("convex", "the largest eigenvalue"), or what is one step of the way to one
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sympy
from sympy import Expr

from symml.ir.program import Access, Index, Statement, Tensor, indices

EIGENVALUES, SINGULAR, INVERSE, TIMES = "eigenvalues", "singular values", "inverse", "inverse times"
KINDS = {"eigvals": EIGENVALUES, "svdvals": SINGULAR, "inv": INVERSE}
SIGNLESS = ("the largest eigenvalue",)  # all others are not negative
ONE = sympy.Integer(1)
Kind = tuple[str, Tensor | None]  # what a tensor holds; of an inverse times a constant, that constant
REDUCED = {
    (EIGENVALUES, "max"): ("convex", "the largest eigenvalue"),
    (EIGENVALUES, "min"): ("concave", "the smallest eigenvalue"),
    (EIGENVALUES, "sum"): ("affine", "a trace"),
    (SINGULAR, "max"): ("convex", "the largest singular value"),
    (SINGULAR, "sum"): ("convex", "a nuclear norm"),
}


@dataclass(frozen=True)
class Atom:
    """curvature and a name of the whole; `factor`: the constant in front; kind: where it is only a step."""

    curvature: str
    text: str
    factor: Expr = ONE
    kind: Kind | None = None


def atom(s: Statement, kinds: Mapping[Tensor, Kind], moves: Callable[[Expr], bool]) -> Atom | None:
    """What a statement makes of such tensors; None where no rule covers it."""
    factors = sympy.Mul.make_args(s.body)
    held = [a for a in factors if isinstance(a, Access) and a.tensor in kinds]
    if len(held) != 1 or s.guard is not None or not all(isinstance(k, Index) for k in s.lhs):
        return None
    (a,) = held
    rest = [f for f in factors if f is not a]
    if any(map(moves, rest)) or not all(k.is_Integer or isinstance(k, Index) for k in a.idx):
        return None
    kind, by = kinds[a.tensor]
    if kind in (EIGENVALUES, SINGULAR):
        return _values(s, a, rest, kind)
    return _inverse(s, a, rest) if kind == INVERSE else _between(s, a, rest, by)


def side(a: Access, kind: str) -> str:
    """Is an entry of such values the largest ("max"), the smallest ("min"), or is neither known ("")? Eigenvalues rise,
    singular values fall."""
    (k,) = a.idx
    if k == 0:
        return "min" if kind == EIGENVALUES else "max"
    return "max" if kind == EIGENVALUES and sympy.expand(k - a.tensor.shape[0] + 1) == 0 else ""


def end(a: Access, kind: Kind) -> tuple[str, str] | None:
    """The curvature and the name of the first or the last of such values."""
    return REDUCED.get((kind[0], side(a, kind[0]))) if kind[0] in (EIGENVALUES, SINGULAR) else None


def _values(s: Statement, a: Access, rest: list[Expr], kind: str) -> Atom | None:
    (k,) = a.idx
    factor = sympy.Mul(*rest)
    if kind == SINGULAR and k == 0 and s.reduce == "none" and not indices(factor):
        return Atom("convex", "the largest singular value", factor)
    if s.reduced != (k,) or k.size != a.tensor.shape[0] or k in indices(factor) or (kind, s.reduce) not in REDUCED:
        return None
    if s.reduce != "sum" and factor != 1:
        return None
    return Atom(*REDUCED[kind, s.reduce], factor)


def _inverse(s: Statement, a: Access, rest: list[Expr]) -> Atom | None:
    """tr P^-1, or P^-1 V on the way to V' P^-1 V."""
    i, j = a.idx
    factor = sympy.Mul(*rest)
    if s.reduce != "sum":
        return None
    if i is j and s.reduced == (i,) and i not in indices(factor):
        return Atom("convex", "the trace of an inverse", factor)
    for k, other in ((j, i), (i, j)):
        v = rest[0] if len(rest) == 1 and isinstance(rest[0], Access) else None
        if v is not None and s.reduced == (k,) and v.idx[:1] == (k,) and s.lhs == (other, *v.idx[1:]) and s.covers:
            return Atom("unknown", "", kind=(TIMES, v.tensor))
    return None


def _between(s: Statement, a: Access, rest: list[Expr], by: Tensor | None) -> Atom | None:
    """V' (P^-1 V), added up over all of its diagonal."""
    same = [f for f in rest if isinstance(f, Access) and f.tensor is by and f.idx == a.idx]
    factor = sympy.Mul(*(f for f in rest if f not in same))
    whole = len(set(a.idx)) == len(a.idx) and set(a.idx) == set(s.reduced)
    if len(same) != 1 or s.reduce != "sum" or not whole or indices(factor) & set(a.idx):
        return None
    return Atom("convex", "a quadratic form in an inverse", factor)

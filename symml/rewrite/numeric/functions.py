"""Functions of a cancelling or overflowing argument: logarithms near 1 or of large exponentials, roots of squares."""

from __future__ import annotations

from collections.abc import Callable

from sympy import Expr, Integer, Rational, cosh, exp, log, sinh, sqrt

from symml.ir.functions import absolute, expm1, less, log1p, select, signum
from symml.rewrite.numeric.shapes import HALF, TWO, expanded, gap, hypot, log_quotient, power, square_root_of

Inner = Callable[[Expr], Expr]
LOG_2 = log(2)


def _log1mexp(u: Expr) -> Expr:
    """log(1 - exp(u)) for u < 0. Maechler, Accurately computing log(1 - exp(-|a|)), 2012"""
    return select(less(-LOG_2, u), log(-expm1(u)), log1p(-exp(u)))


def log_of_exponentials(e: Expr, inner: Inner) -> Expr | None:
    """log(1 - exp(u)), log(exp(u) - 1) = u + log(1 - exp(-u)), and their forms with expm1 and log1p"""
    if isinstance(e, log1p):
        c, f = e.args[0].as_coeff_Mul()
        return _log1mexp(inner(f.args[0])) if c == -1 and isinstance(f, exp) else None
    if not isinstance(e, log):
        return None
    inside = e.args[0]
    c, f = inside.as_coeff_Mul()
    if isinstance(f, expm1) and abs(c) == 1:
        u = inner(f.args[0])
        return _log1mexp(u) if c == -1 else select(less(u, 1), log(expm1(u)), u + log1p(-exp(-u)))
    if inside.is_Add and len(inside.args) == 2:
        for s, t in (inside.args, inside.args[::-1]):
            c, f = t.as_coeff_Mul()
            if s == 1 and c == -1 and isinstance(f, exp):
                return _log1mexp(inner(f.args[0]))
            if s == -1 and c == 1 and isinstance(f, exp):
                u = inner(f.args[0])
                return select(less(u, 1), log(expm1(u)), u + log1p(-exp(-u)))
    return None


def log_of_quotient(e: Expr, inner: Inner) -> Expr | None:
    """log(a/b) = log1p((a - b)/b) where a is near b"""
    if not isinstance(e, log):
        return None
    a, b = e.args[0].as_numer_denom()
    if b.is_number or a.is_number or a.has(exp) or b.has(exp):
        return None
    d, _ = gap(a, b)
    return log_quotient(inner(a), inner(b), inner(d), signs_matter=False)


def log_of_hyperbolic(e: Expr, inner: Inner) -> Expr | None:
    """log cosh u = |u| + log1p(exp(-2 |u|)) - log 2, near 0 log1p(2 sinh(u/2)^2)"""
    if not (isinstance(e, log) and isinstance(e.args[0], cosh)):
        return None
    u = absolute(inner(e.args[0].args[0]))
    return select(less(u, 1), log1p(TWO * sinh(u * HALF) ** 2), u + log1p(exp(-TWO * u)) - LOG_2)


def inverse_sinh(e: Expr, inner: Inner) -> Expr | None:
    """log(u + sqrt(u^2 + 1)) = sign(u) log1p(|u| + u^2/(1 + sqrt(u^2 + 1)))"""
    if not (isinstance(e, log) and e.args[0].is_Add and len(e.args[0].args) == 2):
        return None
    for s, u in (e.args[0].args, e.args[0].args[::-1]):
        if s.is_Pow and s.exp == HALF and expanded(s.base - u**2 - 1) == 0:
            v = absolute(inner(u))
            return signum(inner(u)) * log1p(v + v * (v / (1 + hypot(v, Integer(1)))))
    return None


def root_of_squares(e: Expr, inner: Inner) -> Expr | None:
    """sqrt(a^2 + b^2 + ...) without squaring what is large or small"""
    if not (e.is_Pow and abs(e.exp) == HALF and e.base.is_Add and len(e.base.args) <= 4):
        return None
    found = [sqrt(t) if t.is_number and t.is_positive else square_root_of(t) for t in e.base.args]
    if None in found:
        return None
    total = inner(found[0])
    for a in found[1:]:
        total = hypot(total, inner(a))
    return total if e.exp > 0 else 1 / total


def root_of_difference(e: Expr, inner: Inner) -> Expr | None:
    """sqrt(a^2 - b^2) = sqrt(|a - b|) sqrt(|a + b|) where a^2 > b^2"""
    if not (e.is_Pow and abs(e.exp) == HALF and e.base.is_Add and len(e.base.args) == 2):
        return None
    plus = [t for t in e.base.args if not t.as_coeff_Mul()[0].is_negative]
    minus = [-t for t in e.base.args if t.as_coeff_Mul()[0].is_negative]
    roots = [sqrt(t) if t.is_number else square_root_of(t) for t in (*plus, *minus)]
    if len(plus) != 1 or None in roots:
        return None
    a, b = (absolute(inner(r)) if not r.is_number else r for r in roots)
    found = sqrt(a - b) * sqrt(a + b)
    return found if e.exp > 0 else 1 / found


def power_near_one(e: Expr, inner: Inner) -> Expr | None:
    """(1 + u)^y = exp(y log1p(u))"""
    if not (e.is_Pow and e.base.is_Add and not e.exp.is_number and not isinstance(e, exp)):
        return None
    one, u = e.base.as_coeff_Add()
    if one != 1:
        return None
    u, y = inner(u), inner(e.exp)
    return select(less(-HALF, u), exp(y * log1p(u)), (1 + u) ** y)


def inexact_power(e: Expr, inner: Inner) -> Expr | None:
    """x^(1/3) = x^r (1 + (1/3 - r) log x), where r is the float64 nearest to 1/3"""
    if not (e.is_Pow and isinstance(e.exp, Rational) and not e.base.is_number):
        return None
    found = power(inner(e.base), e.exp)
    return None if found.is_Pow else found


RULES = (
    log_of_exponentials,
    log_of_hyperbolic,
    inverse_sinh,
    log_of_quotient,
    root_of_squares,
    root_of_difference,
    power_near_one,
    inexact_power,
)

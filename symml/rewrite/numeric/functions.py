"""Functions of a cancelling or overflowing argument: logarithms near 1 or of large exponentials, roots of squares."""

from __future__ import annotations

from collections.abc import Callable

from sympy import Expr, Float, Function, Integer, Mul, Rational, cosh, exp, log, sinh, sqrt

from symml.ir.functions import absolute, expm1, less, log1p, select, signum
from symml.rewrite.numeric.shapes import (
    HALF,
    TWO,
    expanded,
    gap,
    hypot,
    log_quotient,
    one_plus_to,
    power,
    square_root_of,
)

Inner = Callable[[Expr], Expr]
LOG_2 = log(2)
NONE_LEFT = Integer(-40)  # an exponent; exp(-40) is nothing beside 40
HUGE = Float(1e300)
FAR = Float(1e150)  # its square is a float


def _log1mexp(u: Expr) -> Expr:
    """log(1 - exp(u)) for u < 0. Maechler, Accurately computing log(1 - exp(-|a|)), 2012"""
    return select(less(-LOG_2, u), log(-expm1(u)), log1p(-exp(u)))


def log_less_exp(u: Expr, inner: Inner) -> Expr:
    """log(1 - exp(u)); of u = -exp(v) it is v where exp(v) leaves the floats"""
    c, f = u.as_coeff_Mul()
    if c == -1 and isinstance(f, exp):
        v = inner(f.args[0])
        return select(less(v, NONE_LEFT), v, _log1mexp(-exp(v)))
    return _log1mexp(inner(u))


def log_of_exponentials(e: Expr, inner: Inner) -> Expr | None:
    """log(exp(u) - exp(v)) = u + log(1 - exp(v - u)), log(1 - exp(u)), log(exp(u) - 1) = u + log(1 - exp(-u)), and their forms
    with expm1 and log1p"""
    if isinstance(e, log1p):
        c, f = e.args[0].as_coeff_Mul()
        if c == -1 and isinstance(f, exp):
            return log_less_exp(f.args[0], inner)
        one, u = f.base.as_coeff_Add() if c == -1 and f.is_Pow and not f.exp.is_number else (0, 0)
        if one == 1:
            u, y = inner(u), inner(f.exp)
            whole = select(less(-1, u), Integer(0), (1 + u) ** y)  # a function of its own
            odd = select(less(whole, -HUGE), y * log(-1 - u), log1p(-whole))  # of a negative number, y odd
            return select(less(-1, u), _log1mexp(y * log1p(u)), odd)
        return _log_of_square(e.args[0], inner)
    if not isinstance(e, log):
        return None
    inside = e.args[0]
    c, f = inside.as_coeff_Mul()
    if isinstance(f, expm1) and abs(c) == 1:
        if c == -1:
            return log_less_exp(f.args[0], inner)
        u = inner(f.args[0])
        return select(less(u, 1), log(expm1(u)), u + log1p(-exp(-u)))
    if inside.is_Add and len(inside.args) == 2:
        for s, t in (inside.args, inside.args[::-1]):
            c, f = t.as_coeff_Mul()
            if s == 1 and c == -1 and isinstance(f, exp):
                return log_less_exp(f.args[0], inner)
            if s == -1 and c == 1 and isinstance(f, exp):
                u = inner(f.args[0])
                return select(less(u, 1), log(expm1(u)), u + log1p(-exp(-u)))
            if isinstance(s, exp) and c == -1 and isinstance(f, exp):
                return inner(s.args[0]) + _log1mexp(inner(expanded(f.args[0] - s.args[0])))
    return None


def _log_of_square(q: Expr, inner: Inner) -> Expr | None:
    """log(1 + p^2 r) where p^2 r may leave the floats, as (p r) p, at last as the logarithms of both."""
    squares = [f.base for f in Mul.make_args(q) if f.is_Pow and f.exp == 2 and not f.base.is_number]
    if not squares or q.has(Function):  # a function's square was formed by a rule
        return None
    p = inner(Mul(*squares))
    part = select(less(0, absolute(p)), p * inner(q / Mul(*(s**2 for s in squares))), Integer(0))
    whole = part * p
    return select(less(whole, HUGE), log1p(whole), log(absolute(part)) + log(absolute(p)))


def log_of_quotient(e: Expr, inner: Inner) -> Expr | None:
    """log(a/b) = log1p((a - b)/b) where a is near b"""
    if not isinstance(e, log):
        return None
    a, b = e.args[0].as_numer_denom()
    if b.is_number or a.is_number or a.has(exp) or b.has(exp) or a.has(absolute):  # the last: guarded before
        return None
    d, _ = gap(a, b)
    return log_quotient(inner(a), inner(b), inner(d), signs_matter=False)


def log_of_hyperbolic(e: Expr, inner: Inner) -> Expr | None:
    """log cosh u = |u| + log((1 + exp(-2 |u|))/2), near 0 log1p(2 sinh(u/2)^2)"""
    if not (isinstance(e, log) and isinstance(e.args[0], cosh)):
        return None
    u = absolute(inner(e.args[0].args[0]))
    return select(less(u, 1), log1p(TWO * sinh(u * HALF) ** 2), u + log1p(expm1(-TWO * u) * HALF))


def inverse_sinh(e: Expr, inner: Inner) -> Expr | None:
    """log(u + sqrt(u^2 + 1)) = sign(u) log1p(|u| + u^2/(1 + sqrt(u^2 + 1))), log(u + sqrt(u^2 - 1)) = log1p(d + sqrt(d (u + 1)))
    with d = u - 1"""
    if not (isinstance(e, log) and e.args[0].is_Add and len(e.args[0].args) == 2):
        return None
    for s, u in (e.args[0].args, e.args[0].args[::-1]):
        if s.is_Pow and s.exp == HALF and expanded(s.base - u**2 - 1) == 0:
            v = absolute(inner(u))
            near = log1p(v + v * (v / (1 + hypot(v, Integer(1)))))
            return signum(inner(u)) * select(less(v, FAR), near, log(v) + LOG_2)
        if s.is_Pow and s.exp == HALF and expanded(s.base - u**2 + 1) == 0:
            d = inner(expanded(u - 1))
            return log1p(sqrt(d) * (sqrt(d) + sqrt(inner(u) + 1)))
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
    """(1 + u)^y, whose sum loses digits of a small u"""
    if not (e.is_Pow and e.base.is_Add and not e.exp.is_number and not isinstance(e, exp)):
        return None
    one, u = e.base.as_coeff_Add()
    if one != 1:
        return None
    return one_plus_to(inner(u), inner(e.exp))


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

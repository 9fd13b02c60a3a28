"""Products: quotients of exponentials that overflow on both sides, and x log y, which is 0 where x is."""

from __future__ import annotations

from collections.abc import Callable

from sympy import Add, Expr, Integer, Mul, Pow, exp, log, tanh

from symml.ir.functions import absolute, equal, expm1, less, log1p, select, sigmoid
from symml.ir.program import Access
from symml.rewrite.numeric.shapes import HALF, LARGE, as_terms, exp_times, expanded

Inner = Callable[[Expr], Expr]


def _two_exponentials(e: Expr) -> tuple[Expr, Expr, Expr, Expr] | None:
    """(c, a, e, b) of c exp(a) + e exp(b) with numbers c, e; 1 is exp(0)."""
    if isinstance(e, expm1):
        return Integer(1), e.args[0], Integer(-1), Integer(0)
    if not (e.is_Add and len(e.args) == 2):
        return None
    found: list[Expr] = []
    for t in e.args:
        c, f = t.as_coeff_Mul()
        if not (isinstance(f, exp) or f == 1):
            return None
        found += [c, f.args[0] if isinstance(f, exp) else Integer(0)]
    return tuple(found)


def quotients(e: Expr, inner: Inner) -> Expr | None:
    """(e^a - e^b)/(e^a + e^b) = tanh((a - b)/2), and e^a/(e^a - e^b) = -1/expm1(b - a)"""
    if not e.is_Mul:
        return None
    for f in e.args:
        below = _two_exponentials(f.base) if f.is_Pow and f.exp == -1 else None
        if below is None:
            continue
        (c, a, g, b), rest = below, Mul(*(x for x in e.args if x is not f))
        found = _over_sum(c, a, b, rest) if c == g else _over_difference(c, a, b, rest) if c == -g else None
        if found is not None:
            *others, last = found
            return Mul(*map(inner, others)) * last
    return None


def _over_sum(c: Expr, a: Expr, b: Expr, rest: Expr) -> list[Expr] | None:
    for x in Mul.make_args(rest):
        above = _two_exponentials(x)
        if above is not None and above[0] == -above[2] and {above[1], above[3]} == {a, b}:
            sign = 1 if above[1] == a else -1
            return [rest / x, Integer(sign) * above[0] / c, tanh(expanded(a - b) * HALF)]
    return None


def _over_difference(c: Expr, a: Expr, b: Expr, rest: Expr) -> list[Expr] | None:
    """c (e^a - e^b) below, e^a or e^b above."""
    exponent = Add(*(x.args[0] for x in Mul.make_args(rest) if isinstance(x, exp)))
    others = [x for x in Mul.make_args(rest) if not isinstance(x, exp)]
    for top, other, sign in ((a, b, 1), (b, a, -1)):
        if exponent == top and top != 0:
            d = expanded(top - other)
            return [*others, sign / c, select(less(0, d), -1 / expm1(-d), exp(d) / expm1(d))]
    return None


def tanh_of_half(e: Expr, inner: Inner) -> Expr | None:
    """(e^u - 1)/(e^u + 1) = expm1(u) sigmoid(-u) = tanh(u/2)"""
    if not e.is_Mul:
        return None
    for f in e.args:
        for g in e.args:
            if isinstance(f, expm1) and isinstance(g, sigmoid) and expanded(f.args[0] + g.args[0]) == 0:
                return Mul(*(inner(x) for x in e.args if x is not f and x is not g)) * tanh(inner(f.args[0]) * HALF)
    return None


def overflowing(e: Expr, inner: Inner) -> Expr | None:
    """(e^u - 1)/v and (e^a - e^b)/v where an exponential leaves the floats and the quotient does not"""
    if not e.is_Mul or not any(f.is_Pow and f.exp.is_negative and not f.base.is_number for f in e.args):
        return None
    for f in e.args:
        found = _two_exponentials(f)
        if found is None or found[0] != -found[2] or (isinstance(f, expm1) and found[1].is_nonpositive):
            continue
        (c, a, _, b), rest = found, Mul(*(inner(x) for x in e.args if x is not f))
        if 0 in (a, b):  # c (e^a - 1) or c (1 - e^b)
            u = inner(a + b)
            rest = inner(c if b == 0 else -c) * rest
            return select(less(LARGE, u), exp_times(u, rest), expm1(u) * rest)
        d, rest = inner(expanded(a - b)), inner(c) * rest * expm1(-absolute(inner(expanded(a - b))))
        return select(less(0, d), -exp_times(inner(a), rest), exp_times(inner(b), rest))
    return None


def overflowing_power(e: Expr, inner: Inner) -> Expr | None:
    """(b^y - c)/v where b^y leaves the floats and the quotient does not"""
    if not e.is_Mul or not any(f.is_Pow and f.exp.is_negative and not f.base.is_number for f in e.args):
        return None
    for f in e.args:
        powers = [
            g for t in as_terms(f) for g in Mul.make_args(t) if g.is_Pow and not (g.exp.is_number or g.base.is_number)
        ]
        powers = [g for g in powers if not isinstance(g, exp)] if f.is_Add else []
        if len(powers) == 1 and len(f.args) == 2:
            (g,) = powers
            c = f.coeff(g)
            u, rest = inner(g.exp) * log(inner(g.base)), Mul(*(inner(x) for x in e.args if x is not f))
            return select(less(LARGE, u), exp_times(u, inner(c) * rest), inner(f) * rest)
    return None


def vanishing(e: Expr, inner: Inner) -> Expr | None:
    """v/(e^u - 1) where e^u leaves the floats: v e^-u"""
    if not e.is_Mul or sum(not f.is_number for f in e.args) < 2:
        return None
    for f in e.args:
        if f.is_Pow and f.exp == -1 and isinstance(f.base, expm1) and not f.base.args[0].is_number:
            u, rest = inner(f.base.args[0]), Mul(*(inner(x) for x in e.args if x is not f))
            return select(less(LARGE, u), exp(-u) * rest, rest / expm1(u))
    return None


def sigmoids(e: Expr, inner: Inner) -> Expr | None:
    """e^-u sigmoid(u)^k = sigmoid(-u) sigmoid(u)^(k - 1), none of whose factors leaves the floats"""
    if not e.is_Mul:
        return None
    for f in e.args:
        g = f.base if f.is_Pow and f.exp.is_Integer and f.exp.is_positive else f
        if not isinstance(g, sigmoid):
            continue
        for h in e.args:
            if isinstance(h, exp) and expanded(h.args[0] + g.args[0]) == 0:
                rest = Mul(*(x for x in e.args if x is not f and x is not h))
                return inner(f / g * rest) * sigmoid(-inner(g.args[0]))
    return None


def zero_times_log(e: Expr, inner: Inner) -> Expr | None:
    """x log y is 0 where x is 0, as its limit at 0 log 0"""
    if not e.is_Mul:
        return None
    logs = [f for f in e.args if isinstance(f, log | log1p)]
    if len(logs) != 1:
        return None
    others = [f for f in e.args if f is not logs[0]]
    if any(f.is_Pow and not f.exp.is_positive for f in others):
        return None
    may_be_zero = [f.base if isinstance(f, Pow) else f for f in others if not f.is_number and not f.is_positive]
    may_be_zero = [f for f in may_be_zero if f.atoms(Access)]
    if not may_be_zero or logs[0].args[0].is_number or not _may_vanish(logs[0]):
        return None
    x = Mul(*may_be_zero)
    return select(equal(inner(x), 0), Integer(0), Mul(*(inner(f) for f in e.args)))


def _may_vanish(f: Expr) -> bool:
    """May the argument of the logarithm be 0? A positive one is not."""
    inside = 1 + f.args[0] if isinstance(f, log1p) else f.args[0]
    return not inside.is_positive


RULES = (quotients, tanh_of_half, sigmoids, overflowing, overflowing_power, vanishing, zero_times_log)

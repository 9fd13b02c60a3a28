"""Differences c f(a) - c f(b) of one function, by its addition theorem: a row of PAIRS a function.

    exp(a) - exp(b) = exp(b) expm1(a - b)       sin a - sin b = 2 sin((a - b)/2) cos((a + b)/2)
    log a - log b = log1p((a - b)/b)            sqrt a - sqrt b = (a - b)/(sqrt a + sqrt b)

a - b is multiplied out first: what cancels there is exact. A term without the function counts as c f(0) where f(0) = 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import sympy
from sympy import Add, Expr, Integer, Pow, Rational, cos, cosh, exp, log, sin, sinh, sqrt, tan, tanh

from symml.ir.functions import absolute, equal, expm1, less, log1p, maximum, minimum, select, sigmoid, signum, softplus
from symml.rewrite.numeric.shapes import (
    HALF,
    TWO,
    exact_sum,
    exp_times,
    expanded,
    gap,
    is_small,
    log_quotient,
    power,
    split,
    without,
)

Inner = Callable[[Expr], Expr]


def _exps(a: Expr, b: Expr, d: Expr, inner: Inner) -> Expr:
    """exp(a) - exp(b): the larger one times 1 - exp of the distance, so that nothing overflows before its time"""
    if b == 0:
        return expm1(inner(a))
    if expanded(a + b) == 0:
        return TWO * sinh(inner(a))
    d = inner(d)
    return select(less(0, d), -exp_times(inner(a), expm1(-d)), exp_times(inner(b), expm1(d)))


def _logs(a: Expr, b: Expr, d: Expr, inner: Inner) -> Expr:
    """log a - log b"""
    return log_quotient(inner(a), inner(b), inner(d), signs_matter=True)


def _atans(a: Expr, b: Expr, d: Expr, inner: Inner) -> Expr:
    """atan a - atan b: the angle of (1 + a b, a - b)"""
    d, across = inner(d), 1 + inner(a) * inner(b)
    return sympy.atan(d / across) + select(less(across, 0), sympy.pi * signum(d), Integer(0))


def _sine(e: Expr, inner: Inner) -> Expr:
    """sin of a sum, which is taken exactly where its terms are known exactly."""
    found = exact_sum(e)
    if found is None or found[1] == 0:
        return sin(inner(e))
    s, lost = found
    return sin(s) * cos(lost) + cos(s) * sin(lost)


def _cosine(e: Expr, inner: Inner) -> Expr:
    """cos of a sum in the same way."""
    found = exact_sum(e)
    if found is None or found[1] == 0:
        return cos(inner(e))
    s, lost = found
    return cos(s) * cos(lost) - sin(s) * sin(lost)


def _are_exact(*sums: Expr) -> bool:
    return all(exact_sum(e) is not None for e in sums)


def _sines(a: Expr, b: Expr, d: Expr, inner: Inner) -> Expr:
    """sin a - sin b = 2 sin((a - b)/2) cos((a + b)/2), where the rounding of the sum costs less than that of a and b"""
    half, apart = expanded((a + b) * HALF), expanded(d * HALF)
    near = TWO * _sine(apart, inner) * _cosine(half, inner)
    if d.is_number or _are_exact(half, apart):
        return near
    a, half = inner(a), inner(half)
    lost = absolute(TWO * sin(inner(apart)) * sin(half) * half)
    return _better(lost, near, absolute(a * cos(a)), sin(a), sin(inner(b)))


def _cosines(a: Expr, b: Expr, d: Expr, inner: Inner) -> Expr:
    """cos a - cos b = -2 sin((a + b)/2) sin((a - b)/2)"""
    half, apart = expanded((a + b) * HALF), expanded(d * HALF)
    near = -TWO * _sine(apart, inner) * _sine(half, inner)
    if b == 0 or d.is_number or _are_exact(half, apart):
        return near
    a, half = inner(a), inner(half)
    lost = absolute(TWO * sin(inner(apart)) * cos(half) * half)
    return _better(lost, near, absolute(a * sin(a)), cos(a), cos(inner(b)))


def _tangents(a: Expr, b: Expr, d: Expr, inner: Inner) -> Expr:
    """tan a - tan b = sin(a - b)/(cos a cos b)"""
    near = _sine(d, inner) / _cosine(a, inner) / _cosine(b, inner)
    if d.is_number or _are_exact(d, a, b):
        return near
    a, b = inner(a), inner(b)
    lost = absolute((tan(a) - tan(b)) * (absolute(a * tan(a)) + absolute(b * tan(b))))
    return _better(lost, near, absolute(a) * (1 + tan(a) ** 2), tan(a), tan(b))


def _better(lost: Expr, near: Expr, moved: Expr, f: Expr, g: Expr) -> Expr:
    """`near`, whose rounding is about `lost` beside that of its size, or f - g, which lose their own and what moves with a."""
    return select(less(lost, moved + absolute(f) + absolute(g)), near, f - g)


def _sinhs(a: Expr, b: Expr, d: Expr, inner: Inner) -> Expr:
    """sinh a - sinh b = 2 sinh((a - b)/2) cosh((a + b)/2)"""
    return TWO * sinh(inner(d) * HALF) * cosh(expanded(a + b) * HALF)


def _coshs(a: Expr, b: Expr, d: Expr, inner: Inner) -> Expr:
    """cosh a - cosh b = 2 sinh((a + b)/2) sinh((a - b)/2)"""
    return TWO * sinh(expanded(a + b) * HALF) * sinh(inner(d) * HALF)


def _softpluses(a: Expr, b: Expr, d: Expr, inner: Inner) -> Expr:
    """softplus a - softplus b = log1p(sigmoid(b) (exp(a - b) - 1)) where a is near b, else with the larger parts apart"""
    a, b, d = inner(a), inner(b), inner(d)
    up, down = log1p(sigmoid(b) * expm1(d)), -log1p(sigmoid(a) * expm1(-d))
    large = select(less(0, minimum(a, b)), d, maximum(a, 0) - maximum(b, 0))
    apart = large + (softplus(-absolute(a)) - softplus(-absolute(b)))
    return select(less(absolute(d), 1), select(less(0, d), down, up), apart)


def _sigmoids(a: Expr, b: Expr, d: Expr, inner: Inner) -> Expr:
    """sigmoid a - sigmoid b = sigmoid(a) sigmoid(-b) (1 - exp(b - a))"""
    if b == 0:
        return tanh(inner(a) * HALF) * HALF
    a, b, d = inner(a), inner(b), inner(d)
    return select(less(0, d), -sigmoid(a) * sigmoid(-b) * expm1(-d), sigmoid(b) * sigmoid(-a) * expm1(d))


def _tanhs(a: Expr, b: Expr, d: Expr, inner: Inner) -> Expr:
    """tanh a - tanh b = 2 sigmoid(2 a) - 2 sigmoid(2 b)"""
    return TWO * _sigmoids(TWO * a, TWO * b, TWO * d, inner)


PAIRS: Mapping[type, Callable[[Expr, Expr, Expr, Inner], Expr]] = MappingProxyType(
    {
        exp: _exps,
        log: _logs,
        log1p: _logs,
        sympy.atan: _atans,
        sin: _sines,
        cos: _cosines,
        tan: _tangents,
        sinh: _sinhs,
        cosh: _coshs,
        sigmoid: _sigmoids,
        softplus: _softpluses,
        tanh: _tanhs,
    }
)
AT_ZERO: Mapping[type, Expr] = MappingProxyType(dict.fromkeys((exp, cos, cosh), Integer(1)) | {sigmoid: HALF})


def _argument(f: Expr) -> Expr:
    return 1 + f.args[0] if isinstance(f, log1p) else f.args[0]


def _pair(s: Expr, t: Expr, inner: Inner) -> Expr | None:
    """s + t, where they are c f(a) and -c f(b)."""
    for (c, f), (e, g) in itertools.product(split(s, tuple(PAIRS)), split(t, tuple(PAIRS))):
        if c == -e and (f.func is g.func or {f.func, g.func} == {log, log1p}):
            return _weighted(c, f, _argument(f), _argument(g), inner)
    for one, other in ((s, t), (t, s)):
        for c, f in split(one, tuple(AT_ZERO)):
            if other == -c * AT_ZERO[f.func]:
                return _weighted(c, f, f.args[0], Integer(0), inner)
    return _powers(s, t, inner)


def _weighted(c: Expr, f: Expr, a: Expr, b: Expr, inner: Inner) -> Expr:
    """c (f(a) - f(b)); 0 where c is 0 and the logarithms are infinite, as the limit of c log c is."""
    found = PAIRS[f.func](a, b, gap(a, b)[0], inner)
    if isinstance(f, log | log1p) and not c.is_number and not c.is_positive:
        return select(equal(c, 0), Integer(0), inner(c) * found)
    return inner(c) * found


def _powers(s: Expr, t: Expr, inner: Inner) -> Expr | None:
    """c a^r - c b^r for a fraction r; r = 1/2 and -1/2 by the conjugate"""
    for (c, f), (e, g) in itertools.product(_fractional(s), _fractional(t)):
        if c != -e or f.exp != g.exp:
            continue
        a, b, r = inner(f.base), inner(g.base), f.exp
        d = inner(gap(f.base, g.base)[0])
        if abs(r) == HALF:
            both = d / (sqrt(a) + sqrt(b)) if r > 0 else -d / (sqrt(a) + sqrt(b)) / sqrt(a) / sqrt(b)
            return inner(c) * (both if d.is_number else select(equal(d, 0), Integer(0), both))
        near = less(-b, TWO * d) * less(d, 8 * b) if abs(r) <= 1 else is_small(d, b)
        return inner(c) * select(near, power(b, r) * expm1(r * log1p(d / b)), power(a, r) - power(b, r))
    return None


def _fractional(term: Expr) -> list[tuple[Expr, Expr]]:
    """(coefficient, a^r) for each power with a fraction r; sqrt(a w)/w, as a derivative leaves it, is a/sqrt(a w) too."""
    found = [(c, f) for c, f in split(term, Pow) if isinstance(f.exp, Rational) and not f.exp.is_Integer]
    return found + [(c * f.base, f.base**-HALF) for c, f in found if f.exp == HALF and f.base.is_Mul]


def pairs(e: Expr, inner: Inner) -> Expr | None:
    """Two terms of a sum that are one function at two places."""
    if not e.is_Add:
        return None
    for s, t in itertools.combinations(e.args, 2):
        found = _pair(s, t, inner)
        if found is not None:
            rest = without(e, s, t)
            return found + inner(Add(*rest)) if rest else found
    return None


def saturated(e: Expr, inner: Inner) -> Expr | None:
    """1 - tanh u = 2 sigmoid(-2 u), 1 + tanh u = 2 sigmoid(2 u), 1 - tanh(u)^2 = 4 sigmoid(2 u) sigmoid(-2 u)"""
    if not (e.is_Add and len(e.args) == 2):
        return None
    for one, other in (e.args, e.args[::-1]):
        for c, f in split(one, tanh):
            if other in (c, -c):
                return inner(other) * TWO * sigmoid(TWO * (1 if other == c else -1) * inner(f.args[0]))
        for c, f in split(one, Pow):
            if isinstance(f.base, tanh) and f.exp == 2 and other == -c:
                u = inner(f.base.args[0])
                return inner(other) * 4 * sigmoid(TWO * u) * sigmoid(-TWO * u)
    return None


def tangent_less_sine(e: Expr, inner: Inner) -> Expr | None:
    """c tan u - c sin u = 2 c tan(u) sin(u/2)^2"""
    if not e.is_Add:
        return None
    for s, t in itertools.permutations(e.args, 2):
        for (c, f), (g, h) in itertools.product(split(s, tan), split(t, sin)):
            if c == -g and f.args == h.args:
                u, rest = inner(f.args[0]), Add(*without(e, s, t))
                found = TWO * inner(c) * tan(u) * sin(u * HALF) ** 2
                return found + inner(rest) if rest != 0 else found
    return None


def around_a_mean(e: Expr, inner: Inner) -> Expr | None:
    """c exp(a) + c exp(b) - 2 c exp((a + b)/2) = 4 c exp((a + b)/2) sinh((a - b)/4)^2; a number counts as exp(0)"""
    if not (e.is_Add and len(e.args) > 2):
        return None
    parts = [(t, *(split(t, exp) or [(t, exp(0))])[0]) for t in e.args]
    for (s, c, f), (t, g, h), (u, k, m) in itertools.permutations(parts, 3):
        if s is t or c != g or expanded(k + 2 * c) != 0 or not isinstance(f, exp) or not isinstance(h, exp):
            continue
        a, b, middle = f.args[0], h.args[0], m.args[0] if isinstance(m, exp) else Integer(0)
        if expanded(a + b - 2 * middle) == 0:
            half = expanded(a - middle) * HALF
            rest = Add(*(v for v in e.args if v not in (s, t, u)))
            found = 4 * inner(c) * exp(inner(middle)) * sinh(inner(half)) ** 2
            return found + inner(rest) if rest != 0 else found
    return None


def mirrored(e: Expr, inner: Inner) -> Expr | None:
    """c exp(u) + c exp(-u) = 2 c cosh(u)"""
    if not e.is_Add:
        return None
    for s, t in itertools.combinations(e.args, 2):
        for (c, f), (g, h) in itertools.product(split(s, exp), split(t, exp)):
            if c == g and expanded(f.args[0] + h.args[0]) == 0:
                rest = Add(*without(e, s, t))
                found = TWO * inner(c) * cosh(inner(f.args[0]))
                return found + inner(rest) if rest != 0 else found
    return None


RULES = (saturated, tangent_less_sine, around_a_mean, pairs, mirrored)

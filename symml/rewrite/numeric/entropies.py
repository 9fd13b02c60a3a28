"""Logarithms with factors in front: divergences between near quantities, differences of u log u, log cosh, powers less 1.

x log(x/y) - x + y = x h((y - x)/x),  h(e) = e - log1p(e)        (a log a - b log b) = (a - b) log a + b log(a/b)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

import sympy
from sympy import Add, Expr, Integer, Pow, Symbol, log

from symml.ir.functions import absolute, expm1, less, log1p, select, softplus
from symml.rewrite.numeric.functions import log_of_hyperbolic
from symml.rewrite.numeric.series import near_zero
from symml.rewrite.numeric.shapes import (
    HALF,
    TWO,
    as_terms,
    expanded,
    gap,
    log_quotient,
    one_plus_to,
    split,
    square_root_of,
    without,
)
from symml.rewrite.numeric.sums import perfect_square

Inner = Callable[[Expr], Expr]
MOST_TERMS = 8
E = Symbol("e", real=True)
NEAR = sympy.Float(0.25)


@cache
def _above_its_tangent() -> Expr:
    """E - log1p(E), with its series near 0."""
    return near_zero(E - log1p(E))


def _h(w: Expr) -> Expr:
    """h(w) near 0, of w as a function of its own: the powers of a quotient would be taken apart, and leave the floats."""
    return _above_its_tangent().xreplace({E: w if w.is_Atom else select(less(absolute(w), NEAR), w, Integer(0))})


def divergence(e: Expr, inner: Inner) -> Expr | None:
    """Terms c log(a/b) whose tangents add up to the other terms, or to nothing: sum of -c h((b - a)/a), none of which cancels."""
    if not e.is_Add or not 2 <= len(e.args) <= MOST_TERMS:
        return None
    logs = [(t, *found[0]) for t in e.args if len(found := split(t, (log, log1p))) == 1 and _whole(found[0][0])]
    for count in range(min(len(logs), 3), 0, -1):
        for chosen in itertools.combinations(logs, count):
            for ways in itertools.product(WAYS if count == 1 else WAYS[:2], repeat=count):
                parts = [_tangent(c, f, *way) for (_, c, f), way in zip(chosen, ways, strict=True)]
                if None not in parts and (found := _without_tangents(e, chosen, parts, inner)) is not None:
                    return found
    return None


# Which of a, b the tangent is taken at, and of which power of both.
WAYS = ((True, 1), (False, 1), (True, 2), (False, 2))


def _whole(c: Expr) -> bool:
    return not c.has(log, log1p)


def _tangent(c: Expr, f: Expr, turn: bool, power: int) -> tuple[Expr, Expr] | None:
    """(g, w) with c log(...) = -g log(1 + w); w = (b - a)/a of log(a/b) where it is turned, else (a - b)/b."""
    a, b = ((1 + f.args[0] if isinstance(f, log1p) else f.args[0]) ** power).as_numer_denom()
    if a.is_number and b.is_number:
        return None
    c = c / power
    return (c, expanded(b - a) / a) if turn else (-c, expanded(a - b) / b)


def _without_tangents(e: Expr, chosen: tuple, parts: list[tuple[Expr, Expr]], inner: Inner) -> Expr | None:
    """The sum of g h(w), where the terms g w are there besides or cancel each other; None where they are not."""
    slopes = [expanded(g * w) for g, w in parts]
    rest = [t for t in e.args if all(t is not s for s, _, _ in chosen)]
    wanted = expanded(Add(*slopes))
    taken = as_terms(wanted)
    if any(t not in rest for t in taken):  # products of sums, one level
        rest = [t for u in rest for t in Add.make_args(sympy.expand_mul(u, deep=False))]
    if wanted.has(log, log1p) or (wanted == 0 and len(chosen) == 1) or any(t not in rest for t in taken):
        return None
    left = Add(*(t for t in rest if t not in taken))
    if left.free_symbols & Add(*(w for _, w in parts)).free_symbols and not _adds_up(left, parts):
        return None  # what is left may cancel with the sum
    found = Add(*(_part(g, w, t, inner) for (g, w), (t, _, _) in zip(parts, chosen, strict=True)))
    return found + inner(left) if left != 0 else found


def _adds_up(left: Expr, parts: list[tuple[Expr, Expr]]) -> bool:
    """Are what is left and every g of g h(w) never negative? h is not."""
    squares = all(square_root_of(t) is not None for t in as_terms(left))
    return squares and all(g.is_number and g.is_positive for g, _ in parts)


def _part(g: Expr, w: Expr, term: Expr, inner: Inner) -> Expr:
    """g h(w) near 0, else the tangent and the term as they are."""
    small, g = inner(w), inner(g)
    near = select(less(absolute(small), NEAR), _h(small), Integer(0))
    far = select(less(absolute(small), NEAR), Integer(0), g * small)  # a function of its own: x - 1 is summed first
    return select(less(absolute(small), NEAR), g * near, far + inner(term))


def opposed(e: Expr, inner: Inner) -> Expr | None:
    """c log p - g log q with p = q = 1 and equal tangents at one place, c - g = r known better than both, is
    c log(p/q) + r log q, near that place -c h(v) - r h(w) + (c v + r w) with v = p/q - 1 and w = q - 1: deviances of counts"""
    if not e.is_Add or len(e.args) > MOST_TERMS:
        return None
    for s, t in itertools.permutations(e.args, 2):
        for (c, f), (g, k) in itertools.product(split(s, log), split(t, log)):
            r, shorter = gap(c, -g)
            (p, q), (a, b) = f.args[0].as_numer_denom(), k.args[0].as_numer_denom()
            if not (shorter and r.free_symbols and _whole(c) and _whole(g)) or q.is_number or b.is_number:
                continue
            up, low, over = (sympy.factor_terms(expanded(u)) for u in (p * b - q * a, q * a, a - b))
            square = _of_second_order(c * up / low + r * over / b)
            if square is None:
                continue
            rest = without(e, s, t)
            c, r, up, low, over, a, b, p = map(inner, (c, r, up, low, over, a, b, p * b))
            v, w = up / low, over / b
            far = c * log_quotient(p, low, up, signs_matter=False) + r * log_quotient(a, b, over, signs_matter=False)
            near = inner(square) - c * _h(v) - r * _h(w)
            found = select(less(absolute(v), NEAR) * less(absolute(w), NEAR), near, far)
            return found + inner(Add(*rest)) if rest else found
    return None


def _of_second_order(e: Expr) -> Expr | None:
    """A quotient whose numerator is a square times one sign; None of others."""
    top, bottom = sympy.together(e).as_numer_denom()
    top = sympy.factor_terms(expanded(top))
    sums = [f for f in sympy.Mul.make_args(top) if f.is_Add]
    if len(sums) != 1 or perfect_square(sums[0]) is None:
        return None
    return top / bottom


def weighted_logs(e: Expr, inner: Inner) -> Expr | None:
    """c log a - g log b = (c - g) log a + g (log a - log b) where c - g is known better than both"""
    if not e.is_Add or len(e.args) > MOST_TERMS:
        return None
    for s, t in itertools.permutations(e.args, 2):
        for (c, f), (g, h) in itertools.product(split(s, (log, log1p)), split(t, (log, log1p))):
            g = -g
            if c == g or c.is_number or g.is_number or not (_whole(c) and _whole(g)):
                continue
            d, shorter = gap(c, g)
            a, b = (1 + k.args[0] if isinstance(k, log1p) else k.args[0] for k in (f, h))
            if not shorter or not d.is_number or not expanded(a - b).is_number:
                continue
            rest = without(e, s, t)
            quotient = log_quotient(inner(a), inner(b), inner(gap(a, b)[0]), signs_matter=True)
            first, g = inner(d) * inner(f), inner(g)
            found = first + select(less(0, absolute(g)), g * quotient, Integer(0))
            return found + inner(Add(*rest)) if rest else found
    return None


def log_of_mean(e: Expr, inner: Inner) -> Expr | None:
    """c u + c softplus(-2 u) - c log 2 = c log cosh u, as log((exp(u) + exp(-u))/2) is read"""
    if not e.is_Add or len(e.args) < 3:
        return None
    for s in e.args:
        for c, f in split(s, softplus):
            u = expanded(f.args[0] * -HALF)
            if c * u in e.args and -c * log(2) in e.args:
                rest = Add(*(t for t in e.args if t is not s and t not in (c * u, -c * log(2))))
                found = inner(c) * log_of_hyperbolic(log(sympy.cosh(u)), inner)
                return found + inner(rest) if rest != 0 else found
    return None


def power_less_one(e: Expr, inner: Inner) -> Expr | None:
    """c b^y - c = c expm1(y log b) where b^y is near 1"""
    if not e.is_Add or len(e.args) > MOST_TERMS:
        return None
    for s in e.args:
        for c, f in split(s, Pow):
            if isinstance(f, sympy.exp) or f.exp.is_number or f.base.is_number or -c not in e.args:
                continue
            one, u = f.base.as_coeff_Add()
            base, y = inner(f.base), inner(f.exp)
            near = select(less(TWO * absolute(inner(u)), 1), log1p(inner(u)), log(base)) if one == 1 else log(base)
            whole = one_plus_to(inner(u), y) if one == 1 else Pow(base, y)
            found = inner(c) * select(less(absolute(y * near), HALF), expm1(y * near), whole - 1)
            rest = Add(*(t for t in e.args if t is not s and t != -c))
            return found + inner(rest) if rest != 0 else found
    return None


def angle_to_the_top(e: Expr, inner: Inner) -> Expr | None:
    """c pi/2 - c atan(u) = c atan(1/u) for u > 0"""
    if not e.is_Add or len(e.args) != 2:
        return None
    for s, t in (e.args, e.args[::-1]):
        for c, f in split(s, sympy.atan):
            for sign in (1, -1):  # c atan(u) + sign c pi/2
                if t == sign * c * sympy.pi / 2:
                    u = -sign * inner(f.args[0])
                    return sign * inner(c) * select(less(0, u), sympy.atan(1 / u), sympy.pi / 2 - sympy.atan(u))
    return None


RULES = (log_of_mean, weighted_logs, opposed, divergence, power_less_one, angle_to_the_top)

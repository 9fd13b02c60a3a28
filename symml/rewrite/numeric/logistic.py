"""Softplus, sigmoid and sums of exponentials: cross-entropies, entropies, softmax and its logarithm.

softplus(u) - y u     ->   |u| (1 - y or y) + softplus(-|u|), all of one sign for labels y
x - log(e^x + e^y + e^z)   ->   -(m + log1p(s)),  e^m (1 + s) = 1 + e^(y - x) + e^(z - x), m the largest exponent
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from sympy import Add, Expr, Integer, Mul, exp, log

from symml.ir.functions import absolute, expm1, less, log1p, lost, maximum, select, sigmoid, softplus
from symml.rewrite.numeric.functions import log_less_exp
from symml.rewrite.numeric.shapes import as_terms, either, expanded, one_plus_to, split, terms, without

Inner = Callable[[Expr], Expr]
MOST_TERMS = 6
FAR = Integer(-700)  # exponents; exp(-700) is a float with all its bits


def log_sum(e: Expr, inner: Inner) -> Expr | None:
    """c r + c softplus(w) = c log(e^r + e^(r + w)), where r and r + w have fewer terms than r and w"""
    if not e.is_Add or len(e.args) > MOST_TERMS:
        return None
    for s in e.args:
        for c, f in split(s, softplus):
            rest = without(e, s)
            shifts = [Add(*part) / c for k in range(len(rest) + 1) for part in itertools.combinations(rest, k)]
            costs = [_cost(_exponents(r, f), expanded(Add(*rest) - c * r)) for r in shifts]
            k = min(range(len(shifts)), key=costs.__getitem__)
            if k and costs[k] < costs[0]:
                left = expanded(Add(*rest) - c * shifts[k])
                found = inner(c) * _log_of_sum(_exponents(shifts[k], f), inner)
                return found + inner(left) if left != 0 else found
    return None


def _cost(exponents: Sequence[Expr], left: Expr) -> tuple[int, int]:
    return sum(map(terms, exponents)) + terms(left), terms(left)


def _exponents(r: Expr, f: Expr) -> list[Expr]:
    """v with r + f = log sum exp(v), seen through what is nested in f = softplus(w)."""
    second = expanded(r + f.args[0])
    for t in as_terms(second):
        if isinstance(t, softplus):
            return [expanded(r), *_exponents(second - t, t)]
    return [expanded(r), second]


def _log_of_sum(exponents: Sequence[Expr], inner: Inner) -> Expr:
    if len(exponents) == 2:
        u, v = exponents
        if 0 in exponents:
            return softplus(inner(expanded(u + v)))
        return maximum(inner(u), inner(v)) + softplus(-absolute(inner(expanded(v - u))))
    largest, others = _folded([(Integer(1), inner(v)) for v in exponents])
    return largest + log1p(others)


def _folded(parts: Sequence[tuple[Expr, Expr]]) -> tuple[Expr, Expr]:
    """(m, s) with sum c exp(v) = exp(m) (1 + s), where m is the largest v; c of the first is 1."""
    (_, m), *rest = parts
    s = Integer(0)
    for c, v in rest:
        near = exp(-absolute(v - m))
        s = either(less(m, v), (1 + s) * near + c - 1, s + c * near)
        m = maximum(m, v)
    return m, s


def softmax(e: Expr, inner: Inner) -> Expr | None:
    """exp(u)/(exp(u) + exp(v) + ...)^k with the largest exponent taken out above and below"""
    if not e.is_Mul:
        return None
    for f in e.args:
        if not (f.is_Pow and f.exp.is_Integer and f.exp.is_negative and f.base.is_Add and len(f.base.args) > 2):
            continue
        parts = [_exponential(t) for t in f.base.args]
        above = [x for x in e.args if isinstance(x, exp)]
        if None in parts or not above or len({c for c, _ in parts}) != 1:
            continue
        k, u = int(-f.exp), Add(*(x.args[0] for x in above))
        m, s = _folded([(Integer(1), inner(v)) for _, v in parts])
        rest = Mul(*(inner(x) for x in e.args if x is not f and x not in above)) * parts[0][0] ** f.exp
        u, scaled = inner(u), m * k
        return rest * exp(u - scaled) * (1 + lost(u, -scaled)) * (1 + s) ** f.exp
    return None


def _exponential(t: Expr) -> tuple[Expr, Expr] | None:
    """(c, v) of c exp(v); a number c counts as c exp(0)."""
    c, f = t.as_coeff_Mul()
    if c.is_positive and (isinstance(f, exp) or f == 1):
        return c, f.args[0] if isinstance(f, exp) else Integer(0)
    return None


def cross_entropy(e: Expr, inner: Inner) -> Expr | None:
    """c softplus(u) - c y u = c ((1 - y) u or -y u) + c softplus(-|u|), of one sign for y between 0 and 1"""
    if not e.is_Add or len(e.args) > MOST_TERMS:
        return None
    for s, t in itertools.permutations(e.args, 2):
        for c, f in split(s, softplus):
            u = f.args[0]
            y = -t / u / c  # in this order: a number times a sum is multiplied out
            if u.is_number or y.is_number or y.has(sigmoid, softplus) or not _divides(u, t):
                continue
            v, y, rest = inner(u), inner(y), without(e, s, t)
            found = inner(c) * (select(less(0, v), (1 - y) * v, -y * v) + softplus(-absolute(v)))
            return found + inner(Add(*rest)) if rest else found
    return None


def _divides(u: Expr, t: Expr) -> bool:
    """Are the factors of u among those of t, up to a number?"""
    of_t = Mul.make_args(t)
    return all(f in of_t for f in Mul.make_args(u.as_coeff_Mul()[1]))


def entropy(e: Expr, inner: Inner) -> Expr | None:
    """c softplus(u) - c u sigmoid(u) = c softplus(-|u|) + c |u| sigmoid(-|u|)"""
    if not e.is_Add or len(e.args) > MOST_TERMS:
        return None
    for s, t in itertools.permutations(e.args, 2):
        for c, f in split(s, softplus):
            if expanded(t + c * f.args[0] * sigmoid(f.args[0])) == 0:
                u, rest = absolute(inner(f.args[0])), without(e, s, t)
                found = inner(c) * (softplus(-u) + u * sigmoid(-u))
                return found + inner(Add(*rest)) if rest else found
    return None


def less_its_label(e: Expr, inner: Inner) -> Expr | None:
    """c sigmoid(u) - c y = c (1 - y) - c sigmoid(-u) for u > 0, where y may be 1"""
    if not e.is_Add or len(e.args) != 2:
        return None
    for s, t in (e.args, e.args[::-1]):
        for c, f in split(s, sigmoid):
            y = -t / c
            if y.is_Symbol:
                u = inner(f.args[0])
                small = sigmoid(-absolute(u))  # two selects: a sum of three terms may be taken in any order
                return inner(c) * (select(less(0, u), 1 - y, -y) + select(less(0, u), -small, small))
    return None


def of_difference(e: Expr, inner: Inner) -> Expr | None:
    """sigmoid(a - b), as e^a/(e^a + e^b) is read, with what a - b leaves out where it is below 0"""
    if not isinstance(e, sigmoid):
        return None
    found = as_terms(e.args[0])
    a, b = sorted(found, key=lambda t: not t.is_Symbol) if len(found) == 2 else (e, e)
    if not (a.is_Symbol and (-b).is_Symbol):
        return None
    return sigmoid(a + b) * (1 + select(less(a + b, 0), lost(a, b), Integer(0)))


def power_of_sigmoid(e: Expr, inner: Inner) -> Expr | None:
    """sigmoid(u)^y = (1 + exp(-|u|))^-y, times exp(y u) for u < 0; exp(-y softplus(-u)) where sigmoid(u) leaves the floats"""
    if not (e.is_Pow and isinstance(e.base, sigmoid) and not e.exp.is_number):
        return None
    u, y = inner(e.base.args[0]), inner(e.exp)
    near = one_plus_to(exp(-absolute(u)), -y) * select(less(u, 0), exp(y * u), Integer(1))
    return select(less(-1, u), near, select(less(FAR, u), sigmoid(u) ** y, exp(-y * softplus(-u))))


def less_its_inverse(e: Expr, inner: Inner) -> Expr | None:
    """c log(exp(u) - 1) - c u = c log(1 - exp(-u))"""
    if not e.is_Add or len(e.args) > MOST_TERMS:
        return None
    for s in e.args:
        for c, f in split(s, log):
            c1, g = f.args[0].as_coeff_Mul()
            if not (isinstance(g, expm1) and c1 == 1):
                continue
            u, rest = g.args[0], without(e, s)
            left = expanded(Add(*rest) + c * u)
            if terms(left) < len(rest):
                found = inner(c) * log_less_exp(-u, inner)
                return found + inner(left) if left != 0 else found
    return None


RULES = (log_sum, entropy, cross_entropy, less_its_inverse, less_its_label, softmax, of_difference, power_of_sigmoid)

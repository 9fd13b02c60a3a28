"""The error function far from 0: 1 + erf(u) = erfc(-u), which is small where the sum loses all digits, and its logarithm.

x (1 + erf(x/sqrt(2)))/2   ->   x erfc(-x/sqrt(2))/2
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from sympy import Add, Expr, Integer, log, pi

from symml.ir.functions import less, log1p, select
from symml.ir.special import erf, erfc
from symml.rewrite.numeric.shapes import HALF, split, without

Inner = Callable[[Expr], Expr]
FAR = Integer(25)  # erfc(25) is a float with all its bits
SERIES = (-1, 3, -15, 105, -945)  # of sqrt(pi) u exp(u^2) erfc(u) - 1 in 1/(2 u^2). Abramowitz and Stegun, 7.1.23


def complement(e: Expr, inner: Inner) -> Expr | None:
    """c + c erf(u) = c erfc(-u), c - c erf(u) = c erfc(u)"""
    if not e.is_Add:
        return None
    for s, t in itertools.permutations(e.args, 2):
        for c, f in split(s, erf):
            if t in (c, -c):
                rest = without(e, s, t)
                found = inner(t) * erfc((-1 if t == c else 1) * inner(f.args[0]))
                return found + inner(Add(*rest)) if rest else found
    return None


def log_of_complement(e: Expr, inner: Inner) -> Expr | None:
    """log(c + c erf(u)) = log c + log erfc(-u); of c = 1/2 near 0 where u is large"""
    if not isinstance(e, log | log1p):
        return None
    inside = 1 + e.args[0] if isinstance(e, log1p) else e.args[0]
    if not (inside.is_Add and len(inside.args) == 2):
        return None
    for s, t in (inside.args, inside.args[::-1]):
        for c, f in split(s, erf):
            if not (t.is_number and t.is_positive and t in (c, -c)):
                continue
            v = (-1 if t == c else 1) * inner(f.args[0])
            found = log(t) + _log_erfc(v)
            return select(less(v, 0), log1p(-HALF * erfc(-v)), found) if t == HALF else found
    return None


def _log_erfc(v: Expr) -> Expr:
    z, total = HALF / v / v, Integer(0)
    for c in reversed(SERIES):
        total = (c + total) * z
    far = -(v**2) - log(v) - log(pi) / 2 + log1p(total)
    near = select(less(v, HALF), -erf(v), Integer(0))  # a function of its own, which no rule takes for a sum
    return select(less(v, HALF), log1p(near), select(less(v, FAR), log(erfc(v)), far))


RULES = (log_of_complement, complement)

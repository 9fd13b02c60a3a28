"""Signs of weights: expressions of numbers, sizes and hyper-parameters, from their domains.

positive(lam*(1 - ratio)), nonnegative(lam - lam*ratio)  ->  True, True        where lam > 0 and ratio in (0, 1)

sympy's assumptions know what is above 0; here a difference is known by the ends of what it is made of too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import sympy
from sympy import Expr

from symml.ir.program import Access

Least = tuple[float, bool]  # a lower bound, and whether it is never reached


def positive(e: Expr) -> bool:
    """Is an expression known to be above 0?"""
    return bool(e.is_positive) or _known(e, lambda least: least[0] > 0 or least == (0, True))


def nonnegative(e: Expr) -> bool:
    """Is an expression known not to be below 0?"""
    return bool(e.is_nonnegative) or _known(e, lambda least: least[0] >= 0)


def gathered(terms: Iterable[Expr], still: Callable[[Expr], bool]) -> list[Expr]:
    """Terms that differ by what stands `still` alone as one, whose weights are added up: a u - a b u is a (1 - b) u."""
    weights: dict[Expr, list[Expr]] = {}
    for t in terms:
        fixed = [f for f in sympy.Mul.make_args(t) if still(f)]
        moving = sympy.Mul(*(f for f in sympy.Mul.make_args(t) if not still(f)))
        weights.setdefault(moving, []).append(sympy.Mul(*fixed))
    return [m * (w[0] if len(w) == 1 else weight(w)) for m, w in weights.items()]


def weight(parts: Iterable[Expr]) -> Expr:
    """A sum of weights as a product, in which no factor begins with a minus where that can be: a - a b is a (1 - b)."""
    sign, factors = sympy.Integer(1), []
    for f in sympy.Mul.make_args(sympy.factor(sympy.Add(*parts))):
        turned = f.is_Add and _least(-f)[0] >= 0 > _least(f)[0]
        sign, f = (-sign, -f) if turned else (sign, f)
        factors.append(f)
    return sign * sympy.Mul(*factors, evaluate=True)


def _known(e: Expr, good: Callable[[Least], bool]) -> bool:
    """Is each factor good, or as many as come in pairs when they are turned?"""
    turned = 0
    for f in sympy.Mul.make_args(sympy.factor(e)):
        base, times = (f.base, int(f.exp)) if f.is_Pow and f.exp.is_Integer else (f, 1)
        if not good(_least(base)):
            if not good(_least(-base)):
                return False
            turned += times
    return turned % 2 == 0


def _least(e: Expr) -> Least:
    """A lower bound of a sum: of each term by the ends of what it is a multiple of, else by its sign."""
    total, never = 0.0, False
    for t in sympy.Add.make_args(e):
        number, rest = t.as_coeff_Mul()
        if rest == 1:
            low, open_ = float(number), False
        elif isinstance(rest, Access) and _end(rest, number) is not None:
            low, open_ = _end(rest, number)
        elif t.is_nonnegative:
            low, open_ = 0.0, bool(t.is_positive)
        else:
            return -math.inf, False
        total, never = total + low, never or open_
    return total, never


def _end(a: Access, number: Expr) -> Least | None:
    """The least of a multiple of an entry, by the domain of its tensor; None where that has no end on this side."""
    side = 0 if number > 0 else 1
    d = a.tensor.domain
    end = (d.lower, d.upper)[side]
    return None if end is None or not math.isfinite(end) else (float(number) * end, d.open[side])

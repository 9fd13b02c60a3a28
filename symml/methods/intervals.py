"""Intervals of exact ends, for the signs that a certificate rests on: Fractions and the two infinities.

times(of_domain(Domain("set", values=(0, 1))), point(-2))  ->  (Fraction(-2), Fraction(0))
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType

from sympy import Expr

from symml.ir.program import Domain

End = Fraction | float
Interval = tuple[End, End]

EVERYTHING: Interval = (-math.inf, math.inf)
NONNEGATIVE: Interval = (Fraction(0), math.inf)
ZERO: Interval = (Fraction(0), Fraction(0))
THROUGH_ZERO = ("expm1", "sinh", "tanh", "arctan", "log1p")  # increasing, 0 at 0: they keep a sign
RANGE: Mapping[str, Interval] = MappingProxyType(
    {name: NONNEGATIVE for name in ("exp", "softplus", "relu", "abs", "cosh")}
    | {name: (Fraction(0), Fraction(1)) for name in ("sigmoid", "step", "less", "less_equal", "equal")}
    | {name: (Fraction(-1), Fraction(1)) for name in ("sin", "cos", "sign")}
)
MOST_POWER = 8  # beyond it only the sign is kept, so that exact ends stay small


def point(value: int | Fraction) -> Interval:
    """One number."""
    return Fraction(value), Fraction(value)


def of_number(e: Expr) -> Interval:
    """A number of a body; an irrational one lies between two neighbouring floats."""
    if e.is_Rational:
        return point(Fraction(int(e.p), int(e.q)))
    value = float(e) if e.is_extended_real else math.nan
    if not math.isfinite(value):
        return EVERYTHING
    if e.is_Float:
        return point(Fraction(value))
    return Fraction(math.nextafter(value, -math.inf)), Fraction(math.nextafter(value, math.inf))


def of_domain(d: Domain) -> Interval:
    """What a declaration says of every entry."""
    if d.values:
        return _end(min(d.values)), _end(max(d.values))
    low = 0.0 if d.lower is None and d.kind == "label" else d.lower
    return (-math.inf if low is None else _end(low)), (math.inf if d.upper is None else _end(d.upper))


def _end(value: float) -> End:
    return Fraction(value) if math.isfinite(value) else float(value)


def plus(a: Interval, b: Interval) -> Interval:
    """Sums of one of each."""
    return _plus(a[0], b[0]), _plus(a[1], b[1])


def _plus(x: End, y: End) -> End:
    return x if isinstance(x, float) else y if isinstance(y, float) else x + y


def times(a: Interval, b: Interval) -> Interval:
    """Products of one of each."""
    corners = [_times(x, y) for x in a for y in b]
    return min(corners), max(corners)


def _times(x: End, y: End) -> End:
    if x == 0 or y == 0:
        return Fraction(0)
    if isinstance(x, float) or isinstance(y, float):
        return math.inf if (x > 0) == (y > 0) else -math.inf
    return x * y


def power(a: Interval, exponent: Expr) -> Interval:
    """Powers of a number exponent, where they are real."""
    if not exponent.is_Integer or abs(int(exponent)) > MOST_POWER or exponent < 0:
        even = exponent.is_Integer and int(exponent) % 2 == 0
        return NONNEGATIVE if even or a[0] >= 0 or not exponent.is_Integer else EVERYTHING
    p = int(exponent)
    ends = sorted((a[0] ** p, a[1] ** p))
    return (Fraction(0), ends[1]) if p % 2 == 0 and a[0] < 0 < a[1] else (ends[0], ends[1])


def many(a: Interval) -> Interval:
    """Sums of any number of terms, none included."""
    return (Fraction(0) if a[0] >= 0 else -math.inf), (Fraction(0) if a[1] <= 0 else math.inf)


def of_function(name: str, args: Sequence[Interval]) -> Interval:
    """The values of a function of ir/functions.py, from the intervals of its arguments."""
    low, high = args[0]
    if name in ("max", "min"):
        choose = max if name == "max" else min
        return choose(a[0] for a in args), choose(a[1] for a in args)
    if name == "cosh":
        return Fraction(1), math.inf
    if name == "tanh":
        return Fraction(0 if low >= 0 else -1), Fraction(0 if high <= 0 else 1)
    if name in THROUGH_ZERO:
        return (Fraction(0) if low >= 0 else -math.inf), (Fraction(0) if high <= 0 else math.inf)
    if name == "log":
        return (Fraction(0) if low >= 1 else -math.inf), (Fraction(0) if high <= 1 else math.inf)
    return RANGE.get(name, EVERYTHING)

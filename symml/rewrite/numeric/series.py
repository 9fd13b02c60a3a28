"""Taylor series where what is left still cancels near 0: x - sin x, (1 - cos x)/x^2, log(1 + x) - x.

An expression of one quantity u is tried in float64 at small u against the mpmath values of its functions; where it loses
digits or has no value, the coefficients of its series come from Cauchy's integral over a circle at many digits, and the
series stands for it inside half that circle:

    x - sin x   ->   select([|x| < 1], x^3 (1/6 - x^2/120 + ...), x - sin x)
"""

from __future__ import annotations

import mpmath
import numpy as np
import sympy
from sympy import Expr, Float, Integer

from symml.ir.functions import BY_CLASS, FUNCTIONS, absolute, less, select

ANALYTIC = frozenset(
    ("exp", "log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan", "sigmoid", "softplus")
)
POINTS = 256  # on the circle
DIGITS = 60
RADII = (2.0, 1.5, 1.0, 0.75, 0.5)  # of the circle; the series stands for the expression inside half of it
MOST_COEFFICIENTS = 44
LOST = 16.0  # units in the last place
TRIED = tuple(s * 10.0**-k for k in (0.31, 1, 2, 4, 7, 11, 30, 160) for s in (1, -1))
MOST_OPERATIONS = 40


def near_zero(e: Expr) -> Expr:
    """The expression with series for the largest parts that need them."""
    if e.is_Atom or not e.args or isinstance(e, select):
        return e
    found = _series(e)
    if found is not None:
        return found
    if e.is_Add and (found := _of_one_symbol(e)) is not None:
        return found
    args = [near_zero(a) for a in e.args]
    return e if all(a is b for a, b in zip(args, e.args, strict=True)) else e.func(*args)


def _of_one_symbol(e: Expr) -> Expr | None:
    """A sum whose terms in one symbol, with its number, need a series: exp(x) - 1 - x beside y^2."""
    number, *_ = e.as_coeff_Add()
    for x in sorted(e.free_symbols, key=str):
        mine = [t for t in e.args if t.free_symbols == {x}]
        others = [t for t in e.args if x not in t.free_symbols and t != number]
        if mine and others and len(mine) + len(others) + (number != 0) == len(e.args):
            found = _series(sympy.Add(number, *mine))
            if found is not None:
                return found + near_zero(sympy.Add(*others))
    return None


def _series(e: Expr) -> Expr | None:
    """The guarded series of a sum or product of one quantity, if it needs one and has one."""
    if not (e.is_Add or e.is_Mul) or e.count_ops() > MOST_OPERATIONS:
        return None
    factor, core = (e, Integer(1)) if e.is_Add else _constant_apart(e)
    body = e if e.is_Add else core
    scale = Integer(1) if e.is_Add else factor
    u, of_u = _quantity(body)
    if of_u is None or not _needs(of_u):
        return None
    for radius in RADII:
        polynomial = _polynomial(of_u, radius)
        if polynomial is not None:
            inside = _horner(polynomial, u)
            return scale * select(less(absolute(u), Float(radius / 2)), inside, body)
    return None


W = sympy.Symbol("w", real=True)


def _constant_apart(e: Expr) -> tuple[Expr, Expr]:
    """A product as (factors without functions of symbols that others have, the rest): numbers only."""
    c, rest = e.as_coeff_Mul()
    return c, rest


def _quantity(e: Expr) -> tuple[Expr, Expr | None]:
    """(u, f) with e = f(W) at W = u, where e is analytic in one quantity; f is None where it is not."""
    calls = [f for f in e.atoms(sympy.Function) if f.func in BY_CLASS]
    if not calls or any(BY_CLASS[f.func] not in ANALYTIC for f in calls):
        return e, None
    symbols = e.free_symbols
    candidates = list(symbols) if len(symbols) == 1 else sorted({f.args[0] for f in calls}, key=lambda a: a.count_ops())
    for u in candidates:
        _, plain = u.as_coeff_Mul()
        of_u = e.xreplace({plain: W}) if plain.is_Symbol else e.subs(plain, W)
        if of_u.free_symbols == {W}:
            return plain, of_u
    return e, None


def _value(e: Expr, at: mpmath.mpc) -> mpmath.mpc:
    """An expression of W in mpmath, at the working precision."""
    if e == W:
        return at
    if e.is_Rational:
        return mpmath.mpf(e.p) / e.q
    if e.is_Number or e.is_NumberSymbol:
        return mpmath.mpf(e.evalf(DIGITS + 5))
    args = [_value(a, at) for a in e.args]
    if e.is_Add:
        return mpmath.fsum(args)
    if e.is_Mul:
        return mpmath.fprod(args)
    if e.is_Pow:
        return mpmath.power(*args)
    return FUNCTIONS[BY_CLASS[e.func]].mpmath(*args)


def _double(e: Expr, at: np.ndarray) -> np.ndarray:
    if e == W:
        return at
    if e.is_number:
        return np.full_like(at, float(e))
    args = [_double(a, at) for a in e.args]
    if e.is_Add:
        return np.sum(args, axis=0)
    if e.is_Mul:
        return np.prod(args, axis=0)
    return np.power(*args) if e.is_Pow else FUNCTIONS[BY_CLASS[e.func]].numpy(*args)


def _needs(of_u: Expr) -> bool:
    """Does the expression lose digits, or have no value, near 0?"""
    at = np.array(TRIED)
    with np.errstate(all="ignore"):
        values = _double(of_u, at)
    for v, x in zip(values, TRIED, strict=True):
        try:
            with mpmath.workdps(6 * 170):
                truth = _value(of_u, mpmath.mpf(x))
                if mpmath.im(truth) or not mpmath.isfinite(truth) or abs(truth) < 1e-300 or abs(truth) > 1e300:
                    continue
                if not np.isfinite(v) or abs(mpmath.mpf(float(v)) - truth) > LOST * 2.0**-52 * abs(truth):
                    return True
        except (ZeroDivisionError, ValueError):
            continue
    return False


def _polynomial(of_u: Expr, radius: float) -> list[float] | None:
    """The coefficients, as many as float64 needs inside half the circle; None where no series converges there."""
    with mpmath.workdps(DIGITS):
        turns = [mpmath.expjpi(mpmath.mpf(2 * k) / POINTS) for k in range(POINTS)]
        try:
            values = [_value(of_u, radius * t) for t in turns]
        except (ZeroDivisionError, ValueError):
            return None
        if not all(mpmath.isfinite(v) for v in values):
            return None

        def coefficient(n: int) -> mpmath.mpf:
            """radius^n times the coefficient of u^n; POINTS - n stands for the one of u^-n too."""
            return mpmath.fsum(v * turns[-n * k % POINTS] for k, v in enumerate(values)).real / POINTS

        found = [coefficient(n) for n in range(MOST_COEFFICIENTS + 1)]
        size = max(map(abs, found))
        tiny = size * mpmath.mpf(10) ** -30
        if size == 0 or any(abs(coefficient(POINTS - n)) > tiny for n in (1, 2, 3, 4)):
            return None  # a pole inside
        if any(abs(coefficient(POINTS // 2 + n)) > size * mpmath.mpf(10) ** -18 for n in range(4)):
            return None  # the circle is too near to where the series ends to converge
        found = [c if abs(c) > size * mpmath.mpf(10) ** -45 else mpmath.mpf(0) for c in found]
        first = next(k for k, c in enumerate(found) if c)
        least = abs(found[first]) * mpmath.mpf(2) ** -first * mpmath.mpf(2) ** -58
        last = max((k for k, c in enumerate(found) if abs(c) * mpmath.mpf(2) ** -k > least), default=first)
        if last >= MOST_COEFFICIENTS:
            return None
        return [float(c / mpmath.mpf(radius) ** k) for k, c in enumerate(found[: last + 1])]


def _horner(coefficients: list[float], u: Expr) -> Expr:
    """u^first times the rest by Horner's rule, in u^2 where every second coefficient is 0."""
    first = next(k for k, c in enumerate(coefficients) if c)
    rest = coefficients[first:]
    step = 2 if not any(rest[1::2]) else 1
    x, total = u**step, Integer(0)
    for c in reversed(rest[::step]):
        total = Float(c, 17) + x * total
    return u**first * total

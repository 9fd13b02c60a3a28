"""The error function, the logarithm of the gamma function and its derivatives, on real and complex arrays.

scipy's, but for what it lacks: lgamma with all bits near its zeros (DLMF 5.7.3), and the continuations of lgamma (5.11.1,
Stirling's series) and polygamma (5.15.5, 5.15.8: steps up, then its asymptotic series) for the complex step. lgamma is
log|gamma|: it has values between its poles.

    lgamma(x).diff(x)  ->  digamma(x);  erf(x).diff(x)  ->  2 exp(-x^2)/sqrt(pi)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import sympy
from sympy import Expr, Function, Integer

BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)  # B2, B4, ... B16
SLOPE_AT_2 = 1 - np.euler_gamma
ZETAS = range(2, 33)
LARGE = 12.0  # from here on the asymptotic series has all bits
MOST_STEPS = 1000  # steps up from a negative number


class erf(Function):
    """2/sqrt(pi) times the integral of exp(-t^2) from 0 to u."""

    nargs = 1
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return 2 * sympy.exp(-(self.args[0] ** 2)) / sympy.sqrt(sympy.pi)


class erfc(Function):
    """1 - erf(u), with all bits where it is small."""

    nargs = 1
    is_real = True
    is_positive = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return -2 * sympy.exp(-(self.args[0] ** 2)) / sympy.sqrt(sympy.pi)


class lgamma(Function):
    """log |gamma(u)|."""

    nargs = 1
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return digamma(self.args[0])


class digamma(Function):
    """The derivative of lgamma."""

    nargs = 1
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return trigamma(self.args[0])


class trigamma(Function):
    """The second derivative of lgamma."""

    nargs = 1
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return polygamma(Integer(2), self.args[0])


class polygamma(Function):
    """The derivative of order k + 1 of lgamma, for a whole number k from 2 on."""

    nargs = 2
    is_real = True

    def fdiff(self, argindex: int = 2) -> Expr:
        return polygamma(self.args[0] + 1, self.args[1]) if argindex == 2 else Integer(0)


def erf_values(u: np.ndarray) -> np.ndarray:
    """2/sqrt(pi) times the integral of exp(-t^2) from 0 to u."""
    from scipy.special import erf as values

    return values(u)


def erfc_values(u: np.ndarray) -> np.ndarray:
    """1 - erf(u): libm's on real numbers, of which scipy's lacks up to 8 bits."""
    from scipy.special import erfc as values

    return values(u) if np.iscomplexobj(u) else np.vectorize(math.erfc, otypes=[float])(u)


def lgamma_values(u: np.ndarray) -> np.ndarray:
    """log |gamma(u)|; on complex numbers its continuation, for the complex step."""
    u = np.asarray(u)
    if not np.iscomplexobj(u):
        far = np.vectorize(_log_gamma, otypes=[float])(u)
        return np.where((u > 0.5) & (u < 2.5), _near_2(np.clip(u, 0.5, 2.5)), far)
    with np.errstate(all="ignore"):
        x, low = _stepped_up(u, lambda x: np.log(x * x) / 2)  # of a square, so negative numbers stay on the real branch
        series = sum(b / ((2 * k + 2) * (2 * k + 1) * x ** (2 * k + 1)) for k, b in enumerate(BERNOULLI))
        return (x - 0.5) * np.log(x) - x + math.log(2 * math.pi) / 2 + series - low


def _near_2(u: np.ndarray) -> np.ndarray:
    """lgamma from 1/2 to 5/2, with all bits at its zeros 1 and 2: (1 - Euler) z + sum_k (-1)^k (zeta(k) - 1) z^k/k."""
    z = np.where(u < 1.5, u - 1, u - 2)
    total = np.zeros_like(z)
    for k, zeta in reversed(_zetas_less_1()):
        total = total * z + (-1) ** k * zeta / k
    value = z * (SLOPE_AT_2 + z * total)
    return np.where(u < 1.5, value - np.log1p(z), value)


@cache
def _zetas_less_1() -> tuple[tuple[int, float], ...]:
    """k and zeta(k) - 1."""
    with mpmath.workdps(30):
        return tuple((k, float(mpmath.zeta(k) - 1)) for k in ZETAS)


def _log_gamma(x: float) -> float:
    if math.isinf(x) or math.isnan(x):
        return math.inf if math.isinf(x) else x
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # a pole, or beyond float64
        return math.inf


def polygamma_values(order: int, u: np.ndarray) -> np.ndarray:
    """The derivative of order `order` + 1 of lgamma; on complex numbers its continuation."""
    from scipy import special

    if order == 0:
        return special.digamma(u)
    if not np.iscomplexobj(u):
        return special.polygamma(order, u)
    m, sign = order, (-1.0) ** (order + 1)
    with np.errstate(all="ignore"):
        x, low = _stepped_up(np.asarray(u), lambda x: math.factorial(m) / x ** (m + 1))
        series = sum(
            b * math.factorial(2 * k + 1 + m) / (math.factorial(2 * k + 2) * x ** (2 * k + 2 + m))
            for k, b in enumerate(BERNOULLI)
        )
        return sign * (math.factorial(m - 1) / x**m + math.factorial(m) / (2 * x ** (m + 1)) + series + low)


def _stepped_up(u: np.ndarray, term: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """x = u + k, the first that is LARGE; and the sum of `term` at u, u + 1, ... before it. Too far below 0: NaN."""
    x = np.where(np.real(u) > -MOST_STEPS, u, np.nan)
    low = np.zeros_like(x)
    while np.any(np.real(x) < LARGE):
        small = np.real(x) < LARGE
        low = low + np.where(small, term(np.where(small, x, 1.0)), 0)
        x = np.where(small, x + 1, x)
    return x, low

"""The error function, the logarithm of the gamma function and its derivatives, on real and complex arrays.

Sources: DLMF 7.6.2 (erf by a series of positive terms), 5.7.3 (lgamma near its zeros), 5.11.1 (Stirling's series), 5.15.5
and 5.15.8 (polygamma: steps up, then its asymptotic series). lgamma is log|gamma|: it has values between its poles.

    lgamma(x).diff(x)  ->  digamma(x);  erf(x).diff(x)  ->  2 exp(-x^2)/sqrt(pi)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import sympy
from sympy import Expr, Function, Integer

BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)  # B2, B4, ... B16
ZETA_LESS_1 = (
    0.6449340668482264,
    0.2020569031595943,
    0.08232323371113819,
    0.03692775514336993,
    0.01734306198444914,
    0.008349277381922827,
    0.00407735619794434,
    0.0020083928260822143,
    0.0009945751278180853,
    0.0004941886041194645,
    0.0002460865533080483,
    0.00012271334757848915,
    6.124813505870483e-05,
    3.058823630702049e-05,
    1.528225940865187e-05,
    7.637197637899763e-06,
    3.81729326499984e-06,
    1.908212716553939e-06,
    9.539620338727962e-07,
    4.769329867878064e-07,
    2.38450502727733e-07,
    1.1921992596531106e-07,
    5.960818905125948e-08,
    2.980350351465228e-08,
    1.4901554828365043e-08,
    7.45071178983543e-09,
    3.725334024788457e-09,
    1.862659723513049e-09,
    9.313274324196682e-10,
    4.656629065033784e-10,
    2.3283118336765053e-10,
)  # zeta(2) - 1, zeta(3) - 1, ...
SLOPE_AT_2 = 0.42278433509846713  # 1 - Euler's number
LARGE = 12.0  # from here on the asymptotic series has all bits
MOST_STEPS = 1000  # steps up from a negative number
ERF_TERMS = 130  # for |u| <= 6; beyond, erf is 1 in all bits


class erf(Function):
    """2/sqrt(pi) times the integral of exp(-t^2) from 0 to u."""

    nargs = 1
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return 2 * sympy.exp(-(self.args[0] ** 2)) / sympy.sqrt(sympy.pi)


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
    """2/sqrt(pi) exp(-u^2) sum_k 2^k u^(2k+1)/(1 3 5 ... (2k+1)): all terms of one sign where u is real."""
    u = np.asarray(u)
    if not np.iscomplexobj(u):
        return np.vectorize(math.erf, otypes=[float])(u)
    inside = np.where(np.abs(u) <= 6, u, 0)
    term, total = inside, inside
    for k in range(1, ERF_TERMS):
        term = term * (2 * inside**2 / (2 * k + 1))
        total = total + term
    near = 2 / math.sqrt(math.pi) * np.exp(-(inside**2)) * total
    return np.where(np.isnan(u), u, np.where(np.abs(u) <= 6, near, np.sign(np.real(u))))


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
    for k in range(len(ZETA_LESS_1) + 1, 1, -1):
        total = total * z + (-1) ** k * ZETA_LESS_1[k - 2] / k
    value = z * (SLOPE_AT_2 + z * total)
    return np.where(u < 1.5, value - np.log1p(z), value)


def _digamma_near_2(u: np.ndarray) -> np.ndarray:
    """digamma from 1.4 to 2.6, around its zero: the derivative of that series."""
    z, total = u - 2, 0 * u
    for k in range(len(ZETA_LESS_1) + 1, 1, -1):
        total = total * z + (-1) ** k * ZETA_LESS_1[k - 2]
    return SLOPE_AT_2 + z * total


def _log_gamma(x: float) -> float:
    if math.isinf(x) or math.isnan(x):
        return math.inf if math.isinf(x) else x
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # a pole, or beyond float64
        return math.inf


def polygamma_values(order: int, u: np.ndarray) -> np.ndarray:
    """The derivative of order `order` + 1 of lgamma."""
    m, sign, u = order, (-1.0) ** (order + 1), np.asarray(u) * 1.0
    with np.errstate(all="ignore"):
        x, low = _stepped_up(u, lambda x: math.factorial(m) / x ** (m + 1))
        head = -np.log(x) if m == 0 else math.factorial(m - 1) / x**m
        series = sum(
            b * math.factorial(2 * k + 1 + m) / (math.factorial(2 * k + 2) * x ** (2 * k + 2 + m))
            for k, b in enumerate(BERNOULLI)
        )
        found = sign * (head + math.factorial(m) / (2 * x ** (m + 1)) + series + low)
        near = (np.real(u) > 1.4) & (np.real(u) < 2.6)
        return np.where(near, _digamma_near_2(np.where(near, u, 2.0)), found) if m == 0 else found


def _stepped_up(u: np.ndarray, term: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """x = u + k, the first that is LARGE; and the sum of `term` at u, u + 1, ... before it. Too far below 0: NaN."""
    x = np.where(np.real(u) > -MOST_STEPS, u, np.nan)
    low = np.zeros_like(x)
    while np.any(np.real(x) < LARGE):
        small = np.real(x) < LARGE
        low = low + np.where(small, term(np.where(small, x, 1.0)), 0)
        x = np.where(small, x + 1, x)
    return x, low

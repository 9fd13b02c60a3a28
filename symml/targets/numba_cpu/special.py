"""Functions of one number that are reckoned by loops, in double precision: erf, lgamma and its derivatives, each as NAME_f64
and NAME_f32. What they are and where from is told in ir/special.py; emitted modules hold those that they use.
"""

import math

import numpy as np
from numba import njit

F = np.float32
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
)
SLOPE_AT_2 = 0.42278433509846713


@njit(error_model="numpy")
def erf_f64(u):
    """erf(u)"""
    return math.erf(u)


@njit(error_model="numpy")
def erfc_f64(u):
    """1 - erf(u)"""
    return math.erfc(u)


@njit(error_model="numpy")
def lgamma_f64(u):
    """log |gamma(u)|"""
    if u > 0.5 and u < 2.5:
        z = u - 1.0 if u < 1.5 else u - 2.0
        total = 0.0
        for k in range(len(ZETA_LESS_1) + 1, 1, -1):
            total = total * z + (1.0 if k % 2 == 0 else -1.0) * ZETA_LESS_1[k - 2] / k
        value = z * (SLOPE_AT_2 + z * total)
        return value - math.log1p(z) if u < 1.5 else value
    return math.inf if u <= 0.0 and u == math.floor(u) else math.lgamma(u)


@njit(error_model="numpy")
def polygamma_f64(k, u):
    """The derivative of order k + 1 of lgamma: steps up to 12, then the asymptotic series."""
    m = int(k)
    if not u > -1000.0:
        return math.nan
    if m == 0 and u > 1.4 and u < 2.6:
        slope, z = 0.0, u - 2.0
        for j in range(len(ZETA_LESS_1) + 1, 1, -1):
            slope = slope * z + (1.0 if j % 2 == 0 else -1.0) * ZETA_LESS_1[j - 2]
        return SLOPE_AT_2 + z * slope
    whole = 1.0  # m!
    for j in range(2, m + 1):
        whole *= j
    x, low = u, 0.0
    while x < 12.0:
        low += whole / x ** (m + 1)
        x += 1.0
    total = -math.log(x) if m == 0 else whole / m / x**m
    total += whole / (2.0 * x ** (m + 1)) + low
    numbers = (1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0, -691.0 / 2730.0, 7.0 / 6.0, -3617.0 / 510.0)
    power = 1.0 / x ** (m + 2)
    for j in range(8):
        rising = 1.0 / (2 * j + 2)  # (2j + 1 + m)!/(2j + 2)!
        for i in range(1, m):
            rising *= 2 * j + 2 + i
        if m > 0:
            rising *= 2 * j + 2
        total += numbers[j] * rising * power
        power /= x * x
    return total if m % 2 == 1 else -total


@njit(error_model="numpy")
def digamma_f64(u):
    """The derivative of lgamma."""
    return polygamma_f64(0, u)


@njit(error_model="numpy")
def trigamma_f64(u):
    """The second derivative of lgamma."""
    return polygamma_f64(1, u)


@njit(error_model="numpy")
def erf_f32(u):
    """erf(u)"""
    return F(erf_f64(float(u)))


@njit(error_model="numpy")
def erfc_f32(u):
    """1 - erf(u)"""
    return F(erfc_f64(float(u)))


@njit(error_model="numpy")
def lgamma_f32(u):
    """log |gamma(u)|"""
    return F(lgamma_f64(float(u)))


@njit(error_model="numpy")
def polygamma_f32(k, u):
    """The derivative of order k + 1 of lgamma."""
    return F(polygamma_f64(float(k), float(u)))


@njit(error_model="numpy")
def digamma_f32(u):
    """The derivative of lgamma."""
    return F(polygamma_f64(0, float(u)))


@njit(error_model="numpy")
def trigamma_f32(u):
    """The second derivative of lgamma."""
    return F(polygamma_f64(1, float(u)))

"""erf, lgamma and its derivatives: kernels and interpreter against mpmath, and a page that needs them."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from symml import pipeline
from symml.errors import SymmlErrors
from symml.ir import special
from symml.ir.functions import FUNCTIONS
from symml.proof.high_precision import ulps
from symml.source import Source
from symml.targets.numba_cpu import primitives
from symml.targets.numba_cpu import special as kernels
from tests.check import analysis, check_derivative

X = np.array([1e-3, 0.3, 0.9, 1.0001, 1.5, 1.7, 1.99, 2.4, 3.3, 11.0, 50.0, 1e4, -0.3, -2.7])
TRUTH = {
    "erf": mpmath.erf,
    "lgamma": lambda u: mpmath.re(mpmath.loggamma(u)),
    "digamma": mpmath.digamma,
    "trigamma": lambda u: mpmath.polygamma(1, u),
}
VALUES = {
    "erf": special.erf_values,
    "lgamma": special.lgamma_values,
    "digamma": lambda u: special.polygamma_values(0, u),
    "trigamma": lambda u: special.polygamma_values(1, u),
}


@pytest.mark.parametrize("name", TRUTH)
def test_values(name):
    truth = np.array([float(TRUTH[name](x)) for x in X])
    kernel = getattr(kernels, f"{name}_f64")
    for found in (VALUES[name](X), np.array([kernel(x) for x in X])):
        assert np.max(np.abs(found / truth - 1)[X > 0]) < 2e-15
        assert np.max(np.abs(found - truth)[X < 0]) < 2e-15 * np.max(np.abs(truth[X < 0]))
    single = getattr(kernels, f"{name}_f32")
    assert (
        np.max(np.abs(np.array([single(np.float32(x)) for x in X[:10]]) / truth[:10] - 1)) < 5e-4
    )  # x itself is rounded


def test_the_complement_of_the_error_function_in_its_tail():
    x = np.linspace(-6, 26, 200)
    truth = np.array([mpmath.erfc(mpmath.mpf(v)) for v in x])
    for found in (special.erfc_values(x), np.array([kernels.erfc_f64(v) for v in x])):
        assert ulps(found, truth).max() < 4
    assert ulps(1 - special.erf_values(x), truth)[x > 5].min() > 1e3, "the control"
    slope = special.erfc_values(x + 1e-30j).imag / 1e-30
    assert np.max(np.abs(slope + 2 / np.sqrt(np.pi) * np.exp(-(x**2)))) < 1e-13


def test_what_a_sum_leaves_out():
    rng = np.random.default_rng(2)
    a, b = (rng.normal(size=500) * 10.0 ** rng.uniform(-20, 20, 500) for _ in range(2))
    value = FUNCTIONS["lost"].numpy(a, b)
    assert all(Fraction(x) + Fraction(y) == Fraction(x + y) + Fraction(v) for x, y, v in zip(a, b, value, strict=True))
    np.testing.assert_array_equal([primitives.lost_f64(x, y) for x, y in zip(a, b, strict=True)], value)
    single = a[:9].astype(np.float32), b[:9].astype(np.float32)
    for x, y in zip(*single, strict=True):
        assert Fraction(float(x)) + Fraction(float(y)) == Fraction(float(x + y)) + Fraction(
            float(primitives.lost_f32(x, y))
        )


def test_higher_orders_and_ends():
    for order in (2, 3, 4):
        truth = np.array([float(mpmath.polygamma(order, x)) for x in X])
        for found in (special.polygamma_values(order, X), np.array([kernels.polygamma_f64(order, x) for x in X])):
            assert np.max(np.abs(found / truth - 1)) < 1e-14
    assert special.lgamma_values(np.array([0.0, -3.0, np.inf])).tolist() == [np.inf] * 3
    assert kernels.lgamma_f64(-3.0) == np.inf and np.isnan(kernels.digamma_f64(np.nan))


@pytest.mark.parametrize("name", ["erf", "lgamma"])
def test_the_complex_step(name):
    """The imaginary part is the derivative: the oracle of the gradients."""
    slope = {"erf": lambda u: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-(u**2)), "lgamma": mpmath.digamma}[name]
    x = np.linspace(0.1, 5, 40)
    truth = np.array([float(slope(u)) for u in x])
    assert np.max(np.abs(VALUES[name](x + 1e-30j).imag / 1e-30 - truth)) < 1e-13


def test_a_negative_binomial_regression():
    check_derivative(
        analysis(
            "dims n, d\ndata X[n, d], y[n] > 0\nparam w[d], r > 0\nm = exp(X w)\n"
            "minimize over w, r  -sum[i] (lgamma(y[i] + r) - lgamma(r) + r log(r/(r + m[i])) + erf(y[i] r) log(m[i]))"
        )
    )


def test_a_name_that_is_no_function():
    with pytest.raises(SymmlErrors, match=r"fix: exp\(lgamma\(x\)\)"):
        analysis("param a\nminimize over a  gamma(a)")


def test_the_numerics_of_an_error_function_are_told_in_time():
    """erf far from 0 has thousands of terms at the bits that other functions ask for; so those bits are not asked of it."""
    (row,) = pipeline.numerics(Source("e", "log(1 + erf(b))"), True)
    assert "log(erfc(-b))" in row["rewritten"]
    assert row["bits"]["rewritten"]["largest"] < 4 < row["bits"]["naive"]["mean"]

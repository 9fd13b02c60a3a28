"""Primitives: units in the last place over bit patterns, special values, vectorised code, and that the check can fail."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from symml.targets.numba_cpu import primitives

RNG = np.random.default_rng(1)
TRUTH = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "tanh": np.tanh,
    "sigmoid": lambda u: np.where(u >= 0, 1, np.exp(-np.abs(u))) / (1 + np.exp(-np.abs(u))),
    "softplus": lambda u: np.maximum(u, 0) + np.log1p(np.exp(-np.abs(u))),
}
BOUND = {"sigmoid": 4.0, "softplus": 4.0}
TYPES = {"f64": (np.float64, np.int64), "f32": (np.float32, np.int32)}


def inputs(name, dtype, integer):
    """Uniform in bit pattern, and where functions live."""
    bits = RNG.integers(np.iinfo(integer).min, np.iinfo(integer).max, 60_000, dtype=integer)
    x = np.concatenate([bits.view(dtype), *(RNG.normal(size=20_000).astype(dtype) * s for s in (1e-3, 1, 30))])
    x = x[np.isfinite(x)]
    return {"log": np.abs(x), "log1p": x[x > -1]}.get(name, x)


def ulps(value, truth, dtype):
    rounded = truth.astype(dtype)
    usable = np.isfinite(rounded) & (np.abs(rounded) >= np.finfo(dtype).tiny)
    error = np.abs(value.astype(np.longdouble) - truth) / np.spacing(np.abs(rounded)).astype(np.longdouble)
    return float(np.max(np.where(usable, error, 0)))


def loop(function):
    @njit(error_model="numpy", fastmath={"reassoc", "contract"})
    def run(x, out):
        for i in range(x.shape[0]):
            out[i] = function(x[i])

    return run


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_accuracy_and_vector_code(name, suffix):
    dtype, integer = TYPES[suffix]
    x = inputs(name, dtype, integer)
    out = np.empty_like(x)
    run = loop(getattr(primitives, f"{name}_{suffix}"))
    run(x, out)
    assert ulps(out, TRUTH[name](x.astype(np.longdouble)), dtype) <= BOUND.get(name, 2.5)
    special = np.array([0, np.inf, -np.inf, np.nan], dtype)
    special = special[[0, 1, 3]] if name.startswith("log") else special
    got = np.empty_like(special)
    run(special, got)
    np.testing.assert_array_equal(got, TRUTH[name](special).astype(dtype))
    (assembly,) = run.inspect_asm().values()
    assert any(word in assembly for word in ("ymm", "zmm", ".2d", ".4s")), "the loop was not vectorised"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_worse_polynomial_fails():
    x = RNG.normal(size=1000)
    assert ulps(np.float64(1) + x + x**2 / 2, np.exp(x.astype(np.longdouble)), np.float64) > 1e6


def test_simple_ones():
    nan, inf = np.nan, np.inf
    assert [primitives.relu_f64(v) for v in (-1.0, 0.0, 2.0, inf)] == [0, 0, 2, inf] and np.isnan(
        primitives.relu_f64(nan)
    )
    assert [primitives.step_f64(v) for v in (-1.0, 0.0, 2.0)] == [0, 0, 1]
    assert [primitives.sign_f64(v) for v in (-3.0, 0.0, 2.0)] == [-1, 0, 1]
    assert primitives.maximum_f64(1.0, 2.0) == 2 and np.isnan(primitives.maximum_f64(nan, 2.0))
    assert primitives.minimum_f64(1.0, 2.0) == 1 and np.isnan(primitives.minimum_f64(2.0, nan))

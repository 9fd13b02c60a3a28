"""The optimiser pages against numpy statements of the papers' updates, over 200 steps."""

from __future__ import annotations

import numpy as np
import pytest
from check import page

from symml import assemble, pipeline

RNG = np.random.default_rng(4)
X = RNG.normal(size=(40, 3))
Y = X @ [1.0, -2, 0.5] + 0.1 * RNG.normal(size=40)


def gradient(w):
    return 2 / 40 * X.T @ (X @ w - Y)


def sgd(steps, lr=0.05):
    w = np.zeros(3)
    for _ in range(steps):
        w = w - lr * gradient(w)
    return w


def momentum(steps, lr=0.02, mu=0.8):
    w, v = np.zeros(3), np.zeros(3)
    for _ in range(steps):
        v = mu * v + gradient(w)
        w = w - lr * v
    return w


def adam(steps, lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8):
    w, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    for t in range(1, steps + 1):
        g = gradient(w)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return w


@pytest.mark.parametrize(
    "method, truth",
    [("sgd(lr = 0.05, ", sgd), ("momentum(lr = 0.02, mu = 0.8, ", momentum), ("adam(lr = 0.01, ", adam)],
)
@pytest.mark.parametrize("dtype, bound", [("float64", 1e-10), ("float32", 1e-4)])
def test_update_is_the_papers(method, truth, dtype, bound):
    body = f"dims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize 1/n ||X w - y||^2\ntrain with {method}batch = 40, epochs = 200)"
    fit = pipeline.train(page(body), pipeline.Options(dtype=dtype), {"X": X, "y": Y}, 0)
    np.testing.assert_allclose(fit.params["w"], truth(200), rtol=bound)


def test_the_comparison_can_fail():
    assert np.abs(adam(200) - adam(200, beta2=0.99)).max() > 1e-4


def test_unknown_options_are_refused():
    with pytest.raises(Exception, match="no option 'beta'"):
        assemble.plan(
            pipeline.analyse(page("dims n\ndata x[n]\nparam m\nminimize sum[i] (x[i] - m)^2\ntrain with sgd(beta = 1)"))
        )

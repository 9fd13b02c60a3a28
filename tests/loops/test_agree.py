"""Targets agree: interpreter, loop programs, compiled CPU, standalone module."""

from __future__ import annotations

import numpy as np
import pytest
from check import EXAMPLES, NAMES, analysis, check_agree, check_loops

from symml import pipeline

RNG = np.random.default_rng(5)
X = RNG.normal(size=(60, 4))
NOISE = np.random.default_rng(1).normal(size=40) / 2  # with it two points stand on the margin, and b is unique
LABELS = RNG.integers(0, 3, 60)
EDGES = [[0, 1], [1, 2], [2, 3], [3, 0], [1, 4], [4, 5], [5, 2]]
KARATE = {"G": np.array(EDGES), "y": [0, 1, 0, 1, 0, 1], "labelled": np.array([1, 0, 1, 1, 0, 1])}
DATA = {
    "linear_regression": {"X": X, "y": X @ [1.0, 2, 3, 4] + RNG.normal(size=60)},
    "ridge": {"X": X, "y": X @ [1.0, 2, 3, 4] + RNG.normal(size=60)},
    "logistic_regression": {"X": X, "y": (X[:, 0] + RNG.normal(size=60) > 0).astype(float)},
    "softmax_regression": {"X": X, "y": LABELS},
    "mnist": {"X": np.abs(100 * X), "y": LABELS},
    "mlp": {"X": X, "y": LABELS},
    "appnp": {**KARATE, "X": X[:6]},
    "svm": {"X": X[:40], "y": (X[:40, 0] + X[:40, 1] + NOISE > 0).astype(float)},
    "svm_dual": {"X": X[:20], "y": (X[:20, 0] + X[:20, 1] > 0).astype(float)},
    "portfolio": {"R": 0.1 + 0.2 * X[:19]},
    "group_lasso": {"X": X[:20], "y": 20 * X[:20] @ [1.0, -2, 3, 0]},
    "curve_fit": {"t": X[:30, 0], "y": 300 + X[:30, 1]},
    "adam": {"X": X, "y": (X[:, 0] + RNG.normal(size=60) > 0).astype(float)},
    "weight_decay": {"X": X, "y": (X[:, 0] > 0).astype(float)},
    "newton": {"X": X, "y": np.floor(20 + 5 * X[:, 0] + 3 * X[:, 1])},
    "implicit": {},
    "taylor": {},
    "total": {},
    "gauss_newton": {"income": 400 + 100 * np.abs(X[:, 0]), "food": 300 + 50 * np.abs(X[:, 0]) + 5 * X[:, 1]},
    "filament": {"temperature": 1 + np.abs(X[:, 0]), "energy": (1 + np.abs(X[:, 0])) ** 3 + 0.1 * X[:, 1]},
    "graphical_lasso": {"X": X[:20, :3]},
    "conv1d": {"x": X[:40, 0]},
    "gaussian_mle": {"X": X},
    "gcn": {**KARATE, "X": X[:6]},
    "hmm": {"obs": RNG.integers(0, 4, 30)},
    "k_means": {"X": X},
    "lasso": {"X": X, "y": 20 * X @ [1.0, -2, 3, 0] + RNG.normal(size=60)},
    "elastic_net": {"X": X, "y": X @ [1.0, -2, 3, 0] + RNG.normal(size=60)},
    "interactions": {"X": X, "y": 100 * X[:, 0] * X[:, 1] + RNG.normal(size=60)},
    "longley": {"X": X, "y": X[:, 0] + RNG.normal(size=60)},
    "max_entropy": {},
    "nnls": {"X": X, "y": X @ [1.0, -2, 3, 0] + RNG.normal(size=60)},
    "gradient_descent": {"X": X, "y": X @ [1.0, -2, 3, 0] + RNG.normal(size=60)},
    "pca": {"X": X},
    "rosenbrock": {},
    "matrix_factorisation": {"R": X[:12], "seen": RNG.integers(0, 2, (12, 4))},
    "rnn": {"x": X[:20, 0]},
    "trimmed_regression": {"X": RNG.normal(size=(310, 2)), "y": RNG.normal(size=310)},
    "variational": {"X": X, "y": X[:, 0] + RNG.normal(size=60)},
}


def test_every_example_has_small_data():
    assert set(DATA) == set(NAMES)


# Compiling takes most of the time: the ordinary run has one of each kind, `-m full` all.
ORDINARY = ("ridge", "logistic_regression", "mlp", "rnn")


@pytest.mark.parametrize("name", [n if n in ORDINARY else pytest.param(n, marks=pytest.mark.full) for n in NAMES])
def test_targets_agree(name):
    check_agree(pipeline.read(EXAMPLES / f"{name}.symml"), DATA[name])


@pytest.mark.parametrize("name", NAMES)
def test_schedules_agree(name):
    check_loops(pipeline.analyse(pipeline.read(EXAMPLES / f"{name}.symml")).derivative)


PAGES = {
    "row_vector_bias": "dims n, d, k\ndata X[n, d], Y[n, k]\nparam W[d, k], b[k]\nminimize 1/n ||X W + b - Y||^2",
    "scatter_only": "dims n, c\ndata y[n] in c, x[n]\nparam v[c]\nminimize 1/n sum[i] (v[y[i]] - x[i])^2",
    "max_over_index": "dims n, k = 3\ndata x[n]\nparam m[k]\nminimize sum[i] min[j] (x[i] - m[j])^2",
    "guard": "dims n\ndata x[n]\nparam m\nminimize sum[i where x[i] > 0] (x[i] - m)^2",
    "product": "dims n\ndata x[n]\nparam a\nminimize prod[i] (1 + a^2 x[i]^2 / 10)",
    "tests": "dims n\ndata x[n]\nparam a\nminimize sum[i] ([x[i] > 0] a + [x[i] <= 0] a^2 - x[i])^2",
    "functions": "dims n\ndata x[n]\nparam a\nu[i] = tanh(a x[i]) + relu(a + x[i])\n"
    "minimize sum[i] (u[i] + abs(a - x[i]) + a sin x[i] + max(a, x[i]))",
}


@pytest.mark.parametrize("name", PAGES)
def test_every_kind_of_statement(name):
    a = analysis(PAGES[name])
    check_loops(a.derivative)
    from symml.proof.complex_step import check_gradient

    for t in a.model.over:
        assert check_gradient(a.raw, a.derivative, "loss", t).ok


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compiled_code_of_every_kind(name, dtype):
    from check import page

    source = page(PAGES[name] + "\ntrain with sgd(lr = 1e-3, batch = 100, epochs = 3)")
    text = source.text.replace("param W[d, k], b[k]", "param W[d, k] init 0.1, b[k] init 0.1")
    text = text.replace("param v[c]", "param v[c] init 0.1").replace("param m[k]", "param m[k] init normal(0, 1)")
    text = text.replace("param m\n", "param m init 0.1\n").replace("param a\n", "param a init 0.3\n")
    source = type(source)("page.symml", text)
    data = {"X": X, "Y": X[:, :2], "y": LABELS, "x": X[:, 0] / 3}
    wanted = {d: data[d] for d in pipeline.load(source)[0].data}
    fits = [pipeline.train(source, pipeline.Options(target=t, dtype=dtype), wanted, 0) for t in ("reference", "cpu")]
    np.testing.assert_allclose(
        fits[1].x, fits[0].x, rtol=1e-10 if dtype == "float64" else 2e-5, atol=1e-7 * (dtype == "float32")
    )

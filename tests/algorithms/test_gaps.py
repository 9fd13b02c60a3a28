"""The duality gap that is measured while a problem is solved: it bounds what is left, closes, and stops a run where asked."""

from __future__ import annotations

import numpy as np
import pytest

from symml import pipeline
from symml.errors import SymmlError
from symml.runtime.nearby import nearby, one_sided
from symml.runtime.solving_bounds import between_gap
from symml.source import Source

REFERENCE = pipeline.Options(target="reference")
HEAD = "dims n, d\ndata X[n, d], y[n]\nparam w[d]\n"
X, Y = np.random.default_rng(0).normal(size=(12, 4)), np.random.default_rng(1).normal(size=12)
CONVEX = {
    "a simplex": "minimize over w  ||X w - y||^2  subject to  w >= 0; sum[j] w[j] = 1",
    "absolute values of residuals": "minimize over w  sum[i] |y[i] - X[i]' w|",
    "an entropy": "minimize over w  sum[j] w[j] log w[j]  subject to  w > 0; sum[j] w[j] = 1; w[0] - w[1] <= -1/2",
    "lasso": "minimize over w  1/2 ||X w - y||^2 + 2 ||w||_1",
    "an intercept without a penalty": "param b\nminimize over w, b  1/2 ||X w + b - y + 3||^2 + 2 ||w||_1",
    "logistic, a simplex": "minimize over w  sum[i] log(1 + exp(-X[i]' w))  subject to  w >= 0; sum[j] w[j] = 1\n"
    "train with proximal_gradient",
}
MATRIX = "dims d\ndata S[d, d]\nparam T[d, d] in psd\nminimize over T  tr(S T) - logdet(T) + 1/5 sum[i, j] |T[i, j]|"


def solved(page: str, data: dict | None = None):
    data = {"X": X, "y": Y} if data is None else data
    return pipeline.train(Source("p.symml", f"model m\n{page}\n"), REFERENCE, data, 0).outcome


@pytest.mark.parametrize("name", CONVEX)
def test_the_gap_bounds_what_is_left(name):
    found = solved(HEAD + CONVEX[name])
    left, gaps = np.abs(np.array(found["history"]) - found["loss"]), np.array(found["gaps"], float)
    assert found["status"] == "converged" and len(gaps) == len(left)
    assert 0 <= found["gap"] <= 1e-8 and found["gap"] == gaps[-1]
    assert np.all(gaps[np.isfinite(gaps)] >= (left - 1e-8)[np.isfinite(gaps)])
    assert gaps[0] > 1e-3 or not np.isfinite(gaps[0])


def test_a_gap_of_matrices():
    found = solved(MATRIX, {"S": np.cov(X.T)})
    assert found["gaps"][0] > 1 and found["gap"] <= 1e-8
    assert np.all(np.array(found["gaps"]) >= np.abs(np.array(found["history"]) - found["loss"]) - 1e-8)


@pytest.mark.parametrize("method", ["interior_point", "proximal_gradient", "coordinate_descent"])
def test_a_run_stops_where_the_page_says(method):
    page = HEAD + CONVEX["lasso"].replace("w - y", "w - y + 3") + f"\ntrain with {method}"
    whole, part = solved(page), solved(f"{page} until gap < 1e-1")
    assert part["status"] == "converged" and part["steps"] <= whole["steps"]
    assert part["gap"] <= 1e-1 and part["loss"] - whole["loss"] <= 1e-1
    assert part["steps"] < whole["steps"] or method == "coordinate_descent"


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("minimize over w  ||X w - y||^2\ntrain with lbfgs until gap < 1e-3", "measures no duality gap"),
        (
            "minimize over w  ||w||^2  subject to  X[0]' w = ||w||^2\ntrain with interior_point until gap < 1",
            "no duality",
        ),
        (CONVEX["lasso"] + "\ntrain with interior_point until gap < 0", "up to a positive number"),
        (CONVEX["lasso"] + "\ntrain with interior_point until gaps < 1", "until gap < 1e-6"),
    ],
)
def test_pages_without_a_gap(page, told):
    with pytest.raises(SymmlError, match=told):
        solved(HEAD + page)


def test_what_is_no_convex_problem_has_no_gap():
    assert "gaps" not in solved(HEAD + "minimize over w  ||X w - y||^2  subject to  ||w||^2 = 1/10")


# where the slope of the solution itself bounds nothing

LOGISTIC = "sum[i] log(1 + exp(X[i]' w)) - y' X w"
NEARBY = {
    "least squares in a corner": ("w[d] >= 0", "||X w - y||^2", "trust_region"),
    "more unknowns than rows": ("w[d] >= 0", "||X w - y||^2 + sum[j] w[j]", "lbfgs_b"),
    "from above": ("w[d] <= 0.1", LOGISTIC, "trust_region"),
    "absolute values": ("w[d]", f"{LOGISTIC} + 2 ||w||_1", "proximal_gradient"),
    "a group": ("w[d]", f"{LOGISTIC} + 2 ||w||", "proximal_gradient"),
    "an intercept without a penalty": ("w[d], b", "1/2 ||X w + b - y||^2 + 1/2 ||w||_1", "proximal_gradient"),
    "an intercept beside a corner": ("w[d] >= 0, b", "||X w + b - y||^2", "lbfgs_b"),
    "an intercept of a curved loss": (
        "w[d], b",
        f"{LOGISTIC} + sum[i] exp(b + X[i, 0])/9 - b + ||w||_1",
        "proximal_gradient",
    ),
}


@pytest.mark.parametrize("name", NEARBY)
def test_a_slope_nearby_is_a_dual_point(name):
    decl, objective, method = NEARBY[name]
    rows = 3 if name.startswith("more") else 12
    page = f"dims n, d\ndata X[n, d], y[n]\nparam {decl}\nminimize {objective}\ntrain with {method}"
    best = solved(page, {"X": X[:rows], "y": (Y[:rows] > 0) * 1.0})
    assert best["status"] == "converged" and 0 <= best["gap"] <= 1e-7
    assert best.get("gaps", [None])[0] != pytest.approx(best["history"][0])  # F >= 0 is no measure


@pytest.mark.parametrize("shift", [0.0, 1e-3, 1e-2])
def test_a_gap_is_never_less_than_what_is_left(shift):
    """At points off the solution, too: f(x) - f* by the closed form of x >= 0 with a diagonal Hessian."""
    h, c = np.array([1.0, 3.0, 0.5, 2.0]), np.array([-1.0, 1.0, -2.0, 0.3])
    low, high = np.zeros(4), np.full(4, np.inf)
    best = np.maximum(-c / h, 0.0)
    x = np.maximum(best + shift * np.array([1, 2, -1, 1]), 0.0)

    def evaluate(u):
        return float(u @ (h * u) / 2 + c @ u), h * u + c

    f, g = evaluate(x)

    def bound(there, value, slope):
        return between_gap(x, slope, low, high) + max(0.0, f - value + float(slope @ (there - x)))

    left = f - evaluate(best)[0]
    found = nearby(evaluate, x, g, one_sided(low, high, np.zeros(4)), bound, 50, np.zeros(4, bool))
    found = between_gap(x, g, low, high) if found == np.inf else found
    assert left <= found + 1e-15 and found <= 10 * left + 20 * shift + 1e-12


def test_no_slope_nearby_where_the_objective_is_no_longer_convex():
    """A control: along a direction without curvature nothing moves the slope, and nothing is claimed."""
    x, g, high = np.zeros(2), -np.ones(2), np.full(2, np.inf)
    aim = one_sided(x, high, np.zeros(2))
    free = np.zeros(2, bool)
    found = nearby(lambda u: (-np.sum(u), g), x, g, aim, lambda u, f, slope: between_gap(x, slope, x, high), 20, free)
    assert found == np.inf

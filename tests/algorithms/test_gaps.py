"""The duality gap that is measured while a problem is solved: it bounds what is left, closes, and stops a run where asked."""

from __future__ import annotations

import numpy as np
import pytest

from symml import pipeline
from symml.errors import SymmlError
from symml.source import Source

REFERENCE = pipeline.Options(target="reference")
HEAD = "dims n, d\ndata X[n, d], y[n]\nparam w[d]\n"
X, Y = np.random.default_rng(0).normal(size=(12, 4)), np.random.default_rng(1).normal(size=12)
CONVEX = {
    "a simplex": "minimize over w  ||X w - y||^2  subject to  w >= 0; sum[j] w[j] = 1",
    "absolute values of residuals": "minimize over w  sum[i] |y[i] - X[i]' w|",
    "an entropy": "minimize over w  sum[j] w[j] log w[j]  subject to  w > 0; sum[j] w[j] = 1; w[0] - w[1] <= -1/2",
    "lasso": "minimize over w  1/2 ||X w - y||^2 + 2 ||w||_1",
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

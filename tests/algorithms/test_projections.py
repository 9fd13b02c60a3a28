"""Parameters in sets that have a projection: the projections by themselves, problems in them against interior points, gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import linprog

from symml import faces, pipeline
from symml.algorithms.proximal import duality_gap, prox, residual
from symml.errors import SymmlError
from symml.runtime.solve import off_sets, sets_of
from symml.runtime.solving_bounds import between_gap
from symml.source import Source
from tests.check import check_agree

REFERENCE = pipeline.Options(target="reference")
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(12, 5)), RNG.normal(size=12)
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
PAGE = "model m\ndims m, n\ndata A[m, n], b[m], y[n]\n"
FIT = "minimize 1/2 ||A x - b||^2"
PAGES = {
    "bounds": f"param x[n] in [-0.1, 0.05]\n{FIT}\n",
    "nonnegative": f"param x[n] >= 0\n{FIT}\n",
    "simplex": f"param x[n] in simplex\n{FIT}\n",
    "entropy": f"param x[n] in simplex\n{FIT} + sum[i] x[i] log(x[i])\n",
    "ball": f"param x[n]\n{FIT}  subject to  ||x|| <= 0.1\n",
    "a sum": f"param x[n]\n{FIT}  subject to  sum[i] x[i] = 1\n",
    "a sum between bounds": f"param x[n]\n{FIT}  subject to  sum[i] x[i] = 1; -0.1 <= x <= 0.4\n",
    "multipliers of support vectors": "param x[n] in [0, 1]\nminimize 1/2 ||A x||^2 - sum[i] x[i]  subject to  y' x = 0\n",
    "absolute values above 0": f"param x[n] >= 0\n{FIT} + 0.3 sum[i] abs(x[i])\n",
    "columns": "param X[m, n]\nminimize 1/2 ||X - A||^2  subject to  sum[i] X[i, j] = 1; X >= 0\n",
}


def level(total, lower, upper, normal):
    n = len(normal)
    ends = np.concatenate([np.broadcast_to(lower, n), np.broadcast_to(upper, n)]).astype(float)
    return sets_of([(n,)], ["level"], [0], [1], np.array([total]), ends, np.array(normal, float))


def solved(page: str, options=REFERENCE):
    return pipeline.train(Source("p.symml", PAGE + page), options, {"A": A, "b": B, "y": SIGNS}, 0)


@pytest.mark.parametrize(("lower", "upper"), [(0.0, 1e300), (-0.5, 0.5), (-1e300, 1e300), (-1e300, 0.25)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_nearest_point_of_a_sum(lower, upper, weighted):
    """It is in the set, and the way back to the point makes no acute angle with any way inside."""
    rng = np.random.default_rng(3)
    for _ in range(30):
        n = int(rng.integers(2, 7))
        normal = rng.normal(size=n) if weighted else np.ones(n)
        inside = np.clip(rng.normal(size=n) * 0.4, max(lower, -3), min(upper, 3))
        sets, v = level(float(normal @ inside), lower, upper, normal), rng.normal(size=n) * 3
        x = v.copy()
        prox(x, sets, 1.0)
        assert (x >= lower).all() and (x <= upper).all() and abs(normal @ (x - inside)) <= 1e-13
        far = np.clip(inside + 0.3 * rng.normal(size=n), max(lower, -3), min(upper, 3))
        prox(far, sets, 1.0)  # another point of the set
        assert max((v - x) @ (inside - x), (v - x) @ (far - x)) <= 1e-12


def test_a_set_without_a_point_is_seen():
    sets, x = level(9.0, 0.0, 1.0, np.ones(4)), np.zeros(4)
    prox(x, sets, 1.0)
    assert off_sets(x, sets) > 0.5
    with pytest.raises(SymmlError, match="no point satisfies"):
        solved(f"param x[n] in [0, 1]\n{FIT}  subject to  sum[i] x[i] = 9\ntrain with proximal_gradient\n")


LONG = ("entropy", "columns")  # whose second derivatives take seconds


@pytest.mark.parametrize("name", [pytest.param(k, marks=pytest.mark.full) if k in LONG else k for k in PAGES])
def test_the_optimum_of_an_interior_point(name):
    ours = solved(PAGES[name] + "train with proximal_gradient\n").outcome
    theirs = solved(PAGES[name] + "train with interior_point\n").outcome
    assert ours["status"] == "converged" and ours["kkt"] <= 1e-8
    assert abs(ours["loss"] - theirs["loss"]) <= 1e-9 * max(1.0, abs(theirs["loss"]))
    if "gap" in ours:
        assert ours["gap"] >= abs(ours["loss"] - theirs["loss"]) - 1e-12
    else:
        assert name == "a sum"  # nothing bounds the slope there
    assert ours.get("multipliers", {}).keys() == theirs["multipliers"].keys()
    for key, value in theirs["multipliers"].items():
        np.testing.assert_allclose(ours["multipliers"][key], value, atol=2e-6 * max(1.0, np.max(np.abs(value))))


@pytest.mark.parametrize(("lower", "upper", "weighted"), [(0, 1e300, False), (-1, 2, False), (-1, 0.5, True)])
def test_a_gap_is_what_a_linear_program_says(lower, upper, weighted):
    """g'x less the least of g'u over the set, at any point of it."""
    rng, n = np.random.default_rng(1), 6
    normal = rng.normal(size=n) if weighted else np.ones(n)
    inside = np.clip(rng.normal(size=n), lower, min(upper, 3))
    sets, g = level(float(normal @ inside), lower, upper, normal), rng.normal(size=n)
    bounds = [(lower, None if upper > 1e299 else upper)] * n
    least = linprog(g, A_eq=normal[None], b_eq=[normal @ inside], bounds=bounds)
    if least.status == 0:
        found = duality_gap(inside, 1.0, g, sets, 2, np.zeros(n))
        assert abs(found - (g @ inside - least.fun)) <= 0.3 * abs(found) and found >= g @ inside - least.fun - 1e-12


def test_a_gap_that_is_open_away_from_the_solution():
    found = solved(PAGES["simplex"] + "train with proximal_gradient\n")
    sets = sets_of([(5,)], ["simplex"], [0], [1], np.ones(1), np.repeat([0.0, 1e300], 5), np.ones(5))
    for x in (np.full(5, 0.2), np.eye(5)[2], found.x):
        r = A @ x - B
        f, g, spare = 0.5 * r @ r, A.T @ r, np.zeros(5)
        gap, off = duality_gap(x, f, g, sets, 2, spare), f - found.outcome["loss"]
        assert off - 1e-12 <= gap and math.isfinite(gap)
        assert (gap < 1e-8) == (off < 1e-9) == (residual(x, g, sets, spare) < 1e-8)


def test_what_is_told():
    told = faces.figures(solved(PAGES["multipliers of support vectors"] + "train with proximal_gradient\n"))
    assert any("bounds and the sum of x by projection" in line for line in told)
    assert any("KKT residual" in line and "duality gap" in line for line in told)
    assert any("multiplier of y' x = 0" in line for line in told) and any("of 5 active" in line for line in told)


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (f"param x[n] in simplex\n{FIT}  subject to  A x <= 3\n", "no set that has a projection"),
        (f"param x[n] in simplex\n{FIT} + sum[i] abs(x[i])\n", "a penalty, and lies in a set"),
        (f"param x[n] >= 0\n{FIT} + max[i] x[i]\n", "kinks|no term"),
    ],
)
def test_what_has_no_projection(page, told):
    with pytest.raises(SymmlError, match=told):
        solved(page + "train with proximal_gradient\n")


def test_coordinates_between_bounds():
    page = f"param x[n] >= 0\n{FIT} + 0.3 sum[i] abs(x[i])\n"
    a, b = (solved(page + f"train with {m}\n").outcome for m in ("coordinate_descent", "proximal_gradient"))
    assert a["status"] == "converged" and abs(a["loss"] - b["loss"]) <= 1e-10


@pytest.mark.full
def test_targets_agree():
    for name in ("a sum between bounds", "columns", "absolute values above 0"):
        check_agree(
            Source("p.symml", PAGE + PAGES[name] + "train with proximal_gradient\n"), {"A": A, "b": B, "y": SIGNS}
        )


@pytest.mark.parametrize("method", ["trust_region", "lbfgs_b", "interior_point"])
def test_the_gap_of_support_vectors(method):
    """The value of the dual below that of the primal: 1/2 |w|^2 + sum of hinges, by its multipliers."""
    page = "param x[m] in [0, 1]\nv[j] = sum[i] A[i, j] x[i]\nmaximize sum[i] x[i] - 1/2 v' v\n"
    found = solved(page + f"train with {method}\n")
    w = A.T @ found.x
    primal = 0.5 * w @ w + np.maximum(0, 1 - A @ w).sum()
    dual = found.x.sum() - 0.5 * w @ w
    assert abs(found.outcome["gap"] - (primal - dual)) <= 1e-10 and found.outcome["gap"] <= 1e-7


def test_a_gap_between_bounds():
    x, g = np.array([0.5, 0.0, 1.0]), np.array([2.0, 1.0, -3.0])
    assert between_gap(x, g, np.zeros(3), np.ones(3)) == 1.0
    assert between_gap(x, -g, np.zeros(3), np.full(3, 1e300)) == math.inf


def test_numbers_whose_rounding_is_larger_than_the_sum():
    """The projection of (1e150, -1e150, 0) onto the simplex is its first corner, and no set is called empty for rounding."""
    sets, x = level(1.0, 0.0, 1e300, np.ones(3)), np.array([1e150, -1e150, 0.0])
    prox(x, sets, 1.0)
    assert x.tolist() == [1.0, 0.0, 0.0]
    sets, x = level(1.0, -1e300, 1e300, np.ones(3)), np.array([1e16, -1e16, 3.0])
    prox(x, sets, 1.0)
    assert off_sets(x, sets) < 1e-12

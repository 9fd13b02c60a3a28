"""Problems with constraints and kinks: published optima, multipliers, scipy, problems without a solution."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq, linprog, nnls
from sklearn.linear_model import Lasso

from symml import faces, pipeline
from symml.errors import NumericError, SymmlError
from symml.methods import epigraph
from symml.source import Source
from tests.check import analysis, check_agree

CASES = Path(os.environ.get("SYMML_CASES", "absent")) / "optima.json"
VALUE, KKT = 1e-6, 1e-8
REFERENCE = pipeline.Options(target="reference")

REGRESSION = "dims n, d\ndata X[n, d], y[n]\nparam w[d]\n"
BOX = "dims n\ndata Q[n, n], c[n]\nparam x[n] in [LOW, 5]\nminimize over x  1/2 x' Q x + c' x\n"
SUMMED = "dims n\ndata c[n]\nparam x[n]\nminimize over x  x' x + c' x\nsubject to sum[i] x[i] = 1"
LOGISTIC = "sum[i] log(1 + exp(-y[i] X[i]' w))\n"
PAGES = {
    "lp_1": "param x1 >= 0, x2 >= 0\nminimize over x1, x2  -4 x1 - 5 x2\nsubject to 2 x1 + x2 <= 3; x1 + 2 x2 <= 3\n",
    "lp_2": "param x1, x2\nminimize over x1, x2  x1 + 0.5 x2\nsubject to -100 <= x1 <= -10; x2 = 1\n",
    "qp_0": "param x\nminimize over x  x^2\nsubject to x >= 1\n",
    "socp_1": "param x[3], y\nminimize over x, y  3 x[0] + 2 x[1] + x[2]\n"
    "subject to x[0] + x[1] + 3 x[2] >= 1; ||x|| <= y; y <= 5\n",
    "pnorm_simplex": "dims n, d\ndata D[n, d]\nparam w[d] in simplex\nminimize over w  (sum[i] abs(D[i]' w)^2.5)^(1/2.5)\n",
    "geno_free": SUMMED + "\n",
    "geno_lb-.2": SUMMED + "; x >= -0.2; x <= 1\n",
    "geno_ub.5": SUMMED + "; x <= 0.5\n",
    "geno_qp_unc": BOX.replace("LOW", "-2"),
    "geno_qp_lb-1.2": BOX.replace("LOW", "-1.2"),
    "lasso": REGRESSION + "minimize over w  1/(2 n) ||X w - y||^2 + 0.1 sum[j] abs(w[j])\n",
    "nnls": REGRESSION.replace("w[d]", "w[d] >= 0") + "minimize over w  ||X w - y||^2\n",
    "l2_logistic": REGRESSION + "minimize over w  1/2 w' w + " + LOGISTIC,
    "l1_logistic": REGRESSION + "minimize over w  sum[j] abs(w[j]) + " + LOGISTIC,
    "svm_primal": REGRESSION + "minimize over w  1/2 w' w + sum[i] max(0, 1 - y[i] X[i]' w)\n",
    "svm_dual": "dims n, d\ndata X[n, d], y[n]\nparam a[n] in [0, 1]\nv[j] = sum[i] X[i, j] y[i] a[i]\n"
    "maximize over a  sum[i] a[i] - 1/2 v' v\n",
    "graph_lasso": "dims d\ndata S[d, d]\nparam T[d, d] in psd\n"
    "minimize over T  -logdet(T) + sum[i, j] S[i, j] T[j, i] + 0.1 sum[i, j] abs(T[i, j])\n",
}


def solved(page: str, data: dict, options: pipeline.Options = REFERENCE):
    return pipeline.train(Source("p.symml", f"model m\n{page}"), options, data, 0)


def given(case: dict) -> dict:
    data = {name: np.array(value, float) for name, value in case["data"].items()}
    return {"S": np.cov(data["X"].T)} if case["id"] == "graph_lasso" else data


@pytest.mark.skipif(not CASES.exists(), reason="the published optima are not here: set SYMML_CASES")
@pytest.mark.parametrize("name", PAGES)
def test_published_optima(name):
    case = next(c for c in json.loads(CASES.read_text()) if c["id"] == name)
    found = solved(PAGES[name], given(case))
    value = found.outcome["loss"] * (-1 if "maximize" in PAGES[name] else 1)
    truth = case["cvxpy_value"] if case["published_value"] is None else case["published_value"]
    assert found.outcome["status"] == "converged"
    assert abs(value - truth) <= VALUE * max(1.0, abs(truth)), value - truth
    if "kkt" in found.outcome:
        assert found.outcome["kkt"] <= KKT
        assert any("KKT residual" in line for line in faces.figures(found))
    for key, expected in case["duals"].items():
        ours = {"c": "c1", "eq": "c1"}.get(key, key)
        if name == "lp_2":
            ours = {"c1": "c1a", "c3": "c2"}[key]
        sign = -1 if name.startswith("geno") and expected * np.ravel(found.outcome["multipliers"][ours])[0] < 0 else 1
        if name == "socp_1":
            ours = {"c2": "c1", "c3": "c3"}[key]
        np.testing.assert_allclose(np.ravel(found.outcome["multipliers"][ours]) * sign, np.ravel(expected), atol=1e-4)


def test_every_linear_program_of_a_kind():
    """Random feasible, bounded programs: the value of scipy's simplex method."""
    page = "dims m, n\ndata A[m, n], b[m], c[n]\nparam x[n] >= 0\nminimize over x  c' x\nsubject to A x <= b\n"
    for seed in range(4):
        rng = np.random.default_rng(seed)
        A, inside = rng.normal(size=(6, 4)), rng.uniform(0.5, 1, 4)
        b, c = A @ inside + rng.uniform(0, 1, 6), -A.T @ rng.uniform(0, 1, 6) + rng.uniform(0, 1, 4)
        truth = linprog(c, A, b, method="highs")
        assert truth.status == 0
        found = solved(page, {"A": A, "b": b, "c": c})
        assert abs(found.outcome["loss"] - truth.fun) <= VALUE * max(1, abs(truth.fun)) and found.outcome["kkt"] <= KKT


def test_nonnegative_least_squares_of_size():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 20)), rng.normal(size=60)
    _, norm = nnls(X, y)
    found = solved(PAGES["nnls"], {"X": X, "y": y})
    assert abs(found.outcome["loss"] - norm**2) <= 1e-8 * norm**2


def test_the_largest_of_several_lines():
    page = "dims n\ndata a[n], b[n]\nparam x\nminimize over x  max[i] (a[i] x + b[i])\n"
    a, b = np.array([-1.0, 0.5, 2.0]), np.array([0.0, 1.0, -3.0])
    found = solved(page, {"a": a, "b": b})
    grid = np.linspace(-5, 5, 200_001)
    np.testing.assert_allclose(found.outcome["loss"], np.min(np.max(np.outer(grid, a) + b, axis=1)), atol=1e-4)


def test_entropy_of_a_die_with_a_known_mean():
    """Maximum entropy with mean 4.5 is the exponential family of the faces (Jaynes)."""
    page = "dims n = 6\nparam p[n] in simplex\nmaximize over p  -sum[i] p[i] log(p[i])\nsubject to sum[i] (i + 1) p[i] = 4.5\n"
    found = solved(page, {})
    faces_ = np.arange(1, 7)
    tilt = brentq(lambda t: np.sum(faces_ * np.exp(t * faces_)) / np.sum(np.exp(t * faces_)) - 4.5, -1, 1, xtol=1e-14)
    np.testing.assert_allclose(found.x, np.exp(tilt * faces_) / np.sum(np.exp(tilt * faces_)), atol=1e-8)


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("param x\nminimize over x  x^2\nsubject to x >= 1; x <= 0\n", "no point"),
        ("param x, y\nminimize over x, y  x\nsubject to x + y = 1; x + y = 2\n", "no point"),
        ("param x[3]\nminimize over x  x[0]\nsubject to ||x|| <= -1\n", "no point"),
        ("param x[3] >= 0\nminimize over x  ||x||^2\nsubject to x[0] = -1/2; sum[i in 0..2] x[i] = 1\n", "no point"),
        ("param x >= 0\nmaximize over x  x\nsubject to x >= 3\n", "for ever"),
        ("param x, y\nminimize over x, y  x - y\nsubject to x = 2 y + 1\n", "for ever"),
    ],
)
def test_problems_without_a_solution(page, told):
    with pytest.raises(NumericError, match=told):
        solved(page, {})


def test_the_optimum_of_a_graph_is_stationary():
    """inv(T) - S lies in the subgradient of 0.1 |T|, entry by entry: no solver's word is taken."""
    S = np.array([[2, 0.8, 0.05], [0.8, 1, 0.02], [0.05, 0.02, 1.5]])
    found = solved(PAGES["graph_lasso"], {"S": S})
    T = found.x.reshape(3, 3)
    slope = (np.linalg.inv(T) - S) / 0.1
    free = np.abs(T) > 1e-9
    np.testing.assert_allclose(slope[free], np.sign(T[free]), atol=1e-6)
    assert not free.all() and np.all(np.abs(slope[~free]) <= 1 + 1e-6)
    assert np.linalg.eigvalsh(T).min() > 0


@pytest.mark.parametrize(("page", "start"), [("w", 0), ("-w^3", 1), ("w^2 - w^4", 1)])
def test_objectives_that_fall_for_ever(page, start):
    with pytest.raises(NumericError, match=r"for ever|no minimum"):
        solved(f"param w init {start}\nminimize over w  {page}\n", {})


def test_what_only_seems_to_fall_for_ever():
    """A valley at -1e8 is found: a large fall alone is no reason."""
    found = solved("param w init 0\nminimize over w  1e-8 w^2 - 2 w\n", {})
    np.testing.assert_allclose(found.outcome["loss"], -1e8, rtol=1e-9)


@pytest.mark.full
def test_targets_agree():
    page = "dims m, n\ndata A[m, n], b[m]\nparam x[n] >= 0\nminimize over x  ||A x - b||^2\n"
    page += "subject to sum[i] x[i] <= 1\n"
    rng = np.random.default_rng(3)
    check_agree(Source("p.symml", f"model m\n{page}"), {"A": rng.normal(size=(7, 3)), "b": rng.normal(size=7)}, steps=5)


def test_other_methods_do_not_keep_constraints():
    page = "model m\nparam x\nminimize over x  x^2\nsubject to x >= 1\ntrain with METHOD\n"
    for method in ("lbfgs", "adam(lr = 1e-2)", "gauss_newton"):
        with pytest.raises(SymmlError, match="does not keep 'x >= 1'"):
            pipeline.build(Source("p", page.replace("METHOD", method)), pipeline.Options())


@pytest.mark.parametrize("name", ["geno_qp_lb-1.2", "nnls", "svm_dual"])
def test_a_trust_region_keeps_bounds(name):
    """The same problems by another method, with the same solution."""
    rng = np.random.default_rng(5)
    data = {"X": rng.normal(size=(20, 4)), "y": np.sign(rng.normal(size=20))}
    if name.startswith("geno"):
        data = {"Q": np.array([[1.0, 0, 1], [0, 2, 0], [1, 0, 3]]), "c": np.array([2.0, 3, 4])}
    first, second = (solved(PAGES[name] + more, data) for more in ("", "train with trust_region\n"))
    np.testing.assert_allclose(second.outcome["loss"], first.outcome["loss"], rtol=1e-10)
    np.testing.assert_allclose(second.x, first.x, atol=1e-6)
    assert second.outcome["status"] == "converged" and second.outcome["kkt"] <= KKT
    if name == "nnls":
        assert (second.x == 0).any(), "no bound is active"


def test_second_derivatives_without_bounds():
    """Rosenbrock's valley in four unknowns, by both methods of second order."""
    page = "param x[4] init 0.5\nminimize over x  sum[i in 0..2] (100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2)\ntrain with METHOD\n"
    for method in ("trust_region", "newton"):
        found = solved(page.replace("METHOD", method), {})
        np.testing.assert_allclose(found.x, 1.0, rtol=1e-8)
        assert found.outcome["steps"] < 40


def test_a_trust_region_refuses_other_constraints():
    page = "param x, y\nminimize over x, y  x^2 + y^2\nsubject to x + y >= 1\ntrain with trust_region\n"
    with pytest.raises(SymmlError, match="does not keep"):
        solved(page, {})


# penalties


def lasso_data(n: int = 60, d: int = 12) -> dict:
    rng = np.random.default_rng(11)
    X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.4)
    return {"X": X, "y": X[:, :3] @ [1.0, -2.0, 0.5] + rng.normal(size=n)}


@pytest.mark.parametrize("method", ["", "train with proximal_gradient\n", "train with interior_point\n"])
def test_lasso_and_its_duality_gap(method):
    """scikit-learn's objective; without a method coordinates one by one, until the duality gap says so."""
    data = lasso_data()
    truth = Lasso(alpha=0.1, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(data["X"], data["y"]).coef_
    found = solved(PAGES["lasso"] + method, data)
    np.testing.assert_allclose(found.x, truth, atol=1e-7)
    assert (found.x == 0).sum() == (truth == 0).sum() > 0
    assert found.outcome["status"] == "converged" and found.outcome["kkt"] <= KKT
    if not method:
        assert found.kernel.manifest["method"]["name"] == "coordinate_descent"
    if "interior" not in method:
        assert -1e-12 < found.outcome["gap"] < 1e-8 and any("duality gap" in line for line in faces.figures(found))


def test_the_duality_gap_bounds_the_error_away_from_the_solution():
    """Stopped early, the gap is no less than what is left, and not 0."""
    data = lasso_data()
    best = solved(PAGES["lasso"], data).outcome["loss"]
    early = solved(PAGES["lasso"] + "train with proximal_gradient(iterations = 4)\n", data).outcome
    assert early["status"] == "stopped" and early["gap"] >= early["history"][-2] - best > 1e-6


GROUPS = """dims n, g, k
data X[n, g, k], y[n]
param W[g, k] init 0
z[i] = sum[a, b] X[i, a, b] W[a, b]
minimize over W  1/(2 n) ||z - y||^2 + 0.3 sum[a] sqrt(sum[b] W[a, b]^2)
"""


def test_group_lasso():
    """Subgradient optimality, group by group; both methods agree."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(50, 5, 3))
    y = X[:, 0] @ [1.0, -1, 2] + 0.3 * rng.normal(size=50)
    first = solved(GROUPS + "train with proximal_gradient\n", {"X": X, "y": y})
    second = solved(GROUPS, {"X": X, "y": y})
    np.testing.assert_allclose(second.outcome["loss"], first.outcome["loss"], rtol=1e-8)
    W = first.x.reshape(5, 3)
    slope = np.einsum("iab,i->ab", X, np.einsum("iab,ab->i", X, W) - y) / 50
    sizes = np.linalg.norm(W, axis=1)
    assert (sizes == 0).any() and (sizes > 0).any()
    for a in range(5):
        if sizes[a]:
            np.testing.assert_allclose(slope[a], -0.3 * W[a] / sizes[a], atol=1e-7)
        else:
            assert np.linalg.norm(slope[a]) <= 0.3 + 1e-9


def test_coordinates_need_a_quadratic():
    for name in ("l1_logistic", "svm_primal"):
        with pytest.raises(SymmlError, match="no form"):
            solved(PAGES[name] + "train with coordinate_descent\n", {"X": np.ones((3, 2)), "y": np.ones(3)})


def test_a_kink_has_no_closed_form():
    """The equation gradient = 0 with the signs of the start is none: its root is no minimum."""
    with pytest.raises(SymmlError, match="kinks"):
        solved(PAGES["lasso"] + "train with closed_form\n", lasso_data())


CLASSES = {  # page, what is known of the solution
    "total variation": (
        "dims n\ndata y[n]\nparam x[n]\nminimize over x  1/2 ||x - y||^2 + 0.5 sum[i in 0..n-2] abs(x[i+1] - x[i])\n",
        {"y": np.array([0.0, 0, 0, 4, 4, 4])},
        [1 / 6, 1 / 6, 1 / 6, 23 / 6, 23 / 6, 23 / 6],
    ),
    "a quantile": (
        "dims n\ndata y[n]\nparam q\nminimize over q  sum[i] max(0.9 (y[i] - q), -0.1 (y[i] - q))\n",
        {"y": np.array([3.0, 1, 4, 1, 5, 9, 2, 6, 8])},
        [9.0],
    ),
    "the least norm": (
        "dims m, k\ndata A[m, k], b[m]\nparam x[k]\nminimize over x  ||x||^2\nsubject to A x = b\n",
        {"A": np.array([[1.0, 2, 2]]), "b": np.array([9.0])},
        [1.0, 2, 2],
    ),
    "a product of powers": (
        "param x[3] > 0\nmaximize over x  sum[i] log(x[i])\nsubject to x[0] + 2 x[1] + 3 x[2] <= 6\n",
        {},
        [2.0, 1, 2 / 3],
    ),
    "Hock and Schittkowski's 71st": (
        "param x[4] in [1, 5]\nminimize over x  x[0] x[3] (x[0] + x[1] + x[2]) + x[2]\n"
        "subject to x[0] x[1] x[2] x[3] >= 25; x[0]^2 + x[1]^2 + x[2]^2 + x[3]^2 = 40\n",
        {},
        [1.0, 4.74299963, 3.82114998, 1.37940829],
    ),
    "the first direction": (
        "param w[2] init 0.5\nmaximize over w  w[0]^2 + 3 w[1]^2\nsubject to ||w|| = 1\n",
        {},
        [0.0, 1.0],
    ),
}


@pytest.mark.parametrize("name", CLASSES)
def test_problems_with_a_known_solution(name):
    page, data, truth = CLASSES[name]
    found = solved(page, data)
    np.testing.assert_allclose(found.x, truth, atol=2e-8)
    assert found.outcome["kkt"] <= KKT


def test_a_root_of_squares_written_out_is_a_norm():
    """The proximal operator of a norm: shortened by 1, and 0 where it is shorter than that."""
    page = "dims n\ndata c[n]\nparam w[n]\nminimize over w  1/2 ||w - c||^2 + sqrt(w[0]^2 + w[1]^2)\n"
    for c in (np.array([3.0, 4.0]), np.array([0.3, 0.4])):
        found = solved(page, {"c": c})
        assert found.outcome["status"] == "converged"
        np.testing.assert_allclose(found.x, c * max(0.0, 1 - 1 / np.linalg.norm(c)), atol=1e-6)


def test_a_start_without_a_derivative():
    """The p-norm has none at 0, where the run would begin."""
    page = "dims n\ndata c[n]\nparam w[n]\nminimize over w  ||w - c||^2  subject to  normp(w, 3) <= 1\n"
    c = np.array([2.0, 2.0])
    found = solved(page, {"c": c})
    assert found.outcome["status"] == "converged" and found.outcome["kkt"] <= KKT
    np.testing.assert_allclose(found.x, np.full(2, 0.5 ** (1 / 3)), atol=1e-7)


def test_what_is_set_to_its_bound():
    """Entries of an assignment that are 0 leave x >= 0 no interior; the others are those of the better of two cycles."""
    page = (
        "dims n\ndata C[n, n], B[n, n]\nparam P[n, n] >= 0\nminimize sum[i, j] C[i, j] P[i, j]\n"
        "subject to sum[j] P[i, j] = 1 for i in n; sum[i] P[i, j] = 1 for j in n; B[i, j] P[i, j] = 0\n"
    )
    found = solved(page, {"C": np.array([[0.0, 1, 3], [5, 0, 1], [2, 4, 0]]), "B": np.eye(3)})
    np.testing.assert_allclose(found.x.reshape(3, 3), [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-9)
    assert found.outcome["status"] == "converged" and found.outcome["steps"] <= 8


@pytest.mark.parametrize(("sign", "taken"), [("+", True), ("-", False)])
def test_squared_positive_parts_beside_other_kinks(sign, taken):
    """A number stands for each where the objective rises with it, and only there."""
    a = analysis(f"dims n\ndata c[n]\nparam w[n]\nminimize ||w||_1 {sign} sum[i] max(0, w[i] - c[i])^2")
    assert (epigraph.smooth(a.forward, "loss", {}, a.model.over).program is not None) == taken

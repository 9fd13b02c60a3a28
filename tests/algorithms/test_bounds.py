"""Methods by gradients between bounds: against scipy, the interior point, published solutions; what has no solution is told."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
from check import check_agree

from symml import pipeline
from symml.derivations.shelves import shelf
from symml.errors import NumericError, SymmlError
from symml.runtime import launch
from symml.runtime.ray import endless
from symml.source import Source
from symml.training.solvers import SOLVERS

ALGORITHMS = Path(pipeline.__file__).parent / "algorithms"
REFERENCE = pipeline.Options(target="reference")
REGRESSION = "dims n, d\ndata X[n, d], y[n]\nparam w[d] >= 0\n"
NNLS = REGRESSION + "minimize over w  ||X w - y||^2\n"
AUGMENTED = "train with augmented_lagrangian\n"


def solved(page: str, data: dict | None = None, options: pipeline.Options = REFERENCE):
    return pipeline.train(Source("p.symml", f"model m\n{page}"), options, data or {}, 0)


def regression(n: int = 40, d: int = 15) -> dict:
    rng = np.random.default_rng(4)
    return {"X": rng.normal(size=(n, d)), "y": rng.normal(size=n)}


# quasi-Newton between bounds


def minimised(value_and_grad, x, low, high, pieces=(1000,)) -> tuple[np.ndarray, int, np.ndarray]:
    """The text of lbfgs_b as plain Python, in pieces."""
    made = {"np": np, "math": math, "value_and_grad": value_and_grad}
    for name in ("symmetric", "bounded_step", "lbfgs_b"):
        exec(compile((ALGORITHMS / f"{name}.py").read_text(), name, "exec"), made)
    n, x = len(x), np.array(x, float)
    g, scalars, counters = np.zeros(n), np.zeros(6), np.zeros(5, np.int64)
    room = (np.zeros((n, 20)), np.zeros((2, 10, 10)), scalars, counters, np.zeros((1001, 2)), None, None)
    with np.errstate(all="ignore"):
        for steps in pieces:
            status = made["lbfgs_b"](x, g, np.full(n, low), np.full(n, high), *room, steps, 1e-9)
    return x, status, counters


def rosenbrock(x, g, data, work) -> float:
    g[:] = scipy.optimize.rosen_der(x)
    return float(scipy.optimize.rosen(x))


@pytest.mark.parametrize(("low", "high"), [(-1e300, 1e300), (-1.5, 0.5), (1.2, 3.0)])
def test_rosenbrock_between_bounds(low, high):
    start = np.random.default_rng(0).uniform(-2, 2, 20)
    x, status, counters = minimised(rosenbrock, start, low, high)
    truth = scipy.optimize.minimize(
        scipy.optimize.rosen,
        np.clip(start, low, high),
        jac=scipy.optimize.rosen_der,
        bounds=[(low, high)] * 20,
        method="L-BFGS-B",
        options={"ftol": 1e-16, "gtol": 1e-9},
    )
    assert status == 1 and counters[1] <= 2 * truth.nfev + 20
    np.testing.assert_allclose(scipy.optimize.rosen(x), truth.fun, atol=1e-12, rtol=1e-12)
    assert ((x == low) | (x == high)).any() == (high < 1e300)


def test_pieces_give_the_same_bits():
    start = np.full(10, -1.2)
    whole = minimised(rosenbrock, start, -1.5, 0.9, (60,))
    cut = minimised(rosenbrock, start, -1.5, 0.9, (1, 7, 2, 30, 20))
    np.testing.assert_array_equal(whole[0], cut[0])
    assert (whole[2] == cut[2]).all()


@pytest.mark.parametrize("method", ["trust_region", "lbfgs_b"])
def test_nonnegative_least_squares(method):
    data = regression()
    w, norm = scipy.optimize.nnls(data["X"], data["y"])
    found = solved(NNLS + f"train with {method}\n", data)
    assert abs(found.outcome["loss"] / norm**2 - 1) < 1e-10 and found.outcome["kkt"] <= 1e-9
    np.testing.assert_allclose(found.x, w, atol=1e-8)
    np.testing.assert_array_equal(found.x == 0, w == 0)
    slope = 2 * data["X"].T @ (data["X"] @ w - data["y"])
    np.testing.assert_allclose(found.outcome["multipliers"]["w_lower"], np.where(w == 0, slope, 0.0), atol=1e-6)


def test_multipliers_of_bounds_that_stand_beside_each_other():
    """Of two lower bounds the one that holds has the multiplier; slopes and transposed axes are followed."""
    page = "dims n\ndata c[n]\nparam x[n] >= 0, Y[n, n] init 0\n"
    page += "minimize over x, Y  sum[i] (x[i] + 2)^2 + sum[i, j] (Y[i, j] - i - 2 j)^2\n"
    page += "subject to 2 x[i] >= c[i]; Y[i, j] <= c[j] for j in 0..1, i in 0..1\n"
    found = solved(page, {"c": np.array([-1.0, 1.0])}).outcome
    np.testing.assert_allclose(found["multipliers"]["x_lower"], [4.0, 0.0], atol=1e-7)
    np.testing.assert_allclose(found["multipliers"]["c1"], [0.0, 2.5], atol=1e-7)
    np.testing.assert_allclose(found["multipliers"]["c2"], [[2.0, 4.0], [2.0, 4.0]], atol=1e-7)


def test_an_end_that_is_not_taken():
    found = solved("param x > 0\nminimize over x  x - log(x)\ntrain with lbfgs_b\n")
    np.testing.assert_allclose(found.x, 1.0, rtol=1e-8)
    open_ = solved("param x > 0\nminimize over x  x\ntrain with lbfgs_b\n")
    assert 0 < open_.x[0] < 1e-300


# an augmented Lagrangian

PROBLEMS = {  # page, data, value, solution
    "Hock and Schittkowski's 71st": (
        "param x[4] in [1, 5]\nminimize over x  x[0] x[3] (x[0] + x[1] + x[2]) + x[2]\n"
        "subject to x[0] x[1] x[2] x[3] >= 25; x[0]^2 + x[1]^2 + x[2]^2 + x[3]^2 = 40\n",
        {},
        [1.0, 4.74299963, 3.82114998, 1.37940829],
    ),
    "Hock and Schittkowski's 6th": (
        "param x[2] init 0\nminimize over x  (1 - x[0])^2\nsubject to 10 (x[1] - x[0]^2) = 0\n",
        {},
        [1.0, 1.0],
    ),
    "a linear program": (
        "param x1 >= 0, x2 >= 0\nminimize over x1, x2  -4 x1 - 5 x2\nsubject to 2 x1 + x2 <= 3; x1 + 2 x2 <= 3\n",
        {},
        [1.0, 1.0],
    ),
    "a cone": (
        "param x[2], y\nminimize over x, y  y\nsubject to ||x|| <= y; x[0] + 2 x[1] >= 5\n",
        {},
        [1.0, 2.0, math.sqrt(5)],
    ),
    "total variation": (
        "dims n\ndata y[n]\nparam x[n]\nminimize over x  1/2 ||x - y||^2 + 0.5 sum[i in 0..n-2] abs(x[i+1] - x[i])\n",
        {"y": np.array([0.0, 0, 0, 4, 4, 4])},
        [1 / 6, 1 / 6, 1 / 6, 23 / 6, 23 / 6, 23 / 6],
    ),
    "a simplex": (
        "dims n\ndata c[n]\nparam p[n] in simplex\nminimize over p  sum[i] (p[i] - c[i])^2\n",
        {"c": np.array([0.7, 0.6, -0.5])},
        [0.55, 0.45, 0.0],
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_an_augmented_lagrangian(name):
    """Known solutions, and the multipliers of the interior point."""
    page, data, truth = PROBLEMS[name]
    found = solved(page + AUGMENTED, data)
    np.testing.assert_allclose(found.x, truth, atol=1e-7)
    assert found.outcome["status"] == "converged" and found.outcome["kkt"] <= 1e-8
    other = solved(page + "train with interior_point\n", data).outcome
    for key, multiplier in other["multipliers"].items():
        np.testing.assert_allclose(found.outcome["multipliers"][key], multiplier, atol=1e-5)


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("param x init 3\nminimize over x  x^2\nsubject to x >= 1; x^3 <= 0\n", "no point"),
        ("param x, y\nminimize over x, y  x\nsubject to x + y = 1; x + y = 2\n", "no point"),
        ("param x[2] init 2\nminimize over x  x[0]\nsubject to x[0]^2 + x[1]^2 + 1 <= 0\n", "no point"),
        ("param x, y >= 0\nmaximize over x, y  x\nsubject to x >= 3 y\n", "unbounded above"),
        ("param w, v\nmaximize over w, v  log(w) + v\nsubject to w >= 1; w + v >= 2; v <= 3\n", "unbounded above"),
    ],
)
def test_an_augmented_lagrangian_tells_what_has_no_solution(page, told):
    with pytest.raises(NumericError, match=told):
        solved(page + AUGMENTED)


def test_it_refuses_matrices_that_must_stay_semidefinite():
    page = "dims d\ndata S[d, d]\nparam T[d, d] in psd\nminimize over T  -logdet(T) + sum[i, j] S[i, j] T[j, i]\n"
    with pytest.raises(SymmlError, match="semidefinite"):
        solved(page + AUGMENTED, {"S": np.eye(2)})


# what the form chooses


@pytest.mark.parametrize(
    ("page", "small", "large"),
    [
        (NNLS, "trust_region", "lbfgs_b"),
        (
            REGRESSION + "minimize over w  ||X w - y||^2\nsubject to sum[j] w[j] <= 1\n",
            "interior_point",
            "augmented_lagrangian",
        ),
        (REGRESSION + "minimize over w  sum[i] abs(X[i]' w - y[i])\n", "interior_point", "augmented_lagrangian"),
        (NNLS.replace(">= 0", "> 0").replace("^2", "^2 - sum[j] log(w[j])"), "interior_point", "lbfgs_b"),
        (NNLS.replace(" >= 0", "").replace("^2", "^2 + sum[j] abs(w[j])"), "coordinate_descent", "proximal_gradient"),
    ],
)
def test_more_unknowns_than_a_matrix_has_room_for(page, small, large, monkeypatch):
    """The form chooses another method, which ends at the same value."""
    first = solved(page, regression(20, 5))
    monkeypatch.setattr(launch, "MOST_UNKNOWNS", 4)
    second = solved(page, regression(20, 5))
    assert [k.kernel.manifest["method"]["name"] for k in (first, second)] == [small, large]
    np.testing.assert_allclose(second.outcome["loss"], first.outcome["loss"], rtol=1e-7)
    named = solved(page + f"train with {small}\n", regression(20, 5))
    assert named.kernel.manifest["method"]["name"] == small, "the page's own word goes first"


def test_the_list_of_methods():
    assert {row["name"] for row in shelf("methods")} == {"lbfgs", *SOLVERS}


@pytest.mark.full
@pytest.mark.parametrize("name", ["Hock and Schittkowski's 71st", "total variation"])
def test_targets_agree(name):
    page, data, _ = PROBLEMS[name]
    check_agree(Source("p.symml", f"model m\n{page}{AUGMENTED}"), data, steps=5)


@pytest.mark.full
def test_targets_agree_between_bounds():
    check_agree(Source("p.symml", f"model m\n{NNLS}train with lbfgs_b\n"), regression(), steps=5)


WEIGHTED = NNLS.replace("y[n]", "y[n], weight k[n] >= 0")


@pytest.mark.parametrize(
    "more",
    [
        "",
        "subject to sum[j] w[j] <= 1\n",
        "subject to 1/n sum[i] X[i]' w >= 1\n",
        "subject to sum[j] w[j] = 1\ntrain with augmented_lagrangian\n",
    ],
)
def test_weights_beside_constraints(more):
    """Whole weights give what repeated rows give, in the conditions too."""
    data, k = regression(20, 5), np.arange(20) % 4
    found = solved(WEIGHTED + more, {**data, "k": k.astype(float)})
    repeated = solved(NNLS + more, {name: np.repeat(rows, k, axis=0) for name, rows in data.items()})
    np.testing.assert_allclose(found.x, repeated.x, atol=1e-6)
    assert np.abs(found.x - solved(NNLS + more, data).x).max() > 1e-3, "without the weights it is another one"


def test_a_condition_of_a_row_of_weight_0_is_refused():
    page = WEIGHTED.replace("||^2", "||^2\nsubject to X[i]' w <= 9")
    data = {**regression(20, 5), "k": np.ones(20)}
    with pytest.raises(SymmlError, match="rows of weight 0"):
        solved(page, data)
    assert solved(page.replace("k[n] >= 0", "k[n] > 0"), data).outcome["status"] == "converged"


# for ever


def nothing(x) -> float:
    return 0.0


RAYS = [  # an objective, where the run ended, whether it falls for ever
    (lambda x: -x[0], 1e9, True),
    (lambda x: -np.log(x[0]), 1e8, True),
    (lambda x: -np.sqrt(x[0]), 1e6, True),
    (lambda x: x[0] ** 2 - x[0] ** 4, 1e5, True),
    (lambda x: 1 / x[0], 1e5, False),
    (lambda x: np.exp(-x[0]), 1e4, False),
    (lambda x: -np.log(x[0]) + 1e-20 * x[0], 1e8, False),
    (lambda x: 1 / np.log(x[0]), 1e8, False),
    (lambda x: x[0] ** 2, 1e8, False),
]


@pytest.mark.parametrize(("value", "x", "falls"), RAYS)
def test_a_ray(value, x, falls):
    with np.errstate(all="ignore"):
        found = endless(value, nothing, np.array([x, 1.0]), np.array([1.0, 1.0]))
    assert (found is not None) == falls
    if falls:
        np.testing.assert_array_equal(found, [1.0, 0.0])
        with np.errstate(all="ignore"):
            assert endless(value, lambda x: abs(x[0]), np.array([x, 1.0]), np.array([1.0, 1.0])) is None


@pytest.mark.parametrize("method", ["", "newton", "trust_region", "lbfgs_b", "augmented_lagrangian"])
@pytest.mark.parametrize("objective", ["w", "v^2 - w", "v^2 - log(1 + w^2)"])
def test_unbounded_objectives_are_told(method, objective):
    page = f"param w init 1, v init 1\nminimize over w, v  {objective}\n" + f"train with {method}\n" * bool(method)
    told = r"unbounded below(.|\n)*along w = -?1:|no minimum"  # a saddle of the last one has a closed form
    with pytest.raises(NumericError, match=told):
        solved(page)


@pytest.mark.parametrize("objective", ["exp(-w) + v^2", "log(1 + exp(-w)) + v^2", "1e-6 w^2 - w + v^2"])
def test_what_has_a_bound_is_not_called_unbounded(objective):
    assert solved(f"param w init 0, v init 1\nminimize over w, v  {objective}\n").outcome["status"] == "converged"


# closed forms


@pytest.mark.parametrize("objective", ["v^2 - w^2", "v^2 - log(1 + w^2)", "w^2 + v^2 - 3 w v"])
def test_a_saddle_is_told(objective):
    """Of a closed form the saddle itself; another method goes on for ever."""
    told = "unbounded below" if objective.endswith("w v") else "no minimum"
    with pytest.raises(NumericError, match=told):
        solved(f"param w init 1, v init 1\nminimize over w, v  {objective}\n")
    kept = solved(f"param w init 1, v init 1\nminimize over w, v  {objective} + 9 w^2\n")
    np.testing.assert_allclose(kept.x, 0.0, atol=1e-9)


def test_a_closed_form_stays_in_the_domain():
    """Where the closed form leaves it the interior point goes on; by its name it is refused."""
    data = regression(20, 5)
    page = NNLS.replace(">= 0", "> 0")
    found = solved(page, data)
    truth = scipy.optimize.nnls(data["X"], data["y"])
    assert found.kernel.manifest["method"]["name"] == "interior_point" and (truth[0] == 0).any()
    np.testing.assert_allclose(found.outcome["loss"], truth[1] ** 2, rtol=1e-8)
    with pytest.raises(NumericError, match="outside of the domain of 'w'"):
        solved(page + "train with closed_form\n", data)
    rate = "dims n\ndata y[n] > 0\nparam r > 0\nminimize over r  sum[i] (r y[i] - log(r))\n"
    found = solved(rate, {"y": np.array([1.0, 2, 3])})
    assert found.kernel.manifest["method"]["name"] == "closed_form"
    np.testing.assert_allclose(found.x, 0.5)

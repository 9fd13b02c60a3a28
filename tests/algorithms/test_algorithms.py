"""Philox's known answers, L-BFGS against scipy, batches against a few lines of numpy; plain and compiled give the same bits."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from scipy import optimize

from symml.runtime.drive import run_lbfgs

FOLDER = Path(__file__).parents[2] / "symml" / "algorithms"


def load(*files, compiled=False, **callbacks):
    """The functions of some files with their callbacks as globals."""
    space = {"np": np, "math": math, **{k: njit(v) if compiled else v for k, v in callbacks.items()}}
    for name in files:
        exec(compile((FOLDER / f"{name}.py").read_text(), f"{name}.py", "exec"), space)
    if compiled:
        for name, value in list(space.items()):
            if callable(value) and getattr(value, "__module__", None) is None and not name.startswith("__"):
                space[name] = njit(value)
    return space


ALL = 0xFFFFFFFF
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ALL, ALL, ALL, ALL), (ALL, ALL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_philox_known_answers(compiled, counter, key, answer):
    assert load("philox", compiled=compiled)["philox_block"](*counter, *key) == answer


def test_normal_numbers_and_permutations():
    plain, fast = load("philox"), load("philox", compiled=True)
    a, b = np.zeros(10_001), np.zeros(10_001)
    plain["fill_normal"](a[:101], 0.0, 1.0, 7, 2, 0)
    fast["fill_normal"](b, 0.0, 1.0, 7, 2, 0)
    np.testing.assert_allclose(a[:100], b[:100], rtol=1e-13)
    assert abs(b.mean()) < 0.03 and abs(b.std() - 1) < 0.03
    order, other = np.zeros(500, np.int64), np.zeros(500, np.int64)
    plain["shuffle"](order, 3, 1, 5)
    fast["shuffle"](other, 3, 1, 5)
    assert sorted(order) == list(range(500)) and np.array_equal(order, other)


def rosenbrock(x, g, data, work):
    g[:] = 0.0
    total = 0.0
    for i in range(x.shape[0] - 1):
        a = x[i + 1] - x[i] * x[i]
        total += 100.0 * a * a + (1.0 - x[i]) ** 2
        g[i] += -400.0 * x[i] * a - 2.0 * (1.0 - x[i])
        g[i + 1] += 200.0 * a
    return total


def quadratic(x, g, data, work):
    total = 0.0
    for i in range(x.shape[0]):
        c = 10.0 ** (3.0 * i / (x.shape[0] - 1))
        g[i] = c * (x[i] - 1.0)
        total += 0.5 * c * (x[i] - 1.0) ** 2
    return total


def wrong_gradient(x, g, data, work):
    total = 0.0
    for i in range(x.shape[0]):
        g[i] = -x[i] - 1.0
        total += x[i] * x[i]
    return total


def unbounded(x, g, data, work):
    g[:] = math.nan
    return math.nan


@pytest.mark.parametrize("function", [rosenbrock, quadratic], ids=lambda f: f.__name__)
@pytest.mark.parametrize("compiled", [False, True])
def test_lbfgs_reaches_the_optimum(function, compiled):
    x = np.full(20, -1.0)
    out = run_lbfgs(load("lbfgs", compiled=compiled, value_and_grad=function)["lbfgs"], x, (), (), 1e-8, 2000, 10)
    assert out["status"] == "converged" and out["gradient"] <= 1e-8
    np.testing.assert_allclose(x, 1.0, atol=1e-7)

    def peer_function(v):
        g = np.zeros_like(v)
        return function(v, g, (), ()), g

    peer = optimize.minimize(
        peer_function,
        np.full(20, -1.0),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 2000, "ftol": 0, "gtol": 1e-8},
    )
    assert out["evaluations"] < 2 * peer.nfev


def test_lbfgs_cut_into_pieces_gives_the_same_bits(monkeypatch):
    lbfgs = load("lbfgs", value_and_grad=rosenbrock)["lbfgs"]
    results = []
    for longer in (lambda pieces, seconds: 1, lambda pieces, seconds: 1000):
        monkeypatch.setattr("symml.runtime.drive.longer", longer)
        x = np.full(6, -1.0)
        run_lbfgs(lbfgs, x, (), (), 1e-10, 300, 5)
        results.append(x)
    assert np.array_equal(*results)


def test_lbfgs_in_single_precision_stalls_rather_than_spins():
    x = np.full(20, -1.0, np.float32)
    out = run_lbfgs(load("lbfgs", value_and_grad=rosenbrock)["lbfgs"], x, (), (), 1e-12, 5000, 10)
    assert out["status"] == "stalled" and out["steps"] < 2000
    np.testing.assert_allclose(x, 1.0, atol=2e-2)


@pytest.mark.parametrize("function, status", [(wrong_gradient, "stalled"), (unbounded, "diverged")])
def test_lbfgs_tells_what_is_wrong(function, status):
    out = run_lbfgs(load("lbfgs", value_and_grad=function)["lbfgs"], np.full(4, 2.0), (), (), 1e-8, 500, 5)
    assert out["status"] == status


def least_squares(x, g, rows, work):
    X, y = rows
    r = X @ x - y
    g[:] = X.T @ r / y.shape[0]
    return 0.5 * (r @ r) / y.shape[0]


def gather(data, order, start, stop, batch, seed, step):
    return data[0][order[start:stop]], data[1][order[start:stop]]


def sgd(x, g, state, scalars):
    x -= scalars[0] * g


@pytest.mark.parametrize("cuts", [(1000,), (1, 7, 20, 1000)])
def test_batches_are_shuffled_epochs_whatever_the_cuts(cuts):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(23, 3)), rng.normal(size=23)
    space = load("philox", "minibatch", value_and_grad=least_squares, gather=gather, update=sgd)
    x, g, order, counters, trace = np.zeros(3), np.zeros(3), np.zeros(23, np.int64), np.zeros(2, np.int64), np.zeros(12)
    for cut in cuts:
        steps = min(cut, 12 * 5 - int(counters[0]))
        status = space["minibatch"](
            x, g, np.zeros((1, 3)), np.array([0.1]), (X, y), (), (), order, counters, 5, steps, 9, trace
        )
        assert status == 0
    truth = np.zeros(3)
    for epoch in range(12):
        space["shuffle"](order, 9, 1, epoch)
        for start in range(0, 23, 5):
            rows = order[start : start + 5]
            truth -= 0.1 * X[rows].T @ (X[rows] @ truth - y[rows]) / len(rows)
    np.testing.assert_allclose(x, truth, rtol=1e-12)


def test_divergence_keeps_the_last_finite_parameters():
    space = load("philox", "minibatch", value_and_grad=least_squares, gather=gather, update=sgd)
    X, y = np.full((4, 1), 1e160), np.ones(4)
    x, counters = np.zeros(1), np.zeros(2, np.int64)
    with np.errstate(all="ignore"):
        status = space["minibatch"](
            x,
            np.zeros(1),
            np.zeros((1, 1)),
            np.array([1.0]),
            (X, y),
            (),
            (),
            np.zeros(4, np.int64),
            counters,
            2,
            50,
            0,
            np.zeros(30),
        )
    assert status == 3 and np.isfinite(x).all() and counters[1] == counters[0] > 0


def named(path: Path) -> set[str]:
    """The functions of a file."""
    return set(re.findall(r"^def (\w+)\(", path.read_text(), re.M))


def test_no_algorithm_takes_the_name_of_an_operation():
    """Both stand in one module: the later would take the place of the earlier."""
    target = FOLDER.parent / "targets" / "numba_cpu"
    operations = named(target / "linalg.py") | named(target / "primitives.py")
    assert {"svdvals", "finite"} <= operations
    for path in FOLDER.glob("*.py"):
        assert not named(path) & operations, path.name

"""Problems of well-known forms, each with an independent optimum: transport, monotone and convex regression ..."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog, lsq_linear

from symml import pipeline
from symml.errors import SymmlError
from symml.source import Source

REFERENCE = pipeline.Options(target="reference")
STEPS = "dims n\ndata y[n]\nparam x[n]\nminimize ||x - y||^2  subject to  "
Y = np.array([2.0, 4, 3, 5, 4.5, 6, 2])


def solved(page: str, **data):
    arrays = {name: np.array(value, float) for name, value in data.items()}
    found = pipeline.train(Source("p.symml", f"model m\n{page}\n"), REFERENCE, arrays, 0)
    assert found.outcome["status"] == "converged" and found.outcome["kkt"] <= 1e-8
    return found


def test_transport():
    """Equalities that repeat each other: all of the rows say the total, and so do all of the columns."""
    rng = np.random.default_rng(2)
    cost, a, b = rng.uniform(1, 5, (3, 4)), np.array([0.2, 0.5, 0.3]), np.array([0.1, 0.4, 0.3, 0.2])
    page = "dims n, m\ndata C[n, m], a[n], b[m]\nparam P[n, m] >= 0\nminimize over P  sum[i, j] C[i, j] P[i, j]\n"
    found = solved(f"{page}subject to sum[j] P[i, j] = a[i]; sum[i] P[i, j] = b[j]", C=cost, a=a, b=b)
    rows = np.vstack([np.kron(np.eye(3), np.ones(4)), np.kron(np.ones(3), np.eye(4))])
    truth = linprog(cost.ravel(), A_eq=rows, b_eq=np.r_[a, b], method="highs")
    assert abs(found.outcome["loss"] - truth.fun) <= 1e-7


def test_equalities_that_exclude_each_other_are_told():
    """The same system with totals that differ: the rank alone is no excuse."""
    page = "param x[3]\nminimize ||x||^2  subject to  x[0] + x[1] = 1; x[1] + x[2] = 1; x[0] + 2 x[1] + x[2] = {}"
    assert abs(solved(page.format(2)).outcome["loss"] - 2 / 3) <= 1e-8
    with pytest.raises(SymmlError, match="no point"):
        solved(page.format(3))


@pytest.mark.parametrize("relation", ["x[t] <= x[t+1]", "x[t-1] <= x[t]", "x[t] <= x[t+1] for t in 0..n-2"])
def test_monotone_regression(relation):
    """Neighbours by shifted indices, ranged as far as there are entries, or as the page says; scipy's dual by bounds."""
    rows = np.diff(np.eye(7), axis=0)
    u = lsq_linear(rows.T, -Y, (0, np.inf), method="bvls", tol=1e-14).x
    np.testing.assert_allclose(solved(STEPS + relation, y=Y).x, Y + rows.T @ u, atol=1e-9)


def test_convex_regression():
    rows = np.diff(np.eye(7), 2, axis=0)
    u = lsq_linear(rows.T, -Y, (0, np.inf), method="bvls", tol=1e-14).x
    np.testing.assert_allclose(solved(STEPS + "2 x[t] <= x[t-1] + x[t+1]", y=Y).x, Y + rows.T @ u, atol=1e-9)


def test_a_bound_of_some_entries():
    """It is none of the whole parameter."""
    found = solved(STEPS + "x[t] <= 2 for t in 1..2; x[t] >= 7 for t in n-1..n-1", y=Y)
    np.testing.assert_allclose(found.x, [2, 2, 2, 5, 4.5, 6, 7], atol=1e-9)


@pytest.mark.parametrize(
    ("relation", "told"),
    [
        ("x[t] <= 2 for t in 5..2", "empty"),
        ("x[t] <= 2 for s in 0..2", "nothing in the constraint depends on 's'"),
        ("x[t] <= y[t+1] for t in 0..n-1", "outside"),
    ],
)
def test_ranges_that_make_no_sense(relation, told):
    with pytest.raises(SymmlError, match=told):
        solved(STEPS + relation, y=Y)


def test_the_dual_of_a_problem_with_neighbours():
    """x is taken out entry by entry, over what its shifted places collect; compared with the Lagrangian before it is shown."""
    rows = pipeline.derivations(
        Source("p.symml", f"model m\n{STEPS}x[t] <= x[t+1]\n"), False, None, "matrix", {}, product="dual"
    )
    assert "to 2e-16" in str(rows) or "to 1e-16" in str(rows)


def test_semidefinite_programs():
    """Optima on the boundary of the cone: the largest eigenvalue, and the cut of a ring of five (Goemans & Williamson)."""
    rng = np.random.default_rng(4)
    M = rng.normal(size=(3, 3))
    M += M.T
    page = "dims n\ndata M[n, n]\nparam X[n, n] in psd\nmaximize tr(M X)  subject to  {}"
    found = solved(page.format("tr(X) = 1"), M=M)
    w, V = np.linalg.eigh(M)
    np.testing.assert_allclose(-found.outcome["loss"], w[-1], atol=1e-7)
    np.testing.assert_allclose(found.x.reshape(3, 3), np.outer(V[:, -1], V[:, -1]), atol=1e-4)
    Z = np.array(found.outcome["multipliers"]["X_psd"])
    np.testing.assert_allclose(Z, w[-1] * np.eye(3) - M, atol=1e-6)
    ring = np.roll(np.eye(5), 1, axis=0)
    found = solved(page.format("X[i, i] = 1"), M=(2 * np.eye(5) - ring - ring.T) / 4)
    np.testing.assert_allclose(-found.outcome["loss"], 5 * (5 + np.sqrt(5)) / 8, rtol=1e-8)


def test_an_inequality_of_matrices():
    """The least t with t I - M semidefinite."""
    M = np.array([[1.0, 2, 0], [2, -1, 1], [0, 1, 3]])
    found = solved("dims n\ndata M[n, n]\nparam t\nminimize t  subject to  t eye(n) - M in psd", M=M)
    np.testing.assert_allclose(found.outcome["loss"], np.linalg.eigvalsh(M)[-1], atol=1e-7)


@pytest.mark.parametrize("corner", ["X[0, 0] = -1", "X[0, 0] = 1; X[1, 1] = 1; X[0, 1] = 2"])
def test_semidefinite_programs_without_a_point(corner):
    with pytest.raises(SymmlError, match="no point"):
        solved(f"param X[2, 2] in psd\nminimize tr(X)  subject to  {corner}")


def test_a_design_of_experiments():
    """log det of a sum over more points than rows: the bound of Kiefer & Wolfowitz, v' M^-1 v <= d, holds at the optimum."""
    V = np.random.default_rng(5).normal(size=(2, 7))
    found = solved("dims d, n\ndata V[d, n]\nparam p[n] in simplex\nmaximize logdet(V diag(p) V')", V=V)
    spread = np.einsum("ik,ij,jk->k", V, np.linalg.inv(V * found.x @ V.T), V)
    np.testing.assert_allclose(spread.max(), 2, atol=1e-7)


def test_kinks_inside_of_kinks():
    """The smallest circle around points; the value of a game; a dead zone."""
    P = np.array([[0, 0], [4, 0], [0, 3.0], [1, 1]])
    found = solved("dims n\ndata P[n, 2]\nparam c[2]\nminimize max[i] ||P[i] - c||", P=P)
    np.testing.assert_allclose(found.outcome["loss"], 2.5, atol=1e-7)
    A = np.array([[0, -2, 1], [1, 0, -1], [-1, 1, 0.0]])
    game = linprog(
        [0, 0, 0, -1], np.c_[-A.T, np.ones(3)], np.zeros(3), [[1, 1, 1, 0]], [1], [(0, None)] * 3 + [(None, None)]
    )
    found = solved("dims n, m\ndata A[n, m]\nparam p[n] in simplex\nmaximize min[j] sum[i] A[i, j] p[i]", A=A)
    np.testing.assert_allclose(found.outcome["loss"], game.fun, atol=1e-9)
    found = solved("data a[3]\nparam x\nminimize sum[i] max(0, |a[i] - x| - 1)", a=[0, 1, 5])
    np.testing.assert_allclose(found.outcome["loss"], 3.0, atol=1e-9)


def test_starts_that_nothing_pulls():
    """The middle of a sphere, and a point where the objective is stationary but at its largest."""
    M = np.diag([3.0, -2, 1])
    found = solved("dims n\ndata M[n, n]\nparam x[n]\nminimize x' M x  subject to  x' x = 1", M=M)
    np.testing.assert_allclose(found.outcome["loss"], -2, atol=1e-9)
    found = solved("param x, y\nminimize -x y  subject to  x = y; x^2 <= 4")
    np.testing.assert_allclose(found.outcome["loss"], -4, atol=1e-8)


def test_a_flat_start_makes_no_step_without_end():
    page = "param x init 0, y init 0\nminimize sin(pi x/12) cos(pi y/16)  subject to  4 x - 3 y = 0"
    found = solved(page)
    assert abs(found.outcome["loss"] + 0.5) < 1e-12 and np.abs(found.x).max() < 1e6


@pytest.mark.parametrize("penalty, told", [("sum[i] |x[i]|", "kinks need double precision"), ("||x||^2", "")])
def test_kinks_in_single_precision_are_told(penalty, told):
    page = f"model m\ndata a[3]\nparam x[3]\nminimize exp(x[0]) + ||x - a||^2 + {penalty}\n"
    reason = pipeline.build(Source("p.symml", page), pipeline.Options(dtype="float32"))[1]["method"]["reason"]
    assert told in reason and bool(told) == bool(reason)


def test_nuclear_norms():
    """Soft-thresholded singular values; a completion: |[[1, 2], [2, x]]| = sqrt(x^2 - 2 x + 17) for x < 4."""
    M = np.random.default_rng(3).normal(size=(3, 2))
    page = "dims p, q\ndata M[p, q]\nparam Z[p, q]\nminimize 1/2 ||Z - M||^2 + 0.7 nuclear(Z)\n"
    found = solved(page, M=M)
    U, s, V = np.linalg.svd(M, full_matrices=False)
    np.testing.assert_allclose(found.x.reshape(3, 2), (U * np.maximum(s - 0.7, 0)) @ V, atol=1e-6)
    page = "param X[2, 2]\nminimize nuclear(X)  subject to  X[0, 0] = 1; X[0, 1] = 2; X[1, 0] = 2\n"
    found = solved(page)
    np.testing.assert_allclose([found.outcome["loss"], found.x[3]], [4, 1], rtol=1e-6)


def test_a_closed_form_without_a_single_solution():
    """A valley that falls for ever along one line: the singular system is no answer."""
    with pytest.raises(SymmlError, match="unbounded below"):
        solved("param x[2]\nminimize (x[0] + x[1])^2 + x[0] - x[1]")

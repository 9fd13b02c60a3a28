"""Convex problems of many forms, small and drawn at random: the optimum is CVXPY's (Diamond & Boyd 2016)."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from symml import pipeline
from symml.source import Source

VALUE = 1e-6  # relative, of the optimum
EXACT = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


A, B, X, Y = draw(1, 6, 3), 1 + np.abs(draw(2, 6)), draw(3, 12, 4), draw(4, 12)
S = np.cov(X.T)
PROBLEMS = {
    "least squares in a corner": (
        "dims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize ||X w - y||^2  subject to  w >= 0; sum[j] w[j] <= 1/10",
        {"X": X, "y": Y},
        [cp.Variable(4)],
        lambda w: (cp.sum_squares(X @ w - Y), [w >= 0, cp.sum(w) <= 0.1]),
    ),
    "linear program": (
        "dims m, n\ndata A[m, n], b[m], c[n]\nparam x[n]\nminimize c' x  subject to  A x <= b; -3 <= x <= 3",
        {"A": A, "b": B, "c": draw(5, 3)},
        [cp.Variable(3)],
        lambda x: (draw(5, 3) @ x, [A @ x <= B, x >= -3, x <= 3]),
    ),
    "two balls": (
        "dims n\ndata c[n], u[n]\nparam x[n]\nminimize c' x  subject to  ||x - u|| <= 1; ||x|| <= 2",
        {"c": draw(6, 3), "u": np.array([1, -1, 0.5])},
        [cp.Variable(3)],
        lambda x: (draw(6, 3) @ x, [cp.norm(x - np.array([1, -1, 0.5])) <= 1, cp.norm(x) <= 2]),
    ),
    "second-order cones": (
        "dims m, n\ndata A[m, n], b[m], c[n]\nparam x[n]\nminimize ||A x - b||  subject to  ||x|| <= c' x + 1/2",
        {"A": A, "b": B, "c": np.array([0.5, 0, 0.25])},
        [cp.Variable(3)],
        lambda x: (cp.norm(A @ x - B), [cp.norm(x) <= np.array([0.5, 0, 0.25]) @ x + 0.5]),
    ),
    "largest entropy": (
        "dims n\ndata v[n]\nparam p[n] > 0\nmaximize -sum[i] p[i] log p[i]\n"
        "subject to  sum[i] p[i] = 1; sum[i] v[i] p[i] = 2; sum[i] v[i]^2 p[i] <= 5",
        {"v": np.arange(5.0)},
        [cp.Variable(5)],
        lambda p: (-cp.sum(cp.entr(p)), [cp.sum(p) == 1, np.arange(5) @ p == 2, np.arange(5) ** 2 @ p <= 5]),
    ),
    "sparse precision": (
        "dims d\ndata S[d, d]\nparam T[d, d] in psd\nminimize tr(S T) - logdet(T) + 1/5 sum[i, j] |T[i, j]|",
        {"S": S},
        [cp.Variable((4, 4), PSD=True)],
        lambda T: (cp.trace(S @ T) - cp.log_det(T) + 0.2 * cp.sum(cp.abs(T)), []),
    ),
    "nearest correlations": (
        "dims n\ndata C[n, n]\nparam P[n, n] in psd\nminimize sum[i, j] (P[i, j] - C[i, j])^2  subject to  P[i, i] = 1",
        {"C": 3 * S},
        [cp.Variable((4, 4), PSD=True)],
        lambda P: (cp.sum_squares(P - 3 * S), [cp.diag(P) == 1]),
    ),
    "quantile": (
        "dims n, d\ndata X[n, d], y[n]\nparam w[d]\nr = y - X w\nminimize sum[i] max(3/10 r[i], -7/10 r[i])",
        {"X": X, "y": Y},
        [cp.Variable(4)],
        lambda w: (cp.sum(cp.maximum(0.3 * (Y - X @ w), -0.7 * (Y - X @ w))), []),
    ),
    "Chebyshev centre": (
        "dims m, n\ndata A[m, n], b[m]\nparam x[n], r\nl[i] = sqrt(sum[j] A[i, j]^2)\n"
        "maximize r  subject to  sum[j] A[i, j] x[j] + r l[i] <= b[i]; -1 <= x <= 1; r <= 4",
        {"A": A, "b": B},
        [cp.Variable(3), cp.Variable()],
        lambda x, r: (-r, [A @ x + r * np.linalg.norm(A, axis=1) <= B, x >= -1, x <= 1, r <= 4]),
    ),
    "analytic centre": (
        "dims m, n\ndata A[m, n], b[m]\nparam x[n]\nminimize -sum[i] log(b[i] - sum[j] A[i, j] x[j]) + 1/2 ||x||^2",
        {"A": A, "b": B},
        [cp.Variable(3)],
        lambda x: (-cp.sum(cp.log(B - A @ x)) + cp.sum_squares(x) / 2, []),
    ),
    "fused signal": (
        "dims n\ndata y[n]\nparam x[n]\nminimize 1/2 ||x - y||^2 + 1/2 sum[t in 0..n-2] |x[t+1] - x[t]|",
        {"y": Y},
        [cp.Variable(12)],
        lambda x: (cp.sum_squares(x - Y) / 2 + cp.sum(cp.abs(cp.diff(x))) / 2, []),
    ),
    "log-sum-exp and a kink": (
        "dims m, n\ndata A[m, n]\nparam x[n]\nminimize log(sum[i] exp(sum[j] A[i, j] x[j])) + |x[0]|\n"
        "subject to  sum[j] x[j] = 1",
        {"A": A},
        [cp.Variable(3)],
        lambda x: (cp.log_sum_exp(A @ x) + cp.abs(x[0]), [cp.sum(x) == 1]),
    ),
    "water filling": (
        "dims n\ndata a[n]\nparam p[n] >= 0\nmaximize sum[i] log(a[i] + p[i])  subject to  sum[i] p[i] = 1",
        {"a": B},
        [cp.Variable(6)],
        lambda p: (-cp.sum(cp.log(B + p)), [p >= 0, cp.sum(p) == 1]),
    ),
}


def optimum(page: str, data: dict) -> float:
    """The least objective that symml finds (of `maximize` the negative)."""
    outcome = pipeline.train(
        Source("p.symml", f"model m\n{page}\n"), pipeline.Options(target="reference"), data, 0
    ).outcome
    assert outcome["status"] == "converged", outcome
    return outcome["loss"]


def peer(objective: cp.Expression, conditions: list) -> float:
    return cp.Problem(cp.Minimize(objective), conditions).solve(solver=cp.CLARABEL, **EXACT)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_optimum_is_cvxpys(name):
    page, data, unknowns, stated = PROBLEMS[name]
    np.testing.assert_allclose(optimum(page, data), peer(*stated(*unknowns)), rtol=VALUE, atol=VALUE)


def test_another_problem_has_another_optimum():
    """The control: without its last condition CVXPY's optimum is farther away than the bound."""
    page, data, unknowns, stated = PROBLEMS["least squares in a corner"]
    objective, conditions = stated(*unknowns)
    assert abs(peer(objective, conditions[:-1]) - optimum(page, data)) > 1e-3

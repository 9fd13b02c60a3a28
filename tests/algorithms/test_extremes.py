"""Largest singular values and extreme eigenvalues as objectives and bounds: no method is named, the optimum is CVXPY's."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from symml import pipeline
from symml.source import Source
from symml.training import extremes, fractional
from tests.check import analysis

RNG = np.random.default_rng(0)
A, B, Y = (RNG.normal(size=(2, 3)) for _ in range(3))
C, D = (M + M.T for M in (RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))))
EXACT = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
HEAD = "dims m, n\ndata A[m, n], B[m, n], Y[m, n], C[n, n], D[n, n]\n"
PAGES = {
    "largest singular value": (
        "param x[2]\nminimize over x  spectral(A + x[0] B + x[1] Y) + 1/10 ||x||^2  subject to  x >= 0.1",
        cp.Variable(2),
        lambda x: (cp.norm(A + x[0] * B + x[1] * Y, 2) + cp.sum_squares(x) / 10, [x >= 0.1]),
    ),
    "largest eigenvalue": (
        "param x\nminimize over x  max[i] eigvals(C + x D)[i] - x/10",
        cp.Variable(),
        lambda x: (cp.lambda_max(C + x * D) - x / 10, []),
    ),
    "smallest eigenvalue": (
        "param x\nmaximize over x  eigvals(C + x D)[0] - x^2",
        cp.Variable(),
        lambda x: (-cp.lambda_min(C + x * D) + x**2, []),
    ),
    "a spread": (
        "param x\nminimize over x  eigvals(C + x D)[n-1] - eigvals(C + x D)[0]",
        cp.Variable(),
        lambda x: (cp.lambda_max(C + x * D) - cp.lambda_min(C + x * D), []),
    ),
    "a nuclear bound": (
        "param W[m, n]\nminimize over W  ||W - Y||^2  subject to  nuclear(W) <= 1",
        cp.Variable((2, 3)),
        lambda W: (cp.sum_squares(W - Y), [cp.normNuc(W) <= 1]),
    ),
    "a bound, and another norm": (
        "param W[m, n]\nminimize over W  1/2 ||W - Y||^2 + nuclear(W)/4  subject to  spectral(W) <= 1/2",
        cp.Variable((2, 3)),
        lambda W: (cp.sum_squares(W - Y) / 2 + cp.normNuc(W) / 4, [cp.norm(W, 2) <= 0.5]),
    ),
}


LONG = ("a spread", "a nuclear bound")  # the other rows hold their parts


@pytest.mark.parametrize("name", [pytest.param(k, marks=pytest.mark.full) if k in LONG else k for k in PAGES])
def test_the_optimum_is_cvxpy_s(name):
    page, variable, problem = PAGES[name]
    data = {"A": A, "B": B, "Y": Y, "C": C, "D": D}
    fit = pipeline.train(Source("p.symml", f"model m\n{HEAD}{page}\n"), pipeline.Options(target="reference"), data, 0)
    goal, conditions = problem(variable)
    best = cp.Problem(cp.Minimize(goal), conditions).solve(solver="CLARABEL", **EXACT)
    assert fit.kernel.manifest["method"]["name"] == "interior_point" and fit.outcome["status"] == "converged"
    assert abs(fit.outcome["loss"] - best) <= 1e-7 * max(1.0, abs(best)) and fit.outcome["kkt"] <= 1e-8
    assert fit.kernel.manifest["certificate"]["curvature"] == "convex"


@pytest.mark.parametrize(
    ("page", "lifted"),
    [
        ("minimize over x  spectral(A + x[0] B)", True),
        ("maximize over x  spectral(A + x[0] B) - ||x||^2", False),
        ("minimize over x  eigvals(C + x[0] D)[0] + ||x||^2", False),
        ("minimize over x  eigvals(C + x[0] D)[1] + ||x||^2", False),
        ("minimize over x  spectral(A) + ||x||^2", False),
    ],
)
def test_only_what_the_objective_rises_with(page, lifted):
    a = analysis(f"{HEAD}param x[2]\n{page}")
    assert (extremes.of(a.forward, {}, a.model.over) is not None) == lifted


def test_a_singular_optimum_of_a_form_in_an_inverse():
    """c' P^-1 c over tr P <= 1 is least at c c' / c'c: |c|^2, where no derivative of the inverse is."""
    page = "dims n\ndata c[n]\nparam P[n, n] in psd\nminimize c' inv(P) c  subject to  tr(P) <= 1"
    fit = pipeline.train(Source("p.symml", f"model m\n{page}\n"), pipeline.Options(target="reference"), {"c": A[0]}, 0)
    assert fit.outcome["status"] == "converged" and fit.outcome["kkt"] <= 1e-8 and fit.outcome["gap"] <= 1e-7
    assert abs(fit.outcome["loss"] - A[0] @ A[0]) <= 1e-7


@pytest.mark.parametrize(
    ("page", "lifted"),
    [
        ("minimize over w  Y[0]' inv(A' diag(w) A) Y[0]", True),
        ("minimize over w  tr(Y inv(A' diag(w) A) Y')", True),
        ("minimize over w  -Y[0]' inv(A' diag(w) A) Y[0]", False),
        ("minimize over w  Y[0]' inv(A' diag(w) A) B[0]", False),
        ("minimize over w  Y[0]' inv(A' diag(w) B) Y[0]", False),
    ],
)
def test_forms_in_an_inverse(page, lifted):
    """A control: of what is not semidefinite, of two vectors, and where the objective falls there is no such form."""
    a = analysis(f"{HEAD}param w[m] >= 0\n{page}")
    assert (fractional.of(a.forward, {}, a.model.over) is not None) == lifted

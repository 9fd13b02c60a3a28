"""`solve_each`: a batch of systems with derivatives of both orders; names and kinks that a page must tell apart."""

import numpy as np
import pytest

from symml import pipeline
from symml.calculus.second import hessian
from symml.derivations.products import derive
from symml.errors import SymmlError
from symml.proof.complex_step import check_jacobian
from symml.source import Source
from tests.check import analysis, check_agree, check_derivative, page

BATCH = """dims n, d
data A[n, d, d], b[n, d]
param W[n, d] init 0
Z = solve_each(A, W)
minimize over W
  sum[i, j] (Z[i, j] - b[i, j])^4 + 1/2 sum[i, j] W[i, j]^2
train with lbfgs until |grad| < 1e-8
"""


def test_a_batch_of_systems():
    a = analysis(BATCH)
    check_derivative(a)
    (w,) = a.model.over
    h = hessian(a.derivative, w, w)
    assert check_jacobian(a.derivative, "d_W", h.program, w, "hessian").ok
    assert h.ties  # a system of the batch has nothing to do with another: no n x n array of them
    moved = analysis(
        BATCH.replace("solve_each(A, W)", "solve_each(W, b)")
        .replace("W[n, d]", "W[n, d, d]")
        .replace("W[i, j]^2", "b[i, j]^2")
    )
    check_derivative(moved)  # the matrices move as well
    rows = derive(page(BATCH), False, None, "matrix", {}, True, "jacobian", "Z")
    assert "expansion by sympy agrees" in rows[0]["proof"]


@pytest.mark.parametrize("wrong", ["solve_each(A, b')", "solve_each(b, W)", "solve_each(A, A[0])"])
def test_a_batch_of_other_sizes_is_refused(wrong):
    with pytest.raises(SymmlError, match="solve_each"):
        pipeline.load(page(BATCH.replace("solve_each(A, W)", wrong)))


@pytest.mark.full
def test_targets_agree():
    rng = np.random.default_rng(0)
    data = {"A": rng.normal(size=(4, 2, 2)) + 3 * np.eye(2), "b": rng.normal(size=(4, 2))}
    check_agree(page(BATCH), data, steps=5)


@pytest.mark.parametrize("pair", [("lam", "lambda"), ("eps", "epsilon"), ("lam_1", "lambda_1")])
def test_names_that_are_written_alike(pair):
    a, b = pair
    text = f"dims n\ndata x[n]\nparam w\nhyper {a} = 1, {b} = 2\nminimize over w\n  sum[i] (x[i] - {a} w)^2 + {b} w^2\n"
    with pytest.raises(SymmlError, match="both written"):
        pipeline.load(page(text))
    pipeline.load(page(text.replace(b, "w_1").replace(a, "w1")))  # these are w with a subscript, and w_1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("relu(a)-relu(-a)", True),
        ("relu(a)+relu(-a)", False),
        ("relu(a)-abs(a)", False),
        ("relu(a)", False),
        ("abs(a)*a-relu(a)*a", False),
    ],
)
def test_kinks_at_one_place(text, told):
    """relu(a) - relu(-a) is a, whose slope at 0 is 1; the rules say 0."""
    (row,) = derive(Source("-e", text), True, "a", "matrix", {})
    assert ("no slope" in row["proof"]) == told

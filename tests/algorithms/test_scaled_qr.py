"""Linear least squares by scaled QR: certified digits on Longley's data, and what normal equations would give."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from check import standalone

import symml
from symml import pipeline
from symml.errors import SymmlError
from symml.source import Source

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "areas"))
import oracles  # noqa: E402

PAGE = ROOT / "examples" / "longley.symml"
SQUARES = """model m
dims n, d
data X[n, d], y[n]
param w[d]
hyper lam > 0 = 0.1
minimize over w  1/n ||X w - y||^2 + lam ||w||^2
"""
RNG = np.random.default_rng(8)
X = RNG.normal(size=(30, 4))
Y = RNG.normal(size=30)


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_longley_to_twelve_certified_digits(target):
    fit = symml.load(PAGE).train(target=target)
    assert fit._result.kernel.manifest["method"]["name"] == "scaled_qr"
    assert oracles.longley(fit) < 1e-12
    assert fit.report["deviation"] == pytest.approx(304.854073561965, rel=1e-12)


def test_a_standalone_module_has_the_same_bits():
    fit = symml.load(PAGE).train()
    module = standalone(pipeline.emit(pipeline.read(PAGE), pipeline.Options()))
    data = fit._result.bound.arrays
    assert np.array_equal(module.fit({"X": data["X"], "y": data["y"]})["x"], fit._result.x)


def test_normal_equations_lose_the_digits():
    bound = symml.load(PAGE).train(target="reference")._result.bound
    A = np.column_stack([bound.arrays["X"], np.ones(16)])
    found = np.linalg.solve(A.T @ A, A.T @ bound.arrays["y"])
    truth = np.append(oracles.LONGLEY["w"], oracles.LONGLEY["b"])
    assert np.max(np.abs(found / truth - 1)) > 1e-10


def test_a_penalty_is_rows_of_the_system():
    fit = symml.parse(SQUARES).train(target="reference", X=X, y=Y)
    truth = np.linalg.solve(X.T @ X / 30 + 0.1 * np.eye(4), X.T @ Y / 30)
    np.testing.assert_allclose(fit.params["w"], truth, rtol=1e-13)


def test_a_column_that_depends_on_others_is_left_out():
    page = SQUARES.replace(" + lam ||w||^2", "")
    fit = symml.parse(page).train(target="reference", X=np.column_stack([X, X @ [1.0, 2, 0, 0]]), y=Y)
    assert fit._result.outcome["rank"] == 4 and (fit.params["w"] == 0).sum() == 1
    assert fit.loss == pytest.approx(np.sum((Y - X @ np.linalg.lstsq(X, Y, rcond=None)[0]) ** 2) / 30, rel=1e-12)


def test_fewer_rows_than_columns():
    fit = symml.parse(SQUARES.replace(" + lam ||w||^2", "")).train(target="reference", X=X[:3], y=Y[:3])
    assert fit._result.outcome["rank"] == 3 and fit.loss < 1e-28


def test_it_can_be_named_where_residuals_are_affine():
    fit = symml.parse(SQUARES + "train with scaled_qr").train(target="reference", X=X, y=Y)
    assert fit.status == "converged"
    curved = SQUARES.replace("X w - y", "exp(X w) - y").replace("param w[d]", "param w[d] init 0")
    with pytest.raises(SymmlError, match="not affine"):
        pipeline.build(Source("p", curved + "train with scaled_qr"), pipeline.Options())

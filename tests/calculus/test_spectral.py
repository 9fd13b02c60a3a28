"""Eigenvalues, singular values and their vectors: values, derivatives to second order, targets, and where they coincide."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import sympy
from check import analysis, check_agree, check_derivative, check_loops, page

from symml import pipeline
from symml.errors import NumericError
from symml.ir import spectral
from symml.ir.evaluate import evaluate
from symml.proof.complex_step import check_gradient
from symml.proof.high_precision import arithmetic
from symml.proof.samples import sample
from symml.source import Source
from symml.targets.numba_cpu import linalg

HEAD = "dims n, d\ndata X[n, d], u[d]\nparam A[d, d] init normal(0, 1), B[n, d] init normal(0, 1)\n"
LOSSES = {
    "values": "sum[i] exp(eigvals(A)[i] / 4) + ||A||^2",
    "gram": "sum[i in d] log(1 + eigvals(B' B)[i]) + ||B - X||^2",
    "vectors": "sum[i in d] u[i] (eigvecs(A) u)[i]^2 + ||A||^2",
    "singular": "nuclear(B) + spectral(B) + 1/2 ||B - X||^2",
    "left": "sum[i, j] X[i, j] svdu(B)[i, j] + ||B||^2",
    "right": "sum[i, j in d] u[i] svdv(B)[i, j]^2 u[j] + ||B||^2",
    "determinant": "log |det(A)| + ||A||^2 + normp(u - A' u, 3) + frobenius(A)",
    "powers": "tr(A^3) + tr((A A' + 2 A^-2)^2) / 9 + tr(A^5) / 99",
}
BOTH = "sum[i] exp(eigvals(A)[i] / 4) + sum[i in d] u[i] (eigvecs(A' A) u)[i]^2 + nuclear(B) + spectral(B)"
LARGE = "sum[i, j] X[i, j] (svdu(B) svdv(B)')[i, j] + 1/2 ||B - X||^2 + log |det(A)| + ||A||^2"


def loss(name: str) -> str:
    text = LOSSES[name]
    used = [p for p in ("A[d, d]", "B[n, d]") if f"{p[0]}" in text]
    head = f"dims n, d\ndata X[n, d], u[d]\nparam {', '.join(f'{p} init normal(0, 1)' for p in used)}\n"
    return f"{head}minimize {text}"


@pytest.mark.parametrize("name", LOSSES)
def test_derivatives_to_second_order(name):
    a = analysis(loss(name))
    check_derivative(a)
    check_loops(a.derivative, rows=20)


@pytest.mark.parametrize("name", ["values", "gram", "vectors", "singular", "left", "right"])
def test_derivatives_by_differences_at_high_precision(name):
    """The second oracle: (f(x + h v) - f(x - h v)) / 2h, extrapolated, in 60 digits; it knows no perturbation theory."""
    a = analysis(loss(name))
    (t,) = [t for t in a.model.over if t.name in "AB"]
    values, dims = sample(a.derivative, np.random.default_rng(4))
    gradient = evaluate(a.derivative, values, dims)[a.derivative.outputs[f"d_{t.name}"]]
    v = np.random.default_rng(5).normal(size=np.shape(values[t]))

    def at(s: float) -> mpmath.mpf:
        number = np.frompyfunc(lambda x: mpmath.mpf(float(x)), 1, 1)
        moved = {u: x if u.integer else np.asarray(number(x), object) for u, x in values.items()}
        moved[t] = moved[t] + s * number(v)
        env = evaluate(a.forward, {u: moved[u] for u in a.forward.inputs}, dims, arithmetic(60))
        return np.asarray(env[a.forward.outputs["loss"]], object).item()

    with mpmath.workdps(60):
        h = mpmath.mpf(10) ** -9
        wide, narrow = ((at(s) - at(-s)) / (2 * s) for s in (2 * h, h))
        slope = float((4 * narrow - wide) / 3)
    assert float(np.sum(gradient * v)) == pytest.approx(slope, rel=1e-9)
    assert float(np.sum(gradient * v)) * 1.001 != pytest.approx(slope, rel=1e-9)


def test_a_wrong_derivative_of_eigenvectors_is_seen():
    a = analysis(loss("vectors"))
    (t,) = a.model.over
    assert check_gradient(a.raw, a.derivative, "loss", t).ok
    wrong = a.derivative.mapped(
        lambda s: s.with_body(s.body * sympy.Rational(1001, 1000)) if s.out.name == f"d_{t.name}" else s
    )
    assert not check_gradient(a.raw, replace(wrong), "loss", t).ok


@pytest.mark.parametrize("shape", [(5, 3), (3, 3), (3, 5)])
def test_factors_are_those_of_the_matrix(shape):
    m = np.random.default_rng(1).normal(size=shape)
    s, u, v = spectral.svdvals(m), spectral.svdu(m), spectral.svdv(m)
    np.testing.assert_allclose(u * s @ v.T, m, atol=1e-13)
    assert (np.diff(s) <= 0).all() and s.shape == (shape[1],)
    w, q = spectral.eigvals(m @ m.T), spectral.eigvecs(m @ m.T)
    np.testing.assert_allclose(q * w @ q.T, m @ m.T, atol=1e-13)
    for vectors in (q, v):
        assert (vectors[np.argmax(np.abs(vectors), axis=0), np.arange(len(vectors))] > 0).all()


def test_compiled_factors_are_the_interpreters():
    rng = np.random.default_rng(6)
    for shape in ((5, 3), (3, 5)):
        m = rng.normal(size=shape)
        for name, size in (("svdvals", shape[1:]), ("svdu", shape), ("svdv", (shape[1], shape[1]))):
            out = np.zeros(size)
            getattr(linalg, name)(m, out)
            np.testing.assert_allclose(out, spectral.OPERATIONS[name](m), atol=1e-13)
    s = rng.normal(size=(4, 4))
    for name, size in (("eigvals", (4,)), ("eigvecs", (4, 4))):
        out = np.zeros(size)
        getattr(linalg, name)(s, out)
        np.testing.assert_allclose(out, spectral.OPERATIONS[name](s), atol=1e-13)
    out, w = np.zeros((3, 3)), np.array([1.0, 2.0, 2.0])
    linalg.gaps(w, out)
    np.testing.assert_array_equal(out, spectral.gaps(w))
    assert np.isnan(out[1, 2]) and out[0, 1] == 1.0


@pytest.mark.full  # compiling takes most of the time
@pytest.mark.parametrize("text", [BOTH, LARGE])
def test_targets_agree(text):
    rng = np.random.default_rng(3)
    data = {"X": rng.normal(size=(6, 3)), "u": rng.normal(size=3)}
    check_agree(page(f"{HEAD}minimize {text}\ntrain with adam(lr = 1e-2, epochs = 25)"), data)


def test_what_is_the_same_in_any_order_has_a_gradient_where_values_coincide():
    a = analysis("dims d\nparam A[d, d] init 0\nminimize sum[i] eigvals(A)[i]^2")
    (t,) = a.model.over
    (d,) = t.shape[:1]
    identity = np.eye(4)
    found = evaluate(a.derivative, {t: identity}, {d: 4})[a.derivative.outputs["d_A"]]
    np.testing.assert_allclose(found, 2 * identity, atol=1e-14)


def test_vectors_of_equal_values_are_refused_by_name():
    text = "dims d\ndata u[d]\nparam A[d, d] init 0\nminimize sum[i in d] u[i] (eigvecs(A) u)[i]^2\ntrain with adam(epochs = 3)"
    with pytest.raises(NumericError, match="coincide, where their vectors have no derivative"):
        pipeline.train(page(text), pipeline.Options(target="reference"), {"u": np.array([1.0, 2.0, 3.0])}, 0)


def test_a_norm_at_zero_is_refused_by_name():
    text = "dims d\ndata u[d]\nparam w[d] init 0\nminimize ||w|| + u' w\ntrain with adam(epochs = 3)"
    with pytest.raises(NumericError, match="division by 0"):
        pipeline.train(page(text), pipeline.Options(target="reference"), {"u": np.array([1.0, 2.0, 3.0])}, 0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("logabsdet(X)", "X⁻ᵀ"),
        ("log(|det(X)|)", "X⁻ᵀ"),
        ("nuclear(X)", "svdu(X)svdv(X)ᵀ"),
        ("sum(exp(eigvals(X)))", "eigvecs(X)diag(exp(eigvals(X)))eigvecs(X)ᵀ"),
        ("frobenius(X)", "X/‖X‖_F"),
    ],
)
def test_formulas(text, shown):

    (row,) = pipeline.derivations(Source("-e", text), True, "X", "matrix", {})
    assert row["text"] == shown

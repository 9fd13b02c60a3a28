"""gradient = 0 in closed form: printed, plugged back, trained to what numpy and scikit-learn find; refused elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from check import standalone
from sklearn.cluster import KMeans

import symml
from symml import pipeline
from symml.derivations.stationary import closed_form
from symml.errors import NumericError, SymmlError
from symml.proof.plugged_back import check_solution
from symml.source import Source

RNG = np.random.default_rng(6)
X = RNG.normal(size=(40, 3)) * [1, 2, 3] + [1, 2, 3]
Y = RNG.normal(size=(40, 2))
COUNTS = RNG.poisson(3, size=40).astype(float)
BITS = (RNG.random(40) < 0.3).astype(float)
LABELS = RNG.integers(0, 4, size=40)
PAGES = {
    "gauss": "dims n, d\ndata X[n, d]\nparam mu[d], v[d] > 0\n"
    "minimize over mu, v  sum[i, j] ((X[i,j] - mu[j])^2/(2 v[j]) + 1/2 log v[j])",
    "poisson": "dims n\ndata y[n]\nparam rate > 0\nminimize over rate  sum[i] (rate - y[i] log rate)",
    "bernoulli": "dims n\ndata y[n] in {0, 1}\nparam p in (0, 1)\nminimize over p  -sum[i] (y[i] log p + (1 - y[i]) log(1 - p))",
    "multinomial": "dims n, K\ndata y[n] in K\nparam p[K] in simplex\nminimize over p  -sum[i] log p[y[i]]",
    "covariance": "dims n, d\ndata X[n, d]\nparam S[d, d] in psd\nminimize over S  n/2 logdet(S) + 1/2 tr(inv(S) X' X)",
    "precision": "dims n, d\ndata X[n, d]\nparam P[d, d] in psd\nminimize over P  -n/2 logdet(P) + 1/2 tr(P X' X)",
    "ridge": "dims n, d, c\ndata X[n, d], Y[n, c]\nparam W[d, c]\nhyper lam > 0 = 0.1\n"
    "minimize over W  1/n ||X W - Y||^2 + lam ||W||^2\ntrain with closed_form",
}
ALS = """model als
dims n, m, k = 2
data R[n, m] missing allowed
param U[n, k] init normal(0, 1), V[m, k] init normal(0, 1)
hyper lam > 0 = 0.5
minimize over U, V  sum[i, j] (R[i, j] - U[i]' V[j])^2 + lam (||U||^2 + ||V||^2)
train with alternating(iterations = 200)
"""
CLUSTERS = """model clusters
dims n, d, K = 3
data X[n, d]
param C[K, d] init sample(X)
minimize over C  sum[i] min[k] ||X[i] - C[k]||^2
train with alternating
"""


def page(name):
    return f"model {name}\n{PAGES[name]}\n"


TRUTH = {
    "gauss": ({"X": X}, {"mu": X.mean(0), "v": X.var(0)}),
    "poisson": ({"y": COUNTS}, {"rate": COUNTS.mean()}),
    "bernoulli": ({"y": BITS}, {"p": BITS.mean()}),
    "multinomial": ({"y": LABELS}, {"p": np.bincount(LABELS) / 40}),
    "covariance": ({"X": X}, {"S": X.T @ X / 40}),
    "precision": ({"X": X}, {"P": np.linalg.inv(X.T @ X / 40)}),
    "ridge": ({"X": X, "Y": Y}, {"W": np.linalg.solve(X.T @ X / 40 + 0.1 * np.eye(3), X.T @ Y / 40)}),
}


@pytest.mark.parametrize("name", PAGES)
def test_one_round_is_the_answer(name):
    data, truth = TRUTH[name]
    fit = symml.parse(page(name)).train(target="reference", **data)
    assert fit.status == "converged" and fit._result.outcome["steps"] <= 2
    assert "closed form" in fit._result.kernel.manifest["method"]["reason"]
    for key, value in truth.items():
        np.testing.assert_allclose(fit.params[key], value, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "name", ["multinomial", *(pytest.param(n, marks=pytest.mark.full) for n in ("gauss", "ridge"))]
)
def test_compiled_and_standalone(name):
    data, truth = TRUTH[name]
    fit = symml.parse(page(name)).train(**data)
    for key, value in truth.items():
        np.testing.assert_allclose(fit.params[key], value, rtol=1e-12, atol=1e-14)
    module = standalone(pipeline.emit(Source("p", page(name)), pipeline.Options()))
    assert np.array_equal(module.fit(data)["x"], fit._result.x)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("gauss", ["μ = 1/n Xᵀ1", "v = 1/n (Xᵀ − μ1ᵀ)^⊙2 1"]),
        ("poisson", ["rate = 1/n 1ᵀy"]),
        ("multinomial", ["p = 1/(1ᵀY1) Yᵀ1"]),
        ("covariance", ["S = 1/n XᵀX"]),
        ("precision", ["P = (1/n XᵀX)⁻¹"]),
        ("ridge", ["(2/n XᵀX + 2λI)W = 2/n XᵀY", "W = (XᵀX + λn I)⁻¹XᵀY"]),
    ],
)
def test_what_is_printed(name, shown):
    rows = pipeline.derivations(Source("p", page(name)), False, None, "matrix", {}, False, "stationary")
    told = [row["text"] for row in rows]
    assert all(text in told for text in shown), told
    assert all("the gradient is 0" in row["proof"] for row in rows if row["proof"])


def test_a_wrong_solution_is_seen():
    a = pipeline.analyse(Source("p", page("gauss")))
    mu, v = a.model.over
    for block in (mu, v):
        form = closed_form(a, block)
        assert check_solution(form.derivative, f"d_{block.name}", form.used, block).ok
        *kept, last = form.used.statements
        wrong = replace(form.used, statements=(*kept, last.with_body(last.body * 2)))
        assert not check_solution(form.derivative, f"d_{block.name}", wrong, block).ok


def test_factors_in_turn():
    r = RNG.normal(size=(20, 2)) @ RNG.normal(size=(2, 8))
    r[RNG.random((20, 8)) < 0.2] = np.nan
    fit = symml.parse(ALS).train(target="reference", R=r)
    u, v, there = fit.params["U"], fit.params["V"], ~np.isnan(r)
    assert (np.diff(fit.history) <= 1e-10).all()
    for i in range(20):  # each row's ridge regression on what it has
        w = v[there[i]]
        np.testing.assert_allclose(u[i], np.linalg.solve(w.T @ w + 0.5 * np.eye(2), w.T @ r[i, there[i]]), atol=1e-4)


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_lloyd(target):
    fit = symml.parse(CLUSTERS).train(target=target, X=X)
    a = pipeline.analyse(Source("p", CLUSTERS))
    rows = pipeline.derivations(Source("p", CLUSTERS), False, None, "matrix", {}, False, "stationary")
    assert "with what the minimum chose held" in rows[0]["text"] and a.model.over[0].name == "C"
    start = symml.parse(CLUSTERS.replace("alternating", "alternating(iterations = 1)")).train(target="reference", X=X)
    theirs = KMeans(3, init=start.params["C"], n_init=1, algorithm="lloyd", tol=0).fit(X)
    assert fit.loss == pytest.approx(theirs.inertia_, rel=1e-12)


@pytest.mark.parametrize("sense, ends", [("maximize", slice(-2, None)), ("minimize", slice(0, 2))])
def test_an_eigenproblem(sense, ends):
    text = f"""model pca
dims n, d, k = 2
data X[n, d] centred
param W[d, k]
{sense} over W  tr(W' X' X W)  subject to  W' W = I
"""
    fit = symml.parse(text).train(target="reference", X=X)
    centred = X - X.mean(0)
    vectors = np.linalg.eigh(centred.T @ centred)[1][:, ends]
    w = fit.params["W"]
    assert np.linalg.norm(w - vectors @ (vectors.T @ w), 2) < 1e-12
    rows = pipeline.derivations(Source("p", text), False, None, "matrix", {}, False, "stationary")
    assert any("an eigenproblem" in row["text"] for row in rows)


def test_a_maximum_is_no_minimum():
    text = "model m\ndims n\ndata y[n]\nparam a init 0\nminimize over a  -sum[i] (y[i] - a)^2\ntrain with closed_form"
    with pytest.raises(NumericError, match="no minimum"):
        symml.parse(text).train(target="reference", y=COUNTS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("minimize over w  sum[i] log(1 + exp(-y[i] w))\ntrain with closed_form", "not affine in w"),
        ("minimize over w, b  sum[i] (y[i] - w b)^2\ntrain with closed_form", "needs the others"),
        ("minimize over w  sum[i] (y[i] - w)^2  subject to w <= 1\ntrain with closed_form", "boundary"),
        ("minimize over w, b  sum[i] (y[i] - w)^2 + b^2  subject to w + b <= 1\ntrain with closed_form", "ties"),
    ],
)
def test_what_has_none(text, words):
    with pytest.raises(SymmlError, match=words):
        symml.parse(f"model m\ndims n\ndata y[n]\nparam w init 1, b init 1\n{text}\n").train(
            target="reference", y=COUNTS
        )


def test_weights_count_in_closed_forms():
    text = page("poisson").replace("data y[n]", "data y[n], weight k[n] > 0")
    k = RNG.random(40) + 0.1
    fit = symml.parse(text).train(target="reference", y=COUNTS, k=k)
    assert fit.params["rate"] == pytest.approx(np.average(COUNTS, weights=k), rel=1e-12)


def test_constraints_are_never_left_out():
    text = "model m\ndims n\ndata y[n]\nparam w\nminimize over w  sum[i] (y[i] + w)^2  subject to w >= 0\n"
    assert symml.parse(text).train(target="reference", y=COUNTS).params["w"] == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(SymmlError, match="double precision"):
        symml.parse(text).train(dtype="float32", y=COUNTS)


def test_a_hessian_that_is_a_number():
    """||x||^2 + c'x and a sum of squares of differences: 2 on the diagonal, which no tensor holds."""
    for objective, truth in (("||x||^2 + c' x", [-0.5, -1.0]), ("||x - c||^2 + 2 sum[i] x[i]", [0.0, 1.0])):
        page = f"model m\ndims n\ndata c[n]\nparam x[n]\nminimize {objective}\n"
        found = pipeline.train(
            Source("p.symml", page), pipeline.Options(target="reference"), {"c": np.array([1.0, 2.0])}, 0
        )
        np.testing.assert_allclose(found.x, truth, atol=1e-15)
        assert found.kernel.manifest["method"]["name"] == "closed_form"


def test_roots_that_no_target_computes_are_no_closed_form():
    """2 r (x - c) + exp(x) = 0 is Lambert's W; `r` is a number of the data, on every target."""
    page = "model m\ndims n\ndata c[n], r > 0\nparam x[n]\nminimize r ||x - c||^2 + sum[i] exp(x[i])\n"
    data = {"c": np.array([0.0, 1.0, 2.0]), "r": 2.0}
    for target in ("reference", "cpu"):
        x = pipeline.train(Source("p.symml", page), pipeline.Options(target=target), data, 0).x
        np.testing.assert_allclose(4 * (x - data["c"]) + np.exp(x), 0, atol=1e-6)

"""Weights of rows and missing entries: against repeated rows, scikit-learn and numpy, and what is refused where."""

from __future__ import annotations

import numpy as np
import pytest
from check import check_derivative, standalone
from sklearn.linear_model import LogisticRegression

import symml
from symml import pipeline
from symml.errors import DataError, SymmlError
from symml.ir.evaluate import evaluate
from symml.source import Source

RNG = np.random.default_rng(4)
X = RNG.normal(size=(60, 3))
Y = (RNG.random(60) < 1 / (1 + np.exp(-X @ [2.0, -1, 0]))).astype(float)
COUNTS = RNG.integers(1, 4, 60)
LOGISTIC = """model m
dims n, d
data X[n, d], y[n] in {0, 1}, weight v[n] > 0
param w[d], b
hyper lam > 0 = 0.1
p = sigmoid(X w + b)
minimize -1/n sum[i] (y[i] log p[i] + (1 - y[i]) log(1 - p[i])) + lam/2 ||w||^2
train with lbfgs until |grad| < 1e-10
report accuracy = mean[i] [[p[i] > 1/2] = y[i]]
"""
PLAIN = LOGISTIC.replace(", weight v[n] > 0", "")


def fitted(page, target="reference", **data):
    return symml.parse(page).train(target=target, **data)


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_whole_weights_are_repeated_rows(target):
    fit = fitted(LOGISTIC, target, X=X, y=Y, v=COUNTS)
    repeated = fitted(PLAIN, target, X=np.repeat(X, COUNTS, axis=0), y=np.repeat(Y, COUNTS))
    np.testing.assert_allclose(fit.params["w"], repeated.params["w"], atol=1e-8)
    assert fit.loss == pytest.approx(repeated.loss, rel=1e-12)
    assert not np.allclose(fit.params["w"], fitted(PLAIN, target, X=X, y=Y).params["w"], atol=1e-3)


def test_weights_are_those_of_scikit_learn():
    v = RNG.random(60) + 0.1
    fit = fitted(LOGISTIC, X=X, y=Y, v=v)
    theirs = LogisticRegression(C=1 / (0.1 * v.sum()), tol=1e-12, max_iter=10_000).fit(X, Y, sample_weight=v)
    np.testing.assert_allclose(fit.params["w"], theirs.coef_[0], atol=1e-6)


def test_a_standalone_module_trains_to_the_same_bits():
    fit = fitted(LOGISTIC, "cpu", X=X, y=Y, v=COUNTS)
    module = standalone(pipeline.emit(Source("p", LOGISTIC), pipeline.Options()))
    assert np.array_equal(module.fit({"X": X, "y": Y, "v": COUNTS})["x"], fit._result.x)
    m, _ = table()
    fit, module = fitted(FACTORS, "cpu", M=m), standalone(pipeline.emit(Source("p", FACTORS), pipeline.Options()))
    assert np.array_equal(module.fit({"M": m})["x"], fit._result.x)
    with pytest.raises(ValueError, match="no entry that is present"):
        module.fit({"M": np.full_like(m, np.nan)})


BODIES = [
    "1/n sum[i] (x[i] - a)^2 + a^2",
    "mean[i] exp(x[i] a)",
    "logsumexp[i] (a x[i]) - log n",
    "sum[i, k] (x[i] - x[k] a)^2 / n^2",
    "max[i] (x[i] - a)^2",
    "sum[i] (x[i] - a - 1/n sum[k] x[k])^2",
]


@pytest.mark.parametrize("body", BODIES)
def test_every_reduction_over_rows_counts_them(body):
    page = "model m\ndims n\ndata x[n], weight v[n] > 0\nparam a init 1\nminimize " + body
    a, plain = (pipeline.analyse(Source("p", p)) for p in (page, page.replace(", weight v[n] > 0", "")))
    x, v = np.array([0.3, -1.0, 2.0]), np.array([2.0, 1.0, 3.0])

    def loss(analysis, **values):
        given = {t: np.asarray(values[t.name]) for t in analysis.forward.inputs}
        (n,) = analysis.model.dims.values()
        return float(evaluate(analysis.forward, given, {n: len(values["x"])})[analysis.forward.outputs["loss"]])

    truth = loss(plain, x=np.repeat(x, [2, 1, 3]), a=0.7)
    assert loss(a, x=x, v=v, a=0.7) == pytest.approx(truth, rel=1e-12)
    if not body.startswith("max"):
        check_derivative(a)


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("-1/n sum[i] (", "-1/n sum[i] v[i] (", "weights the rows by itself"),
        ("weight v[n] > 0", "weight v[d] > 0", "an entry for each row"),
        ("weight v[n] > 0", "weight v[n] > 0, weight u[n]", "one weight"),
        ("lam/2 ||w||^2", "max[i] X[i, 0] b", "over rows of weight 0"),
        ("lam/2 ||w||^2", "lam/2 ||w||^2 + sum[i] t[i]^2", "has an entry for each row"),
    ],
)
def test_wrong_weights_have_a_place(old, new, words):
    page = LOGISTIC.replace(old, new)
    page = page.replace("v[n] > 0\n", "v[n]\n") if "max[i]" in new else page
    page = page.replace("param w[d], b", "param w[d], b, t[n]") if "t[i]" in new else page
    with pytest.raises(SymmlError, match=words) as caught:
        pipeline.analyse(Source("p.symml", page))
    assert "p.symml:" in str(caught.value)


def test_negative_weights_and_errors_of_weighted_fits_are_refused():
    with pytest.raises(DataError, match=r"v\[0\] = -1: outside"):
        fitted(LOGISTIC, X=X, y=Y, v=np.where(np.arange(60) == 0, -1.0, 1.0))
    with pytest.raises(SymmlError, match="depend on what a weight is"):
        fitted(LOGISTIC, X=X, y=Y, v=COUNTS).errors("likelihood", "reference")


FACTORS = """model m
dims n, d, k = 2
data M[n, d] missing allowed
param U[n, k] init normal(0, 0.5), V[d, k] init normal(0, 0.5)
R = M - U V'
minimize 1/2 sum[i, j] R[i, j]^2 + 1/2 (||U||^2 + ||V||^2)
train with lbfgs until |grad| < 1e-9
report present = sum[i, j] M_present[i, j]
report error = sqrt(sum[i, j] (M[i, j] - (U V')[i, j])^2 / sum[i, j] M_present[i, j])
predict U V'
"""


def table(n=12, d=5):
    full = RNG.normal(size=(n, 2)) @ RNG.normal(size=(2, d)) * 2
    gaps = RNG.random((n, d)) < 0.3
    return np.where(gaps, np.nan, full), ~gaps


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_a_matrix_is_factored_over_its_present_entries(target):
    m, present = table()
    fit = fitted(FACTORS, target, M=m)
    u, v = fit.params["U"], fit.params["V"]
    r = np.where(present, m - u @ v.T, 0.0)
    np.testing.assert_allclose(r @ v, u, atol=1e-8)  # the gradient is 0: each row's ridge regression on what it has
    np.testing.assert_allclose(r.T @ u, v, atol=1e-8)
    assert fit.loss == pytest.approx((np.sum(r**2) + np.sum(u**2) + np.sum(v**2)) / 2, rel=1e-12)
    assert fit.report["present"] == present.sum()
    assert fit.report["error"] == pytest.approx(np.sqrt(np.sum(r**2) / present.sum()))
    assert fit.predict().shape == m.shape


def test_what_is_missing_has_no_say(tmp_path):
    m, present = table()
    fit = fitted(FACTORS, M=m)
    names = ",".join(f"c{j}" for j in range(m.shape[1]))
    words = ["", "nan", "NA", " "]
    rows = [
        ",".join(repr(float(v)) if p else words[(i + j) % 4] for j, (v, p) in enumerate(zip(*r, strict=True)))
        for i, r in enumerate(zip(m, present, strict=True))
    ]
    (tmp_path / "m.csv").write_text(names + "\n" + "\n".join(rows) + "\n")
    np.save(tmp_path / "m.npy", m)
    for name in ("m.csv", "m.npy"):
        assert np.array_equal(fitted(FACTORS, M=tmp_path / name).params["U"], fit.params["U"])
    check_derivative(pipeline.analyse(Source("p", FACTORS)))


def test_other_data_of_the_same_file_may_not_lack_entries(tmp_path):
    page = 'model m\ndims n\ndata x[n] missing allowed, y[n]  from "t.csv"\nparam a\n'
    page += "minimize sum[i] (x[i] - a)^2 + sum[i] (y[i] - a)^2"
    (tmp_path / "t.csv").write_text("x,y\n1,2\n,3\n2,4\n")
    fit = symml.parse(page, str(tmp_path / "p.symml")).train(target="reference")
    assert fit.params["a"] == pytest.approx(12 / 5)
    for content, words in (
        ("x,y\n1,2\n3,\n", "'y' has non-finite"),
        ("x,y\ninf,2\n", "inf"),
        ("x,y\n1,2\nz,3\n", "'z'"),
        ("x,y\n,2\n", "no entry"),
    ):
        (tmp_path / "t.csv").write_text(content)
        with pytest.raises(DataError, match=words):
            symml.parse(page, str(tmp_path / "p.symml")).train(target="reference")


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("predict U V'", "predict R", "predict has entries that may be missing"),
        ("1/2 sum[i, j] R[i, j]^2", "1/2 sum[i] max[j] R[i, j]^2", "only sums over all of its indices"),
        ("1/2 sum[i, j] R[i, j]^2", "1/2 ||M V - U||^2", "only sums over all of its indices"),
        ("missing allowed", "missing", "missing allowed"),
        ("M[n, d] missing allowed", "M[n, d] in d missing allowed", "only plain numbers"),
        ("M[n, d] missing allowed", "M[n, d] standardised missing allowed", "only plain numbers"),
    ],
)
def test_wrong_uses_of_missing_entries_have_a_place(old, new, words):
    with pytest.raises(SymmlError, match=words) as caught:
        pipeline.load(Source("p.symml", FACTORS.replace(old, new)))
    assert "p.symml:" in str(caught.value)

"""Sparse data: the same fit as the dense matrix, over parts, folds and files; indices out of range are refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from check import check_derivative, standalone

import symml
from symml import pipeline
from symml.errors import DataError, SymmlError
from symml.runtime.stored import take_rows
from symml.source import Source

RNG = np.random.default_rng(7)
X = RNG.normal(size=(80, 6)) * (RNG.random((80, 6)) < 0.3)
Y = X @ np.arange(6.0) + 1 + RNG.normal(size=80)
PAGE = """model m
dims n, d
data X[n, d] sparse, y[n]
param w[d], b
hyper lam in {0.1, 1} chosen by smallest mse on folds
split n into train 0.75, test 0.25, folds 3 seed 1
minimize 1/n ||y - X w - b||^2 + lam ||w||^2
train with lbfgs until |grad| < 1e-10
report mse = 1/n sum[i] (y[i] - (X w)[i] - b)^2 on test
predict X w + b
"""


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_sparse_and_dense_fits_are_the_same(target):
    fit = symml.parse(PAGE).train(X=sp.csr_matrix(X), y=Y, target=target)
    dense = symml.parse(PAGE.replace(" sparse", "")).train(X=X, y=Y, target=target)
    np.testing.assert_allclose(fit.params["w"], dense.params["w"], atol=1e-8)
    assert fit.report["mse"] == pytest.approx(dense.report["mse"], rel=1e-8)
    choices = [f._result.outcome["choice"] for f in (fit, dense)]
    for a, b in zip(choices[0]["tried"], choices[1]["tried"], strict=True):
        np.testing.assert_allclose(a["scores"], b["scores"], rtol=1e-7)
    np.testing.assert_allclose(fit.predict(), dense.predict(), atol=1e-8)
    np.testing.assert_allclose(fit.predict(X=sp.coo_matrix(X[:5])), dense.predict(X=X[:5]), atol=1e-8)


def test_derivatives():
    check_derivative(pipeline.analyse(Source("p", PAGE)))


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_files_of_scipy(tmp_path, form):
    sp.save_npz(tmp_path / "x.npz", sp.coo_matrix(X).asformat(form))
    truth = symml.parse(PAGE).train(X=X, y=Y, target="reference").params["w"]
    assert np.array_equal(symml.parse(PAGE).train(X=tmp_path / "x.npz", y=Y, target="reference").params["w"], truth)


def test_a_saved_fit_predicts(tmp_path):
    fit = symml.parse(PAGE).train(X=sp.csr_matrix(X), y=Y, target="reference")
    again = symml.Fit.load(fit.save(tmp_path / "m"), target="reference")
    assert np.array_equal(again.predict(X=sp.csr_matrix(X[:7])), fit.predict(X=sp.csr_matrix(X[:7])))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"indices": lambda a: a + 3}, "outside its shape"),
        ({"indices": lambda a: a - 1}, "outside its shape"),
        ({"indptr": lambda a: a[::-1]}, "pointers"),
        ({"indptr": lambda a: a[:-1]}, "pointers"),
        ({"data": lambda a: a * np.nan}, "non-finite"),
        ({"shape": lambda a: -a}, "two sizes"),
        ({"format": lambda a: np.array(b"dia")}, "stored as"),
    ],
)
def test_wrong_files(tmp_path, changes, words):
    sp.save_npz(tmp_path / "x.npz", sp.csr_matrix(X))
    with np.load(tmp_path / "x.npz") as found:
        members = dict(found)
    members |= {k: change(members[k]) for k, change in changes.items()}
    np.savez(tmp_path / "x.npz", **members)
    with pytest.raises(DataError, match=words):
        symml.parse(PAGE).train(X=tmp_path / "x.npz", y=Y, target="reference")


@pytest.mark.parametrize("body", ["sum[i] exp(X[i, 0] b)", "sum[i, j] exp(X[i, j] b)", "sum[i] max[j] X[i, j] b"])
def test_what_needs_entries_that_are_not_stored_is_refused(body):
    with pytest.raises(SymmlError, match="not stored"):
        pipeline.load(Source("p.symml", PAGE.replace("lam ||w||^2", body)))


def test_rows_are_taken_in_order_and_repeated():
    m = sp.csr_matrix(X)
    rows = np.repeat(np.arange(80), np.diff(m.indptr))
    taken = RNG.integers(0, 80, 50)
    chosen, new = take_rows(rows, 80, taken)
    made = sp.coo_matrix((m.data[chosen], (new, m.indices[chosen])), shape=(50, 6)).toarray()
    assert np.array_equal(made, X[taken])


def test_a_standalone_module_trains_to_the_same_bits():
    page = "\n".join(line for line in PAGE.splitlines() if "split" not in line and "report" not in line)
    page = page.replace("hyper lam in {0.1, 1} chosen by smallest mse on folds", "hyper lam > 0 = 0.1")
    module, fit = standalone(pipeline.emit(Source("p", page), pipeline.Options())), symml.parse(page).train(X=X, y=Y)
    for x in (X, sp.csr_matrix(X), sp.coo_matrix(X)):
        model = module.fit({"X": x, "y": Y})
        assert np.array_equal(model["x"], fit._result.x)
        np.testing.assert_allclose(
            module.predict(model, {"X": x[:9] if x is X else sp.csr_matrix(X[:9])}), fit.predict()[:9]
        )
    with pytest.raises(ValueError, match="differs from"):
        module.fit({"X": X[:-1], "y": Y})
    with pytest.raises(SymmlError, match="does not split sparse rows"):
        pipeline.emit(Source("p", PAGE), pipeline.Options())

"""Saved runs: predictions on new data, exports, and that a folder which was changed is refused in one sentence."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from check import EXAMPLES

import symml
from symml.errors import DataError, SymmlError

PAGE = """model m
dims n, d, e, c
data X[n, d] standardised, K[d, e], y[n] in c
param W[e, c]
hyper lam > 0 = 0.1
minimize -1/n sum[i] logsoftmax((X[i] K) W)[y[i]] + lam ||W||^2
k[i] = argmax[j] sum[m, q] X[i, m] K[m, q] W[q, j]
predict k
"""
RNG = np.random.default_rng(5)
X, K, Y = RNG.normal(3, 2, size=(40, 3)), RNG.normal(size=(3, 2)), np.array(["yes", "=no"] * 20)
NEW = RNG.normal(3, 2, size=(7, 3))


@pytest.fixture(scope="module")
def fit():
    return symml.parse(PAGE).train(X=X, K=K, y=Y, target="reference", hyper={"lam": 0.05})


@pytest.fixture
def folder(fit, tmp_path):
    return fit.save(tmp_path / "m")


def test_a_restored_fit_predicts_the_same(fit, folder):
    truth = fit.predict(X=NEW, K=K)
    for again in (symml.parse(PAGE).restore(folder, target="reference"), symml.Fit.load(folder, target="reference")):
        assert np.array_equal(again.predict(X=NEW), truth) and set(truth) == {"yes", "=no"}
        assert np.array_equal(again.params["W"], fit.params["W"])
        assert again.loss == fit.loss and again.status == fit.status
    assert np.array_equal(fit.predict(X=NEW), truth), "K is that of the fit where it is not given"
    other = again.predict(X=NEW, K=-K)
    assert not np.array_equal(other, truth)


def test_only_what_the_prediction_reads_is_asked_for(folder):
    again = symml.parse(PAGE).restore(folder, target="reference")
    with pytest.raises(DataError, match="no value for 'X'"):
        again.predict()
    with pytest.raises(DataError, match="'X' has size 2 where d is 3, as bound by the fit"):
        again.predict(X=NEW[:, :2])
    with pytest.raises(DataError, match="'Z' is not data of this page"):
        again.predict(X=NEW, Z=NEW)


def test_a_changed_page_is_refused_at_its_line(folder):
    symml.parse(PAGE.replace("lam > 0", "lam > 0   ").replace("predict", "\n# the label\npredict"))
    comments = PAGE.replace("predict", "\n# the label\npredict")
    assert symml.parse(comments).restore(folder, target="reference").params["W"].shape == (2, 2)
    for old, new, words in (
        ("lam ||W||^2", "lam/2 ||W||^2", "line 6 is 'minimize"),
        ("predict k", "h = 1\npredict k", "line 8 has 'h = 1' more"),
        ("param W[e, c]", "param W[e, c] init 0", "line 4"),
    ):
        with pytest.raises(DataError, match="the page has changed") as caught:
            symml.parse(PAGE.replace(old, new)).restore(folder, target="reference")
        assert words in str(caught.value), caught.value


def test_columns_are_found_by_their_titles(tmp_path):
    pandas = pytest.importorskip("pandas")
    page = "model m\ndims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize 1/n ||y - X w||^2\npredict X w"
    model = symml.parse(page)
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    fit = model.train(X=frame, y=X[:, 0] - 2 * X[:, 2], target="reference")
    folder = fit.save(tmp_path / "m")
    again = model.restore(folder, target="reference")
    new = pandas.DataFrame(NEW, columns=["a", "b", "c"])
    truth = again.predict(X=NEW)
    np.testing.assert_allclose(truth, NEW[:, 0] - 2 * NEW[:, 2], atol=1e-6)
    mixed = new[["c", "a", "b"]].assign(extra=1.0)
    assert np.array_equal(again.predict(X=mixed), truth)
    mixed.to_csv(tmp_path / "new.csv", index=False)
    assert np.array_equal(again.predict(X=tmp_path / "new.csv"), truth)
    with pytest.raises(DataError, match="lacks the column 'b'"):
        again.predict(X=new[["a", "c"]])


def test_parameters_with_a_row_each_do_not_stretch():
    page = "model m\ndims n\ndata x[n]\nparam t[n]\nminimize sum[i] (x[i] - t[i])^2\nz[i] = x[i] + t[i]\npredict z"
    fit = symml.parse(page).train(x=np.arange(5.0), target="reference")
    assert fit.predict(x=np.arange(5.0)).shape == (5,)
    with pytest.raises(DataError, match="'t' has entries for the n of the fit only"):
        fit.predict(x=np.arange(50.0))


def rewrite(folder, change):
    with np.load(folder / "params.npz") as found:
        arrays = dict(found)
    change(arrays)
    np.savez(folder / "params.npz", **arrays)


def facts(folder, **changes):
    found = json.loads((folder / "fit.json").read_text())
    (folder / "fit.json").write_text(json.dumps({**found, **changes}))


SPOILT = [
    (lambda f: (f / "params.npz").write_bytes(b"PK"), "not a readable npz"),
    (lambda f: (f / "params.npz").unlink(), "cannot open"),
    (lambda f: (f / "fit.json").write_text("[" * 100_000), "not readable JSON"),
    (lambda f: (f / "fit.json").write_text("{}"), "not of a saved fit"),
    (lambda f: facts(f, dims={"n": 40, "d": 3, "e": 2**40, "c": 2}), "param.W has shape|would need"),
    (lambda f: facts(f, dims={"n": 40, "d": 3, "e": -2, "c": 2}), "not of a saved fit"),
    (lambda f: facts(f, dims={}), "the size of 'e' is not known"),
    (lambda f: facts(f, labels={"y": ["yes"]}), "has 1 labels"),
    (lambda f: facts(f, hyper={"lam": "1"}), "not of a saved fit"),
    (lambda f: facts(f, dtype="object"), "not of a saved fit"),
    (lambda f: rewrite(f, lambda a: a.pop("mean.X")), "lacks a mean"),
    (lambda f: rewrite(f, lambda a: (a.pop("mean.X"), a.pop("deviation.X"))), "mean.X is absent"),
    (lambda f: rewrite(f, lambda a: a.update({"param.W": np.full((2, 2), np.nan)})), "non-finite"),
    (lambda f: rewrite(f, lambda a: a.update({"data.K": np.ones((3, 9))})), "data.K has shape"),
    (lambda f: rewrite(f, lambda a: a.update({"os.system": np.ones(1)})), "no saved fit has"),
    (lambda f: rewrite(f, lambda a: a.update({"data.K": np.array([{}])})), "pickle"),
]


@pytest.mark.parametrize("spoil, words", SPOILT, ids=[w for _, w in SPOILT])
def test_a_spoilt_folder_is_refused(folder, spoil, words):
    spoil(folder)
    with pytest.raises(SymmlError, match=words):
        symml.parse(PAGE).restore(folder, target="reference").predict(X=NEW)


def symml_command(*args):
    return subprocess.run([sys.executable, "-m", "symml.cli", *map(str, args)], capture_output=True, text=True)


def test_commands(tmp_path):
    page = EXAMPLES / "logistic_regression.symml"
    assert symml_command("run", page, "--out", tmp_path).returncode == 0
    folder = tmp_path / "logistic_regression"
    data = f"X={EXAMPLES / 'data' / 'breast_cancer.csv'}"  # the column of labels in it is not taken for one of X's
    out = symml_command("predict", page, "--load", folder, "--data", data)
    assert out.stdout == (folder / "predictions.csv").read_text(), out.stderr
    document = json.loads(symml_command("predict", page, "--load", folder, "--data", data, "--json").stdout)
    assert document["shape"] == [569] and f"0,{document['prediction'][0]}" in out.stdout
    assert symml_command("predict", page, "--load", folder, "--data", data, "-o", tmp_path / "p.npy").returncode == 0
    assert np.load(tmp_path / "p.npy").tolist() == document["prediction"]
    for wrong, code, words in (
        (("predict", page, "--load", tmp_path / "none"), 4, "no folder"),
        (("predict", page, "--load", folder), 2, "no value for 'X'"),
        (("predict", EXAMPLES / "ridge.symml", "--load", folder), 2, "the page has changed"),
        (("predict", page, "--load", folder, "--data", data, "-o", tmp_path / "p.xlsx"), 2, "one of .csv"),
        (("export", folder, "--format", "xml"), 2, "one of csv, json, npz"),
        (("export", folder, "--format", "npz"), 2, "--out"),
    ):
        out = symml_command(*wrong)
        assert out.returncode == code and words in out.stderr and "Traceback" not in out.stderr, out.stderr


def test_exports_read_back_exactly(fit, folder, tmp_path):
    fit = symml.Fit.load(folder, target="reference")
    out = symml_command("export", folder)
    rows = [line.split(",") for line in out.stdout.splitlines()[1:]]
    values = {(r[0], tuple(map(int, r[1].split()))): float(r[2]) for r in rows if r[2]}
    assert values == {("W", at): fit.params["W"][at] for at in np.ndindex(2, 2)}
    document = json.loads(symml_command("export", folder, "--format", "json").stdout)
    assert document["params"] == {"W": fit.params["W"].tolist()} and document["labels"] == {"y": ["=no", "yes"]}
    assert symml_command("export", folder, "-o", tmp_path / "w.npz").returncode == 0
    with np.load(io.BytesIO((tmp_path / "w.npz").read_bytes())) as arrays:
        assert np.array_equal(arrays["W"], fit.params["W"])

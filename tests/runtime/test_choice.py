"""Chosen hyper-parameters: the scores of every fold against scikit-learn on the same folds, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import symml
from symml import pipeline
from symml.errors import SymmlError
from symml.runtime.choose import fold_rows

RNG = np.random.default_rng(2)
X = RNG.normal(size=(200, 6)) * [1, 5, 0.2, 1, 1, 3] + 2
Y = X @ [1.0, 0.3, 0, 0, -1, 0] + 1 + RNG.normal(size=200) * 2
LAMBDAS = [0.001, 0.01, 0.1, 1, 10]
PAGE = """model m
dims n, d
data X[n, d] standardised, y[n]
param w[d], b
hyper lam in {0.01, 0.1, 1, 10, 0.001} chosen by smallest mse on folds
split n into train 0.8, test 0.2, folds 4 seed 3
minimize 1/n ||y - X w - b||^2 + lam ||w||^2
train with lbfgs until |grad| < 1e-10
report mse = 1/n sum[i] (y[i] - (X w)[i] - b)^2 on test
predict X w + b
"""


def fitted(page=PAGE, x=X, y=Y, **options):
    return symml.parse(page).train(X=x, y=y, target="reference", **options)


def test_scores_and_choice_are_those_of_scikit_learn():
    fit = fitted()
    found, bound = fit._result.outcome["choice"], fit._result.bound
    rows = bound.parts["train"]
    folds = fold_rows(fit._result.kernel.manifest["split"], rows, bound)
    assert sorted(np.concatenate(folds)) == rows.tolist() and [len(f) for f in folds] == [40] * 4
    cuts = [(np.setdiff1d(rows, held), held) for held in folds]
    model = make_pipeline(StandardScaler(), Ridge(solver="cholesky"))
    grid = {"ridge__alpha": [120 * v for v in LAMBDAS]}
    search = GridSearchCV(model, grid, scoring="neg_mean_squared_error", cv=cuts, refit=False).fit(X, Y)
    theirs = np.array([search.cv_results_[f"split{k}_test_score"] for k in range(4)]).T
    np.testing.assert_allclose([t["scores"] for t in found["tried"]], -theirs, rtol=1e-6)
    np.testing.assert_allclose([t["mean"] for t in found["tried"]], -search.cv_results_["mean_test_score"], rtol=1e-6)
    deviations = np.std(theirs, axis=1, ddof=1) / 2
    np.testing.assert_allclose([t["error"] for t in found["tried"]], deviations, rtol=1e-5)
    assert found["chosen"] == {"lam": search.best_params_["ridge__alpha"] / 120}
    best = make_pipeline(StandardScaler(), Ridge(alpha=160 * found["chosen"]["lam"])).fit(X[rows], Y[rows])
    np.testing.assert_allclose(fit.params["w"], best["ridge"].coef_, atol=1e-6)
    test = bound.parts["test"]
    assert fit.report["mse"] == pytest.approx(np.mean((best.predict(X[test]) - Y[test]) ** 2), rel=1e-6)


def test_nothing_of_the_held_rows_reaches_their_fit():
    """Wild values in one fold change its own score, and no score of the fold where they are held out by its scale."""
    fit = fitted()
    bound = fit._result.bound
    held = fold_rows(fit._result.kernel.manifest["split"], bound.parts["train"], bound)[1]
    wild = X.copy()
    wild[held, 3] *= 1e6
    model = make_pipeline(StandardScaler(), Ridge(alpha=0.12, solver="cholesky"))
    rows = np.setdiff1d(bound.parts["train"], held)
    truth = np.mean((model.fit(wild[rows], Y[rows]).predict(wild[held]) - Y[held]) ** 2)
    assert fitted(x=wild)._result.outcome["choice"]["tried"][0]["scores"][1] == pytest.approx(truth, rel=1e-5)


def test_compiled_and_interpreted_choose_the_same():
    found = [symml.parse(PAGE).train(X=X, y=Y, target=t)._result.outcome["choice"] for t in ("cpu", "reference")]
    assert found[0]["chosen"] == found[1]["chosen"]
    np.testing.assert_allclose(
        [t["scores"] for t in found[0]["tried"]], [t["scores"] for t in found[1]["tried"]], rtol=1e-7
    )


def test_two_are_chosen_together_on_a_part():
    page = PAGE.replace("on folds", "on valid").replace(
        "train 0.8, test 0.2, folds 4", "train 0.6, valid 0.2, test 0.2"
    )
    page = page.replace("split n", "hyper mu in {0, 1} chosen by smallest mse on valid\nsplit n")
    page = page.replace("lam ||w||^2", "lam ||w||^2 + mu b^2")
    found = fitted(page)._result.outcome["choice"]
    assert len(found["tried"]) == 10 and found["chosen"]["mu"] == 0 and found["tried"][0]["error"] is None
    means = [t["mean"] for t in found["tried"]]
    assert found["tried"][int(np.argmin(means))]["values"] == found["chosen"]


def test_a_given_value_is_not_searched_and_a_restored_fit_keeps_the_chosen_one(tmp_path):
    assert "choice" not in fitted(hyper={"lam": 0.1})._result.outcome
    fit = fitted()
    again = symml.Fit.load(fit.save(tmp_path / "m"), target="reference")
    assert again._result.hypers == fit._result.hypers == fit._result.outcome["choice"]["chosen"]
    assert np.array_equal(again.predict(X=X), fit.predict(X=X))


def test_folds_are_stratified_as_the_split_is():
    page = PAGE.replace("seed 3", "seed 3 stratified by y").replace("y[n]", "y[n] in {0, 1}", 1)
    y = (np.arange(200) % 10 == 0).astype(float)
    fit = fitted(page, y=y)
    folds = fold_rows(fit._result.kernel.manifest["split"], fit._result.bound.parts["train"], fit._result.bound)
    assert [int(y[f].sum()) for f in folds] == [4] * 4


@pytest.mark.parametrize(
    "old, new, words",
    [
        (", folds 4", "", "made on folds or on a part"),
        ("folds 4", "folds 1", "from 2 on"),
        ("folds 4", "folds 4, folds 5", "counted once"),
        ("smallest ", "", "small or large"),
        ("smallest mse on", "smallest mae on", "'mae' is not reported"),
        ("on folds", "on train", "made on folds or on a part"),
        (" in {0.01, 0.1, 1, 10, 0.001}", " > 0", "values of a set"),
        ("param w[d], b", "param w[d], b chosen by smallest mse on folds", "only a hyper-parameter"),
    ],
)
def test_wrong_choices_have_a_place(old, new, words):
    with pytest.raises(SymmlError, match=words) as caught:
        pipeline.load(symml.source.Source("p.symml", PAGE.replace(old, new)))
    assert "p.symml:" in str(caught.value)


def test_too_few_rows_for_the_folds():
    with pytest.raises(SymmlError, match="do not fill 4 folds"):
        fitted(x=X[:4], y=Y[:4])


def test_the_command_prints_the_table(tmp_path):
    np.savez(tmp_path / "d.npz", X=X, y=Y)
    (tmp_path / "p.symml").write_text(PAGE.replace("y[n]\n", 'y[n]  from "d.npz"\n', 1))
    command = [sys.executable, "-m", "symml.cli", "run", str(tmp_path / "p.symml"), "--out", str(tmp_path / "runs")]
    out = subprocess.run(command, capture_output=True, text=True)
    assert "mean mse on 4 folds" in out.stdout and "the smallest" in out.stdout, out.stdout + out.stderr
    saved = json.loads((tmp_path / "runs" / "m" / "fit.json").read_text())
    assert saved["choice"]["chosen"] == saved["hyper"]

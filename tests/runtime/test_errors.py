"""Standard errors against closed forms, and what is refused: no minimum, no likelihood, directions without information."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from check import EXAMPLES

import symml
from symml import pipeline
from symml.errors import SymmlError
from symml.methods import likelihood
from symml.runtime.uncertainty import errors
from symml.source import Source

RNG = np.random.default_rng(0)
N = 200
X = RNG.normal(size=(N, 3)) * [1, 10, 0.1]
Y = X @ [1.0, -0.2, 5.0] + 1 + RNG.normal(size=N)
B = (RNG.random(N) < 1 / (1 + np.exp(-(X @ [1.0, -0.1, 5.0])))).astype(float)
ONES = np.column_stack([X, np.ones(N)])
HEAD = "model m\ndims n, d\n"
LINEAR = (
    HEAD + "data X[n, d], y[n]\nparam w[d], b\nminimize {} ||y - X w - b||^2\ntrain with lbfgs until |grad| < 1e-10"
)
LOGISTIC = (
    HEAD + "data X[n, d], y[n] in {{0, 1}}\nparam w[d], b\np = sigmoid(X w + b)\n"
    "minimize {} sum[i] (y[i] log p[i] + (1 - y[i]) log(1 - p[i])) {}\ntrain with lbfgs until |grad| < 1e-10"
)


def fitted(page, target="reference", **data):
    return symml.parse(page).train(target=target, **data)


def vector(found):
    return np.append(found.deviations["w"], found.deviations["b"])


@pytest.mark.parametrize("scale", ["1/n", "1/2", "", "3/(2 n)"])
def test_linear_regression(scale):
    found = fitted(LINEAR.format(scale), X=X, y=Y).errors("squares", "reference")
    _, rss = np.linalg.lstsq(ONES, Y, rcond=None)[:2]
    covariance = rss[0] / (N - 4) * np.linalg.inv(ONES.T @ ONES)
    np.testing.assert_allclose(vector(found), np.sqrt(np.diag(covariance)), rtol=1e-8)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-6, atol=1e-12)
    assert not found.notes and found.what == "standard errors"


@pytest.mark.parametrize("scale", ["1/n", "1/2"])
@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_the_sandwich_of_white(scale, target):
    noisy = Y + RNG.normal(size=N) * np.exp(X[:, 0])
    fit = fitted(LINEAR.format(scale), X=X, y=noisy)
    found = fit.errors("sandwich", target)
    r, bread = noisy - ONES @ np.append(fit.params["w"], fit.params["b"]), np.linalg.inv(ONES.T @ ONES)
    white = np.sqrt(np.diag(bread @ (ONES.T * r**2) @ ONES @ bread))
    np.testing.assert_allclose(vector(found), white, rtol=1e-7)
    assert not np.allclose(vector(fit.errors("squares", "reference")), white, rtol=0.05)
    scaled = ONES / np.sqrt((ONES**2).sum(0))
    assert found.condition == pytest.approx(np.linalg.cond(scaled.T @ scaled), rel=1e-6)


def test_the_sandwich_leaves_penalties_to_the_hessian():
    fit = fitted(LOGISTIC.format("-", "+ 2 ||w||^2"), X=X, y=B)
    p = 1 / (1 + np.exp(-(ONES @ np.append(fit.params["w"], fit.params["b"]))))
    hessian = (ONES * (p * (1 - p))[:, None]).T @ ONES + np.diag([4, 4, 4, 0])
    bread, scores = np.linalg.inv(hessian), ONES * (p - B)[:, None]
    np.testing.assert_allclose(
        vector(fit.errors("sandwich", "reference")), np.sqrt(np.diag(bread @ scores.T @ scores @ bread)), rtol=1e-7
    )


@pytest.mark.parametrize("scale, factor", [("-1/n", 1), ("-", 1), ("-2/n", 2)])
def test_logistic_regression(scale, factor):
    fit = fitted(LOGISTIC.format(scale, ""), X=X, y=B)
    found = fit.errors("likelihood", "reference")
    p = 1 / (1 + np.exp(-(ONES @ np.append(fit.params["w"], fit.params["b"]))))
    information = factor * (ONES * (p * (1 - p))[:, None]).T @ ONES
    np.testing.assert_allclose(vector(found), np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-8)
    assert ("n times the objective" in found.reading) == ("n" in scale)


def test_a_penalty_is_named_and_counts():
    found = fitted(LOGISTIC.format("-1/n", "+ 1/2 ||w||^2"), X=X, y=B).errors("likelihood", "reference")
    plain = fitted(LOGISTIC.format("-1/n", ""), X=X, y=B).errors("likelihood", "reference")
    assert found.what == "posterior deviations" and "log-prior" in found.reading
    assert (found.deviations["w"] < plain.deviations["w"]).all()
    with pytest.raises(SymmlError, match="not one sum or mean of squares"):
        fitted(LINEAR.format("1/n").replace("||^2\n", "||^2 + ||w||^2\n"), X=X, y=Y).errors("squares", "reference")


def test_compiled_and_interpreted_agree():
    page = LOGISTIC.format("-1/n", "")
    found = [fitted(page, t, X=X, y=B).errors("likelihood", t) for t in ("reference", "cpu")]
    np.testing.assert_allclose(found[0].covariance, found[1].covariance, rtol=1e-6, atol=1e-12)


def test_what_is_not_identified_is_told_and_has_no_error():
    twice = np.column_stack([X, X[:, 0] - X[:, 1]])
    found = fitted(LOGISTIC.format("-1/n", ""), X=twice, y=B).errors("likelihood", "reference")
    plain = fitted(LOGISTIC.format("-1/n", ""), X=X, y=B).errors("likelihood", "reference")
    assert np.isnan(found.deviations["w"]).tolist() == [True, True, False, True]
    np.testing.assert_allclose(found.deviations["w"][2], plain.deviations["w"][2], rtol=1e-5)
    (note,) = found.notes
    assert "not identified" in note and all(f"w[{k}]" in note for k in (0, 1, 3)) and "w[2]" not in note
    assert np.isnan(found.covariance[0]).all() and np.isfinite(found.covariance[2, 4])


def test_the_negative_controls():
    with pytest.raises(SymmlError, match="not a minimum"):
        errors(np.diag([1.0, -0.5]), np.zeros(2), lambda rank: 1.0)
    with pytest.raises(SymmlError, match="not finite"):
        errors(np.full((2, 2), np.nan), np.zeros(2), lambda rank: 1.0)
    assert errors(np.diag([1.0, 4.0]), np.array([0.5, 0.0]), lambda rank: 1.0).step == 0.5
    nothing = errors(np.zeros((2, 2)), np.zeros(2), lambda rank: 1.0)
    assert np.isnan(nothing.deviation).all() and len(nothing.directions) == 2
    saddle = HEAD + "data x[n]\nparam a init 1, b init 0\nminimize 1/n sum[i] (x[i]^2 + a^2 + cos(b))\n"
    fit = fitted(saddle, x=RNG.normal(size=5))
    with pytest.raises(SymmlError, match="not a minimum"):
        fit.errors("likelihood", "reference")


READINGS = [
    ("1/n sum[i] (y[i] - a)^2", ("n",), False, ["n"]),
    ("sum[i] (y[i] - a)^2 / 2", (), False, ["n"]),
    ("1/n sum[i] z[i] (y[i] - a)^2", ("n",), False, ["n"]),
    ("1/n sum[i] (y[i] - a)^2 + lam a^2", ("n",), True, None),
    ("1/n sum[i] exp(y[i] a)", ("n",), False, None),
    ("mean[i] exp(y[i] a) + 3", ("n",), False, None),
    ("lam (1/n sum[i] exp(y[i] a) + a^2)", ("n",), True, None),
    ("1/n sum[i] exp(y[i] a) + sum[i] exp(y[i] a)", "different scale", None, None),
    ("sqrt(1/n sum[i] (y[i] - a)^2)", "not a sum over the data", None, None),
    ("n sum[i] (y[i] - a)^2", "scales its sum", None, None),
    ("a^2", "reads no data", None, None),
]


@pytest.mark.parametrize("objective, times, penalty, squares", READINGS, ids=[r[0] for r in READINGS])
def test_readings(objective, times, penalty, squares):
    page = f"model m\ndims n\ndata y[n], z[n]\nparam a\nhyper lam > 0 = 2\nminimize {objective}"
    a = pipeline.analyse(Source("p.symml", page))
    if isinstance(times, str):
        with pytest.raises(SymmlError, match=times):
            likelihood.read(a.forward, "loss", a.model.over)
        return
    found = likelihood.read(a.forward, "loss", a.model.over)
    assert tuple(d.name for d in found.times) == times and found.penalty == penalty
    assert (None if found.squares is None else [d.name for d in found.squares]) == squares


def test_commands(tmp_path):
    def command(*args):
        return subprocess.run([sys.executable, "-m", "symml.cli", *map(str, args)], capture_output=True, text=True)

    page = EXAMPLES / "linear_regression.symml"
    out = command("run", page, "--errors", "squares", "--out", tmp_path)
    assert out.returncode == 0 and "w[0]" in out.stdout and "±" in out.stdout, out.stderr
    rows = (tmp_path / "linear_regression" / "errors.csv").read_text().splitlines()
    document = json.loads(command("train", page, "--errors", "squares", "--json").stdout)
    assert float(rows[1].split(",")[3]) == document["errors"]["deviations"]["w"][0]
    for kind, words in (("bayes", "one of likelihood, squares"), ("", "")):
        out = command("train", page, "--errors", kind)
        assert words in out.stderr and "Traceback" not in out.stderr and out.returncode == (2 if kind else 0)

"""Points where the gradient is 0 and that are no minimum are told, by closed forms and by runs that never leave their start."""

import json
import math

import numpy as np
import pytest

import symml
from symml import faces, pipeline
from symml.errors import NumericError, SymmlError
from symml.runtime.domains import check_domain
from symml.source import Source

FALLS = [  # a flat inflection, saddles, a maximum
    "param a, b\nminimize over a, b  a^3 + b^2",
    "param x[2] init 0\nminimize over x  x[0]^2 - x[1]^2 + x[1]^4",
    "dims n = 3, k = 2\nparam U[n, k] init 0, V[n, k] init 0\nminimize over U, V  sum[i, j] (i + j - U[i]' V[j])^2",
    "param x init 0\nmaximize over x  1 - cos x",
]
STAYS = ["param a init 0\nminimize over a  1 - cos a", "param x init 100\nminimize over x  -exp(-x^2)"]


@pytest.mark.parametrize("text", FALLS)
def test_no_minimum_is_told(text):
    with pytest.raises(NumericError, match="no minimum"):
        symml.parse(text + "\n").train(target="reference")


@pytest.mark.parametrize("text", STAYS)
def test_minima_are_left_alone(text):
    fit = symml.parse(text + "\n").train(target="reference")
    assert fit.status == "converged" and max(map(abs, fit.params.values())) < 1e-6


def test_what_is_not_finite_is_null_in_json():
    assert json.loads(faces.as_json({"a": [1.5, math.nan], "b": (-math.inf, "x")})) == {
        "a": [1.5, None],
        "b": [None, "x"],
    }


@pytest.mark.parametrize("seed", [-1, 2**70])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(SymmlError, match="the seed"):
        symml.parse(STAYS[0] + "\n").train(target="reference", seed=seed)


def test_a_seed_of_a_split_is_a_whole_number():
    page = "dims n\ndata y[n]\nparam m\nsplit n into a 0.5, b 0.5 seed 2.5\nminimize sum[i] (y[i] - m)^2\n"
    with pytest.raises(SymmlError, match=r"the seed 2\.5 is not"):
        pipeline.load(Source("m", page))


def test_domains_are_told_as_intervals():
    with pytest.raises(SymmlError, match=r"lam = -1: outside \(0, inf\)"):
        check_domain("lam", np.array(-1.0), {"kind": "real", "lower": 0, "upper": None, "open": [True, False]})


def test_products_of_a_page_are_methods_of_its_model():
    model = symml.parse(STAYS[0] + "\ntrain with sgd(lr = 0.1)\n")
    assert "∂/∂a = 0" in model.stationary().text()
    assert "θ ← θ − lr g" in model.updates().text()


def test_columns_that_depend_on_each_other_are_told():
    model = symml.parse("dims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize ||X w - y||^2\n")
    x = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    for data, told in ((x, True), (x + np.eye(3)[:, :2], False)):
        lines = faces.figures(model.train(X=data, y=[1, 2, 4], target="reference")._result)
        assert any("1 of 2 directions" in line for line in lines) == told
        assert any("1 step   loss" in line for line in lines)


def test_a_symmetric_parameter_stays_symmetric():
    fit = symml.parse("dims n = 3\nparam S[n, n] in symmetric\nminimize sum[i, j] (S[i, j] - i)^2\n").train(
        target="reference"
    )
    i, j = np.indices((3, 3))
    assert np.abs(fit.params["S"] - (i + j) / 2).max() < 1e-9 and fit.loss == pytest.approx(3.0)

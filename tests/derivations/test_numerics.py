"""`symml check --numerics` and `symml list`: what they say, and that it is so."""

from __future__ import annotations

import json

import pytest
from check import page

import symml
from symml import faces, pipeline
from symml.errors import SpecError
from symml.model.library import names
from symml.source import Source

ROOTS = "dims n\ndata x[n]\nparam w\nf[i] = sqrt(x[i] + 1) - sqrt(x[i])\nminimize w^2\npredict f"
SOFTMAX = "dims n, K\ndata Z[n, K], y[n] in K\nparam w\nE[i, k] = exp(w Z[i, k])\n"
SOFTMAX += "minimize -1/n sum[i] log(E[i, y[i]]/(sum[k] E[i, k]))"


def test_a_body_that_cancels():
    (row,) = pipeline.numerics(page(ROOTS), False)
    assert row["left"] == "f[i]" and row["line"] == 5
    assert row["bits"]["naive"]["largest"] > 10 and row["bits"]["rewritten"]["largest"] < 3
    at = row["worst"]["at"]["x[i]"]
    truth = float(row["worst"]["truth"])
    assert abs(row["worst"]["rewritten"] - truth) <= 4e-16 * truth < abs(row["worst"]["naive"] - truth)
    assert truth == pytest.approx((at + 1) ** 0.5 - at**0.5, rel=1e-6)
    assert "f[i]" in "\n".join(faces.numeric_lines([row]))


def test_a_body_that_sees_through_definitions():
    rows = pipeline.numerics(page(SOFTMAX), False)
    (row,) = [r for r in rows if "log" in r["naive"]]
    assert row["bits"]["naive"]["non_finite"] > 0 and row["bits"]["rewritten"]["non_finite"] == 0
    json.dumps(rows, allow_nan=False)


def test_nothing_to_say():
    assert pipeline.numerics(page("dims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize ||X w - y||^2"), False) == []
    assert faces.numeric_lines([]) == ["nothing is computed otherwise than it is written"]


def test_of_an_expression():
    (row,) = pipeline.numerics(Source("-e", "exp(a) - 1"), True)
    assert row["rewritten"] == "expm1(a)"


def test_lists():
    rows = symml.library("optimizers")
    assert [r["name"] for r in rows] == list(names("optimizers")) and len(rows) == 16
    assert all(r["source"] and r["updates"] and r["hypers"]["lr"] > 0 for r in rows)
    lamb = next(r for r in rows if r["name"] == "lamb")
    assert lamb["updates"][4] == {"latex": r"\mathrm{size} = \left\|\theta\right\|", "text": "size = ‖θ‖"}
    assert next(r for r in rows if r["name"] == "asgd")["gives"] == "a"
    assert {r["name"] for r in symml.library("schedules")} == set(names("schedules"))
    functions = {r["name"] for r in symml.library("functions")}
    assert {"sigmoid", "softmax"} <= functions and not {"select", "less"} & functions
    with pytest.raises(SpecError, match="no list of"):
        symml.library("optimisers")

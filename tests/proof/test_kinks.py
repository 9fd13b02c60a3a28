"""The derived gradient where two branches meet lies between the slopes on either side, and is one of them beside it."""

from __future__ import annotations

import pytest
from check import EXAMPLES, analysis
from sympy import Integer

from symml import load, pipeline
from symml.ir.functions import signum, step
from symml.proof.kinks import check_kinks
from symml.source import Source

DATA = "dims n, d\ndata X[n, d], y[n]\nparam w[d]\n"
PAGES = {
    "hinge": DATA + "minimize sum[i] relu(1 - y[i] sum[j] X[i, j] w[j])",
    "least absolute deviations": DATA + "minimize 1/n sum[i] |y[i] - sum[j] X[i, j] w[j]| + sum[j] w[j]^2",
    "largest of several": DATA + "minimize max[i] (sum[j] X[i, j] w[j] - y[i])",
    "smallest of several": DATA + "minimize sum[i] min[j] (X[i, j] - w[j])^2",
    "of two": DATA + "minimize sum[j] max(w[j], 2 w[j] - 1)",
}


def found(body: str):
    a = analysis(body)
    return check_kinks(a.raw, a.derivative, "loss", a.model.over[0])


@pytest.mark.parametrize("name", PAGES)
def test_kinks(name):
    proof = found(PAGES[name])
    assert proof.points >= 1 and proof.ok, proof


def test_a_smooth_page_has_none():
    assert found(DATA + "minimize sum[i] sin(y[i] - sum[j] X[i, j] w[j])") is None


@pytest.mark.parametrize("name, wrong", [("hinge", step), ("least absolute deviations", signum)])
def test_a_wrong_branch_is_caught(name, wrong):
    a = analysis(PAGES[name])
    tampered = a.derivative.mapped(lambda s: s.with_body(s.body.replace(wrong, lambda u: Integer(1))))
    assert not check_kinks(a.raw, tampered, "loss", a.model.over[0]).ok


def test_branches_that_cancel_are_told():
    """relu(w) - relu(-w) is w, whose slope at 0 is 1; rule by rule its derivative there is 0, and the proof says so."""
    proof = found("param w\nminimize relu(w) - relu(-w)")
    assert not proof.ok and proof.error == 1.0


def test_verify_prints_them():
    (row,) = pipeline.derivations(Source("-e", "norm1(A*x-y)"), True, "x", "matrix", {}, verify=True)
    for method in ("complex step agrees", "expansion by sympy agrees", "mpmath at kinks agrees", "printed form agrees"):
        assert method in row["proof"]
    methods = [p.method for p in load(EXAMPLES / "k_means.symml").gradient("C").verify()]
    assert methods == ["complex step", "expansion by sympy", "mpmath at kinks"]

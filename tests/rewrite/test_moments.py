"""Second moments about the mean: found across statements, right, and near the truth where the naive form has no digit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mpmath
import numpy as np
import pytest
from check import analysis, check_derivative, page

from symml import pipeline
from symml.ir import check as legality
from symml.ir.evaluate import evaluate
from symml.ir.program import flat
from symml.proof.high_precision import truth, ulps
from symml.proof.samples import sample
from symml.rewrite.dead import prune
from symml.rewrite.moments import centre_moments
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise

HEAD = "dims n, d\ndata x[n], y[n], X[n, d]\nparam w\n"
WRITTEN = {
    "variance": "f = 1/n sum[i] x[i]^2 - (1/n sum[i] x[i])^2",
    "of means": "f = (mean[i] x[i]^2) - (mean[i] x[i])^2",
    "named": "m = mean[i] x[i]\nq = mean[i] x[i]^2\nf = q - m^2",
    "sample": "f = ((sum[i] x[i]^2) - (sum[i] x[i])^2/n)/(n - 1)",
    "covariance": "f = (mean[i] x[i] y[i]) - (mean[i] x[i]) (mean[i] y[i])",
    "of columns": "m[j] = mean[i] X[i, j]\nq[j] = mean[i] X[i, j]^2\nf[j] = sqrt(q[j] - m[j]^2)",
    "matrix": "m[j] = mean[i] X[i, j]\nf[j, k] = (1/n sum[i] X[i, j] X[i, k]) - m[j] m[k]",
    "of a function": "f = (mean[i] exp(2 x[i])) - (mean[i] exp(x[i]))^2",
}


def programs(text: str):
    _, program = pipeline.load(page(HEAD + text + "\nminimize w^2\npredict f"))
    raw = prune(program, "predict")
    return raw, simplify(stabilise(raw))


@pytest.mark.parametrize("name", WRITTEN)
def test_found_and_right(name):
    raw, final = programs(WRITTEN[name])
    legality.check(centre_moments(raw))
    assert centre_moments(raw) is not raw
    values, dims = sample(raw, np.random.default_rng(0))
    assert (lost(final, raw, values, dims) < 256).all()


@pytest.mark.parametrize("name", [n for n in WRITTEN if n != "of a function"])
def test_far_from_0(name):
    """Whole numbers near 1e8: the naive form has no digit left, the centred one nearly all."""
    raw, final = programs(WRITTEN[name])
    rng = np.random.default_rng(1)
    values, dims = sample(raw, rng)
    far = {t: 1e8 + rng.integers(0, 9, np.shape(v)) for t, v in values.items()}
    assert lost(final, raw, far, dims).max() < 64 < 1e12 < lost(raw, raw, far, dims).max()


def lost(program, raw, values, dims) -> np.ndarray:
    """Units in the last place between a program and the truth."""
    exact = np.ravel(truth(raw, values, dims)["predict"])
    with np.errstate(all="ignore"):
        return ulps(np.ravel(evaluate(program, values, dims)[program.outputs["predict"]]), exact)


@pytest.mark.parametrize(
    "text",
    [
        "f = 1/n sum[i] x[i]^2 - 2 (1/n sum[i] x[i])^2",
        "f = 1/n sum[i] x[i]^2 - (1/n sum[i] y[i])^2",
        "f = 1/n sum[i] x[i]^2 + (1/n sum[i] x[i])^2",
        "f = sum[i] x[i]^2 - (sum[i] x[i])^2",
        "f[j] = 1/n sum[i] X[i, j]^2 - (1/n sum[i] x[i])^2",
    ],
)
def test_what_is_no_moment_stays(text):
    raw, _ = programs(text)
    assert centre_moments(raw) is raw


def test_derivatives_inherit_it():
    a = analysis(
        "dims n, d\ndata X[n, d]\nparam w[d] init 1\nz = X w\nminimize (mean[i] z[i]^2) - (mean[i] z[i])^2 + ||w||^2"
    )
    assert any("moment" in s.out.name for s in flat(a.forward.statements))
    check_derivative(a)


CASES = Path(os.environ.get("SYMML_CASES", "")) / "stability.json"


@pytest.mark.skipif(not CASES.is_file(), reason="SYMML_CASES has no stability.json")
def test_published_case():
    (case,) = [c for c in json.loads(CASES.read_text()) if c["naive"].startswith("E[")]
    raw, final = programs(WRITTEN["variance"])
    (x,) = [t for t in raw.inputs if t.name == "x"]
    for p in case["points"]:
        values, dims = {x: p["x"][0] + np.array([0.0, 1.0, 2.0])}, {x.shape[0]: 3}
        assert ulps(float(evaluate(final, values, dims)[final.outputs["predict"]]), mpmath.mpf(p["exact"])) <= 4

"""Functions that a person knows to be convex or concave, and near misses that are not: the certificate and midpoints agree."""

from __future__ import annotations

import numpy as np
import pytest
from check import analysis

from symml.derivations.convexity import certificate
from symml.ir.evaluate import evaluate
from symml.proof.samples import sample

CONVEX = {
    "relative entropy": "dims n\nparam p[n] > 0, q[n] > 0\nminimize sum[i] p[i] log(p[i]/q[i])",
    "perspective of log": "param x > 0, t > 0\nminimize -t log(x/t)",
    "log of a quotient": "dims n\ndata p[n] > 0\nparam q[n] > 0\nminimize sum[i] p[i] log(p[i]/q[i])",
    "largest eigenvalue": "dims d\nparam S[d, d] in symmetric\nminimize max[i] eigvals(S)[i]",
    "nuclear norm": "dims n, d\nparam M[n, d]\nminimize 2 sum[k] svdvals(M)[k]",
    "largest singular value": "dims n, d\nparam M[n, d]\nminimize svdvals(M)[0]",
    "trace of the inverse": "dims d\nparam P[d, d] in psd\nminimize tr(inv(P))",
    "form in the inverse": "dims d\ndata v[d]\nparam P[d, d] in psd\nminimize v' inv(P) v",
    "a design, by its determinant": "dims n, d\ndata X[n, d]\nparam w[n] > 0\nminimize -logdet(X' diag(w) X)",
    "a design, by its inverse": "dims n, d\ndata X[n, d]\nparam w[n] > 0, s > 0\n"
    "A = X' diag(w) X + s eye(d)\nminimize tr(inv(A))",
    "weighted outer products": "dims n, d\ndata X[n, d], c[n] > 0\nparam w[n] > 0\n"
    "A[j, k] = sum[i] c[i] w[i] X[i, j] X[i, k]\nminimize -2 logdet(A)",
    "log cosh": "dims d\nparam x[d]\nminimize sum[j] log(cosh(x[j]))",
    "a wave on a bowl": "param x\nminimize x^2 + sin(x)",
}
CONCAVE = {
    "smallest eigenvalue": "dims d\nparam S[d, d] in symmetric\nminimize min[i] eigvals(S)[i]",
    "relative entropy": "dims n\nparam p[n] > 0, q[n] > 0\nminimize -3 sum[i] p[i] log(p[i]/q[i])",
}
NEITHER = {
    "smallest of two eigenvalues": "dims d\nparam S[d, d] in symmetric\nminimize eigvals(S)[1] - eigvals(S)[0]",
    "an eigenvalue inside": "dims d = 3\nparam S[d, d] in symmetric\nminimize eigvals(S)[1]",
    "a design of any sign": "dims n, d\ndata X[n, d]\nparam w[n]\nminimize -logdet(X' diag(w) X)",
    "a design less the identity": "dims n, d\ndata X[n, d]\nparam w[n] > 0\nminimize -logdet(X' diag(w) X - 3 eye(d))",
    "rows of two matrices": "dims n, d\ndata X[n, d], Z[n, d]\nparam w[n] > 0\nminimize -logdet(X' diag(w) Z)",
    "squares of singular values": "dims n, d\nparam M[n, d]\nminimize sum[k] (svdvals(M)[k] - 1)^2",
    "form between two vectors": "dims d\ndata v[d], u[d]\nparam P[d, d] in psd\nminimize u' inv(P) v",
    "a quotient's log": "param p in (0, 1)\nminimize log(p/(1 - p))",
    "entropy of another": "dims n\nparam p[n] > 0, q[n] > 0\nminimize sum[i] p[i] log(q[i])",
    "entropy of a product": "param p > 0, q > 0\nminimize p log(p q)",
    "a large wave": "param x\nminimize x^2 + 3 sin(x)",
    "small eigenvalue twice": "dims d\nparam S[d, d] in symmetric\nt[i] = eigvals(S)[0] + 0 S[i, i]\nminimize max[i] t[i]",
}


@pytest.mark.parametrize("name", CONVEX)
def test_convex(name):
    assert certificate(analysis(CONVEX[name])).convex and above(CONVEX[name]) == 0


@pytest.mark.parametrize("name", CONCAVE)
def test_concave(name):
    assert certificate(analysis(CONCAVE[name])).curvature == "concave"


@pytest.mark.parametrize("name", NEITHER)
def test_neither(name):
    assert certificate(analysis(NEITHER[name])).curvature != "convex"


def test_midpoints_see_what_is_not_convex():
    assert above(NEITHER["a large wave"]) > 0


def above(text: str, draws: int = 60) -> int:
    """At how many of some random segments the middle lies above the chord."""
    a, rng, found = analysis(text), np.random.default_rng(2), 0
    loss = a.forward.outputs["loss"]
    for _ in range(draws):
        values, dims = sample(a.forward, rng)
        other = {t: v for t, v in sample(a.forward, rng, dims)[0].items() if t in a.model.over}
        points = [{**values, **{t: (1 - c) * values[t] + c * v for t, v in other.items()}} for c in (0, 0.5, 1)]
        left, middle, right = (float(evaluate(a.forward, x, dims)[loss]) for x in points)
        found += middle > (left + right) / 2 + 1e-9 * max(1, abs(left), abs(right))
    return found

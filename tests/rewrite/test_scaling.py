"""Recurrences of probabilities: finite where the page as written underflows, and left alone where signs may change."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from check import analysis, page
from hmmlearn.hmm import CategoricalHMM

from symml import pipeline
from symml.ir.evaluate import evaluate
from symml.ir.program import Scan, outs

HMM = """dims T, K = 3, V = 4
data obs[T] in V
param a[K] init 0, A[K, K] init normal(0, 1), B[K, V] init normal(0, 1)
pi = softmax(a)
P = softmax(A)
Q = softmax(B)
alpha[0, k] = pi[k] Q[k, obs[0]]
alpha[t, k] = (sum[j] alpha[t-1, j] P[j, k]) Q[k, obs[t]]   for t in 1..T-1
maximize log sum[k] alpha[T-1, k]"""


def test_a_long_sequence_has_hmmlearns_likelihood():
    a = analysis(HMM)
    rng = np.random.default_rng(0)
    sizes = {"T": 3000, "K": 3, "V": 4}
    values = {
        "obs": rng.integers(0, 4, 3000),
        "a": rng.normal(size=3),
        "A": rng.normal(size=(3, 3)),
        "B": rng.normal(size=(3, 4)),
    }
    inputs = {t: values[t.name] for t in a.forward.inputs}
    dims = {d: sizes[d.name] for t in a.forward.tensors() for s in t.shape for d in s.free_symbols}
    with np.errstate(divide="ignore"):
        naive = evaluate(a.raw, inputs, dims)[a.raw.outputs["loss"]]
    scaled = evaluate(a.forward, inputs, dims)[a.forward.outputs["loss"]]
    peer = CategoricalHMM(3, n_features=4)
    softmax = {k: scipy.special.softmax(values[k], axis=-1) for k in ("a", "A", "B")}
    peer.startprob_, peer.transmat_, peer.emissionprob_ = softmax["a"], softmax["A"], softmax["B"]
    assert np.isinf(naive)
    assert -scaled == pytest.approx(peer.score(values["obs"].reshape(-1, 1)), rel=1e-10)


@pytest.mark.parametrize(
    "changed",
    [
        ("P = softmax(A)", "P = tanh(A)"),  # a state that may be negative
        ("alpha[0, k] = pi[k] Q", "alpha[0, k] = a[k] Q"),  # one that may begin so
        ("maximize log sum[k] alpha[T-1, k]", "maximize sum[k] alpha[T-1, k]"),  # read without a logarithm
        ("maximize log sum[k] alpha[T-1, k]", "maximize log sum[k] alpha[T-2, k]"),  # not the last state
        ("(sum[j] alpha[t-1, j] P[j, k])", "(1 + sum[j] alpha[t-1, j] P[j, k])"),  # not homogeneous
        ("(sum[j] alpha[t-1, j] P[j, k])", "(sum[j] alpha[t-1, j]^2 P[j, k])"),  # not linear
        ("(sum[j] alpha[t-1, j] P[j, k])", "(alpha[t-1, k])"),  # states side by side
    ],
)
def test_others_are_left_as_they_are(changed):
    text = HMM.replace(*changed)
    assert text != HMM
    model, program = pipeline.load(page(text))
    forward = pipeline.differentiate(model, program).forward
    names = {t.name for n in forward.statements if isinstance(n, Scan) for t in outs(n)}
    assert "alpha" in names and "alpha1" not in names

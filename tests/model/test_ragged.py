"""Sequences of different lengths: against one sequence at a time in numpy, and what is refused where."""

from __future__ import annotations

import numpy as np
import pytest
from check import check_derivative, standalone

import symml
from symml import pipeline
from symml.errors import DataError, SymmlError
from symml.source import Source

HMM = """model m
dims N, T, K = 2, V
data obs[N, T] in V, lengths L[N] in 1..T
param a[K] init normal(0, 0.1), A[K, K] init normal(0, 0.5), B[K, V] init normal(0, 0.5)
pi = softmax(a)
P = softmax(A)
Q = softmax(B)
alpha[i, 0, k] = pi[k] Q[k, obs[i, 0]]
alpha[i, t, k] = (sum[j] alpha[i, t-1, j] P[j, k]) Q[k, obs[i, t]]   for t in 1..T-1
minimize -sum[i] log sum[k] alpha[i, L[i]-1, k]
train with lbfgs(iterations = 20)
report ones = mean[i, t] [obs[i, t] = 1]
report longest = max[i] L[i]
"""
MEANS = """model m
dims N, T
data x[N, T], lengths L[N] in 1..T
param mu
r = x - mu
minimize sum[i, t] r[i, t]^2
train with lbfgs until |grad| < 1e-9
report centre = mean[i, t] x[i, t]
report largest = max[i, t] x[i, t]
report steps = sum[i] L[i]
"""
RNG = np.random.default_rng(11)
LENGTHS = [5, 9, 1, 3, 7]
SEQUENCES = [RNG.integers(0, 4, size=n) for n in LENGTHS]
NUMBERS = [RNG.normal(size=n) for n in LENGTHS]


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def forward(params):
    """-log p of all sequences, one by one."""
    total, q, p = 0.0, softmax(params["B"]), softmax(params["A"])
    for s in SEQUENCES:
        alpha = softmax(params["a"]) * q[:, s[0]]
        for o in s[1:]:
            alpha = (alpha @ p) * q[:, o]
        total -= np.log(alpha.sum())
    return total


def block(rows, behind):
    out = np.full((len(rows), max(map(len, rows))), float(behind))
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_each_sequence_ends_where_it_ends(target):
    fit = symml.parse(HMM).train(target=target, obs=SEQUENCES)
    assert fit.loss == pytest.approx(forward(fit.params), rel=1e-12)
    assert fit.report["ones"] == pytest.approx(np.mean(np.concatenate(SEQUENCES) == 1))
    assert fit.report["longest"] == max(LENGTHS)
    for behind in (-1, np.nan, 99):  # what lies behind an end has no say
        again = symml.parse(HMM).train(target=target, obs=block(SEQUENCES, behind), L=LENGTHS)
        assert np.array_equal(again.params["A"], fit.params["A"])
    shorter = symml.parse(HMM).train(target=target, obs=block(SEQUENCES, 0), L=[5, 8, 1, 3, 7])
    assert not np.array_equal(shorter.params["A"], fit.params["A"])


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_reductions_leave_out_what_is_behind_an_end(target):
    every = np.concatenate(NUMBERS)
    fit = symml.parse(MEANS).train(target=target, x=block(NUMBERS, 1e300), L=LENGTHS)
    assert fit.params["mu"] == pytest.approx(every.mean(), abs=1e-10)
    assert fit.report["centre"] == pytest.approx(every.mean(), abs=1e-12)
    assert fit.report["largest"] == every.max()
    assert fit.report["steps"] == sum(LENGTHS)


@pytest.mark.parametrize("page", [HMM, MEANS])
def test_derivatives(page):
    check_derivative(pipeline.analyse(Source("p", page)))


@pytest.mark.full
def test_a_standalone_module_trains_to_the_same_bits():
    module = standalone(pipeline.emit(Source("p", HMM), pipeline.Options()))
    fit = symml.parse(HMM).train(obs=SEQUENCES)
    assert np.array_equal(module.fit({"obs": block(SEQUENCES, 99), "L": LENGTHS})["x"], fit._result.x)
    with pytest.raises(ValueError, match="lengths of the rows"):
        module.fit({"obs": block(SEQUENCES, 99), "L": [5, 9, 1, 3, 10]})


def test_a_mean_over_missing_entries_counts_those_that_are_there():
    page = "model m\ndims n\ndata x[n] missing allowed\nparam a\nminimize sum[i] (x[i] - a)^2\n"
    fit = symml.parse(page + "report m = mean[i] x[i]").train(target="reference", x=[1.0, np.nan, 3.0, 5.0])
    assert fit.report["m"] == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("alpha[i, L[i]-1, k]", "alpha[i, T-1, k]", "behind the end"),
        ("alpha[i, L[i]-1, k]", "alpha[i, L[i], k]", "runs over|ranges over"),
        ("lengths L[N] in 1..T", "lengths L[N] in 0..T", "from 1 entry"),
        ("lengths L[N] in 1..T", "lengths L[N]", "one number for each sequence"),
        ("lengths L[N] in 1..T", "lengths L[N] in 1..V", "no data have the axes"),
    ],
)
def test_what_a_page_may_not_say(old, new, words):
    with pytest.raises(SymmlError, match=words):
        symml.parse(HMM.replace(old, new))


def test_a_recurrence_against_the_end_is_refused():
    page = MEANS.replace("r = x - mu", "r[i, T-1] = x[i, T-1]\nr[i, t] = r[i, t+1] mu + x[i, t] for t in 0..T-2")
    with pytest.raises(SymmlError, match=r"behind the end|beyond the end"):
        symml.parse(page)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"obs": block(SEQUENCES, 0), "L": [5, 10, 1, 3, 7]}, r"L\[1\] = 10: a sequence of 'obs' has 1..9"),
        ({"obs": block(SEQUENCES, 0), "L": [5, 0, 1, 3, 7]}, r"L\[1\] = 0"),
        ({"obs": block(SEQUENCES, 0), "L": [5, 2.5, 1, 3, 7]}, r"2\.5"),
        ({"obs": [[1, 2], []]}, "has no entry"),
        ({"obs": block(SEQUENCES, 0)}, "no value for 'L'"),
    ],
)
def test_wrong_lengths(given, words):
    with pytest.raises(DataError, match=words):
        symml.parse(HMM).train(target="reference", **given)


def test_an_entry_inside_a_sequence_is_looked_at():
    wrong = block(NUMBERS, 0.0)
    wrong[1, 8] = np.nan
    with pytest.raises(DataError, match="non-finite"):
        symml.parse(MEANS).train(target="reference", x=wrong, L=LENGTHS)

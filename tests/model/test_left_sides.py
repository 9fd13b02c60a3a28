"""What the indices on the left of a definition run over: said behind it, told by its right side, or by its uses."""

from __future__ import annotations

import numpy as np
import pytest

from symml import pipeline
from symml.errors import SymmlErrors
from symml.ir.evaluate import evaluate
from symml.proof.samples import sizes
from tests.check import analysis, check_derivative, check_loops, page

CONVOLUTION = (
    "dims n, H, W, c, f, K\ndata X[n, H, W], y[n] in c\nparam F[f, K, K] init 1, V[f, c] init 1\n"
    "A[i, m, r, s] = tanh(sum[p, q] X[i, r+p, s+q] F[m, p, q])   for r in 0..H-K, s in 0..W-K\n"
    "P[i, m] = sum[r in 0..H-K, s in 0..W-K] A[i, m, r, s]\nZ = P V\n"
    "minimize over F, V  -1/n sum[i] logsoftmax(Z[i])[y[i]]\n"
)
GATES = (  # each gate says the range of its steps; that of k is told by the weights elsewhere
    "dims T, h\ndata x[T]\nparam U[h, h] init 0.1, R[h, h] init 0.1, v[h] init 0.2\n"
    "s[0, k] = 0\n"
    "z[t, k] = sigmoid(sum[j] s[t-1, j] U[j, k] + v[k] x[t])   for t in 1..T-1\n"
    "g[t, k] = tanh(sum[j] s[t-1, j] R[j, k])   for t in 1..T-1\n"
    "s[t, k] = (1 - z[t, k]) s[t-1, k] + z[t, k] g[t, k]   for t in 1..T-1\n"
    "minimize over U, R, v  sum[t in 1..T-1, k] (s[t, k] - x[t])^2 + sum[t, k] z[t, k]\n"
)
STEPS = "dims T\ndata x[T]\nparam a init 0\nd[t] = x[t] - x[t-1]   for t in 1..T-1\ne[t] = d[t] - a d[t-1]   for t in 2..T-1\n"


SINKHORN = (  # the rounds of the iteration have a part with a name of its own, which is read outside as well
    "dims n\ndata A[n, n]\nparam t init 0\nM[i, j] = (A[i, j] - t)^2\ng[j] = -logsumexp[i] (f[i] - M[i, j])\n"
    "iterate f[i] <- -logsumexp[j] (g[j] - M[i, j]) until |change| < 1e-13\nminimize over t  sum[i] f[i] + sum[j] g[j]\n"
)


@pytest.mark.parametrize("body", [CONVOLUTION, GATES, STEPS + "minimize over a  sum[t] e[t]^2 + a ||d||^2\n"])
def test_derivatives(body):
    check_derivative(analysis(body), order=1)
    check_loops(pipeline.analyse(page(body)).program)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # steps from 1 on are the same as their differences written out
        (
            STEPS + "minimize over a  sum[t] e[t]^2",
            "dims T\ndata x[T]\nparam a init 0\nminimize over a  sum[t in 2..T-1] (x[t] - x[t-1] - a (x[t-1] - x[t-2]))^2",
        ),
        (  # k walks K because B is read beside w
            "dims n, K\ndata x[n]\nparam w[K]\nB[i, k] = max(x[i] - k, 0)\nminimize over w  sum[i] (sum[k] B[i, k] w[k])^2",
            "dims n, K\ndata x[n]\nparam w[K]\nminimize over w  sum[i] (sum[k in K] max(x[i] - k, 0) w[k])^2",
        ),
        (  # and because labels of K choose from c
            "dims n, K\ndata y[n] in K\nparam a\nc[k] = exp(a k)\nminimize over a  sum[i] c[y[i]]",
            "dims n, K\ndata y[n] in K\nparam a\nc[k] = exp(a k)   for k in K\nminimize over a  sum[i] c[y[i]]",
        ),
    ],
)  # fmt: skip
def test_same_values(one, other):
    first, second = (pipeline.analyse(page(body)).program for body in (one, other))
    dims = {d.name: 4 for d in sizes(first)}
    rng = np.random.default_rng(1)
    values = {
        t.name: rng.integers(0, 4, 4) if t.integer else rng.normal(size=4 if t.shape else ()) for t in first.inputs
    }
    losses = []
    for program in (first, second):
        given = {t: values[t.name] for t in program.inputs}
        losses.append(evaluate(program, given, {d: dims[d.name] for d in sizes(program)})[program.outputs["loss"]])
    assert abs(losses[0] - losses[1]) < 1e-12 and losses[0] != 0


def test_a_prediction_for_each_value_of_its_letters():
    body = "dims n, d, c\ndata X[n, d], y[n] in c\nparam W[d, c]\nP = X W\nminimize over W  ||P||^2\n"
    program = pipeline.analyse(page(body + "predict label = argmax[k] P[i, k]\n")).program
    out = program.outputs["predict"]
    assert [str(size) for size in out.shape] == ["n"]
    assert out.domain.kind == "label"


def test_an_iteration_whose_rounds_have_names_of_their_own():
    check_derivative(analysis(SINKHORN), order=1)


def test_a_logarithm_that_asks_for_apart_inputs():
    """1/(a - y) has values where log(a - y) has none: both sides are compared where both have."""
    check_derivative(analysis("dims n\ndata y[n]\nparam a init 9\nminimize over a  a - sum[i] log(a - y[i])"))


def test_sizes_that_the_ranges_ask_for():
    program = pipeline.analyse(page("dims T\ndata x[T]\nparam a\nminimize over a  sum[t in 0..T-40] a x[t+39]")).program
    assert min(sizes(program).values()) == 40


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("d[t] = x[t] - x[t-1]   for t in 1..T-1\nminimize over a  sum[t in 0..T-1] d[t] a", 37, "outside 1..T - 1"),
        ("d[t] = x[t] - x[t-1]   for t in 1..T-1\nminimize over a  sum[t] d[t] x[t]", 30, "sizes: 1..T - 1 and T"),
        ("d[t] = x[t] - x[t-1]   for t in 0..T-1\nminimize over a  sum[t] d[t] a", 17, "runs over -1..T - 2"),
        ("minimize over a  a x[t]", 22, "fix: bind it, as in sum[t] ..."),
        ("c[k] = a^k\nminimize over a  c[0]", 3, "the range of index 'k' is not known"),
        ("c[k] = a^k   for k in 5..2\nminimize over a  c[0]", 23, "is empty"),
        (
            "c[j, k] = a\nc[j, k] = a^2  for j in 1..T-1, k in 1..T-1\nminimize over a  c[0, 0]",
            1,
            "more than one index",
        ),
    ],
)
def test_refused(line, column, words):
    with pytest.raises(SymmlErrors) as caught:
        pipeline.analyse(page("dims T\ndata x[T]\nparam a init 1\n" + line))
    first = caught.value.errors[0]
    assert words in str(first)
    assert first.span.column == column

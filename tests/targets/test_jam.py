"""Several rows of a nest run in one sweep only where that saves more than it costs to compile; counted in the emitted text."""

from __future__ import annotations

import pytest
from check import page

from symml import kernels, pipeline
from symml.analysis import analyse
from symml.assemble.plan import plan

STEP = "s[0, k] = x[0]\ns[t, k] = {body} for t in 1..T-1"
PAGE = "dims T, h{size}\ndata x[T]\nparam W[h, h] init 1\n{step}\nminimize 1/T sum[t, k] (s[t, k] - x[t])^2\ntrain with lbfgs"
PLAIN = STEP.format(body="sum[j] s[t-1, j] W[j, k]")
HEAVY = STEP.format(body="sum[j] tanh(s[t-1, j] W[j, k])")


def source(text: str) -> str:
    a, options = analyse(page(text)), pipeline.Options()
    return kernels._module_source(plan(a, options), options, a.model)[0]


def gradient(step: str, size: str = "") -> str:
    text = source(PAGE.format(step=step, size=size))
    return text[text.index("def value_and_grad") : text.index("def initialise")]


def test_products_of_long_rows_are_jammed():
    assert "+ 3)" in gradient(PLAIN) and "+ 3)" in gradient(PLAIN, " = 9")


@pytest.mark.parametrize("size", [" = 4", " = 8"])
def test_a_handful_of_entries_is_not(size: str):
    assert "+ 3)" not in gradient(PLAIN, size).replace("(-1 + n_T)", "")


def test_rows_of_exponentials_are_not():
    text = gradient(HEAVY)
    assert "tanh_f64" in text and not any("tanh_f64" in line and "+ 3)" in line for line in text.splitlines())


GRU = """dims T, h = 6
data x[T]
param Wz[h, h] init 1, Wr[h, h] init 1, Wh[h, h] init 1, uz[h] init 1, ur[h] init 1, uh[h] init 1, v[h] init 1
s[0, k] = 0
z[t, k] = sigmoid(sum[j] s[t-1, j] Wz[j, k] + uz[k] x[t])   for t in 1..T-1
r[t, k] = sigmoid(sum[j] s[t-1, j] Wr[j, k] + ur[k] x[t])   for t in 1..T-1
g[t, k] = tanh(sum[j] r[t, j] s[t-1, j] Wh[j, k] + uh[k] x[t])   for t in 1..T-1
s[t, k] = (1 - z[t, k]) s[t-1, k] + z[t, k] g[t, k]   for t in 1..T-1
minimize 1/(T - 2) sum[t in 1..T-2] (sum[k] s[t, k] v[k] - x[t+1])^2
train with adam(lr = 1e-2, epochs = 200)
"""


def test_the_code_of_a_recurrence_with_gates_is_short():
    """Not every row stands four times and once more."""
    text = source(GRU)
    assert len(text[text.index("def value_and_grad") : text.index("def gather")].splitlines()) <= 240

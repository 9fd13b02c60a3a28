"""The engine on large pages: no swelling, time in proportion, and texts that do not grow with the data."""

from __future__ import annotations

import time

from check import analysis, page

from symml import pipeline


def deep(layers):
    names = [f"W{k}" for k in range(layers)]
    lines = ["dims m, d", "data X[m, d], Y[m, d]", "param " + ", ".join(f"{w}[d, d] init 0" for w in names)]
    lines += [f"H{k} = tanh({'X' if k == 0 else f'H{k - 1}'} {w})" for k, w in enumerate(names)]
    return page("\n".join([*lines, f"minimize 1/m ||H{layers - 1} - Y||^2"]))


def test_a_hundred_layers_are_derived_within_a_second():
    small, large = pipeline.load(deep(10)), pipeline.load(deep(100))
    pipeline.differentiate(*small)
    start = time.process_time()
    a = pipeline.differentiate(*large)
    seconds = time.process_time() - start
    assert len(a.derivative.statements) <= 6 * 100
    assert seconds < 1.0 or seconds < 15 * _seconds(small)  # on a slow machine: in proportion to the layers


def _seconds(loaded):
    start = time.process_time()
    pipeline.differentiate(*loaded)
    return time.process_time() - start


def test_doublings_stay_as_many_statements():
    lines = ["param x init 0.3"]
    lines += [f"e{k} = 4 {'x' if k == 0 else f'e{k - 1}'} (1 - {'x' if k == 0 else f'e{k - 1}'})" for k in range(60)]
    a = analysis("\n".join([*lines, "minimize e59"]))
    assert len(a.forward.statements) == 60
    assert sum(s.body.count_ops() for s in a.derivative.statements) < 20 * 60


def test_the_source_does_not_grow_with_steps_or_rows():
    text = (
        "dims T = {T}, n = {n}, H = 4\ndata x[T, n]\nparam w[H, H] init 0, u[H] init 1\ns[0, i, k] = u[k] x[0, i]\n"
        "s[t, i, k] = tanh(sum[j] s[t-1, i, j] w[j, k] + u[k] x[t, i])   for t in 1..T-1\n"
        "minimize sum[i, k] s[T-1, i, k]^2"
    )
    sources = {pipeline.build(page(text.format(T=f, n=3 * f)), pipeline.Options())[0] for f in (40, 400, 4000)}
    assert len(sources) == 1

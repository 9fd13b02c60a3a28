"""Rows that a block reads for the first time: dots take them one by one, sums into memory side by side where they are short."""

from __future__ import annotations

import numpy as np
import pytest
from check import page

from symml import pipeline

COLUMNS = "dims n, d\ndata X[n, d]\nparam w[d]\nminimize sum[j] (w[j] - 1/n sum[i] X[i, j])^2\ntrain with lbfgs"
DOTS = "dims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize 1/n ||X w - y||^2\ntrain with lbfgs"


def source(text):
    return pipeline.show(page(text), "source", pipeline.Options())


def test_long_rows_are_added_one_by_one():
    text = source(COLUMNS)
    assert "if n_d <= 56:" in text and "else:" in text


def test_dots_with_fresh_rows_are_not_jammed():
    text = source(DOTS)
    body = text[text.index("def value_and_grad") :]
    first = body[body.index("for start in") : body.index("v_d_")]
    assert "+ 3)" not in first, "four rows at once from memory"
    assert "+ 3)" in body, "the second sweep over the block does take four"


@pytest.mark.parametrize("d", [3, 200])
def test_both_ways_give_the_means(d):
    X = np.random.default_rng(0).normal(size=(131, d))
    fit = pipeline.train(page(COLUMNS), pipeline.Options(), {"X": X}, 0)
    np.testing.assert_allclose(fit.x, X.mean(axis=0), rtol=1e-9, atol=1e-12)

"""Functions of one's own and values by cases mean what they say, written out."""

from __future__ import annotations

import numpy as np
import pytest

from symml import pipeline
from symml.errors import SymmlErrors
from symml.ir.evaluate import evaluate
from tests.check import analysis, check_derivative, check_loops, page

HEAD = "dims n, d\ndata X[n, d], y[n]\nparam w[d] init 0.1, b init 0.2\n"
HUBER = "define rho(r, c) = cases\n  r^2/2  if |r| <= c\n  c |r| - c^2/2  otherwise\n"
SQUARES = "define mse(u[m]) = 1/3 sum[i] u[i]^2\ndefine shifted(u[m], c) = u + c mse(u)\n"


@pytest.mark.parametrize(
    "body",
    [
        HUBER + "minimize over w, b  1/n sum[i] rho(y[i] - X[i]' w - b, 1)",
        HUBER + "r = rho(y - X w - b, 2)\nminimize over w, b  1/n sum[i] r[i]",  # of numbers, taken of each entry
        SQUARES + "minimize over w, b  mse(X w - y) + mse(w)^2 + sum[i] shifted(w, b)[i]^2",
        "h[i] = cases\n  log y[i]  if y[i] > 1\n  b y[i]^2  if y[i] > 0\n  0  otherwise\nminimize over b  sum[i] h[i]",
    ],
)
def test_derivatives(body):
    a = analysis(HEAD + body)
    check_derivative(a)
    check_loops(a.program)


def test_what_is_not_taken_may_be_no_number():
    """0 times the infinite slope of sqrt at 0 is no number; the slope of what is taken is 0."""
    a = analysis("param a\nminimize over a  g\ng = cases\n  sqrt(a)  if a > 0\n  a^2  otherwise")
    (at,) = a.derivative.inputs
    with np.errstate(all="ignore"):
        assert evaluate(a.derivative, {at: np.float64(0)}, {})[a.derivative.outputs["d_a"]] == 0.0


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("define f(x) = f(x) + 1\nminimize over b  f(b)", "functions that need each other: f -> f"),
        ("define f(x) = g(x)\ndefine g(x) = f(x)\nminimize over b  f(b)", "f -> g -> f"),
        ("define f(x, c) = x + c\nminimize over b  f(b)", "f takes 2 arguments, not 1"),
        ("define f(x[d]) = ||x||\nminimize over b  f(b)", "'x' of f has 1 axis, this is a scalar"),
        ("define exp(x) = x\nminimize over b  b", "'exp' is a function of the language"),
        ("define f(x, x) = x\nminimize over b  b", "two parameters are named 'x'"),
        ("define f(x) = x + i\nminimize over w  sum[i] f(w[i])", "unknown name 'i'"),
        ("g = cases\n  b  if b > 0\n  2 b  if b < 0\nminimize over b  g", "nothing is said for the rest"),
    ],
)
def test_refused(lines, words):
    with pytest.raises(SymmlErrors) as caught:
        pipeline.analyse(page(HEAD + lines))
    assert words in str(caught.value.errors[0])
    assert caught.value.errors[0].span is not None

"""Lines in index form are read again and computed; what does not say what the program computes is not shown."""

from __future__ import annotations

import numpy as np
import pytest
from check import page

from symml import pipeline
from symml.errors import NumericError
from symml.latex import bodies, index_form
from symml.latex.read_again import Scope, off

rng = np.random.default_rng(3)
n, m = 4, 3
A, x, y = rng.normal(size=(n, m)), rng.normal(size=n), np.array([2, 0, 1, 2])
ROWS = ((A - x[:, None] * A[0]) ** 2).sum(1)
SCOPE = Scope({"A": A, "x": x, "y": y, "n": np.asarray(n), "k": np.asarray(7), "λ": np.asarray(0.3)}, frozenset("ij"))
LAGS = """dims T
data x[T]
param w[2], b
minimize sum[t in 2..T-1] (b + w[0] x[t-1] + w[1] x[t-2] - x[t])^4"""


@pytest.mark.parametrize(
    "lines, truth",
    [
        ([("r[i]", "=", "−2 sum[j] A[i, j]²/(n + 1) − λ x[i]")], -2 * (A**2).sum(1) / (n + 1) - 0.3 * x),
        ([("r[j]", "=", "sum[i] x[i] (A[i, j] − 1)")], x @ (A - 1)),
        ([("r[y[i]]", "+=", "x[i]")], np.bincount(y, x)),
        ([("r[i]", "=", "0"), ("r[i + 1]", "+=", "x[i]   for i = 0..n − 2")], np.r_[0, x[:-1]]),
        ([("r", "=", "sum[i where x[i] < 0 and y[i] = 2] x[i]")], np.asarray(sum(x[(x < 0) & (y == 2)]))),
        ([("r", "=", "logsumexp[i in 0..n − 2] x[i] sum[j] A[i + 1, j]")], np.log(np.exp(x[:-1] * A[1:].sum(1)).sum())),
        ([("r[i]", "=", "|A[i, 0] − 1| ‖A[i] − x[i] A[0]‖² − |x[i]|")], np.abs(A[:, 0] - 1) * ROWS - np.abs(x)),
        ([("r", "=", "λ ‖A‖ + sum[j] ‖x‖³ A[0, j]")], 0.3 * np.sqrt((A**2).sum()) + (x @ x) ** 1.5 * A[0].sum()),
        ([("r[i]", "=", "√(σ(x[i])) exp(−x[i])^(3/2)")], (1 / (1 + np.exp(-x))) ** 0.5 * np.exp(-1.5 * x)),
    ],
)
def test_lines_are_computed(lines, truth):
    assert off(lines, truth, SCOPE) < 1e-14
    assert off([(left, mode, f"{right.partition('   ')[0]} + 1") for left, mode, right in lines], truth, SCOPE) > 1e-3


@pytest.mark.parametrize("right", ["sum[l] λ", "sum[i] x[i", "B[i]", "x[i, i]", "x ! 2", "‖A", "‖A − x‖"])
def test_what_cannot_be_read_is_wrong(right):
    """An open range, an open bracket, an unknown name, too many indices, an unknown sign."""
    assert off([("r", "=", right)], np.asarray(1.0), SCOPE) == float("inf")


def derived(product: str) -> list[dict]:
    return pipeline.derivations(page(LAGS), False, None, "matrix", {}, product=product, argument="2")


@pytest.mark.parametrize("product", ["gradient", "steps", "order"])
def test_a_line_without_its_brackets_is_told(product, monkeypatch):
    """Negative control: every line is read, so a printer that loses brackets around a sum is found out."""
    assert derived(product)
    monkeypatch.setattr(bodies.Text, "_print_Add", _as_written)
    monkeypatch.setattr(bodies.Text, "_print_Mul", lambda self, e: " ".join(map(self._print, e.args)))
    with pytest.raises(NumericError, match="is off by"):
        derived(product)


def _as_written(self, e, order=None):
    return " − ".join(map(self._print, e.args))


def test_a_captured_letter_is_told(monkeypatch):
    """Negative control: terms that are added up must have one letter for one index."""
    body = "dims n, d\ndata X[n, d], y[n]\nparam w[d]\n"
    body += "r[i] = y[i] - sum[k] X[i, k] w[k] + sum[i in n] y[i]\nminimize sum[i] r[i]^4"
    assert pipeline.derivations(page(body), False, None, "index", {})
    right = index_form.letters
    monkeypatch.setattr(index_form, "letters", lambda loops, taken: {k: "i" for k in right(loops)})
    with pytest.raises(NumericError, match="is off by"):
        pipeline.derivations(page(body), False, None, "index", {})


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        ("sum[j] |w[j]| + ||w||_1", "2 ‖w‖₁"),
        ("sum[i] min[k] sum[j] (X[i, j] - C[k, j])^2 + 0 ||w||", "t₄[i] = min[k] ‖X[i] − C[k]‖²"),
        (
            "sum[i] sqrt(sum[j, k in 0..1] (X[i, j] - C[k, j])^2) + 0 ||w||",
            "t₁[i] = sum[j in 0..1, k] (X[i, j] − C[k, j])²",
        ),
    ],
)
def test_sums_of_squares_are_norms_where_they_run_along_rows(objective, text):
    body = f"dims n, d\ndata X[n, d], C[2, d]\nparam w[d]\nminimize {objective}"
    (loss, _) = pipeline.derivations(page(body), False, None, "matrix", {})
    shown = [loss["text"], *(t for _, t in loss["where"])]
    assert any(text.split(" = ")[-1] in line for line in shown), shown


CASES = """dims n, d
data X[n, d], y[n]
param w[d]
define huber(r) = cases
  1/2 r^2  if |r| <= 1
  |r| - 1/2  otherwise
minimize sum[i] huber(y[i] - sum[j] X[i, j] w[j])"""


@pytest.mark.parametrize("form", ["matrix", "index"])
def test_cases_are_written_as_cases(form):
    loss, gradient = pipeline.derivations(page(CASES), False, None, form, {})
    for row in (loss, gradient):
        whole = " ".join((row["text"], row["latex"], *(part for where in row["where"] for part in where)))
        assert "select" not in whole and " otherwise}" in whole and " if " in whole
        assert whole.count(r"\begin{cases}") == whole.count(r"\end{cases}") > 0
    if form == "matrix":
        assert loss["text"] == "1ᵀ{1/2 s^⊙2 if |s| ≤ 1; |s| − 1/2 otherwise}"


def test_cases_are_read_again():
    line = ("r[i]", "=", "{x[i]²/2 if x[i] < 0 and y[i] = 2; 1 if x[i] < 0; −x[i] otherwise}")
    truth = np.where((x < 0) & (y == 2), x**2 / 2, np.where(x < 0, 1.0, -x))
    assert off([line], truth, SCOPE) < 1e-15
    assert off([(*line[:2], line[2].replace("1 if x[i] < 0; ", ""))], truth, SCOPE) > 0.1


def test_a_test_of_one_of_two_terms_stands_behind_it_alone():
    text = "dims m, n, k\ndata C[m, n], A[m, k], B[n, k]\nparam M[m, n]\n"
    text += "minimize 1/2 sum[i, j where i != j] (M[i, j] - C[i, j])^2"
    row = pipeline.derivations(page(f"{text} + sum[i, j, k] A[i, k] B[j, k] M[i, j]"), False, None, "index", {})[1]
    assert row["text"] == "sum[k] A[i, k] B[j, k]; M̄[i, j] += M[i, j] − C[i, j] where 1 − [i = j]"

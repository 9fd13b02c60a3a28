"""`--verify` names, beside every formula of every product, what it was compared with."""

from pathlib import Path

import pytest

from symml import pipeline
from symml.source import Source

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
STEP, SYMPY, KINKS, TREE = "complex step agrees", "expansion by sympy agrees", "mpmath at kinks", "printed form agrees"
ALONG, SERIES, MATRIX = "complex step along v agrees", "series in mpmath agrees", "the matrix times it agrees"
CASES = [
    ("sum(exp(X*w))", "w", "order", "2", (STEP, SYMPY, TREE)),
    ("sum(exp(X*w))", "w", "order", "3", (STEP, SYMPY, TREE)),
    ("norm2(y-X*inv(X'*X)*X'*y)^2", "y", "order", "2", (STEP, SYMPY, TREE)),  # X'X has no inverse where X is wide
    ("sum(exp(X*w))", "w", "hvp", "", (STEP, MATRIX, ALONG, SYMPY, TREE)),
    ("relu(A*x)", "x", "jacobian", "f", (STEP, SYMPY, KINKS, TREE)),
    ("relu(A*x)", "x", "jvp", "f", (STEP, MATRIX, ALONG, SYMPY, KINKS, TREE)),
    ("relu(A*x)", "x", "vjp", "f", (STEP, MATRIX, SYMPY, KINKS, TREE)),
    ("A*tanh(A'*x)", "x", "divergence", "f", (STEP, SYMPY, TREE)),
    ("sum(relu(A*x))", "x", "directional", "", (STEP, ALONG, SYMPY, SERIES, KINKS, TREE)),
    ("log(sum(exp(x)))", "x", "taylor", "4", (STEP, ALONG, SYMPY, SERIES, TREE)),
    ("norm2(A*x-b)^2", "x", "stationary", "", ("plugged back", STEP, SYMPY, TREE)),
]


def rows_of(source, is_expression, wrt, product, argument, verify=True):
    return pipeline.derivations(source, is_expression, wrt, "matrix", {"b": "vector"}, verify, product, argument)


@pytest.mark.parametrize(("text", "wrt", "product", "argument", "words"), CASES)
def test_every_product_says_what_it_was_compared_with(text, wrt, product, argument, words):
    last = rows_of(Source("-e", text), True, wrt, product, argument)[-1]
    assert [w for w in words if w not in last["proof"]] == []
    assert "DISAGREES" not in last["proof"] and last["proof"].count("agrees") >= len(words) - 1
    short = rows_of(Source("-e", text), True, wrt, product, argument, verify=False)[-1]
    assert short["text"] == last["text"] and len(short["proof"]) < len(last["proof"])


def test_conditions_and_duals_too():
    source = pipeline.read(EXAMPLES / "nnls.symml")
    kkt = rows_of(source, False, None, "kkt", "")
    (stationarity,) = [r for r in kkt if r["section"] == "stationarity"]
    assert all(w in stationarity["proof"] for w in (STEP, SYMPY, TREE))
    assert all(TREE in r["proof"] for r in kkt if r["section"] in ("Lagrangian", "primal feasibility"))
    dual = rows_of(source, False, None, "dual", "")
    (problem,) = [r for r in dual if r["section"] == "dual"]
    assert (
        "random multipliers" in problem["proof"]
        and "none of the points" in problem["proof"]
        and TREE in problem["proof"]
    )
    assert all(TREE in r["proof"] for r in dual if r["latex"] and r["section"] != "subject to")


REPEATED = """model m
dims n, d
data X[n, d], y[n]
param w[d] init 0, a[n] > 0 init 1
minimize over w, a
  sum[i] exp(X[i]' w - y[i]) a[i]
  subject to sum[i] tanh(X[i]' w - y[i]) a[i] <= 1; ||w||^2 <= 2
"""


def test_conditions_name_what_they_repeat():
    """As gradients do; and the names are none of the page's, nor what its own are written as."""
    rows = rows_of(Source("m", REPEATED), False, None, "kkt", "", verify=False)
    (first, _) = [r for r in rows if r["section"] == "stationarity"]
    assert first["text"] == "∂L/∂w = Xᵀ(a ⊙ (exp(s) + μ₁ − μ₁ tanh(s)^⊙2)) + 2μ₂w = 0"
    assert [text for _, text in first["where"]] == ["s = Xw − y"]
    other = rows_of(
        Source("m", REPEATED.replace("a[", "s[").replace("w, a", "w, s")), False, None, "kkt", "", verify=False
    )
    (first, _) = [r for r in other if r["section"] == "stationarity"]
    assert [text for _, text in first["where"]] == ["r = Xw − y"]

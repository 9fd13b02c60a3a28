"""Names of an expression without a page: by their letters, by sense where letters make none, by the user's word."""

from __future__ import annotations

import re

import pytest

from symml import names, pipeline
from symml.errors import SymmlError
from symml.model.letters import parsed, problem, readings
from symml.source import Source

READ = [
    ("x'*A*x", {}),
    ("A*x", {}),
    ("a*x'*y + c", {}),
    ("a'*inv(X)*b", {"a": "vector", "b": "vector"}),
    ("norm2(x-a)", {"a": "vector"}),
    ("(B*x+b)'*C*(D*x+c)", {"b": "vector", "c": "vector"}),
    ("N/2*logdet(S)+1/2*tr(inv(S)*E*E')", {"N": "scalar"}),
    ("(1-l0/norm2(p-q))*(p-q)", {"l0": "scalar"}),
    ("(1/N)*sum_i (y_i-max(0,w'*x_i+b))^2", {"N": "scalar", "x": "matrix"}),
    ("1/2*(y-X*b)'*inv(S)*(y-X*b)", {"b": "vector"}),
]


@pytest.mark.parametrize("text, kinds", READ, ids=[r[0] for r in READ])
def test_readings(text, kinds):
    assert readings(Source("-e", text), {}) == kinds


def test_the_users_word_goes_first():
    assert readings(Source("-e", "norm2(x-a)"), {"a": "scalar"}) == {}
    _, kinds = parsed(Source("-e", "tr(S*A), S symmetric, a and b vectors"), {})
    assert kinds == {"S": "symmetric", "a": "vector", "b": "vector"}
    with pytest.raises(SymmlError, match="no kind"):
        problem(Source("-e", "x'*x"), "x", {"x": "tensor"})


def test_symmetric_names_are_square_and_known_to_be():
    for given in ({"A": "symmetric"}, {"A": "spd"}):
        (row,) = pipeline.derivations(Source("-e", "x'*A*x"), True, "x", "matrix", given)
        assert row["text"] == "2Ax"
    (row,) = pipeline.derivations(Source("-e", "x'*A*x"), True, "x", "matrix", {})
    assert row["text"] == "(A + Aᵀ)x"


def test_entrywise_powers():
    for text, shown in (("sum(X.^2)", "2X"), ("sum((X*w).^2)", "2Xwwᵀ")):
        (row,) = pipeline.derivations(Source("-e", text), True, "X", "matrix", {})
        assert row["text"] == shown
    with pytest.raises(SymmlError, match="power of a matrix"):
        problem(Source("-e", "tr(X^0.5)"), "X", {})


def test_twice_the_same_name_is_the_second_derivative():
    rows = pipeline.derivations(Source("-e", "x'*A*x"), True, "x,x", "matrix", {})
    assert [r["text"] for r in rows] == ["∂²/∂x² = A + Aᵀ"]


def test_names_that_differ_print_differently():
    assert len({names.unicode(n) for n in ("w1", "w_1", "w")}) == len({names.latex(n) for n in ("w1", "w_1", "w")}) == 3


def test_a_reading_is_told():
    rows = pipeline.derivations(Source("-e", "norm2(x-a)"), True, "x", "matrix", {})
    assert rows[0]["read"] == {"a": "vector"}
    assert "read" not in pipeline.derivations(Source("-e", "norm2(x-y)"), True, "x", "matrix", {})[0]


@pytest.mark.parametrize(
    ("text", "words", "fix"),
    [
        ("x'Ax", "'Ax' is one name", "write A x"),
        ("x^T A x", "'^T' is a power", "transpose with '"),
        ("ln(x)", "unknown function 'ln'", "log x"),
        ("max(x)", "takes 2 arguments", "max[i] x[i]"),
    ],
)
def test_slips_of_an_expression(text, words, fix):
    with pytest.raises(SymmlError, match=re.escape(words)) as caught:
        derived(text, "x")
    assert fix in caught.value.fix and caught.value.span is not None


def derived(text, wrt):
    return pipeline.derivations(Source("-e", text), True, wrt, "matrix", {})


def test_greek_names_are_names_beside_a_page_too():
    assert derived("λ^2 a", "λ") == derived("λ^2 a", "lambda") == derived("lambda^2 a", "λ")


def test_what_follows_an_exponent_stands_apart():
    assert derived("a^b c", "c")[-1]["text"] == "a^b"
    assert derived("a^b c", "a")[-1]["text"] == "a^b bc/a"
    assert derived("a^(b+1) c", "c")[-1]["text"] == "a^(b + 1)"


def test_some_hundred_factors_are_told():
    with pytest.raises(SymmlError, match="nested too deeply"):
        pipeline.load(Source("m", "param a\nminimize " + "a " * 700 + "\n"))

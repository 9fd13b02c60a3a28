"""Bounds: text, nesting, operations, literals. Nothing may end in a RecursionError or take long."""

import sys
import time

import pytest

from symml.errors import SymmlErrors
from symml.source import Source
from symml.syntax import tree
from symml.syntax.parse import parse, parse_expression


def mistakes(text):
    with pytest.raises(SymmlErrors) as caught:
        parse(Source("m", text))
    return caught.value.errors


@pytest.mark.parametrize(("text", "column"), [
    ("loss = " + "(" * 300 + "x" + ")" * 300, 264), ("loss = " + "-" * 300 + "x", 264),
    ("p = " + "f(" * 300 + "x" + ")" * 300, 5 + 2 * 256 + 1), ("p = " + "sum[i] " * 300 + "x", 5 + 7 * 256),
    ("p = x" + "^x" * 300, 5 + 2 * 256), ("p = " + "(-" * 300 + "x" + ")" * 300, 5 + 2 * 256 - 1),
    ("p = " + "| " * 300 + "x", 5 + 2 * 256), ("p = x" + "'" * 300, 5), ("p = x" + "[i]" * 300, 5),
])  # fmt: skip
def test_nesting(text, column):
    (error,) = mistakes(text)
    assert error.message == "expression nested deeper than 256"
    assert (error.span.line, error.span.column) == (1, column)


@pytest.mark.parametrize(
    "text", ["(" * 256 + "x" + ")" * 256, "-" * 256 + "x", "sum[i] " * 256 + "x", "x" + "^x" * 256, "x" + "'" * 256]
)
def test_nesting_within_the_bound(text):
    parse_expression(Source("-e", text))


def test_flat_sum_of_ten_thousand_terms():
    value = parse_expression(Source("-e", " + ".join(["w"] * 10_000)))
    depth = 0
    while isinstance(value, tree.Binary):
        value, depth = value.left, depth + 1
    assert depth == 9_999


def test_flat_sums_do_not_recurse():
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        value = parse_expression(Source("-e", " + ".join(["a[i, j] b"] * 4_000)))
        assert sum(isinstance(n, tree.Index) for n in tree.walk(value)) == 4_000
    finally:
        sys.setrecursionlimit(before)


def test_operations():
    (error,) = mistakes("p = 1\nq = " + " + ".join(["w"] * 10_002))
    assert error.message == "more than 10000 operations in one statement"
    assert (error.span.line, error.span.column) == (2, 5 + 2 + 4 * 10_000)
    assert mistakes("p = " + "a " * 10_002)[0].message == "more than 10000 operations in one statement"
    assert mistakes("p = f(" + "a, " * 60_000 + "a)")[0].message == "more than 100000 words and marks in one statement"


def test_text():
    assert mistakes("# " + "x" * 2**20)[0].message.startswith("the text has 1048578 bytes")
    parse(Source("m", "p = 1\n# " + "x" * (2**20 - 8)))


@pytest.mark.parametrize(
    "text", ["1e1000000000", "1e-1000000000", "1e400", "0.0001e-323", "9" * 5000, "9223372036854775808"]
)
def test_literals_refused(text):
    (error,) = mistakes(f"p = w {text}")
    assert (error.span.line, error.span.column, error.span.width) == (1, 7, len(text))
    assert len(error.message) < 120


@pytest.mark.parametrize(
    "text",
    ["9223372036854775807", "1.7976931348623157e308", "5e-324", "0.0", "0e-99999", "000000000000000000000000007"],
)
def test_literals_kept(text):
    assert parse_expression(Source("-e", text)).value == float(text) or text.isdigit()


@pytest.mark.parametrize("text", [
    "$$$ !\n" * 100_000, "(" * 500_000, "p = " + ")" * 500_000, "p = " + "-" * 500_000, "p = x" + "'" * 500_000,
    "p = " + "a " * 300_000, "a" * 500_000, "p = " + "|" * 500_000, "model m\n  x\n" * 40_000, 'p = "' + "a" * 500_000,
    "p = " + "9" * 500_000, "\n" * 500_000, "p = a\n" + "  (" * 100_000,
])  # fmt: skip
def test_bombs_end_soon(text):
    parse(Source("m", "model m"))
    begun = time.process_time()
    assert mistakes(text)
    assert time.process_time() - begun < 2

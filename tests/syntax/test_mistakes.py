"""Wrong texts: what is said, where, and that nothing but SymmlErrors comes out."""

import random
import re
import tomllib
from pathlib import Path

import pytest

from symml.errors import SymmlErrors
from symml.source import Source
from symml.syntax.parse import _stop_of, grammar_file, parse, parse_expression

LOGISTIC = (Path(__file__).parent / "pages" / "logistic_regression.symml").read_text()
ROWS = tomllib.loads(grammar_file("mistakes.toml"))["mistake"]
TOKEN = re.compile(r'#[^\n]*|"[^"\n]*"|\|\||[A-Za-z_]\w*|[0-9.]+(?:[eE][+-]?\d+)?|<=|>=|\.\.|[^\s\w]')


def mistakes(text):
    with pytest.raises(SymmlErrors) as caught:
        parse(Source("m", text))
    return caught.value.errors


def places(text):
    return [(e.span.line, e.span.column) for e in mistakes(text)]


@pytest.mark.parametrize(("message", "text"), [(r["message"], t) for r in ROWS for t in r["texts"]])
def test_every_row_says_its_message(message, text):
    stop = _stop_of(text)
    filled = message.replace("{previous}", str(stop.before)).replace("{token}", str(stop.token))
    assert mistakes(text)[0].message == filled


def test_no_row_without_effect():
    assert len({r["message"] for r in ROWS}) == len(ROWS)
    assert all(r["texts"] for r in ROWS)


SAID = [
    # words
    ("minimze over w  f", 1, "'minimze' does not begin a statement", "did you mean 'minimize'?"),
    ("model m\nparm w", 1, "'parm' does not begin a statement", "did you mean 'param'?"),
    ("logistic", 1, "'logistic' does not begin a statement", "a statement begins with"),
    ("1 = x", 1, "'1' does not begin a statement", ""),
    ("split n in train 0.8", 9, "'in' does not fit here", "did you mean 'into'?"),
    ('data X[n] form "a.csv"', 11, "'form' does not fit here", "did you mean 'from'?"),
    # brackets and bars
    ("p = sigmoid(X w + b\nminimize over w  p", 12, "'(' is never closed", ""),
    ("p = y[i log p[i] + (1 - y[i])", 6, "'[' is never closed", ""),
    ("p = (a[i)", 7, "'[' is never closed", ""),
    ("p = a b)", 8, "')' closes nothing", ""),
    ("p = |x", 5, "'|' is never closed", ""),
    ("p = ||x", 5, "'||' is never closed", ""),
    ("p = {1, 2", 5, "", ""),
    # characters
    ('p = __import__("os")', 5, "a name does not begin with '_'", ""),
    ("p = a \u2013 b", 7, "'\u2013' (U+2013) is not of the language", "write -"),
    ("p = a \u00d7 b", 7, "'\u00d7' (U+00D7) is not of the language", "*"),
    ("p = \u221ax", 5, "'\u221a' (U+221A) is not of the language", "sqrt(x)"),
    ("p = a\u200b + 1", 6, "is not of the language", "a plain blank, or nothing"),
    ("data X[n] from \u201ca.csv\u201d", 16, "is not of the language", 'a text in "..."'),
    ("param \u0430[n]", 7, "the letter '\u0430' (U+0430) is not of the language", "it looks like 'a'"),
    ("p = x\u0391", 6, "the letter '\u0391' (U+0391) is not of the language", "it looks like 'A'"),
    ("p = \uff58", 5, "the letter '\uff58' (U+FF58)", "it looks like 'x'"),
    ("p = \u00b5", 5, "the letter '\u00b5' (U+00B5)", "it looks like '\u03bc'"),
    ("p = x\u00b2", 6, "powers are written with ^", "write x^2"),
    ("p = x.y", 6, "'.' stands only inside numbers", ""),
    ('p = f("abc', 7, "this text does not end on its line", ""),
    ("p = \\frac{1}{2}", 5, "LaTeX input is not part of the language", ""),
    ("p = x == 2", 7, "equality is written with one =", ""),
    ("p = A '", 7, "a ' touches what it transposes", ""),
    # lines
    ("model m\n\tparam w", 1, "a tab in the indentation", "indent with blanks"),
    ("  model m", 3, "the first statement is indented", ""),
    ("p = a\n  b", 3, "this deeper line does not continue the line above", ""),
    ("param w\n  minimize over w  w", 3, "this deeper line does not continue the line above", ""),
    ("", 1, "the page is empty", "begin with: model NAME"),
    ("split n into train 80%, test 20%", 22, "'%'", "write the fraction"),
    ("for i in 1..n: p = 1", 1, "'for' does not begin a statement", "it belongs to"),
    # declarations and blocks
    ("param a b[n]", 9, "names are separated by commas", "a comma before"),
    ("data wieght w[n]", 6, "'wieght' is no role of data", "did you mean 'weight'?"),
    ("hyper a in {1, 2} chosen by b c d", 29, "one reported figure", "chosen by smallest NAME"),
    ('data from "a.csv"', 6, "this 'from' serves no name", ""),
    ('data X[n] from "a" label "x" label "y"', 11, "a second 'label'", ""),
    ("f = cases\n  1 otherwise\n  2 if x > 1", 3, "'otherwise' is the last case", ""),
    ("tree over X\n  minimize f", 3, "a tree is described by definitions", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "message", "fix"), SAID)
def test_said(text, column, message, fix):
    error = mistakes(text)[0]
    assert message in error.message
    assert fix in error.fix
    assert error.span.column == column


def test_every_wrong_statement_is_told():
    text = "model m\nparam\nhyper lam = 1\np = a +\nq = log a b\nr = a / b c\nminimze over w  f\n\ttrain with lbfgs\ns = \u0430\n"
    assert [line for line, _ in places(text)] == [2, 4, 5, 6, 7, 8, 9]


def test_right_statements_stay_silent():
    assert places("model m\np = a\nq = a +\nr = b\n") == [(3, 8)]


def test_two_mistakes_in_one_statement():
    assert places("p = a + * b + c d + e * / f") == [(1, 9), (1, 25)]


def test_an_indented_statement_does_not_hide_the_next_ones():
    assert places("p = a\n  q = b +\nr = log a b") == [(2, 3), (2, 10), (3, 11)]


def test_many_mistakes_are_cut():
    assert len(mistakes("p = a +\n" * 500)) == 100


def test_an_expression_names_its_mistakes_too():
    with pytest.raises(SymmlErrors, match="two functions"):
        parse_expression(Source("-e", "log log x"))
    with pytest.raises(SymmlErrors, match="the expression is empty"):
        parse_expression(Source("-e", "  # nothing"))


def cuts(text):
    """A text with one token left out at a time, and the line it stood on."""
    for match in TOKEN.finditer(text):
        if not match[0].startswith("#"):
            yield text[: match.start()] + text[match.end() :], text[: match.start()].count("\n") + 1


def test_one_token_left_out():
    """Never anything but SymmlErrors; of the 125 pages that are wrong then, 124 tell the line and nothing else."""
    wrong = right = single = 0
    for text, line in cuts(LOGISTIC):
        try:
            parse(Source("m", text))
        except SymmlErrors as caught:
            wrong += 1
            right += all(e.span.line == line for e in caught.errors)
            single += len(caught.errors) == 1
    assert wrong >= 120
    assert right >= 0.99 * wrong
    assert single >= 0.98 * wrong


def test_one_token_twice():
    wrong = right = 0
    for match in TOKEN.finditer(LOGISTIC):
        text = LOGISTIC[: match.end()] + " " + match[0] + LOGISTIC[match.end() :]
        try:
            parse(Source("m", text))
        except SymmlErrors as caught:
            wrong += 1
            right += caught.errors[0].span.line == LOGISTIC[: match.start()].count("\n") + 1
    assert right >= 0.95 * wrong


def test_shuffled_pages_raise_nothing_else():
    chance = random.Random(0)
    tokens = [m[0] for m in TOKEN.finditer(LOGISTIC)] + [
        "\n",
        "\n  ",
        " ",
        "cases",
        "~",
        "<-",
        "\u0430",
        "''",
        "||",
        "|",
        "log",
        "sum[i]",
    ]
    refused = 0
    for _ in range(300):
        text = "".join(chance.choice(tokens) + chance.choice(["", " "]) for _ in range(chance.randrange(1, 40)))
        try:
            parse(Source("m", text))
        except SymmlErrors as caught:
            refused += 1
            assert all(e.span is not None and 1 <= e.span.line <= text.count("\n") + 1 for e in caught.errors)
    assert refused > 250

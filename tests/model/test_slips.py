"""What parses and is refused all the same: slips of the pen, and what has no meaning yet."""

import pytest

from symml import pipeline
from symml.errors import SymmlErrors, UnsupportedError
from symml.source import Source

HEAD = """model m
dims  n, d
data  X[n, d], y[n]   from "a.csv"
param w[d], b, A[d, d]
graph G over n   from "e.csv"
"""
LINES = HEAD.count("\n")


def mistakes(text):
    with pytest.raises(SymmlErrors) as caught:
        pipeline.load(Source("m", HEAD + text + "\n"))
    return caught.value.errors


# What the grammar trial taught: (text, line of the text, column, words of the message and the fix)
SLIPS = [
    ("minimize over w  sum(i) y[i]", 1, 18, "'sum(' is not a call", "sum[i] x[i]"),
    ("minimize over w, b  ||X(w + b) - y||^2", 1, 23, "'X' is not a function", "X (...)"),
    ("q[i] = sum[j in G (i)] y[j]\nminimize over b  sum[i] q[i] b", 1, 17, "'G' before a blank is a factor", "G(...)"),
    ("minimize over b  b tr (A)", 1, 20, "'tr' before a blank is a factor", "tr(...)"),
    ("minimize over w  ||X^T y||^2", 1, 22, "'^T' is a power", "transpose with '"),
    ("minimize over w b  ||X w + b - y||^2", 1, 17, "a comma is missing", "write w, b"),
    ("minimize b  ||X w + b - y||^2", 1, 10, "'b' is a factor here", "minimize over b"),
    ("minimize over w, b  ||X w - I||^2", 1, 29, "I is an identity matrix, beside it stands a column", "eye(n)"),
    ("minimize over w, b  ||I w||^2", 1, 23, "unknown name 'I'", "A + I"),
    ("minimize over w, b, w  ||X w + b - y||^2", 1, 21, "'w' stands here twice", "once"),
    ("depth = 3\ntree over X", 1, 1, "'depth' is a setting of the tree", "tree over X depth 3"),
    ("tree over X\n  depth = 3", 2, 3, "'depth' is a setting of the tree", "tree over X depth 3"),
    ("minimize over w  sum_i y[i]", 1, 18, "'sum' names its index", "sum[i] x[i]"),
    ("minimize over b  b log 2 * pi", 1, 20, "'log 2 * pi' reads (log 2) pi", "log(2 pi)"),
]


@pytest.mark.parametrize(("text", "line", "column", "words", "fix"), SLIPS)
def test_slips(text, line, column, words, fix):
    here = [e for e in mistakes(text) if (e.span.line, e.span.column) == (LINES + line, column)]
    assert any(words in e.message and fix in e.fix for e in here)


# The right text beside each slip
@pytest.mark.parametrize("text", [
    "minimize over w  b sum[j] w[j]^2", "minimize over w, b  ||X w + b - y||^2", "minimize over w  (b ||w||^2)",
    "q[i] = sum[j in G(i)] y[j]\nminimize over b  sum[i] q[i] b", "minimize over b  b tr(A)",
    "minimize over w  ||X' y||^2 b", "minimize over b  b (log 2) * pi", "minimize over b  b log(2 pi)",
    "minimize b sum[j] w[j]^2",
    "depth = 3\nminimize over b  depth b^2", "hyper T = 2\nminimize over b  b^T", "minimize over b  b log y[0] * 2",
])  # fmt: skip
def test_no_slips(text):
    if text.startswith("minimize over w  b sum"):
        assert "a comma is missing" in str(mistakes(text)[0])  # a product there wants brackets
        return
    pipeline.load(Source("m", HEAD + text + "\n"))


# Constructs of the language that had no meaning when this was written: one error, at its place, in a page's own words;
# or a meaning by now
LATER = [
    ('use "f.symml"', 1, "'use'"),
    ("z ~ Normal(0, 1)", 1, "'~'"),
    ("minimize over b  sample(b) b", 18, "'sample'"),
    ("infer with nuts(chains = 4)", 1, "'infer with'"),
    ("tree over X depth 8\n  p[c] = count(y = c) / count", 1, "a tree"),
    ("train with sgd until b < 2", 22, "stopping rule"),
]


@pytest.mark.parametrize(("text", "column", "words"), LATER)
def test_not_supported_yet(text, column, words):
    try:
        pipeline.load(Source("m", HEAD + text + "\n"))
    except SymmlErrors as caught:
        error = caught.errors[0]
        assert isinstance(error, UnsupportedError)
        assert "not supported yet" in error.message and words in error.message
        assert (error.span.line, error.span.column) == (LINES + 1, column)


def test_some_construct_still_has_no_meaning():
    with pytest.raises(SymmlErrors, match="not supported yet"):
        pipeline.load(Source("m", HEAD + "infer with nuts(chains = 4)\n"))


@pytest.mark.parametrize("kind", ["optimizer", "distribution"])
def test_pages_of_another_kind_end_in_one_error(kind):
    with pytest.raises(UnsupportedError, match=f"a page of kind '{kind}'"):
        head = {"optimizer": "optimizer o", "distribution": "distribution D(a) on real"}[kind]
        pipeline.load(Source("m", f"{head}\nhyper lr = 1\nstate t = 0\nt <- t + 1\n"))

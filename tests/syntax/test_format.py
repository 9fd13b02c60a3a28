"""The canonical form: it says the same, it is settled in one pass, and it does not depend on how blanks were set."""

import random
import re
from pathlib import Path

import pytest

from symml.errors import SymmlErrors
from symml.source import Source
from symml.syntax.format import formatted
from symml.syntax.parse import parse

ROOT = Path(__file__).parent.parent.parent
OWN = sorted((*ROOT.glob("examples/*.symml"), *ROOT.glob("symml/library/*/*.symml")))
PAGES = sorted((*OWN, *Path(__file__).parent.glob("pages/*.symml")))
KEPT = re.compile(r'("[^"\n]*"|#[^\n]*|^ *)', re.M)


def fmt(text):
    return formatted(Source("m", text))


def tree(text):
    return parse(Source("m", text))


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_pages(path):
    text = path.read_text()
    once = fmt(text)
    assert tree(once).statements == tree(text).statements
    assert [line for _, line in tree(once).expected] == [line for _, line in tree(text).expected]
    assert re.findall(r"#.*", once) == re.findall(r"#.*", text)
    assert fmt(once) == once


@pytest.mark.parametrize("path", OWN, ids=lambda p: p.stem)
def test_own_pages_are_canonical(path):
    assert fmt(path.read_text()) == path.read_text()


def wide(text, chance):
    """The same page with other blanks: more of them, none behind commas, deeper lines deeper, empty lines."""
    parts = KEPT.split(text)
    for k in range(0, len(parts), 2):
        parts[k] = re.sub(r", ", lambda _: "," + " " * chance.randrange(3), parts[k])
        parts[k] = re.sub(r" +", lambda m: m[0] + " " * chance.randrange(3), parts[k])
        parts[k] = re.sub(r"\n", lambda _: " " * chance.randrange(3) + "\n", parts[k])
    deeper = " " * chance.randrange(3)
    for k in range(1, len(parts), 2):
        parts[k] += deeper if parts[k] and not parts[k].strip() else ""
    return "".join(parts)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_blanks_make_no_difference(path):
    text = re.sub(r"[ \t]*#.*", "", path.read_text())
    chance = random.Random(1)
    for _ in range(5):
        assert fmt(wide(text, chance)) == fmt(text)


SAID = [
    ("p=a+b c", "p = a + b c"),
    ("p = 2x", "p = 2 x"),
    ("p = x[i - 1]+ T-1", "p = x[i-1] + T - 1"),
    ("p = sum[t in 1..T - 1]x[t]", "p = sum[t in 1..T-1] x[t]"),
    ("p = -  a", "p = -a"),
    ("p = w -1", "p = w - 1"),
    ("p = 2^ - x", "p = 2^-x"),
    ("p = a /b", "p = a/b"),
    ("p = a  /  b", "p = a / b"),
    ("p = a.*b@c./d", "p = a .* b @ c ./ d"),
    ("p = |a|   |b|", "p = |a| |b|"),
    ("p = | |a|-b |", "p = | |a| - b|"),
    ("p = ‖x‖⊙Aᵀ−λ", "p = ‖x‖ ⊙ Aᵀ − λ"),
    ("p = [a=b][-2<=x<=5]", "p = [a = b] [-2 <= x <= 5]"),
    ("p = x'y", "p = x' y"),
    ("p = f( a,b )(c)", "p = f(a, b) (c)"),
    ("p = f (x)", "p = f (x)"),
    ("p = sum[i,j  in S where i<j]-x[i,j]", "p = sum[i, j in S where i < j] -x[i, j]"),
    ("p = [x in (0,1]]", "p = [x in (0, 1]]"),
    ("minimize over w,b -w subject to w>0;b=1", "minimize over w, b  -w  subject to  w > 0; b = 1"),
    ("minimize - w", "minimize -w"),
    ("solve for V : V[s]=1", "solve for V:  V[s] = 1"),
    ("param w[d]init 0,b", "param w[d] init 0, b"),
    ("train with adam( lr=1e-2 )until |grad|<1", "train with adam(lr = 1e-2) until |grad| < 1"),
    ("report a=b on test", "report a = b  on test"),
    ("a[t] = b for t in 1 .. T - 1", "a[t] = b   for t in 1..T-1"),
    ("f = cases\n   a if x>0\n     b otherwise", "f = cases\n  a  if x > 0\n  b  otherwise"),
    ("tree over X depth 8\n    p[c] = a +\n        b", "tree over X depth 8\n  p[c] = a +\n    b"),
    ("distribution D(a) on real\n  logpdf(x)=x", "distribution D(a) on real\nlogpdf(x) = x"),
    ("minimize w\nsubject to w > 0", "minimize w\nsubject to  w > 0"),
    ("data X[n]\nfrom \"a\"", "data  X[n]\n  from \"a\""),
    ("m  <-  m+1", "m <- m + 1"),
    ("z ~ Normal(0,1)", "z ~ Normal(0, 1)"),
    ("model m\n\n\n\np = 1\n\n\n", "model m\n\np = 1"),
    ("model m # a\n   # b\np = 1 #c", "model m  # a\n# b\np = 1    #c"),
    ("p = a +  # one\n     # two\n   b # three", "p = a +  # one\n  # two\n  b      # three"),
    ("p = 1\n  #> no output\n#> output", "p = 1\n  #> no output\n#> output"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "want"), SAID)
def test_said(text, want):
    assert fmt(text) == want + "\n"
    assert fmt(want) == want + "\n"
    assert tree(want).statements == tree(text).statements


def test_wrong_pages_are_not_set():
    with pytest.raises(SymmlErrors):
        fmt("p = a +")

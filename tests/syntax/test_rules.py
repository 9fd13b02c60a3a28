"""The 23 rules of the language, one by one: right texts with what they mean, wrong texts with what is said and where.

A meaning is another text with the same tree, a fact about the tree, or the number that the page's loss has.
"""

import numpy as np
import pytest

from symml import pipeline
from symml.errors import SymmlError
from symml.ir.evaluate import evaluate
from symml.proof.samples import sample
from symml.source import Source
from symml.syntax import tree
from symml.syntax.format import formatted
from symml.syntax.parse import parse, parse_expression

HEAD = """model m
dims  n, d
data  X[n, d], y[n]   from "a.csv"
param w[d], v[d], b, A[d, d]
"""


def expr(text):
    return parse_expression(Source("-e", text))


def statements(text):
    return parse(Source("m", text)).statements


def one(text):
    (statement,) = statements(text)
    return statement


def names(nodes):
    return [n.id for n in nodes]


# Right expressions: rule, text, the same written out in brackets
SAME = [
    (1, "f(x) + g (x)", "f(x) + (g) (x)"),
    (1, "x[i](a)", "(x[i]) (a)"),
    (1, "A'(a)", "(A') (a)"),
    (1, "2(a)", "2 (a)"),
    (1, "w -1", "w - 1"),
    (1, "|a| |b|", "(|a|) (|b|)"),
    (1, "2 [a = b]", "2 ([a = b])"),
    (2, "1/n sum[i] x[i]", "(1/n) (sum[i] x[i])"),
    (2, "lam/2 ||w||^2", "(lam/2) (||w||^2)"),
    (2, "a .* b @ c * d e", "((((a .* b) @ c) * d) e)"),
    (2, "A'^2", "(A')^2"),
    (2, "-a b^2", "-(a (b^2))"),
    (2, "(a / b) c", "a/b c"),
    (3, "a sum[i] x[i]/n + b", "(a (sum[i] (x[i]/n))) + b"),
    (3, "sum[i] -x[i] y", "sum[i] (-(x[i] y))"),
    (3, "f(sum[i] x[i] y, b)", "f((sum[i] (x[i] y)), b)"),
    (3, "count[i where x[i] > 0] + 1", "(count[i where x[i] > 0]) + 1"),
    (4, "n log n / 2", "(n (log n)) / 2"),
    (4, "sin x cos x", "(sin x) (cos x)"),
    (4, "log p[i]^2", "log (p[i]^2)"),
    (4, "log sum[k] x[k] a", "log (sum[k] (x[k] a))"),
    (5, "[a = b and x in S]", "[(a = b) and (x in S)]"),
    (7, "sum[t in 1..T-1] x[t]", "sum[t in (1)..(T-1)] x[t]"),
    (12, "M^k", "(M)^(k)"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "text", "written_out"), SAME)
def test_right_expressions(rule, text, written_out):
    assert expr(text) == expr(written_out)


# Right statements: rule, text, a fact about the tree
FACTS = [
    (5, "minimize f subject to a = b; -2 <= x <= 5", lambda s: [len(c.rest) for c in s.constraints] == [1, 2]),
    (5, "minimize f subject to x[i] > 1\n  - sum[j in n] y[j] (a + [i = j])\n  for i in n", lambda s: len(s.constraints) == 1),
    (5, "minimize f\nsubject to\n  a = b\n  x <= 5\n   for i in n\n  y\n  + z = 2; |a| <= 1", lambda s: len(s.constraints) == 4),
    (5, "train with adam(lr = 1) until x = 2", lambda s: (s.method.options[0].name, s.until.rest[0][0]) == ("lr", "=")),
    (5, "f = cases\n  1  if x = 0\n  2  otherwise", lambda s: s.value.rows[0][1].rest[0][0] == "="),
    (5, "p = count(y = c)", lambda s: isinstance(s.value.args[0], tree.Compare)),
    (6, "solve for V:  V[s] = max[a] R[s, a]", lambda s: (names(s.over), s.equations[0].first) == (["V"], expr("V[s]"))),
    (6, "a[t] = a[t-1] + 1  for t in 1..T-1", lambda s: s.ranges[0].domain == expr("sum[t in 1..T-1] x").binders[0].domain),
    (7, 'data X[n, d] from "a.csv" columns 1..30', lambda s: s.sources[0][1].columns.high.value == 30),
    (7, 'data X[n, d] from "a.csv" columns "a".."b"', lambda s: s.sources[0][1].columns.low.value == "a"),
    (8, "param\n  w[d]\n  b > 0 = 1", lambda s: names(i.name for i in s.items) == ["w", "b"]),
    (8, "minimize over w\n  a\n  + b", lambda s: s.value == expr("a + b")),
    (8, "minimize a\nsubject to w > 0", lambda s: len(s.constraints) == 1),
    (8, 'data X[n] flag\nfrom "a" label "x"', lambda s: (s.items[0].flags, s.sources[0][1].label) == (("flag",), "x")),
    (8, "param w[d] > 0 positive init 1", lambda s: s.items[0].init == expr("1") and s.items[0].flags == ("positive",)),
    (9, "dims n, k = 3", lambda s: [i.value and i.value.value for i in s.items] == [None, 3]),
    (9, "data y[n] in C", lambda s: s.items[0].bound[1].id == "C"),
    (13, "param pi, e", lambda s: names(i.name for i in s.items) == ["pi", "e"]),
    (14, "train with lbfgs until |grad| < 1e-8", lambda s: s.until.first == expr("|grad|")),
    (15, "a[i, j] = 1 / |G(i)|", lambda s: names(s.indices) == ["i", "j"]),
    (16, "data X[n] standardised, y[n] centred", lambda s: [i.flags for i in s.items] == [("standardised",), ("centred",)]),
    (17, "split n into train 0.8, test 0.2 seed 0 stratified by y", lambda s: s.stratified_by.id == "y"),
    (17, "split n into folds 5 seed 0", lambda s: (s.parts[0][0].id, s.parts[0][1].value) == ("folds", 5)),
    (17, "hyper lam in {0.1, 1} chosen by smallest rmse on valid", lambda s: s.items[0].choice.part.id == "valid"),
    (17, "report r = a  on test", lambda s: s.part.id == "test"),
    (18, "predict p", lambda s: s.value.id == "p"),
    (18, "predict label = argmax[c] Z[c]", lambda s: s.name.id == "label"),
    (19, "train with adam(lr = 1e-3, batch = 128) until a < 1", lambda s: [o.name for o in s.method.options] == ["lr", "batch"]),
    (20, "m <- b1 m + (1 - b1) g", lambda s: (s.target.id, s.value) == ("m", expr("b1 m + (1 - b1) g"))),
    (20, "state m = 0, t = 0", lambda s: names(i.name for i in s.items) == ["m", "t"]),
    (21, "define f(x[d]) = ||x||^2", lambda s: (s.name.id, names(s.params[0].shape)) == ("f", ["d"])),
    (21, 'use "layers.symml"', lambda s: s.path == "layers.symml"),
    (21, "p = grad(f, x) + jacobian(f, x) v + hessian(f, x) v", lambda s: s.value.left.left.function == "grad"),
    (21, "f(r) = cases\n  r^2  if |r| <= 1\n  r  otherwise", lambda s: s.value.rows[1] == (expr("r"), None)),
    (21, "iterate x <- (x + a/x)/2 from a until |x^2 - a| < 1e-9", lambda s: s.start == expr("a")),
    (21, "z[i] ~ Normal(mu, tau)", lambda s: (s.target.id, s.distribution) == ("z", expr("Normal(mu, tau)"))),
    (21, "eps = draw(Normal(0, 1))", lambda s: s.value == expr("draw(Normal(0, 1))")),
    (21, "p = stop(x) x", lambda s: s.value.left.function == "stop"),
    (21, "tree over X depth 8\n  p[c] = count(y = c) / count", lambda s: (s.options[0].value.value, len(s.body)) == (8, 1)),
    (22, "p = jacobian(f, x)[i, j]", lambda s: s.value.base == expr("jacobian(f, x)")),
    (23, "data X[n, d] missing allowed", lambda s: s.items[0].flags == ("missing", "allowed")),
    (23, "data X[n], weight w[n] > 0", lambda s: s.items[1].flags == ("weight",)),
    (23, "data X[n, d] sparse", lambda s: s.items[0].flags == ("sparse",)),
    (23, "data obs[N, T] in V, lengths L[N] in 1..T", lambda s: s.items[1].bound[1].high.id == "T"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "text", "holds"), FACTS, ids=[f"{r}-{t}" for r, t, _ in FACTS])
def test_right_statements(rule, text, holds):
    assert holds(one(text))


def numbers(text):
    """The loss of a page on sampled values, and these values by their names."""
    a = pipeline.analyse(Source("m", HEAD + text + "\n"))
    values, dims = sample(a.program, np.random.default_rng(0))
    loss = float(evaluate(a.program, values, dims)[a.program.outputs["loss"]])
    return loss, {t.name: x for t, x in values.items()}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# Right pages: rule, text, its loss in numpy
VALUES = [
    (2, "minimize over w  1/2 ||X w||^2", lambda X, w: np.sum((X @ w) ** 2) / 2),
    (2, "minimize over w, v  -w' v b", lambda w, v, b: -(w @ v) * b),
    (3, "minimize over w  2 sum[j] w[j]/3 + b", lambda w, b: 2 * np.sum(w / 3) + b),
    (4, "minimize over b  b log 2 / 3", lambda b: b * np.log(2) / 3),
    (7, "minimize over w  w[0] + sum[j in 1..d-1] w[j]^2", lambda w: w[0] + np.sum(w[1:] ** 2)),
    (10, "minimize over w  w' A v", lambda w, A, v: w @ A @ v),
    (10, "minimize over w  sum[i] (X w)[i] y[i]", lambda X, w, y: (X @ w) @ y),
    (10, "minimize over w  tr(w v')", lambda w, v: w @ v),
    (11, "minimize over w  ||X w + b - y||^2", lambda X, w, b, y: np.sum((X @ w + b - y) ** 2)),
    (11, "minimize over w  ||X + w||^2", lambda X, w: np.sum((X + w) ** 2)),
    (12, "minimize over w  sum[i] sigmoid(X w)[i]", lambda X, w: np.sum(sigmoid(X @ w))),
    (12, "minimize over A  tr(A^2)", lambda A: np.trace(A @ A)),
    (12, "P = softmax(X)\nminimize over b  b sum[i, j] P[i, j]", lambda X, b: b * len(X)),
    (13, "minimize over b  b pi", lambda b: b * np.pi),
    (14, "minimize over b  |b| + |n|", lambda b, X: abs(b) + len(X)),
    (15, "q[i] = X[i]' w\nminimize over w  sum[i] q[i]^2", lambda X, w: np.sum((X @ w) ** 2)),
    (18, "p = X w\nminimize over w  ||p - y||^2\npredict p", lambda X, w, y: np.sum((X @ w - y) ** 2)),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "text", "value"), VALUES, ids=[f"{r}-{t}" for r, t, _ in VALUES])
def test_right_pages(rule, text, value):
    loss, found = numbers(text)
    want = value(**{k: found[k] for k in value.__code__.co_varnames[: value.__code__.co_argcount]})
    assert loss == pytest.approx(want, rel=1e-12)


# Wrong pages below HEAD: rule, text, line and column within the text, words of the message or the fix
WRONG = [
    (1, "p = X [i]", 1, 7, "an index touches its name"),
    (1, "p = X '", 1, 7, "a ' touches what it transposes"),
    (1, "p = 'a'", 1, 5, 'texts are written "..."'),
    (1, "p = ||a| |b||", 1, 12, "'||' is never closed"),
    (1, "p = [w <-1]", 1, 8, "<- updates"),
    (1, "minimize over w  X(w)", 1, 18, "a product needs a blank: X (...)"),
    (2, "p = a / b c", 1, 11, "write (a / b) c, a/b c or a / (b c)"),
    (2, "p = A^2'", 1, 8, "write A'^2 or (A^2)'"),
    (2, "p = a * -b", 1, 9, "a second operator"),
    (2, "minimize over w  w * v", 1, 22, "write u' v, u v', or u .* v"),
    (2, "minimize over w  sum[i] (X * w)[i]", 1, 30, "write @ or a blank"),
    (3, "p = max[i] x[i]/n", 1, 12, "may belong inside or outside"),
    (3, "p = sum[i]", 1, 11, "the body of the reduction is missing"),
    (3, "p = sum i x[i]", 1, 5, "write sum[i] x[i]"),
    (3, "p = sum[i, in S] x[i]", 1, 12, "a name"),
    (3, "minimize over w  sum(i) y[i]", 1, 18, "sum[i] x[i]"),
    (4, "p = log a b", 1, 11, "write log(a b) or (log a) b"),
    (4, "p = log 2 pi", 1, 11, "write log(a b) or (log a) b"),
    (4, "p = log log x", 1, 9, "write log(log x)"),
    (4, "p = tr A", 1, 5, "the call is tr(...)"),
    (5, "p = a = b", 1, 7, "tests stand in [ ]"),
    (5, "minimize over w  f subject to x > 1, y > 2", 1, 36, "constraints are separated by ;"),
    (5, "minimize f subject to\n  x > 1\n  -y < 2", 3, 3, "may begin a condition or continue the one above"),
    (5, "minimize f subject to\n  x > 1\n  \u2212 y[i] <= 2 for i in n", 3, 3, "may begin a condition"),
    (5, "train with adam(1e-3)", 1, 17, "write adam(lr = 1e-3)"),
    (5, "p = [a]", 1, 7, "a test compares two sides"),
    (6, "solve for V  V[s] = 1", 1, 14, "':'"),
    (6, "a[t] = 1  for t", 1, 15, "an index ranges over a dim or a..b"),
    (6, "p[i] = w[i] for i in 1..2 and b", 1, 27, "expected"),
    (7, 'data X[n, d] from "a.csv" columns 1', 1, 36, "'..'"),
    (7, "minimize over b  b w[-1]", 1, 22, "index"),
    (8, "p = b\n\tq = 1", 2, 1, "indent with blanks"),
    (8, "p = b\n  q", 2, 3, "does not continue the line above"),
    (8, "param u = 1 > 0", 1, 13, "expected"),
    (8, 'data from "a.csv"', 1, 6, "this 'from' serves no name"),
    (9, "param u[k]", 1, 9, "dims k"),
    (9, "dims k = 0", 1, 10, "not a positive whole number"),
    (10, "minimize over w  w v", 1, 20, "write u' v, u v', or u .* v"),
    (10, "minimize over w  X y", 1, 20, "the inner dims d and n differ"),
    (11, "minimize over w  ||X + y||^2", 1, 24, "the shapes differ"),
    (11, "minimize over A  ||A + w||^2", 1, 24, "index form"),
    (12, "minimize over w  ||X^2||", 1, 20, "M^k is for square M"),
    (12, "minimize over w  ||w^v||", 1, 22, "an exponent is a number"),
    (13, "param log", 1, 7, "a function of the library"),
    (13, "param sum[n]", 1, 7, "sum"),
    (14, "p = |a", 1, 5, "never closed"),
    (14, "train with lbfgs until |grad < 1", 1, 24, "never closed"),
    (15, "q[i] = 2", 1, 3, "the range of index 'i' is not known"),
    (15, "q[i] = w[i] y[i]\nminimize over w  q[0]", 1, 13, "index 'i' walks axes of different sizes"),
    (16, "data z[n] in {0, 1} standardised", 1, 6, "cannot be standardised"),
    (16, "data z[n] standardized", 1, 6, "did you mean 'standardised'?"),
    (17, "split n into train 0.8, test 0.3", 1, 1, "add up to 1"),
    (17, "split n train 0.8", 1, 9, "'into'"),
    (17, "hyper l in {1, 2} chosen by", 1, 28, "a name"),
    (18, "predict q", 1, 9, "unknown name 'q'"),
    (18, "predict", 1, 8, "an expression is expected"),
    (19, "train with 3", 1, 12, "a method is expected"),
    (19, "train adam", 1, 7, "'with'"),
    (20, "t <- t + 1", 1, 1, "optimizer page"),
    (20, "state m = 0", 1, 1, "optimizer pages"),
    (20, "m <-", 1, 5, "the right-hand side is missing"),
    (21, "define f = 2", 1, 8, "call"),
    (21, "use layers", 1, 5, "a file name stands in quotes"),
    (21, "f = cases\n  1  otherwise\n  2  if b > 1", 2, 3, "'otherwise' is the last case"),
    (21, "iterate x <- x/2", 1, 17, "'until'"),
    (21, "z ~", 1, 4, "the right-hand side is missing"),
    (21, "p = p + 1\nminimize over w  p", 1, 1, "definitions in a circle"),
    (21, "tree over X depth", 1, 18, "a number"),
    (22, "p = sample(b)", 1, 5, "not supported yet"),
    (23, "data wieght u[n]", 1, 6, "did you mean 'weight'?"),
    (23, "data X[n, d] missing allowed allowed[n]", 1, 30, "names are separated by commas"),
]  # fmt: skip


def refused(text):
    with pytest.raises(SymmlError) as caught:
        pipeline.load(Source("m", HEAD + text + "\n"))
    return getattr(caught.value, "errors", (caught.value,))


@pytest.mark.parametrize(("rule", "text", "line", "column", "words"), WRONG)
def test_wrong(rule, text, line, column, words):
    errors = refused(text)
    here = [e for e in errors if (e.span.line, e.span.column) == (HEAD.count("\n") + line, column)]
    assert here, "\n".join(map(str, errors))
    assert any(words in f"{e.message} {e.fix}" for e in here), "\n".join(map(str, here))


RIGHT = [*SAME, *FACTS, *VALUES]


@pytest.mark.parametrize("rule", range(1, 24))
def test_every_rule_has_a_right_and_a_wrong_text(rule):
    assert rule in {r for r, *_ in RIGHT}
    assert rule in {r for r, *_ in WRONG}


@pytest.mark.parametrize(
    "text", [t for _, t, _ in FACTS] + [f"p = {t}" for _, t, _ in SAME] + [t for _, t, _ in VALUES]
)
def test_right_texts_are_set_and_read_again(text):
    once = formatted(Source("m", text))
    assert statements(once) == statements(text)
    assert formatted(Source("m", once)) == once

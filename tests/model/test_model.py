"""Names, shapes, indices, domains: right pages mean what they say, wrong ones are refused at their place, all at once."""

from __future__ import annotations

import numpy as np
import pytest
from check import analysis, check_error, page

from symml import pipeline
from symml.errors import SymmlErrors

HEAD = "dims n, d, k\ndata X[n, d], y[n]\nparam w[d], W[d, k], b\n"
WRONG = [
    ("minimize ||X w - y||^2 + lamda", 5, 26, ("unknown name 'lamda'",)),
    ("minimize ||X y||^2", 5, None, ("matrix n x d", "column of n", "d and n differ")),
    ("minimize w w", 5, None, ("u' v",)),
    ("minimize ||X w + W||", 5, None, ("the shapes differ",)),
    ("minimize X * w", 5, None, ("'*' between", "@")),
    ("minimize X w", 5, None, ("the objective is one number", "column of n")),
    ("minimize sum[i] X[i, i]", 5, None, ("index 'i' walks axes of different sizes", "n", "d")),
    ("minimize sum[i] w[i] y[i]", 5, None, ("different sizes",)),
    ("minimize sum[q] 3", 5, None, ("range of index 'q'",)),
    ("minimize X[0, 0, 0]", 5, None, ("takes 2 indices",)),
    ("minimize ||y / X||", 5, None, ("./",)),
    ("minimize W^2", 5, None, ("the power of a matrix d x k",)),
    ("minimize sum(y)", 5, None, ("a reduction names its index",)),
    ("minimize y(w + 1)", 5, None, ("not a function", "blank")),
    ("minimize logg(b)", 5, None, ("unknown function 'logg'", "log")),
    ("minimize det(W)", 5, None, ("square matrix",)),
    ("minimize tr(eigh(W))", 5, None, ("unknown function", "eigvals(A)")),
    ("a = c + 1\nc = a\nminimize a", 5, 1, ("circle", "a -> c -> a")),
    ("param w[d]\nminimize b", 5, None, ("already has a meaning",)),
    ("data Z[m] \nminimize b", 5, None, ("unknown dim 'm'",)),
    ("minimize over q b", 5, None, ("'q' is not a parameter",)),
    ("minimize b^2 / (1 - 1)", 5, None, ()),
    ("param V[4000000000, 4000000000]\nminimize b", 5, None, ("bytes", "limit")),
]


@pytest.mark.parametrize(
    "body, line, column, words", WRONG[:-2] + WRONG[-1:], ids=[w[0].split("\n")[0] for w in WRONG[:-2] + WRONG[-1:]]
)
def test_wrong_pages(body, line, column, words):
    check_error(page(HEAD + body), line, column, *words)


def test_all_mistakes_at_once():
    text = HEAD + "a = lamda\nc = X y\nminimize a + c + mu"
    with pytest.raises(SymmlErrors) as caught:
        pipeline.load(page(text))
    assert [e.span.line for e in caught.value.errors] == [5, 6, 7]
    assert "a" not in [e.message.split("'")[1] for e in caught.value.errors if "unknown" in e.message]


SAME = [
    ("1/n ||X w + b - y||^2", "1/n sum[i] (sum[j] X[i, j] w[j] + b - y[i])^2"),
    ("w' X' X w", "sum[i] (sum[j] X[i, j] w[j])^2"),
    ("||w||_1 + ||w||_inf", "sum[j] |w[j]| + max[j] |w[j]|"),
    ("mean[i] exp(y[i]) b", "1/n sum[i] exp(y[i]) b"),
    ("logsumexp(X w)", "logsumexp[i] sum[j] X[i, j] w[j]"),
    ("tr(W' W)", "sum[i, j] W[i, j]^2"),
    ("||X' X - 2 I||^2", "sum[j, m] (sum[i] X[i, j] X[i, m] - 2 [j = m])^2"),
    ("tr(I + X' X)", "sum[j] (eye(d) + X' X)[j, j]"),
    ("sum[i] softmax(X W)[i, 0]", "sum[i] exp(sum[j] X[i, j] W[j, 0] - logsumexp[m] sum[j] X[i, j] W[j, m])"),
    ("sum[i in n where y[i] > 0] b y[i]", "sum[i] [y[i] > 0] y[i] b"),
    ("count[i where y[i] > 0] b", "sum[i] [0 < y[i]] b"),
]


@pytest.mark.parametrize("matrix, index", SAME, ids=[m for m, _ in SAME])
def test_matrix_and_index_form_are_one_language(matrix, index):
    from symml.ir.evaluate import evaluate
    from symml.proof.samples import sample

    values = []
    for text in (matrix, index):
        a = analysis(f"dims n, d, k = 3\ndata X[n, d], y[n]\nparam w[d], W[d, k], b\nminimize {text}")
        inputs, dims = sample(a.raw, np.random.default_rng(2))
        named = {t.name: np.asarray(v) for t, v in inputs.items()}
        if values:
            inputs = {t: values[0][1].get(t.name, named[t.name]) for t in inputs}
            dims = {d: values[0][2].get(d.name, n) for d, n in dims.items()}
        env = evaluate(a.raw, inputs, dims)
        values.append((env[a.raw.outputs["loss"]], named, {d.name: n for d, n in dims.items()}))
    assert values[0][0] == pytest.approx(values[1][0], rel=1e-12)


def test_init_is_asked_for_where_nothing_is_certified():
    source = page("dims n\ndata x[n]\nparam a, b\nminimize sum[i] (a b x[i] - 1)^2\n")
    with pytest.raises(SymmlErrors.__mro__[1], match="needs an init"):
        pipeline.train(source, pipeline.Options(target="reference"), {"x": np.ones(3)}, 0)


def test_names_of_python_and_sympy_are_only_names():
    names = "beta, gamma, S, E, I, N, Q, zeta, lambda1, exec, np, math, self, import1, None1, class1, real, njit, x, data, work"
    words = [w.strip() for w in names.split(",") if w.strip() not in ("data",)]
    body = "\n".join(
        ["dims n", "data t[n]", f"param {', '.join(words)}", f"minimize 1/n sum[i] ({' + '.join(words)} - t[i])^2"]
    )
    fit = pipeline.train(page(body), pipeline.Options(), {"t": np.ones(5)}, 0)
    assert sum(fit.params.values()) == pytest.approx(1.0)


def test_greek_and_ascii_are_one_name():
    a = analysis("dims n\ndata x[n]\nparam θ\nhyper λ > 0 = 1\nminimize sum[i] (x[i] - theta)^2 + lambda θ^2")
    assert [t.name for t in a.model.over] == ["theta"]


def test_maximize_is_minimize_of_the_negative():
    a = analysis("dims n\ndata x[n]\nparam m\nmaximize -sum[i] (x[i] - m)^2")
    assert pipeline.certificate(a).convex

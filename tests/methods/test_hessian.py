"""Certificates from the Hessian: what they add to the composition rules, what they refuse, and random programs against them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import sympy
from check import analysis, page
from test_convexity import FREE, INPUTS, LAM, LOSS, MAPS, UNKNOWNS, Q, R, S, X, pick, violation

from symml import pipeline
from symml.calculus.reverse import gradient
from symml.derivations.convexity import certificate
from symml.ir.functions import FUNCTIONS, canonical
from symml.ir.program import Program, Statement
from symml.methods import hessian
from symml.methods.hessian import NoForm, certify_hessian, form
from symml.rewrite.simplify import simplify

ROWS = "dims n, d\ndata X[n, d], y[n]\nparam w[d]\nhyper lam > 0 = 1\n"

# (page, curvature of what is minimised, words of the reason)
CERTIFIED = {
    "quadratic form": ("dims n\ndata A[n, n] in psd, c[n]\nparam x[n]\nminimize 1/2 x' A x + c' x", "convex", "forms in A"),
    "in index form": ("dims n\ndata A[n, n] in psd\nparam x[n]\nminimize sum[i, j] x[i] A[i, j] x[j]", "convex", "forms in A"),
    "with a matrix of the data": (f"{ROWS}S = 1/n X' X\nminimize w' S w", "convex", "forms in S"),
    "a trace": ("dims d, k\ndata A[d, d] in psd\nparam W[d, k]\nminimize tr(W' A W)", "convex", "forms in A"),
    "a trace that is maximised": (f"{ROWS}param U[d, 2]\nS = X' X\nmaximize over U  tr(U' S U)", "concave", "forms in S"),
    "least squares multiplied out": (f"{ROWS}minimize w' X' X w - 2 y' X w + lam w' w", "convex", "squares"),
    "two unknowns": ("param x, y\nminimize x^2 - x y + y^2", "convex", "squares"),
    "relative entropy": ("dims n\ndata q[n] > 0\nparam p[n] > 0\nminimize sum[i] p[i] log(p[i]/q[i])", "convex", "squares"),
    "geometric mean": ("param x > 0, y > 0\nmaximize sqrt(x y)", "convex", "squares"),
    "x exp x": ("param x >= 0\nminimize x exp(x)", "convex", "squares"),
    "entropy": ("dims n\nparam p[n] >= 0\nmaximize -sum[i] p[i] log p[i]", "convex", "an entropy"),
    "square over linear": ("dims n\nparam x[n], y > 0\nminimize ||x||^2 / y", "convex", "a square over a linear term"),
    "p-norm": ("dims n, d\ndata A[n, d]\nparam w[d]\nminimize (sum[i] |sum[j] A[i, j] w[j]|^(5/2))^(2/5)", "convex", "a norm"),
    "log det": ("dims d\ndata C[d, d]\nparam P[d, d] in psd\nminimize tr(C P) - logdet(P)", "convex", "log det"),
}  # fmt: skip


@pytest.mark.parametrize("name", CERTIFIED)
def test_certified(name):
    text, curvature, words = CERTIFIED[name]
    found = certificate(analysis(text))
    assert found.curvature == curvature and words in found.reason, found


REFUSED = {
    "indefinite in two unknowns": "param x, y\nminimize x^2 - 3 x y + y^2",
    "a matrix of unknown sign": "dims n\ndata A[n, n]\nparam x[n]\nminimize x' A x",
    "symmetric alone": "dims n\ndata A[n, n] in symmetric\nparam x[n]\nminimize x' A x",
    "a pole": "param x\nminimize 1/x^2",
    "a logarithm of a square": "param x\nmaximize log(x^2)",
    "a concave kink": "dims n\nparam x[n]\nminimize ||x||^2 - ||x||",
    "a valley": "param x, y\nminimize (1 - x)^2 + 100 (y - x^2)^2",
    "x squared log x": "param x > 0\nminimize x^2 log x",
    "square over a negative": "dims n\nparam x[n], y < 0\nminimize ||x||^2 / y",
    "an entropy of a negative slope": "dims n\nparam p[n] > 0\ndata c[n] < 0\nminimize sum[i] c[i] p[i] log p[i] + ||p||^2",
    "log det of what is not psd": "dims d\nparam P[d, d] in symmetric\nminimize -logdet(P)",
    "a root of a square": "param x, y\nminimize -sqrt(x^2 y^2) + x^2 + y^2",
    "a root of order below": "dims n\nparam x[n]\nminimize sqrt(sum[i] |x[i]|^(3/2))",
    "a form between two vectors": "dims n\ndata A[n, n] in psd\nparam x[n], y[n]\nminimize x' A y",
    "a form with unequal weights": "dims n\ndata A[n, n] in psd, c[n] > 0\nparam x[n]\nminimize sum[i, j] c[i] x[i] A[i, j] x[j]",
    "one row of a psd matrix": "dims n\ndata A[n, n] in psd\nparam x[n]\nminimize sum[i] x[i] A[i, 0] x[0]",
    "entries of a psd matrix": "dims n\ndata A[n, n] in psd\nparam x[n]\nminimize sum[i, j] A[i, j] x[i]^2",
    "a product of two data": "dims n, d\ndata X[n, d], Y[n, d]\nparam w[d]\nS = X' Y\nminimize w' S w",
    "square over an exponential": "param x, y\nminimize x^2/exp(y)",
    "a trace of two psd unknowns": "dims d\nparam P[d, d] in psd, Q[d, d] in psd\nminimize tr(P Q)",
    "a difference of norms": "param x, y\nminimize sqrt(x^4 + y^4) - sqrt(x^2 + y^2)",
    "a product of matrices": "dims n, m, k\ndata A[n, m]\nparam U[n, k], V[k, m]\nminimize ||U V - A||^2",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    assert certificate(analysis(REFUSED[name]), hints=True).curvature == "unknown"


HINTS = [
    ("dims n\ndata A[n, n]\nparam x[n]\nminimize x' A x", "declare A[n, n] in psd"),
    (f"{ROWS}data v[n]\nminimize sum[i] v[i] (X[i]' w - y[i])^2", "declare v >= 0"),
    ("dims d\ndata C[d, d]\nparam P[d, d] in symmetric\nminimize tr(C P) - logdet(P)", "declare P in psd"),
]


@pytest.mark.parametrize(("text", "words"), HINTS)
def test_what_would_help(text, words):
    rows = pipeline.derivations(page(text), False, None, "matrix", {}, product="convexity")
    told = [r["text"] for r in rows if r["section"] == "objective"]
    assert any(words in line for line in told) and any("stopped at line" in line for line in told), told


def sections(text):
    rows = pipeline.derivations(page(text), False, None, "matrix", {}, product="convexity")
    return {s: [r["text"] for r in rows if r["section"] == s] for s in {r["section"] for r in rows}}


def test_blocks():
    found = sections("dims n, m, k\ndata A[n, m]\nparam U[n, k], V[k, m]\nminimize ||U V - A||^2")
    assert found["objective"][0].startswith("not certified convex in (U, V): a product of two unknowns, U and V")
    assert found["by blocks"] == ["convex in U: a quadratic", "convex in V: a quadratic"]
    assert found["gradient"][:2] == ["L_U = 2 λmax(VVᵀ)", "L_V = 2 λmax(UᵀU)"]


def test_feasible_sets():
    found = sections("dims n\ndata c[n]\nparam x[n]\nminimize c' x  subject to  ||x|| <= 1; c' x = 0; ||x||^2 = 1")
    assert found["feasible set"] == [
        "||x|| <= 1: an inequality, convex",
        "c' x = 0: an equality, affine",
        "||x||^2 = 1: not certified: an equality, convex (a quadratic)",
        "not certified convex",
    ]


CLASSES = "dims n, d, c\ndata X[n, d]\nparam W[d, c], b[c]\n"
LIPSCHITZ = [
    (f"{ROWS}minimize 1/n sum[i] (log(1 + exp(X[i]' w)) - y[i] X[i]' w) + lam/2 ||w||^2", "L = 1/(4n) λmax(XᵀX) + λ"),
    (f"{ROWS}minimize 1/n ||X w - y||^2", "L = 2/n λmax(XᵀX)"),
    ("dims n\ndata A[n, n] in psd\nparam x[n]\nminimize 1/2 x' A x", "L = λmax(A)"),
    ("dims n\ndata y[n] in {0, 1}\nparam b\nminimize 1/n sum[i] (log(1 + exp(b)) - y[i] b)", "L = 1/4"),
    ("dims n, d\ndata X[n, d]\nparam w[d], b\nminimize 1/n sum[i] log(1 + exp(X[i]' w + b))", "L_b = 1/4"),
    (f"{CLASSES}minimize 1/n sum[i] log(sum[k] exp(sum[j] X[i, j] W[j, k] + b[k]))", "L_W = 1/(2n) λmax(XᵀX)"),
    (f"{CLASSES}minimize 1/n sum[i] log(sum[k] exp(sum[j] X[i, j] W[j, k] + b[k]))", "L_b = 1/2"),
    (f"{CLASSES}minimize b[0]^2 log(sum[i, k] exp(sum[j] X[i, j] W[j, k]))", "no Lipschitz constant in b was found"),
    (f"{ROWS}minimize sum[i] exp(X[i]' w)", "no Lipschitz constant in w was found"),
    (
        f"{CLASSES}H = tanh(X W + b)\nminimize sum[i] log(sum[k] exp(H[i, k]))",
        "no Lipschitz constant in W was found: vᵀHv",
    ),
]


@pytest.mark.parametrize(("text", "line"), LIPSCHITZ)
def test_lipschitz_constants(text, line):
    assert any(told.startswith(line) for told in sections(text)["gradient"])


def test_a_lipschitz_constant_that_is_too_small_is_not_shown(monkeypatch):
    from symml.derivations import convexity

    plain = convexity.bound
    monkeypatch.setattr(
        convexity, "bound", lambda f: [convexity.Part(p.factor / 4, p.kind, p.tensor, p.across) for p in plain(f)]
    )
    assert "gradient" not in sections("dims n\ndata A[n, n] in psd\nparam x[n]\nminimize 1/2 x' A x")


# random programs against the midpoint test


SMOOTH = ("exp", "softplus", "cosh", "sigmoid", "tanh", "log1p", "log")


KINDS = ("square", "square", "product", "product", "function", "function", "function", "over", "entropy", "power")


def random_form(rng: np.random.Generator) -> sympy.Expr:
    """Squares, products of affine maps, entropies and smooth functions, weighted by what may be negative."""
    z, u, s, x = MAPS[0].out[R], MAPS[1].out[R], S[()], X[R, 0]
    leaves = (z, u, z, u, s, z - u, z + 2 * u, z - x)
    weights = (1, 2, -1, LAM[()], FREE[()], Q[R], x, x**2, 1 - Q[R], s, 1 / s)
    total = sympy.Integer(0)
    for _ in range(rng.integers(1, 3)):
        kind = pick(
            rng,
            ("square", "square", "product", "product", "function", "function", "function", "over", "entropy", "power"),
        )
        a, b = pick(rng, leaves), pick(rng, leaves)
        term = {
            "square": a**2, "product": a * b, "function": FUNCTIONS[pick(rng, SMOOTH)].symbol(a), "over": a**2 / s,
            "entropy": s * sympy.log(s), "power": s ** pick(rng, (3, -1, -2, sympy.Rational(1, 2), sympy.Rational(5, 2))),
        }[kind]  # fmt: skip
        total += pick(rng, weights) * term
    if rng.random() < 0.05:
        total = FUNCTIONS[pick(rng, SMOOTH)].symbol(total) * pick(rng, (1, a, s))
    return canonical(total)


def certified(rng: np.random.Generator) -> tuple[str, Program]:
    """A random program and the curvature that its Hessian is certified to have."""
    body = sympy.I
    while body.has(sympy.I, sympy.oo, sympy.zoo, sympy.nan):
        body = random_form(rng)
    p = Program(INPUTS, (*MAPS, Statement(LOSS, (), "=", "sum", (R,), body)), {"loss": LOSS})
    p = simplify(p)
    try:
        return certify_hessian(form(p, simplify(gradient(p, "loss", UNKNOWNS)), UNKNOWNS)).curvature, p
    except NoForm:
        return "none", p


def contradictions(count: int, seed: int) -> tuple[Counter, list[Program]]:
    rng, counts, wrong = np.random.default_rng(seed), Counter(), []
    for _ in range(count):
        curvature, p = certified(rng)
        counts[curvature] += 1
        if curvature in ("convex", "concave") and violation(p, curvature, rng) > 1e-9:
            wrong.append(p)
    return counts, wrong


def test_no_random_hessian_contradicts_its_certificate():
    counts, wrong = contradictions(100, seed=1)
    assert not wrong, wrong[0]
    assert counts["convex"] > 5 and counts["concave"] > 2 and counts["unknown"] > 20, counts


def test_the_midpoint_test_sees_a_product_that_is_taken_for_a_square(monkeypatch):
    monkeypatch.setattr(hessian, "signed", lambda f, e: (0, 1))
    _, wrong = contradictions(12, seed=2)
    assert wrong


@pytest.mark.parametrize("name", ["a pole", "a logarithm of a square"])
def test_without_a_look_at_domains_it_would_be_wrong(name, monkeypatch):
    a = analysis(REFUSED[name])
    with pytest.raises(NoForm):
        form(a.forward, a.derivative, a.model.over)
    monkeypatch.setattr(hessian, "_refuse_domain", lambda *args: None)
    assert certify_hessian(form(a.forward, a.derivative, a.model.over)).curvature != "unknown"

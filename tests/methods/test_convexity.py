"""Certificates: what the rules must certify, what they must not, and random programs against the midpoint test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import sympy
from check import analysis

from symml import pipeline
from symml.ir import check as legality
from symml.ir import show
from symml.ir.evaluate import evaluate
from symml.ir.functions import FUNCTIONS, absolute, canonical, less, maximum, minimum, relu, sigmoid, softplus
from symml.ir.program import Dim, Domain, Index, Program, Statement, Tensor
from symml.methods import convexity, intervals
from symml.methods.convexity import certify

N, D = Dim("n"), Dim("d")
R, C = Index("i", N), Index("j", D)
POSITIVE = Domain("interval", 0, None, (True, True))
X, Q = Tensor("X", (N, D), "data"), Tensor("q", (N,), "data", Domain("interval", 0, 1))
Y = Tensor("y", (N,), "data", Domain("set", values=(0, 1)))
LABEL = Tensor("label", (N,), "data", Domain("label", size=D))
LAM, FREE = Tensor("lam", (), "hyper", POSITIVE), Tensor("free", (), "hyper")
W, V = Tensor("w", (D,), "param"), Tensor("v", (D,), "param")
S = Tensor("s", (), "param", POSITIVE)
INPUTS = (X, Q, Y, LABEL, LAM, FREE, W, V, S)
UNKNOWNS = (W, V, S)
Z, U, T, LOSS = Tensor("Z", (N,)), Tensor("U", (N,)), Tensor("T", (N,)), Tensor("loss")
MAPS = (Statement(Z, (R,), "=", "sum", (R, C), X[R, C] * W[C]), Statement(U, (R,), "=", "sum", (R, C), X[R, C] * V[C]))
z, u, y, q, s, lam, free, x = Z[R], U[R], Y[R], Q[R], S[()], LAM[()], FREE[()], X[R, 0]


def program(*statements: Statement) -> Program:
    """The affine maps Z = X w and U = X v, then the statements; the loss is the last."""
    made = Program(INPUTS, (*MAPS, *statements), {"loss": statements[-1].out})
    legality.check(made)
    return made


def over_rows(body: sympy.Expr, reduce: str = "sum", guard: sympy.Expr | None = None) -> Program:
    return program(Statement(LOSS, (), "=", reduce, (R,), canonical(body), guard))


CERTIFIED = {
    "logistic": (softplus(z) - y * z, "convex", "softplus of an affine map, minus a linear term"),
    "logistic, two branches": (y * softplus(-z) + (1 - y) * softplus(z), "convex", "softplus of an affine map"),
    "the same, multiplied out": (y * softplus(-z) + softplus(z) - y * softplus(z), "convex", "softplus"),
    "soft labels": (q * softplus(-z) + (1 - q) * softplus(z), "convex", "softplus"),
    "least squares": ((z - x) ** 2 / N, "convex", "a quadratic"),
    "weighted by an even power": (x**2 * (z - x) ** 2, "convex", "a quadratic"),
    "ridge": ((z - x) ** 2 / N + lam / 2 * u**2, "convex", "a quadratic"),
    "lasso": ((z - x) ** 2 / N + lam * absolute(u), "convex", "a quadratic, plus the absolute value of an affine map"),
    "hinge": (maximum(0, 1 - (2 * y - 1) * z), "convex", "the largest of affine terms"),
    "squared hinge": (relu(1 - z) ** 2, "convex", "a square of the positive part of an affine map"),
    "Poisson": (sympy.exp(z) - x * z, "convex", "exp of an affine map, plus a linear term"),
    "norm": (sympy.sqrt(z**2 + u**2), "convex", "a norm"),
    "smoothed norm": (sympy.sqrt(z**2 + lam), "convex", "a norm"),
    "fourth power": ((z - u) ** 4, "convex", "an even power"),
    "power of a nonnegative": (absolute(z) ** sympy.Rational(3, 2), "convex", "a power"),
    "cosh": (sympy.cosh(z), "convex", "cosh"),
    "cosh of a norm": (sympy.cosh(absolute(z)), "convex", "cosh"),
    "reciprocal": (1 / s, "convex", "a reciprocal"),
    "power of a constant": (2**z, "convex", "exponential"),
    "barrier": (-sympy.log(s), "convex", "minus log of an affine map"),
    "increasing of convex": (sympy.exp(softplus(z) + u**2), "convex", "exp"),
    "negative of concave": (-minimum(z, u), "convex", "minus the smallest"),
    "entries of data": (X[R, 0] * z + q, "affine", "a linear term"),
    "gather": (Z[R] - W[LABEL[R]], "affine", "a linear term"),
    "logarithm": (sympy.log(z) + z, "concave", "log"),
    "root": (sympy.sqrt(z), "concave", "a root"),
    "constant": (sympy.sin(x) * y, "constant", "no part"),
    "sign from a definition": (relu(x) * z**2, "convex", "a quadratic"),
    "root of a square": (sympy.sqrt(z**2), "convex", "the absolute value"),
}


@pytest.mark.parametrize("name", CERTIFIED)
def test_certified(name):
    body, curvature, words = CERTIFIED[name]
    found = certify(over_rows(body), "loss", UNKNOWNS)
    assert (found.curvature, found.stopped_at) == (curvature, None), found
    assert words in found.reason, found.reason
    assert found.convex == (curvature != "concave")


REFUSED = {
    "product": (z * u, "a product of two unknowns, "),
    "square of a product": ((z * u - x) ** 2, "a product of two unknowns, "),
    "sigmoid": (sigmoid(z), "sigmoid of an affine map, which is neither convex nor concave"),
    "difference of convex": (softplus(z) - u**2, "a convex term plus a concave one"),
    "square of convex that may be negative": ((u**2 - 1) ** 2, "no rule covers"),
    "odd power": (z**3, "no rule covers"),
    "reciprocal of any sign": (1 / z, "no rule covers"),
    "reciprocal of a square": (z**-2, "no rule covers"),
    "convex of concave": (sympy.exp(sympy.log(z) * 2 + sympy.sqrt(u)), "convex of concave"),
    "root of convex": (sympy.sqrt(softplus(z)), "no rule covers"),
    "root of a fourth power": (sympy.sqrt(z**4 + u), "no rule covers"),
    "free multiplier": (free * z**2, "a quadratic times free, whose sign is not known"),
    "free weight": (x * softplus(z), "times X, whose sign is not known"),
    "one minus a positive": ((1 - lam) * z**2, "whose sign is not known"),
    "test of unknowns": (less(z, u), "neither convex nor concave"),
    "increasing of a test": (absolute(z) * less(0, z), "neither convex nor concave"),
    "unknown exponent": (z**u, "no rule covers"),
    "smallest of convex": (minimum(z**2, u**2), "min"),
    "absolute value of convex": (absolute(u**2 - 1), "no rule covers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_place(name):
    body, words = REFUSED[name]
    refused = over_rows(body)
    found = certify(refused, "loss", UNKNOWNS)
    assert found.curvature == "unknown" and not found.convex
    assert words in found.reason, found.reason
    assert found.stopped_at is refused.statements[-1]


@pytest.mark.parametrize(
    ("reduce", "body", "curvature"),
    [
        ("max", z**2, "convex"),
        ("min", z**2, "unknown"),
        ("min", z, "concave"),
        ("max", -(z**2), "unknown"),
        ("logsumexp", softplus(z), "convex"),
        ("logsumexp", -softplus(z), "unknown"),
        ("prod", z, "unknown"),
        ("prod", x, "constant"),
        ("argmax", z, "unknown"),
    ],
)
def test_reductions(reduce, body, curvature):
    out = Tensor("k", (), "temp", Domain("label", size=N)) if reduce == "argmax" else LOSS
    found = certify(program(Statement(out, (), "=", reduce, (R,), body)), "loss", UNKNOWNS)
    assert found.curvature == curvature, found


def test_what_unknowns_choose_is_not_affine():
    """A gather at an argmin is a minimum, a guard and a scatter on unknowns are jumps: each was affine by its body."""
    at, count = Tensor("at", (), "temp", Domain("label", size=D)), Tensor("count", (D,))
    k = Statement(at, (), "=", "argmin", (C,), W[C])
    gathered = certify(program(k, Statement(LOSS, (), "=", "none", (), W[at[()]])), "loss", UNKNOWNS)
    scattered = program(
        k, Statement(count, (at[()],), "+=", "sum", (R,), z), Statement(LOSS, (), "=", "none", (), count[0])
    )
    guarded = certify(over_rows(z, guard=less(0, z)), "loss", UNKNOWNS)
    for found in (gathered, certify(scattered, "loss", UNKNOWNS), guarded):
        assert found.curvature == "unknown" and found.stopped_at is not None, found
    assert "chosen by at" in gathered.reason and "a condition" in guarded.reason
    assert certify(over_rows(z**2, guard=less(0, x)), "loss", UNKNOWNS).curvature == "convex"


def test_facts_pass_from_statement_to_statement():
    mean, total = Tensor("mean"), Tensor("total")
    scaled = (
        Statement(T, (R,), "=", "none", (R,), softplus(z) - y * z),
        Statement(mean, (), "=", "sum", (R,), T[R] / N),
        Statement(total, (), "=", "sum", (C,), W[C] ** 2),
        Statement(LOSS, (), "=", "none", (), mean[()] + lam / 2 * total[()]),
    )
    assert certify(program(*scaled), "loss", UNKNOWNS).reason == (
        "a quadratic, plus softplus of an affine map, minus a linear term"
    )
    weights = Statement(T, (R,), "=", "none", (R,), relu(x) + q)
    assert certify(program(weights, Statement(LOSS, (), "=", "sum", (R,), T[R] * z**2)), "loss", UNKNOWNS).convex
    signed = Statement(T, (R,), "=", "none", (R,), relu(x) - q)
    assert not certify(program(signed, Statement(LOSS, (), "=", "sum", (R,), T[R] * z**2)), "loss", UNKNOWNS).convex


def test_contributions_to_one_tensor_are_added():
    both = (
        Statement(T, (R,), "=", "none", (R,), z**2),
        Statement(T, (R,), "+=", "none", (R,), softplus(u)),
        Statement(LOSS, (), "=", "sum", (R,), T[R]),
    )
    assert certify(program(*both), "loss", UNKNOWNS).reason == "a quadratic, plus softplus of an affine map"
    concave = Statement(T, (R,), "+=", "none", (R,), -softplus(u))
    found = certify(program(both[0], concave, both[2]), "loss", UNKNOWNS)
    assert found.curvature == "unknown" and found.stopped_at is concave


def test_blocks_of_unknowns():
    bilinear = over_rows((z * W[0] - x) ** 2 + (u * z) ** 2)
    assert certify(bilinear, "loss", (W,)).curvature == "unknown"
    product = over_rows((z * u - x) ** 2)
    assert not certify(product, "loss", (W, V)).convex
    assert certify(product, "loss", (W,)).convex and certify(product, "loss", (V,)).convex


def test_only_what_feeds_the_output_counts():
    other = Statement(T, (R,), "=", "none", (R,), sigmoid(z))
    assert certify(program(other, Statement(LOSS, (), "=", "sum", (R,), u**2)), "loss", UNKNOWNS).convex


def test_deep_bodies_are_looked_at_once():
    """A walk that looks at what moves twice needs 2^60 steps here."""
    e = z
    for _ in range(60):
        e = 2 * softplus(e)
    assert certify(over_rows(e), "loss", UNKNOWNS).curvature == "convex"


PAGES = {
    "naive logistic": (
        "dims n, d\ndata X[n, d], y[n] in {0, 1}\nhyper lam > 0\nparam w[d]\np = sigmoid(X w)\n"
        "minimize -1/n sum[i] (y[i] log p[i] + (1 - y[i]) log(1 - p[i])) + lam/2 ||w||^2",
        "convex",
        "softplus of an affine map",
    ),
    "softmax": (
        "dims n, d, c\ndata X[n, d], y[n] in c\nparam W[d, c]\nZ = X W\n"
        "minimize 1/n sum[i] (logsumexp[k] Z[i, k] - Z[i, y[i]])",
        "convex",
        "log-sum-exp of an affine map, minus a linear term",
    ),
    "factors": (
        "dims n, d, k\ndata A[n, d]\nparam U[n, k], V[k, d]\nminimize ||U V - A||^2",
        "unknown",
        "a product of two unknowns, U and V",
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages_after_rewriting(name):
    body, curvature, words = PAGES[name]
    found = pipeline.certificate(analysis(body))
    assert found.curvature == curvature and words in found.reason, found


# random programs


FACTORS = (-1, -1, 2, y, 1 - y, q, lam, x, x**2, y - q, -lam, 1 - 2 * q)
POWERS = (2, 3, 4, -1, -2, sympy.Rational(1, 2), sympy.Rational(3, 2))
CALLS = ("exp", "log", "softplus", "relu", "abs", "cosh", "sigmoid", "tanh", "log1p", "expm1")


def pick(rng: np.random.Generator, choices: tuple) -> object:
    return choices[rng.integers(len(choices))]


def random_body(rng: np.random.Generator, depth: int, leaves: tuple[sympy.Expr, ...]) -> sympy.Expr:
    """A body over affine maps, unknowns and data: rules compose in every order."""
    if depth == 0 or rng.random() < 0.1:
        return pick(rng, leaves)
    left = random_body(rng, depth - 1, leaves)
    kind = pick(rng, ("call", "call", "call", "power", "factor", "factor", "sum", "sum", "extreme", "product"))
    if kind == "call":
        return FUNCTIONS[pick(rng, CALLS)].symbol(left)
    if kind == "power":
        return left ** pick(rng, POWERS)
    if kind == "factor":
        return pick(rng, FACTORS) * left
    right = random_body(rng, depth - 1, leaves)
    if kind == "extreme":
        return pick(rng, (maximum, minimum))(left, right)
    return left + right if kind == "sum" else left * right


def random_program(rng: np.random.Generator) -> Program:
    body = sympy.I
    while body.has(sympy.I, sympy.oo, sympy.zoo, sympy.nan):  # log(-1) and the like are no bodies
        body = random_body(rng, 3, (z, z, u, u, s, z - x, z - u, x, y))
    first = Statement(T, (R,), "=", "none", (R,), canonical(body))
    outer = random_body(rng, 1, (T[R], T[R], u)) if rng.random() < 0.5 else T[R]
    reduce = pick(rng, ("sum", "sum", "max", "min", "logsumexp"))
    last = Statement(LOSS, (), "=", reduce, (R,), canonical(outer))
    used = (first, last) if T[R] in outer.free_symbols else (last,)
    return Program(INPUTS, (*MAPS, *used), {"loss": LOSS})


def real_value(p: Program, values: dict, dims: dict) -> float:
    """The loss; nan where any part of the body is not real, also where max or min would drop that part."""
    try:
        with np.errstate(all="ignore", invalid="raise"):
            return float(evaluate(p, values, dims)[LOSS])
    except FloatingPointError:
        return np.nan


def violation(p: Program, curvature: str, rng: np.random.Generator, pairs: int = 6) -> float:
    """The largest relative excess of f((a + b)/2) over (f(a) + f(b))/2, or what the curvature forbids of it."""
    worst, dims = 0.0, {N: 3, D: 2}
    data = {
        X: rng.normal(size=(3, 2)) * 2,
        Q: rng.uniform(size=3),
        Y: rng.choice([0.0, 1.0], 3),
        LABEL: rng.integers(0, 2, 3),
        LAM: np.float64(rng.uniform(0.1, 3)),
        FREE: np.float64(rng.normal()),
    }
    for _ in range(pairs):
        spread = 10 ** rng.uniform(-1, 0.7)
        ends = [{W: rng.normal(size=2) * spread, V: rng.normal(size=2) * spread, S: rng.uniform(0.01, 3)} for _ in "ab"]
        middle = {t: np.asarray((ends[0][t] + ends[1][t]) / 2) for t in UNKNOWNS}
        a, b, m = (real_value(p, {**data, **point}, dims) for point in (*ends, middle))
        if not np.isfinite([a, b]).all() or max(abs(a), abs(b)) > 1e12:
            continue
        excess = (m - (a + b) / 2) / max(1.0, abs(a), abs(b))
        wrong = {"convex": excess, "concave": -excess}.get(curvature, abs(excess))
        worst = max(worst, wrong if np.isfinite(wrong) else np.inf)
    return worst


def contradictions(count: int, seed: int) -> Iterator[tuple[str, Program | None]]:
    """The curvature of each random program, and the program where the midpoint test contradicts it."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        p = random_program(rng)
        curvature = certify(p, "loss", UNKNOWNS).curvature
        wrong = curvature not in ("unknown", "constant") and violation(p, curvature, rng) > 1e-9
        yield curvature, p if wrong else None


def test_no_random_program_contradicts_its_certificate():
    found = list(contradictions(1000, seed=0))
    wrong = [(curvature, show.program(p)) for curvature, p in found if p is not None]
    assert not wrong, "\n".join(wrong[0])
    counts = Counter(curvature for curvature, _ in found)
    assert counts["convex"] > 100 and counts["concave"] > 53 and counts["unknown"] > 200, counts


def declared(name: str, curvature: str, monotony: str) -> MappingProxyType:
    return MappingProxyType({**FUNCTIONS, name: replace(FUNCTIONS[name], shape=(curvature, monotony))})


WRONG_RULES = {
    "sigmoid declared convex": (convexity, "FUNCTIONS", declared("sigmoid", "convex", "increasing")),
    "log declared convex": (convexity, "FUNCTIONS", declared("log", "convex", "increasing")),
    "abs increasing everywhere": (convexity, "EVEN", ()),
    "negatives not flipped": (convexity, "FLIP", MappingProxyType({"convex": "convex", "concave": "concave"})),
    "data are nonnegative": (intervals, "of_domain", lambda d: intervals.NONNEGATIVE),
    "all sums are nonnegative": (intervals, "plus", lambda a, b: intervals.NONNEGATIVE),
    "min declared convex": (convexity, "REDUCED", {**convexity.REDUCED, "min": ("convex", "increasing")}),
}


LATE = ("log declared convex",)  # seen after many programs only


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.full] * (n in LATE)) for n in WRONG_RULES])
def test_the_midpoint_test_sees_wrong_rules(name, monkeypatch):
    module, attribute, value = WRONG_RULES[name]
    monkeypatch.setattr(module, attribute, value)
    if attribute == "EVEN":  # its guard is the monotony "none" of the row: without both, any composition passes
        monkeypatch.setattr(convexity, "FUNCTIONS", declared("abs", "convex", "increasing"))
    found = contradictions(3000, seed=1)
    assert any(p is not None for _, p in found), "no random program contradicts a wrong rule"

"""Samples lie in their domains, are finite, and keep away from kinks."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from hand_models import logistic, softmax

from symml.ir.evaluate import evaluate
from symml.ir.functions import absolute, equal, less, relu
from symml.ir.program import Dim, Domain, Index, Iterate, Program, Statement, Tensor
from symml.proof.samples import KINK_DISTANCE, clearance, sample, sizes

N, D = Dim("n"), Dim("d")
ROW = Index("i", N)
LOSS = Tensor("loss")


def of(body: sympy.Expr, *inputs: Tensor) -> Program:
    return Program(inputs, (Statement(LOSS, (), "=", "sum", (ROW,), body),), {"loss": LOSS})


def test_dims_are_small_and_different():
    found = sizes(logistic()[0], softmax()[0])
    assert len(found) == len(set(found.values())) == 4 and all(2 <= v <= 8 for v in found.values())
    many = Program(tuple(Tensor("t", (Dim(f"n{k}"),)) for k in range(20)), (), {})
    assert len(set(sizes(many).values())) == 20
    wide = next(iter(sizes(many)))
    assert sizes(many, fixed={wide: 50})[wide] == 50


DOMAINS = {
    "positive": (Domain("interval", 0, None, (True, True)), 0, 2),
    "negative": (Domain("interval", None, -3.0), -5, -3),
    "probability": (Domain("interval", 0, 1), 0, 1),
    "wide": (Domain("interval", 10.0, 1e6), 10, 14),
    "wide_negative": (Domain("interval", -1e6, -10), -14, -10),
    "around_zero": (Domain("interval", -1e6, 1e6), -2, 2),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_intervals_are_respected(name):
    domain, low, high = DOMAINS[name]
    x = Tensor("x", (N,), "data", domain)
    for seed in range(20):
        values, _ = sample(of(x[ROW], x), np.random.default_rng(seed))
        assert (values[x] > low).all() and (values[x] < high).all()


def test_sets_labels_and_parameters():
    s, y = Tensor("s", (N,), "data", Domain("set", values=(-1, 1))), Tensor("y", (N,), "data", Domain("label", size=D))
    w, x = Tensor("w", (N,), "param"), Tensor("x", (N,), "data")
    program = of(s[ROW] * y[ROW] * w[ROW] * x[ROW], s, y, w, x)
    drawn = [sample(program, np.random.default_rng(k)) for k in range(200)]
    assert {v for values, _ in drawn for v in values[s]} == {-1.0, 1.0}
    dims = drawn[0][1]
    assert {int(v) for values, _ in drawn for v in values[y]} == set(range(dims[D]))
    assert drawn[0][0][y].dtype.kind == "i"
    assert np.std([values[w] for values, _ in drawn]) == pytest.approx(0.5, rel=0.15)
    assert np.std([values[x] for values, _ in drawn]) == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize(
    "body", [lambda x: sympy.log(x), lambda x: sympy.log(1 - x) + sympy.sqrt(x), lambda x: sympy.log(x - 1)]
)
def test_values_are_finite_where_the_body_is_not_everywhere(body):
    x = Tensor("x", (N,), "data")
    program = of(body(x[ROW]), x)
    values, dims = sample(program, np.random.default_rng(0))
    assert np.isfinite(evaluate(program, values, dims)[LOSS])


def test_clearance_sees_kinks():
    x, y = Tensor("x", (N,), "data"), Tensor("y", (N,), "data", Domain("label", size=D))
    program, dims = of(relu(x[ROW] - 1), x), {N: 3}
    near = np.array([3.0, 1 + 1e-9, -2.0])
    assert clearance(program, {x: near}, dims) == pytest.approx(1e-9) and KINK_DISTANCE > 1e-9
    assert clearance(program, {x: np.array([3.0, 1.5, -2.0])}, dims) == pytest.approx(0.5)
    assert clearance(of(sympy.log(x[ROW]), x), {x: -near}, dims) == -np.inf
    assert clearance(of(equal(y[ROW], 2) + less(ROW, 2), y), {y: np.array([0, 2, 1])}, {N: 3, D: 3}) >= 1
    m = Tensor("m")
    extreme = Program((x,), (Statement(m, (), "=", "max", (ROW,), x[ROW]),), {"m": m})
    assert clearance(extreme, {x: np.array([2.0, 2.0 - 1e-8, 0.0])}, dims) == pytest.approx(1e-8)


def test_draws_near_a_kink_are_drawn_again():
    class Unlucky:
        """Normal numbers at the kink first, as they come later."""

        def __init__(self) -> None:
            self.rng, self.calls = np.random.default_rng(0), 0

        def normal(self, size=None):
            self.calls += 1
            return np.full(size, 1e-9) if self.calls == 1 else self.rng.normal(size=size)

    x, rng = Tensor("x", (N,), "data"), Unlucky()
    values, _ = sample(of(absolute(x[ROW]), x), rng)
    assert rng.calls == 2 and np.abs(values[x]).min() > KINK_DISTANCE


def test_what_tests_an_iteration_is_no_kink():
    """Its change comes to 0 at every draw; the kinks of what it finds count as any others."""
    x, start, new, gap, a = (Tensor(name) for name in ("x", "start", "new", "gap", "a"))
    for body, clear in ((a[()] + x[()] / 2, True), (absolute(a[()]) + x[()] / 2, False)):
        inside = (
            Statement(new, (), "=", "none", (), body),
            Statement(gap, (), "=", "none", (), absolute(new[()] - x[()])),
        )
        begin = Statement(start, (), "=", "none", (), sympy.Integer(0))
        program = Program((a,), (begin, Iterate(((x, start, new),), inside, gap, 1e-12, 100)), {"x": x})
        assert (clearance(program, {a: np.asarray(1e-9)}, {}) > KINK_DISTANCE) is clear

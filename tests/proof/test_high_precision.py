"""The interpreter in mpmath: exact where exactness is known, and a judge of float64 formulas."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy
from hand_models import MODELS, derived

from symml.ir.evaluate import evaluate
from symml.ir.functions import FUNCTIONS, less, softplus
from symml.ir.program import Dim, Domain, Index, Program, Statement, Tensor
from symml.proof.high_precision import high_precision, truth, ulps
from symml.proof.samples import sample

N = Dim("n")
ROW = Index("i", N)
X, OUT = Tensor("x", (N,), "data"), Tensor("out", (N,))


def each(body: sympy.Expr) -> Program:
    return Program((X,), (Statement(OUT, (ROW,), "=", "none", (ROW,), body),), {"out": OUT})


def test_sums_are_those_of_fractions():
    x, total = np.array([0.1, 1e20, -1e20, 3.7]), Tensor("total")
    body = sympy.Rational(1, 3) * X[ROW] / N / (ROW + 3)
    program = Program((X,), (Statement(total, (), "=", "sum", (ROW,), body),), {"total": total})
    exact = sum(Fraction(v) / 3 / 4 / (k + 3) for k, v in enumerate(x))
    found = high_precision(program, {X: x}, {N: 4})[total].item()
    with mpmath.workdps(60):
        assert abs(found - mpmath.mpf(exact.numerator) / exact.denominator) < mpmath.mpf(10) ** -38


@pytest.mark.parametrize("name", MODELS)
def test_gradients_in_float64_are_near_the_truth(name):
    _, derivative, _ = derived(name)
    values, dims = sample(derivative, np.random.default_rng(2))
    found, exact = evaluate(derivative, values, dims), high_precision(derivative, values, dims)
    for t in derivative.outputs.values():
        assert isinstance(np.asarray(exact[t], object).flat[0], mpmath.mpf)
        np.testing.assert_allclose(found[t], np.asarray(exact[t]).astype(float), rtol=1e-13)


@pytest.mark.parametrize(
    "name",
    [n for n in FUNCTIONS if n not in ("max", "min", "less", "less_equal", "equal", "select", "polygamma", "lost")],
)
def test_functions_are_the_same_in_both(name):
    program, x = each(FUNCTIONS[name].symbol(X[ROW])), np.array([0.3, 1.7, 2.9])
    error = ulps(evaluate(program, {X: x}, {N: 3})[OUT], high_precision(program, {X: x}, {N: 3})[OUT])
    assert (error < 4).all(), error


@pytest.mark.parametrize("reduce", ["sum", "prod", "max", "min", "logsumexp", "argmax", "argmin"])
def test_reductions_are_the_same_in_both(reduce):
    domain = Domain("label", size=N) if reduce.startswith("arg") else Domain()
    out, x = Tensor("r", (), "temp", domain), np.array([0.3, 1.7, -2.9])
    program = Program((X,), (Statement(out, (), "=", reduce, (ROW,), X[ROW]),), {"r": out})
    exact = high_precision(program, {X: x}, {N: 3})[out]
    assert float(exact.item()) == pytest.approx(float(evaluate(program, {X: x}, {N: 3})[out]), rel=1e-15)


def test_a_guard_leaves_out_what_is_not_real():
    out = Tensor("s")
    program = Program((X,), (Statement(out, (), "=", "sum", (ROW,), sympy.log(X[ROW]), less(0, X[ROW])),), {"s": out})
    assert float(high_precision(program, {X: np.array([-1.0, 2.0])}, {N: 2})[out].item()) == pytest.approx(np.log(2))


def test_the_judge_tells_a_stable_formula_from_a_naive_one():
    x = np.array([-700.0, -40.0, -1e-9, 0.0, 3.0, 800.0])
    naive, stable = each(sympy.log(1 + sympy.exp(X[ROW]))), each(softplus(X[ROW]))
    exact = truth(naive, {X: x}, {N: 6})["out"]
    with np.errstate(over="ignore"):
        bad, good = (ulps(evaluate(p, {X: x}, {N: 6})[OUT], exact) for p in (naive, stable))
    assert (good <= 1).all() and bad[0] > 1e12 and bad[1] > 1e12 and bad[-1] == np.inf
    assert high_precision(naive, {X: x}, {N: 6})[OUT][0] == 0  # 60 digits alone would have agreed with the naive one


def test_truth_refuses_what_does_not_settle():
    with pytest.raises(ArithmeticError):
        truth(each(sympy.log(1 + sympy.exp(X[ROW]))), {X: np.array([-700.0])}, {N: 1}, most=500)


def test_ulps():
    one = mpmath.mpf(1)
    with mpmath.workdps(60):
        half = one + mpmath.mpf(2) ** -53
    assert ulps(1.0, one) == 0 and ulps(1.0, half) == 0.5
    assert ulps(np.nextafter(1.0, 2), one) == 1
    assert ulps(np.inf, mpmath.mpf("1e400")) == 0 and ulps(1.0, mpmath.mpf("1e400")) == np.inf
    assert ulps(np.inf, one) == ulps(np.nan, one) == ulps(1.0, mpmath.log(-1)) == np.inf
    assert ulps(np.nan, mpmath.log(-1)) == ulps(np.nan, mpmath.nan) == 0
    assert ulps(5e-324, mpmath.mpf(0)) == 1
    assert list(ulps(np.array([1.0, 2.0]), np.array([one, one * 2], object))) == [0, 0]

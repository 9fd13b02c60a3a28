"""Numbers with a bound of their error: the bound holds, few digits are asked for, and what cannot be told is not."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy
from mpmath import libmp

from symml.ir.functions import FUNCTIONS as ROWS
from symml.ir.program import Dim, Index, Program, Statement, Tensor
from symml.proof import balls
from symml.proof.balls import FUNCTIONS, SETTINGS, Ball, settled
from symml.proof.high_precision import truth

N = Dim("n")
ROW = Index("i", N)
X, OUT = Tensor("x", (N,), "data"), Tensor("out", (N,))
BITS, MORE = 120, 900


def each(body: sympy.Expr) -> Program:
    return Program((X,), (Statement(OUT, (ROW,), "=", "none", (ROW,), body),), {"out": OUT})


def kept(name: str, f=None) -> bool:
    """Over many arguments that are off by as much as they may be, is the function's error never above its bound?"""
    f, rng, told = f or FUNCTIONS[name], np.random.default_rng(0), 0
    count = f.__code__.co_argcount
    for _ in range(200):
        with mpmath.workprec(MORE):
            centres = [mpmath.mpf(float(v)) / 3 for v in 10.0 ** rng.uniform(-8, 2, count) * rng.choice([-1, 1], count)]
            off = [int(rng.integers(-100, -3)) for _ in centres]
            other = [c + mpmath.mpf(2) ** e * rng.choice([-0.999, 0.999]) for c, e in zip(centres, off, strict=True)]
        Ball.bits = BITS
        got = f(*(Ball(c._mpf_, e) for c, e in zip(centres, off, strict=True)))
        if not got.value[1] and got.value[2]:
            continue
        with mpmath.workprec(MORE):
            exact = ROWS[name].mpmath(*other)
            if isinstance(exact, mpmath.mpc) or not mpmath.isfinite(exact):
                return False
            told += 1
            bound = mpmath.mpf(2) ** int(got.error) if np.isfinite(got.error) else mpmath.mpf(0)
            if abs(mpmath.mp.make_mpf(got.value) - exact) > bound:
                return False
    return told > 20


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "floor"])
def test_the_bound_of_the_error_holds(name):
    assert kept(name)


def test_a_bound_that_is_too_small_is_seen():
    assert not kept("tan", balls._smooth(libmp.mpf_tan, lambda size: -6))
    assert not kept("exp", lambda x: Ball(libmp.mpf_exp(x.value, BITS), x.error - 4))


@pytest.mark.parametrize(
    "text", ["exp(x) - 1", "sqrt(x + 1) - sqrt(x)", "(x + 1)**7 - x**7", "1/x - 1/tan(x)", "(1 + 1/x)**x"]
)
def test_the_same_as_two_settings_of_mpmath(text):
    x = X[ROW]
    body = {
        "exp(x) - 1": sympy.exp(x) - 1,
        "sqrt(x + 1) - sqrt(x)": sympy.sqrt(x + 1) - sympy.sqrt(x),
        "(x + 1)**7 - x**7": (x + 1) ** 7 - x**7,
        "1/x - 1/tan(x)": 1 / x - 1 / sympy.tan(x),
        "(1 + 1/x)**x": (1 + 1 / x) ** x,
    }[text]
    at = 10.0 ** np.random.default_rng(1).uniform(-90, 90, 30)
    ours, theirs = settled(each(body), {X: at}, {N: 30}), truth(each(body), {X: at}, {N: 30})["out"]
    for a, b in zip(ours, theirs, strict=True):
        assert float(a) == float(b) and abs(a - b) <= abs(b) * mpmath.mpf(2) ** -66


def test_what_is_no_number_and_what_is_not_known():
    x = X[ROW]
    at = np.array([-1.0, 0.0, 4.0])
    found = settled(each(sympy.log(x) + 1 / x), {X: at}, {N: 3})
    assert mpmath.isnan(found[0]) and mpmath.isnan(found[1]) and float(found[2]) == np.log(4.0) + 0.25
    open_ = sympy.log(sympy.sin(x) ** 2 + sympy.cos(x) ** 2 - 1)  # of 0, or of what is above it?
    assert mpmath.isnan(settled(each(open_), {X: np.array([0.5])}, {N: 1})[0])


def test_one_setting_is_enough_for_most(monkeypatch):
    """Differences of squares are exact at the first; a loss of 80 digits is seen and asks for the next."""
    x, seen = X[ROW], []
    evaluate = balls.evaluate
    monkeypatch.setattr(balls, "evaluate", lambda *a: seen.append(Ball.bits) or evaluate(*a))
    assert float(settled(each((x + 1) ** 2 - x**2), {X: np.array([1e60])}, {N: 1})[0]) == 2e60
    assert seen == [SETTINGS[0]]
    seen.clear()
    assert float(settled(each(sympy.exp(x) - 1), {X: np.array([1e-80])}, {N: 1})[0]) == 1e-80
    assert seen == list(SETTINGS[:2])

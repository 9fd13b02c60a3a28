"""The functions of the language, one row each: derivative, values, prints. Adding a function is adding a row.

A row's sympy class carries the derivative (`fdiff`), so `sympy.diff` needs no help; `numpy` is the value on real and
complex arrays (the complex step runs through it); `mpmath` the value at any precision; `elementary` an expression in
sympy's own functions for the expansion oracle; `shape` its curvature and monotony for the convexity certificate.
Tests (`less`, `equal` ...) are numbers 0 or 1 with derivative 0.

    FUNCTIONS["sigmoid"].symbol(x).diff(x)  ->  sigmoid(x)*sigmoid(-x)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import mpmath
import numpy as np
import sympy
from sympy import Expr, Function, Integer

from symml.ir import special
from symml.ir.special import digamma, erf, erfc, lgamma, polygamma, trigamma


class sigmoid(Function):
    """1/(1 + exp(-u)); its derivative is written without the cancelling 1 - sigmoid(u)."""

    nargs = 1
    is_real = True
    is_positive = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return sigmoid(self.args[0]) * sigmoid(-self.args[0])


class softplus(Function):
    """log(1 + exp(u))."""

    nargs = 1
    is_real = True
    is_positive = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return sigmoid(self.args[0])


class log1p(Function):
    """log(1 + u)."""

    nargs = 1
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return 1 / (1 + self.args[0])


class expm1(Function):
    """exp(u) - 1."""

    nargs = 1
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return sympy.exp(self.args[0])


class step(Function):
    """1 where u > 0, else 0; the derivative of relu, itself of derivative 0."""

    nargs = 1
    is_real = True
    is_nonnegative = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return Integer(0)


class floor(Function):
    """The largest whole number that is not above u; its derivative is 0 between its jumps."""

    nargs = 1
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return Integer(0)


class relu(Function):
    """max(u, 0), with derivative 0 at 0."""

    nargs = 1
    is_real = True
    is_nonnegative = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return step(self.args[0])


class signum(Function):
    """-1, 0 or 1."""

    nargs = 1
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return Integer(0)


class absolute(Function):
    """|u|, with derivative 0 at 0."""

    nargs = 1
    is_real = True
    is_nonnegative = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return signum(self.args[0])


class _Test(Function):
    """A comparison as a number 0 or 1."""

    nargs = 2
    is_real = True
    is_nonnegative = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return Integer(0)


class less(_Test):
    """[a < b]"""


class less_equal(_Test):
    """[a <= b]"""


class equal(_Test):
    """[a = b]"""


class select(Function):
    """a where the test is not 0, else b; the one that is not taken may be no number."""

    nargs = 3
    is_real = True

    def _eval_derivative(self, s: Expr) -> Expr:
        """Of the one that is taken: 0 times the slope of the other may be no number."""
        test, a, b = self.args
        slopes = a.diff(s), b.diff(s)
        return Integer(0) if slopes == (0, 0) else select(test, *slopes)


class lost(Function):
    """What a + b leaves out: (a + b) less its value in floats, itself a float. 0 as a number. Knuth, TAOCP 2, 4.2.2"""

    nargs = 2
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return Integer(0)


class there(Function):
    """1, said of accesses: a count leaves out what they lack. rewrite/present.py makes a number of it."""

    is_real = True
    is_positive = True


class stop(Function):
    """u, of derivative 0: what is held fixed while the rest is differentiated."""

    nargs = 1
    is_real = True

    @classmethod
    def eval(cls, u: Expr) -> Expr | None:
        """A number is no more than itself, and what is held is not held twice."""
        return u if u.is_number or isinstance(u, stop) else None

    def fdiff(self, argindex: int = 1) -> Expr:
        return Integer(0)


class maximum(Function):
    """The larger of two; at a tie the derivative belongs to the first."""

    nargs = 2
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        a, b = self.args
        return less_equal(b, a) if argindex == 1 else less(a, b)


class minimum(Function):
    """The smaller of two; at a tie the derivative belongs to the first."""

    nargs = 2
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        a, b = self.args
        return less_equal(a, b) if argindex == 1 else less(b, a)


def _sigmoid(u: np.ndarray) -> np.ndarray:
    small = np.exp(-_absolute(u))
    return np.where(np.real(u) >= 0, 1 / (1 + small), small / (1 + small))


def _softplus(u: np.ndarray) -> np.ndarray:
    return np.where(np.real(u) > 0, u, 0) + np.log1p(np.exp(-_absolute(u)))


def _absolute(u: np.ndarray) -> np.ndarray:
    return np.where(np.real(u) >= 0, u, -u)


def _lost(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = np.real(a), np.real(b)
    total = a + b
    moved = total - a
    return (a - (total - moved)) + (b - moved)


def _as_number(test: np.ndarray) -> np.ndarray:
    return np.asarray(test, dtype=float)


@dataclass(frozen=True)
class Row:
    """One function: class, values, how it prints, its shape as (curvature, monotony)."""

    symbol: Callable[..., Expr]
    numpy: Callable[..., np.ndarray]
    mpmath: Callable
    latex: str
    text: str
    shape: tuple[str, str] = ("unknown", "none")
    elementary: Callable[..., Expr] | None = None


def _heaviside(u: Expr, at_zero: int = 0) -> Expr:
    return sympy.Piecewise((1, u > 0), (at_zero, True))


FUNCTIONS: Mapping[str, Row] = MappingProxyType(
    {
        "exp": Row(sympy.exp, np.exp, mpmath.exp, r"\exp", "exp", ("convex", "increasing")),
        "log": Row(sympy.log, np.log, mpmath.log, r"\log", "log", ("concave", "increasing")),
        "log1p": Row(
            log1p,
            np.log1p,
            mpmath.log1p,
            r"\operatorname{log1p}",
            "log1p",
            ("concave", "increasing"),
            lambda u: sympy.log(1 + u),
        ),
        "expm1": Row(
            expm1,
            np.expm1,
            mpmath.expm1,
            r"\operatorname{expm1}",
            "expm1",
            ("convex", "increasing"),
            lambda u: sympy.exp(u) - 1,
        ),
        "sqrt": Row(sympy.sqrt, np.sqrt, mpmath.sqrt, r"\sqrt", "sqrt", ("concave", "increasing")),
        "sin": Row(sympy.sin, np.sin, mpmath.sin, r"\sin", "sin"),
        "cos": Row(sympy.cos, np.cos, mpmath.cos, r"\cos", "cos"),
        "tan": Row(sympy.tan, np.tan, mpmath.tan, r"\tan", "tan"),
        "sinh": Row(sympy.sinh, np.sinh, mpmath.sinh, r"\sinh", "sinh", ("unknown", "increasing")),
        "cosh": Row(sympy.cosh, np.cosh, mpmath.cosh, r"\cosh", "cosh", ("convex", "none")),
        "tanh": Row(sympy.tanh, np.tanh, mpmath.tanh, r"\tanh", "tanh", ("unknown", "increasing")),
        "arctan": Row(sympy.atan, np.arctan, mpmath.atan, r"\arctan", "arctan", ("unknown", "increasing")),
        "erf": Row(
            erf, special.erf_values, mpmath.erf, r"\operatorname{erf}", "erf", ("unknown", "increasing"), sympy.erf
        ),
        "erfc": Row(
            erfc, special.erfc_values, mpmath.erfc, r"\operatorname{erfc}", "erfc", ("unknown", "none"), sympy.erfc
        ),
        "lgamma": Row(
            lgamma,
            special.lgamma_values,
            lambda u: mpmath.re(mpmath.loggamma(u)),
            r"\log\Gamma",
            "lgamma",
            elementary=lambda u: sympy.log(sympy.gamma(u) ** 2) / 2,
        ),
        "digamma": Row(
            digamma,
            lambda u: special.polygamma_values(0, u),
            mpmath.digamma,
            r"\psi",
            "digamma",
            elementary=sympy.digamma,
        ),
        "trigamma": Row(
            trigamma,
            lambda u: special.polygamma_values(1, u),
            lambda u: mpmath.polygamma(1, u),
            r"\psi_1",
            "trigamma",
            elementary=lambda u: sympy.polygamma(1, u),
        ),
        "polygamma": Row(
            polygamma,
            lambda k, u: special.polygamma_values(int(np.real(k)), u),
            lambda k, u: mpmath.polygamma(int(k), u),
            r"\operatorname{polygamma}",
            "polygamma",
            elementary=sympy.polygamma,
        ),
        "sigmoid": Row(
            sigmoid,
            _sigmoid,
            lambda u: 1 / (1 + mpmath.exp(-u)),
            r"\sigma",
            "σ",
            ("unknown", "increasing"),
            lambda u: 1 / (1 + sympy.exp(-u)),
        ),
        "softplus": Row(
            softplus,
            _softplus,
            lambda u: mpmath.log1p(mpmath.exp(u)),
            r"\operatorname{softplus}",
            "softplus",
            ("convex", "increasing"),
            lambda u: sympy.log(1 + sympy.exp(u)),
        ),
        "relu": Row(
            relu,
            lambda u: np.where(np.real(u) > 0, u, 0 * u),
            lambda u: max(u, 0),
            r"\operatorname{relu}",
            "relu",
            ("convex", "increasing"),
            lambda u: u * _heaviside(u),
        ),
        "step": Row(
            step,
            lambda u: _as_number(np.real(u) > 0),
            lambda u: mpmath.mpf(u > 0),
            r"\operatorname{step}",
            "step",
            ("unknown", "increasing"),
            _heaviside,
        ),
        "floor": Row(
            floor,
            lambda u: np.floor(np.real(u)),
            mpmath.floor,
            r"\operatorname{floor}",
            "floor",
            ("unknown", "increasing"),
            sympy.floor,
        ),
        "abs": Row(
            absolute,
            _absolute,
            abs,
            r"\operatorname{abs}",
            "abs",
            ("convex", "none"),
            lambda u: u * (2 * _heaviside(u) - 1),
        ),
        "sign": Row(
            signum,
            lambda u: np.sign(np.real(u)),
            mpmath.sign,
            r"\operatorname{sign}",
            "sign",
            ("unknown", "increasing"),
            lambda u: _heaviside(u) - _heaviside(-u),
        ),
        "max": Row(
            maximum,
            lambda a, b: np.where(np.real(a) >= np.real(b), a, b),
            max,
            r"\max",
            "max",
            ("convex", "increasing"),
            lambda a, b: sympy.Piecewise((a, a >= b), (b, True)),
        ),
        "min": Row(
            minimum,
            lambda a, b: np.where(np.real(a) <= np.real(b), a, b),
            min,
            r"\min",
            "min",
            ("concave", "increasing"),
            lambda a, b: sympy.Piecewise((a, a <= b), (b, True)),
        ),
        "less": Row(
            less,
            lambda a, b: _as_number(np.real(a) < np.real(b)),
            lambda a, b: mpmath.mpf(a < b),
            "<",
            "<",
            elementary=lambda a, b: sympy.Piecewise((1, a < b), (0, True)),
        ),
        "less_equal": Row(
            less_equal,
            lambda a, b: _as_number(np.real(a) <= np.real(b)),
            lambda a, b: mpmath.mpf(a <= b),
            r"\le",
            "≤",
            elementary=lambda a, b: sympy.Piecewise((1, a <= b), (0, True)),
        ),
        "equal": Row(
            equal,
            lambda a, b: _as_number(np.real(a) == np.real(b)),
            lambda a, b: mpmath.mpf(a == b),
            "=",
            "=",
            elementary=lambda a, b: sympy.Piecewise((1, sympy.Eq(a, b)), (0, True)),
        ),
        "select": Row(
            select,
            lambda test, a, b: np.where(np.real(test) != 0, a, b),
            lambda test, a, b: a if test else b,
            r"\operatorname{select}",
            "select",
            elementary=lambda test, a, b: sympy.Piecewise((a, sympy.Ne(test, 0)), (b, True)),
        ),
        "lost": Row(
            lost, _lost, lambda a, b: mpmath.mpf(0), r"\operatorname{lost}", "lost", elementary=lambda a, b: Integer(0)
        ),
        "stop": Row(  # a complex step ends here, as the derivative does
            stop, np.real, lambda u: u, r"\operatorname{stop}", "stop", elementary=lambda u: u
        ),
    }
)

BY_CLASS: Mapping[type, str] = MappingProxyType(
    {row.symbol: name for name, row in FUNCTIONS.items() if isinstance(row.symbol, type)}
)
PIECEWISE_CONSTANT = (step, floor, signum, less, less_equal, equal)
NO_SLOPE = (*PIECEWISE_CONSTANT, stop, lost)
KINKED = (relu, absolute, maximum, minimum)


def canonical(expr: Expr) -> Expr:
    """sympy's own Abs and sign, which its evaluation may bring in, as rows of this table."""
    if not expr.has(sympy.Abs, sympy.sign):
        return expr
    return expr.replace(sympy.Abs, absolute).replace(sympy.sign, signum)

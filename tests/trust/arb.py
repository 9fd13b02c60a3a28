"""The truth a second time, by FLINT's arb: what symml/proof/balls.py does, and faster, where python-flint is installed.

It is no dependency: sympy would take FLINT's integers for its own wherever it finds them. The long run asks for it by

    uv run --with python-flint env SYMPY_GROUND_TYPES=python python tests/trust/long.py numeric FILE
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import mpmath
import numpy as np
from flint import arb, ctx, fmpq
from mpmath import libmp
from sympy import Expr

from symml.ir.evaluate import Arithmetic, evaluate
from symml.ir.program import Dim, Program, Tensor
from symml.ir.special import erfc
from symml.proof import balls
from symml.proof.balls import DECIDED, FEW, GONE, MOST, SETTINGS

SMALL_EXPONENT = 4096
NAN = arb("nan")


class Number:
    """An arb, or None: certainly no real number. An arb that is NaN says that nothing is known."""

    __slots__ = ("v",)

    def __init__(self, v: arb | None) -> None:
        self.v = v

    def __int__(self) -> int:
        return int(self.v.unique_fmpz())

    def __add__(self, other: Number) -> Number:
        if not isinstance(other, Number):
            return NotImplemented
        return NO if self.v is None or other.v is None else Number(self.v + other.v)

    def __mul__(self, other: Number) -> Number:
        if not isinstance(other, Number):
            return NotImplemented
        return NO if self.v is None or other.v is None else Number(self.v * other.v)

    def __rtruediv__(self, one: int) -> Number:
        return NO if self.v is None or self.v.is_zero() else Number(one / self.v)

    def __pow__(self, other: Number) -> Number:
        if not isinstance(other, Number):
            return NotImplemented
        x, y = self.v, other.v
        if x is None or y is None:
            return NO
        whole = y.is_exact() and y.is_integer()
        if whole and abs(y) < SMALL_EXPONENT:
            n = int(y.unique_fmpz())
            return Number(x**n) if n >= 0 else 1 / Number(x**-n)
        if x > 0:
            return Number((y * x.log()).exp())
        if x < 0 and whole:
            found = (y * (-x).log()).exp()
            return Number(found if (y / 2).is_integer() else -found)
        return NO if y.is_exact() and x <= 0 else Number(NAN)


NO = Number(None)


def _lifted(f: Callable) -> Callable:
    """A function of arbs as one of Numbers."""

    def one(a: Number) -> Number:
        return NO if a.v is None else Number(f(a.v))

    def two(a: Number, b: Number) -> Number:
        return NO if a.v is None or b.v is None else Number(f(a.v, b.v))

    return one if f.__code__.co_argcount == 1 else two


def _log(x: arb) -> arb | None:
    return None if x <= 0 else x.log()


def _sqrt(x: arb) -> arb | None:
    return None if x < 0 else x.sqrt()


def _test(test: Callable[[arb, arb], bool], other: Callable[[arb, arb], bool]) -> Callable[[arb, arb], arb]:
    def call(a: arb, b: arb) -> arb:
        return arb(1) if test(a, b) else arb(0) if other(a, b) else NAN

    return call


_LESS = _test(lambda a, b: a < b, lambda a, b: a >= b)
FUNCTIONS: Mapping[str, Callable] = {
    "exp": lambda x: x.exp(),
    "log": _log,
    "sqrt": _sqrt,
    "log1p": lambda x: None if x <= -1 else x.log1p(),
    "expm1": lambda x: x.expm1(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "tan": lambda x: x.tan(),
    "sinh": lambda x: x.sinh(),
    "cosh": lambda x: x.cosh(),
    "tanh": lambda x: x.tanh(),
    "arctan": lambda x: x.atan(),
    "erf": lambda x: x.erf(),
    "erfc": lambda x: x.erfc(),
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "softplus": lambda x: x.exp().log1p(),
    "abs": lambda x: abs(x),
    "less": _LESS,
    "max": lambda a, b: a.max(b),
    "min": lambda a, b: a.min(b),
    "lost": lambda a, b: arb(0),
}


def _number(e: Expr) -> Number:
    if e.is_Rational:
        return Number(arb(fmpq(int(e.p), int(e.q))))
    if e.is_Float:
        return Number(arb(float(e)))
    if not e.is_finite:
        return NO
    digits = int(ctx.prec * 0.302) + 10
    size = arb(str(e.evalf(digits)))
    return Number(size + arb(0, 1) * abs(size) * arb(10) ** (3 - digits))


ARBS = Arithmetic(
    number=_number,
    function=lambda name: np.frompyfunc(_lifted(f := FUNCTIONS[name]), f.__code__.co_argcount, 1),
    reduce=lambda *_: NotImplemented,
    library=lambda *_: NotImplemented,
    dtype=object,
)


def _at(program: Program, values: Mapping[Tensor, np.ndarray], bits: int, moved: Tensor | None = None) -> np.ndarray:
    """The output at one setting; the input `moved` is (1 + 2^-(bits // 3)) of what it is."""
    ctx.prec = bits
    given = {t: np.frompyfunc(lambda v: Number(arb(float(v))), 1, 1)(v) for t, v in values.items()}
    if moved is not None:
        given[moved] = given[moved] * Number(1 + arb(2) ** -(bits // 3))
    ((samples, out),) = ((s.loops[0].size, s.out) for s in program.statements)
    count = len(next(iter(values.values())))
    return np.broadcast_to(evaluate(program, given, {samples: count}, ARBS)[out], (count,))


def settled(program: Program, values: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int]) -> np.ndarray:
    """As balls.settled."""
    ((samples, count),) = dims.items()
    found, left = np.full(count, mpmath.nan, object), np.arange(count)
    for bits, most in zip(SETTINGS, (*[count] * 4, MOST, FEW), strict=True):
        part, later = left[:most], left[most:]
        if not len(part):
            break
        out = _at(program, {t: np.asarray(v)[part] for t, v in values.items()}, bits)
        tiny = arb(2) ** (GONE - DECIDED)
        open_ = np.array([_is_open(b.v, tiny) for b in out], bool)
        for k, b in zip(part[~open_], out[~open_], strict=True):
            if b.v is not None:
                found[k] = mpmath.mp.make_mpf(libmp.from_man_exp(*map(int, b.v.mid().man_exp())))
        left = np.concatenate([part[open_], later])
    if len(left) and program.statements[0].body.has(erfc):  # of 1e99 arb has none
        found[left] = balls.settled(program, {t: np.asarray(v)[left] for t, v in values.items()}, {samples: len(left)})
    return found


def _is_open(v: arb | None, tiny: arb) -> bool:
    return v is not None and not (v.rel_accuracy_bits() > DECIDED or abs(v) < tiny)


def sensitivity(
    program: Program, values: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int], of: Tensor
) -> np.ndarray:
    """As balls.sensitivity."""
    (count,) = dims.values()

    def at(part: Mapping[Tensor, np.ndarray], bits: int, moved: Tensor | None = None) -> np.ndarray:
        return _at(program, part, bits, moved)

    return balls.differences(values, count, of, at, lambda a, b, shift: _ratio(a.v, b.v, shift))


def _ratio(a: arb | None, b: arb | None, shift: int) -> float | None:
    if a is None or b is None or a.is_zero():
        return 0.0
    d = b - a
    if d.is_zero():
        return 0.0
    if min(d.rel_accuracy_bits(), a.rel_accuracy_bits()) < 10:
        return None
    return float(abs(d / a) * arb(2) ** shift)

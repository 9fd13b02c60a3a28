"""Numbers with a bound of their error, so that few digits are truth where few are enough: another `Arithmetic`.

A ball is a number of many bits and a power of two that its error does not pass. What is exact stays exact while it is short (sums
and products of floats are), so b^2 - 4 a c is known to all its digits at the first setting.

    settled(program, {x: array}, {samples: 5})          ->   an array of mpf; NaN: no real number, or none that could be told
    sensitivity(program, {x: array}, {samples: 5}, x)   ->   |x df/dx / f|
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import mpmath
import numpy as np
from mpmath import libmp
from sympy import Expr

from symml.ir.evaluate import Arithmetic, evaluate
from symml.ir.program import Dim, Program, Tensor

MOST_BITS_OF_ERF = 800
SETTINGS = (140, 420, 1260, 3800, 10_240, 24_000)  # bits; exp(-1e4) beside 1 needs 14,500
FEW, MOST = 50, 2000  # samples that the last setting, and the one before it, are tried on: they are slow
LONGEST = 4000  # bits of a number that is kept exactly
DECIDED = 53 + 15  # bits of a result that are right: 2^-14 units in the last place
HUGE = 4000  # numbers of more bits before the point have no exponential
GONE = -1200  # powers of two below which every float is 0
NONE, UNKNOWN = -math.inf, math.inf
Value = tuple[int, int, int, int]


def _size(v: Value) -> float:
    """|v| < 2^size."""
    return v[2] + v[3] if v[1] else NONE


class Ball:
    """A number `value` (of mpmath.libmp) whose error is at most 2^error: NONE where it is exact, UNKNOWN where nothing is
    known. `bits` is the setting that all work at."""

    __slots__ = ("error", "value")
    bits = SETTINGS[0]

    def __init__(self, value: Value, error: float = NONE) -> None:
        self.value, self.error = value, error

    def __int__(self) -> int:
        return libmp.to_int(self.value)

    def __add__(self, other: Ball) -> Ball:
        if not isinstance(other, Ball):  # an array: entry by entry
            return NotImplemented
        if (bad := _spoilt(self, other)) is not None:
            return bad
        if self.error == NONE == other.error:
            spread = abs(self.value[2] - other.value[2])
            if spread < LONGEST:
                return _exact(libmp.mpf_add(self.value, other.value))
        return _rounded(libmp.mpf_add(self.value, other.value, Ball.bits), max(self.error, other.error) + 1)

    def __mul__(self, other: Ball) -> Ball:
        if not isinstance(other, Ball):  # an array: entry by entry
            return NotImplemented
        if (bad := _spoilt(self, other)) is not None:
            return bad
        if self.error == NONE == other.error:
            return _exact(libmp.mpf_mul(self.value, other.value))
        a, b = _size(self.value), _size(other.value)
        lost = max(_plus(a, other.error), _plus(b, self.error), _plus(self.error, other.error)) + 2
        return _rounded(libmp.mpf_mul(self.value, other.value, Ball.bits), lost)

    def __rtruediv__(self, one: int) -> Ball:
        """1 / self: an interval that holds 0 has no reciprocal."""
        if not self.value[1]:  # a pole, or no number already
            return Ball(libmp.fnan, NONE if self.error == NONE else UNKNOWN)
        size = _size(self.value)
        if self.error > size - 3:
            return Ball(libmp.fnan, UNKNOWN)
        found = libmp.mpf_rdiv_int(one, self.value, Ball.bits)
        return _rounded(found, self.error - 2 * size + 3)

    def __pow__(self, other: Ball) -> Ball:
        if not isinstance(other, Ball):  # an array: entry by entry
            return NotImplemented
        whole = other.error == NONE and other.value[2] >= 0 and not _no_number(other)
        if whole and _size(other.value) < 12:
            n = libmp.to_int(other.value)
            return _whole_power(self, n) if n >= 0 else 1 / _whole_power(self, -n)
        if whole and self.value[0] and self.value[1]:  # (-x)^y
            found = exp(other * log(_negative(self)))
            return found if other.value[2] else _negative(found)
        return exp(other * log(self))


def _spoilt(a: Ball, b: Ball) -> Ball | None:
    """What one argument that is no number makes of two: certainly none, or nothing known."""
    bad = [x for x in (a, b) if _no_number(x)]
    return None if not bad else min(bad, key=lambda x: x.error)


def _plus(a: float, b: float) -> float:
    return NONE if NONE in (a, b) else a + b


def _exact(v: Value) -> Ball:
    """An exact result, rounded where it has become long."""
    return Ball(v) if v[3] <= LONGEST else _rounded(libmp.mpf_pos(v, Ball.bits), NONE)


def _rounded(v: Value, lost: float) -> Ball:
    """A result whose arguments were off by what makes it 2^lost, and which was rounded to the bits of the setting."""
    if not v[1] and v[2]:  # an infinity, or no number
        return Ball(libmp.fnan, UNKNOWN)
    return Ball(v, max(lost, _size(v) - Ball.bits) + 1)


def _whole_power(x: Ball, n: int) -> Ball:
    found = Ball(libmp.fone)
    while n:
        if n & 1:
            found = found * x
        x, n = (x * x if n > 1 else x), n >> 1
    return found


def _no_number(x: Ball) -> bool:
    """NaN; infinities come of nothing but numbers of a body."""
    return not x.value[1] and bool(x.value[2])


def exp(x: Ball) -> Ball:
    """exp(x + d) = exp(x) (1 + at most 2 d)."""
    if _no_number(x) or x.error > -2:
        return Ball(libmp.fnan, x.error if _no_number(x) else UNKNOWN)
    if _size(x.value) > HUGE:
        return Ball(libmp.fzero, -(1 << 1000)) if x.value[0] else Ball(libmp.fnan, UNKNOWN)
    if not x.value[1] and x.error == NONE:
        return Ball(libmp.fone)
    found = libmp.mpf_exp(x.value, Ball.bits)
    return _rounded(found, _plus(_size(found), x.error) + 1)


def log(x: Ball) -> Ball:
    """The slope is at most 2/x where the error is at most x/2."""
    if (bad := _outside(x)) is not None:
        return bad
    return _rounded(libmp.mpf_log(x.value, Ball.bits), x.error - _size(x.value) + 2)


def sqrt(x: Ball) -> Ball:
    """The slope is at most 1/sqrt(x) where the error is at most x/2; the root of 0 is 0."""
    if not x.value[1] and not x.value[2] and x.error == NONE:
        return x
    if (bad := _outside(x)) is not None:
        return bad
    return _rounded(libmp.mpf_sqrt(x.value, Ball.bits), x.error - (_size(x.value) - 2) // 2)


def _outside(x: Ball) -> Ball | None:
    """No number where x is not positive, nothing known where that is open."""
    if _no_number(x):
        return x
    if x.error > _size(x.value) - 3 or (not x.value[1] and x.error != NONE):
        return Ball(libmp.fnan, UNKNOWN)
    return Ball(libmp.fnan) if x.value[0] or not x.value[1] else None


def _smooth(f: Callable, slope: Callable[[float], float]) -> Callable[[Ball], Ball]:
    """A function whose slope within 2^-2 of x is at most 2^slope(size of the result)."""

    def call(x: Ball) -> Ball:
        if _no_number(x):
            return x
        if x.error > -4 or _size(x.value) > HUGE:
            return Ball(libmp.fnan, UNKNOWN)
        found = f(x.value, Ball.bits)
        steep = slope(_size(found))
        return Ball(libmp.fnan, UNKNOWN) if _plus(x.error, steep) > -4 + max(0, _size(found)) else _rounded(
            found, _plus(x.error, steep)
        )  # fmt: skip

    return call


def _one() -> Ball:
    return Ball(libmp.fone)


def _negative(x: Ball) -> Ball:
    return Ball(libmp.mpf_neg(x.value), x.error)


def _sigmoid(x: Ball) -> Ball:
    return 1 / (_one() + exp(_negative(x)))


def _sign(x: Ball) -> Ball:
    """-1, 0 or 1, if the error leaves one of them."""
    if _no_number(x):
        return x
    if x.error != NONE and x.error >= _size(x.value) - 1:
        return Ball(libmp.fnan, UNKNOWN)
    return Ball(libmp.from_int(libmp.mpf_sign(x.value)))


def _chosen(test: Callable[[int], bool]) -> Callable[[Ball, Ball], Ball]:
    """A test of a - b as 0 or 1."""

    def call(a: Ball, b: Ball) -> Ball:
        found = _sign(a + _negative(b))
        return found if _no_number(found) else Ball(libmp.from_int(int(test(libmp.to_int(found.value)))))

    return call


def _select(test: Ball, a: Ball, b: Ball) -> Ball:
    return test if _no_number(test) else (a if test.value[1] else b)


def _floor(x: Ball) -> Ball:
    """Exact arguments alone."""
    return Ball(libmp.mpf_floor(x.value)) if x.error == NONE and not _no_number(x) else Ball(libmp.fnan, UNKNOWN)


def _erf(x: Ball) -> Ball:
    """With few bits alone: its series has as many terms as there are bits, and far from 0 all of them."""
    return _smooth(libmp.mpf_erf, lambda size: 1)(x) if Ball.bits <= MOST_BITS_OF_ERF else Ball(libmp.fnan, UNKNOWN)


def _erfc(x: Ball) -> Ball:
    """Of log erfc the slope is at most 2 |x| + 2, so that the error is a part of the value, however small that is."""
    if _no_number(x):
        return x
    steep = max(_size(x.value), 0) + 3 + x.error
    if steep > -2:
        return Ball(libmp.fnan, UNKNOWN)
    found = libmp.mpf_erfc(x.value, Ball.bits + 10)
    return _rounded(found, _size(found) + steep + 1)


_LESS, _LESS_EQUAL = _chosen(lambda s: s < 0), _chosen(lambda s: s <= 0)
FUNCTIONS: Mapping[str, Callable[..., Ball]] = MappingProxyType(
    {
        "exp": exp,
        "log": log,
        "sqrt": sqrt,
        "log1p": lambda x: log(_one() + x),
        "expm1": lambda x: exp(x) + _negative(_one()),
        "sin": _smooth(libmp.mpf_sin, lambda size: 0),
        "cos": _smooth(libmp.mpf_cos, lambda size: 0),
        "tan": _smooth(libmp.mpf_tan, lambda size: 2 * max(size, 0) + 3),
        "sinh": _smooth(libmp.mpf_sinh, lambda size: max(size, 0) + 2),
        "cosh": _smooth(libmp.mpf_cosh, lambda size: max(size, 0) + 2),
        "tanh": _smooth(libmp.mpf_tanh, lambda size: 0),
        "arctan": _smooth(libmp.mpf_atan, lambda size: 0),
        "erf": _erf,
        "erfc": _erfc,
        "sigmoid": _sigmoid,
        "softplus": lambda x: log(_one() + exp(x)),
        "relu": lambda x: _select(_LESS(Ball(libmp.fzero), x), x, Ball(libmp.fzero)),
        "step": lambda x: _LESS(Ball(libmp.fzero), x),
        "floor": _floor,
        "abs": lambda x: Ball(libmp.mpf_abs(x.value), x.error),
        "sign": _sign,
        "max": lambda a, b: _select(_LESS(a, b), b, a),
        "min": lambda a, b: _select(_LESS(a, b), a, b),
        "less": _LESS,
        "less_equal": _LESS_EQUAL,
        "equal": _chosen(lambda s: s == 0),
        "select": _select,
        "stop": lambda x: x,
        "lost": lambda a, b: Ball(libmp.fzero),
    }
)


# Of the gamma function it is not told how errors of arguments grow.
UNTOLD: Mapping[str, Callable[..., Ball]] = MappingProxyType(
    dict.fromkeys(("lgamma", "digamma", "trigamma"), lambda x: Ball(libmp.fnan, UNKNOWN))
    | {"polygamma": lambda k, x: Ball(libmp.fnan, UNKNOWN)}
)


def _number(e: Expr) -> Ball:
    """A number of a body: rationals to the bits of the setting, floats and integers exactly."""
    if e.is_Integer:
        return Ball(libmp.from_int(int(e)))
    if e.is_Rational:
        return _rounded(libmp.from_rational(e.p, e.q, Ball.bits), NONE)
    if e.is_Float or e.is_infinite or not e.is_finite:
        return Ball(libmp.from_float(float(e)))
    with mpmath.workprec(Ball.bits + 20):
        return _rounded(mpmath.mpf(e.evalf(int(Ball.bits * 0.302) + 10))._mpf_, NONE)


def _none(*_: object) -> Callable:
    raise AssertionError("a body has neither sums nor operations on whole matrices")


BALLS = Arithmetic(
    number=_number,
    function=lambda name: np.frompyfunc(f := FUNCTIONS.get(name) or UNTOLD[name], f.__code__.co_argcount, 1),
    reduce=_none,
    library=_none,
    dtype=object,
)


def settled(program: Program, values: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int]) -> np.ndarray:
    """The one output of a program of one body over one axis, to 2^-14 units in the last place of float64."""
    (count,) = dims.values()
    found, left = np.full(count, mpmath.nan, object), np.arange(count)
    for bits, most in zip(SETTINGS, (*[count] * 4, MOST, FEW), strict=True):
        part, later = left[:most], left[most:]
        if not len(part):
            break
        out = _at(program, {t: np.asarray(v)[part] for t, v in values.items()}, dims, bits)
        open_ = np.array([not _decided(b) for b in out], bool)
        for k, b in zip(part[~open_], out[~open_], strict=True):
            found[k] = mpmath.mp.make_mpf(b.value)
        left = np.concatenate([part[open_], later])
    return found


def _at(
    program: Program,
    values: Mapping[Tensor, np.ndarray],
    dims: Mapping[Dim, int],
    bits: int,
    moved: Tensor | None = None,
) -> np.ndarray:
    """The output as balls at one setting; the input `moved` is (1 + 2^-(bits // 3)) of what it is."""
    Ball.bits = bits
    given = {t: v if t.integer else _lifted(v) for t, v in values.items()}
    if moved is not None:
        more = Ball(libmp.mpf_add(libmp.fone, libmp.mpf_shift(libmp.fone, -(bits // 3))))
        given[moved] = given[moved] * more
    (samples,), (out,) = dims, program.outputs.values()
    count = len(next(iter(values.values())))
    return np.broadcast_to(evaluate(program, given, {samples: count}, BALLS)[out], (count,))


def sensitivity(
    program: Program, values: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int], of: Tensor
) -> np.ndarray:
    """|x df/dx / f| of one input at each sample, by a difference at many bits; 0 where f is none or 0."""
    (count,) = dims.values()

    def at(part: Mapping[Tensor, np.ndarray], bits: int, moved: Tensor | None = None) -> np.ndarray:
        return _at(program, part, dims, bits, moved)

    return differences(values, count, of, at, _ratio)


def differences(
    values: Mapping[Tensor, np.ndarray], count: int, of: Tensor, at: Callable, ratio: Callable
) -> np.ndarray:
    """ratio(f, f where `of` is moved, shift) at each sample, at more bits where it is None; at(values, bits[, of]) -> f."""
    found, left = np.zeros(count), np.arange(count)
    for bits in SETTINGS[1:4]:
        if not len(left):
            break
        part = {t: np.asarray(v)[left] for t, v in values.items()}
        ratios = [ratio(a, b, bits // 3) for a, b in zip(at(part, bits), at(part, bits, of), strict=True)]
        known = np.array([r is not None for r in ratios], bool)
        found[left[known]] = [r for r in ratios if r is not None]
        left = left[~known]
    return found


def _ratio(a: Ball, b: Ball, shift: int) -> float | None:
    """|b - a| / |a| 2^shift where both are known well enough."""
    d = b + _negative(a)
    if _no_number(d) or not d.value[1] or not a.value[1]:
        return 0.0 if d.error == NONE else None
    if max(d.error - _size(d.value), a.error - _size(a.value)) > -10:
        return None
    return abs(libmp.to_float(libmp.mpf_shift(libmp.mpf_div(d.value, a.value, 53), shift)))


def _lifted(a: np.ndarray) -> np.ndarray:
    """Floats as the exact numbers that they are."""
    return np.asarray(np.frompyfunc(lambda v: Ball(libmp.from_float(float(v))), 1, 1)(a), object)


def _decided(b: Ball) -> bool:
    if _no_number(b):
        return b.error == NONE
    size = _size(b.value)
    return b.error == NONE or b.error <= max(size, GONE) - DECIDED

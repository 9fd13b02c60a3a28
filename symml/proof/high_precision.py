"""The truth: a Program interpreted in mpmath at any number of digits, for comparison with its float64 values.

high_precision(program, {x: array}, {n: 5}, digits=60)  ->  {tensor: array of mpf, ...}
truth(program, {x: array}, {n: 5})                      ->  the outputs, digits raised until two settings agree
ulps(numpy.nextafter(1.0, 2.0), mpmath.mpf(1))          ->  1.0
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
from symml.ir.functions import FUNCTIONS
from symml.ir.ops import OPS
from symml.ir.program import Dim, Program, Tensor
from symml.ir.spectral import OPERATIONS

DIGITS = 60
FIRST, MOST = 400, 14_400  # 1 + x needs 324 + 25 digits where x is the smallest float64
AGREED = 25
Arrays = dict[Tensor, np.ndarray]


def high_precision(
    program: Program, values: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int], digits: int = DIGITS
) -> Arrays:
    """All tensors of a program as arrays of mpf; the inputs are taken as the exact numbers that their floats are.

    ZeroDivisionError at a pole; a root or logarithm of a negative number is complex (mpc), as in mpmath.
    """
    with mpmath.workdps(digits):
        exact = {t: np.asarray(v) if t.integer else _each(_exact, v) for t, v in values.items()}
        return evaluate(program, exact, dims, arithmetic(digits))


def truth(
    program: Program, values: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int], most: int = MOST
) -> dict[str, np.ndarray]:
    """The outputs, at 400 digits and on, times 6, until two settings agree to 25 of them; ArithmeticError if none do.

    Naive formulas lose digits without bound (log(1 + exp(-700)) needs 305 of them), so one small setting is no truth;
    what all settings lose alike, from exponents far outside float64, is not seen.
    """
    digits, last = FIRST, None
    while digits <= most:
        env = high_precision(program, values, dims, digits)
        found = {name: np.asarray(env[t], object) for name, t in program.outputs.items()}
        if last is not None and all(_agree(last[name], found[name]) for name in found):
            return found
        digits, last = 6 * digits, found
    raise ArithmeticError(f"two settings up to {most} digits do not agree to {AGREED}")


def ulps(value: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """|value - exact| in units in the last place of the float64 nearest to the exact number; elementwise.

    inf where the value is not finite and the truth is a float (or the reverse), 0 where both are the same infinity or
    both are no real number.
    """
    value, exact = np.asarray(value, float), np.asarray(exact, object)
    with np.errstate(all="ignore"):
        near, rest = (np.asarray(part, float) for part in np.frompyfunc(_in_floats, 1, 2)(exact))
        off = np.abs((value - near) - rest) / np.spacing(np.abs(near))
        same = (value == near) | (np.isnan(value) & np.isnan(near))
        return np.where(np.isfinite(value) & np.isfinite(near), off, np.where(same, 0.0, math.inf))[()]


def _in_floats(exact: mpmath.mpf) -> tuple[float, float]:
    """The nearest float64, and what is left of the number; no number where it is complex."""
    if isinstance(exact, mpmath.mpc):
        if mpmath.im(exact):
            return math.nan, 0.0
        exact = mpmath.re(exact)
    v = exact._mpf_ if isinstance(exact, mpmath.mpf) else libmp.from_float(float(exact))
    near = libmp.to_float(v)
    if not math.isfinite(near):
        return near, 0.0
    return near, libmp.to_float(libmp.mpf_sub(v, libmp.from_float(near), 53))


def arithmetic(digits: int) -> Arithmetic:
    """mpmath for the interpreter; the caller works at the same digits."""

    def function(name: str) -> Callable:
        return lambda *args: np.frompyfunc(FUNCTIONS[name].mpmath, len(args), 1)(*args)

    def library(op: str) -> Callable:
        if op in OPERATIONS:
            return lambda a: (OPERATIONS[op](a),)
        if OPS[op].written is None:
            return lambda a: (np.array(sorted(range(len(a)), key=lambda k: a[k])),)
        return lambda *args: OPS[op].written(*args, log=mpmath.log, root=mpmath.sqrt)

    return Arithmetic(
        number=lambda e: _number(e, digits),
        function=function,
        reduce=_reduce,
        library=library,
        small=lambda gap, tolerance: abs(gap.item()) < tolerance,
        dtype=object,
    )


def _number(e: Expr, digits: int) -> mpmath.mpf:
    """A number of a body: rationals divided at these digits, floats exactly, pi and e to a few digits more."""
    if e.is_Rational:
        return mpmath.mpf(e.p) / e.q
    return mpmath.mpf(float(e)) if e.is_Float or e.is_infinite else mpmath.mpf(e.evalf(digits + 5))


def _reduce(kind: str, a: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """A reduction over mpf; sums are exact before their one rounding."""
    kept = [k for k in range(a.ndim) if k not in axes]
    flat = np.transpose(a, (*kept, *axes)).reshape(*(a.shape[k] for k in kept), math.prod(a.shape[k] for k in axes))
    out = np.empty(flat.shape[:-1], object)
    for at in np.ndindex(out.shape):
        out[at] = REDUCE[kind](list(flat[at]))
    return out


REDUCE: Mapping[str, Callable[[list], object]] = MappingProxyType(
    {
        "sum": mpmath.fsum,
        "prod": mpmath.fprod,
        "max": max,
        "min": min,
        "logsumexp": lambda terms: mpmath.log(mpmath.fsum(map(mpmath.exp, terms))),
        "argmax": lambda terms: terms.index(max(terms)),
        "argmin": lambda terms: terms.index(min(terms)),
    }
)


def _agree(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal to 25 digits, or both so small that float64 calls them 0."""
    return all(_close(x, y) for x, y in zip(a.flat, b.flat, strict=True))


def _close(x: mpmath.mpf, y: mpmath.mpf) -> bool:
    if not (mpmath.isfinite(x) and mpmath.isfinite(y)):
        return x == y or (mpmath.isnan(x) and mpmath.isnan(y))
    tiny = mpmath.mpf(10) ** -400
    return abs(x - y) <= mpmath.mpf(10) ** -AGREED * max(abs(x), abs(y)) or max(abs(x), abs(y)) < tiny


def _exact(v: float) -> mpmath.mpf:
    return mpmath.mpf(float(v))


def _each(f: Callable, a: np.ndarray) -> np.ndarray:
    return np.asarray(np.frompyfunc(f, 1, 1)(a), object)

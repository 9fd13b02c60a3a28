"""Derivatives of higher order and products with them, compared with what shares nothing with their derivation.

`check_entries`, `check_along`, `check_pulled` and `check_trace` write the forward program out in plain sympy at sizes 2 and 3
and differentiate there, entry by entry or along v; `check_direction` is the complex step along v; `check_series` compares
a Taylor term with the derivatives of s -> f(x + s v) that mpmath finds at 30 digits and more.

    check_entries(forward, "loss", h.program, "hessian", (w, b))    ->  Proof("expansion by sympy", error=2e-16, ok=True)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import mpmath
import numpy as np
import sympy
from sympy import Expr, Symbol

from symml.ir.evaluate import evaluate
from symml.ir.program import Dim, Iterate, Node, Program, Tensor
from symml.proof import complex_step, high_precision
from symml.proof.complex_step import BOUND, Proof, chosen_entries, least_scale, relative
from symml.proof.expansion import MOST_ENTRIES, arithmetic, at_point, number_of, small_sizes
from symml.proof.samples import sample, sizes

DIGITS = 30
SERIES = 1e-12  # of a Taylor term, relative: the truth has more than twice as many digits
BY_SYMPY, BY_MPMATH = "expansion by sympy", "series in mpmath"
_exact = np.frompyfunc(lambda v: sympy.Rational(*float(v).as_integer_ratio()), 1, 1)
_in_mpmath = np.frompyfunc(lambda v: mpmath.mpf(float(v)), 1, 1)


@dataclass(frozen=True)
class Claim:
    """`program` says that its output `key` is a derivative of the output `output` of `forward`."""

    forward: Program
    output: str
    program: Program
    key: str

    def drawn(self, seed: int, dims: Mapping[Dim, int]) -> tuple[dict[Tensor, np.ndarray], dict[Dim, int]]:
        """Inputs of both programs at random."""
        both = tuple(dict.fromkeys((*self.program.inputs, *self.forward.inputs)))
        return sample(replace(self.program, inputs=both), np.random.default_rng(seed), dims)

    def found(self, values: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int]) -> np.ndarray:
        """What the program says there."""
        with np.errstate(all="ignore"):
            env = evaluate(self.program, {t: values[t] for t in self.program.inputs}, dims)
        return np.asarray(env[self.program.outputs[self.key]])


@dataclass(frozen=True)
class _Expanded:
    """The forward output in plain sympy: `entries` are symbols added to a tensor, `s` goes along v; all are 0 at `point`."""

    value: np.ndarray
    entries: Mapping[Tensor, np.ndarray]
    s: Symbol
    point: Mapping[Symbol, Expr]

    def slope(self, e: Expr, *by: Symbol) -> float:
        for x in by:
            e = sympy.diff(e, x)
        return number_of(at_point(e, self.point))


def _expanded(
    c: Claim, values: dict, dims: dict, by: tuple[Tensor, ...], v: tuple[Tensor, Tensor] | None = None
) -> _Expanded:
    """By the entries of `by`; and where `v` is (tensor, direction), along it."""
    exact = {t: np.asarray(_exact(np.asarray(x)), object) for t, x in values.items() if not t.integer}
    s, moved, entries, point = sympy.Dummy("s", real=True), dict(exact), {}, {}
    if v is not None:
        t, direction = v
        moved[t] = moved[t] + s * exact.get(direction, np.ones(np.shape(moved[t]), object))
    for t in dict.fromkeys(by):
        e = np.asarray(np.frompyfunc(lambda _: sympy.Dummy("e", real=True), 1, 1)(exact[t]), object)
        entries[t], moved[t] = e, moved[t] + e
        point.update(dict.fromkeys(e.flat, sympy.Integer(0)))
    point[s] = sympy.Integer(0)
    read = {t: {**values, **moved}[t] for t in c.forward.inputs}
    value = np.asarray(evaluate(c.forward, read, dims, arithmetic(point))[c.forward.outputs[c.output]], object)
    return _Expanded(value, entries, s, point)


def _compared(found: list, truth: list, size: float) -> Proof:
    return Proof(
        BY_SYMPY, relative(np.array(found), np.array(truth), least_scale(np.array(truth), size)), BOUND, len(found)
    )


def _size(x: _Expanded) -> float:
    """How large the forward output is at the point: its rounding errors are what a derivative of 0 shows."""
    return max((abs(number_of(at_point(e, x.point))) for e in x.value.flat), default=0.0)


def check_entries(c: Claim, group: tuple[Tensor, ...], seed: int = 7) -> Proof:
    """Axes of the claim: those of the output, then those of each tensor of the group; up to six entries are compared."""
    values, dims = c.drawn(seed, small_sizes(c.program, c.forward))
    x, found = _expanded(c, values, dims, group), c.found(values, dims)
    truth, picked = [], chosen_entries(found.shape, np.random.default_rng(seed), MOST_ENTRIES)
    for at in picked:
        rest, by = at[x.value.ndim :], []
        for t in group:
            by.append(x.entries[t][rest[: len(t.shape)]])
            rest = rest[len(t.shape) :]
        truth.append(x.slope(x.value[at[: x.value.ndim]], *by))
    return _compared([found[at] for at in picked], truth, _size(x))


def check_along(c: Claim, wrt: Tensor, v: Tensor, times: int = 1, by_entry: bool = False, seed: int = 7) -> Proof:
    """The derivative along v, `times` over, of each entry of the output; `by_entry` of a scalar: and by each entry of wrt."""
    values, dims = c.drawn(seed, small_sizes(c.program, c.forward))
    x, found = _expanded(c, values, dims, (wrt,) if by_entry else (), (wrt, v)), c.found(values, dims)
    picked, along = chosen_entries(found.shape, np.random.default_rng(seed), MOST_ENTRIES), [x.s] * times
    if by_entry:
        truth = [x.slope(x.value.item(), *along, x.entries[wrt][at]) for at in picked]
    else:
        truth = [x.slope(x.value[at], *along) for at in picked]
    return _compared([found[at] for at in picked], truth, _size(x))


def check_pulled(c: Claim, wrt: Tensor, u: Tensor, seed: int = 7) -> Proof:
    """The derivative of <u, output> by entries of `wrt`."""
    values, dims = c.drawn(seed, small_sizes(c.program, c.forward))
    x, found = _expanded(c, values, dims, (wrt,)), c.found(values, dims)
    weights = _exact(np.asarray(values[u])) if u in values else np.ones(x.value.shape, object)
    total = sympy.Add(*(np.asarray(weights, object) * x.value).flat)
    picked = chosen_entries(found.shape, np.random.default_rng(seed), MOST_ENTRIES)
    return _compared([found[at] for at in picked], [x.slope(total, x.entries[wrt][at]) for at in picked], _size(x))


def check_trace(c: Claim, wrt: Tensor, seed: int = 7) -> Proof:
    """The sum of the derivatives of each entry by the entry of `wrt` at the same place."""
    values, dims = c.drawn(seed, small_sizes(c.program, c.forward))
    x, found = _expanded(c, values, dims, (wrt,)), c.found(values, dims)
    truth = math.fsum(x.slope(e, by) for e, by in zip(x.value.flat, x.entries[wrt].flat, strict=True))
    return _compared([found.item()], [truth], _size(x))


def check_direction(c: Claim, wrt: Tensor, v: Tensor, seed: int = 7, draws: int = 2) -> Proof:
    """The complex step along v: f(x + ihv).imag/h, every entry of the output at once."""
    worst, points, dims = 0.0, 0, sizes(c.program, c.forward)
    for draw in range(draws):
        values, _ = c.drawn(seed + draw, dims)
        found = c.found(values, dims)
        x = np.array(values[wrt], complex) + 1j * complex_step.STEP * np.asarray(values.get(v, 1.0))
        with np.errstate(all="ignore"):
            env = evaluate(c.forward, {t: {**values, wrt: x}[t] for t in c.forward.inputs}, dims)
        moved = np.asarray(env[c.forward.outputs[c.output]])
        truth = np.where(np.isfinite(moved), np.imag(moved) / complex_step.STEP, np.inf)
        worst = max(worst, relative(found, truth, least_scale(truth, float(np.max(np.abs(moved), initial=0.0)))))
        points += truth.size
    return Proof("complex step along v", worst, BOUND, points)


def check_series(c: Claim, wrt: Tensor, v: Tensor, order: int, seed: int = 7) -> Proof:
    """A scalar term of order k of f(x + v) against the k-th derivative of s -> f(x + s v) at 0, over k!; both in mpmath.

    Relative to the larger of both, or to 1e-20 of the value of f where they are 0. Iterations go on to the digits there.
    """
    values, dims = c.drawn(seed, small_sizes(c.program, c.forward))
    with mpmath.workdps(DIGITS):
        exact = {
            t: np.asarray(a) if t.integer else np.asarray(_in_mpmath(np.asarray(a)), object) for t, a in values.items()
        }
        direction = exact.get(v, np.ones(np.shape(exact[wrt]), object))

        def f(s: mpmath.mpf) -> mpmath.mpf:
            return _value(c.forward, c.output, {**exact, wrt: np.asarray(exact[wrt] + s * direction, object)}, dims)

        truth = mpmath.diff(f, 0, order) / mpmath.factorial(order)
        found = _value(c.program, c.key, exact, dims)
        scale = max(abs(truth), abs(found), abs(f(mpmath.mpf(0))) * mpmath.mpf(10) ** -20)
        error = abs(found - truth) / scale if scale else mpmath.mpf(0)
        return Proof(BY_MPMATH, float(error) if mpmath.isfinite(error) else math.inf, SERIES, 1)


def _value(program: Program, key: str, exact: dict, dims: dict) -> mpmath.mpf:
    """A scalar output at the digits that mpmath works with now."""
    digits = mpmath.mp.dps
    read = {t: exact[t] for t in program.inputs}
    env = evaluate(_sharpened(program, digits), read, dims, high_precision.arithmetic(digits))
    return np.asarray(env[program.outputs[key]], object).item()


def _sharpened(program: Program, digits: int) -> Program:
    """Iterations that stop at nearly as many digits; the rounds grow with them."""

    def sharp(node: Node) -> Node:
        if not isinstance(node, Iterate):
            return node
        times = max(1, math.ceil(digits / -math.log10(max(node.tolerance, 1e-16))))
        return replace(node, tolerance=10.0 ** -min(digits - 5, 300), most=node.most * times)

    return program.with_statements(map(sharp, program.statements))

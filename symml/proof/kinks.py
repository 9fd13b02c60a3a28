"""Where two branches meet: relu, abs, max and min, compared with the slopes that mpmath finds on either side.

A parameter moves along a random direction v, x + s v, until an argument changes its branch. At that s the loss has a slope
to the left and one to the right, found by differences at 80 digits. The derived gradient along v must be the right slope a
little to the right of it, the left one a little to the left, and at the kink itself lie between the two (a subgradient).

    check_kinks(forward, derivative, "loss", w)  ->  Proof("mpmath at kinks", error=2e-12, ok=True), None without a kink
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import mpmath
import numpy as np
import sympy
from sympy import Expr

from symml.calculus.stopped import stopped
from symml.ir.evaluate import NUMPY, Arithmetic, evaluate
from symml.ir.functions import BY_CLASS, KINKED
from symml.ir.program import Dim, Iterate, Program, Tensor, flat, indices
from symml.proof.complex_step import Proof
from symml.proof.expansion import small_sizes
from symml.proof.high_precision import arithmetic
from symml.proof.samples import sample

DIGITS = 80
STEP = mpmath.mpf(10) ** -30  # of a difference: its error is of the same size
NEAR = 1e-5  # how far to either side the derived gradient is looked at
BOUND = 1e-9
REACH, GRID = 2.0, 41  # how far a direction is followed, in how many steps
MOST_KINKS = 3
AT_KINKS = "mpmath at kinks"
DIRECTIONS = 4
FUNCTIONS = frozenset(BY_CLASS[symbol] for symbol in KINKED)
Branches = list[np.ndarray]  # of each place with a kink: the values that compete, along the last axis


@dataclass(frozen=True)
class _Line:
    """The inputs along one direction: x + s v in the parameter, everything else as it is."""

    program: Program
    values: dict[Tensor, np.ndarray]
    dims: dict[Dim, int]
    wrt: Tensor
    v: np.ndarray
    output: str

    def inputs(self, s: float) -> dict[Tensor, np.ndarray]:
        return {**self.values, self.wrt: self.values[self.wrt] + s * self.v}

    def branches(self, s: float) -> Branches:
        """What competes at every kink."""
        found: Branches = []
        with np.errstate(all="ignore"):
            evaluate(self.program, self.inputs(s), self.dims, _watched(NUMPY, found))
        return found

    def exact(self, s: mpmath.mpf) -> tuple[mpmath.mpf, Branches]:
        """The loss at 80 digits, and what competes there."""
        number = np.frompyfunc(lambda value: mpmath.mpf(float(value)), 1, 1)
        values = {t: a if t.integer else np.asarray(number(a), object) for t, a in self.values.items()}
        values[self.wrt] = np.asarray(values[self.wrt] + s * number(self.v), object)
        found: Branches = []
        env = evaluate(self.program, values, self.dims, _watched(arithmetic(DIGITS), found))
        return np.asarray(env[self.program.outputs[self.output]], object).item(), found


def check_kinks(forward: Program, derivative: Program, output: str, wrt: Tensor, seed: int = 3) -> Proof | None:
    """The derived gradient beside and at up to three kinks; None where the program has none that a
    parameter reaches, or where `stop` makes the derivative no slope."""
    if not _has_kinks(forward) or any(isinstance(n, Iterate) for n in forward.statements):
        return None
    if stopped(forward, (wrt,)) is not None:  # differences see what it holds move
        return None
    rng, worst, points = np.random.default_rng(seed), 0.0, 0
    values, dims = sample(derivative, rng, small_sizes(derivative, forward))
    for _ in range(DIRECTIONS):
        line = _Line(forward, values, dims, wrt, rng.normal(size=np.shape(values[wrt])), output)
        for s in _crossings(line)[: MOST_KINKS - points]:
            with mpmath.workdps(DIGITS):
                worst = max(worst, _at(line, derivative, s))
            points += 1
        if points == MOST_KINKS:
            break
    return Proof(AT_KINKS, worst, BOUND, points) if points else None


def coincide(program: Program) -> bool:
    """Do two kinks of the program lie at one place, as of relu(u) and relu(-u)? Each has the derivative of its own rule
    there, and the sum of both may be no slope of the whole."""
    found: dict[Expr, set[Expr]] = {}
    for s in flat(program.statements):
        for f in s.body.atoms(*KINKED):
            gap = f.args[0] - f.args[1] if len(f.args) == 2 else f.args[0]
            gap = sympy.expand(gap)
            table = {k: sympy.Symbol(f"{k.name}:{k.size}") for k in indices(gap)}  # of whichever statement
            gap, f = gap.subs(table), f.subs(table)
            found.setdefault(-gap if gap.could_extract_minus_sign() else gap, set()).add(f)
    return any(len(several) > 1 for several in found.values())


def _has_kinks(program: Program) -> bool:
    return any(s.reduce in ("max", "min") or s.body.has(*KINKED) for s in flat(program.statements))


def _watched(own: Arithmetic, found: Branches) -> Arithmetic:
    """An arithmetic that notes what competes at kinked functions and extremes."""

    def function(name: str) -> Callable:
        def call(*args: np.ndarray) -> np.ndarray:
            pair = args if len(args) == 2 else (args[0], np.asarray(args[0]) * 0)
            found.append(np.stack(np.broadcast_arrays(*map(np.asarray, pair)), axis=-1))
            return own.function(name)(*args)

        return call if name in FUNCTIONS else own.function(name)

    def reduce(kind: str, a: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        if kind in ("max", "min"):
            kept = [k for k in range(a.ndim) if k not in axes]
            found.append(np.transpose(a, (*kept, *axes)).reshape(*(a.shape[k] for k in kept), -1))
        return own.reduce(kind, a, axes)

    return replace(own, function=function, reduce=reduce)


def _crossings(line: _Line) -> list[mpmath.mpf]:
    """The s in (-REACH, REACH) at which some place changes its branch, each to 40 digits."""
    found, grid = [], np.linspace(-REACH, REACH, GRID)
    before = line.branches(grid[0])
    for left, right in pairwise(grid):
        after = line.branches(right)
        for site, (a, b) in enumerate(zip(before, after, strict=True)):
            changed = [
                at
                for at in np.ndindex(a.shape[:-1])
                for largest in (np.argmax, np.argmin)
                if _changes(largest, a, b, at)
            ]
            if changed and len(found) < MOST_KINKS:
                at = changed[0]
                p, q = _pair(a[at], b[at])
                found.append(_root(lambda s, k=site, at=at, p=p, q=q: _gap(line, s, k, at, p, q), left, right))
        before = after
    return [s for s in found if s is not None]


def _changes(largest: Callable, a: np.ndarray, b: np.ndarray, at: tuple[int, ...]) -> bool:
    finite = np.isfinite(a[at]).all() and np.isfinite(b[at]).all()
    return bool(finite and a.shape[-1] > 1 and largest(a[at]) != largest(b[at]))


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """The two competitors that change their order: of the largest, else of the smallest."""
    p, q = int(np.argmax(a)), int(np.argmax(b))
    return (p, q) if p != q else (int(np.argmin(a)), int(np.argmin(b)))


def _gap(line: _Line, s: mpmath.mpf, site: int, at: tuple[int, ...], p: int, q: int) -> mpmath.mpf:
    values = line.exact(s)[1][site][at]
    return values[p] - values[q]


def _root(gap: Callable, left: float, right: float) -> mpmath.mpf | None:
    """Where a gap is 0 between two points: the chord's method, which is exact where the gap is linear."""
    with mpmath.workdps(DIGITS):
        low, high = mpmath.mpf(float(left)), mpmath.mpf(float(right))
        try:
            return mpmath.findroot(gap, (low, high), solver="anderson", tol=mpmath.mpf(10) ** -120, maxsteps=60)
        except (ValueError, ZeroDivisionError):  # a branch that came and went between the two points
            return None


def _at(line: _Line, derivative: Program, s: mpmath.mpf) -> float:
    """The largest relative error of the derived slope beside the kink, and how far it is outside of both at it."""
    here = line.exact(s)[0]
    slopes = [float((line.exact(s + sign * STEP)[0] - here) / (sign * STEP)) for sign in (-1, 1)]
    scale = max(1.0, *map(abs, slopes))
    at = _slope(line, derivative, float(s))
    worst = max(0.0, min(slopes) - at, at - max(slopes)) / scale
    for sign in (-1, 1):
        beside = mpmath.mpf(float(s) + sign * NEAR)
        truth = float((line.exact(beside + STEP)[0] - line.exact(beside - STEP)[0]) / (2 * STEP))
        worst = max(worst, abs(_slope(line, derivative, float(beside)) - truth) / max(scale, abs(truth)))
    return worst if np.isfinite(worst) else float("inf")


def _slope(line: _Line, derivative: Program, s: float) -> float:
    """The derived gradient along the direction."""
    with np.errstate(all="ignore"):
        env = evaluate(derivative, line.inputs(s), line.dims)
    return float(np.sum(env[derivative.outputs[f"d_{line.wrt.name}"]] * line.v))

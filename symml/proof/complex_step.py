"""The complex step: f(x + ih).imag/h is the derivative to rounding, with no subtraction.

Source: Squire & Trapp, SIAM Review 40 (1998). The forward program is interpreted at complex parameters.

    check_gradient(forward, derivative, "loss", w)  ->  Proof("complex step", error=3e-16, ok=True)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from symml.ir.evaluate import evaluate
from symml.ir.program import Iterate, Program, Tensor
from symml.proof.samples import sample, sizes

STEP = 1e-30
BOUND = 1e-9
MOST_ENTRIES = 64
MOST_OF_ITERATIONS = 6  # each entry costs hundreds of rounds
MOST_COLUMNS = 16  # of a Jacobian: each costs a whole evaluation


@dataclass(frozen=True)
class Proof:
    """What was compared with what: `error` is the largest relative difference over `points` entries (`relative`)."""

    method: str
    error: float
    bound: float
    points: int

    @property
    def ok(self) -> bool:
        """Whether something was compared, and all of it within the bound."""
        return self.points > 0 and self.error <= self.bound

    def __str__(self) -> str:
        if not self.ok:
            return f"{self.method} DISAGREES by {self.error:.1e}" if self.points else f"{self.method} compared nothing"
        return f"{self.method} agrees " + (f"to {self.error:.0e}" if self.error else "exactly")


def relative(a: np.ndarray, b: np.ndarray, least: float = 1.0) -> float:
    """The largest |a - b| / max(least, |a|, |b|); infinite where either is not finite."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    scale = np.maximum(least, np.maximum(np.abs(a), np.abs(b)))
    return float(np.max(np.abs(a - b) / scale, initial=0.0))


def least_scale(truth: np.ndarray, loss: float) -> float:
    """The size below which a difference counts as absolute: 1, or the size of a small gradient itself.

    A gradient that is 0 by cancellation has the rounding errors of the loss, so its size is not taken below theirs.
    """
    size = float(np.max(np.abs(truth), initial=0.0))
    return min(1.0, max(size, 1e-6 * abs(loss), 1e-300))


def chosen_entries(shape: tuple[int, ...], rng: np.random.Generator, most: int) -> list[tuple[int, ...]]:
    """All places of an array in order, or `most` of them at random."""
    every = list(np.ndindex(shape))
    if len(every) <= most:
        return every
    return [every[k] for k in sorted(rng.choice(len(every), most, replace=False))]


def check_gradient(
    forward: Program, derivative: Program, output: str, wrt: Tensor, seed: int = 0, draws: int = 2
) -> Proof:
    """Compare entries of the derived gradient (all, or 64 at random) with the complex step of the forward program.

    forward: has the scalar `output`; derivative: has `d_NAME` of the shape of `wrt`, and the inputs of forward.
    """
    assert forward.outputs[output].shape == (), f"the complex step is of a scalar, {forward.outputs[output]} is none"
    rng = np.random.default_rng(seed)
    dims = sizes(derivative, forward)
    most = MOST_ENTRIES if not any(isinstance(n, Iterate) for n in forward.statements) else MOST_OF_ITERATIONS
    worst, points = 0.0, 0
    for _ in range(draws):
        values = sample(derivative, rng, dims)[0]
        with np.errstate(all="ignore"):  # what a guard leaves out may be infinite
            loss = float(evaluate(forward, values, dims)[forward.outputs[output]])
            if not np.isfinite(loss):  # 1/u has values where log u has none
                values |= sample(forward, rng, dims)[0]
                loss = float(evaluate(forward, values, dims)[forward.outputs[output]])
            found = evaluate(derivative, values, dims)[derivative.outputs[f"d_{wrt.name}"]]
        if not np.isfinite(loss):
            return Proof("complex step", float("inf"), BOUND, 1)
        entries = chosen_entries(found.shape, rng, most)
        truth = np.array([_slope(forward, values, dims, output, wrt, at) for at in entries])
        worst = max(worst, relative(np.array([found[at] for at in entries]), truth, least_scale(truth, loss)))
        points += len(entries)
    return Proof("complex step", worst, BOUND, points)


def _slope(forward: Program, values: dict, dims: dict, output: str, wrt: Tensor, at: tuple[int, ...]) -> float:
    """The derivative of the scalar output with respect to one entry."""
    x = np.array(values[wrt], dtype=complex)
    x[at] += 1j * STEP
    with np.errstate(all="ignore"):
        moved = evaluate(forward, {**values, wrt: x}, dims)[forward.outputs[output]]
    return float(np.imag(moved) / STEP) if np.isfinite(moved) else np.inf


def check_jacobian(
    forward: Program, output: str, jacobian: Program, wrt: Tensor, key: str = "jacobian", seed: int = 0, draws: int = 2
) -> Proof:
    """Compare columns of the derived d output / d wrt (all, or 16 at random) with the complex step of the output.

    forward: has the tensor `output`; jacobian: has `key`, of the output's axes and then those of `wrt`.
    """
    rng = np.random.default_rng(seed)
    forward = replace(forward, inputs=tuple(dict.fromkeys((*forward.inputs, wrt))))  # it may not depend on it any more
    dims = sizes(jacobian, forward)
    iterates = any(isinstance(n, Iterate) for n in forward.statements)
    worst, points = 0.0, 0
    for _ in range(1 if iterates else draws):
        values = {**sample(forward, rng, dims)[0]}
        values.update({t: v for t, v in sample(jacobian, rng, dims)[0].items() if t not in values})
        with np.errstate(all="ignore"):
            read = {t: values[t] for t in jacobian.inputs}
            found = evaluate(jacobian, read, dims)[jacobian.outputs[key]]
        for at in chosen_entries(np.shape(values[wrt]), rng, 2 if iterates else MOST_COLUMNS):
            x = np.array(values[wrt], dtype=complex)
            x[at] += 1j * STEP
            with np.errstate(all="ignore"):
                moved = evaluate(forward, {**values, wrt: x}, dims)[forward.outputs[output]]
            truth = np.where(np.isfinite(moved), np.imag(moved) / STEP, np.inf)
            worst = max(worst, relative(found[(..., *at)], truth, least_scale(truth, float(np.max(np.abs(moved))))))
            points += truth.size
    return Proof("complex step", worst, BOUND, points)

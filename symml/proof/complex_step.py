"""The complex step: f(x + ih).imag/h is the derivative to rounding, with no subtraction.

Source: Squire & Trapp, SIAM Review 40 (1998). The forward program is interpreted at complex parameters.

    check_gradient(forward, derivative, "loss", w)  ->  Proof("complex step", error=3e-16, ok=True)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symml.ir.evaluate import evaluate
from symml.ir.program import Program, Tensor
from symml.proof.samples import sample

STEP = 1e-30
BOUND = 1e-9
MOST_ENTRIES = 64


@dataclass(frozen=True)
class Proof:
    """What was compared with what: `error` is the largest |a - b| / max(1, |a|, |b|) over `points` entries."""

    method: str
    error: float
    bound: float
    points: int

    @property
    def ok(self) -> bool:
        return self.error <= self.bound

    def __str__(self) -> str:
        return (
            f"{self.method} agrees to {self.error:.0e}" if self.ok else f"{self.method} DISAGREES by {self.error:.1e}"
        )


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """The largest |a - b| / max(1, |a|, |b|); infinite where either is not finite."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    scale = np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))
    return float(np.max(np.abs(a - b) / scale, initial=0.0))


def check_gradient(
    forward: Program, derivative: Program, output: str, wrt: Tensor, seed: int = 0, draws: int = 2
) -> Proof:
    """Compare entries of the derived gradient (all, or 64 at random) with the complex step of the forward program."""
    rng = np.random.default_rng(seed)
    worst, points = 0.0, 0
    for _ in range(draws):
        values, dims = sample(derivative, rng)
        found = evaluate(derivative, values, dims)[derivative.outputs[f"d_{wrt.name}"]]
        entries = list(np.ndindex(found.shape))
        if len(entries) > MOST_ENTRIES:
            entries = [entries[k] for k in sorted(rng.choice(len(entries), MOST_ENTRIES, replace=False))]
        for at in entries:
            x = np.array(values[wrt], dtype=complex)
            x[at] += 1j * STEP
            moved = evaluate(forward, {**values, wrt: x[()] if not x.shape else x}, dims)[forward.outputs[output]]
            worst = max(worst, relative(found[at], np.imag(moved) / STEP))
            points += 1
    return Proof("complex step", worst, BOUND, points)

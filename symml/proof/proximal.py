"""A proximal operator against its definition: where it says argmin of s F(u) + |u - v|^2 / 2, that rises by |d|^2 / 2 or more.

The sum is strongly convex, so at its least point u, and at no other, every step d raises it by |d|^2 / 2 at least; a point that
is off by e falls short of that by e/|d| of |d|^2 along some d.

    check_prox(program, v, s, "groups")  ->  Proof("least at its definition", error, ...)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from symml.ir.evaluate import evaluate
from symml.ir.program import Program, Tensor
from symml.proof.complex_step import Proof
from symml.proof.samples import sample

SIZES = (1.0, 1e-2, 1e-3)  # of steps
TRIES = 60
BOUND = 1e-6  # of |d|^2: rounding leaves 1e-8 at the shortest steps
PENALTIES: Mapping[str, Callable[[np.ndarray], float]] = MappingProxyType(
    {
        "absolute": lambda u: float(np.abs(u).sum()),
        "groups": lambda u: float(np.sqrt((np.atleast_2d(u) ** 2).sum(axis=-1)).sum()),
        "hinge": lambda u: float(np.maximum(u, 0.0).sum()),
    }
)


def check_prox(program: Program, v: Tensor, s: Tensor, kind: str, draws: int = 3) -> Proof:
    """How much the outputs `prox` fall short of |d|^2 / 2, for weights `weight`, relative to |d|^2."""
    rng, worst, points = np.random.default_rng(2), 0.0, 0
    for draw in range(draws):
        values, dims = sample(program, rng)
        values = {**values, v: values[v] * 3.0**draw}  # small entries are set to 0, large ones moved
        env = evaluate(program, values, dims)
        u, weight = (np.asarray(env[program.outputs[k]], float) for k in ("prox", "weight"))

        value = _objective(kind, float(values[s] * weight), values[v])
        for size in SIZES:
            for _ in range(TRIES):
                d = rng.normal(size=u.shape) * (rng.uniform(size=u.shape) < 0.5)
                if not d.any():
                    continue
                d *= size / np.sqrt((d**2).sum())
                worst = max(worst, 0.5 - (value(u + d) - value(u)) / size**2)
                points += 1
    return Proof("least at its definition", worst, BOUND, points)


def _objective(kind: str, scale: float, v: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda u: scale * PENALTIES[kind](u) + float(((u - v) ** 2).sum()) / 2

"""A closed form plugged back: at the solution, the gradient in its block is 0 (on a simplex: the same in every entry).

check_solution(gradient, "d_w", solution, w)  ->  Proof("plugged back, the gradient is 0", error, ...)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from symml.ir.evaluate import evaluate
from symml.ir.program import Dim, Program, Tensor
from symml.proof.complex_step import Proof
from symml.proof.samples import sample, sizes

BOUND = 1e-8  # of the size that the gradient has elsewhere; a system that is solved costs its condition number
ALONG = {  # a gradient without what the multiplier of its set takes
    "simplex": lambda g, x: g - g.mean(axis=-1, keepdims=True),
    "eigenproblem": lambda g, x: g - x @ (x.T @ g),
}
ROWS = 17  # of data: more than any axis of a block, so that systems are regular


def check_solution(
    derivative: Program, output: str, solution: Program, block: Tensor, kind: str = "", draws: int = 3
) -> Proof:
    """The gradient at the solution, relative to its size at random values of the block; on a set (kind simplex, eigenproblem)
    the part of it that is along the set."""
    rng = np.random.default_rng(1)
    dims = {**sizes(derivative, solution, fixed=_many_rows(solution, block))}
    worst, points = 0.0, 0
    for _ in range(draws):
        every = replace(solution, inputs=tuple(dict.fromkeys((*derivative.inputs, *solution.inputs, block))))
        values = sample(every, rng, dims)[0]
        with np.errstate(all="ignore"):
            found = evaluate(solution, {t: values[t] for t in solution.inputs}, dims)[solution.outputs["solution"]]
            here, there = (_gradient(derivative, output, {**values, block: x}, dims) for x in (found, values[block]))
        size = float(np.max(np.abs(here if kind in ALONG else there), initial=0.0))
        here = ALONG[kind](here, found) if kind in ALONG else here
        error = float(np.max(np.abs(here), initial=0.0)) / size if size > 0 else 0.0
        worst = max(worst, error if np.isfinite(found).all() and np.isfinite(error) else float("inf"))
        points += found.size
    return Proof("plugged back, the gradient", worst, BOUND, points)


def _gradient(derivative: Program, output: str, values: dict, dims: dict) -> np.ndarray:
    return np.asarray(evaluate(derivative, {t: values[t] for t in derivative.inputs}, dims)[derivative.outputs[output]])


def _many_rows(program: Program, block: Tensor) -> dict[Dim, int]:
    """The first axes of data that are no axis of the block count rows."""
    rows = {t.shape[0] for t in program.inputs if t.kind == "data" and t.shape and isinstance(t.shape[0], Dim)}
    return dict.fromkeys(rows - set(block.shape), ROWS)

"""How far a tree is from the statement it is to show, at random inputs.

draws(program, sample)  ->  [(values of all tensors, sizes), ...];   differs(t, tree, draws)  ->  2e-16
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import sympy
from sympy import Expr

from symml.ir.evaluate import evaluate as interpret
from symml.ir.program import Dim, Program, Tensor
from symml.latex.tree import Node, evaluate

BOUND = 1e-9
Values, Sizes = Mapping[Tensor, np.ndarray], Mapping[Dim, int]
Sample = Callable[[Program, np.random.Generator], tuple[Values, Sizes]]


def draws(program: Program, sample: Sample, times: int = 2, seed: int = 7) -> list[tuple[Values, Sizes]]:
    """The values of all tensors of a program at random inputs."""
    rng = np.random.default_rng(seed)
    drawn = [sample(program, rng) for _ in range(times)]
    return [(interpret(program, values, dims), dims) for values, dims in drawn]


def differs(
    t: Tensor, tree: Node, drawn: Iterable[tuple[Values, Sizes]], named: Mapping[Tensor, Node] | None = None
) -> float:
    """The largest relative difference between a tree and the interpreted statement.

    named: what names that are only in the formula stand for, each after those it needs.
    """
    worst = 0.0
    for values, dims in drawn:
        env = dict(values)
        truth = np.asarray(env[t], float)
        try:
            for name, definition in (named or {}).items():
                env[name] = evaluate(definition, env, dims).reshape([_size(n, dims) for n in name.shape])
            shape = (*truth.shape, 1, 1)[:2] if truth.ndim < 2 else truth.shape
            shown = np.broadcast_to(evaluate(tree, env, dims), shape)
        except ValueError:  # shapes that do not fit: a wrong tree, which must not be shown
            return float("inf")
        difference = np.abs(shown.reshape(truth.shape) - truth) / np.maximum(1.0, np.abs(truth))
        if not np.isfinite(difference).all():
            return float("inf")
        worst = max(worst, float(difference.max(initial=0.0)))
    return worst


def _size(n: Expr, dims: Sizes) -> int:
    return int(n.xreplace({d: sympy.Integer(k) for d, k in dims.items()}))

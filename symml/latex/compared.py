"""How far a tree, or lines in index form, are from the statement they are to show, at random inputs.

draws(program, sample)  ->  [(values of all tensors, sizes), ...];   differs(t, tree, draws)  ->  2e-16
lines_differ(t, [("c[t]", "=", "sum[k] u[t, k]")], draws, {"t"})  ->  2e-16
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np
import sympy
from sympy import Expr

from symml.ir.evaluate import evaluate as interpret
from symml.ir.program import Dim, Iterate, Program, Tensor
from symml.latex.read_again import Scope, off
from symml.latex.style import TEXT, tensor_name
from symml.latex.tree import Node, evaluate

BOUND = 1e-9
Values, Sizes = Mapping[Tensor, np.ndarray], Mapping[Dim, int]
MOST_KEPT = 6
_KEPT: OrderedDict[tuple, tuple[Program, list]] = OrderedDict()  # with the program, so that no other one has its id
Sample = Callable[[Program, np.random.Generator], tuple[Values, Sizes]]


def draws(program: Program, sample: Sample, times: int = 2, seed: int = 7) -> list[tuple[Values, Sizes]]:
    """The values of all tensors of a program at random inputs; those of the programs that were last asked for are kept."""
    key = (id(program), sample, times, seed)
    if key not in _KEPT:
        rng = np.random.default_rng(seed)
        drawn = [sample(program, rng) for _ in range(times)]
        _KEPT[key] = program, [(interpret(program, values, dims), dims) for values, dims in drawn]
    _KEPT.move_to_end(key)
    while len(_KEPT) > MOST_KEPT:
        _KEPT.popitem(last=False)
    return _KEPT[key][1]


def drawn_once(program: Program, sample: Sample) -> list[tuple[Values, Sizes]]:
    """As `draws`, but a fixed point, which costs hundreds of rounds, at one place only."""
    return draws(program, sample, 1 if any(isinstance(n, Iterate) for n in program.statements) else 2)


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


def lines_differ(
    t: Tensor, lines: Iterable[tuple[str, str, str]], drawn: Iterable[tuple[Values, Sizes]], letters: Collection[str]
) -> float:
    """The largest relative difference between a tensor and what its lines say, read again from their text.

    lines: (left, = or +=, right); letters: those that are indices, whatever else has their name.
    """
    lines, worst = list(lines), 0.0
    for values, dims in drawn:
        arrays = {tensor_name(u, TEXT): a for u, a in values.items()}
        arrays |= {TEXT.name(d.name): np.asarray(n) for d, n in dims.items()}
        scope = Scope(arrays, frozenset(letters))
        with np.errstate(all="ignore"):
            worst = max(worst, off(lines, np.asarray(values[t]), scope))
    return worst


def _size(n: Expr, dims: Sizes) -> int:
    return int(n.xreplace({d: sympy.Integer(k) for d, k in dims.items()}))

"""What a constrained problem is besides: an eigenproblem, one linear system; found by identities that hold at random inputs.

eigenproblem(analysis.derivative, W, ...)  ->  whether the gradient of the loss is A W times a number, A free of W
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from symml.ir.evaluate import evaluate
from symml.ir.program import Dim, Domain, Library, Program, Statement, Tensor, elsewhere, mapped, outs
from symml.names import number
from symml.proof.samples import sample

DRAWS = 2
BOUND = 1e-9
Values = Mapping[Tensor, np.ndarray]
Sizes = Mapping[Dim, int]


def _agrees(a: np.ndarray, b: np.ndarray) -> bool:
    scale = max(1.0, float(np.max(np.abs(a), initial=0.0)))
    return bool(np.isfinite(a).all() and np.isfinite(b).all() and np.max(np.abs(a - b), initial=0.0) <= BOUND * scale)


def _always(program: Program, test: Callable[[Values, Sizes, np.random.Generator], bool]) -> bool:
    """Whether a test holds at several random inputs."""
    rng = np.random.default_rng(5)
    with np.errstate(all="ignore"):
        return all(test(*sample(program, rng), rng) for _ in range(DRAWS))


def acts_from_the_left(derivative: Program, w: Tensor) -> bool:
    """Is the gradient in w linear in w with G(w R) = G(w) R, and the loss half of <G, w>: is it tr(w' A w)?"""
    gradient, loss = derivative.outputs[f"d_{w.name}"], derivative.outputs["loss"]

    def test(values: Values, dims: Sizes, rng: np.random.Generator) -> bool:
        x = np.asarray(values[w], float)
        turn = rng.normal(size=(x.shape[1], x.shape[1])) if x.ndim == 2 else np.array(rng.normal())
        env = evaluate(derivative, values, dims)
        turned = evaluate(derivative, {**values, w: x @ turn if x.ndim == 2 else x * turn}, dims)
        g = env[gradient]
        half = np.asarray(np.sum(g * x) / 2)
        return _agrees(turned[gradient], g @ turn if x.ndim == 2 else g * turn) and _agrees(half, np.asarray(env[loss]))

    return _always(derivative, test)


def is_symmetric(program: Program, t: Tensor) -> bool:
    """Whether a tensor is its own transpose."""
    if len(t.shape) != 2 or t.shape[0] != t.shape[1]:
        return False

    def test(values: Values, dims: Sizes, rng: np.random.Generator) -> bool:
        found = np.asarray(evaluate(program, values, dims)[t], float)
        return _agrees(found, found.T)

    return _always(program, test)


def with_symmetries(program: Program) -> Program:
    """The program whose definitions, and operations on whole matrices, say that they are symmetric where they are, so
    that formulas need no transposes."""
    named = {t: node for node in program.statements for t in outs(node)}
    shown = [t for t, node in named.items() if t.kind == "definition" or isinstance(node, Library)]
    defined = [t for t in shown if t.domain.kind == "real"]
    table = {t: replace(t, domain=Domain("symmetric"), uid=number()) for t in defined if is_symmetric(program, t)}
    if not table:
        return program
    nodes = []
    for node in program.statements:
        if isinstance(node, Library):
            args, out = (tuple(table.get(t, t) for t in group) for group in (node.args, node.outs))
            nodes.append(replace(node, args=args, outs=out))
        else:
            nodes.append(mapped(node, lambda s: _renamed(s, table)))
    return replace(
        program, statements=tuple(nodes), outputs={key: table.get(t, t) for key, t in program.outputs.items()}
    )


def _renamed(s: Statement, table: Mapping[Tensor, Tensor]) -> Statement:
    s = replace(s, out=table.get(s.out, s.out), lhs=tuple(elsewhere(k, table) for k in s.lhs))
    guard = None if s.guard is None else elsewhere(s.guard, table)
    return replace(s, body=elsewhere(s.body, table), guard=guard)


def is_affine(program: Program, outputs: tuple[Tensor, ...], wrt: tuple[Tensor, ...]) -> bool:
    """Whether tensors are affine in all of `wrt` together, along random lines."""

    def test(values: Values, dims: Sizes, rng: np.random.Generator) -> bool:
        ends = [{t: rng.normal(size=np.shape(values[t])) for t in wrt} for _ in range(2)]
        middle = {t: (ends[0][t] * 3 - ends[1][t]) / 2 for t in wrt}
        found = [evaluate(program, {**values, **x}, dims) for x in (*ends, middle)]
        return all(_agrees((found[0][t] * 3 - found[1][t]) / 2, found[2][t]) for t in outputs)

    return _always(program, test)

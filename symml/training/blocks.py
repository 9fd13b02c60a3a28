"""Closed forms as a solver: one round is a Program that solves for each block of parameters in turn.

turns = in_turn(analysis's derivative, forward, (w, b), sets)     turns.exact: the first round is the end
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from symml.ir.evaluate import evaluate
from symml.ir.program import Library, Node, Program, Scan, Statement, Tensor, outs, read_instead
from symml.loops.plan import Function
from symml.methods.closed_forms import ClosedForm, Unsolved, solve
from symml.names import Names, number
from symml.proof.samples import sample
from symml.rewrite.simplify import simplify
from symml.training.compose import executable


@dataclass(frozen=True)
class Turns:
    """`program` has the output `new NAME` for each block of `order`; exact: no block needs one that comes after it."""

    program: Program
    order: tuple[Tensor, ...]
    exact: bool
    reason: str


def in_turn(
    derivative: Program, forward: Program, wrt: tuple[Tensor, ...], sets: Mapping[Tensor, str]
) -> Turns | Unsolved:
    """One round over all blocks, or the first that has no closed form; sets: the kind of set that a block lies in."""
    found: dict[Tensor, ClosedForm] = {}
    for t in wrt:
        form = solve(derivative, forward, t, sets.get(t, ""))
        if isinstance(form, Unsolved):
            return form
        found[t] = form
    needs = {
        t: {u for u in wrt if u in f.used.inputs and _moves(f.used, u)} | ({t} if f.held else set())
        for t, f in found.items()
    }
    order: list[Tensor] = []
    while len(order) < len(wrt):
        rest = [t for t in wrt if t not in order]
        order.append(next((t for t in rest if not needs[t] & set(rest)), rest[0]))
    exact = all(not needs[t] & set(order[k:]) for k, t in enumerate(order))
    kinds = ", ".join(f"{t.name} ({found[t].kind})" for t in order)
    reason = f"gradient = 0 in closed form: {kinds}" + ("" if exact else "; each with the others held, in turn")
    return Turns(_round(found, order), tuple(order), exact, reason)


def _moves(program: Program, u: Tensor) -> bool:
    """Does a solution change with u? It may read what cancels: a mean weighted by equal variances."""
    rng = np.random.default_rng(3)
    values, dims = sample(program, rng)
    other = sample(program, rng, dims)[0][u]
    with np.errstate(all="ignore"):
        a, b = (evaluate(program, {**values, u: x}, dims)[program.outputs["solution"]] for x in (values[u], other))
    return not np.allclose(a, b, rtol=1e-9, atol=1e-12)


def _round(found: Mapping[Tensor, ClosedForm], order: list[Tensor]) -> Program:
    """The solutions one after another, each reading those before it."""
    solved: dict[Tensor, Tensor] = {}
    nodes: list[Node] = []
    inputs: dict[Tensor, None] = {}
    names = Names(t.name for form in found.values() for t in form.used.inputs)
    requires: dict = {}
    for t in order:
        form = found[t]
        table = dict(solved)
        if form.held is not None:
            table[form.held] = t
        own = {
            u: replace(u, name=names.fresh(u.name), uid=number()) for node in form.used.statements for u in outs(node)
        }
        table |= own
        nodes += [_elsewhere(node, table) for node in form.used.statements]
        inputs |= dict.fromkeys(table.get(u, u) for u in form.used.inputs if table.get(u, u) not in solved.values())
        requires |= dict.fromkeys(form.used.requires)
        solved[t] = own[form.used.outputs["solution"]]
    outputs = {f"new {t.name}": solved[t] for t in order}
    return simplify(Program(tuple(inputs), tuple(nodes), outputs, tuple(requires)))


def _elsewhere(node: Node, table: Mapping[Tensor, Tensor]) -> Node:
    """A node that defines and reads other tensors."""
    if isinstance(node, Statement):
        return replace(read_instead(node, table), out=table.get(node.out, node.out))
    if isinstance(node, Library):
        return replace(
            node, outs=tuple(table.get(u, u) for u in node.outs), args=tuple(table.get(u, u) for u in node.args)
        )
    if isinstance(node, Scan):
        return node.with_statements(_elsewhere(s, table) for s in node.statements)
    moved = node.with_statements(_elsewhere(s, table) for s in node.statements)
    states = tuple(tuple(table.get(u, u) for u in three) for three in node.states)
    return replace(moved, states=states, gap=table.get(node.gap, node.gap))


def update_function(turns: Turns, params: tuple[Tensor, ...]) -> Function:
    """update(x, out, data, work): all blocks as a round leaves them, in the order of the parameters."""
    return Function("update", "vector", executable(turns.program), outputs=tuple(f"new {t.name}" for t in params))

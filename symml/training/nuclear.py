"""The nuclear norm by a semidefinite matrix, which an interior-point method keeps in its cone.

    ||M||_* = min tr(Z)/2 over Z = [[W, M], [M', V]] in psd        Fazel, Hindi & Boyd (2001)

A sum of all singular values that objective and bounds rise with becomes half a trace, and a corner of Z is set equal to M.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sympy

from symml.ir.program import Access, Domain, Index, Library, Program, Statement, Tensor, dependents, fresh_indices
from symml.methods.epigraph import rises
from symml.names import Names
from symml.rewrite.dead import prune

OPERATION = "svdvals"


@dataclass(frozen=True)
class Lifted:
    """The program with half a trace in place of each norm; matrices that are to stay semidefinite, and the outputs that are 0."""

    program: Program
    matrices: tuple[Tensor, ...]
    conditions: tuple[str, ...]


def lifted(program: Program, conditions: Mapping[str, bool], wrt: tuple[Tensor, ...]) -> Lifted | None:
    """None where there is no nuclear norm of what is optimised that the objective, and conditions r <= 0, rise with;
    conditions: outputs, whether they are equalities."""
    moving = dependents(program.statements, wrt)
    made = {
        node.outs[0]: node
        for node in program.statements
        if isinstance(node, Library) and node.op == OPERATION and node.args[0] in moving
    }
    found = {s: made[s.body.tensor] for s in program.statements if isinstance(s, Statement) and _is_sum(s, made)}
    if not found or not _rise(program, conditions, tuple(found)):
        return None
    names, outputs = Names(t.name for t in program.tensors()), dict(program.outputs)
    statements, matrices, keys = [], [], []
    for node in program.statements:
        if node not in found:
            statements.append(node)
            continue
        z, gap, more = _corner(found[node].args[0], names)
        whole = more[0].out
        i = Index("i", whole.shape[0])
        trace = Statement(node.out, node.lhs, node.mode, "sum", (i,), whole[i, i] / sympy.Integer(2))
        statements += [*more, trace]
        key = f"constraint {gap.name}"
        outputs[key] = gap
        matrices.append(z)
        keys.append(key)
    program = replace(program, inputs=(*program.inputs, *matrices), statements=tuple(statements), outputs=outputs)
    return Lifted(program, tuple(matrices), tuple(keys))


def _rise(program: Program, conditions: Mapping[str, bool], norms: tuple[Statement, ...]) -> bool:
    """Do the objective and the conditions rise with each of the norms?"""
    names = Names(t.name for t in program.tensors())
    numbers = {s: Tensor(names.fresh("t"), (), "param", Domain("interval", lower=0.0)) for s in norms}
    statements = (
        replace(s, reduce="none", loops=(), body=numbers[s][()]) if s in numbers else s for s in program.statements
    )
    inputs = (*program.inputs, *numbers.values())
    whole = prune(replace(program, inputs=inputs, statements=tuple(statements)), "loss", *conditions)
    return rises(whole, "loss", conditions, tuple(numbers.values()))


def _is_sum(s: Statement, made: Mapping[Tensor, Library]) -> bool:
    whole = isinstance(s.body, Access) and s.body.tensor in made and s.body.idx == s.loops
    return whole and s.reduce == "sum" and s.guard is None and not s.lhs


def _corner(m: Tensor, names: Names) -> tuple[Tensor, Tensor, list[Statement]]:
    """Z, the residual of its corner, and what they are made by: Z's half sum with its transpose first."""
    rows, columns = m.shape
    size = (rows + columns, rows + columns)
    z, whole = Tensor(names.fresh("lifted"), size, "param"), Tensor(names.fresh("lifted_symmetric"), size)
    i, j = fresh_indices(size)
    half = Statement(whole, (i, j), "=", "none", (i, j), (z[i, j] + z[j, i]) / sympy.Integer(2))
    gap, (i, j) = Tensor(names.fresh("corner"), m.shape), fresh_indices(m.shape)
    return z, gap, [half, Statement(gap, (i, j), "=", "none", (i, j), whole[i, j + rows] - m[i, j])]

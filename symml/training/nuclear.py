"""The nuclear norm by a semidefinite matrix, which an interior-point method keeps in its cone.

    ||M||_* = min tr(Z)/2 over Z = [[W, M], [M', V]] in psd        Fazel, Hindi & Boyd (2001)

A sum of all singular values that the objective rises with becomes half a trace, and a corner of Z is set equal to M.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import sympy
from sympy import Expr, Symbol

from symml.ir.program import Access, Index, Library, Program, Statement, Tensor, direct_accesses, fresh_indices
from symml.methods.likelihood import flat_objective, terms
from symml.names import Names

OPERATION = "svdvals"


@dataclass(frozen=True)
class Lifted:
    """The program with half a trace in place of each norm; matrices that are to stay semidefinite, and the outputs that are 0."""

    program: Program
    matrices: tuple[Tensor, ...]
    conditions: tuple[str, ...]


def lifted(program: Program) -> Lifted | None:
    """None where the objective has no nuclear norm with a positive factor."""
    made = {node.outs[0]: node for node in program.statements if isinstance(node, Library) and node.op == OPERATION}
    found = dict(_norms(program, made))
    if not found:
        return None
    names, outputs = Names(t.name for t in program.tensors()), dict(program.outputs)
    statements, matrices, conditions = [], [], []
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
        conditions.append(key)
    program = replace(program, inputs=(*program.inputs, *matrices), statements=tuple(statements), outputs=outputs)
    return Lifted(program, tuple(matrices), tuple(conditions))


def _norms(program: Program, made: dict[Tensor, Library]) -> Iterator[tuple[Statement, Library]]:
    """The statements that add up all singular values of a matrix, where the objective rises with them."""
    definitions: dict[Tensor, list[Statement]] = {}
    for s in (s for s in program.statements if isinstance(s, Statement)):
        definitions.setdefault(s.out, []).append(s)
    atoms: dict[Symbol, Statement] = {}
    for term in terms(flat_objective(program.outputs["loss"][()], definitions, atoms)) if made else ():
        held = term.free_symbols & set(atoms)
        if len(held) == 1 and _is_sum(s := atoms[next(iter(held))], made) and _positive(term / next(iter(held))):
            yield s, made[s.body.tensor]


def _is_sum(s: Statement, made: dict[Tensor, Library]) -> bool:
    whole = isinstance(s.body, Access) and s.body.tensor in made and s.body.idx == s.loops
    return whole and s.reduce == "sum" and s.guard is None and not s.lhs


def _positive(weight: Expr) -> bool:
    return bool(weight.is_nonnegative) and all(a.tensor.kind == "hyper" for a in direct_accesses(weight))


def _corner(m: Tensor, names: Names) -> tuple[Tensor, Tensor, list[Statement]]:
    """Z, the residual of its corner, and what they are made by: Z's half sum with its transpose first."""
    rows, columns = m.shape
    size = (rows + columns, rows + columns)
    z, whole = Tensor(names.fresh("lifted"), size, "param"), Tensor(names.fresh("lifted_symmetric"), size)
    i, j = fresh_indices(size)
    half = Statement(whole, (i, j), "=", "none", (i, j), (z[i, j] + z[j, i]) / sympy.Integer(2))
    gap, (i, j) = Tensor(names.fresh("corner"), m.shape), fresh_indices(m.shape)
    return z, gap, [half, Statement(gap, (i, j), "=", "none", (i, j), whole[i, j + rows] - m[i, j])]

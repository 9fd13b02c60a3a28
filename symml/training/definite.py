"""Matrices that are positive semidefinite, as unknowns of a cone: an interior-point method keeps them inside (cone.py).

A parameter in psd is such an unknown itself. Any other matrix that is to be semidefinite, such as A - x B, is set equal to
one: below and on the diagonal by its entries, above it by symmetry, so that no condition is said twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import sympy

from symml.ir.functions import less
from symml.ir.program import Iterate, Library, Node, Program, Scan, Statement, Tensor, fresh_indices, read_instead
from symml.names import Names


@dataclass(frozen=True)
class Definite:
    """The program, with a residual (0) in place of that of each matrix that is set equal to an unknown; the unknowns by
    the output of that residual."""

    program: Program
    unknowns: dict[str, Tensor]


def definite(program: Program, residuals: Iterable[str], symmetric: Iterable[Tensor]) -> Definite:
    """Unknowns for the residuals that are to be semidefinite, by their outputs.

    symmetric: parameters in psd. They are read as half the sum of themselves and their transpose, so that nothing depends
    on what is not symmetric in them.
    """
    names, head, other = Names(t.name for t in program.tensors()), [], {}
    for t in symmetric:
        other[t] = Tensor(names.claim(f"{t.name}_symmetric"), t.shape)
        head.append(_halves(other[t], t))
    statements = [*head, *(_reading(node, other) for node in program.statements)]
    outputs, unknowns = dict(program.outputs), {}
    for key in residuals:
        r = program.outputs[key]
        unknowns[key] = slack = Tensor(names.fresh("slack"), r.shape, "param")
        whole, gap = (Tensor(names.fresh(stem), r.shape) for stem in ("whole", "gap"))
        statements.append(_halves(whole, r))
        i, j = fresh_indices(r.shape)
        above = less(i, j)
        body = (1 - above) * (whole[i, j] - slack[i, j]) + above * (slack[i, j] - slack[j, i])
        statements.append(Statement(gap, (i, j), "=", "none", (i, j), body))
        outputs[key] = gap
    inputs = (*program.inputs, *unknowns.values())
    return Definite(replace(program, inputs=inputs, statements=tuple(statements), outputs=outputs), unknowns)


def _halves(out: Tensor, t: Tensor) -> Statement:
    i, j = fresh_indices(t.shape)
    return Statement(out, (i, j), "=", "none", (i, j), (t[i, j] + t[j, i]) / sympy.Integer(2))


def _reading(node: Node, other: dict[Tensor, Tensor]) -> Node:
    if isinstance(node, Statement):
        return read_instead(node, other)
    if isinstance(node, Library):
        return replace(node, args=tuple(other.get(t, t) for t in node.args))
    assert isinstance(node, Scan | Iterate)
    return node.with_statements(_reading(s, other) for s in node.statements)

"""Matrices that are positive semidefinite, as conditions: the diagonal of the Cholesky factor is not negative.

The logarithms of that diagonal add up to half the log-determinant, which is the barrier of the cone; outside of it the
factor is NaN, and no step goes there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import sympy

from symml.ir.program import (
    Access,
    Iterate,
    Library,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    fresh_indices,
    read_instead,
)
from symml.names import Names


def definite(program: Program, residuals: Iterable[str], symmetric: Iterable[Tensor]) -> tuple[Program, dict[str, str]]:
    """The program with an output `inside NAME` (at most 0) for each residual that is to be semidefinite, by its output.

    symmetric: parameters that are read as half the sum of themselves and their transpose, so that nothing depends on
    what is not symmetric in them.
    """
    names, head, other = Names(t.name for t in program.tensors()), [], {}
    for t in symmetric:
        other[t] = Tensor(names.claim(f"{t.name}_symmetric"), t.shape)
        head.append(_halves(other[t], t))
    statements = [*head, *(_reading(node, other) for node in program.statements)]
    outputs, made = dict(program.outputs), {}
    for key in residuals:
        r = program.outputs[key]
        whole, factor, diagonal = (Tensor(names.fresh(stem), r.shape) for stem in ("whole", "factor", "inside"))
        diagonal = replace(diagonal, shape=r.shape[:1])
        (k,) = fresh_indices(r.shape[:1])
        statements += [_halves(whole, r), Library("chol", (factor,), (whole,))]
        statements.append(Statement(diagonal, (k,), "=", "none", (k,), -Access(factor, (k, k))))
        made[key] = f"inside {key.split()[-1]}"
        outputs[made[key]] = diagonal
    return replace(program, statements=tuple(statements), outputs=outputs), made


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

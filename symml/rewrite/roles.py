"""What data may declare of themselves, as statements: weights of the rows, sparse matrices (present.py has missing entries).

A weight says how often a row counts: every sum over the rows is weighted and n becomes the sum of the weights, so that
whole weights give what repeated rows give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sympy

from symml.errors import SpecError, UnsupportedError
from symml.ir.program import (
    Access,
    Dim,
    Domain,
    Index,
    Node,
    Program,
    Statement,
    Tensor,
    accesses,
    direct_accesses,
    indices,
    outs,
    parts,
    reads,
    substitute,
)
from symml.names import Names


def weighted(program: Program, row: Dim, weight: Tensor) -> Program:
    """The program with every row counted as often as its weight says."""
    rowed = [t for t in program.inputs if t.kind == "param" and row in t.shape]
    if rowed:
        raise UnsupportedError(f"'{rowed[0].name}' has an entry for each row, which cannot be weighted", rowed[0].span)
    domain = Domain("interval", lower=0.0, open=(weight.domain.positive, False))
    names = Names(t.name for t in (*program.tensors(), weight))
    total = Tensor(names.claim(f"{weight.name}_total"), domain=domain)
    nodes = [_weighted(node, row, weight, total) for node in program.statements]
    k = Index("i", row)
    if any(total in reads(node) for node in nodes):
        nodes = [Statement(total, (), "=", "sum", (k,), Access(weight, (k,))), *nodes]
    inputs = program.inputs if weight in program.inputs else (*program.inputs, weight)
    return replace(program, inputs=inputs, statements=tuple(nodes))


def _weighted(node: Node, row: Dim, weight: Tensor, total: Tensor) -> Node:
    if weight in reads(node):
        raise SpecError(
            f"'{weight.name}' weights the rows by itself and is read here once more",
            node.span,
            fix=f"declare it as plain data, or do not write it: {weight.name} applies to every sum over {row.name}",
        )
    if not isinstance(node, Statement):
        if any(row in t.shape for t in (*reads(node), *outs(node))):
            raise UnsupportedError("weights of the rows do not reach into this", node.span)
        return node
    body = node.body.xreplace({row: Access(total, ())})  # not within accesses: an index stays one
    rows = [Access(weight, (k,)) for k in node.reduced if k.size == row]
    if rows and node.reduce in ("max", "min", "argmax", "argmin") and not weight.domain.positive:
        raise SpecError(
            f"a {node.reduce} over rows of weight 0", node.span, fix=f"declare the weights as {weight.name} > 0"
        )
    if rows and node.reduce == "sum":
        body = body * sympy.Mul(*rows)
    elif rows and node.reduce == "logsumexp":
        body = body + sympy.Add(*map(sympy.log, rows))
    elif rows and node.reduce == "prod":
        body = body ** sympy.Mul(*rows)
    return node.with_body(body)


def stored_only(program: Program, stored: Mapping[Tensor, tuple[Tensor, Tensor, Tensor]]) -> Program:
    """The program whose sums over the entries of sparse tensors run over the stored ones; refused for anything else.

    stored: for each sparse matrix the row, the column and the value of each stored entry.
    """
    nodes = tuple(_stored(node, stored) for node in program.statements)
    inputs = tuple(t for t in program.inputs if t not in stored)
    more = tuple(t for three in stored.values() for t in three if t not in inputs)
    return replace(program, inputs=(*inputs, *more), statements=nodes)


def _stored(node: Node, stored: Mapping[Tensor, tuple[Tensor, Tensor, Tensor]]) -> Node:
    sparse = [t for t in reads(node) if t in stored]
    if not sparse:
        return node
    t = sparse[0]
    wrong = UnsupportedError(
        f"'{t.name}' is sparse, and this needs its entries that are not stored",
        node.span,
        fix=f"products such as {t.name} w and {t.name}' r, and sums that are 0 where {t.name} is 0",
    )
    found = [a for a in direct_accesses(node.body) if a.tensor in stored] if isinstance(node, Statement) else []
    if len(sparse) > 1 or len(found) != 1 or any(a.tensor is t for e in parts(node)[1:] for a in accesses(e)):
        raise wrong
    (a,) = found
    i, j = a.idx
    plain = isinstance(i, Index) and isinstance(j, Index) and i is not j and {i, j} <= set(node.loops)
    if not plain or node.reduce != "sum" or node.mode != "=" or node.body.xreplace({a: sympy.Integer(0)}) != 0:
        raise wrong
    row, column, value = stored[t]
    e = Index("e", value.shape[0])
    at = {i: Access(row, (e,)), j: Access(column, (e,))}
    loops = (e, *(k for k in node.loops if k not in (i, j)))
    lhs = tuple(substitute(k, at) for k in node.lhs)
    guard = None if node.guard is None else substitute(node.guard, at)
    body = substitute(node.body.xreplace({a: Access(value, (e,))}), at)
    held = set().union(*map(indices, lhs))
    left = any(k not in held for k in loops)
    scattered = any(k in held for k in (i, j)) or any(not isinstance(k, Index) for k in lhs)
    return replace(
        node,
        lhs=lhs,
        loops=loops,
        body=body,
        guard=guard,
        mode="+=" if scattered else "=",
        reduce="sum" if left else "none",
    )

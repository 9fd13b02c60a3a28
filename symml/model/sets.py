"""What an index of a reduction ranges over: a dim, a number, a range a..b, a declared subset, the neighbours in a graph.

    sum[i in n] ...    sum[i in 0..n-2] ...    sum[i in labelled] ...    sum[j in G(i)] ...

A subset is a guard. The neighbours of i are the edges (i, j) of the graph: the sum runs over all edges at once and adds
each into its tail, so nothing of the size n x n is made, and what stands in it is computed on edges only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sympy
from sympy import Expr

from symml.errors import SpecError, UnsupportedError
from symml.ir.functions import canonical
from symml.ir.program import Access, Domain, Index, Statement, Tensor, fresh_indices, indices
from symml.model.infer import index_run
from symml.model.left import bound
from symml.model.values import Value, of_tensor, scalar
from symml.syntax import tree
from symml.syntax.words import nearest

if TYPE_CHECKING:
    from symml.model.lower import Lowering

Env = Mapping[str, Expr]


@dataclass(frozen=True)
class Ranges:
    """The indices that a reduction runs over, what its letters mean inside, and the test that leaves terms out."""

    over: tuple[Index, ...]
    env: Env
    guard: Expr | None


def ranges(low: Lowering, node: tree.Reduction, env: Env) -> Ranges:
    """The binders of a reduction in order."""
    inner, over, guards = dict(env), [], []
    for binder in node.binders:
        for name in binder.names:
            if name.id in low.tensors and name.id not in env:
                raise SpecError(
                    f"'{name.id}' is declared as {low.tensors[name.id].kind} and cannot be an index here", name.span
                )
            k, inner[name.id], guard = _range(low, name, binder.domain, node)
            over.append(k)
            guards += [] if guard is None else [guard]
    return Ranges(tuple(over), inner, sympy.Mul(*guards) if guards else None)


def _range(
    low: Lowering, name: tree.Name, domain: tree.Expr | None, node: tree.Reduction
) -> tuple[Index, Expr, Expr | None]:
    if domain is None:
        first, size = index_run(name, tuple(x for x in (node.body, node.where) if x is not None), low)
        k = Index(name.id, size)
        return k, k + first, None
    if isinstance(domain, tree.Name) and domain.id in low.dims:
        k = Index(name.id, low.dims[domain.id])
        return k, k, None
    if isinstance(domain, tree.Number) and isinstance(domain.value, int):
        k = Index(name.id, sympy.Integer(domain.value))
        return k, k, None
    if isinstance(domain, tree.Range):
        first, last = bound(low, domain.low), bound(low, domain.high)
        k = Index(name.id, sympy.expand(last - first + 1))
        if not low.require(last - first, domain.span):
            raise SpecError(f"the range {first}..{last} is empty", domain.span)
        low.parts.add(k)
        return k, k + first, None
    if isinstance(domain, tree.Name) and (t := subset(low, domain)) is not None:
        k = Index(name.id, t.shape[0])
        return k, k, t[k]
    if isinstance(domain, tree.Call) and domain.function in low.graphs:
        raise UnsupportedError(
            "the neighbours of a node are the one set of a sum",
            domain.span,
            fix=f"nest: sum[...] sum[{name.id} in ...]",
        )
    known = (*low.dims, *low.graphs, *(n for n, t in low.tensors.items() if t.domain.kind == "subset"))
    label = domain.id if isinstance(domain, tree.Name) else domain.function if isinstance(domain, tree.Call) else ""
    raise SpecError(
        "an index ranges over a dim, a..b, a subset or the neighbours G(i) of a graph",
        domain.span,
        fix=nearest(label, known) or f"known are {', '.join(known)}",
    )


def subset(low: Lowering, name: tree.Name) -> Tensor | None:
    """The 0/1 tensor of a subset that is declared, or defined by a test."""
    nodes = low.definitions.get(name.id, ())
    if len(nodes) == 1 and isinstance(nodes[0].value, tree.SetBuilder):
        return low.named(name.id, name.span).tensor
    t = low.tensors.get(name.id)
    return t if t is not None and t.domain.kind == "subset" else None


def define(low: Lowering, node: tree.Define) -> Value:
    """`S = {i in n where y[i] > 0}` as a tensor of 0 and 1."""
    names = [name for b in node.value.binders for name in b.names]
    if node.indices or len(names) != 1 or node.value.where is None:
        raise SpecError(
            "a set has one index and a test", node.value.span, fix=f"{node.target.id} = {{i in n where y[i] > 0}}"
        )
    (name,) = names
    over = tree.Reduction("count", node.value.binders, node.value.where, None, span=node.value.span)
    r = ranges(low, over, {})
    (k,) = r.over
    if r.env[name.id] != k:
        raise UnsupportedError("a set begins at the first element of its dim", node.value.span, fix="test its index")
    guards = [g for g in (r.guard, low.test(node.value.where, r.env).scalar) if g is not None]
    out = Tensor(node.target.id, (k.size,), "definition", Domain("subset", values=(0.0, 1.0)), node.target.span)
    low.statements.append(Statement(out, (k,), "=", "none", (k,), canonical(sympy.Mul(*guards)), span=node.span))
    return of_tensor(out)


def size(low: Lowering, node: tree.Bars, env: Env) -> Value | None:
    """`|n|`, `|S|`, `|G(i)|`; None where the bars are an absolute value."""
    arg = node.arg
    if isinstance(arg, tree.Name) and arg.id in low.dims and arg.id not in env:
        return scalar(low.dims[arg.id])
    if isinstance(arg, tree.Name) and arg.id not in env and (t := subset(low, arg)) is not None:
        k = fresh_indices(t.shape)
        out, _ = low.reduce("sum", k, Access(t, k), node.span)
        return scalar(out[()])
    if isinstance(arg, tree.Call) and arg.function in low.graphs:
        return scalar(degree(low, arg)[_node(low, arg, env)])
    return None


def degree(low: Lowering, call: tree.Call) -> Tensor:
    """How many neighbours each node has."""
    graph = low.graphs[call.function]
    if graph.name not in low.degrees:
        e = Index("e", graph.edges)
        out = Tensor(low.names.fresh(f"deg_{graph.name}"), (graph.nodes,))
        low.statements.append(Statement(out, (graph.tail[e],), "+=", "none", (e,), sympy.Integer(1), span=call.span))
        low.degrees[graph.name] = out
    return low.degrees[graph.name]


def _node(low: Lowering, call: tree.Call, env: Env) -> Expr:
    """The node i of G(i)."""
    graph = low.graphs[call.function]
    if len(call.args) != 1:
        raise SpecError(f"{call.function} takes one node", call.span, fix=f"such as {call.function}(i)")
    k = low.expression(call.args[0], env).scalar
    own = k.size if isinstance(k, Index) else k.tensor.domain.size if isinstance(k, Access) else None
    if own != graph.nodes:
        raise SpecError(f"{call.function} has nodes of {graph.nodes}, this is none of them", call.args[0].span)
    return k


def over_neighbours(low: Lowering, node: tree.Reduction, env: Env) -> Value | None:
    """A reduction over `j in G(i)`; None where it is another."""
    first = node.binders[0]
    if len(node.binders) != 1 or not isinstance(first.domain, tree.Call) or first.domain.function not in low.graphs:
        return None
    call, graph = first.domain, low.graphs[first.domain.function]
    at = _node(low, call, env)
    letter = call.args[0]
    if len(first.names) != 1 or not isinstance(letter, tree.Name):
        raise UnsupportedError("neighbours are those of one index", call.span, fix="such as sum[j in G(i)] ...")
    if node.kind not in ("sum", "mean", "count"):
        raise UnsupportedError(f"{node.kind} over the neighbours in a graph is not supported yet", node.span)
    e = Index("e", graph.edges)
    inner = {**env, letter.id: graph.tail[e], first.names[0].id: graph.head[e]}
    value = scalar(sympy.Integer(1)) if node.body is None else low.expression(node.body, inner)
    guard = None if node.where is None else low.test(node.where, inner).scalar
    rest = fresh_indices(value.shape, "pqr")
    body = canonical(value.at(rest))
    if isinstance(at, Index) and at in indices(body):
        raise UnsupportedError("the body reads this node in a second way", node.span)
    free = tuple(sorted(indices(body) - {e, *rest}, key=lambda k: k.uid))
    lhs = (graph.tail[e], *free, *rest)
    out = Tensor(low.names.fresh("t"), (graph.nodes, *(k.size for k in (*free, *rest))))
    low.statements.append(Statement(out, lhs, "+=", "none", (e, *free, *rest), body, guard, node.span))
    count = Access(degree(low, call), (at,)) if node.kind == "mean" else 1
    return Value(value.shape, lambda idx: Access(out, (at, *free, *idx)) / count, row=value.row)

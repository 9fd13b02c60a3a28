"""Work that a sum and a map have in common is done once.

    loss = sum[i] softplus(z[i]) - y[i] z[i]              l[i] = softplus(z[i]) - y[i] z[i]
    d_z[i] = sigmoid(z[i]) - y[i]                  ->     d_z[i] = sigmoid(z[i]) - y[i]       (in one nest with l)
                                                          loss = sum[i] l[i]

In one loop the compiler evaluates the exponential of z[i] once for both; a loop that stores and adds up at a time would
not vectorise, so the sum is a loop of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from sympy import Expr, Function

from symml.ir.functions import BY_CLASS
from symml.ir.program import Access, Node, Program, Statement, Tensor, outs, reads, substitute
from symml.names import Names

WORK: Mapping[str, str] = MappingProxyType(
    {"sigmoid": "exp(-|u|)", "softplus": "exp(-|u|)"}
    | {name: name for name in ("exp", "log", "log1p", "expm1", "tanh", "sin", "cos", "tan", "sinh", "cosh", "arctan")}
)


def beside_maps(program: Program) -> Program:
    """Each sum over one loop into a scalar is done beside a map that calls a function of the same argument, where that map
    can come as early as the sum."""
    nodes = list(program.statements)
    names = Names(t.name for t in program.tensors())
    for s in program.statements:
        if not (isinstance(s, Statement) and _is_total(s)):
            continue
        at = next(p for p, node in enumerate(nodes) if node is s)
        partner = _partner(nodes, at)
        if partner is None:
            continue
        (k,) = s.loops
        terms = Tensor(names.claim(f"{s.out.name}_{k.name}"), (k.size,))
        computed = replace(s, out=terms, lhs=(k,), reduce="none")
        summed = replace(s, body=Access(terms, (k,)))
        nodes = [*nodes[:at], computed, nodes[partner], summed, *nodes[at + 1 : partner], *nodes[partner + 1 :]]
    return program.with_statements(nodes)


def _is_total(s: Statement) -> bool:
    return s.mode == "=" and s.reduce == "sum" and not s.lhs and len(s.loops) == 1 and s.guard is None


def _partner(nodes: Sequence[Node], at: int) -> int | None:
    """The place of the map beside which the sum at a place is done: a later one that reads nothing of what is between."""
    s = nodes[at]
    (k,) = s.loops
    work, between = _work(s.body), set(outs(s))
    for p, node in enumerate(nodes[at + 1 :], start=at + 1) if work else ():
        alike = isinstance(node, Statement) and node.is_map and [other.size for other in node.loops] == [k.size]
        if alike and not between & set(reads(node)) and work & _work(substitute(node.body, {node.loops[0]: k})):
            return p
        between |= set(outs(node))
    return None


def _work(body: Expr) -> frozenset[tuple[str, tuple[Expr, ...]]]:
    """The costly evaluations of a body: what, and of which arguments."""
    names = [(BY_CLASS.get(f.func), f.args) for f in body.atoms(Function)]
    return frozenset((WORK[name], args) for name, args in names if name in WORK)

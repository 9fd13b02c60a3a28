"""Names for what a derivation passes through: Z = XW + b before its tanh, a product inside a norm.

with_intermediates(forward, (W, b))  ->  the same program, with letters for the intermediates that have an adjoint

What stands inside a function of the page's definition becomes a definition of its own, so that the chain rule has a
name to go through; the values of all other tensors stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from sympy import Expr

from symml import names
from symml.calculus.reverse import gradient
from symml.ir.functions import BY_CLASS, NO_SLOPE
from symml.ir.program import (
    Access,
    Index,
    Iterate,
    Library,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    accesses,
    direct_accesses,
    flat,
    indices,
    outs,
    read_instead,
)
from symml.rewrite.simplify import simplify

MATRICES, VECTORS, NUMBERS = "ZUVMNQRFG", "zuvrqgfap", "srqzuv"


def with_intermediates(
    forward: Program, over: Iterable[Tensor], taken: Iterable[str] = (), said: Collection[Tensor] = ()
) -> Program:
    """The program with what its functions are taken of as definitions, and letters for temps that have adjoints.

    taken: names that stand for something else; said: definitions that stay, though nothing but a derivation needs them.
    """
    over = tuple(over)
    numbers = {s.out for s in flat(forward.statements) if s.reduce == "logsumexp"}
    program = forward.with_statements(n for node in forward.statements for n in _opened(node, numbers))
    short = simplify(gradient(program, "loss", over), said)
    kept = {t.adjoint_of for node in short.statements for t in outs(node) if t.adjoint_of is not None}
    temps = [
        t
        for t in program.tensors()
        if t.kind == "temp" and t in kept and re.fullmatch(r"t\d+", t.name) and t not in numbers and t.shape
    ]
    return _lettered(program, temps, set(taken))


def _opened(node: Node, numbers: set[Tensor]) -> list[Node]:
    """f(a + b) as U = a + b and f(U), inside of a recurrence too; exp(a - lse a) stays, it is the softmax."""
    if isinstance(node, Scan):
        return [node.with_statements(x for s in node.statements for x in _split(s, (node.step,), numbers))]
    return _split(node, (), numbers) if isinstance(node, Statement) else [node]


def _split(s: Statement, steps: tuple[Index, ...], numbers: set[Tensor]) -> list[Statement]:
    """A statement that takes a function of a sum of elements, with that sum as a definition before it."""
    for inner in _arguments(s.body):
        free = tuple(k for k in (*steps, *s.loops) if k in indices(inner))
        read = direct_accesses(inner)
        named_by = Tensor(f"t{names.number()}", tuple(k.size for k in free), "temp", span=s.out.span)
        body = s.body.xreplace({inner: Access(named_by, free)})
        plain = all(isinstance(k, Index) or not indices(k) or steps for a in read for k in a.idx)
        whole = set(steps) <= set(free) and not any(accesses(k) for a in read for k in a.idx)
        if len(read) < 2 or not plain or not whole or any(a in body.free_symbols or a.tensor in numbers for a in read):
            continue
        loops = tuple(k for k in free if k not in steps)
        return [
            Statement(named_by, free, "=", "none", loops, inner, None, s.span),
            *_split(s.with_body(body), steps, numbers),
        ]
    return [s]


def _arguments(body: Expr) -> list[Expr]:
    """The sums that smooth functions are taken of, in a stable order."""
    smooth = [e for e in body.atoms(*BY_CLASS) if len(e.args) == 1 and not isinstance(e, NO_SLOPE)]
    return sorted({e.args[0] for e in smooth if e.args[0].is_Add}, key=str)


def _lettered(program: Program, temps: list[Tensor], taken: set[str]) -> Program:
    """The program with temps called by free letters: capitals for matrices, small ones for vectors and recurrences."""
    for t in program.tensors():
        taken |= {t.name, *(d.name for n in t.shape for d in n.free_symbols)}
        taken |= {t.name[0].upper() + t.name[1:]} if t.integer and len(t.shape) == 1 else set()
    stepped = {t for n in program.statements if isinstance(n, Scan | Iterate) for t in outs(n)}
    table: dict[Tensor, Tensor] = {}
    for t in temps:
        letters = NUMBERS if not t.shape else MATRICES if len(t.shape) == 2 and t not in stepped else VECTORS
        letter = next((c for c in letters if c not in taken), None)
        if letter is not None:
            taken.add(letter)
            table[t] = replace(t, name=letter, kind="definition", uid=names.number())
    return program.with_statements(_renamed(n, table) for n in program.statements)


def _renamed(node: Node, table: Mapping[Tensor, Tensor]) -> Node:
    """The node defining and reading other tensors in the place of some."""
    if isinstance(node, Statement):
        return replace(read_instead(node, table), out=table.get(node.out, node.out))
    if isinstance(node, Library):
        args, defined = (tuple(table.get(t, t) for t in group) for group in (node.args, node.outs))
        return replace(node, args=args, outs=defined)
    node = node.with_statements(_renamed(s, table) for s in node.statements)
    if isinstance(node, Iterate):
        states = tuple(tuple(table.get(t, t) for t in state) for state in node.states)
        return replace(node, states=states, gap=table.get(node.gap, node.gap))
    return node

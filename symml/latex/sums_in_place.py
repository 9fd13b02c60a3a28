"""A number that only a sum in index form gives, in the place of its name: nu (t4 - m) with t4 = sum[i] i p[i].

in_place(Scale(nu (t4 - m)), Stated(sum[i] i p[i]))  ->  the tree of nu (sum[i] i p[i] - m)
"""

from __future__ import annotations

import sympy
from sympy import Expr

from symml.ir.program import Access, Program, Statement, Tensor, outs, reads
from symml.latex.finish import over
from symml.latex.shorten import SCALAR
from symml.latex.tree import Add, Map, Node, Power, Scale, Stated, children, leaves


def stated(program: Program, t: Tensor, inside: dict[Tensor, Statement]) -> Stated | None:
    """A number by the one statement outside of recurrences that defines it; None where there is no such statement."""
    places = [n for n in program.statements if t in outs(n)]
    s = places[0] if len(places) == 1 else None
    if t.shape or t.integer or not isinstance(s, Statement) or s.mode != "=" or s.guard is not None:
        return None
    return Stated(SCALAR, s, tuple(_written_in(s, inside).values()))


def _written_in(s: Statement, inside: dict[Tensor, Statement]) -> dict[Tensor, Statement]:
    """What stands inside of a statement, each behind what it needs."""
    found: dict[Tensor, Statement] = {}
    for u in reads(s):
        if u in inside:
            found |= {**_written_in(inside[u], inside), u: inside[u]}
    return found


def in_place(node: Node, sum_: Stated) -> Node | None:
    """The tree with a sum where its name was a term of a sum or the whole of a bracket; None where it stands elsewhere too,
    or more than once."""
    t = sum_.statement.out
    if _times(node, t) != 1:
        return None
    found = _put(node, Access(t, ()), sum_)
    return None if t in leaves(found) else found


def _times(node: Node, t: Tensor) -> int:
    """How often a tree names a number."""
    own = sum(e == Access(t, ()) for e in sympy.preorder_traversal(node.factor)) if isinstance(node, Scale) else 0
    return own + sum(_times(c, t) for c in children(node))


def _put(node: Node, a: Access, sum_: Stated) -> Node:
    if isinstance(node, Scale) and node.arg is None:
        return _number(node.factor, a, sum_)
    opens = isinstance(node, Add | Map)  # elsewhere a number stands beside factors, or below a bar
    parts = tuple(_put(c, a, sum_) if opens or not _is_number(c) else c for c in children(node))
    return node if parts == children(node) else over(node, parts)


def _is_number(node: Node) -> bool:
    return isinstance(node, Scale) and node.arg is None and not node.factor.is_Add


def _number(e: Expr, a: Access, sum_: Stated) -> Node:
    """A number made of names, with the sum as a term of it."""
    if e == a:
        return sum_
    if e.is_Pow and e.base.is_Add and not e.exp.has(a):
        return Power(SCALAR, _number(e.base, a, sum_), e.exp)
    held = [f for f in e.args if f.has(a)] if e.is_Add or e.is_Mul else []
    if len(held) != 1:
        return Scale(SCALAR, e, None)
    (own,) = held
    if e.is_Add:
        others = [Scale(SCALAR, x, None) for x in e.args if x is not own]
        others.sort(key=lambda x: (x.factor.could_extract_minus_sign(), x.factor.is_number, str(x.factor)))
        return Add(SCALAR, (_number(own, a, sum_), *others))
    if own != a and not (own.is_Add or (own.is_Pow and own.base.is_Add)):
        return Scale(SCALAR, e, None)
    return Scale(SCALAR, sympy.Mul(*(f for f in e.args if f is not own)), _number(own, a, sum_))

"""Solutions of linear systems, without the numbers that both sides share.

solved(2/n X'X + 2 lam I, 2/n X'y)  ->  (X'X + n lam I)^-1 X'y;   solved(n S^-1, S^-1 X'1)  ->  1/n X'1
"""

from __future__ import annotations

from sympy import Expr

from symml.latex.shorten import inverse, pieces, product, scale
from symml.latex.sums import add
from symml.latex.tree import ONE, Add, Node


def solved(A: Node, b: Node) -> Node:
    """A^-1 b."""
    shared = _coefficient(b)
    A, b = _times(1 / shared, A), _times(1 / shared, b)
    rest = _coefficient(A)
    return scale(1 / rest, product((inverse(_times(1 / rest, A)), b)))


def _coefficient(node: Node) -> Expr:
    """The number without its sign that all terms have in front."""
    first, *others = {pieces(t).coefficient for t in (node.terms if isinstance(node, Add) else (node,))}
    if others or first == 0:
        return ONE
    return -first if first.could_extract_minus_sign() else first


def _times(factor: Expr, node: Node) -> Node:
    return add([scale(factor, t) for t in (node.terms if isinstance(node, Add) else (node,))], node.shape)

"""The last touch of a formula: what no rule has to see any more. A A A is a power, a product of transposes is turned once.

finished(inv(X)' A' B' inv(X)')  ->  (inv(X) B A inv(X))'
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import sympy

from symml.latex.order import ordered
from symml.latex.shorten import NEGATIVE, SCALAR, transpose
from symml.latex.tree import (
    ONE,
    AbsoluteNorm,
    Add,
    Diagonal,
    Hadamard,
    Map,
    MatrixPower,
    Node,
    Ones,
    Power,
    Product,
    Quotient,
    Scale,
    Transpose,
    children,
    count,
)

LEAST_TURNED = 2  # nodes that turning a product must save


def finished(node: Node) -> Node:
    """The formula as it is printed: of the same value."""
    parts = tuple(finished(c) for c in children(node))
    if any(a is not b for a, b in zip(parts, children(node), strict=True)):
        node = over(node, parts)
    if isinstance(node, Map):
        return _plainly(node)
    if isinstance(node, Add):
        return _spread(node)
    if not isinstance(node, Product):
        return node
    plain = _with_powers(node)
    if node.shape == SCALAR:
        return _norm(plain)
    turned = _turned(node)
    return turned if count(turned) + LEAST_TURNED <= count(plain) else plain


def _plainly(node: Map) -> Node:
    """exp(u) - 1 and log(1 + u), which code computes by functions of their own."""
    if node.function == "expm1":
        return Add(node.shape, (replace(node, function="exp"), Scale(SCALAR, NEGATIVE, None)))
    if node.function == "log1p":
        (u,) = node.args
        terms = u.terms if isinstance(u, Add) else (u,)
        return replace(node, function="log", args=(Add(u.shape, ordered((*terms, Scale(SCALAR, ONE, None)))),))
    return node


def _spread(node: Add) -> Node:
    """Beside I or diag(v) a number has the ones that it stands for: 2 I + c 1 1', where 2 I + c would be read as (2 + c) I."""
    numbers = [t for t in node.terms if isinstance(t, Scale) and (t.arg is None or isinstance(t.arg, Ones))]
    if ONE in node.shape or not numbers or not any(map(_is_diagonal, node.terms)):
        return node
    n, m = node.shape
    ones = Product(node.shape, (Ones((n, ONE)), Transpose((ONE, m), Ones((m, ONE)))))
    factor = sympy.Add(*(t.factor for t in numbers))
    spread = () if factor == 0 else (ones if factor == 1 else Scale(node.shape, factor, ones),)
    rest = tuple(t for t in node.terms if t not in numbers)
    return replace(node, terms=(*spread, *rest) if node.terms[0] in numbers else (*rest, *spread))


def _is_diagonal(node: Node) -> bool:
    if isinstance(node, Scale) and node.arg is not None:
        return _is_diagonal(node.arg)
    return isinstance(node, Diagonal) or (isinstance(node, Product | Hadamard) and any(map(_is_diagonal, node.factors)))


def over(node: Node, parts: tuple[Node, ...]) -> Node:
    """The same node over other parts."""
    if isinstance(node, Add):
        return replace(node, terms=parts)
    if isinstance(node, Product | Hadamard):
        return replace(node, factors=parts)
    if isinstance(node, Quotient):
        return replace(node, over=parts[0], under=parts[1])
    if isinstance(node, Power | MatrixPower):
        return replace(node, base=parts[0])
    if isinstance(node, Diagonal) or hasattr(node, "arg"):
        return replace(node, arg=parts[0])
    return replace(node, args=parts) if hasattr(node, "args") else replace(node, left=parts[0], right=parts[1])


def _norm(node: Node) -> Node:
    """1'|u| and 1'|U|1 as the norm that they are."""
    inner = [f for f in node.factors if not _is_ones(f)] if isinstance(node, Product) else []
    absolute = len(inner) == 1 and isinstance(inner[0], Map) and inner[0].function == "abs"
    return AbsoluteNorm(SCALAR, inner[0].args[0]) if absolute else node


def _is_ones(node: Node) -> bool:
    return isinstance(node, Ones) or (isinstance(node, Transpose) and isinstance(node.arg, Ones))


def _turned(node: Product) -> Node:
    """(C' B' A') as (A B C)'."""
    factors = tuple(transpose(f) for f in reversed(node.factors))
    return Transpose(node.shape, _with_powers(Product(node.shape[::-1], factors)))


def _with_powers(node: Product) -> Node:
    """The product with A A A as a power of A, where that is shorter."""
    factors: list[Node] = []
    for base, group in groupby(node.factors):
        times = len(list(group))
        power = _power(base, times) if times > 1 else base
        factors += [power] if count(power) < times * count(base) else [base] * times
    return factors[0] if len(factors) == 1 else replace(node, factors=tuple(factors))


def _power(base: Node, times: int) -> Node:
    """The power; of a transpose, the transpose of the power."""
    if isinstance(base, Transpose):
        return Transpose(base.shape, MatrixPower(base.shape, base.arg, times))
    return MatrixPower(base.shape, base, times)

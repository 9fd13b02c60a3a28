"""The order of terms in a sum and of factors in an entrywise product: by sign, length and name, never by identity."""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Expr

from symml.latex.tree import ONE, Leaf, Node, Ones, Product, Scale, Transpose, count, leaves


def split(node: Node) -> tuple[Expr, Node | None]:
    """Coefficient and the rest (None for a bare scalar)."""
    return (node.factor, node.arg) if isinstance(node, Scale) else (ONE, node)


def negative(node: Node) -> bool:
    """Does a term begin with a minus?"""
    return split(node)[0].could_extract_minus_sign()


def ordered(terms: Iterable[Node]) -> tuple[Node, ...]:
    """Positive terms first, long ones before short ones, bare scalars last; then by name."""
    return tuple(
        sorted(terms, key=lambda t: (negative(t), split(t)[1] is None, _spread(t), -_length(split(t)[1] or t), key(t)))
    )


def _length(node: Node) -> int:
    """A transposed name is as long as the name."""
    return count(node.arg if isinstance(node, Transpose) and isinstance(node.arg, Leaf) else node)


def _spread(term: Node) -> bool:
    """Is a term a vector spread over rows or columns? Such terms follow the others."""
    rest = split(term)[1]
    return isinstance(rest, Product) and any(
        isinstance(f, Ones | Transpose) and isinstance(getattr(f, "arg", f), Ones) for f in rest.factors
    )


def key(node: Node) -> str:
    """A text that orders nodes of one size: names, never numbers of identity."""
    return " ".join(t.name for t in leaves(node)) + f" {type(node).__name__}"

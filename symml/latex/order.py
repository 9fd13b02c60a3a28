"""The order of terms in a sum and of factors in an entrywise product: by sign, length and name, never by identity."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import sympy
from sympy import Expr

from symml.latex.tree import ONE, Leaf, Node, Ones, Product, Scale, Transpose, count, leaves


def split(node: Node) -> tuple[Expr, Node | None]:
    """Coefficient and the rest (None for a bare scalar)."""
    return (node.factor, node.arg) if isinstance(node, Scale) else (ONE, node)


def negative(node: Node) -> bool:
    """Does a term begin with a minus?"""
    return minus(split(node)[0])


def minus(e: Expr) -> bool:
    """Is a scalar written behind a minus? Not a product with a difference, which is turned for it: (1 - r) a, not -(r - 1) a."""
    return e.could_extract_minus_sign() and _difference(e) is None


def upright(e: Expr) -> Expr:
    """A scalar with the minus in front of a difference taken into it."""
    number, rest = e.as_coeff_Mul()
    f = _difference(rest) if number.is_negative else None
    return e if f is None else -number * (rest / f) * -f


def _difference(e: Expr) -> Expr | None:
    """The first factor that adds terms of both signs."""
    sums = (f for f in sympy.Mul.make_args(e) if f.is_Add)
    return next((f for f in sums if len({t.as_coeff_Mul()[0].is_negative for t in f.args}) == 2), None)


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


@lru_cache(maxsize=65536)
def key(node: Node) -> str:
    """A text that orders nodes of one size: names, never numbers of identity."""
    return " ".join(t.name for t in leaves(node)) + f" {type(node).__name__}"

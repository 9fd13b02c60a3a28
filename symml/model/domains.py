"""The sets that declarations name: `in {0, 1}`, `in (0, 1)`, `in K`, `in simplex`, `in psd`, `in ball(2)`.

domain_of(parse("[0, 1]"), dims)  ->  Domain("interval", 0, 1)
"""

from __future__ import annotations

from collections.abc import Mapping

from sympy import Expr

from symml.errors import SpecError, UnsupportedError
from symml.ir.program import Dim, Domain
from symml.model.constants import number
from symml.model.later import refused
from symml.source import Span
from symml.syntax import tree
from symml.syntax.words import nearest

# Sets of a whole array: what they say of every entry stands beside the kind.
STRUCTURED: Mapping[str, Domain] = {
    "simplex": Domain("simplex", lower=0.0, upper=1.0),
    "stochastic": Domain("stochastic", lower=0.0, upper=1.0),
    "symmetric": Domain("symmetric"),
    "psd": Domain("psd"),
    "ball": Domain("ball", lower=-1.0, upper=1.0),
}


def domain_of(node: tree.Expr, dims: Mapping[str, Dim | None]) -> Domain:
    """The domain that stands after `in`; SpecError where it is none."""
    if isinstance(node, tree.SetLiteral):
        return Domain("set", values=tuple(sorted(number(v) for v in node.items)))
    if isinstance(node, tree.Interval):
        low, high = number(node.low), number(node.high)
        if low >= high:
            raise SpecError(f"nothing lies between {low:g} and {high:g}", node.span)
        return Domain("interval", low, high, (not node.closed[0], not node.closed[1]))
    if isinstance(node, tree.Name) and node.id in dims:
        return Domain("label", size=dims[node.id])
    if isinstance(node, tree.Name) and node.id in STRUCTURED:
        return STRUCTURED[node.id]
    if isinstance(node, tree.Name):
        fix = nearest(node.id, (*dims, *STRUCTURED))
        raise UnsupportedError(f"the domain '{node.id}' is not supported yet", node.span, fix=fix)
    if isinstance(node, tree.Call) and node.function == "ball" and len(node.args) == 1:
        radius = number(node.args[0])
        if radius <= 0:
            raise SpecError(f"a ball of radius {radius:g} holds nothing to choose", node.span)
        return Domain("ball", lower=-radius, upper=radius)
    if isinstance(node, tree.Range | tree.SetBuilder | tree.Call):
        raise refused(node)
    raise SpecError("a domain is {0, 1}, (0, 1), a dim or a bound such as > 0", node.span)


def check_shape(name: str, shape: tuple[Expr, ...], domain: Domain, span: Span) -> None:
    """Sums need an axis, symmetry a square matrix; SpecError where the shape cannot have the domain."""
    if domain.kind in ("simplex", "stochastic") and not shape:
        raise SpecError(f"'{name}' is a number and cannot be in {domain.kind}", span, fix=f"{name}[n] in simplex")
    if domain.kind == "stochastic" and len(shape) < 2:
        raise SpecError(
            f"'{name}' has one axis: 'stochastic' means rows that add up to 1", span, fix=f"{name}[n] in simplex"
        )
    if domain.kind in ("psd", "symmetric") and (len(shape) != 2 or shape[0] != shape[1]):
        raise SpecError(f"'{name}' is no square matrix and cannot be {domain.kind}", span, fix=f"{name}[n, n]")

"""Values of the language while it is lowered: a shape and what stands at each element; the rules of products.

A 1-D value is a column; `row` marks a transposed one. The shape rules here are rules 10-12 of the language.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import sympy
from sympy import Expr

from symml.errors import SpecError
from symml.ir.program import REAL, Access, Domain, Tensor
from symml.source import Span

Element = Callable[[tuple[Expr, ...]], Expr]


@dataclass(frozen=True)
class Value:
    """`at(indices)` is the body of one element; `tensor` where the value is just that; `place` is for messages."""

    shape: tuple[Expr, ...]
    at: Element
    row: bool = False
    domain: Domain = REAL
    place: Span | None = None
    tensor: Tensor | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def scalar(self) -> Expr:
        assert not self.shape
        return self.at(())

    def described(self) -> str:
        """`column of n`, `row of d`, `matrix n x d`, `scalar`."""
        sizes = " x ".join(map(str, self.shape))
        kind = ("scalar", "row of " if self.row else "column of ", "matrix ")[self.rank] if self.rank < 3 else "array "
        return kind + sizes


def scalar(body: Expr, domain: Domain | None = None) -> Value:
    """A number or an element as a value."""
    return Value((), lambda _: body, domain=domain or REAL)


def of_tensor(t: Tensor) -> Value:
    """A tensor as a value."""
    return Value(t.shape, lambda idx: Access(t, idx), domain=t.domain, place=t.span, tensor=t)


def of_shape(shape: tuple[Expr, ...]) -> Value:
    """A value of which nothing but the shape is known."""
    return Value(shape, lambda idx: sympy.Dummy())


def elementwise(function: Callable[..., Expr], *args: Value) -> Value:
    """A function of values of one shape, scalars broadcast."""
    shaped = [a for a in args if a.rank]
    like = shaped[0] if shaped else args[0]
    return Value(
        like.shape,
        lambda idx: function(*(a.at(idx) if a.rank else a.scalar for a in args)),
        row=any(a.row for a in shaped),
    )


def transpose(a: Value) -> Value:
    """`A'`: a matrix turned, a column read as a row and back, a scalar itself."""
    if a.rank == 1:
        return replace(a, row=not a.row)
    if a.rank == 2:
        return replace(a, shape=a.shape[::-1], at=lambda idx: a.at(idx[::-1]), tensor=None)
    return a


def broadcast(a: Value, b: Value, span: Span, what: str) -> tuple[Value, Value]:
    """Both in one shape: equal shapes, a scalar with anything, `M + b` along the last dim (rule 11)."""
    if a.rank == 0 or b.rank == 0 or a.shape == b.shape:
        return a, b
    for big, small, swap in ((a, b, False), (b, a, True)):
        if big.rank == 2 and small.rank == 1 and small.shape[0] == big.shape[1] and big.shape[0] != big.shape[1]:
            wide = Value(big.shape, lambda idx, small=small: small.at(idx[1:]))
            return (wide, big) if swap else (big, wide)
    raise SpecError(f"{what} of a {a.described()} and a {b.described()}: the shapes differ", span, fix=_shape_fix(a, b))


def _shape_fix(a: Value, b: Value) -> str:
    if {a.rank, b.rank} == {1, 2}:
        return "a vector is added to a matrix along its last dim; otherwise write index form, such as M[i, j] + b[i]"
    return "both sides must have the same dims; transpose one with ' or write index form"


def product_kind(a: Value, b: Value, span: Span) -> str:
    """Which product juxtaposition means: scale, matmul, matvec, vecmat, dot, outer; refused ones name their fix."""
    if a.rank == 0 or b.rank == 0:
        return "scale"
    if a.rank > 2 or b.rank > 2:
        raise SpecError("a product of arrays with more than two dims is written in index form", span)
    kinds = {
        (2, 2): "matmul",
        (2, 1): "matvec" if not b.row else "",
        (1, 2): "vecmat",
        (1, 1): {(True, False): "dot", (False, True): "outer"}.get((a.row, b.row), ""),
    }
    kind = kinds[a.rank, b.rank]
    if not kind:
        raise SpecError(
            f"a {a.described()} times a {b.described()} has no meaning", span, fix="write u' v, u v', or u .* v"
        )
    if kind != "outer" and a.shape[-1] != b.shape[0]:
        raise SpecError(
            f"a {a.described()} times a {b.described()}: the inner dims {a.shape[-1]} and {b.shape[0]} differ",
            span,
            fix="transpose one of them with '",
        )
    return kind

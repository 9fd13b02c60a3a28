"""The expressions of the Tree, and what all its nodes share; read them through symml.syntax.tree.

1/n ||X w||^2
Binary("product", Binary("/", Number(1), Name("n")), Binary("^", Norm(Binary("product", ...)), Number(2)))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from symml.source import Span


@dataclass(frozen=True)
class Node:
    """Anything with a place; places do not take part in equality, so parse(format(t)) == t can hold."""

    span: Span = field(compare=False, repr=False, kw_only=True)


class Expr(Node):
    """An expression."""


@dataclass(frozen=True)
class Number(Expr):
    """A literal; `value` is an int where the text has neither point nor exponent."""

    value: int | float


@dataclass(frozen=True)
class Name(Expr):
    """A name in its ASCII spelling."""

    id: str


@dataclass(frozen=True)
class Call(Expr):
    """`f(a, b)`; with `bare`, `log p[i]`: a one-argument built-in without parentheses."""

    function: str
    args: tuple[Expr, ...]
    bare: bool = False


@dataclass(frozen=True)
class Index(Expr):
    """`a[i, j]`, `X[i]` (a row), `G(i)` is a Call."""

    base: Expr
    indices: tuple[Expr, ...]


@dataclass(frozen=True)
class Transpose(Expr):
    """`A'`."""

    arg: Expr


@dataclass(frozen=True)
class Negate(Expr):
    """The sign of a whole term."""

    arg: Expr


@dataclass(frozen=True)
class Binary(Expr):
    """`op`: + - * / .* ./ @ ^ .^ or `product` (juxtaposition); * / .* ./ @ product are one level, left-associative."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Binder(Node):
    """`i, j in S` of a reduction: several names over one set; `domain` is None where the use decides."""

    names: tuple[Name, ...]
    domain: Expr | None


@dataclass(frozen=True)
class Reduction(Expr):
    """`sum[i, j in S where cond] body`; kinds: sum prod mean min max argmin argmax logsumexp count (no body)."""

    kind: str
    binders: tuple[Binder, ...]
    where: Expr | None
    body: Expr | None


@dataclass(frozen=True)
class Norm(Expr):
    """`||x||`; `order` is "2" (Frobenius for matrices), "1" for `||x||_1`, "inf" for `||x||_inf`."""

    arg: Expr
    order: str = "2"


@dataclass(frozen=True)
class Bars(Expr):
    """`|x|`: absolute value, or the size of a set."""

    arg: Expr


@dataclass(frozen=True)
class Iverson(Expr):
    """`[test]`: 1 where the test holds, else 0."""

    test: Expr


@dataclass(frozen=True)
class Compare(Expr):
    """A chain `-2 <= x <= 5`; ops: < <= > >= = != in."""

    first: Expr
    rest: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True)
class Logic(Expr):
    """`a and b`, `a or b`, `not a`."""

    op: str
    args: tuple[Expr, ...]


@dataclass(frozen=True)
class Range(Expr):
    """`a..b`, both ends included."""

    low: Expr
    high: Expr


@dataclass(frozen=True)
class Each(Expr):
    """`x[t] <= x[t+1] for t in 0..n-2`: a relation that holds for every value of its indices."""

    relation: Expr
    ranges: tuple[Binder, ...]


@dataclass(frozen=True)
class Text(Expr):
    """A string literal."""

    value: str


@dataclass(frozen=True)
class SetLiteral(Expr):
    """`{0, 1}`."""

    items: tuple[Expr, ...]


@dataclass(frozen=True)
class SetBuilder(Expr):
    """`{i in n where y[i] = 1}`."""

    binders: tuple[Binder, ...]
    where: Expr | None


@dataclass(frozen=True)
class Interval(Expr):
    """`(0, 1)`, `[0, 1)` as a domain."""

    low: Expr
    high: Expr
    closed: tuple[bool, bool]


@dataclass(frozen=True)
class Cases(Expr):
    """`cases` with its lines `VALUE if TEST`; the test of `otherwise` is None."""

    rows: tuple[tuple[Expr, Expr | None], ...]


def walk(node: Node) -> Iterator[Node]:
    """A node and all nodes below it, without recursion: sums may be thousands of terms deep."""
    todo: list[object] = [node]
    while todo:
        part = todo.pop()
        if isinstance(part, Node):
            yield part
            todo += [getattr(part, f.name) for f in fields(part) if f.name not in ("span", "source")][::-1]
        elif isinstance(part, tuple):
            todo += part[::-1]

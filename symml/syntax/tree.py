"""The Tree: a spec's text as frozen values, one class for each production of grammar/symml.lark.

What comes in is nothing but the text; no name is resolved, no shape known. Every node has its place.
Names are already in their one ASCII spelling (`λ` reads `lambda`).

    minimize over w  1/n ||X w - y||^2
    Objective("minimize", over=(Name("w"),), value=Binary("product", ...), constraints=())
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from symml.source import Source, Span


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
    arg: Expr


@dataclass(frozen=True)
class Negate(Expr):
    """The sign of a whole term."""

    arg: Expr


@dataclass(frozen=True)
class Binary(Expr):
    """`op`: + - * / .* ./ @ ^ or `product` (juxtaposition); * / .* ./ @ product are one level, left-associative."""

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
class Text(Expr):
    """A string literal."""

    value: str


@dataclass(frozen=True)
class SetLiteral(Expr):
    """`{0, 1}`."""

    items: tuple[Expr, ...]


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


class Statement(Node):
    """A statement."""


@dataclass(frozen=True)
class Head(Statement):
    """`model NAME`, `optimizer NAME`, `distribution NAME(params) on DOMAIN`."""

    kind: str
    name: Name
    params: tuple[Declaration, ...] = ()
    support: Expr | None = None


@dataclass(frozen=True)
class Declaration(Node):
    """`name[shape] domain-or-bound flags = value | init value`, an item of dims, data, param, hyper, state.

    `bound` is `(op, expr)` for `> 0`, `("in", domain)` for `in {0, 1}`, `in simplex`, `in K`, `in (0, 1)`,
    `("subset", n)` for `subset of n`, and `("~", D)` for the argument `z ~ D` of a function;
    `flags` are bare words such as `standardised`, `undirected`, `symmetric`; `init` is the expression after `init`.
    """

    name: Name
    shape: tuple[Expr, ...] = ()
    bound: tuple[str, Expr] | None = None
    flags: tuple[str, ...] = ()
    value: Expr | None = None
    init: Expr | None = None


@dataclass(frozen=True)
class From(Node):
    """`from "path" label "column" columns 1..30`."""

    path: str
    label: str | None = None
    columns: Range | None = None


@dataclass(frozen=True)
class Declare(Statement):
    """`dims | data | param | hyper | state` with its items; data carry groups (items, their `from` or None)."""

    kind: str
    items: tuple[Declaration, ...]
    sources: tuple[tuple[tuple[Declaration, ...], From | None], ...] = ()


@dataclass(frozen=True)
class Option(Node):
    """`lr = 1e-3` in a method's brackets, `seed 0` in a split."""

    name: str
    value: Expr


@dataclass(frozen=True)
class Method(Node):
    """`adam(lr = 1e-3, batch = 128)`, `lbfgs`."""

    name: Name
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Split(Statement):
    """`split n into train 0.8, test 0.2 seed 0 stratified by y`."""

    dim: Name
    parts: tuple[tuple[Name, Expr], ...]
    seed: Expr | None = None
    stratified_by: Name | None = None


@dataclass(frozen=True)
class Define(Statement):
    """`p = ...`, `Y[i, c] = ...`, `alpha[t, k] = ...  for t in 1..T-1`."""

    target: Name
    indices: tuple[Expr, ...]
    value: Expr
    ranges: tuple[Binder, ...] = ()


@dataclass(frozen=True)
class Objective(Statement):
    """`minimize | maximize over w, b  value  subject to c1; c2`."""

    sense: str
    over: tuple[Name, ...]
    value: Expr
    constraints: tuple[Expr, ...] = ()


@dataclass(frozen=True)
class Train(Statement):
    """`train with METHOD until TEST`."""

    method: Method
    until: Expr | None = None


@dataclass(frozen=True)
class Predict(Statement):
    """`predict p`, `predict label = argmax[c] Z[i, c]`: an expression, named where it is not a plain name."""

    value: Expr
    name: Name | None = None


@dataclass(frozen=True)
class Report(Statement):
    """`report accuracy = VALUE  on test`."""

    name: Name
    value: Expr
    part: Name | None = None


@dataclass(frozen=True)
class Update(Statement):
    """`m <- beta1 m + (1 - beta1) g`, of optimizer files."""

    target: Name
    value: Expr


@dataclass(frozen=True)
class Use(Statement):
    """`use "file.symml"`."""

    path: str


@dataclass(frozen=True)
class Graph(Statement):
    """`graph G over n  from "edges.csv" undirected self_loops`."""

    name: Name
    over: Name
    source: From | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Function(Statement):
    """`define f(x[d]) = ...`, and on a distribution's page `logpdf(x) = ...`, `sample(z ~ StandardNormal) = ...`."""

    name: Name
    params: tuple[Declaration, ...]
    value: Expr


@dataclass(frozen=True)
class Distributed(Statement):
    """`theta[j] ~ Normal(mu, tau)`."""

    target: Name
    indices: tuple[Expr, ...]
    distribution: Expr
    ranges: tuple[Binder, ...] = ()


@dataclass(frozen=True)
class Solve(Statement):
    """`solve for V:  V[s] = max[a] ...`; each equation is a Compare."""

    over: tuple[Name, ...]
    equations: tuple[Expr, ...]


@dataclass(frozen=True)
class Infer(Statement):
    """`infer with nuts(chains = 4)`."""

    method: Method


@dataclass(frozen=True)
class Iterate(Statement):
    """`iterate x <- ... until TEST`."""

    target: Name
    value: Expr
    until: Expr


@dataclass(frozen=True)
class Growth(Statement):
    """`tree over X depth 8` and the indented definitions below it."""

    over: Name
    options: tuple[Option, ...] = ()
    body: tuple[Define, ...] = ()


@dataclass(frozen=True)
class Tree(Node):
    """A whole file: its statements in order, and the `#>` lines (expected output) with their line numbers."""

    source: Source = field(compare=False, repr=False)
    statements: tuple[Statement, ...]
    expected: tuple[tuple[int, str], ...] = ()


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

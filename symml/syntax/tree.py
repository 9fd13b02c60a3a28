"""The Tree: a spec's text as frozen values, one class for each production of grammar/symml.lark.

What comes in is nothing but the text; no name is resolved, no shape known. Every node has its place.
Names are already in their one ASCII spelling (`λ` reads `lambda`).

    minimize over w  1/n ||X w - y||^2
    Objective("minimize", over=(Name("w"),), value=Binary("product", ...), constraints=())
"""

from __future__ import annotations

from dataclasses import dataclass, field

from symml.source import Source
from symml.syntax.expressions import Bars as Bars
from symml.syntax.expressions import Binary as Binary
from symml.syntax.expressions import Binder as Binder
from symml.syntax.expressions import Call as Call
from symml.syntax.expressions import Cases as Cases
from symml.syntax.expressions import Compare as Compare
from symml.syntax.expressions import Each as Each
from symml.syntax.expressions import Expr as Expr
from symml.syntax.expressions import Index as Index
from symml.syntax.expressions import Interval as Interval
from symml.syntax.expressions import Iverson as Iverson
from symml.syntax.expressions import Logic as Logic
from symml.syntax.expressions import Name as Name
from symml.syntax.expressions import Negate as Negate
from symml.syntax.expressions import Node as Node
from symml.syntax.expressions import Norm as Norm
from symml.syntax.expressions import Number as Number
from symml.syntax.expressions import Range as Range
from symml.syntax.expressions import Reduction as Reduction
from symml.syntax.expressions import SetBuilder as SetBuilder
from symml.syntax.expressions import SetLiteral as SetLiteral
from symml.syntax.expressions import Text as Text
from symml.syntax.expressions import Transpose as Transpose
from symml.syntax.expressions import walk as walk


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
    `flags` are bare words such as `standardised`, `missing allowed`, and the role of `weight w[n]`; `init` is the
    expression after `init`; `choice` is what follows `chosen by`.
    """

    name: Name
    shape: tuple[Expr, ...] = ()
    bound: tuple[str, Expr] | None = None
    flags: tuple[str, ...] = ()
    value: Expr | None = None
    init: Expr | None = None
    choice: Choice | None = None


@dataclass(frozen=True)
class Choice(Node):
    """`chosen by smallest rmse on valid`: the reported figure that settles a hyper-parameter; sense "" is unsaid."""

    sense: str
    name: Name
    part: Name | None = None


@dataclass(frozen=True)
class From(Node):
    """`from "path" label "column" columns 1..30`; columns also `"a".."b"` (a Range of Text) or `{"a", "b"}`."""

    path: str
    label: str | None = None
    columns: Range | SetLiteral | None = None


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
    """`m <- beta1 m + (1 - beta1) g`, of optimizer files and of maps; with `flow`, `x' = a x - b x y`."""

    target: Name
    value: Expr
    flow: bool = False


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
    """`iterate x[i] <- ... from START until TEST`."""

    target: Name
    value: Expr
    until: Expr
    indices: tuple[Expr, ...] = ()
    start: Expr | None = None


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

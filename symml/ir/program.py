"""The Program: a sequence of indexed map-reduce statements in the accumulate form, and three nodes beside them.

    program   ::= inputs, nodes, outputs                           a tensor is complete before another node reads it
    node      ::= statement | library | scan | iterate
    statement ::= out[lhs ...]  (= | +=)  reduce  body  over loops  where guard
    reduce    ::= none | sum | prod | max | min | logsumexp | argmax | argmin
    library   ::= outs = op(args)                                  whole tensors, a row of ir/ops.py
    scan      ::= for s = 0, 1, ... (or back), statements          a recurrence; its tensors hold every step
    iterate   ::= x = start, then x = next(x) until a test         a fixed point
    lhs, access index ::= integer sympy expression over Index symbols, Dims and integer accesses (a gather)
    body      ::= sympy expression over Accesses, Dims and Indexes, with the functions of ir/functions.py

`=` writes each element once, `+=` adds into a tensor that starts at zero; the loops that the left side does not
hold are reduced. Several `+=` statements of one tensor form one definition. Within a scan the index of the steps is
bound outside the loops of its statements; what they write may be read at earlier steps, and statements before the
scan give the first elements.

    i, j = Index("i", n), Index("j", d)
    Statement(z, (i,), "=", "sum", (i, j), X[i, j] * w[j])
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import sympy
from sympy import Expr, Symbol

from symml import names
from symml.source import Span


class Dim(Symbol):
    """A symbolic size such as n; a positive integer, usable in bodies (`1/n`)."""

    __slots__ = ("uid",)

    def __new__(cls, name: str) -> Dim:
        self = Symbol.__xnew__(cls, name, integer=True, positive=True)
        self.uid = names.number()
        return self

    def _hashable_content(self) -> tuple:
        return (*Symbol._hashable_content(self), self.uid)


class Index(Symbol):
    """A loop index with its range 0..size-1; identity is the number, never the letter, so nothing is captured."""

    __slots__ = ("size", "uid")

    def __new__(cls, name: str, size: Expr) -> Index:
        self = Symbol.__xnew__(cls, name, integer=True, nonnegative=True)
        self.uid, self.size = names.number(), size
        return self

    def _hashable_content(self) -> tuple:
        return (*Symbol._hashable_content(self), self.uid)

    def fresh(self) -> Index:
        """Another index of the same letter and range."""
        return Index(self.name, self.size)


@dataclass(frozen=True)
class Domain:
    """What a declaration says of the entries.

    kind: real, interval (lower, upper, open ends), set (values), subset (0 or 1), label (codes 0..size-1),
    length (1..size), integer, noise (standard normal, drawn anew in each step);
    end: tail or head, of the edges of a graph.
    """

    kind: str = "real"
    lower: float | None = None
    upper: float | None = None
    open: tuple[bool, bool] = (False, False)
    values: tuple[float, ...] = ()
    size: Expr | None = None
    end: str = ""

    @property
    def positive(self) -> bool:
        return self.lower is not None and (self.lower > 0 or (self.lower == 0 and self.open[0]))

    @property
    def nonnegative(self) -> bool:
        return (self.lower is not None and self.lower >= 0) or bool(self.values and min(self.values) >= 0)


REAL = Domain()


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named array; identity is the object. kind: data, param, hyper, definition (of the page), temp (made here)."""

    name: str
    shape: tuple[Expr, ...] = ()
    kind: str = "temp"
    domain: Domain = REAL
    span: Span | None = None
    adjoint_of: Tensor | None = None
    uid: int = field(default_factory=names.number)

    @property
    def integer(self) -> bool:
        return self.domain.kind in ("label", "length", "integer")

    def __getitem__(self, idx: Expr | tuple[Expr, ...]) -> Access:
        return Access(self, idx if isinstance(idx, tuple) else (idx,))

    def __repr__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.shape))}]"


class Access(Symbol):
    """One element `T[ix, ...]` as a real symbol of a body; sympy differentiates with respect to it."""

    __slots__ = ("idx", "tensor")

    def __new__(cls, tensor: Tensor, idx: Iterable[Expr]) -> Access:
        idx = tuple(sympy.Integer(k) if isinstance(k, int) else k for k in idx)
        assert len(idx) == len(tensor.shape), f"{tensor} with {len(idx)} indices"
        text = f"{tensor.name}[{','.join(map(str, idx))}]" if idx else tensor.name
        facts: dict[str, bool] = {"integer": True, "nonnegative": True} if tensor.integer else {"real": True}
        if tensor.domain.positive:
            facts["positive"] = True  # an assumption is given only where known: False would mean "never"
        elif tensor.domain.nonnegative:
            facts["nonnegative"] = True
        self = Symbol.__xnew__(cls, text, **facts)
        self.tensor, self.idx = tensor, idx
        return self

    def _hashable_content(self) -> tuple:
        return (*Symbol._hashable_content(self), self.tensor.uid, *self.idx)


@dataclass(frozen=True)
class Statement:
    """`out[lhs] mode reduce body over loops where guard`."""

    out: Tensor
    lhs: tuple[Expr, ...]
    mode: str
    reduce: str
    loops: tuple[Index, ...]
    body: Expr
    guard: Expr | None = None
    span: Span | None = field(default=None, compare=False)

    @property
    def reduced(self) -> tuple[Index, ...]:
        """The loops on which the left side does not depend."""
        held = set().union(*map(indices, self.lhs))
        return tuple(k for k in self.loops if k not in held)

    @property
    def is_map(self) -> bool:
        """One element in, one out, each exactly once: what may be inlined."""
        return self.mode == "=" and self.reduce == "none" and self.guard is None and self.covers

    @property
    def covers(self) -> bool:
        """The left side is distinct plain indices over whole axes: every element is written, once a reduced loop."""
        whole = zip(self.lhs, self.out.shape, strict=True)
        return len(set(self.lhs)) == len(self.lhs) and all(isinstance(k, Index) and k.size == n for k, n in whole)

    def with_body(self, body: Expr) -> Statement:
        return self if body is self.body or body == self.body else replace(self, body=body)


@dataclass(frozen=True)
class Scan:
    """The statements once for each value of `step`, upward or, with `reverse`, downward."""

    step: Index
    reverse: bool
    statements: tuple[Statement, ...]
    span: Span | None = field(default=None, compare=False)

    def with_statements(self, statements: Iterable[Statement]) -> Scan:
        return _changed(self, statements)


@dataclass(frozen=True)
class Library:
    """`outs = op(args)` on whole tensors; `op` is a row of ir/ops.py."""

    op: str
    outs: tuple[Tensor, ...]
    args: tuple[Tensor, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Iterate:
    """x = start; then the statements give `next` from x, and x = next, until `gap` < tolerance or `most` rounds.

    states: (x, start, next) for each tensor that moves; gap: a scalar among what the statements define. After the node,
    each x is the last one. What the statements define besides is not read outside.
    """

    states: tuple[tuple[Tensor, Tensor, Tensor], ...]
    statements: tuple[Statement | Library, ...]
    gap: Tensor
    tolerance: float
    most: int
    span: Span | None = field(default=None, compare=False)

    def with_statements(self, statements: Iterable[Statement | Library]) -> Iterate:
        return _changed(self, statements)


Node = Statement | Scan | Library | Iterate


def _changed(node: Program | Scan | Iterate, statements: Iterable) -> Program | Scan | Iterate:
    """The node with other statements; itself where all are the same objects."""
    new = tuple(statements)
    same = len(new) == len(node.statements) and all(a is b for a, b in zip(new, node.statements, strict=True))
    return node if same else replace(node, statements=new)


@dataclass(frozen=True)
class Program:
    """Inputs, nodes in order, and the named tensors that are asked for.

    requires: expressions of dims that must be 0 or more, such as n - k where the k largest of n are read; they are
    checked when the sizes are known.
    """

    inputs: tuple[Tensor, ...]
    statements: tuple[Node, ...]
    outputs: Mapping[str, Tensor]
    requires: tuple[Expr, ...] = ()

    def with_statements(self, statements: Iterable[Node]) -> Program:
        return _changed(self, statements)

    def tensors(self) -> tuple[Tensor, ...]:
        """Inputs, then the defined tensors in order of definition."""
        return (*self.inputs, *dict.fromkeys(t for node in self.statements for t in outs(node)))

    def mapped(self, change: Callable[[Statement], Statement]) -> Program:
        """The program with every statement changed, those inside of scans and iterations too."""
        return self.with_statements(mapped(node, change) for node in self.statements)


def mapped(node: Node, change: Callable[[Statement], Statement]) -> Node:
    """A node with each of its statements changed."""
    if isinstance(node, Statement):
        return change(node)
    return node if isinstance(node, Library) else node.with_statements(mapped(s, change) for s in node.statements)


def flat(nodes: Iterable[Node]) -> Iterator[Statement]:
    """All statements, those inside of scans and iterations too."""
    for node in nodes:
        if isinstance(node, Statement):
            yield node
        elif not isinstance(node, Library):
            yield from flat(node.statements)


def outs(node: Node) -> tuple[Tensor, ...]:
    """The tensors that a node defines, or adds to."""
    if isinstance(node, Statement):
        return (node.out,)
    if isinstance(node, Library):
        return node.outs
    inside = dict.fromkeys(t for s in node.statements for t in outs(s))
    return tuple(inside) if isinstance(node, Scan) else (*(x for x, _, _ in node.states), *inside)


def accesses(expr: Expr) -> tuple[Access, ...]:
    """The accesses of an expression in a stable order, those inside gathered indices included."""
    found: dict[Access, None] = {}
    for atom in expr.atoms(Access):
        found[atom] = None
        for k in atom.idx:
            if not isinstance(k, Index):
                found.update(dict.fromkeys(accesses(k)))
    return tuple(sorted(found, key=lambda a: (a.name, a.tensor.uid)))  # the name holds the indices as text


def direct_accesses(expr: Expr) -> tuple[Access, ...]:
    """Like `accesses`, without those inside gathered indices: the ones a derivative passes through."""
    return tuple(sorted(expr.atoms(Access), key=lambda a: (a.name, a.tensor.uid)))


def parts(statement: Statement) -> tuple[Expr, ...]:
    """Every expression of a statement that reads elements."""
    return (statement.body, *statement.lhs, *(() if statement.guard is None else (statement.guard,)))


def reads(node: Node) -> tuple[Tensor, ...]:
    """The tensors that a node reads, its own earlier elements included, in a stable order."""
    if isinstance(node, Statement):
        return tuple(dict.fromkeys(a.tensor for part in parts(node) for a in accesses(part)))
    if isinstance(node, Library):
        return node.args
    inside = [t for s in node.statements for t in reads(s)]
    if isinstance(node, Iterate):
        inside = [*(start for _, start, _ in node.states), *inside]
    return tuple(dict.fromkeys(inside))


def dependents(nodes: Iterable[Node], wrt: Iterable[Tensor]) -> frozenset[Tensor]:
    """The tensors that depend on some inputs, these included."""
    found = set(wrt)
    for node in nodes:
        if not found.isdisjoint(reads(node)):
            found.update(outs(node))
    return frozenset(found)


def whole(node: Node) -> tuple[Tensor, ...]:
    """What a node reads or hands on as a tensor, not element by element."""
    if isinstance(node, Library):
        return (*node.args, *node.outs)
    return (*outs(node), *(t for state in node.states for t in state)) if isinstance(node, Iterate) else ()


def read_once(program: Program, keep: Iterable[Tensor]) -> dict[Tensor, Statement]:
    """Intermediates with one plain definition, a map or a sum, that are read at one place; without outputs and `keep`."""
    statements = list(flat(program.statements))
    uses = Counter(a.tensor for s in statements for part in parts(s) for a in accesses(part))
    direct = Counter(a.tensor for s in statements for a in direct_accesses(s.body))
    often = Counter(s.out for s in statements)
    fixed = {*(t for n in program.statements for t in whole(n)), *program.outputs.values(), *keep}
    return {
        s.out: s
        for s in statements
        if often[s.out] == uses[s.out] == direct[s.out] == 1
        and s.out not in fixed
        and s.out.kind != "definition"
        and not s.out.integer
        and (s.mode, s.guard) == ("=", None)
        and s.covers
        and s.reduce in ("none", "sum")
    }


def substitute(expr: Expr, mapping: Mapping[Expr, Expr]) -> Expr:
    """Replace Indexes, Dims and Accesses at once; indices inside accesses are replaced too."""
    if not mapping:
        return expr
    table = dict(mapping)
    for access in expr.atoms(Access):
        if access in mapping:
            continue
        idx = tuple(substitute(k, mapping) for k in access.idx)
        if idx != access.idx:
            table[access] = Access(access.tensor, idx)
    return expr.xreplace(table)


def reindex(statement: Statement, mapping: Mapping[Expr, Expr]) -> Statement:
    """The statement with indices, dims or accesses replaced in every part; mapped loops must map to Indexes."""
    return replace(
        statement,
        lhs=tuple(substitute(k, mapping) for k in statement.lhs),
        loops=tuple(mapping.get(k, k) for k in statement.loops),
        body=substitute(statement.body, mapping),
        guard=None if statement.guard is None else substitute(statement.guard, mapping),
    )


def read_instead(statement: Statement, other: Mapping[Tensor, Tensor]) -> Statement:
    """The statement reading other tensors in the place of some."""
    if not any(t in other for t in reads(statement)):
        return statement
    guard = None if statement.guard is None else elsewhere(statement.guard, other)
    lhs = tuple(elsewhere(k, other) for k in statement.lhs)
    return replace(statement, lhs=lhs, body=elsewhere(statement.body, other), guard=guard)


def renamed_node(node: Node, other: Mapping[Tensor, Tensor]) -> Node:
    """A node that defines and reads other tensors in the place of some."""
    if isinstance(node, Library):
        return replace(
            node, outs=tuple(other.get(t, t) for t in node.outs), args=tuple(other.get(t, t) for t in node.args)
        )
    if isinstance(node, Statement):
        s = read_instead(node, other)
        return replace(s, out=other.get(s.out, s.out))
    node = node.with_statements(renamed_node(s, other) for s in node.statements)
    if isinstance(node, Iterate):
        states = tuple(tuple(other.get(t, t) for t in three) for three in node.states)
        node = replace(node, states=states, gap=other.get(node.gap, node.gap))
    return node


def renamed(program: Program, other: Mapping[Tensor, Tensor]) -> Program:
    """A program with other tensors in the place of some, everywhere."""
    if not other:
        return program
    return replace(
        program,
        inputs=tuple(other.get(t, t) for t in program.inputs),
        statements=tuple(renamed_node(node, other) for node in program.statements),
        outputs={name: other.get(t, t) for name, t in program.outputs.items()},
    )


def elsewhere(expr: Expr, other: Mapping[Tensor, Tensor]) -> Expr:
    """An expression reading other tensors in the place of some, in gathered indices too."""
    table = {}
    for a in expr.atoms(Access):
        b = Access(other.get(a.tensor, a.tensor), tuple(elsewhere(k, other) for k in a.idx))
        if b != a:
            table[a] = b
    return expr.xreplace(table) if table else expr


def refresh(statement: Statement) -> Statement:
    """The same statement over fresh indices."""
    return reindex(statement, {k: k.fresh() for k in statement.loops})


def indices(expr: Expr) -> set[Index]:
    """The indices an expression depends on, through accesses too."""
    found = set(expr.atoms(Index))
    for access in expr.atoms(Access):
        for k in access.idx:
            found |= indices(k)
    return found


def fresh_indices(shape: Iterable[Expr], letters: str = "ijklmpqr") -> tuple[Index, ...]:
    """One index for each axis, lettered in order."""
    return tuple(Index(letters[k], size) for k, size in enumerate(shape))


def change(pairs: Iterable[tuple[Tensor, Tensor]], allocator: names.Names) -> tuple[Tensor, list[Statement]]:
    """sqrt(sum (new - old)^2) over all pairs, as statements that define the scalar returned."""
    squares, out = [], []
    for new, old in pairs:
        square, k = Tensor(allocator.fresh("gap")), fresh_indices(new.shape)
        out.append(Statement(square, (), "=", "sum" if k else "none", k, (Access(new, k) - Access(old, k)) ** 2))
        squares.append(square[()])
    gap = Tensor(allocator.fresh("gap"))
    return gap, [*out, Statement(gap, (), "=", "none", (), sympy.sqrt(sympy.Add(*squares)))]

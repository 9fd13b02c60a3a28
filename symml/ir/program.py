"""The Program: a sequence of indexed map-reduce statements in the accumulate form.

    program   ::= inputs, statements, outputs                      each tensor is defined by one run of statements
    statement ::= out[lhs ...]  (= | +=)  reduce  body  over loops  where guard
    reduce    ::= none | sum | prod | max | min | logsumexp | argmax | argmin
    lhs, access index ::= integer sympy expression over Index symbols, Dims and integer accesses (a gather)
    body      ::= sympy expression over Accesses, Dims and Indexes, with the functions of ir/functions.py

`=` writes each element once, `+=` adds into a tensor that starts at zero; the loops that the left side does not
hold are reduced. Several `+=` statements of one tensor stand together and form one definition.

    i, j = Index("i", n), Index("j", d)
    Statement(z, (i,), "=", "sum", (i, j), X[i, j] * w[j])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

    kind: real, interval (lower, upper, open ends), set (values), label (codes 0..size-1), integer.
    """

    kind: str = "real"
    lower: float | None = None
    upper: float | None = None
    open: tuple[bool, bool] = (False, False)
    values: tuple[float, ...] = ()
    size: Expr | None = None

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
        return self.domain.kind in ("label", "integer")

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
        """The left side is distinct plain indices: every element is written, once for each reduced loop."""
        return len(set(self.lhs)) == len(self.lhs) and all(isinstance(k, Index) for k in self.lhs)

    def with_body(self, body: Expr) -> Statement:
        return self if body is self.body or body == self.body else replace(self, body=body)


@dataclass(frozen=True)
class Program:
    """Inputs, statements in order, and the named tensors that are asked for."""

    inputs: tuple[Tensor, ...]
    statements: tuple[Statement, ...]
    outputs: Mapping[str, Tensor]

    def with_statements(self, statements: Iterable[Statement]) -> Program:
        new = tuple(statements)
        same = len(new) == len(self.statements) and all(a is b for a, b in zip(new, self.statements, strict=True))
        return self if same else replace(self, statements=new)

    def tensors(self) -> tuple[Tensor, ...]:
        """Inputs, then the defined tensors in order of definition."""
        return (*self.inputs, *dict.fromkeys(s.out for s in self.statements))


def accesses(expr: Expr) -> tuple[Access, ...]:
    """The accesses of an expression in a stable order, those inside gathered indices included."""
    found: dict[Access, None] = {}
    for atom in expr.atoms(Access):
        found[atom] = None
        for k in atom.idx:
            if not isinstance(k, Index):
                found.update(dict.fromkeys(accesses(k)))
    return tuple(sorted(found, key=lambda a: (a.name, a.tensor.uid, tuple(str(k) for k in a.idx))))


def direct_accesses(expr: Expr) -> tuple[Access, ...]:
    """Like `accesses`, without those inside gathered indices: the ones a derivative passes through."""
    return tuple(sorted(expr.atoms(Access), key=lambda a: (a.name, a.tensor.uid)))


def reads(statement: Statement) -> tuple[Tensor, ...]:
    """The tensors that a statement reads, in a stable order."""
    parts = [statement.body, *statement.lhs, *([statement.guard] if statement.guard is not None else [])]
    return tuple(dict.fromkeys(a.tensor for part in parts for a in accesses(part)))


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

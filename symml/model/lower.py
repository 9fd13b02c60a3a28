"""Expressions of the Tree to statements: index form and matrix form give the same Program.

A value is lowered to its element (`Value.at`); a reduction becomes a statement of its own over the free indices of its
body, so nothing is nested and everything can be shared. Definitions are lowered on demand, in any order.

    p = sigmoid(X w + b)        t1[i] = sum[j] X[i, j]*w[j];   p[i] = sigmoid(t1[i] + b)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import NoReturn

import sympy
from sympy import Expr

from symml.errors import SpecError, SymmlError, SymmlErrors, UnsupportedError
from symml.ir.functions import canonical
from symml.ir.program import (
    Access,
    Dim,
    Domain,
    Index,
    Node,
    Program,
    Statement,
    Tensor,
    change,
    fresh_indices,
    indices,
    reindex,
)
from symml.ir.reducers import REDUCERS
from symml.model import feasible, iteration, left, noise, recurrence, sets
from symml.model.expressions import HANDLERS, test
from symml.model.later import refused
from symml.model.model import Graph, Model
from symml.model.values import Value, of_tensor, scalar
from symml.names import Names
from symml.source import Span
from symml.syntax import tree
from symml.syntax.words import nearest

Env = Mapping[str, Expr]
IN_PLACE = (feasible.IDENTITY, noise.STANDARD)  # names with a meaning in some places
CONSTANTS = {"pi": sympy.pi, "e": sympy.E}
UNKNOWN = {
    "": "declare it or define it",
    "I": "beside a square matrix it is the identity, A + I; eye(n) is it anywhere",
}
MOST_ERRORS = 100  # of definitions: enough to mend before the next try


class PoisonedName(SymmlError):
    """A name whose own definition was wrong; that was reported there."""


@dataclass
class Lowering:
    """The state of one lowering: what the names mean, the statements so far."""

    dims: Mapping[str, Dim]
    tensors: Mapping[str, Tensor]
    definitions: Mapping[str, tuple[tree.Define, ...]]
    star_multiplies: bool = False
    constants: Mapping[int, tuple[Expr, ...]] = field(default_factory=dict)
    statements: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    expanding: set[str] = field(default_factory=set)
    expanded: dict[tuple, Value] = field(default_factory=dict)
    opened: list[tuple] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    graphs: Mapping[str, Graph] = field(default_factory=dict)
    degrees: dict[str, Tensor] = field(default_factory=dict)
    iterations: Mapping[str, tree.Iterate] = field(default_factory=dict)
    requires: dict[Expr, Span] = field(default_factory=dict)
    parts: set[Index] = field(default_factory=set)
    noise: list[Tensor] = field(default_factory=list)
    lacking: bool = False  # may data lack entries?
    lines: tuple[tree.Expr, ...] = ()  # what is asked for beside the definitions: they tell what indices run over
    firsts: dict[str, tuple[Expr, ...]] = field(default_factory=dict)  # of definitions whose axes begin above 0
    functions: Mapping[str, tree.Function] = field(default_factory=dict)
    awaited: frozenset[str] = frozenset()  # definitions that read an iteration whose shape is not known yet
    called: list[str] = field(default_factory=list)  # functions of the page that are being lowered
    local: Mapping[str, Value] = field(default_factory=dict)  # the parameters of the last of them
    peeking: bool = False  # are shapes looked up without lowering what has none yet?

    def __post_init__(self) -> None:
        self.names = Names((*self.dims, *self.tensors, *self.definitions))
        self.groups = recurrence.groups(self.definitions)

    # names

    def named(self, name: str, span: Span) -> Value:
        """What a name stands for outside index position."""
        if name in self.local:
            return self.local[name]
        if name in self.tensors:
            return of_tensor(self.tensors[name])
        if name in self.values:
            return self.values[name]
        if name in self.definitions:
            return self.define(name, span)
        if name in self.iterations:
            return self.fixed_point(name)
        if name in self.dims:
            return scalar(self.dims[name])
        if name in self.broken:
            raise PoisonedName(name, span)
        if name in CONSTANTS:
            return scalar(CONSTANTS[name])
        known = (*self.tensors, *self.definitions, *self.iterations, *self.dims)
        raise SpecError(f"unknown name '{name}'", span, fix=nearest(name, known) or UNKNOWN.get(name, UNKNOWN[""]))

    def fixed_point(self, name: str) -> Value:
        """Lower an iteration where its target is first used."""
        if name in self.pending:
            self.circle(self.pending[self.pending.index(name) :])
        if name in self.broken:
            raise PoisonedName(name, self.iterations[name].span)
        outer, self.pending = self.pending, [name]  # what waits for the fixed point may be part of its rounds
        rounds = {**self.definitions, **{n: (node,) for n, node in self.iterations.items()}}
        self.awaited = recurrence.groups(rounds)[name]
        try:
            self.values[name] = iteration.define(self, self.iterations[name])
        except SymmlError:
            self.broken.add(name)
            self.values.pop(name, None)
            raise
        finally:
            self.pending, self.awaited = outer, frozenset()
        return self.values[name]

    def change(self, pairs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[Statement]]:
        """The norm of a change as statements."""
        return change(pairs, self.names)

    def define(self, name: str, span: Span) -> Value:
        """Lower a definition where it is first used; a definition that needs itself is a cycle."""
        nodes = self.definitions[name]
        inside, self.local = self.local, {}
        try:
            return self._defined(name, nodes, span)
        finally:
            self.local = inside

    def _defined(self, name: str, nodes: tuple[tree.Define, ...], span: Span) -> Value:
        if name in self.pending:
            self.circle(self.pending[self.pending.index(name) :])
        if name in self.broken:
            raise PoisonedName(name, span)
        self.pending.append(name)
        try:
            if self.groups[name] or recurrence.is_cut(nodes):
                recurrence.define(self, self.groups[name], name)
            if name not in self.values:
                self.values[name] = self.definition(nodes[0])
        except SymmlError:
            self.broken.add(name)
            raise
        finally:
            self.pending.pop()
        return self.values[name]

    def circle(self, names: Sequence[str]) -> NoReturn:
        """Refuse definitions that need each other."""
        found = {**self.iterations, **{n: nodes[0] for n, nodes in self.definitions.items()}}
        places = ", ".join(f"{n} at line {found[n].span.line}" for n in names)
        raise SpecError(
            f"definitions in a circle: {' -> '.join((*names, names[0]))} ({places})",
            found[names[0]].target.span,
            fix="a recurrence is written with its index, x[0] = ... and x[t] = ... for t in 1..T-1",
        )

    def definition(self, node: tree.Define) -> Value:
        """The value of a definition without cases, under its name."""
        if isinstance(node.value, tree.Call) and node.value.function == "draw":
            return noise.define(self, node)
        if isinstance(node.value, tree.SetBuilder):
            return sets.define(self, node)
        env: dict[str, Expr] = {}
        own: list[Index] = []
        firsts: list[Expr] = []
        for p, k in enumerate(node.indices):
            if k.id in env:
                raise SpecError(f"index '{k.id}' stands twice on the left", k.span)
            first, size = left.index_run(self, node, p)
            own.append(Index(k.id, size))
            firsts.append(first)
            env[k.id] = own[-1] + first
        self.parts.update(k for p, k in enumerate(own) if left.said(node, p) is not None)
        value = self.expression(node.value, env)
        rest = fresh_indices(value.shape, "pqrijklm" if env else "ijklmpqr")
        loops = (*own, *rest)
        body = canonical(value.at(rest))
        foreign = indices(body) - set(loops)
        assert not foreign, foreign
        tensor = Tensor(node.target.id, tuple(k.size for k in loops), "definition", value.domain, node.target.span)
        tensor = self._name(tensor, loops, body, node.span)
        if any(first != 0 for first in firsts):
            self.firsts[node.target.id] = tuple(firsts)
        return replace(of_tensor(tensor), row=value.row and not env)

    def shape_of(self, name: str, span: Span) -> tuple[Expr, ...] | None:
        """The shape of what a name stands for; None where it is no array, or is being lowered."""
        if name in self.local:
            return self.local[name].shape
        if name in self.tensors:
            return self.tensors[name].shape
        if name in self.values:
            return self.values[name].shape
        if (
            self.peeking
            or name in self.awaited
            or name in self.pending
            or any(name in self.groups.get(p, ()) for p in self.pending)
        ):
            return None
        return self.named(name, span).shape if name in self.definitions or name in self.iterations else None

    def whole(self, value: Value, span: Span) -> Tensor:
        """A value as a tensor, for what needs it whole."""
        if value.tensor is not None:
            return value.tensor
        loops = fresh_indices(value.shape)
        tensor = Tensor(self.names.fresh("t"), value.shape, domain=value.domain)
        body = canonical(value.at(loops))
        if indices(body) - set(loops):
            raise UnsupportedError("an operation on whole matrices for each index is not supported yet", span)
        self.statements.append(Statement(tensor, loops, "=", "none", loops, body, span=span))
        return tensor

    def at(self, name: tree.Name, idx: tuple[Expr, ...]) -> Value:
        """A definition written out at given indices: part of a recurrence without cases of its own."""
        key = (name.id, idx)
        if key not in self.expanded:
            if key in self.opened:
                self.circle([n for n, _ in self.opened])
            self.opened.append(key)
            try:
                self.expanded[key] = recurrence.expand(self, self.definitions[name.id][0], idx)
            finally:
                self.opened.pop()
        return self.expanded[key]

    def _name(self, tensor: Tensor, loops: tuple[Index, ...], body: Expr, span: Span) -> Tensor:
        """Define a named tensor; a definition that is just the last temporary gives it its name instead of a copy."""
        last = self.statements[-1] if self.statements else None
        whole = isinstance(last, Statement) and last.covers and last.out.kind == "temp"
        if whole and isinstance(body, Access) and body.tensor is last.out and body.idx == loops:
            table = dict(zip(last.lhs, loops, strict=True))
            tensor = replace(tensor, domain=last.out.domain)
            self.statements[-1] = replace(reindex(last, table), out=tensor, span=span)
        else:
            self.statements.append(Statement(tensor, loops, "=", "none", loops, body, span=span))
        return tensor

    # statements

    def reduce(
        self,
        kind: str,
        over: tuple[Index, ...],
        body: Expr,
        span: Span | None,
        keep: tuple[Index, ...] = (),
        guard: Expr | None = None,
    ) -> tuple[Tensor, tuple[Index, ...]]:
        """A statement that reduces `over`; returns its tensor and the free indices that index it, `keep` last."""
        body = canonical(body)
        bound = indices(body) | (indices(guard) if guard is not None else set())
        free = tuple(sorted(bound - set(over) - set(keep), key=lambda k: k.uid))
        lhs = (*free, *keep)
        domain = Domain("label", size=over[0].size) if REDUCERS[kind].integer else Domain()
        out = Tensor(self.names.fresh("t"), tuple(k.size for k in lhs), domain=domain)
        self.statements.append(Statement(out, lhs, "=", kind, (*lhs, *over), body, guard, span))
        return out, free

    def contract(
        self, shape: tuple[Expr, ...], size: Expr, element: Callable[[tuple, Index], Expr], span: Span
    ) -> Value:
        """sum over one index of `element(outer indices, summed index)` as a value of the given shape."""
        outer = fresh_indices(shape)
        (j,) = fresh_indices((size,), "jklmpq"[len(shape) - 1 :] or "j") if shape else fresh_indices((size,))
        out, free = self.reduce("sum", (j,), element(outer, j), span, keep=outer)
        return Value(shape, lambda idx: Access(out, (*free, *idx)))

    def expression(self, node: tree.Expr, env: Env) -> Value:
        """The value of an expression under the indices that are bound around it."""
        handler = HANDLERS.get(type(node))
        if handler is None:
            raise refused(node)
        return replace(handler(self, node, env), place=node.span)

    def require(self, difference: Expr, span: Span) -> bool:
        """Note that an expression of dims must be 0 or more; False where it is known to be negative."""
        difference = sympy.expand(difference)
        if not difference.is_nonnegative and not difference.is_negative:
            self.requires.setdefault(difference, span)
        return not difference.is_negative

    def test(self, node: tree.Expr, env: Env) -> Value:
        """A test as a number 0 or 1."""
        return test(self, node, env)

    def declared(self, size: Expr) -> str:
        """Where a size was declared first, for messages."""
        for tensor in self.tensors.values():
            if size in tensor.shape and tensor.span:
                return f" (declared with '{tensor.name}' at line {tensor.span.line})"
        return ""

    def total(self, kind: str, a: Value, span: Span) -> Value:
        """A reduction of all entries of a value."""
        if not a.rank:
            return a
        over = fresh_indices(a.shape)
        out, free = self.reduce(kind, over, a.at(over), span)
        return scalar(Access(out, free))

    def output(self, key: str, value: Value, objective: tree.Objective | None = None) -> Tensor:
        """A value as a tensor that is asked for; a loss that is maximised changes its sign."""
        loops = fresh_indices(value.shape)
        body = canonical(value.at(loops))
        if key == "loss" and objective is not None and objective.sense == "maximize":
            body = -body
        if isinstance(body, Access) and body.idx == loops and body.tensor.kind in ("temp", "definition"):
            return body.tensor
        tensor = Tensor(self.names.claim(key.split()[-1]), value.shape, domain=value.domain)
        self.statements.append(Statement(tensor, loops, "=", "none", loops, body, span=value.place))
        return tensor

    def finished(self, values: Mapping[str, Value], inputs: tuple[Tensor, ...]) -> Program:
        """The program of some values."""
        outputs = {key: self.output(key, value) for key, value in values.items()}
        return Program(inputs, tuple(self.statements), outputs, tuple(self.requires))


def lower_all(lowering: Lowering, names: Iterable[str]) -> list[SymmlError]:
    """Lower every definition; the mistakes of all of them, not the echoes of one in another."""
    errors: list[SymmlError] = []
    for name in names:
        if name in lowering.values or name in lowering.broken:
            continue
        circle = lowering.groups[name]
        cut = any(recurrence.is_cut(lowering.definitions[n]) for n in circle)
        if cut and not recurrence.is_cut(lowering.definitions[name]):
            continue  # written out in the recurrence that needs it, which is lowered itself
        before = frozenset(lowering.broken)
        try:
            lowering.define(name, lowering.definitions[name][0].span)
        except SymmlError as error:
            errors += told(lowering, error, lowering.definitions[name], before)
            lowering.broken.update(() if cut else circle)  # a circle is told once
        if len(errors) >= MOST_ERRORS:
            break
    return errors


def iterate_all(low: Lowering) -> list[SymmlError]:
    """Lower every iteration that nothing used."""
    errors: list[SymmlError] = []
    for name in low.iterations:
        try:
            low.named(name, low.iterations[name].span)
        except PoisonedName:
            continue
        except SymmlError as error:
            errors.append(error)
    return errors


def told(low: Lowering, error: SymmlError, nodes: Sequence[tree.Node], broken: Set[str]) -> list[SymmlError]:
    """A mistake that stopped the lowering of some nodes; where they read a name that was broken before, it may be an echo
    of that, and only their unknown names are told."""
    used = {part.id for node in nodes for part in tree.walk(node) if isinstance(part, tree.Name)}
    if isinstance(error, PoisonedName) or used & broken:
        return [e for node in nodes for e in unknown_names(low, node)]
    return [error]


def unknown_names(low: Lowering, node: tree.Node) -> list[SymmlError]:
    """The unknown names of an expression that cannot be lowered because of another mistake."""
    parts = list(tree.walk(node))
    bound = {name.id for part in parts if isinstance(part, tree.Binder) for name in part.names}
    if isinstance(node, tree.Define):
        bound |= {k.id for k in (node.target, *node.indices) if isinstance(k, tree.Name)}
    errors = []
    for part in parts:
        if isinstance(part, tree.Name) and part.id not in bound and part.id not in (*low.definitions, *IN_PLACE):
            try:
                low.named(part.id, part.span)
            except PoisonedName:
                continue
            except SymmlError as error:
                errors.append(error)
    return errors


def lower(model: Model, broken: Iterable[str] = ()) -> Program:
    """The Program of a Model: outputs `loss` (to be minimised), `predict`, `report NAME` for each report, and the residual
    `constraint NAME` of each constraint. SymmlErrors holds all mistakes but those that follow from `broken` names."""
    tensors = {t.name: t for t in model.inputs}
    low = Lowering(
        model.dims,
        tensors,
        model.definitions,
        graphs=model.graphs,
        iterations=model.iterations,
        lacking=bool(model.masks or model.ragged),
        broken=set(broken),
        lines=_lines(model),
        functions=model.functions,
    )
    errors = [*lower_all(low, model.definitions), *iterate_all(low), *_unknown_parts(model), *_wrong_starts(model)]
    outputs: dict[str, Tensor] = {}
    wanted: list[tuple[str, tree.Expr, bool]] = []
    if model.objective:
        wanted.append(("loss", model.objective.value, True))
    if model.predict:
        wanted.append(("predict", model.predict.value, False))
    wanted += [(f"report {r.name.id}", r.value, True) for r in model.reports]
    for key, node, is_scalar in wanted:
        try:
            outputs[key] = low.output(key, _checked(low, key, node, is_scalar), model.objective)
        except SymmlError as error:
            errors += told(low, error, [node], low.broken)
    for c in model.constraints:
        try:
            outputs[c.output] = feasible.residual(low, c)
        except SymmlError as error:
            errors += told(low, error, [side for side in (c.left, c.right) if side is not None], low.broken)
    if errors:
        raise SymmlErrors(errors)
    return Program((*model.inputs, *low.noise), tuple(low.statements), outputs, tuple(low.requires))


def _lines(model: Model) -> tuple[tree.Expr, ...]:
    asked = [part.value for part in (model.objective, model.predict, *model.reports) if part is not None]
    return (*asked, *(side for c in model.constraints for side in (c.left, c.right) if side is not None))


def _wrong_starts(model: Model) -> list[SymmlError]:
    """What stands behind `init` and is no number made of dims and hyper-parameters."""
    low = Lowering(model.dims, {h.tensor.name: h.tensor for h in model.hypers.values()}, {})
    errors: list[SymmlError] = []
    for p in model.params.values():
        for e in p.init.args if p.init is not None and p.init.kind != "sample" else ():
            try:
                value = low.expression(e, {})
                if value.rank or low.statements:
                    raise SpecError("a start is a number", e.span, fix="the same for every entry: init 0")
            except SymmlError as error:
                errors.append(error)
    return errors


def _checked(low: Lowering, key: str, node: tree.Expr, is_scalar: bool) -> Value:
    if key == "predict" and (letters := left.free_letters(low, [node])):  # for each of their values
        target = tree.Name(low.names.fresh("prediction"), span=node.span)
        return low.definition(tree.Define(target, tuple(letters), node, span=node.span))
    value = low.expression(node, {})
    if is_scalar and value.rank:
        what = "the objective" if key == "loss" else "a report"
        raise SpecError(
            f"{what} is one number, this is a {value.described()}", node.span, fix="reduce it, as in 1/n sum[i] ..."
        )
    return value


def _unknown_parts(model: Model) -> list[SymmlError]:
    """Reports on rows that no split makes."""
    parts = [name for name, _ in model.split.parts] if model.split else []
    return [
        SpecError(
            f"'{r.part.id}' is no part of a split",
            r.part.span,
            fix=nearest(r.part.id, parts) or "write split n into train 0.8, test 0.2",
        )
        for r in model.reports
        if r.part and r.part.id not in parts
    ]

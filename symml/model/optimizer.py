"""A page `optimizer NAME` as a Program over the entries of one parameter.

Lines run in order and a name means its latest value; `theta`, `g` and a state are per entry, a state or definition that
reads none of those (a counter such as t) is a scalar. `||theta||` is the norm of the whole tensor; `report theta = a` says
which state a run gives out.

    optimizer(load("adam"))  ->  Optimizer(state=(m, v), counters=(t,), hypers={lr: 1e-3, ...})
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sympy
from sympy import Expr

from symml.errors import SpecError, SymmlError, SymmlErrors, UnsupportedError
from symml.ir.functions import absolute, canonical
from symml.ir.optimizer import Optimizer
from symml.ir.program import REAL, Access, Dim, Domain, Index, Program, Statement, Tensor, indices
from symml.model.constants import number
from symml.model.lower import Env, Lowering
from symml.model.values import Value, scalar
from symml.syntax import tree

ENTRIES = Dim("entries")
Line = tree.Update | tree.Define


def optimizer(page: tree.Tree) -> Optimizer:
    """The Optimizer of a page; SymmlErrors with all its mistakes."""
    head = next((s for s in page.statements if isinstance(s, tree.Head)), None)
    if head is None or head.kind != "optimizer":
        raise SpecError("an optimizer page begins with 'optimizer NAME'", page.statements[0].span)
    hypers = {Tensor(i.name.id, (), "hyper", _domain(i), i.span): _value(i) for i in _items(page, "hyper")}
    updates = [s for s in page.statements if isinstance(s, tree.Update | tree.Define)]
    entries = _per_entry(updates, {"theta", "g"})
    states = {
        i.name.id: Tensor(i.name.id, (ENTRIES,) if i.name.id in entries else (), "data", span=i.span)
        for i in _items(page, "state")
    }
    starts = {states[i.name.id]: _value(i) or 0.0 for i in _items(page, "state")}
    theta, g = Tensor("theta", (ENTRIES,), "param"), Tensor("g", (ENTRIES,), "data")
    program, latest = _lines(updates, {t.name: t for t in (theta, g, *hypers, *states.values())}, states)
    inputs = (theta, g, *states.values(), *hypers)
    answer = _answer(page, states)
    new = {t: latest[t.name] for t in (theta, *states.values()) if latest[t.name] is not t}
    return Optimizer(
        name=head.name.id,
        program=Program(inputs, tuple(program), {t.name: u for t, u in new.items()}),
        theta=theta,
        gradient=g,
        state=tuple(t for t in states.values() if t.shape),
        counters=tuple(t for t in states.values() if not t.shape),
        starts=starts,
        hypers=hypers,
        updates=new,
        answer=answer,
    )


def _answer(page: tree.Tree, states: Mapping[str, Tensor]) -> Tensor | None:
    """The state that `report theta = NAME` names."""
    for s in page.statements:
        if isinstance(s, tree.Report):
            name = s.value.id if isinstance(s.value, tree.Name) else ""
            if s.name.id != "theta" or name not in states or not states[name].shape:
                raise SpecError("a run gives out theta or a state per entry", s.span, fix="such as report theta = a")
            return states[name]
    return None


def _items(page: tree.Tree, kind: str) -> Iterable[tree.Declaration]:
    return [item for s in page.statements if isinstance(s, tree.Declare) and s.kind == kind for item in s.items]


def _value(item: tree.Declaration) -> float | None:
    return None if item.value is None else number(item.value)


def _domain(item: tree.Declaration) -> Domain:
    if item.bound is not None and item.bound[0] in (">", ">="):
        return Domain("interval", lower=number(item.bound[1]), open=(item.bound[0] == ">", False))
    return REAL


def _names(node: tree.Expr) -> set[str]:
    """The names whose entries an expression reads: inside of a norm stands the whole tensor."""
    hidden = {id(name) for norm in tree.walk(node) if isinstance(norm, tree.Norm) for name in tree.walk(norm)}
    return {part.id for part in tree.walk(node) if isinstance(part, tree.Name) and id(part) not in hidden}


def _per_entry(updates: list[Line], known: set[str]) -> set[str]:
    """The names that depend on theta or g, directly or through others."""
    while True:
        new = known | {u.target.id for u in updates if _names(u.value) & known}
        if new == known:
            return known
        known = new


class _PerEntry(Lowering):
    """The lowering of one line at entry `p`, in which a norm is a sum over all entries."""

    p: Index

    def expression(self, node: tree.Expr, env: Env) -> Value:
        if isinstance(node, tree.Reduction | tree.Transpose | tree.Index):
            raise UnsupportedError(
                "the lines of an optimizer page are of one entry",
                node.span,
                fix="the whole tensor is in norms: ||theta||",
            )
        return self._norm(node, env) if isinstance(node, tree.Norm) else super().expression(node, env)

    def _norm(self, node: tree.Norm, env: Env) -> Value:
        inside = self.expression(node.arg, env).scalar
        if self.p not in indices(inside):
            raise SpecError("the norm of a number", node.span, fix="a norm is of what has entries, as theta and g")
        part = inside**2 if node.order == "2" else absolute(inside)
        out, _ = self.reduce("max" if node.order == "inf" else "sum", (self.p,), part, node.span)
        return scalar(sympy.sqrt(out[()]) if node.order == "2" else out[()])


def _lines(
    updates: list[Line], tensors: dict[str, Tensor], states: dict[str, Tensor]
) -> tuple[list[Statement], dict[str, Tensor]]:
    """One statement a line, each defining a new tensor, after those of its norms; the latest tensor of each name."""
    statements: list[Statement] = []
    latest = dict(tensors)
    errors: list[SymmlError] = []
    for u in updates:
        try:
            new = _line(u, latest, states, statements)
        except SymmlError as error:
            errors.append(error)
            continue
        latest[u.target.id] = new
    if errors:
        raise SymmlErrors(errors)
    return statements, latest


def _line(u: Line, latest: Mapping[str, Tensor], states: Mapping[str, Tensor], statements: list[Statement]) -> Tensor:
    """The tensor that a line defines; its statements are put behind the others."""
    name = u.target.id
    if isinstance(u, tree.Update) and name not in ("theta", *states):
        raise SpecError(f"'{name}' is not a state", u.target.span, fix=f"declare it: state {name} = 0")
    if isinstance(u, tree.Define) and (u.indices or name in latest):
        raise SpecError(
            f"'{name}' is not a new name without indices",
            u.target.span,
            fix=f"write {name} <- ... for a new value, or take another name",
        )
    low = _PerEntry({}, {}, {})
    low.p = Index("p", ENTRIES)
    low.values.update({n: scalar(Access(t, (low.p,) * len(t.shape))) for n, t in latest.items()})
    body = canonical(low.expression(u.value, {}).scalar)
    named: dict[Expr, Expr] = {}  # the names of a line's own norms are those of other lines' too
    for s in low.statements:
        norm = Tensor(f"norm_{len(statements)}", (), "temp", span=u.span)
        statements.append(Statement(norm, (), "=", s.reduce, s.loops, s.body.xreplace(named), span=u.span))
        named[s.out[()]] = norm[()]
    body = body.xreplace(named)
    old = latest.get(name)
    shape = old.shape if old is not None else (ENTRIES,) * bool(indices(body))
    new = Tensor(f"new_{name}" if old is not None else name, shape, "temp", span=u.span)
    loops = (low.p,) * len(shape)
    statements.append(Statement(new, loops, "=", "none", loops, body, span=u.span))
    return new

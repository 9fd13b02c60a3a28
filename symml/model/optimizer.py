"""A page `optimizer NAME` as a Program over the entries of the parameters.

Lines run in order and a name means its latest value; `theta`, `g` and a state are per entry, a state that reads none of
those (a counter such as t) is a scalar.

    optimizer(load("adam"))  ->  Optimizer(state=(m, v), counters=(t,), hypers={lr: 1e-3, ...})
"""

from __future__ import annotations

from collections.abc import Iterable

from symml.errors import SpecError, SymmlError, SymmlErrors, UnsupportedError
from symml.ir.functions import canonical
from symml.ir.optimizer import Optimizer
from symml.ir.program import REAL, Access, Dim, Domain, Index, Program, Statement, Tensor
from symml.model.constants import number
from symml.model.lower import Lowering
from symml.model.values import scalar
from symml.syntax import tree

ENTRIES = Dim("entries")


def optimizer(page: tree.Tree) -> Optimizer:
    """The Optimizer of a page; SymmlErrors with all its mistakes."""
    head = next((s for s in page.statements if isinstance(s, tree.Head)), None)
    if head is None or head.kind != "optimizer":
        raise SpecError("an optimizer page begins with 'optimizer NAME'", page.statements[0].span)
    hypers = {Tensor(i.name.id, (), "hyper", _domain(i), i.span): _value(i) for i in _items(page, "hyper")}
    updates = [s for s in page.statements if isinstance(s, tree.Update)]
    entries = _per_entry(updates, {"theta", "g"})
    states = {
        i.name.id: Tensor(i.name.id, (ENTRIES,) if i.name.id in entries else (), "data", span=i.span)
        for i in _items(page, "state")
    }
    starts = {states[i.name.id]: _value(i) or 0.0 for i in _items(page, "state")}
    theta, g = Tensor("theta", (ENTRIES,), "param"), Tensor("g", (ENTRIES,), "data")
    program, latest = _lines(updates, {t.name: t for t in (theta, g, *hypers, *states.values())}, states)
    inputs = (theta, g, *states.values(), *hypers)
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
    )


def _items(page: tree.Tree, kind: str) -> Iterable[tree.Declaration]:
    return [item for s in page.statements if isinstance(s, tree.Declare) and s.kind == kind for item in s.items]


def _value(item: tree.Declaration) -> float | None:
    return None if item.value is None else number(item.value)


def _domain(item: tree.Declaration) -> Domain:
    if item.bound is not None and item.bound[0] in (">", ">="):
        return Domain("interval", lower=number(item.bound[1]), open=(item.bound[0] == ">", False))
    return REAL


def _names(node: tree.Expr) -> set[str]:
    return {part.id for part in tree.walk(node) if isinstance(part, tree.Name)}


def _per_entry(updates: list[tree.Update], known: set[str]) -> set[str]:
    """The names that depend on theta or g, directly or through others."""
    while True:
        new = known | {u.target.id for u in updates if _names(u.value) & known}
        if new == known:
            return known
        known = new


def _lines(
    updates: list[tree.Update], tensors: dict[str, Tensor], states: dict[str, Tensor]
) -> tuple[list[Statement], dict[str, Tensor]]:
    """One statement a line, each defining a new tensor; the latest tensor of each name."""
    statements: list[Statement] = []
    latest = dict(tensors)
    errors: list[SymmlError] = []
    for u in updates:
        if u.flow:
            errors.append(SpecError("an optimizer moves in steps", u.span, fix=f"write {u.target.id} <- ..."))
            continue
        if u.target.id not in ("theta", *states):
            errors.append(
                SpecError(f"'{u.target.id}' is not a state", u.target.span, fix=f"declare it: state {u.target.id} = 0")
            )
            continue
        p = Index("p", ENTRIES)
        low = Lowering({}, {}, {})
        low.values.update({name: scalar(Access(t, (p,) * len(t.shape))) for name, t in latest.items()})
        try:
            _entrywise(u.value)
            body = canonical(low.expression(u.value, {}).scalar)
        except SymmlError as error:
            errors.append(error)
            continue
        old = latest[u.target.id]
        new = Tensor(f"new_{u.target.id}", old.shape, "temp", span=u.span)
        loops = (p,) * len(old.shape)
        statements.append(Statement(new, loops, "=", "none", loops, body, span=u.span))
        latest[u.target.id] = new
    if errors:
        raise SymmlErrors(errors)
    return statements, latest


def _entrywise(node: tree.Expr) -> None:
    for part in tree.walk(node):
        if isinstance(part, tree.Norm | tree.Reduction):
            raise UnsupportedError("a reduction over a tensor is not supported yet in optimizer pages", part.span)

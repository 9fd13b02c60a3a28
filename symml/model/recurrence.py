"""Definitions by cases: an axis cut into ranges, and recurrences over it, which become a Scan.

    h[0, k] = h0[k]
    h[t, k] = tanh(sum[j] h[t-1, j] W[j, k] + x[t])    for t in 1..T-1

The case of a range is lowered at a step s of its own, t = s + 1. Definitions that take part in the recurrence without
cases of their own (the gates of an LSTM) are written out where they are used. Of the statements that come of it, those
on a circle through the recurrent tensors are the scan; the rest stands before or after it, over all steps at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sympy
from sympy import Expr

from symml.errors import SpecError, UnsupportedError
from symml.ir.functions import canonical
from symml.ir.program import Access, Index, Node, Scan, Statement, Tensor, accesses, fresh_indices, outs, parts, reads
from symml.model import left
from symml.model.infer import shape_of
from symml.model.values import Value, of_tensor
from symml.syntax import tree

if TYPE_CHECKING:
    from symml.model.lower import Lowering


@dataclass(frozen=True)
class Case:
    """One line of a definition: the elements low..high of the axis that is cut; `index` names them where they move."""

    node: tree.Define
    low: Expr
    high: Expr
    index: str = ""


def is_cut(nodes: tuple[tree.Define, ...]) -> bool:
    """Does a definition have cases? A range of a single one is that of its axis."""
    return len(nodes) > 1 or any(not isinstance(k, tree.Name) for k in nodes[0].indices)


def _cut_axes(nodes: tuple[tree.Define, ...]) -> list[int]:
    """The axes on which cases differ: not those that all of them leave whole, or give the same range from 0."""
    found = []
    for p in range(min(len(node.indices) for node in nodes)):
        ranges = [r for r in (left.said(node, p) for node in nodes) if isinstance(r, tree.Range)]
        alike = not ranges or (len(ranges) == len(nodes) and all(r == ranges[0] for r in ranges) and _from_0(ranges[0]))
        if not alike or not all(isinstance(node.indices[p], tree.Name) for node in nodes):
            found.append(p)
    return found


def _from_0(r: tree.Range) -> bool:
    return isinstance(r.low, tree.Number) and r.low.value == 0


def cases(low: Lowering, nodes: tuple[tree.Define, ...]) -> tuple[int, Expr, list[Case]]:
    """The axis that is cut, its size, and the cases in the order of their elements, which cover it exactly once."""
    first = nodes[0]
    axes = _cut_axes(nodes)
    if not axes and len(nodes) > 1:
        raise SpecError(
            f"'{first.target.id}' is defined a second time; the first is at line {nodes[0].span.line}",
            nodes[1].target.span,
            fix="choose another name, or say the range of each case: for t in 1..T-1",
        )
    if len(axes) > 1 or any(len(node.indices) != len(first.indices) for node in nodes):
        raise UnsupportedError(
            f"the cases of '{first.target.id}' differ in more than one index, which is not supported yet",
            nodes[-1].span,
            fix="let the ranges of all indices but one be the same, and begin at 0",
        )
    found = [_case(low, node, axes[0]) for node in nodes]
    ordered, at = [], sympy.Integer(0)
    while found:
        fitting = [c for c in found if c.low == at]
        if len(fitting) != 1:
            name = first.target.id
            twice = f"{name} at {at} is defined twice" if fitting else f"no case of '{name}' begins at {at}"
            raise SpecError(
                f"{twice}: the cases of a definition cover its range exactly once",
                (fitting or found)[-1].node.span,
                fix=f"such as {name}[0] = ... and {name}[t] = ... for t in 1..T-1",
            )
        if not low.require(fitting[0].high - fitting[0].low, fitting[0].node.span):
            raise SpecError(f"the range {fitting[0].low}..{fitting[0].high} is empty", fitting[0].node.span)
        ordered.append(fitting[0])
        found.remove(fitting[0])
        at = sympy.expand(fitting[0].high + 1)
    return axes[0], at, ordered


def _case(low: Lowering, node: tree.Define, axis: int) -> Case:
    k = node.indices[axis]
    for binder in node.ranges:
        if (
            isinstance(binder.domain, tree.Range)
            and isinstance(k, tree.Name)
            and any(n.id == k.id for n in binder.names)
        ):
            return Case(node, left.bound(low, binder.domain.low), left.bound(low, binder.domain.high), k.id)
    at = left.bound(low, k)
    return Case(node, at, at)


# groups of definitions that need each other


def groups(definitions: Mapping[str, tuple[tree.Define, ...]]) -> dict[str, frozenset[str]]:
    """For each name the names on a circle with it; empty where it stands on none."""
    mentions = {
        name: {
            p.id
            for node in nodes
            for p in tree.walk(node)
            if isinstance(p, tree.Name) and p is not node.target and p.id in definitions
        }
        for name, nodes in definitions.items()
    }
    reach = {name: _reached(name, mentions) for name in definitions}
    return {name: frozenset(m for m in reach[name] if name in reach[m]) for name in definitions}


def _reached(name: str, mentions: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(mentions[name])
    while todo:
        n = todo.pop()
        if n not in found:
            found.add(n)
            todo += mentions[n]
    return found


# lowering


def define(low: Lowering, group: frozenset[str], name: str) -> None:
    """Lower a definition by cases, with all that take part in its recurrence; their tensors are then known."""
    members = [n for n in low.definitions if n in group] or [name]
    recurrent = [n for n in members if is_cut(low.definitions[n]) and (len(low.definitions[n]) > 1 or not group)]
    if recurrent and all(n in low.values for n in recurrent):
        return  # a gate that is asked for behind its recurrence
    if not recurrent:
        low.circle(members)
    known = {n: cases(low, low.definitions[n]) for n in recurrent}
    low.expanding.update(set(members) - set(recurrent))
    for n in recurrent:
        axis, size, found = known[n]
        low.values[n] = of_tensor(_declared(low, n, axis, size, found))
    moving = []
    for n in recurrent:
        axis, _, found = known[n]
        for case in found:
            if case.index and _mentions(case.node.value, group):
                moving.append((n, axis, case))
            else:
                low.statements += emitted(
                    low, n, axis, case, Index(case.index or "t", sympy.expand(case.high - case.low + 1))
                )
    if moving:
        _scanned(low, moving)
    low.expanding -= set(members)


def _mentions(node: tree.Node, names: frozenset[str]) -> bool:
    return any(isinstance(p, tree.Name) and p.id in names for p in tree.walk(node))


def _declared(low: Lowering, name: str, axis: int, size: Expr, found: list[Case]) -> Tensor:
    """The tensor of a definition by cases, before any of them is lowered."""
    nodes = [c.node for c in found]
    shape = [size if p == axis else _range(low, nodes, p) for p in range(len(nodes[0].indices))]
    rest = [s for s in (shape_of(node.value, low) for node in nodes) if s]
    return Tensor(name, (*shape, *(rest[0] if rest else ())), "definition", span=nodes[0].target.span)


def _range(low: Lowering, nodes: list[tree.Define], p: int) -> Expr:
    """The size of an index that every case leaves whole, from the first case that tells it."""
    problem = None
    for node in nodes:
        try:
            return left.index_size(low, node, p)
        except SpecError as error:
            problem = problem or error
    raise problem


def emitted(low: Lowering, name: str, axis: int, case: Case, step: Index) -> list[Node]:
    """The statements of one case; its elements are step + low of the axis that is cut."""
    tensor, outer = low.values[name].tensor, low.statements
    low.statements = []
    env: dict[str, Expr] = {case.index: step + case.low} if case.index else {}
    lhs: list[Expr] = []
    for p, k in enumerate(case.node.indices):
        if p == axis:
            lhs.append(env[case.index] if case.index else case.low)
        else:
            env[k.id] = Index(k.id, tensor.shape[p])
            lhs.append(env[k.id])
    value = low.expression(case.node.value, env)
    rest = fresh_indices(tensor.shape[len(lhs) :], "pqr")
    if value.rank and value.shape != tensor.shape[len(lhs) :]:
        raise SpecError(
            f"the right side is a {value.described()}, but '{name}' has {len(tensor.shape) - len(lhs)} more axes",
            case.node.value.span,
        )
    body = canonical(value.at(rest) if value.rank else value.scalar)
    loops = (*([step] if case.index else []), *(k for k in lhs if isinstance(k, Index) and k is not step), *rest)
    low.statements.append(Statement(tensor, (*lhs, *rest), "=", "none", loops, body, span=case.node.span))
    made, low.statements = low.statements, outer
    return made


def _scanned(low: Lowering, moving: list[tuple[str, int, Case]]) -> None:
    """All moving cases at one step, cut into what stands before the scan, in it and after it."""
    first = moving[0][2]
    for _, _, case in moving[1:]:
        if (case.low, case.high) != (first.low, first.high):
            raise SpecError(
                f"this recurrence runs over {case.low}..{case.high}, the one at line {first.node.span.line} that it "
                f"needs over {first.low}..{first.high}",
                case.node.span,
                fix="give both the same range",
            )
    step = Index(first.index, sympy.expand(first.high - first.low + 1))
    made = [(s, n) for n, axis, case in moving for s in emitted(low, n, axis, case, step)]
    finals = {low.values[n].tensor for n, _, _ in moving}
    axes = {low.values[n].tensor: axis for n, axis, _ in moving}
    nodes = [s for s, _ in made]
    depends, feeds = _closure(nodes, finals, forward=True), _closure(nodes, finals, forward=False)
    inside = [s for k, s in enumerate(nodes) if k in depends and k in feeds]
    for s in inside:
        if not isinstance(s, Statement) or step not in s.loops:
            raise UnsupportedError("this part of a recurrence does not go step by step", s.span)
    low.statements += [s for k, s in enumerate(nodes) if k not in depends]
    inside = [replace(s, loops=tuple(k for k in s.loops if k is not step)) for s in inside]
    if inside:
        ordered, reverse = _in_order(inside, axes, step, first)
        low.statements.append(Scan(step, reverse, tuple(ordered), first.node.span))
    low.statements += [s for k, s in enumerate(nodes) if k in depends and k not in feeds]


def _closure(nodes: list[Node], finals: set[Tensor], forward: bool) -> set[int]:
    """The nodes that read a recurrent tensor, directly or through others; or those that one of them needs."""
    found: set[int] = set()
    known = set(finals)
    size = -1
    while size != len(found):
        size = len(found)
        for k, s in enumerate(nodes):
            if forward and any(t in known for t in reads(s)):
                found.add(k)
                known |= set(outs(s))
            elif not forward and any(t in known for t in outs(s)):
                found.add(k)
                known |= set(reads(s)) - (finals if not set(outs(s)) & finals else set())
    return found


def _in_order(
    inside: list[Statement], axes: Mapping[Tensor, int], step: Index, first: Case
) -> tuple[list[Statement], bool]:
    """The statements of a step, what others read first; and whether the steps run downward."""
    writer = {s.out: s for s in inside}
    offsets: set[int] = set()
    needs: dict[Tensor, set[Tensor]] = {}
    for s in inside:
        same = set()
        for a in (a for part in parts(s) for a in accesses(part) if a.tensor in writer):
            offset = _offset(a, axes.get(a.tensor, 0), writer[a.tensor], step, s)
            offsets.add(offset)
            if offset == 0:
                same.add(a.tensor)
        needs[s.out] = same
    if any(k > 0 for k in offsets) and any(k < 0 for k in offsets):
        raise UnsupportedError("a recurrence reads earlier and later elements at once", first.node.span)
    ordered: list[Statement] = []
    done: set[Tensor] = set()
    while len(ordered) < len(inside):
        ready = [s for s in inside if s.out not in done and needs[s.out] <= done]
        if not ready:
            raise SpecError(
                "an element of this recurrence needs itself",
                first.node.span,
                fix=f"read an earlier one, such as {first.index}-1",
            )
        ordered.append(ready[0])
        done.add(ready[0].out)
    return ordered, any(k > 0 for k in offsets)


def _offset(a: Access, axis: int, writer: Statement, step: Index, s: Statement) -> int:
    """How many steps before (negative) or after its own a statement reads."""
    offset = sympy.expand(a.idx[axis] - writer.lhs[axis])
    if not offset.is_Integer:
        raise UnsupportedError(
            f"a recurrence reads '{a.tensor.name}' at a step that is not a fixed number away", s.span, fix="such as t-1"
        )
    return int(offset)


def expand(low: Lowering, node: tree.Define, idx: tuple[Expr, ...]) -> Value:
    """The value of a definition at given indices, written out where it stands."""
    names = [k.id for k in node.indices if isinstance(k, tree.Name)]
    return low.expression(node.value, dict(zip(names, idx, strict=False)))

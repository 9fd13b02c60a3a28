"""A page of a dynamical system: states, and how each moves. `x <- f` is a map, `x' = f` a flow.

state x = 1, y = 1                     system(parse(page))  ->  System(flow=True, states={x, y}, program with
x' = a x - b x y                                                 outputs "next x", "next y")
y' = c x y - d y
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from symml.errors import SpecError, SymmlError, SymmlErrors, UnsupportedError
from symml.ir.functions import stop
from symml.ir.program import Dim, Program, Tensor, flat
from symml.model.check import declared_dim
from symml.model.constants import number
from symml.model.declare import declare
from symml.model.lower import Lowering, PoisonedName, lower_all, unknown_names
from symml.model.model import Hyper
from symml.model.sheet import Sheet
from symml.source import Source
from symml.syntax import tree

DIMS_FIRST = {"dims": 0, "hyper": 1, "state": 2}


@dataclass(frozen=True)
class System:
    """States that move all at once: `program` has an output `next NAME` of the shape of each.

    flow: the outputs are derivatives by time, else the next states; starts: a number for each state, None without one.
    """

    name: str
    source: Source
    flow: bool
    states: Mapping[str, Tensor]
    starts: Mapping[str, float | None]
    hypers: Mapping[str, Hyper]
    sizes: Mapping[Dim, int]
    program: Program


@dataclass
class _Sheet(Sheet):
    """What has been read, with the states and their movements."""

    states: dict[str, Tensor] = field(default_factory=dict)
    starts: dict[str, float | None] = field(default_factory=dict)
    moves: dict[str, tree.Update] = field(default_factory=dict)


def system(page: tree.Tree) -> System:
    """The System of a page; SymmlErrors with every mistake."""
    sheet = _Sheet()
    declarations = [s for s in page.statements if isinstance(s, tree.Declare)]
    for node in sorted(declarations, key=lambda s: DIMS_FIRST.get(s.kind, 3)):
        for item in node.items:
            sheet.attempt(lambda node=node, item=item: _declare(sheet, node, item))
    for node in page.statements:
        sheet.attempt(lambda node=node: _statement(sheet, node))
    still = [name for name in sheet.states if name not in sheet.moves]
    if still and not sheet.errors:
        place = sheet.places[still[0]].span
        sheet.errors.append(SpecError(f"the state '{still[0]}' does not move", place, fix=f"write {still[0]}' = ..."))
    if len({u.flow for u in sheet.moves.values()}) > 1:
        odd = next(u for u in sheet.moves.values() if not u.flow)
        sheet.errors.append(SpecError("a system is a map (<-) or a flow (x' =), not both", odd.span))
    if sheet.errors:
        raise SymmlErrors(sheet.errors)
    return _lowered(page, sheet)


def _declare(sheet: _Sheet, node: tree.Declare, item: tree.Declaration) -> None:
    if node.kind == "dims":
        declared_dim(sheet, item)
        dim = sheet.dims[item.name.id]
        if dim not in sheet.sizes:
            raise SpecError(f"the size '{dim}' is not known here", item.span, fix=f"dims {dim} = 3")
    elif node.kind == "hyper":
        declare(sheet, "hyper", item, None)
        if sheet.hypers[item.name.id].value is None:
            raise SpecError(f"'{item.name.id}' needs a value", item.span, fix=f"hyper {item.name.id} = 1")
    elif node.kind == "state":
        start = item.init if item.init is not None else item.value
        number_ = None if start is None else number(start)
        declare(sheet, "param", tree.Declaration(item.name, item.shape, item.bound, item.flags, span=item.span), None)
        sheet.states[item.name.id] = sheet.params.pop(item.name.id).tensor
        sheet.starts[item.name.id] = number_
    else:
        raise UnsupportedError(f"a system has no '{node.kind}' yet", item.span, fix="state, hyper and dims describe it")


def _statement(sheet: _Sheet, node: tree.Statement) -> None:
    if isinstance(node, tree.Declare):
        return
    if isinstance(node, tree.Head):
        sheet.once(node, "model")
        sheet.heads.append(node)
    elif isinstance(node, tree.Define):
        earlier = sheet.definitions.get(node.target.id, ())
        if not (earlier and node.indices and earlier[0].indices):
            sheet.claim(node.target)
        sheet.definitions[node.target.id] = (*earlier, node)
    elif isinstance(node, tree.Update):
        name = node.target.id
        if name not in sheet.states:
            raise SpecError(f"'{name}' is not a state", node.target.span, fix=f"declare it: state {name}")
        if name in sheet.moves:
            raise SpecError(
                f"'{name}' moves twice; the first is at line {sheet.moves[name].span.line}",
                node.target.span,
                fix="the states of a system move all at once, each by one line",
            )
        sheet.moves[name] = node
    else:
        raise UnsupportedError("a page whose states move has this besides", node.span, fix="keep it on its own page")


def _lowered(page: tree.Tree, sheet: _Sheet) -> System:
    hypers = [h.tensor for h in sheet.hypers.values()]
    low = Lowering(sheet.dims, {t.name: t for t in (*sheet.states.values(), *hypers)}, sheet.definitions)
    errors: list[SymmlError] = lower_all(low, sheet.definitions)
    outputs: dict[str, Tensor] = {}
    for name, move in sheet.moves.items():
        try:
            outputs[f"next {name}"] = _output(low, sheet.states[name], move)
        except PoisonedName:
            errors += unknown_names(low, move.value)
        except SymmlError as error:
            errors.append(error)
    held = next((s for s in flat(low.statements) if s.body.has(stop)), None)
    if held is not None:
        errors.append(SpecError("a system has no gradient to stop", held.span, fix="leave stop( ) out"))
    if errors:
        raise SymmlErrors(errors)
    inputs = (*sheet.states.values(), *hypers)
    return System(
        name=sheet.heads[0].name.id if sheet.heads else "model",
        source=page.source,
        flow=next(iter(sheet.moves.values())).flow,
        states=sheet.states,
        starts=sheet.starts,
        hypers=sheet.hypers,
        sizes=sheet.sizes,
        program=Program(inputs, tuple(low.statements), outputs, tuple(low.requires)),
    )


def _output(low: Lowering, state: Tensor, move: tree.Update) -> Tensor:
    value = low.expression(move.value, {})
    if value.shape != state.shape:
        raise SpecError(
            f"the state '{state.name}' {_shaped(state.shape)} moves by a {value.described()}", move.value.span
        )
    return low.output(f"next {state.name}_next", value)


def _shaped(shape: tuple) -> str:
    return f"with the axes [{', '.join(map(str, shape))}]" if shape else "is a number and"

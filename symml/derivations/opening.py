"""The first lines of a derivation: the objective as the page has it, its stable form, and what the names stand for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from symml.analysis import Analysis
from symml.derivations.line import Line, at_random, by_tree, name_of, several
from symml.derivations.page_text import written as page_text
from symml.derivations.rules import RECURRING, SETTLED, identity, plain
from symml.derivations.way import Way
from symml.ir.evaluate import evaluate
from symml.ir.program import Iterate, Library, Node, Program, Scan, Statement, Tensor, outs, reads
from symml.latex import index_form
from symml.latex.compared import drawn_once
from symml.latex.definitions import checked
from symml.latex.matrix_form import opaque
from symml.latex.named import as_written, named, one_hots, said
from symml.latex.style import Both
from symml.proof.complex_step import Proof, relative
from symml.proof.samples import sample
from symml.rewrite.stable import OF_SOFTMAX, stabilise_way
from symml.syntax import tree


def objective_lines(a: Analysis, way: Way, what: str, written: Both | None = None) -> Iterator[Line]:
    """The objective as the page writes it, its parts, and its stable form."""
    loss, raw = way.forward.outputs["loss"], a.raw.outputs["loss"]
    definitions = frozenset(t for t in a.raw.tensors() if t.kind == "definition")
    written = written or _of_page(a) or as_written(a.raw, raw, definitions, sample)
    yield Line(way.symbol, "=", written, plain(what), _equal(a, a.raw, way.forward))
    lost = {t for t in definitions if t not in way.forward.tensors()}
    scans = [set(outs(n)) for n in a.raw.statements if isinstance(n, Scan) and not lost.isdisjoint(outs(n))]
    yield from _definitions(a.raw, lost.union(*scans), definitions)
    stable = as_written(way.forward, loss, way.kept, sample)
    rules = (*_lowered_by(a), *(rule for _, rule in stabilise_way(a.raw)[1]))
    if _bare(stable) != _bare(written) and "+=" not in stable[1] and (rules or _names_parts(a, way)):
        rule = [identity(r) for r in dict.fromkeys(rules)] or [plain("with names for its parts")]
        yield Line(way.symbol, "=", stable, several(rule), _equal(a, a.raw, way.forward))


def _of_page(a: Analysis) -> Both | None:
    """The objective as the page has it; of a Lagrangian or an expression there is no such text."""
    if a.model.constraints or a.model.source.name == "-e":
        return None
    value = a.model.objective.value
    return page_text(value if a.model.objective.sense == "minimize" else tree.Negate(value, span=value.span))


def _lowered_by(a: Analysis) -> tuple[str, ...]:
    """The identity that the language itself uses where a page writes logsoftmax."""
    parts = (a.model.objective.value, *(d for nodes in a.model.definitions.values() for d in nodes))
    calls = {n.function for part in parts for n in tree.walk(part) if isinstance(n, tree.Call)}
    return (OF_SOFTMAX,) if "logsoftmax" in calls else ()


def _bare(both: Both) -> str:
    """The text of a formula without what only sets it."""
    return both[1].replace(" ", "").replace("_F", "")


def _names_parts(a: Analysis, way: Way) -> bool:
    """Does a form say by name what the page writes out, and nothing by names that no line explains?"""
    kept = frozenset(t for t in a.raw.tensors() if t.kind == "definition")
    new = said(way.forward, way.forward.outputs["loss"], way.kept, sample) - said(
        a.raw, a.raw.outputs["loss"], kept, sample
    )
    return bool(new) and new <= way.kept


def _equal(a: Analysis, one: Program, other: Program) -> Proof:
    """Both losses at random inputs."""
    rng, worst = np.random.default_rng(11), 0.0
    for _ in range(2):
        values, dims = sample(a.derivative, rng)
        left, right = (evaluate(p, values, dims)[p.outputs["loss"]] for p in (one, other))
        worst = max(worst, relative(left, right))
    return at_random(worst)


def name_lines(way: Way, passed: list[Tensor]) -> Iterator[Line]:
    """The intermediates, each by its definition; recurrences step by step; matrices of labels last."""
    loss = way.forward.outputs["loss"]
    needed = {u for t in (*passed, loss) for u in (t, *index_form.needed(way.forward, t))} - {loss}
    yield from _definitions(way.forward, needed, way.kept | _read_by_name(way) & needed)
    labels: dict[str, tuple[Both, Both]] = {}
    for t in (loss, *(t for t in way.forward.tensors() if t in needed & way.kept)):
        labels |= one_hots(way.forward, t, way.kept) if named(way.forward, t, way.kept - {t}, sample) else {}
    for left, right in labels.values():
        yield Line(left, "=", right, plain("labels as rows of 0 and 1"), by_tree(0.0))


def _read_by_name(way: Way) -> frozenset[Tensor]:
    """The tensors of the forward program that adjoints in index form read: nothing stands in their place there."""
    without = [u for u in way.adjoints.values() if named(way.derivative, u, way.kept - {u}, sample) is None]
    places = [s for n in way.derivative.statements for s in inner_nodes(n) if not set(without).isdisjoint(outs(s))]
    return frozenset(t for s in places for t in reads(s)) & frozenset(way.forward.tensors())


def _definitions(program: Program, wanted: set[Tensor], kept: frozenset[Tensor]) -> Iterator[Line]:
    """Lines for the kept tensors and the recurrences among those wanted, in the order of the program.

    What a line in index form reads by name gets its own line.
    """
    stepped = opaque(program)
    shown = {t for t in wanted if t in kept or t in stepped}
    formulas = {t: None if t in stepped else named(program, t, kept - {t}, sample) for t in shown}
    todo = [t for t in shown if formulas[t] is None]
    while todo:
        t = todo.pop()
        places = [s for n in program.statements for s in inner_nodes(n) if t in outs(s)]
        for u in (u for s in places for u in reads(s) if u not in formulas and u in wanted):
            formulas[u] = None if u in stepped else named(program, u, kept - {u}, sample)
            todo += [u] if formulas[u] is None else []
    drawn = drawn_once(program, sample) if None in formulas.values() else []
    errors = {t: checked(program, t, drawn) for t, f in formulas.items() if f is None}
    for t, rest, node in in_order(program):
        if t not in formulas:
            continue
        if formulas[t] is not None:
            if not rest:
                rule = plain("definition" if t.kind == "definition" and t.span is not None else "named")
                yield Line(name_of(t), "=", (formulas[t].latex, formulas[t].text), rule, by_tree(formulas[t].error))
            continue
        own = index_form.sides(program, t)
        left, mode, right = own[len(own) - 1 - rest]
        rule = SETTLED if isinstance(node, Iterate) else RECURRING if isinstance(node, Scan) else plain("definition")
        yield Line(left, mode, right, rule, by_tree(errors[t]))


def inner_nodes(node: Node) -> tuple[Node, ...]:
    """A node itself, or what stands inside of a recurrence or an iteration."""
    return (node,) if isinstance(node, Statement | Library) else node.statements


def in_order(program: Program) -> list[tuple[Tensor, int, Node]]:
    """What each line of a program defines, in order, how many more lines there are of that tensor, and the node."""
    found = [(t, n) for n in program.statements for t in _defines(n)]
    names_ = [t for t, _ in found]
    return [(t, names_[k + 1 :].count(t), n) for k, (t, n) in enumerate(found)]


def _defines(node: Node) -> list[Tensor]:
    if isinstance(node, Statement | Library):
        return list(outs(node))
    inside = [t for s in node.statements for t in _defines(s)]
    return [*(x for x, _, _ in node.states), *inside] if isinstance(node, Iterate) else inside

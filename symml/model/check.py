"""Tree to Model: declarations become data, statements are sorted, every mistake is collected.

check(tree)          ->  Model          SymmlErrors holds all mistakes of the declarations
read_model(tree)     ->  Model or None, errors, the names without a meaning because of mistakes
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from symml.errors import SpecError, SymmlError, SymmlErrors, UnsupportedError
from symml.ir.program import Dim, Domain, Tensor
from symml.model import own
from symml.model.constants import number
from symml.model.constraints import read, tightened
from symml.model.declare import declare
from symml.model.echoes import heard
from symml.model.iteration import of_equation, tolerance
from symml.model.later import refused
from symml.model.method import choices, split_rows, train
from symml.model.model import Graph, Model
from symml.model.sheet import Sheet
from symml.model.slips import slips
from symml.syntax import tree
from symml.syntax.words import nearest

GRAPH_FLAGS = ("undirected", "self_loops")


def check(page: tree.Tree) -> Model:
    """The Model of a page; raises SymmlErrors with every mistake of its declarations."""
    model, errors, _ = read_model(page)
    if errors or model is None:
        raise SymmlErrors(errors)
    return model


def read_model(
    page: tree.Tree, lost: frozenset[str] = frozenset()
) -> tuple[Model | None, list[SymmlError], frozenset[str]]:
    """What the sound statements of a page declare (None where that is no model); every mistake of the others that is no
    echo of the `lost` names; and these with the names that the others claimed."""
    kind = next((s for s in page.statements if isinstance(s, tree.Head) and s.kind != "model"), None)
    if kind is not None:
        raise UnsupportedError(
            f"a page of kind '{kind.kind}' is not run by itself", kind.span, fix="name it in a model's page"
        )
    if is_system(page):
        raise SpecError(
            "the states of this page move: it is a system, which is not trained",
            next(s.span for s in page.statements if isinstance(s, tree.Update)),
            fix=f"symml analyze {page.source.name}",
        )
    sheet = Sheet(errors=[*slips(page)])
    for node in page.statements:  # dims first: declarations may stand in any order
        if isinstance(node, tree.Declare) and node.kind == "dims":
            for item in node.items:
                sheet.attempt(lambda item=item: declared_dim(sheet, item))
    for node in page.statements:
        handler = _STATEMENTS.get(type(node))
        if handler is None:
            sheet.errors.append(refused(node))
        else:
            sheet.attempt(lambda node=node, handler=handler: handler(sheet, node))
    errors = heard(page, lost, sheet.errors) if lost else list(sheet.errors)
    known = (sheet.dims, sheet.data, sheet.params, sheet.hypers, sheet.definitions, sheet.graphs, sheet.iterations)
    known += (sheet.functions,)
    unread = lost | (frozenset(sheet.places) - {k for table in known for k in table})
    try:
        return _model(page, sheet, unread), errors, unread
    except SymmlErrors as several:
        errors += heard(page, unread, several.errors) if unread else several.errors
    except SymmlError as error:
        errors += heard(page, unread, [error]) if unread else [error]
    return None, errors, unread


def is_system(page: tree.Tree) -> bool:
    """Does a model's page declare states that move, and ask for no training?"""
    kinds = {type(s) for s in page.statements}
    return (
        tree.Update in kinds
        and not {tree.Objective, tree.Train} & kinds
        and any(isinstance(s, tree.Declare) and s.kind == "state" for s in page.statements)
    )


def declared_dim(sheet: Sheet, item: tree.Declaration) -> None:
    """Add a dim to the sheet."""
    sheet.claim(item.name)
    if item.shape or item.bound or item.flags or item.init is not None:
        raise SpecError(
            f"a dim is a name, or name = number: '{item.name.id}' has more", item.span, fix="separate dims by commas"
        )
    dim = sheet.dims[item.name.id] = Dim(item.name.id)
    if item.value is not None:
        size = number(item.value)
        if size != int(size) or size < 1:
            raise SpecError(f"the size {item.name.id} = {size:g} is not a positive whole number", item.value.span)
        sheet.sizes[dim] = int(size)


def _head(sheet: Sheet, node: tree.Head) -> None:
    sheet.once(node, "model")
    sheet.heads.append(node)


def _declare(sheet: Sheet, node: tree.Declare) -> None:
    if node.kind == "dims":
        return
    if node.kind == "state":
        raise SpecError("'state' belongs to optimizer pages and to systems", node.span)
    for item in node.items:
        source = next((origin for group, origin in node.sources if item in group), None)
        sheet.attempt(lambda item=item, source=source: declare(sheet, node.kind, item, source))


def _define(sheet: Sheet, node: tree.Define) -> None:
    earlier = sheet.definitions.get(node.target.id, ())
    if not (earlier and node.indices and earlier[0].indices):  # several lines may give the cases of one definition
        sheet.claim(node.target)
    sheet.definitions[node.target.id] = (*earlier, node)


def _report(sheet: Sheet, node: tree.Report) -> None:
    if any(r.name.id == node.name.id for r in sheet.reports):
        raise SpecError(f"a second report of '{node.name.id}'", node.name.span)
    sheet.reports.append(node)


def _only(what: str) -> Callable[[Sheet, tree.Statement], None]:
    return lambda sheet, node: sheet.once(node, what)


def _objective(sheet: Sheet, node: tree.Objective) -> None:
    sheet.once(node, node.sense)


def _graph(sheet: Sheet, node: tree.Graph) -> None:
    sheet.claim(node.name)
    name = node.name.id
    if node.over.id not in sheet.dims:
        raise SpecError(f"unknown dim '{node.over.id}'", node.over.span, fix=nearest(node.over.id, sheet.dims))
    unknown = [f for f in node.flags if f not in GRAPH_FLAGS]
    if unknown:
        raise SpecError(
            f"a graph is not '{unknown[0]}'", node.span, fix=nearest(unknown[0], GRAPH_FLAGS) or "undirected"
        )
    nodes, edges = sheet.dims[node.over.id], Dim(f"{name}_edges")
    tail, head = (
        Tensor(f"{name}_{end}", (edges,), "data", Domain("label", size=nodes, end=end), node.name.span)
        for end in ("tail", "head")
    )
    flags = (flag in node.flags for flag in GRAPH_FLAGS)
    sheet.graphs[name] = Graph(name, nodes, edges, tail, head, *flags, node.source, node.span)


def _iterate(sheet: Sheet, node: tree.Iterate) -> None:
    sheet.claim(node.target)
    tolerance(node.until)
    sheet.iterations[node.target.id] = node


_STATEMENTS: dict[type, Callable[[Sheet, tree.Statement], None]] = {
    tree.Head: _head,
    tree.Declare: _declare,
    tree.Define: _define,
    tree.Objective: _objective,
    tree.Split: _only("split"),
    tree.Train: _only("train"),
    tree.Predict: _only("predict"),
    tree.Report: _report,
    tree.Graph: _graph,
    tree.Iterate: _iterate,
    tree.Function: own.declare,
    tree.Solve: lambda sheet, node: _iterate(sheet, of_equation(node)),
}


def _model(page: tree.Tree, sheet: Sheet, unread: frozenset[str]) -> Model:
    """What needs the whole page: the split, the parameters that are trained, the method."""
    objective = sheet.single.get(tree.Objective)
    split = split_rows(sheet)
    choices(sheet, split)
    over = _over(sheet, objective, unread)
    constraints = read(objective, over, sheet.dims, sheet.places)
    tighter = tightened(over, constraints, sheet.places)
    params = {name: replace(p, tensor=tighter.get(p.tensor, p.tensor)) for name, p in sheet.params.items()}
    model = Model(
        name=sheet.heads[0].name.id if sheet.heads else "model",
        source=page.source,
        dims=sheet.dims,
        sizes=sheet.sizes,
        data=sheet.data,
        params=params,
        hypers=sheet.hypers,
        definitions=sheet.definitions,
        objective=objective,
        over=tuple(tighter.get(t, t) for t in over),
        split=split,
        train=train(sheet),
        predict=sheet.single.get(tree.Predict),
        reports=tuple(sheet.reports),
        expected=page.expected,
        graphs=sheet.graphs,
        iterations=sheet.iterations,
        functions=sheet.functions,
        constraints=constraints,
    )
    if (w := model.weight) is not None and w.shape != (model.row_dim,):
        raise SpecError("a weight has an entry for each row of the data", w.span, fix=f"weight {w.name}[n]")
    for d in sheet.data.values():
        if d.role == "lengths" and d.tensor not in model.ragged.values():
            rows, most = d.tensor.shape[0], d.tensor.domain.size
            raise SpecError(f"no data have the axes [{rows}, {most}] of these lengths", d.span)
    return model


def _over(sheet: Sheet, objective: tree.Objective | None, unread: frozenset[str]) -> tuple[Tensor, ...]:
    """The parameters that are trained; an `unread` name may be one."""
    if objective is None:
        return ()
    if not sheet.params and not unread:
        raise SpecError("there is nothing to optimise", objective.span, fix="declare it: param w[d]")
    again = [n for k, n in enumerate(objective.over) if n.id in {m.id for m in objective.over[:k]}]
    if again:
        raise SpecError(f"'{again[0].id}' stands here twice", again[0].span, fix="name each parameter once")
    if not objective.over:
        return tuple(p.tensor for p in sheet.params.values())
    for name in objective.over:
        if name.id not in sheet.params and name.id not in unread:
            raise SpecError(
                f"'{name.id}' is not a parameter",
                name.span,
                fix=nearest(name.id, sheet.params) or f"declare it: param {name.id}",
            )
    return tuple(sheet.params[name.id].tensor for name in objective.over if name.id in sheet.params)

"""Tree to Model: declarations become data, statements are sorted, every mistake is collected.

check(tree)  ->  Model          SymmlErrors holds all mistakes of the file
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import sympy
from sympy import Expr

from symml.errors import SpecError, SymmlError, SymmlErrors, UnsupportedError
from symml.ir.program import REAL, Dim, Domain, Tensor
from symml.model.constants import number
from symml.model.iteration import of_equation, tolerance
from symml.model.later import refused
from symml.model.model import Data, Graph, Hyper, Init, Model, Param, Split, Train
from symml.model.schedules import definition, is_schedule
from symml.model.slips import slips
from symml.syntax import tree
from symml.syntax.words import nearest

TRANSFORMS = ("standardised", "centred")
ROLES = ("weight", "missing", "allowed", "sparse")
FOLDS = "folds"  # in a split and after `chosen by ... on`
GRAPH_FLAGS = ("undirected", "self_loops")
LARGEST_TENSOR = 2**40  # entries of a literal shape; the data's own sizes are checked when they are bound


@dataclass
class _Sheet:
    """What has been read of the page so far."""

    dims: dict[str, Dim] = field(default_factory=dict)
    sizes: dict[Dim, int] = field(default_factory=dict)
    data: dict[str, Data] = field(default_factory=dict)
    params: dict[str, Param] = field(default_factory=dict)
    hypers: dict[str, Hyper] = field(default_factory=dict)
    definitions: dict[str, tuple[tree.Define, ...]] = field(default_factory=dict)
    graphs: dict[str, Graph] = field(default_factory=dict)
    iterations: dict[str, tree.Iterate] = field(default_factory=dict)
    reports: list[tree.Report] = field(default_factory=list)
    heads: list[tree.Head] = field(default_factory=list)
    single: dict[type, tree.Statement] = field(default_factory=dict)
    places: dict[str, tree.Node] = field(default_factory=dict)
    errors: list[SymmlError] = field(default_factory=list)

    def claim(self, name: tree.Name) -> None:
        """A name has one meaning."""
        if name.id in self.places:
            raise SpecError(
                f"'{name.id}' already has a meaning, from line {self.places[name.id].span.line}",
                name.span,
                fix="choose another name",
            )
        self.places[name.id] = name

    def once(self, node: tree.Statement, what: str) -> None:
        if type(node) in self.single:
            raise SpecError(f"a second '{what}'; the first is at line {self.single[type(node)].span.line}", node.span)
        self.single[type(node)] = node

    def attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except SymmlErrors as several:
            self.errors += several.errors
        except SymmlError as error:
            self.errors.append(error)


def check(page: tree.Tree) -> Model:
    """The Model of a page; raises SymmlErrors with every mistake of its declarations."""
    kind = next((s for s in page.statements if isinstance(s, tree.Head) and s.kind != "model"), None)
    if kind is not None:
        raise UnsupportedError(
            f"a page of kind '{kind.kind}' is not run by itself", kind.span, fix="name it in a model's page"
        )
    sheet = _Sheet(errors=[*slips(page)])
    for node in page.statements:  # dims first: declarations may stand in any order
        if isinstance(node, tree.Declare) and node.kind == "dims":
            for item in node.items:
                sheet.attempt(lambda item=item: _dim(sheet, item))
    for node in page.statements:
        handler = _STATEMENTS.get(type(node))
        if handler is None:
            sheet.errors.append(refused(node))
        else:
            sheet.attempt(lambda node=node, handler=handler: handler(sheet, node))
    model = None
    if not sheet.errors:
        sheet.attempt(lambda: None)
        try:
            model = _model(page, sheet)
        except SymmlError as error:
            sheet.errors.append(error)
    if sheet.errors or model is None:
        raise SymmlErrors(sheet.errors)
    return model


def _dim(sheet: _Sheet, item: tree.Declaration) -> None:
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


def _head(sheet: _Sheet, node: tree.Head) -> None:
    sheet.once(node, "model")
    sheet.heads.append(node)


def _declare(sheet: _Sheet, node: tree.Declare) -> None:
    if node.kind == "dims":
        return
    if node.kind == "state":
        raise SpecError("'state' belongs to optimizer pages", node.span)
    for item in node.items:
        source = next((origin for group, origin in node.sources if item in group), None)
        sheet.attempt(lambda item=item, source=source: _item(sheet, node.kind, item, source))


def _item(sheet: _Sheet, kind: str, item: tree.Declaration, source: tree.From | None) -> None:
    sheet.claim(item.name)
    shape = tuple(_size(sheet, size, item) for size in item.shape)
    domain = _domain(sheet, item)
    if "weight" in item.flags and domain is REAL:
        domain = Domain("interval", lower=0.0)
    if domain.kind == "subset":
        if kind != "data" or shape:
            raise SpecError("a subset is declared as data: labelled subset of n", item.span)
        shape = (_size(sheet, item.bound[1], item),)
    tensor = Tensor(item.name.id, shape, kind, domain, item.name.span)
    if math.prod(int(s) for s in shape if s.is_Integer) > LARGEST_TENSOR:
        total = 8 * math.prod(int(s) for s in shape if s.is_Integer)
        raise SpecError(
            f"'{item.name.id}' would need {total:.3g} bytes; the limit is {8 * LARGEST_TENSOR:.3g}", item.span
        )
    flags = [f for f in item.flags if kind != "data" or f not in (*TRANSFORMS, *ROLES)]
    if flags:
        raise UnsupportedError(
            f"'{flags[0]}' is not supported yet for {kind}", item.span, fix=nearest(flags[0], TRANSFORMS)
        )
    if item.choice is not None and kind != "hyper":
        raise SpecError(
            "only a hyper-parameter is chosen", item.choice.span, fix="hyper lam in {1e-2, 1e-1} chosen by ..."
        )
    if kind == "data":
        if source is not None and source.columns is not None and not _numbered(source.columns):
            raise UnsupportedError(
                "columns by name are not supported yet", source.columns.span, fix="count them: columns 1..30"
            )
        if item.value is not None or item.init is not None:
            raise SpecError("data have no value on the page", item.span, fix='name a file: from "..."')
        transform = next((f for f in item.flags if f in TRANSFORMS), "")
        if transform and domain.kind != "real":
            raise SpecError(f"'{item.name.id}' is {domain.kind} and cannot be {transform}", item.span)
        role = "weight" if "weight" in item.flags else ""
        if role and (transform or any(d.role == role for d in sheet.data.values())):
            raise SpecError("the rows have one weight, as it is given", item.span)
        sheet.data[item.name.id] = Data(tensor, transform, source, item.span, role)
        if "missing" in item.flags or "allowed" in item.flags:
            sheet.data[item.name.id] = _missing(sheet, item, sheet.data[item.name.id])
        if "sparse" in item.flags:
            sheet.data[item.name.id] = _sparse(sheet, item, sheet.data[item.name.id])
    elif kind == "param":
        if domain.kind != "real":
            raise UnsupportedError(
                f"a domain of a parameter ('{item.name.id}') is not supported yet",
                item.span,
                fix="train an unconstrained parameter and write its transform, such as exp(a)",
            )
        sheet.params[item.name.id] = Param(tensor, _init(item), item.span)
    else:
        _hyper(sheet, item, tensor)


def _missing(sheet: _Sheet, item: tree.Declaration, d: Data) -> Data:
    """`X[n, d] missing allowed` declares X_present as well: 1 where X has an entry."""
    if not {"missing", "allowed"} <= set(item.flags):
        raise SpecError("the words are: missing allowed", item.span)
    if d.transform or d.role or d.tensor.integer or not d.tensor.shape or d.tensor.domain.kind == "subset":
        raise UnsupportedError(f"'{item.name.id}' cannot lack entries: only plain numbers can", item.span)
    name = tree.Name(f"{item.name.id}_present", span=item.name.span)
    sheet.claim(name)
    mask = Tensor(name.id, d.tensor.shape, "data", Domain("set", values=(0.0, 1.0)), item.name.span)
    sheet.data[name.id] = Data(mask, "", None, item.span, "present", item.name.id)
    return replace(d, gaps=True)


def _sparse(sheet: _Sheet, item: tree.Declaration, d: Data) -> Data:
    """`X[n, d] sparse` declares X_row, X_col and X_value of its stored entries as well."""
    if d.transform or d.role or d.gaps or d.tensor.domain is not REAL or len(d.tensor.shape) != 2:
        raise UnsupportedError(f"'{item.name.id}' cannot be sparse: only matrices of plain numbers can", item.span)
    entries = Dim(f"{item.name.id}_entries")
    for end, domain in (
        ("row", Domain("label", size=d.tensor.shape[0])),
        ("col", Domain("label", size=d.tensor.shape[1])),
        ("value", REAL),
    ):
        name = tree.Name(f"{item.name.id}_{end}", span=item.name.span)
        sheet.claim(name)
        tensor = Tensor(name.id, (entries,), "data", domain, item.name.span)
        sheet.data[name.id] = Data(tensor, "", None, item.span, end, item.name.id)
    return replace(d, role="sparse")


def _numbered(columns: tree.Expr) -> bool:
    ends = (columns.low, columns.high) if isinstance(columns, tree.Range) else ()
    return bool(ends) and all(isinstance(e, tree.Number) and isinstance(e.value, int) for e in ends)


def _hyper(sheet: _Sheet, item: tree.Declaration, tensor: Tensor) -> None:
    if tensor.shape:
        raise UnsupportedError("a hyper-parameter is a number", item.span)
    value = None if item.value is None else number(item.value)
    domain = tensor.domain
    if value is not None and not _inside(value, domain):
        raise SpecError(f"{item.name.id} = {value:g} is outside its domain", item.value.span)
    if item.choice is not None and (value is not None or domain.kind != "set"):
        raise SpecError(
            f"'{item.name.id}' is chosen among the values of a set, and has none of its own",
            item.choice.span,
            fix=f"hyper {item.name.id} in {{1e-2, 1e-1, 1}} chosen by ...",
        )
    sheet.hypers[item.name.id] = Hyper(tensor, value, item.span, item.choice)


def _inside(value: float, domain: Domain) -> bool:
    if domain.kind == "set":
        return value in domain.values
    low, high = domain.lower, domain.upper
    above = low is None or value > low or (value == low and not domain.open[0])
    below = high is None or value < high or (value == high and not domain.open[1])
    return above and below


def _size(sheet: _Sheet, node: tree.Expr, item: tree.Declaration) -> Expr:
    if isinstance(node, tree.Name):
        if node.id in sheet.dims:
            return sheet.dims[node.id]
        raise SpecError(
            f"unknown dim '{node.id}' in the shape of '{item.name.id}'",
            node.span,
            fix=nearest(node.id, sheet.dims) or f"declare it: dims {node.id}",
        )
    if isinstance(node, tree.Number) and isinstance(node.value, int) and node.value > 0:
        return sympy.Integer(node.value)
    raise SpecError("a size is a dim or a positive whole number", node.span)


def _domain(sheet: _Sheet, item: tree.Declaration) -> Domain:
    if item.bound is None:
        return REAL
    op, node = item.bound
    if op == "subset":
        return Domain("subset", values=(0.0, 1.0))
    if op != "in":
        value = number(node)
        strict = op in ("<", ">")
        if op in (">", ">="):
            return Domain("interval", lower=value, open=(strict, False))
        return Domain("interval", upper=value, open=(False, strict))
    if isinstance(node, tree.SetLiteral):
        return Domain("set", values=tuple(sorted(number(v) for v in node.items)))
    if isinstance(node, tree.Interval):
        low, high = number(node.low), number(node.high)
        return Domain("interval", low, high, (not node.closed[0], not node.closed[1]))
    if isinstance(node, tree.Name) and node.id in sheet.dims:
        return Domain("label", size=sheet.dims[node.id])
    if isinstance(node, tree.Name):
        raise UnsupportedError(
            f"the domain '{node.id}' is not supported yet", node.span, fix=nearest(node.id, sheet.dims)
        )
    if isinstance(node, tree.Range | tree.SetBuilder | tree.Call):
        raise refused(node)
    raise SpecError("a domain is {0, 1}, (0, 1), a dim or a bound such as > 0", node.span)


def _init(item: tree.Declaration) -> Init | None:
    node = item.init if item.init is not None else item.value
    if node is None:
        return None
    if isinstance(node, tree.Call) and node.function == "normal":
        if len(node.args) != 2:
            raise SpecError("normal takes a mean and a deviation", node.span, fix="such as init normal(0, 1/sqrt(d))")
        return Init("normal", node.args, node.span)
    if isinstance(node, tree.Call) and node.function == "sample":
        if len(node.args) != 1 or not isinstance(node.args[0], tree.Name):
            raise SpecError("sample takes rows of data", node.span, fix="such as init sample(X)")
        return Init("sample", node.args, node.span)
    if isinstance(node, tree.Call) and node.function == "uniform":
        raise UnsupportedError("init uniform is not supported yet", node.span, fix="use normal(0, s) or a number")
    return Init("constant", (node,), node.span)


def _define(sheet: _Sheet, node: tree.Define) -> None:
    earlier = sheet.definitions.get(node.target.id, ())
    if not (earlier and node.indices and earlier[0].indices):  # several lines may give the cases of one definition
        sheet.claim(node.target)
    sheet.definitions[node.target.id] = (*earlier, node)


def _report(sheet: _Sheet, node: tree.Report) -> None:
    if any(r.name.id == node.name.id for r in sheet.reports):
        raise SpecError(f"a second report of '{node.name.id}'", node.name.span)
    sheet.reports.append(node)


def _only(what: str) -> Callable[[_Sheet, tree.Statement], None]:
    return lambda sheet, node: sheet.once(node, what)


def _objective(sheet: _Sheet, node: tree.Objective) -> None:
    sheet.once(node, node.sense)
    if node.constraints:
        raise UnsupportedError("'subject to' is not supported yet", node.constraints[0].span)


def _graph(sheet: _Sheet, node: tree.Graph) -> None:
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


def _iterate(sheet: _Sheet, node: tree.Iterate) -> None:
    sheet.claim(node.target)
    tolerance(node.until)
    sheet.iterations[node.target.id] = node


_STATEMENTS: dict[type, Callable[[_Sheet, tree.Statement], None]] = {
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
    tree.Solve: lambda sheet, node: _iterate(sheet, of_equation(node)),
}


def _model(page: tree.Tree, sheet: _Sheet) -> Model:
    """What needs the whole page: the split, the parameters that are trained, the method."""
    objective = sheet.single.get(tree.Objective)
    split = _split(sheet)
    _choices(sheet, split)
    model = Model(
        name=sheet.heads[0].name.id if sheet.heads else "model",
        source=page.source,
        dims=sheet.dims,
        sizes=sheet.sizes,
        data=sheet.data,
        params=sheet.params,
        hypers=sheet.hypers,
        definitions=sheet.definitions,
        objective=objective,
        over=_over(sheet, objective),
        split=split,
        train=_train(sheet),
        predict=sheet.single.get(tree.Predict),
        reports=tuple(sheet.reports),
        expected=page.expected,
        graphs=sheet.graphs,
        iterations=sheet.iterations,
    )
    if (w := model.weight) is not None and w.shape != (model.row_dim,):
        raise SpecError("a weight has an entry for each row of the data", w.span, fix=f"weight {w.name}[n]")
    return model


def _over(sheet: _Sheet, objective: tree.Objective | None) -> tuple[Tensor, ...]:
    if objective is None:
        return ()
    if not objective.over:
        return tuple(p.tensor for p in sheet.params.values())
    for name in objective.over:
        if name.id not in sheet.params:
            raise SpecError(
                f"'{name.id}' is not a parameter",
                name.span,
                fix=nearest(name.id, sheet.params) or f"declare it: param {name.id}",
            )
    return tuple(sheet.params[name.id].tensor for name in objective.over)


def _split(sheet: _Sheet) -> Split | None:
    node = sheet.single.get(tree.Split)
    if node is None:
        return None
    if node.dim.id not in sheet.dims:
        raise SpecError(f"unknown dim '{node.dim.id}'", node.dim.span, fix=nearest(node.dim.id, sheet.dims))
    folds = _folds([fraction for name, fraction in node.parts if name.id == FOLDS])
    parts = tuple((name.id, number(fraction)) for name, fraction in node.parts if name.id != FOLDS) or (("train", 1.0),)
    if abs(sum(f for _, f in parts) - 1) > 1e-9 or min(f for _, f in parts) <= 0:
        raise SpecError("the parts of a split are positive and add up to 1", node.span)
    by = node.stratified_by
    if by is not None and by.id not in sheet.data:
        raise SpecError(f"'{by.id}' is not declared as data", by.span, fix=nearest(by.id, sheet.data))
    seed = int(number(node.seed)) if node.seed else 0
    return Split(sheet.dims[node.dim.id], parts, seed, by.id if by else None, folds)


def _folds(counts: list[tree.Expr]) -> int:
    """How many folds a split makes of its first part; 0 where it says nothing of them."""
    if not counts:
        return 0
    count = number(counts[-1])
    if len(counts) > 1 or count != int(count) or count < 2:
        raise SpecError("folds are counted once, by a whole number from 2 on", counts[-1].span, fix="such as folds 5")
    return int(count)


def _choices(sheet: _Sheet, split: Split | None) -> None:
    """All choices name one reported figure, its sense, and folds or a part of the split beside the training part."""
    chosen = [h.choice for h in sheet.hypers.values() if h.choice is not None]
    for c in chosen:
        parts = [*(name for name, _ in split.parts[1:]), *([FOLDS] if split.folds else [])] if split else []
        known = [r.name.id for r in sheet.reports]
        if not c.sense:
            raise SpecError(
                "is the figure to be small or large?", c.span, fix=f"chosen by smallest {c.name.id}, or largest"
            )
        if c.name.id not in known:
            fix = nearest(c.name.id, known) or f"report it: report {c.name.id} = ..."
            raise SpecError(f"'{c.name.id}' is not reported", c.name.span, fix=fix)
        if c.part is None or c.part.id not in parts:
            fix = f"on {parts[-1]}" if parts else "on folds, with split n into train 0.8, test 0.2, folds 5"
            raise SpecError("a choice is made on folds or on a part of the split", (c.part or c).span, fix=fix)
        first = chosen[0]
        if (c.sense, c.name.id, c.part.id) != (first.sense, first.name.id, first.part.id):
            raise SpecError("hyper-parameters are chosen together, by one figure on one part", c.span)


def _train(sheet: _Sheet) -> Train | None:
    node = sheet.single.get(tree.Train)
    if node is None:
        return None
    options, schedules, places = {}, {}, {}
    for o in node.method.options:
        if o.name in places:
            raise SpecError(f"a second '{o.name}'", o.value.span)
        places[o.name] = o.value.span
        if is_schedule(o.value):
            definition(o.value)
            schedules[o.name] = o.value
        else:
            options[o.name] = number(o.value)
    tolerance, part, patience = _until(node.until)
    return Train(node.method.name.id, options, tolerance, node.span, schedules, places, part, patience)


def _until(node: tree.Expr | None) -> tuple[float | None, tree.Name | None, int]:
    """Where a run ends: the bound on |grad|, or the part of the split and how many epochs without a lower loss on it."""
    if node is None:
        return None, None, 0
    first = node.first if isinstance(node, tree.Compare) else node
    if not (isinstance(first, tree.Call) and first.function == "stalled"):
        return _tolerance(node), None, 0
    fix = "until stalled(valid) >= 5"
    if len(first.args) != 1 or not isinstance(first.args[0], tree.Name):
        raise SpecError("stalled takes one name, a part of the split", first.span, fix=fix)
    if first is node or len(node.rest) != 1 or node.rest[0][0] != ">=":
        raise SpecError(
            "stalled(PART), the epochs since the least loss on a part, reaches a number", node.span, fix=fix
        )
    epochs = number(node.rest[0][1])
    if epochs != int(epochs) or epochs < 1:
        raise SpecError(f"{epochs:g} is not a whole number of epochs from 1 on", node.rest[0][1].span)
    return None, first.args[0], int(epochs)


def _tolerance(node: tree.Expr) -> float:
    shape = isinstance(node, tree.Compare) and isinstance(node.first, tree.Bars) and len(node.rest) == 1
    if not (
        shape
        and isinstance(node.first.arg, tree.Name)
        and node.first.arg.id == "grad"
        and node.rest[0][0] in ("<", "<=")
    ):
        raise UnsupportedError(
            "this stopping rule is not supported yet",
            node.span,
            fix="until |grad| < 1e-8, or until stalled(valid) >= 5: five epochs without a lower loss on that part",
        )
    return number(node.rest[0][1])

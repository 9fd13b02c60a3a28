"""How a page is trained: its split, its choices of hyper-parameters, its method and where a run ends."""

from __future__ import annotations

from symml.errors import SpecError, UnsupportedError
from symml.model.constants import number
from symml.model.model import Split, Train
from symml.model.rows import stand_alone
from symml.model.schedules import definition, is_schedule
from symml.model.sheet import Sheet
from symml.syntax import tree
from symml.syntax.words import nearest

LARGEST_SEED = 2**31 - 1
FOLDS = "folds"  # in a split and after `chosen by ... on`


def split_rows(sheet: Sheet) -> Split | None:
    """How rows are shared out among the parts of a split, and its folds."""
    node = sheet.single.get(tree.Split)
    if node is None:
        return None
    if node.dim.id not in sheet.dims:
        raise SpecError(f"unknown dim '{node.dim.id}'", node.dim.span, fix=nearest(node.dim.id, sheet.dims))
    names = [name for name, _ in node.parts]
    again = next((name for k, name in enumerate(names) if name.id in {n.id for n in names[:k]}), None)
    if again is not None and again.id != FOLDS:
        raise SpecError(f"two parts are named '{again.id}'", again.span, fix="choose another name")
    stand_alone(sheet, node.dim)
    folds = _folds([fraction for name, fraction in node.parts if name.id == FOLDS])
    parts = tuple((name.id, number(fraction)) for name, fraction in node.parts if name.id != FOLDS) or (("train", 1.0),)
    if abs(sum(f for _, f in parts) - 1) > 1e-9 or min(f for _, f in parts) <= 0:
        raise SpecError("the parts of a split are positive and add up to 1", node.span)
    by = node.stratified_by
    if by is not None and by.id not in sheet.data:
        raise SpecError(f"'{by.id}' is not declared as data", by.span, fix=nearest(by.id, sheet.data))
    seed = number(node.seed) if node.seed else 0
    if seed != int(seed) or not 0 <= seed <= LARGEST_SEED:
        raise SpecError(f"the seed {seed:g} is not a whole number from 0 to {LARGEST_SEED}", node.seed.span)
    seed = int(seed)
    return Split(sheet.dims[node.dim.id], parts, seed, by.id if by else None, folds)


def _folds(counts: list[tree.Expr]) -> int:
    """How many folds a split makes of its first part; 0 where it says nothing of them."""
    if not counts:
        return 0
    count = number(counts[-1])
    if len(counts) > 1 or count != int(count) or count < 2:
        raise SpecError("folds are counted once, by a whole number from 2 on", counts[-1].span, fix="such as folds 5")
    return int(count)


def choices(sheet: Sheet, split: Split | None) -> None:
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


def train(sheet: Sheet) -> Train | None:
    """The method that a page names, its options and schedules, and where it ends."""
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
    name, common = node.method.name.id, {"schedules": schedules, "places": places}
    until = node.until
    if _is_stalled(until):
        part, patience = _stalled(until)
        return Train(name, options, None, node.span, **common, part=part, patience=patience)
    what, bound = _bound(until) if until is not None else ("", None)
    slope, gap = (bound if what == "grad" else None), (bound if what == "gap" else None)
    return Train(name, options, slope, node.span, **common, gap=gap)


def _is_stalled(node: tree.Expr | None) -> bool:
    first = node.first if isinstance(node, tree.Compare) else node
    return isinstance(first, tree.Call) and first.function == "stalled"


def _stalled(node: tree.Expr) -> tuple[tree.Name, int]:
    """The part of the split, and how many epochs without a lower loss on it end a run."""
    first = node.first if isinstance(node, tree.Compare) else node
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
    return first.args[0], int(epochs)


def _bound(node: tree.Expr) -> tuple[str, float]:
    """What ends a run, |grad| or the duality gap (`grad`, `gap`), and the number below which it does."""
    below = isinstance(node, tree.Compare) and len(node.rest) == 1 and node.rest[0][0] in ("<", "<=")
    first = node.first if below else None
    gap = isinstance(first, tree.Name) and first.id == "gap"
    slope = isinstance(first, tree.Bars) and isinstance(first.arg, tree.Name) and first.arg.id == "grad"
    if not (gap or slope):
        raise UnsupportedError(
            "this stopping rule is not supported yet",
            node.span,
            fix="until |grad| < 1e-8, until gap < 1e-6 (of duality), or until stalled(valid) >= 5: five epochs without a "
            "lower loss on that part",
        )
    bound = number(node.rest[0][1])
    if slope and bound < 0:
        raise SpecError("a gradient is never below 0", node.rest[0][1].span, fix="until |grad| < 1e-8")
    if gap and bound <= 0:
        raise SpecError("a duality gap is closed up to a positive number", node.rest[0][1].span, fix="until gap < 1e-6")
    return ("gap" if gap else "grad"), bound

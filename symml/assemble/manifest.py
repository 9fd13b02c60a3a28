"""All that a run needs besides the module, as JSON.

manifest(analysis, plan_, functions, formulas, options)  ->  dict
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from symml.assemble.method import BATCH_OPTIONS, FULL_BATCH_OPTIONS
from symml.derivations.convexity import certificate
from symml.errors import UnsupportedError
from symml.ir.optimizer import Optimizer
from symml.ir.program import Domain, direct_accesses, flat
from symml.loops.plan import Plan
from symml.model.declare import named_columns
from symml.model.model import Data, Graph, Model
from symml.model.rows import in_order
from symml.targets.numba_cpu.wrap import size_entry
from symml.training.solvers import EXACT

if TYPE_CHECKING:
    from symml.analysis import Analysis
    from symml.pipeline import Options

TOLERANCE = {"float64": 1e-8, "float32": 1e-4}


def _in_order(a: Analysis, plan_: Plan) -> int:
    """The line on which a row of the data meets the one before it; 0 where none does."""
    found = in_order(a.program, plan_.row) if plan_.row else None
    return 0 if found is None else found.span.line if found.span else 1


def manifest(a: Analysis, plan_: Plan, functions: dict, rows: list[dict], options: Options) -> dict:
    """All that a run needs besides the module, as JSON."""
    model = a.model
    method = plan_.method
    given = dict(model.train.options) if model.train else {}
    optimizer = plan_.optimizer
    label = a.program.outputs["predict"].domain if "predict" in a.program.outputs else None
    if "predict" in functions and label is not None and label.kind == "label":
        functions["predict"]["out"]["label"] = next(
            (d.tensor.name for d in model.data.values() if d.tensor.domain.size == label.size), ""
        )
    c = certificate(a)
    return {
        "model": model.name,
        "formulas": rows,
        "certificate": {"curvature": c.curvature, "reason": c.reason, "over": [t.name for t in model.over]},
        "sense": model.objective.sense,
        "dims": [d.name for d in plan_.dims],
        "sizes": {d.name: size for d, size in model.sizes.items()},
        "row": plan_.row.name if plan_.row else None,
        "in_order": _in_order(a, plan_),
        "batch": plan_.batch.name if plan_.batch else None,
        "data": [_data(d, model) for d in model.data.values()],
        "noise": [
            {"name": t.name, "dims": [size_entry(n) for n in t.shape]}
            for t in a.program.inputs
            if t.domain.kind == "noise"
        ],
        "requires": [{"least": size_entry(e), "text": str(e)} for e in a.program.requires],
        "graphs": [_graph(g) for g in model.graphs.values()],
        "split": _split(model),
        "params": [
            {"name": s.tensor.name, "shape": [size_entry(n) for n in s.tensor.shape], "sample": s.source}
            for s in plan_.starts
        ],
        "hypers": [
            {"name": h.tensor.name, "value": h.value, "domain": _domain(h.tensor.domain)} for h in model.hypers.values()
        ],
        "choice": _choice(model),
        "functions": functions,
        "method": {
            "name": method,
            "algorithm": plan_.algorithm,
            "reason": plan_.reason,
            "facts": {**plan_.facts, "unknowns": [[size_entry(n) for n in t.shape] for t in plan_.unknowns]},
            "tolerance": (model.train.tolerance if model.train else None)
            or EXACT.get(method, TOLERANCE[options.dtype]),
            "gap": _gap(a, plan_, c.curvature in ("convex", "affine", "constant")),
            "options": {**FULL_BATCH_OPTIONS.get(method, BATCH_OPTIONS), **given},
            "patience": model.train.patience if model.train else 0,
        },
        "optimizer": None if optimizer is None else _optimizer(optimizer, given),
        "units": _units(a),
        "reports": [r.name.id for r in model.reports],
        "parts": [r.part.id if r.part else "" for r in model.reports],
        "expected": [list(e) for e in model.expected],
    }


def _gap(a: Analysis, plan_: Plan, convex: bool) -> float:
    """The duality gap at which a run stops: 0 where it goes on, -1 where none is measured."""
    facts = plan_.facts
    measured = {
        "interior_point": convex and facts.get("affine", False),
        "proximal_gradient": convex or facts.get("gap", False),
        "coordinate_descent": convex or facts.get("gap", False),
    }.get(plan_.algorithm, False)
    train = a.model.train
    if train is None or train.gap is None:
        return 0.0 if measured else -1.0
    if not measured:
        fix = "until |grad| < 1e-8, or a convex problem with interior_point, proximal_gradient or coordinate_descent"
        raise UnsupportedError(f"'{plan_.method}' measures no duality gap here", train.span, fix=fix)
    return train.gap


def _choice(model: Model) -> dict | None:
    """Which hyper-parameters are chosen, among which values, by which report and where."""
    chosen = [h for h in model.hypers.values() if h.choice is not None]
    if not chosen:
        return None
    by = chosen[0].choice
    return {
        "among": {h.tensor.name: list(h.tensor.domain.values) for h in chosen},
        "by": by.name.id,
        "sense": by.sense,
        "on": by.part.id,
    }


def _split(model: Model) -> dict | None:
    split = model.split
    if split is None:
        return None
    return {
        "dim": split.dim.name,
        "parts": [list(p) for p in split.parts],
        "seed": split.seed,
        "folds": split.folds,
        "by": split.stratified_by,
    }


def _optimizer(o: Optimizer, given: Mapping[str, float]) -> dict:
    """How its states start, and its hyper-parameters: numbers, or what the run fills in."""
    return {
        "state": [o.starts[t] for t in o.state],
        "counters": [o.starts[t] for t in o.counters],
        "hypers": [o.clock.get(t) or given.get(t.name, v) for t, v in o.hypers.items()],
        "by_tensor": o.by_tensor,
        "answer": -1 if o.answer is None else o.state.index(o.answer),
    }


def _units(a: Analysis) -> list[dict]:
    """Pairs (data, parameter) that meet only as sum[j] X[i, j] w[j, ...]: there w/deviation is w in the data's own units.

    With X transformed, X w = raw (w/deviation) - mean' (w/deviation); the last term shifts what is added to X w.
    """
    transformed = [d.tensor for d in a.model.data.values() if d.transform and len(d.tensor.shape) == 2]
    found: dict[tuple[str, str], bool] = {}
    for s in flat(a.raw.statements):
        read = direct_accesses(s.body)
        for x in (r for r in read if r.tensor in transformed):
            others = [r for r in read if r is not x]
            meets = s.reduce == "sum" and len(others) == 1 and others[0].tensor in a.model.over
            contracted = meets and s.body == x * others[0] and s.reduced == (x.idx[1],) and others[0].idx[0] is x.idx[1]
            key = (x.tensor.name, others[0].tensor.name if others else "")
            found[key] = contracted and found.get(key, True)
    alone = [data for data, _ in found]
    return [{"data": x, "param": w} for (x, w), good in found.items() if good and alone.count(x) == 1]


def _domain(domain: Domain) -> dict | None:
    """A domain as JSON; None for the real numbers."""
    if domain.kind == "real":
        return None
    size = domain.size
    return {
        "kind": domain.kind,
        "lower": domain.lower,
        "upper": domain.upper,
        "open": list(domain.open),
        "values": list(domain.values),
        "size": None if size is None else int(size) if size.is_Integer else size.name,
    }


def _graph(g: Graph) -> dict:
    return {
        "name": g.name,
        "nodes": g.nodes.name,
        "source": g.source.path if g.source else None,
        "undirected": g.undirected,
        "self_loops": g.self_loops,
    }


def _data(d: Data, model: Model) -> dict:
    facts = _domain(d.tensor.domain)
    columns = None
    if d.source is not None and d.source.columns is not None:
        columns = named_columns(d.source.columns)
    return {
        "name": d.tensor.name,
        "dims": [int(s) if s.is_Integer else s.name for s in d.tensor.shape],
        "domain": facts,
        "transform": d.transform,
        "source": d.source.path if d.source else None,
        "label": d.source.label if d.source and len(d.tensor.shape) == 1 else None,
        "columns": columns,
        "line": d.span.line,
        "present_of": d.of if d.role == "present" else "",
        "entries_of": d.of if d.role in ("row", "col", "value") else "",
        "sparse": d.role == "sparse",
        "rowed": model.row_dim in (model.data[d.of].tensor.shape if d.of else d.tensor.shape),
        "gaps": d.gaps,
        "lengths": next((k.name for t, k in model.ragged.items() if t is d.tensor), ""),
    }

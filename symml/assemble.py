"""From a derivative to what a target prints and a runtime calls: the Plan of a fit and its manifest.

    plan_ = plan(analysis);  manifest(analysis, plan_, functions, formulas, options)  ->  JSON-able dict

Loaded on a cold run only, so it imports the rooms it joins at the top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy

from symml.calculus.reverse import gradient
from symml.errors import SpecError, UnsupportedError
from symml.ir.optimizer import Optimizer
from symml.ir.program import Domain, direct_accesses
from symml.loops.plan import Function, Plan, Start
from symml.loops.schedule import schedule
from symml.methods.convexity import certify
from symml.model.library import names, page
from symml.model.lower import Lowering
from symml.model.model import Data, Model
from symml.model.optimizer import optimizer
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise
from symml.syntax.words import nearest
from symml.training.compose import all_dims, minibatch, outputs_as_functions, update_program

if TYPE_CHECKING:
    from symml.pipeline import Analysis, Options

FULL_BATCH_OPTIONS = {"lbfgs": {"iterations": 1000, "memory": 10}}
BATCH_OPTIONS = {"batch": 32, "epochs": 20, "seed": 0}
TOLERANCE = {"float64": 1e-8, "float32": 1e-4}


def plan(a: Analysis) -> Plan:
    """The functions of a fit and how parameters start."""

    model = a.model
    method, optimizer = _method(model)
    derivative, batch = a.derivative, None
    if optimizer is not None:
        if model.row_dim is None:
            raise UnsupportedError(
                f"'{method}' trains on batches of rows, and the data have no row dim", model.train.span
            )
        rowed = [t for t in model.over if model.row_dim in t.shape]
        if rowed:
            raise UnsupportedError(
                f"'{rowed[0].name}' has an entry for each row of the data and cannot be trained on batches",
                rowed[0].span,
                fix="train with lbfgs",
            )
        forward, batch = minibatch(a.forward, model.row_dim)
        derivative = simplify(gradient(forward, "loss", model.over))
    wanted = [k for k in a.program.outputs if k != "loss"]
    others = {k: simplify(stabilise(prune(a.program, k))) for k in wanted}
    functions = [Function("value_and_grad", "gradient", schedule(derivative), "loss")]
    functions += outputs_as_functions(others, {r.name.id: r.part.id if r.part else "" for r in model.reports})
    dims = all_dims([a.program, derivative, *others.values()], model.over)
    return Plan(
        params=model.over,
        hypers=tuple(h.tensor for h in model.hypers.values()),
        dims=dims,
        functions=tuple(functions),
        starts=_starts(a),
        algorithm="minibatch" if optimizer else method,
        optimizer=optimizer,
        update=update_program(optimizer) if optimizer else None,
        row=model.row_dim,
        batch=batch,
    )


def _method(model: Model) -> tuple[str, Optimizer | None]:
    """The method of the page: an algorithm that reads all rows, or a page of library/optimizers."""

    name = model.train.method if model.train else "lbfgs"
    known = {**FULL_BATCH_OPTIONS.get(name, {}), **(BATCH_OPTIONS if name not in FULL_BATCH_OPTIONS else {})}
    if name not in (*FULL_BATCH_OPTIONS, *names("optimizers")):
        every = (*FULL_BATCH_OPTIONS, *names("optimizers"))
        raise SpecError(
            f"unknown method '{name}'", model.train.span, fix=nearest(name, every) or f"known are {', '.join(every)}"
        )
    found = None if name in FULL_BATCH_OPTIONS else optimizer(page("optimizers", name))
    known |= {t.name: v for t, v in found.hypers.items()} if found else {}
    for option in model.train.options if model.train else {}:
        if option not in known:
            raise SpecError(
                f"'{name}' has no option '{option}'",
                model.train.span,
                fix=nearest(option, known) or f"its options are {', '.join(known)}",
            )
    return name, found


def _starts(a: Analysis) -> tuple:
    """Each parameter's start; without `init` it is 0 where the problem is convex, else the page must say it."""

    starts = []
    low = Lowering(a.model.dims, {h.tensor.name: h.tensor for h in a.model.hypers.values()}, {})
    missing = [t for t in a.model.over if a.model.params[t.name].init is None]
    if missing and not (c := certify(a.forward, "loss", a.model.over)).convex:
        p = a.model.params[missing[0].name]
        raise SpecError(
            f"'{missing[0].name}' needs an init: the problem is not certified convex ({c.reason})",
            p.span,
            fix=f"such as init normal(0, 0.1), or 0: {missing[0].name} init 0",
        )
    for t in a.model.over:
        init = a.model.params[t.name].init
        if init is None:
            starts.append(Start(t, "constant", (sympy.Integer(0),)))
        else:
            starts.append(Start(t, init.kind, tuple(low.expression(e, {}).scalar for e in init.args)))
    return tuple(starts)


def manifest(a: Analysis, plan_: Plan, functions: dict, rows: list[dict], options: Options) -> dict:
    """All that a run needs besides the module, as JSON."""
    model = a.model
    method = model.train.method if model.train else "lbfgs"
    given = dict(model.train.options) if model.train else {}
    optimizer = plan_.optimizer
    label = a.program.outputs["predict"].domain if "predict" in a.program.outputs else None
    if "predict" in functions and label is not None and label.kind == "label":
        functions["predict"]["out"]["label"] = next(
            (d.tensor.name for d in model.data.values() if d.tensor.domain.size == label.size), ""
        )
    c = certify(a.forward, "loss", a.model.over)
    return {
        "model": model.name,
        "formulas": rows,
        "certificate": {"curvature": c.curvature, "reason": c.reason, "over": [t.name for t in model.over]},
        "sense": model.objective.sense,
        "dims": [d.name for d in plan_.dims],
        "sizes": {d.name: size for d, size in model.sizes.items()},
        "row": plan_.row.name if plan_.row else None,
        "batch": plan_.batch.name if plan_.batch else None,
        "data": [_data(d) for d in model.data.values()],
        "split": None
        if model.split is None
        else {
            "dim": model.split.dim.name,
            "parts": [list(p) for p in model.split.parts],
            "seed": model.split.seed,
            "by": model.split.stratified_by,
        },
        "params": [
            {"name": t.name, "shape": [int(s) if s.is_Integer else s.name for s in t.shape]} for t in plan_.params
        ],
        "hypers": [
            {"name": h.tensor.name, "value": h.value, "domain": _domain(h.tensor.domain)} for h in model.hypers.values()
        ],
        "functions": functions,
        "method": {
            "name": method,
            "tolerance": (model.train.tolerance if model.train else None) or TOLERANCE[options.dtype],
            "options": {**FULL_BATCH_OPTIONS.get(method, BATCH_OPTIONS), **given},
        },
        "optimizer": None
        if optimizer is None
        else {
            "state": [optimizer.starts[t] for t in optimizer.state],
            "counters": [optimizer.starts[t] for t in optimizer.counters],
            "hypers": [given.get(t.name, v) for t, v in optimizer.hypers.items()],
        },
        "units": _units(a),
        "reports": [r.name.id for r in model.reports],
        "parts": [r.part.id if r.part else "" for r in model.reports],
        "expected": [list(e) for e in model.expected],
    }


def _units(a: Analysis) -> list[dict]:
    """Pairs (data, parameter) that meet only as sum[j] X[i, j] w[j, ...]: there w/deviation is w in the data's own units.

    With X transformed, X w = raw (w/deviation) - mean' (w/deviation); the last term shifts what is added to X w.
    """
    transformed = [d.tensor for d in a.model.data.values() if d.transform and len(d.tensor.shape) == 2]
    found: dict[tuple[str, str], bool] = {}
    for s in a.raw.statements:
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


def _data(d: Data) -> dict:
    facts = _domain(d.tensor.domain)
    columns = None
    if d.source is not None and d.source.columns is not None:
        columns = [int(d.source.columns.low.value), int(d.source.columns.high.value)]
    return {
        "name": d.tensor.name,
        "dims": [int(s) if s.is_Integer else s.name for s in d.tensor.shape],
        "domain": facts,
        "transform": d.transform,
        "source": d.source.path if d.source else None,
        "label": d.source.label if d.source and len(d.tensor.shape) == 1 else None,
        "columns": columns,
        "line": d.span.line,
    }

"""From a derivative to what a target prints and a runtime calls: the Plan of a fit and its manifest.

    plan_ = plan(analysis);  manifest(analysis, plan_, functions, formulas, options)  ->  JSON-able dict

Loaded on a cold run only, so it imports the rooms it joins at the top.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import sympy

from symml.calculus.reverse import gradient
from symml.calculus.second import hessian_times, jacobian
from symml.calculus.tangent import tangent
from symml.derivations.convexity import certificate
from symml.errors import NumericError, SpecError, UnsupportedError
from symml.ir.evaluate import evaluate
from symml.ir.optimizer import Optimizer
from symml.ir.program import Dim, Domain, Program, Tensor, direct_accesses, flat
from symml.loops.plan import Function, Plan, Start
from symml.methods import likelihood
from symml.model.feasible import own_sets
from symml.model.library import names, page
from symml.model.lower import Lowering
from symml.model.model import Data, Graph, Init, Model
from symml.model.optimizer import optimizer
from symml.model.schedules import inside, scheduled
from symml.proof.complex_step import check_gradient, check_jacobian
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise
from symml.source import Span
from symml.syntax.words import nearest
from symml.targets.numba_cpu.wrap import size_entry
from symml.training.compose import all_dims, couples_rows, executable, minibatch, outputs_as_functions, update_program
from symml.training.conditions import Condition
from symml.training.definite import definite
from symml.training.solvers import EXACT, LBFGS, SOLVERS, Problem, Solver, by_form, exact, named

if TYPE_CHECKING:
    from symml.analysis import Analysis
    from symml.pipeline import Options

FULL_BATCH_OPTIONS = {"lbfgs": {"iterations": 1000, "memory": 10}, **SOLVERS}
BATCH_OPTIONS = {"batch": 32, "epochs": 20, "seed": 0}
LARGEST_COUNT = 2**31 - 1
VALIDATION = "valid"
TOLERANCE = {"float64": 1e-8, "float32": 1e-4}


def plan(a: Analysis, options: Options | None = None) -> Plan:
    """The functions of a fit and how parameters start."""

    model = a.model
    method, optimizer = _method(model)
    if model.constraints and optimizer is not None:
        c = model.constraints[0]
        raise UnsupportedError(f"'{method}' does not keep '{c.text}'", c.span, fix="leave the method out")
    solver = _solver(a, method, options) if optimizer is None else None
    derivative, batch = _batch_derivative(a, optimizer)
    wanted = [k for k in a.program.outputs if k == "predict" or k.startswith("report ")]
    others = {k: simplify(stabilise(prune(a.program, k))) for k in wanted}
    functions = [Function("value_and_grad", "gradient", executable(derivative), "loss")]
    functions += outputs_as_functions(others, {r.name.id: r.part.id if r.part else "" for r in model.reports})
    if (part := _validation_part(model, optimizer)) is not None:
        functions.append(Function("validation_loss", "value", executable(a.forward), "loss", part))
    functions += solver.functions if solver else ()
    dims = all_dims([a.program, derivative, *others.values(), *(solver.programs if solver else ())], model.over)
    return Plan(
        params=model.over,
        hypers=tuple(h.tensor for h in model.hypers.values()),
        dims=dims,
        functions=tuple(functions),
        starts=_starts(a, _starts_inside(a, solver)),
        algorithm=solver.algorithm if solver else "descent" if batch is None else "minibatch",
        optimizer=optimizer,
        update=update_program(optimizer) if optimizer else None,
        row=model.row_dim,
        batch=batch,
        files=solver.files if solver else (),
        reason=solver.reason if solver else "",
        method=solver.method if solver else method,
        facts=solver.facts if solver else {},
        unknowns=solver.unknowns if solver else (),
    )


def _starts_inside(a: Analysis, solver: Solver | None) -> bool:
    """Can the solver begin anywhere in the domains, so that a page need not say where?"""
    bounded = ("interior_point", "trust_region") if a.model.constraints else ("interior_point",)
    return solver is not None and (solver.algorithm in bounded or bool(solver.facts.get("exact")))


def _problem(a: Analysis) -> Problem:
    """What is minimised, with the page's constraints as conditions; definite matrices by their factors."""
    model = a.model
    if not model.constraints:
        return Problem(a.forward, a.derivative, model.over, sets={}, bounds=a.program)
    psd = [c for c in model.constraints if c.sense == "psd"]
    matrices = [r.param for r in model.regions if r.kind == "psd"]
    program, inside = definite(a.program, [c.output for c in psd], matrices)
    conditions = tuple(Condition(inside.get(c.output, c.output), c.sense == "equal", c.text) for c in model.constraints)
    whole = simplify(stabilise(prune(program, "loss", *(c.output for c in conditions))))
    boxed = {name for r in model.regions if r.kind == "box" for name in r.absorbs}
    bounds = a.program if all(c.name in boxed for c in model.constraints) else None
    return Problem(a.forward, a.derivative, model.over, conditions, whole, own_sets(model), tuple(matrices), bounds)


def _solver(a: Analysis, method: str, options: Options | None) -> Solver:
    """How a page is solved that is not trained by an optimiser's page: as it says, else by the form of its problem."""
    if a.model.weight is not None and a.model.constraints:  # the other solvers read the page's own constraints
        found = exact(Problem(a.forward, a.derivative, a.model.over, sets=own_sets(a.model)))
        if found is None or method not in ("lbfgs", "closed_form"):
            raise UnsupportedError("weights beside constraints are not supported yet", a.model.weight.span)
        return found
    problem = _problem(a)
    precise = options is None or (options.dtype == "float64" and options.target != "cuda")
    if problem.conditions and not precise:
        c = a.model.constraints[0]
        raise UnsupportedError(
            f"constraints ('{c.text}') need double precision, and the CPU", c.span, fix="leave out --dtype and --target"
        )
    if a.model.train is None:
        return by_form(problem) if precise else LBFGS
    if method in SOLVERS and not precise:
        raise UnsupportedError(
            f"'{method}' needs double precision, and the CPU",
            a.model.train.span,
            fix="train with lbfgs, or leave out --dtype and --target",
        )
    return named(method, a.model.train.span, problem)


def errors_plan(a: Analysis) -> tuple[Plan, dict]:
    """The Hessian of the objective times a vector as a Plan of one function, and how its inverse becomes errors.

    The Hessian is compared with the complex step of the gradient before it is used.
    """
    if a.model.weight is not None:
        raise UnsupportedError(
            "standard errors with weights depend on what a weight is (a count, a precision, a chance of selection)",
            a.model.weight.span,
            fix="symml bootstrap SPEC",
        )
    reading = likelihood.read(a.forward, "loss", a.model.over, a.model.objective.span)
    small, along = curvature_plan(a)
    facts = {
        **along["errors"],
        "times": [d.name for d in reading.times],
        "penalty": reading.penalty,
        "squares": reading.squares and [int(s) if s.is_Integer else s.name for s in reading.squares],
    }
    objective = Function("objective", "value", executable(a.forward), "loss")
    return replace(small, functions=(*small.functions, objective)), {"errors": facts}


def sandwich_plan(a: Analysis) -> tuple[Plan, dict]:
    """The plan of errors_plan, and what each row adds to the derivative of the objective along a vector.

    The derivatives of the rows are compared with the complex step before they are used.
    """
    whole, facts = errors_plan(a)
    row = a.model.row_dim
    if row is None:
        raise UnsupportedError("the sandwich needs rows of data", a.model.objective.span)
    parts = simplify(likelihood.rows(prune(a.forward, "loss"), "loss", a.model.over, row, a.model.objective.span))
    moved, along = tangent(parts, ("rows",), a.model.over)
    for t in a.model.over:
        proof = check_jacobian(parts, "rows", jacobian(parts, "rows", t).program, t)
        if not proof.ok:
            raise NumericError(f"the derived scores of the rows in '{t.name}' are wrong: {proof}")
    scores = Function("scores", "vector", executable(moved), outputs=("t_rows",), along=along)
    return replace(
        whole, functions=(*whole.functions, scores), dims=all_dims([a.program, a.derivative, moved], a.model.over)
    ), facts


def curvature_plan(a: Analysis) -> tuple[Plan, dict]:
    """The Hessian of the objective times a vector as a Plan of one function, compared with the complex step of the gradient."""
    if a.model.constraints:
        c = a.model.constraints[0]
        raise UnsupportedError(f"curvature under constraints ('{c.text}') is not supported yet", c.span)
    first, second, along = hessian_times(a.derivative, a.model.over)
    for t in a.model.over:
        proof = check_gradient(first, second, "slope", t)
        if not proof.ok:
            raise NumericError(f"the derived Hessian of '{t.name}' is wrong: {proof}")
    functions = (Function("hessian_times", "gradient", executable(second), "slope"),)
    whole = plan(a)
    small = replace(whole, functions=functions, algorithm="", optimizer=None, update=None, batch=None, files=())
    facts = {"errors": {"along": [t.name for t in along]}}
    return replace(small, dims=all_dims([a.program, second], a.model.over)), facts


def _validation_part(model: Model, optimizer: Optimizer | None) -> str | None:
    """The part of the split whose loss chooses the parameters: the one that `until` names, else one named valid."""
    parts = [name for name, _ in model.split.parts] if model.split else []
    named = model.train.part if model.train else None
    if named is None:
        return VALIDATION if optimizer is not None and VALIDATION in parts[1:] else None
    if named.id not in parts[1:]:
        known = ", ".join(parts[1:]) or "none: write split n into train 0.7, valid 0.1, test 0.2"
        raise SpecError(f"'{named.id}' is no part of the split beside the training part", named.span, fix=known)
    if optimizer is None:
        raise UnsupportedError(
            f"'{model.train.method}' does not stop by the loss on a part of the data",
            named.span,
            fix="train on batches, such as with adam(lr = 1e-3)",
        )
    return named.id


def _batch_derivative(a: Analysis, optimizer: Optimizer | None) -> tuple[Program, Dim | None]:
    """Loss and gradient of a step and the dim that counts the rows of a batch: None where a step needs all rows."""
    row = a.model.row_dim
    if optimizer is None or row is None or any(row in t.shape for t in a.model.over):
        return a.derivative, None
    if a.model.weight is not None or couples_rows(a.forward, row) is not None:  # the sum of all weights is no batch's
        return a.derivative, None
    forward, batch = minibatch(a.forward, row)
    return simplify(gradient(forward, "loss", a.model.over)), batch


def interpreted(
    a: Analysis,
    values: Mapping[str, np.ndarray],
    dims: Mapping[str, int],
    state: np.ndarray | None,
    scalars: np.ndarray | None,
    x: np.ndarray,
) -> Iterator[tuple[Program, Mapping[str, np.ndarray], Mapping[str, int]]]:
    """What a step runs, as Programs with their inputs by name: the derivative, then the optimiser's update.

    Before them stands the loss as the page writes it, which no step runs: its statements are the page's own.

    state (a row for each state), scalars (hyper-parameters and counters) and x are those of minibatch.py.
    """
    _, optimizer = _method(a.model)
    derivative, batch = _batch_derivative(a, optimizer)
    yield a.raw if batch is None else minibatch(a.raw, a.model.row_dim)[0], values, dims
    yield derivative, values, dims
    if optimizer is None:
        return
    inputs = {t: np.asarray(values[t.name]) for t in derivative.inputs}
    sizes = {d: dims[d.name] for d in all_dims([derivative], a.model.over)}
    found = evaluate(derivative, inputs, sizes)
    g = np.concatenate([np.ravel(found[derivative.outputs[f"d_{t.name}"]]) for t in a.model.over])
    given = {optimizer.theta.name: x, optimizer.gradient.name: g}
    given |= {t.name: state[k] for k, t in enumerate(optimizer.state)}
    given |= {t.name: scalars[k] for k, t in enumerate((*optimizer.hypers, *optimizer.counters))}
    yield optimizer.program, given, {"entries": x.shape[0]}


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
    if model.train is None:
        return name, found
    domains = {t.name: t.domain for t in found.hypers} if found else {}
    known |= dict.fromkeys(domains)
    for option, place in model.train.places.items():
        if option not in known:
            raise SpecError(
                f"'{name}' has no option '{option}'",
                place,
                fix=nearest(option, known) or f"its options are {', '.join(known)}",
            )
        if option in model.train.schedules and option not in domains:
            raise SpecError(f"'{option}' is one number for the whole run", place)
    for option, value in model.train.options.items():
        _check_option(option, value, domains.get(option), model.train.places[option])
    if found is not None and model.train.tolerance is not None:
        raise UnsupportedError(
            f"'{name}' goes through its epochs and does not stop by |grad|",
            model.train.span,
            fix="until stalled(PART) >= 5, with a part of the split, or train with lbfgs",
        )
    epochs = model.train.options.get("epochs", BATCH_OPTIONS["epochs"])
    return name, found and scheduled(found, model.train.schedules, epochs)


def _check_option(option: str, value: float, domain: Domain | None, place: Span) -> None:
    """A hyper-parameter lies in its domain; what counts something is a whole number."""
    if domain is not None and not inside(value, domain):
        raise SpecError(f"{option} = {value:g} is outside its domain", place)
    least = {"seed": 0}.get(option, 1)
    if domain is None and (value != int(value) or not least <= value <= LARGEST_COUNT):
        raise SpecError(f"{option} = {value:g} is not a whole number from {least} to {LARGEST_COUNT}", place)


def _starts(a: Analysis, inside: bool) -> tuple:
    """Each parameter's start. Without `init` it is 0 where the problem is convex, or the middle of its domain where the
    solver asks for no more (`inside`); else the page must say it."""

    starts = []
    low = Lowering(a.model.dims, {h.tensor.name: h.tensor for h in a.model.hypers.values()}, {})
    missing = [t for t in a.model.over if a.model.params[t.name].init is None]
    if missing and not inside and not (c := certificate(a)).convex:
        p = a.model.params[missing[0].name]
        raise SpecError(
            f"'{missing[0].name}' needs an init: the problem is not certified convex ({c.reason})",
            p.span,
            fix=f"such as init normal(0, 0.1), or 0: {missing[0].name} init 0",
        )
    for t in a.model.over:
        init = a.model.params[t.name].init
        if init is None:
            turned = inside and any(r.kind == "orthonormal" and r.param is t for r in a.model.regions)
            start = Start(t, "identity", ()) if turned else _middle(t) if inside else None
            starts.append(start or Start(t, "constant", (sympy.Integer(0),)))
        elif init.kind == "sample":
            starts.append(Start(t, "sample", (), _sampled(a.model, t, init)))
        else:
            starts.append(Start(t, init.kind, tuple(low.expression(e, {}).scalar for e in init.args)))
    return tuple(starts)


def _middle(t: Tensor) -> Start:
    """A point inside of a parameter's domain."""
    d = t.domain
    if d.kind in ("psd", "symmetric"):
        return Start(t, "identity", ())
    if d.kind in ("simplex", "stochastic"):
        return Start(t, "constant", (1 / t.shape[-1],))
    if d.kind == "ball" or (d.lower is None and d.upper is None):
        return Start(t, "constant", (sympy.Integer(0),))
    if d.lower is not None and d.upper is not None:
        return Start(t, "constant", (sympy.Float((d.lower + d.upper) / 2),))
    return Start(t, "constant", (sympy.Float(d.lower + 1 if d.lower is not None else d.upper - 1),))


def _sampled(model: Model, t: Tensor, init: Init) -> str:
    """The data whose rows a parameter takes at random."""
    name = init.args[0].id
    data = model.data.get(name)
    if data is None:
        raise SpecError(f"'{name}' is no data", init.span, fix=nearest(name, model.data) or "such as init sample(X)")
    if data.tensor.shape[:1] != (model.row_dim,) or data.tensor.shape[1:] != t.shape[1:] or data.tensor.integer:
        raise SpecError(f"rows of '{name}' do not fit '{t.name}'", init.span, fix="its axes after the first are equal")
    return name


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
            "options": {**FULL_BATCH_OPTIONS.get(method, BATCH_OPTIONS), **given},
            "patience": model.train.patience if model.train else 0,
        },
        "optimizer": None if optimizer is None else _optimizer(optimizer, given),
        "units": _units(a),
        "reports": [r.name.id for r in model.reports],
        "parts": [r.part.id if r.part else "" for r in model.reports],
        "expected": [list(e) for e in model.expected],
    }


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
        "present_of": d.of if d.role == "present" else "",
        "entries_of": d.of if d.role in ("row", "col", "value") else "",
        "sparse": d.role == "sparse",
        "rowed": model.row_dim in (model.data[d.of].tensor.shape if d.of else d.tensor.shape),
        "gaps": d.gaps,
        "lengths": next((k.name for t, k in model.ragged.items() if t is d.tensor), ""),
    }

"""The Plan of a fit: its functions, its solver or optimiser, how parameters start.

plan_ = plan(analysis)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from symml.assemble.method import method_of
from symml.assemble.starts import starts
from symml.calculus.reverse import gradient
from symml.calculus.stopped import stopped
from symml.errors import SpecError, UnsupportedError
from symml.ir.evaluate import evaluate
from symml.ir.optimizer import Optimizer
from symml.ir.program import Dim, Program
from symml.loops.plan import Function, Plan
from symml.model.feasible import own_sets
from symml.model.model import Model
from symml.rewrite.dead import prune
from symml.rewrite.roles import weighted
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise
from symml.training.bounded import Boxes, Edge
from symml.training.compose import all_dims, couples_rows, executable, minibatch, outputs_as_functions, update_program
from symml.training.conditions import Condition
from symml.training.definite import definite
from symml.training.solvers import BETWEEN, SOLVERS, SPLIT, Cone, Problem, Solver, by_form, by_gradient, named
from symml.training.splitting import Regions

if TYPE_CHECKING:
    from symml.analysis import Analysis
    from symml.pipeline import Options

VALIDATION = "valid"


def plan(a: Analysis, options: Options | None = None) -> Plan:
    """The functions of a fit and how parameters start."""

    model = a.model
    method, optimizer = method_of(model)
    if model.constraints and optimizer is not None:
        c = model.constraints[0]
        raise UnsupportedError(f"'{method}' does not keep '{c.text}'", c.span, fix="leave the method out")
    if optimizer is None:
        _compared(a, method)
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
        starts=starts(a, _starts_inside(a, solver)),
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


def _compared(a: Analysis, method: str) -> None:
    """A method that compares values of the objective needs its slope, which is not what `stop` leaves."""
    held = stopped(a.raw, a.model.over)
    if held is not None:
        raise UnsupportedError(
            f"'{method}' follows the objective, whose slope is another where stop( ) holds what is trained",
            held.span,
            fix="train with a method that follows the gradient alone, such as adam(lr = 1e-3) or sgd(lr = 1e-2)",
        )


def _starts_inside(a: Analysis, solver: Solver | None) -> bool:
    """Can the solver begin anywhere in the domains, so that a page need not say where?"""
    inside = ("interior_point", "augmented_lagrangian", *((*BETWEEN, *SPLIT) if a.model.constraints else ()))
    return solver is not None and (solver.algorithm in inside or bool(solver.facts.get("exact")))


def _problem(a: Analysis) -> Problem:
    """What is minimised, with the page's constraints as conditions; definite matrices as unknowns of a cone."""
    model = a.model
    if not model.constraints:
        return Problem(a.forward, a.derivative, model.over, sets={}, boxes=Boxes(a.program))
    counted = _counted(a.program, model)
    own = {r.param: r.absorbs for r in model.regions if r.kind == "psd"}
    general = [c for c in model.constraints if not any(c.name in names for names in own.values())]
    made = definite(counted, [c.output for c in general if c.sense == "psd"], own)
    text = {c.name: c.text for c in model.constraints}
    cones = [Cone(t, names[0], text[names[0]]) for t, names in own.items()]
    cones += [Cone(made.unknowns[c.output], c.name, c.text) for c in general if c.sense == "psd"]
    conditions = tuple(Condition(c.output, c.sense != "at_most", "" if c.sense == "psd" else c.text) for c in general)
    whole = simplify(stabilise(prune(made.program, "loss", *(c.output for c in conditions))))
    return Problem(
        a.forward,
        a.derivative,
        model.over,
        conditions,
        whole,
        own_sets(model),
        tuple(cones),
        _boxes(counted, model),
        _projections(counted, model),
    )


def _projections(program: Program, model: Model) -> Regions:
    """The sets of parameters that have a projection."""
    found = [r for r in model.regions if r.kind in ("box", "simplex", "level", "ball")]
    absorbed = {name for r in found for name in r.absorbs}
    wholes = tuple({"param": r.param.name, **asdict(r.whole)} for r in found if r.whole)
    complete = all(c.name in absorbed for c in model.constraints)
    return Regions(program, {r.param: (r.kind, r.axis) for r in found}, complete, wholes)


def _counted(program: Program, model: Model) -> Program:
    """Objective and constraints with every row counted as often as its weight says; a condition of a row that may count for
    nothing is neither there nor absent."""
    if model.weight is None:
        return program
    conditions = [c.output for c in model.constraints]
    for c in model.constraints:
        if model.row_dim in program.outputs[c.output].shape and not model.weight.domain.positive:
            fix = f"declare the weights as {model.weight.name} > 0"
            raise SpecError(f"'{c.text}' would hold for rows of weight 0 too", c.span, fix=fix)
    ends = [key for key in program.outputs if key.split()[0] in ("lower", "upper", "total", "normal", "radius")]
    return weighted(prune(program, "loss", *conditions, *ends), model.row_dim, model.weight)


def _boxes(program: Program, model: Model) -> Boxes:
    """The bounds of parameters; a sum of a simplex is none, its entries are at least 0."""
    known = {c.name: c for c in model.constraints}
    edges = tuple(Edge(known[e.name].output, r.param, e.slope, e.axes) for r in model.regions for e in r.ends)
    zero = frozenset(r.param for r in model.regions if r.kind == "simplex")
    return Boxes(program, edges, zero, {r.param: r.open for r in model.regions if r.kind in ("box", "level")})


def _solver(a: Analysis, method: str, options: Options | None) -> Solver:
    """How a page is solved that is not trained by an optimiser's page: as it says, else by the form of its problem."""
    problem = _problem(a)
    precise = options is None or (options.dtype == "float64" and options.target != "cuda")
    if problem.whole is not None and not precise:
        c = a.model.constraints[0]
        raise UnsupportedError(
            f"constraints ('{c.text}') need double precision, and the CPU", c.span, fix="leave out --dtype and --target"
        )
    if a.model.train is None:
        known = (options.large, options.inside) if options is not None else ()
        found = by_form(problem, *known) if precise else by_gradient(problem)
        return replace(found, facts={**found.facts, "by_form": True})
    if method in SOLVERS and not precise:
        raise UnsupportedError(
            f"'{method}' needs double precision, and the CPU",
            a.model.train.span,
            fix="train with lbfgs, or leave out --dtype and --target",
        )
    return named(method, a.model.train.span, problem)


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
    _, optimizer = method_of(a.model)
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

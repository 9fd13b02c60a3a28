"""Which solver a page's form asks for, and the functions that it needs compiled with the model.

solver = by_form(Problem(forward, derivative, (w, b)))      solver.algorithm, .functions, .reason
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import sympy

from symml.calculus.reverse import gradient
from symml.calculus.second import hessian_times
from symml.calculus.tangent import tangent
from symml.errors import NumericError, SpecError, UnsupportedError
from symml.ir.evaluate import evaluate
from symml.ir.program import Access, Program, Statement, Tensor, fresh_indices
from symml.loops.plan import Function
from symml.methods import epigraph, squares
from symml.methods.closed_forms import Unsolved
from symml.names import Names
from symml.proof.samples import sample, sizes
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.source import Span
from symml.training import extremes, fractional
from symml.training.blocks import Turns, in_turn, update_function
from symml.training.bounded import Boxes, augmented, bounds, residuals
from symml.training.compose import executable
from symml.training.conditions import Condition, functions
from symml.training.nuclear import lifted
from symml.training.splitting import Regions, composite

AGREE = 1e-9  # relative: the gradient of the residual form against the derivative of the page
SOLVERS: Mapping[str, Mapping[str, float]] = {
    "levenberg_marquardt": {"iterations": 500},
    "gauss_newton": {"iterations": 500},
    "scaled_qr": {"iterations": 1},
    "interior_point": {"iterations": 300},
    "newton": {"iterations": 300},
    "trust_region": {"iterations": 1000},
    "lbfgs_b": {"iterations": 10_000, "memory": 10},
    "augmented_lagrangian": {"iterations": 100_000, "memory": 10},
    "proximal_gradient": {"iterations": 100_000},
    "coordinate_descent": {"iterations": 10_000},
    "alternating": {"iterations": 1000},
    "closed_form": {"iterations": 10},
}
BETWEEN = ("trust_region", "lbfgs_b")
SPLIT = ("proximal_gradient", "coordinate_descent")
SQUARES = ("levenberg_marquardt", "gauss_newton")
# The bound at which a method stops unless the page says one; 0: where rounding ends all progress.
EXACT: Mapping[str, float] = {
    "levenberg_marquardt": 0.0,
    "gauss_newton": 0.0,
    "interior_point": 1e-9,
    "newton": 1e-9,
    "trust_region": 1e-9,
    "lbfgs_b": 1e-9,
    "augmented_lagrangian": 1e-8,
    "proximal_gradient": 1e-9,
    "coordinate_descent": 1e-9,
}


@dataclass(frozen=True)
class Cone:
    """A matrix that stays positive semidefinite, a parameter or an unknown beside them; `name` and `text` of the constraint."""

    matrix: Tensor
    name: str
    text: str


@dataclass(frozen=True)
class Problem:
    """What is minimised: `forward` has the output `loss`, `derivative` also d_NAME; `whole` (under constraints only) has the
    loss and the residual of each condition, equalities first. `sets`: the kind of set that each block lies in, None where a
    condition ties blocks to one another; `cones`: matrices that `whole` reads as half their sum with their transpose;
    `boxes`: the bounds of parameters among the conditions; `regions`: the sets among them that have a projection; `numbers`:
    unknowns beside the parameters that are no matrices."""

    forward: Program
    derivative: Program
    wrt: tuple[Tensor, ...]
    conditions: tuple[Condition, ...] = ()
    whole: Program | None = None
    sets: Mapping[Tensor, str] | None = None
    cones: tuple[Cone, ...] = ()
    boxes: Boxes | None = None
    regions: Regions | None = None
    numbers: tuple[Tensor, ...] = ()

    @property
    def only_bounds(self) -> bool:
        """Is every condition a bound of a parameter?"""
        return not self.cones and {c.output for c in self.conditions} <= {e.output for e in self.boxes.edges}


@dataclass(frozen=True)
class Solver:
    """`algorithm` is the file that holds it, `files` those it needs besides, `functions` what it calls; `facts` go to the
    run through the manifest; `reason` is for the screen."""

    method: str
    algorithm: str
    reason: str
    functions: tuple[Function, ...] = ()
    files: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    programs: tuple[Program, ...] = ()
    unknowns: tuple[Tensor, ...] = ()


LBFGS = Solver("lbfgs", "lbfgs", "")


def by_form(p: Problem, large: bool = False, inside: bool = False) -> Solver:
    """The solver for a page that names none; `large`: there are too many unknowns for a matrix of second derivatives;
    `inside`: the closed form, if there is one, leaves the domains."""
    squared = squares.read(p.forward, "loss", p.wrt) if p.whole is None else None
    no_squares = squared is None or squared.program is None
    if no_squares and not inside and (found := exact(p)) is not None:
        return found
    if p.whole is not None:
        return _constrained(p, large)
    if _lifted(p) is not None:
        return _interior_point(p, "")
    if squared is not None and squared.program is not None:
        return _least_squares(squared, p, "")
    if epigraph.has_kinks(p.forward, p.wrt):
        found = _split(p, "proximal_gradient" if large else "coordinate_descent")
        if isinstance(found, Solver):
            return found
        made = epigraph.smooth(p.forward, "loss", {}, p.wrt)
        return LBFGS if made.program is None else _constrained(p, large)
    return LBFGS


def by_gradient(p: Problem) -> Solver:
    """The solver where the others cannot run: single precision, or a GPU."""
    if not epigraph.has_kinks(p.forward, p.wrt):
        return LBFGS
    return replace(LBFGS, reason="the methods for kinks need double precision, and the CPU; it may stall at one")


def _constrained(p: Problem, large: bool) -> Solver:
    """Bounds alone need no barrier, unless an end is never taken; what is large has no room for dense matrices, and a
    projection, where all conditions have one, asks for less than multipliers do."""
    if _lifted(p) is not None:
        return _interior_point(p, "")
    kinks = epigraph.has_kinks(p.whole or p.forward, p.wrt)
    if p.whole is not None and p.only_bounds and not kinks and (large or not any(map(any, p.boxes.open.values()))):
        return _between(p, "lbfgs_b" if large else "trust_region")
    if large and isinstance(found := _split(p, "proximal_gradient"), Solver):
        return found
    return _augmented(p, None) if large and not p.cones else _interior_point(p, "")


def named(method: str, place: Span | None, p: Problem) -> Solver:
    """The solver that a page names."""
    if method in ("alternating", "closed_form"):
        return _in_turn(method, place, p)
    if method in BETWEEN and p.only_bounds:
        return _between(p, method)
    if method == "augmented_lagrangian":
        return _augmented(p, place)
    if p.whole is not None and method not in ("interior_point", *SPLIT):
        raise UnsupportedError(
            f"'{method}' does not keep '{(*p.conditions, *p.cones)[0].text}'",
            place,
            fix="train with interior_point, or leave the method out",
        )
    if method == "lbfgs":
        return LBFGS
    if method in ("interior_point", "newton"):
        return _interior_point(p, method)
    if method in SPLIT:
        solver = _split(p, method)
        if isinstance(solver, str):
            raise SpecError(f"'{method}' has no form to use here: {solver}", place, fix="leave the method out")
        return solver
    found = squares.read(p.forward, "loss", p.wrt)
    if found.program is None:
        raise SpecError(
            f"'{method}' minimises sums of squares, and here {found.reason}",
            place,
            fix="train with lbfgs, or leave the method out",
        )
    return _least_squares(found, p, method)


# closed forms


def _turns(p: Problem) -> Turns | Unsolved:
    if p.sets is None:
        return Unsolved(p.wrt[0], "a constraint ties its entries to others")
    if epigraph.has_kinked_functions(p.forward, p.wrt):
        return Unsolved(p.wrt[0], "the objective has kinks, where the gradient is none")
    for t, open_ in p.boxes.open.items() if p.boxes else ():
        if any(open_) and t.domain.kind != "interval":
            return Unsolved(t, "it stays within bounds that are no numbers")
    return in_turn(p.derivative, p.forward, p.wrt, p.sets)


def exact(p: Problem) -> Solver | None:
    """The closed form of a problem of which one round is the end."""
    turns = _turns(p)
    return _alternating("closed_form", turns, p) if isinstance(turns, Turns) and turns.exact else None


def _in_turn(method: str, place: Span | None, p: Problem) -> Solver:
    turns = _turns(p)
    if isinstance(turns, Unsolved):
        raise SpecError(
            f"gradient = 0 has no closed form in '{turns.block.name}': {turns.reason}",
            place,
            fix="leave the method out, or train with lbfgs",
        )
    if method == "closed_form" and not turns.exact:
        raise SpecError("each closed form needs the others", place, fix="train with alternating")
    return _alternating(method, turns, p)


def _alternating(method: str, turns: Turns, p: Problem) -> Solver:
    wrt, update = p.wrt, update_function(turns, p.wrt)
    free = not p.sets and all(t.domain.kind in ("real", "interval") for t in wrt)
    facts = {"exact": turns.exact, "free": free, "inside": [[t.domain.lower, t.domain.upper] for t in wrt]}
    return Solver(method, "alternating", turns.reason, (update,), (), facts, (turns.program,))


# constraints and kinks


@dataclass(frozen=True)
class _Smoothed:
    """A problem without kinks: its program, unknowns, conditions (equalities first), those that were added, and what was done."""

    program: Program
    wrt: tuple[Tensor, ...]
    conditions: tuple[Condition, ...]
    unknowns: tuple[Tensor, ...]
    what: str

    @property
    def told(self) -> list[dict]:
        """The conditions for the reader."""
        return [{"name": c.output.split()[-1], "text": c.text, "equal": c.equal} for c in self.conditions]


def _smoothed(p: Problem, takes_kinks: bool) -> _Smoothed:
    """Conditions as they are; kinks become conditions on new unknowns where that is possible."""
    program, conditions = p.whole or p.forward, p.conditions
    unknowns = (*p.numbers, *(c.matrix for c in p.cones if c.matrix not in p.wrt))
    wrt = (*p.wrt, *unknowns)
    what = ["constraints"] * (p.whole is not None)
    if takes_kinks and epigraph.has_kinks(program, wrt):
        made = epigraph.smooth(program, "loss", {c.output: c.equal for c in conditions}, wrt)
        if made.program is not None:
            program, unknowns = made.program, (*unknowns, *made.unknowns)
            wrt = (*wrt, *made.unknowns)
            conditions = (*conditions, *(Condition(k, False) for k in made.conditions))
            what.append(f"{', '.join(made.what)} by new unknowns")
    conditions = (*(c for c in conditions if c.equal), *(c for c in conditions if not c.equal))
    return _Smoothed(program, wrt, conditions, unknowns, " and ".join(what))


def _interior_point(p: Problem, method: str) -> Solver:
    """Second derivatives of the Lagrangian."""
    p = _lifted(p) or p
    s = _smoothed(p, takes_kinks=method != "newton")
    found = functions(s.program, s.wrt, s.conditions)
    own = not (s.unknowns or p.cones)
    objective = p.derivative if own else simplify(gradient(prune(s.program, "loss"), "loss", s.wrt))
    made_ = (Function("objective", "gradient", executable(objective), "loss"), *found.functions)
    made_ = tuple(replace(f, params=s.wrt) for f in made_)
    facts = {
        "conditions": s.told,
        "multipliers": [t.name for t in found.multipliers],
        "flat": found.flat,
        "affine": found.affine,
        "cones": [{"at": s.wrt.index(c.matrix), "name": c.name, "text": c.text} for c in p.cones],
    }
    files = ("symmetric", "polish", "implied", "cone" if p.cones else "without_cones")
    told = f"{s.what or 'second derivatives'}; Hessian of the Lagrangian derived"
    return Solver(method or "interior_point", "interior_point", told, made_, files, facts, found.programs, s.unknowns)


def _lifted(p: Problem) -> Problem | None:
    """The problem with a semidefinite matrix for each nuclear norm, quadratic form in an inverse and extreme value; None where
    there is none."""
    before = p
    forms = fractional.of(p.whole or p.forward, {c.output: c.equal for c in p.conditions}, p.wrt)
    if forms is not None:
        p = _with_cones(p, forms.program, forms.matrices, forms.conditions, fractional.TOLD)
    found = lifted(p.whole or p.forward, {c.output: c.equal for c in p.conditions}, p.wrt)
    if found is not None:
        p = _with_cones(p, found.program, found.matrices, found.conditions, "the nuclear norm")
    ends = extremes.of(p.whole or p.forward, {c.output: c.equal for c in p.conditions}, p.wrt)
    if ends is not None:
        p = _with_cones(p, ends.program, ends.matrices, ends.conditions, ends.told)
        return replace(p, numbers=ends.numbers)
    return p if p is not before else None


def _with_cones(
    p: Problem, program: Program, matrices: tuple[Tensor, ...], keys: tuple[str, ...], text: str
) -> Problem:
    cones = tuple(Cone(z, z.name, text) for z in matrices)
    conditions = tuple(Condition(k, True) for k in keys)
    return replace(p, whole=program, conditions=(*p.conditions, *conditions), cones=(*p.cones, *cones))


def _augmented(p: Problem, place: Span | None) -> Solver:
    """Gradients of the Lagrangian, between bounds."""
    if p.cones:
        raise UnsupportedError(
            f"'augmented_lagrangian' does not keep the matrix of '{p.cones[0].text}' positive semidefinite",
            place,
            fix="train with interior_point, or leave the method out",
        )
    s = _smoothed(p, takes_kinks=True)
    boxes = replace(p.boxes, zero=p.boxes.zero | {t for t in s.unknowns if t.domain.nonnegative})
    made, programs, facts = augmented(s.program, s.wrt, s.conditions, boxes)
    edges, of_edges = _edges(p)
    reason = f"{s.what or 'no constraints'}; gradients of the Lagrangian alone"
    facts = {**facts, "conditions": s.told}
    files = ("symmetric", "bounded_step")
    name = "augmented_lagrangian"
    return Solver(name, name, reason, (*made, *edges), files, facts, (*programs, *of_edges), s.unknowns)


def _edges(p: Problem) -> tuple[tuple[Function, ...], tuple[Program, ...]]:
    """The residuals of what only bounds, which say who has the multiplier of an end."""
    if not p.boxes.edges:
        return (), ()
    made, program = residuals("edges", p.whole, tuple(e.output for e in p.boxes.edges), p.wrt)
    return (made,), (program,)


def _split(p: Problem, method: str) -> Solver | str:
    """A smooth part beside penalties and sets; or why the method does not fit."""
    found = composite(p.forward, p.wrt, p.regions or Regions(p.forward), p.boxes, method)
    if isinstance(found, str):
        return found
    edges, of_edges = _edges(p)
    facts = {**found.facts, "conditions": _Smoothed(p.forward, p.wrt, p.conditions, (), "").told}
    made, programs = (*found.functions, *edges), (*found.programs, *of_edges)
    return Solver(method, method, found.reason, made, found.files, facts, programs)


def _between(p: Problem, method: str) -> Solver:
    """Bounds of parameters, as one vector."""
    ends, program = bounds(p.boxes, p.wrt)
    edges, of_edges = _edges(p)
    facts = {**p.boxes.facts(p.wrt), "conditions": _Smoothed(p.forward, p.wrt, p.conditions, (), "").told}
    made, programs, told = (ends, *edges), (program, *of_edges), ", bounds of parameters" if p.conditions else ""
    if method == "lbfgs_b":
        return Solver(method, method, f"gradients{told}", made, ("symmetric", "bounded_step"), facts, programs)
    _, times, along = hessian_times(p.derivative, p.wrt)
    second = Function("lagrangian_times", "gradient", executable(times), "slope", along=along)
    reason = f"second derivatives{told}; the Hessian times a vector is derived"
    return Solver(method, method, reason, (*made, second), (), facts, (*programs, times))


# least squares


def _least_squares(found: squares.Squares, p: Problem, method: str) -> Solver:
    """Residuals and their tangent, compared with the derivative of the page before they are used."""
    moved, along = tangent(found.program, found.names, p.wrt)
    affine = not any(t in moved.inputs for t in p.wrt)
    _compare(found, p.derivative, p.wrt)
    if affine and method in ("", "scaled_qr"):
        return _scaled_qr(p, found)
    if method == "scaled_qr":
        raise SpecError("the residuals are not affine in the parameters", fix="train with levenberg_marquardt")
    made = _residual_functions(found, moved, along)
    reason = f"a sum of squares of {'affine' if affine else 'nonlinear'} residuals; their Jacobian is derived"
    facts = {"affine": affine}
    name, programs = method or "levenberg_marquardt", (found.program, moved)
    return Solver(name, "levenberg_marquardt", reason, made, ("dense",), facts, programs)


def _scaled_qr(p: Problem, checked: squares.Squares) -> Solver:
    """The residuals as they are, without their common factor: what the data say exactly is not rounded first."""
    found = squares.read(p.forward, "loss", p.wrt, plain=True)
    moved, along = tangent(found.program, found.names, p.wrt)
    reason = "linear least squares by QR of the scaled columns, refined: the normal equations would square the condition number"
    made = _residual_functions(found, moved, along)
    programs = (found.program, moved, checked.program)
    return Solver("scaled_qr", "scaled_qr", reason, made, ("dense",), {"affine": True}, programs)


def _residual_functions(found: squares.Squares, moved: Program, along: tuple[Tensor, ...]) -> tuple[Function, ...]:
    return (
        Function("residuals", "vector", executable(found.program), outputs=found.names),
        Function("tangent", "vector", executable(moved), outputs=tuple(f"t_{k}" for k in found.names), along=along),
    )


def _compare(found: squares.Squares, derivative: Program, wrt: tuple[Tensor, ...]) -> None:
    """J'r equals the derivative of the objective at random inputs."""
    half = simplify(gradient(_half(found), "half", wrt))
    dims = sizes(derivative, half)
    rng = np.random.default_rng(0)
    values, _ = sample(derivative, rng, dims)
    with np.errstate(all="ignore"):
        truth = evaluate(derivative, values, dims)
        ours = evaluate(half, {t: values[t] for t in half.inputs}, dims)
    for t in wrt:
        a = np.asarray(truth[derivative.outputs[f"d_{t.name}"]])
        b = np.asarray(ours[half.outputs[f"d_{t.name}"]])
        if not np.max(np.abs(a - b), initial=0.0) <= AGREE * max(1.0, float(np.max(np.abs(a), initial=0.0))):
            raise NumericError(f"the residuals of the objective do not agree with its gradient in '{t.name}'")


def _half(found: squares.Squares) -> Program:
    """|r|^2 / 2 as the output `half` of the program of the residuals."""
    names = Names(t.name for t in found.program.tensors())
    out, statements = Tensor(names.claim("half")), []
    for key in found.names:
        r = found.program.outputs[key]
        k = fresh_indices(r.shape)
        body = Access(r, k) ** 2 / sympy.Integer(2)
        statements.append(Statement(out, (), "+=" if statements else "=", "sum" if k else "none", k, body))
    return replace(found.program, statements=(*found.program.statements, *statements), outputs={"half": out})

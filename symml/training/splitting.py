"""What the methods of a smooth part beside penalties and sets call: proximal_gradient and coordinate_descent.

found = composite(forward, wrt, regions, boxes, "proximal_gradient")     Composite, or why the method does not fit
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import sympy

from symml.calculus.reverse import gradient
from symml.calculus.second import hessian, hessian_times
from symml.ir.program import Program, Statement, Tensor, fresh_indices
from symml.loops.plan import Function
from symml.methods import proximal, squares
from symml.methods.epigraph import has_kinks
from symml.names import Names
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.training.bounded import Boxes, bounds
from symml.training.compose import executable

FIGURES = {"simplex": "total", "level": "total", "ball": "radius"}
WORDS = {"box": "bounds", "simplex": "the simplex", "level": "bounds and the sum", "ball": "the ball"}


@dataclass(frozen=True)
class Regions:
    """The sets of parameters that have a projection, (kind, axis) each; `program` holds their figures as outputs; `complete`:
    every condition of the page is one of them; `wholes`: what sums and norms say of multipliers, for the run."""

    program: Program
    kinds: Mapping[Tensor, tuple[str, int]] = field(default_factory=dict)
    complete: bool = True
    wholes: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True)
class Composite:
    """The functions of a solver, files besides, facts for the run, programs, and what is told."""

    functions: tuple[Function, ...]
    files: tuple[str, ...]
    facts: Mapping[str, object]
    programs: tuple[Program, ...]
    reason: str


def composite(
    forward: Program, wrt: tuple[Tensor, ...], regions: Regions, boxes: Boxes, method: str
) -> Composite | str:
    """A smooth part and penalties whose proximal operators are known, parameters in sets whose projections are."""
    if not regions.complete:
        return "a condition is of no set that has a projection of its own"
    s = _split(forward, wrt, regions)
    if s.program is None:
        return s.reason
    penalties = {q.param: q.kind for q in s.penalties}
    for t, kind in penalties.items():
        if (found := regions.kinds.get(t, ("", -1))[0]) not in ("", "box") or (kind == "groups" and found):
            return f"'{t.name}' has a penalty, and lies in a set besides"
    derivative = simplify(gradient(prune(s.program, "smooth"), "smooth", wrt))
    _, times, along = hessian_times(derivative, wrt)
    flat = not any(t in prune(times, *(f"d_{t.name}" for t in wrt)).inputs for t in wrt)
    kinds = {t: penalties.get(t) or regions.kinds.get(t, ("", -1))[0] for t in wrt}
    if method == "coordinate_descent" and not (flat and set(kinds.values()) <= {"", "absolute", "box"}):
        return "coordinates one by one need a quadratic, absolute values and bounds"
    weights = _figures(s.program, regions.program, wrt, penalties, kinds)
    made = [
        Function("smooth", "gradient", executable(derivative), "smooth"),
        Function("weights", "vector", executable(weights), outputs=tuple(weights.outputs)),
    ]
    programs, files = [derivative, times, weights], ["proximal"]
    if regions.kinds:
        ends, of_ends = bounds(boxes, wrt)
        made.append(ends)
        programs.append(of_ends)
    if any(f"normal {t.name}" in regions.program.outputs for t in wrt):
        normals = _normals(regions.program, wrt)
        made.append(Function("normals", "vector", executable(normals), outputs=tuple(normals.outputs)))
        programs.append(normals)
    if method == "coordinate_descent":
        more, besides = _second_derivatives(derivative, times, along, wrt)
        made, files = [*made, *more], [*files, *besides]
    squared = squares.read(s.program, "smooth", wrt)
    facts = {
        "kinds": [kinds[t] for t in wrt],
        "axes": [regions.kinds.get(t, ("", -1))[1] for t in wrt],
        "gap": flat and squared.program is not None and not squared.constant,
        "wholes": [dict(w) for w in regions.wholes],
        **boxes.facts(wrt),
    }
    return Composite(tuple(made), tuple(files), facts, tuple(programs), _reason(penalties, regions, facts["gap"]))


def _reason(penalties: Mapping[Tensor, str], regions: Regions, gap: bool) -> str:
    told = [f"{kind} of {t.name} by proximal operator" for t, kind in penalties.items()]
    told += [f"{WORDS[kind]} of {t.name} by projection" for t, (kind, _) in regions.kinds.items()]
    return "a smooth part, " + ", ".join(told) + ("; stops by the duality gap" if gap else "")


def _split(forward: Program, wrt: tuple[Tensor, ...], regions: Regions) -> proximal.Split:
    """The penalties taken out; where there are sets, none is enough."""
    found = proximal.split(forward, "loss", wrt)
    if found.program is not None or not regions.kinds or has_kinks(forward, wrt):
        return found
    return proximal.Split(replace(forward, outputs={"smooth": forward.outputs["loss"]}))


def _figures(
    split: Program, figures: Program, wrt: tuple[Tensor, ...], penalties: Mapping, kinds: Mapping[Tensor, str]
) -> Program:
    """One vector: of each parameter the weight of its penalty, the totals of its rows, its radius, or 0."""
    both = _beside(split, figures)
    names, statements, outputs = Names(t.name for t in both.tensors()), list(both.statements), {}
    for t in wrt:
        key = f"weight {t.name}" if t in penalties else f"{FIGURES.get(kinds[t], '')} {t.name}"
        out = both.outputs.get(key)
        if out is None:
            out = Tensor(names.fresh("weight"))
            statements.append(Statement(out, (), "=", "none", (), sympy.Integer(0)))
        outputs[f"figure {t.name}"] = out
    return prune(replace(both, statements=tuple(statements), outputs=outputs), *outputs)


def _beside(a: Program, b: Program) -> Program:
    """Two programs over the same inputs as one: what both define is the same."""
    known = set(a.statements)
    inputs = (*a.inputs, *(t for t in b.inputs if t not in a.inputs))
    statements = (*a.statements, *(s for s in b.statements if s not in known))
    return replace(a, inputs=inputs, statements=statements, outputs={**b.outputs, **a.outputs})


def _normals(program: Program, wrt: tuple[Tensor, ...]) -> Program:
    """The factors of each entry in the sum of its row, 1 where there are none."""
    names, statements, outputs = Names(t.name for t in program.tensors()), list(program.statements), {}
    for t in wrt:
        out = program.outputs.get(f"normal {t.name}")
        if out is None:
            k = fresh_indices(t.shape)
            out = Tensor(names.fresh("normal"), t.shape)
            statements.append(Statement(out, k, "=", "none", k, sympy.Integer(1)))
        outputs[f"normal {t.name}"] = out
    return prune(replace(program, statements=tuple(statements), outputs=outputs), *outputs)


def _second_derivatives(
    derivative: Program, times: Program, along: tuple[Tensor, ...], wrt: tuple[Tensor, ...]
) -> tuple[tuple[Function, ...], tuple[str, ...]]:
    """The Hessian as one array where there is one parameter (X'X is a product of matrices), else its columns; and the files."""
    if len(wrt) == 1:
        whole = hessian(derivative, wrt[0], wrt[0]).program
        return (Function("second_derivatives", "vector", executable(whole), outputs=("hessian",)),), ()
    return (Function("lagrangian_times", "gradient", executable(times), "slope", along=along),), ("by_columns",)

"""The Lagrangian of a page and its Karush-Kuhn-Tucker conditions.

product(request)  ->  rows of derivations/sections.py: Lagrangian, stationarity, feasibility, complementary slackness, verdict
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from symml.analysis import Analysis, differentiate
from symml.calculus.reverse import gradient
from symml.derivations import subgradient
from symml.derivations.convexity import certificate
from symml.derivations.feasibility import curvatures, feasible_set
from symml.derivations.request import Request
from symml.derivations.sections import Given, Side, equation, negated, note, reserved, side
from symml.derivations.verified import added
from symml.duality.lagrangian import SIGN, Lagrangian, build
from symml.duality.structure import acts_from_the_left, is_affine, is_symmetric, with_symmetries
from symml.errors import NumericError
from symml.ir.program import Access, Program, Statement, Tensor, fresh_indices
from symml.latex.printing import LATEX, TEXT
from symml.model.constraints import Constraint
from symml.proof.complex_step import check_gradient
from symml.proof.report import every, summary
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise, stabilise_way

MINUS = {LATEX: " - ", TEXT: " − "}


def product(request: Request) -> list[dict]:
    """`symml derive --kkt`."""
    with np.errstate(all="ignore"):
        a = request.analysis
        marked = with_symmetries(a.program)
        return conditions(a if marked is a.program else differentiate(a.model, marked), request.verify)


def conditions(a: Analysis, verify: bool = False) -> list[dict]:
    """Every row; NumericError where a stationarity formula disagrees with the complex step of the Lagrangian."""
    lag = build(a.model, a.program)
    given = reserved((*lag.program.tensors(), *a.forward.tensors()))
    sides = {c.name: side(lag.program, lag.program.outputs[c.output], given=given) for c in lag.kept}
    rows = [lagrangian_row(a, lag, sides, verify, given), *_stationarity(a, lag, verify, given)]
    rows += [row for c in lag.kept for row in added([_feasibility(c, sides[c.name])], verify, sides[c.name])]
    rows += [note("primal feasibility", c.text) for c in a.model.constraints if c not in lag.kept]
    rows += _multipliers(lag)
    bounds = [c for c in lag.kept if c.sense != "equal"]
    rows += [row for c in bounds for row in added([_slackness(lag, c, sides[c.name])], verify, sides[c.name])]
    if subgradient.kinked(a):
        rows += subgradient.rows(a)
    return [*rows, *_structure(a, lag), *_verdict(a)]


def lagrangian_row(
    a: Analysis, lag: Lagrangian, sides: dict[str, Side], verify: bool = False, given: Given | None = None
) -> dict:
    """L as the objective and a term for each constraint, each side of which was compared by itself."""
    objective = _objective(a, lag, given)
    whole = {LATEX: objective.latex, TEXT: objective.text}
    for c in lag.kept:
        m, s = lag.multipliers[c.name], sides[c.name]
        for style in (LATEX, TEXT):
            sign = lag.sign * SIGN[c.sense] * (-1 if s.turned else 1)
            term = _paired(m, s, style)
            whole[style] += (" + " if sign > 0 else MINUS[style]) + term
    where = [*objective.where, *(w for s in sides.values() for w in s.where)]
    row = equation("Lagrangian", ("L", "L"), (whole[LATEX], whole[TEXT]), "", where)
    return added([row], verify, objective, *sides.values())[0]


def _objective(a: Analysis, lag: Lagrangian, given: Given | None) -> Side:
    """The objective in its stable form; where that is the page's own, by the page's own names if it is shorter so."""
    programs = [a.forward] if stabilise_way(a.raw)[1] else [a.raw, a.forward]
    make = side if lag.sign > 0 else negated
    found = []
    for program in programs:
        mine = None if given is None else dict(given)
        found.append((make(program, program.outputs["loss"], given=mine), mine))
    best, mine = min(found, key=lambda x: len(x[0].text))
    if given is not None:
        given.update(mine)
    return best


def _paired(m: Tensor, s: Side, style: object) -> str:
    """The inner product of a multiplier and a residual."""
    name, text = style.name(m.name), s.latex if style is LATEX else s.text
    if s.at:
        sign = rf"\sum_{{{', '.join(s.at)}}}" if style is LATEX else f"sum[{', '.join(s.at)}]"
        return f"{sign} {s.of(m.name)[style is TEXT]} {s.bracketed(style)}"
    if not m.shape:
        return name + style.joined + s.bracketed(style)
    if len(m.shape) == 1:
        return name + style.transpose + style.joined + s.bracketed(style)
    return f"{name}, {text}".join(style.inner)


def _stationarity(a: Analysis, lag: Lagrangian, verify: bool, given: Given) -> Iterator[dict]:
    """dL/dx = 0 for each parameter, in the symmetric part where it varies among symmetric matrices."""
    raw = prune(lag.program, "lagrangian")
    forward = simplify(stabilise(raw))
    derivative = simplify(gradient(forward, "lagrangian", a.model.over))
    kinked = subgradient.kinked(a)
    head = "subgradient optimality" if kinked else "stationarity"
    zero = (r" \ni 0", " ∋ 0") if kinked else (" = 0", " = 0")
    for t in a.model.over:
        proof = check_gradient(raw, derivative, "lagrangian", t)
        if not proof.ok:
            raise NumericError(f"the derivative of the Lagrangian in '{t.name}' cannot be shown: {proof}", t.span)
        program, d = derivative, derivative.outputs[f"d_{t.name}"]
        if t.domain.kind in ("symmetric", "psd") and not is_symmetric(derivative, d):
            program, d = _symmetric_part(derivative, d)
        s = side(program, d, False, given)
        x = s.of(t.name)
        left = (rf"\frac{{\partial L}}{{\partial {x[0]}}}", f"∂L/∂{x[1]}")
        told = summary(every(raw, derivative, "lagrangian", t)) if verify else str(proof)
        row = equation(head, left, (s.latex + zero[0], s.text + zero[1]), told, s.where, t.name)
        yield from added([row], verify, s)
    if kinked:
        yield from subgradient.told(a)


def _symmetric_part(program: Program, t: Tensor) -> tuple[Program, Tensor]:
    out, (i, j) = Tensor(f"{t.name}_symmetric", t.shape), fresh_indices(t.shape)
    body = (Access(t, (i, j)) + Access(t, (j, i))) / 2
    s = Statement(out, (i, j), "=", "none", (i, j), body)
    return replace(program, statements=(*program.statements, s), outputs={**program.outputs, "symmetric": out}), out


def _feasibility(c: Constraint, s: Side) -> dict:
    """The residual against 0, from the side that needs no minus."""
    relation = {"equal": ("=", "="), "at_most": (r"\ge", "≥") if s.turned else (r"\le", "≤"), "psd": (r"\succeq", "⪰")}
    latex, text = relation[c.sense]
    return equation("primal feasibility", ("", ""), (f"{s.latex} {latex} 0", f"{s.text} {text} 0"), "", s.where, c.name)


def _multipliers(lag: Lagrangian) -> Iterator[dict]:
    for c in lag.kept:
        if c.sense != "equal":
            name = lag.multipliers[c.name].name
            latex, text = (r"\ge", "≥") if c.sense == "at_most" else (r"\succeq", "⪰")
            sides = (f"{LATEX.name(name)} {latex} 0", f"{TEXT.name(name)} {text} 0")
            yield equation("dual feasibility", ("", ""), sides, "", (), c.name)


def _slackness(lag: Lagrangian, c: Constraint, s: Side) -> dict:
    """mu .* g = 0, or Z A = 0."""
    m, told = lag.multipliers[c.name], []
    for style in (LATEX, TEXT):
        times = style.dot if m.shape and c.sense == "at_most" and not s.at else style.joined or " " * bool(s.at)
        told.append(f"{s.of(m.name)[style is TEXT]}{times}{s.bracketed(style)} = 0")
    return equation("complementary slackness", ("", ""), (told[0], told[1]), "", (), c.name)


def _structure(a: Analysis, lag: Lagrangian) -> Iterator[dict]:
    """Problems with a name of their own: eigenvectors, one linear system."""
    over = a.model.over
    if is_eigenproblem(a):
        yield from _eigenproblem(a, lag)
    equalities = bool(lag.kept) and all(c.sense == "equal" for c in a.model.constraints)
    gradients = tuple(a.derivative.outputs[f"d_{t.name}"] for t in over)
    outputs = tuple(lag.program.outputs[c.output] for c in lag.kept)
    if equalities and is_affine(a.derivative, gradients, over) and is_affine(lag.program, outputs, over):
        names = [TEXT.name(t.name) for t in (*over, *lag.multipliers.values())]
        told = f"stationarity and feasibility are one linear system in {', '.join(names[:-1])} and {names[-1]}"
        yield note("structure", told)


def is_eigenproblem(a: Analysis) -> bool:
    """One matrix with orthonormal columns, and a gradient S W with S independent of W."""
    over = a.model.over
    orthonormal = [r for r in a.model.regions if r.kind == "orthonormal" and r.axis == 0]
    return len(over) == len(a.model.constraints) == len(orthonormal) == 1 and acts_from_the_left(a.derivative, over[0])


def half_gradient(a: Analysis, lag: Lagrangian) -> tuple[Program, Tensor]:
    """Half the gradient of the objective in the page's own sense: a program that defines it, and the tensor."""
    (w,) = a.model.over
    d = a.derivative.outputs[f"d_{w.name}"]
    out, k = Tensor("half_gradient", d.shape), fresh_indices(d.shape)
    s = Statement(out, k, "=", "none", k, Access(d, k) * lag.sign / 2)
    program = simplify(replace(a.derivative, statements=(*a.derivative.statements, s), outputs={"half": out}))
    return program, program.outputs["half"]


def times_multiplier(a: Analysis, lag: Lagrangian) -> tuple[str, str]:
    """W Lambda as (LaTeX, text), negative where the page minimises: L = f + <Lambda, W'W - I>."""
    (w,), (m,) = a.model.over, lag.multipliers.values()
    minus = {LATEX: "-", TEXT: "−"} if lag.sign > 0 else {LATEX: "", TEXT: ""}
    latex, text = (minus[style] + style.name(w.name) + style.joined + style.name(m.name) for style in (LATEX, TEXT))
    return latex, text


def _eigenproblem(a: Analysis, lag: Lagrangian) -> Iterator[dict]:
    """S W = W Lambda, with S W half the gradient; with a minus where the page minimises."""
    (w,) = a.model.over
    half = side(*half_gradient(a, lag), turn=False)
    yield equation("structure", (half.latex, half.text), times_multiplier(a, lag), "", half.where)
    which = "smallest" if lag.sign > 0 else "largest"
    yield note(
        "structure",
        f"an eigenproblem: the columns of {TEXT.name(w.name)} span the eigenvectors of the {w.shape[1]} {which} eigenvalues",
    )


def _verdict(a: Analysis) -> Iterator[dict]:
    """For what these conditions are necessary, and whether they suffice."""
    wanted = "concave" if a.model.objective.sense == "maximize" else "convex"
    c, found = certificate(a), curvatures(a)
    if c.convex and not a.model.constraints and subgradient.kinked(a):
        yield note("verdict", f"{wanted}: where 0 is a subgradient is an optimum, and nowhere else")
    elif c.convex and not a.model.constraints:
        yield note("verdict", f"{wanted}: where the gradient vanishes is an optimum, and nowhere else")
    elif c.convex and feasible_set(a).convex:
        affine = all(c.sense != "psd" and f.curvature in ("constant", "affine") for c, f in found)
        told = f"{wanted}, and so is the feasible set: these conditions suffice for an optimum"
        more = (
            ", and are necessary: every constraint is affine"
            if affine
            else "; necessary where a point is strictly inside"
        )
        yield note("verdict", told + more)
    else:
        why = c.reason if not c.convex else feasible_set(a).reason
        told = "necessary at an optimum where the gradients of the active constraints are linearly independent"
        yield note("verdict", f"{told}; not certified to suffice: {why}")

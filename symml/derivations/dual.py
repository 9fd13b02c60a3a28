"""The dual problem of a page, with the way to it: which rule took out which unknown, and where its minimum is.

product(request)  ->  rows of derivations/sections.py; where no rule goes on, one row that says at what it stopped
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import sympy
from sympy import Expr

from symml.analysis import Analysis, differentiate
from symml.derivations.convexity import certificate
from symml.derivations.feasibility import curvatures, feasible_set
from symml.derivations.request import Request
from symml.derivations.sections import Given, Side, equation, note, reserved, side
from symml.derivations.verified import added
from symml.duality.check import check
from symml.duality.dual import Condition, Dual, dual
from symml.duality.structure import with_symmetries
from symml.errors import NumericError
from symml.ir.functions import absolute, less
from symml.ir.program import Index, Program, Statement, Tensor
from symml.latex.printing import LATEX, TEXT
from symml.methods.terms import NoClosedForm, Term, Terms
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify

WIDEST = 72
SENSES = {"equal": ("=", "="), "at_least": (r"\ge", "≥"), "above": (">", ">"), "definite": (r"\succ", "≻")}
TURNED = {**SENSES, "at_least": (r"\le", "≤"), "above": ("<", "<"), "definite": (r"\prec", "≺")}


@dataclass(frozen=True)
class _Way:
    """verify: all proofs are wanted; given: the names that formulas gave to what they repeat."""

    verify: bool
    given: Given

    def side(self, program: Program, t: Tensor, turn: bool) -> Side:
        """A formula as textbooks write it, in full; what it repeats has names where a line would not hold it."""
        found = side(program, t, turn)
        return found if len(found.text) <= WIDEST else side(program, t, turn, self.given)


def product(request: Request) -> list[dict]:
    """`symml derive --dual`."""
    a = request.analysis
    marked = with_symmetries(a.program)
    a = a if marked is a.program else differentiate(a.model, marked)
    with np.errstate(all="ignore"):
        try:
            d = dual(a.model, a.program)
            proof = check(d)
        except NoClosedForm as stop:
            return [note("dual", f"the inner minimisation has no closed form: stopped at {stop}")]
        if not proof.ok:
            raise NumericError(str(proof), a.model.objective.span)
        told = proof.at_length if request.verify else str(proof)
        letters = (*d.value.inputs, *d.lagrangian.inputs, *d.multipliers, *(s.unknown for s in d.steps))
        way = _Way(request.verify, reserved(letters))
        return [*_splits(d, way), *_steps(d, way), *_problem(d, told, way), *_verdict(a, d)]


def _shown(terms: Terms, loops: tuple[Index, ...], body: Expr, way: _Way, turn: bool = False) -> Side:
    """An expression over definitions as a formula."""
    out = Tensor("shown", tuple(k.size for k in loops))
    s = Statement(out, loops, "=", "none", loops, body)
    program = simplify(prune(Program(terms.inputs, (*terms.definitions, s), {"shown": out}), "shown"))
    return way.side(program, program.outputs["shown"], turn)


def _splits(d: Dual, way: _Way) -> Iterator[dict]:
    for s in d.splits:
        found = _shown(s.terms, s.loops, s.body, way)
        left = (LATEX.name(s.unknown.name), TEXT.name(s.unknown.name))
        told = tuple(f"{text} \\quad ({style.name(s.multiplier.name)})" if style is LATEX else
                     f"{text}   with the multiplier {style.name(s.multiplier.name)}"
                     for style, text in ((LATEX, found.latex), (TEXT, found.text)))  # fmt: skip
        yield from added([equation("named parts", left, told, "", found.where, s.unknown.name)], way.verify, found)


def _steps(d: Dual, way: _Way) -> Iterator[dict]:
    """Where the Lagrangian is least in each unknown."""
    for s in d.steps:
        name = TEXT.name(s.unknown.name)
        if s.at is None:
            yield note("inner minimisation", f"{name}: affine, so its slope gives a condition")
            continue
        found = _shown(s.terms, s.loops, s.at, way)
        left = (LATEX.name(s.unknown.name), name)
        row = equation("inner minimisation", left, (found.latex, found.text), "", found.where, s.unknown.name)
        yield from added([{**row, "rule": s.how, "proof": s.how}], way.verify, found)
    if d.scale is not None:
        told = f"{TEXT.name(d.scale.multiplier.name)} takes its best value, which normalises the exponential"
        yield note("inner minimisation", told)


def _problem(d: Dual, proof: str, way: _Way) -> Iterator[dict]:
    names = [m.name for m in d.multipliers]
    goal = "maximise" if d.sign > 0 else "minimise"
    signed = Terms(d.value.inputs, d.value.definitions, tuple(Term(t.loops, d.sign * t.body) for t in d.value.terms))
    program = simplify(signed.program())
    found = way.side(program, program.outputs["L"], False)
    left = (
        rf"\text{{{goal} over }} {', '.join(map(LATEX.name, names))}: \quad {found.latex}",
        f"{goal} over {', '.join(map(TEXT.name, names))}   {found.text}",
    )
    yield from added([equation("dual", ("", ""), left, proof, found.where, "dual")], way.verify, found)
    for c in d.conditions:
        for part, where in _parts(c):
            yield _condition(d, part, where, way)
    for m in d.multipliers:
        if m.domain.kind in ("interval", "psd"):
            latex, text = (r"\ge", "≥") if m.domain.kind == "interval" else (r"\succeq", "⪰")
            sides = (f"{LATEX.name(m.name)} {latex} 0", f"{TEXT.name(m.name)} {text} 0")
            yield equation("subject to", ("", ""), sides, "", (), m.name)


def _parts(c: Condition) -> Iterator[tuple[Condition, str]]:
    """A condition whose factors tell the diagonal from the rest as two, with where each holds."""
    tests = c.body.atoms(less)
    if len(c.loops) != 2 or tests != {less(*c.loops), less(*reversed(c.loops))}:
        yield c, ""
        return
    none = dict.fromkeys(tests, sympy.Integer(0))
    yield replace(c, body=c.body.xreplace({**none, less(*c.loops): sympy.Integer(1)})), "off the diagonal"
    body = c.body.xreplace(none)
    kink = next(iter(body.atoms(absolute)), None)
    met = replace(c, body=kink.args[0], sense="equal") if kink is not None and body == -kink else replace(c, body=body)
    yield met, "on the diagonal"


def _condition(d: Dual, c: Condition, where: str, way: _Way) -> dict:
    body = sympy.factor_terms(c.body) if c.sense == "equal" else c.body
    found = _shown(d.value, c.loops, body, way, turn=True)
    latex, text = (TURNED if found.turned else SENSES)[c.sense]
    sides = (f"{found.latex} {latex} 0", f"{found.text} {text} 0")
    if where:
        sides = (rf"{sides[0]} \quad \text{{{where}}}", f"{sides[1]}   {where}")
    return added([equation("subject to", ("", ""), sides, "", found.where, c.unknown.name)], way.verify, found)[0]


def _verdict(a: Analysis, d: Dual) -> Iterator[dict]:
    """How the optima are related."""
    low = "at most" if d.sign > 0 else "at least"
    told = f"every value of the dual is {low} every value of the problem"
    if certificate(a).convex and feasible_set(a).convex:
        affine = all(c.sense != "psd" and f.curvature in ("constant", "affine") for c, f in curvatures(a))
        when = "" if affine else " where some point is strictly inside"
        told += (
            f"; the optima are equal{when}, since the problem is convex{' with affine constraints' if affine else ''}"
        )
    yield note("verdict", told)
    for text in d.assumes:
        yield note("verdict", f"it is assumed that {text}")

"""The Lagrangian of a page in the place of its objective, and how its stationarity reads.

of_lagrangian(analysis)  ->  (an Analysis whose loss is the Lagrangian, its text, the lines below its gradients)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from symml.analysis import Analysis, differentiate
from symml.calculus.reverse import gradient
from symml.derivations.kkt import half_gradient, is_eigenproblem, lagrangian_row, times_multiplier
from symml.derivations.line import Line, at_random
from symml.derivations.rules import plain
from symml.derivations.sections import side
from symml.duality.lagrangian import Lagrangian, build
from symml.duality.structure import with_symmetries
from symml.ir.evaluate import evaluate
from symml.ir.program import Program
from symml.latex.style import Both
from symml.proof.complex_step import relative
from symml.proof.samples import sample
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise


def of_lagrangian(a: Analysis) -> tuple[Analysis, Both, tuple[Line, ...]]:
    """The Lagrangian as what is differentiated, its text, and its stationarity where it is a problem with a name of its own."""
    marked = with_symmetries(a.program)
    a = a if marked is a.program else differentiate(a.model, marked)
    lag = build(a.model, a.program)
    program = replace(lag.program, outputs={**lag.program.outputs, "loss": lag.program.outputs["lagrangian"]})
    raw = prune(program, "loss")
    forward = simplify(stabilise(raw))
    derivative = simplify(gradient(forward, "loss", a.model.over))
    sides = {c.name: side(lag.program, lag.program.outputs[c.output]) for c in lag.kept}
    row = lagrangian_row(a, lag, sides)
    written = (row["latex"].removeprefix("L = "), row["text"].removeprefix("L = "))
    ends = tuple(_ends(a, lag, derivative))
    return replace(a, program=program, raw=raw, forward=forward, derivative=derivative), written, ends


def _ends(a: Analysis, lag: Lagrangian, derivative: Program) -> Iterator[Line]:
    """S W = W Lambda."""
    if not is_eigenproblem(a):
        return
    (w,), (m,) = a.model.over, lag.multipliers.values()
    program, half = half_gradient(a, lag)
    left = side(program, half, turn=False)
    values, dims = sample(derivative, np.random.default_rng(13))
    slope = evaluate(derivative, values, dims)[derivative.outputs[f"d_{w.name}"]] / 2
    here = evaluate(program, values, dims)[half] + lag.sign * values[w] @ values[m]
    which = "smallest" if lag.sign > 0 else "largest"
    rule = plain(f"where it is 0: eigenvectors, of the {w.shape[1]} {which} eigenvalues at the optimum")
    yield Line((left.latex, left.text), "=", times_multiplier(a, lag), rule, at_random(relative(slope, here)))

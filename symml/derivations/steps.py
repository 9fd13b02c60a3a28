"""`symml derive --steps`: the way to each gradient, line by line, each line with its rule and its numeric check.

The record is the reverse pass's own (calculus/reverse.py): what each reading of a tensor sent back. A line states the
loss, a name, or an adjoint. An adjoint is compared with the complex step of the loss by that intermediate, each of its
terms with the complex step of the loss by that one reading (proof/perturbed.py), an equality at random inputs.

    lines(analysis)  ->  (Line(left=("\\bar{Z} = ...", "Z̄ = ∂ℓ/∂Z"), relation="=", right=..., rule=..., proof=...), ...)
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain

import numpy as np

from symml.analysis import Analysis, differentiate
from symml.derivations.backwards import adjoint_lines, parameter_lines
from symml.derivations.lagrangian_steps import of_lagrangian
from symml.derivations.line import Line
from symml.derivations.opening import name_lines, objective_lines
from symml.derivations.request import Request
from symml.derivations.way import Way, passed, recorded
from symml.duality.structure import with_symmetries
from symml.errors import NumericError
from symml.latex.style import Both


def product(request: Request) -> list[dict]:
    """The lines as rows: latex, text, left, relation, rule, what was compared and the error."""
    with np.errstate(all="ignore"):  # what is not finite is reported, not warned of
        found = lines(request.analysis, request.chosen)
    return [
        {
            "left": _pretty(line.left[1]),
            "left_latex": line.left[0],
            "relation": line.relation,
            "text": _pretty(line.right[1]),
            "latex": line.right[0],
            "rule": _pretty(line.rule[1]),
            "rule_latex": line.rule[0],
            "method": line.proof.method,
            "error": line.proof.error,
        }
        for line in found
    ]


def _pretty(text: str) -> str:
    """Text of index form with the marks of matrix form."""
    text = re.sub(r"\*\*(\d)", lambda m: "⁰¹²³⁴⁵⁶⁷⁸⁹"[int(m[1])], text)
    return re.sub(r"(?<=[\w\])])\*(?=\S)", " ", re.sub(r"(?<![A-Za-z])-", "−", text))


def lines(a: Analysis, wrt: tuple[str, ...]) -> tuple[Line, ...]:
    """The whole way to the gradients by the parameters named; NumericError where a line does not hold.

    Under constraints it is the Lagrangian that is differentiated.
    """
    if a.model.constraints and all(
        c.sense == "psd" for c in a.model.constraints
    ):  # a domain: one asks for the gradient
        a = differentiate(replace(a.model, constraints=()), with_symmetries(a.program))
    if a.model.constraints:
        a, written, ends = of_lagrangian(a)
        return (
            *_lines(a, replace(recorded(a), symbol=("L", "L")), wrt, "the Lagrangian", written),
            *map(_checked, ends),
        )
    sense = "the objective" if a.model.objective.sense == "minimize" else "minus the objective, to be minimised"
    return _lines(a, recorded(a), wrt, sense)


def _lines(a: Analysis, way: Way, wrt: tuple[str, ...], what: str, written: Both | None = None) -> tuple[Line, ...]:
    targets = [t for t in a.model.over if t.name in wrt]
    through = passed(way, targets)
    told = (
        objective_lines(a, way, what, written),
        name_lines(way, through),
        adjoint_lines(way, through),
        *(parameter_lines(a, way, t) for t in targets),
    )
    return tuple(map(_checked, chain(*told)))  # each before the next is begun


def _checked(line: Line) -> Line:
    if not line.proof.ok:
        text = f"{line.left[1]} {line.relation} {line.right[1]}".strip()
        raise NumericError(f"a line of the derivation does not hold: {text}: {line.proof}")
    return line

"""gradient = 0, solved block by block where it can be, each solution plugged back before it is shown.

product(request)  ->  rows of sections.py: the equation, the closed form, or why there is none
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from symml import names
from symml.analysis import Analysis
from symml.derivations.request import Request
from symml.derivations.sections import equation, note
from symml.derivations.verified import added
from symml.errors import NumericError
from symml.ir.program import Program, Tensor
from symml.latex.derivation import Formula, formula
from symml.latex.tree import Leaf, Node
from symml.methods.closed_forms import ClosedForm, Unsolved, solve
from symml.methods.epigraph import has_kinked_functions
from symml.model.feasible import own_sets
from symml.proof.complex_step import Proof
from symml.proof.plugged_back import check_solution
from symml.proof.report import every, summary
from symml.proof.samples import sample

WORDS = {
    "affine": "the gradient is affine in {0}",
    "separable": "each entry of {0} has an equation of its own",
    "simplex": "each entry of {0} has an equation of its own; the multiplier makes their sum 1",
    "eigenproblem": "A {0} = {0} Λ, an eigenproblem: the objective is the sum of the eigenvalues, least for the least ones",
    "covariance": "{0} is in a log det, and its inverse in a linear term",
    "precision": "{0} is in a log det and in a linear term",
}


def product(request: Request) -> list[dict]:
    """`symml derive --stationary`."""
    with np.errstate(all="ignore"):
        a = request.analysis
        return [row for t in a.model.over if t.name in request.chosen for row in _rows(a, t, request.verify)]


def closed_form(a: Analysis, block: Tensor) -> ClosedForm | Unsolved:
    """The closed form of a block, with the set that the page says it lies in."""
    sets = own_sets(a.model)
    if has_kinked_functions(a.forward, (block,)):
        return Unsolved(block, "it has kinks, where the gradient is no equation (--kkt says the conditions there)")
    if sets is None:
        return Unsolved(block, "a constraint ties its entries to others")
    return solve(a.derivative, a.forward, block, sets.get(block, ""))


def _rows(a: Analysis, block: Tensor, verify: bool) -> Iterator[dict]:
    letter, symbol = names.unicode(block.name), names.latex(block.name)
    head = f"∂/∂{letter} = 0"
    found = closed_form(a, block)
    if isinstance(found, Unsolved):
        yield note(head, f"no closed form: {found.reason}")
        return
    proof = check_solution(found.derivative, f"d_{block.name}", found.used, block, found.kind)
    if not proof.ok:
        raise NumericError(f"the closed form of '{block.name}' is wrong, or not finite at random inputs: {proof}")
    given: dict[Node, Leaf] = {}
    yield note(head, WORDS[found.kind].format(letter) + (", with what the minimum chose held" if found.held else ""))
    if found.kind == "eigenproblem":
        m = _formula(found.matrix, "matrix", given)
        yield from added([equation(head, ("A", "A"), (m.latex, m.text), "", m.where)], verify, m)
    elif found.matrix is not None:
        left, right = _formula(found.matrix, "matrix", given), _formula(found.right, "right", given)
        if left.form == right.form == "matrix":
            sides = (_times(left, symbol, letter, found), (right.latex, right.text))
            yield from added([equation(head, *sides, "", (*left.where, *right.where))], verify, left, right)
    told = _told(proof)
    if verify:
        told += "; the gradient: " + summary(every(a.raw, a.derivative, "loss", block))
    if found.kind == "eigenproblem":
        first = (r"\text{the first columns of } \operatorname{eigvecs}(A)", "the first columns of eigvecs(A)")
        yield equation(head, (symbol, letter), first, told, ())
        return
    s = _formula(found.program, "solution", given)
    yield from added([equation(head, (symbol, letter), (s.latex, s.text), told, s.where)], verify, s)


def _told(proof: Proof) -> str:
    return "plugged back, the gradient is 0" + (f" to {proof.error:.0e}" if proof.error else "")


def _formula(program: Program, key: str, given: dict[Node, Leaf]) -> Formula:
    return formula(program, program.outputs[key], sample, given=given)


def _times(matrix: Formula, symbol: str, letter: str, found: ClosedForm) -> tuple[str, str]:
    """H w, W H where the rows share it, or h (.) C."""
    latex, text = (
        (rf"\left({matrix.latex}\right)", f"({matrix.text})") if matrix.nodes > 1 else (matrix.latex, matrix.text)
    )
    if found.diagonal and found.block.shape:
        return rf"{latex} \odot {symbol}", f"{text} ⊙ {letter}"
    if found.shared == 0:
        return f"{symbol} {latex}", f"{letter}{text}"
    return f"{latex} {symbol}", f"{text}{' ' if not found.block.shape else ''}{letter}"

"""The loss and its gradients as formulas, each with its proof.

formulas(analysis)  ->  rows of derivations/rows.py, the loss first; a proof that fails is an error, never a formula
"""

from __future__ import annotations

import numpy as np
from sympy import Expr, latex

from symml.analysis import Analysis
from symml.calculus.reverse import gradient
from symml.derivations.request import Request
from symml.derivations.rows import row
from symml.derivations.said import with_definitions
from symml.errors import NumericError
from symml.ir.program import Tensor
from symml.latex.derivation import BOUND, Formula, formula
from symml.latex.native import to_sympy
from symml.latex.style import TEXT
from symml.latex.tree import Leaf, Node
from symml.proof.complex_step import Proof, check_gradient
from symml.proof.kinks import check_kinks, coincide
from symml.proof.report import every
from symml.proof.samples import sample
from symml.rewrite.simplify import simplify


def product(request: Request) -> list[dict]:
    """`symml derive`: the loss of a page and each gradient, or the gradients of an expression."""
    a, form = request.analysis, request.form
    wrt = request.chosen if request.is_expression or request.wrt else ()
    rows = formulas(a, "index" if form == "sympy" else form, wrt)
    for r in rows:
        if form == "sympy":
            expr = native(a, r["name"] if r["proof"] else "")
            r.update(text=str(expr), latex=latex(expr), form="sympy", where=[])
        if request.verify and r["proof"]:
            r["proof"] = "; ".join(map(str, (*proofs(a, r["name"]), _printed(r))))
    return rows


def formulas(a: Analysis, form: str = "matrix", wrt: tuple[str, ...] = ()) -> list[dict]:
    """The loss (unless some parameters are chosen) and each gradient, each with its proof."""
    with np.errstate(all="ignore"):  # what is not finite is reported, not warned of
        return _formulas(a, form, wrt)


def _formulas(a: Analysis, form: str, wrt: tuple[str, ...]) -> list[dict]:
    given: dict[Node, Leaf] = {}
    rows = [] if wrt else [row("loss", _loss(a, form, given), "")]
    for t in a.model.over:
        if wrt and t.name not in wrt:
            continue
        proof = check_gradient(a.raw, a.derivative, "loss", t)
        if proof.error == float("inf"):
            raise NumericError(
                f"the gradient of '{t.name}' cannot be compared: it or the loss is not finite at random inputs",
                fix="scale what overflows, or declare the domains of data and parameters, as in x[n] > 0",
            )
        if not proof.ok:
            raise NumericError(f"the derived gradient of '{t.name}' is wrong: {proof}")
        found = formula(a.derivative, a.derivative.outputs[f"d_{t.name}"], sample, form, given=given)
        if form == "matrix" and _defined(a, found):
            found = _in_words(a, t) or found
        rows.append(row(t.name, found, f"{proof}{at_a_kink(a, t)}"))
    return rows


def _defined(a: Analysis, found: Formula) -> bool:
    """Does a formula explain names of the page?"""
    names = {TEXT.name(u.name) for u in a.program.tensors() if u.kind == "definition"}
    return any(text.split(" = ")[0].replace("\u0304", "") in names for _, text in found.where)


def _in_words(a: Analysis, t: Tensor) -> Formula | None:
    """A gradient over all that the page names; None where code names as much, or where that has no matrix form."""
    said, forward = with_definitions(a)
    if not said:
        return None
    program = simplify(gradient(forward, "loss", a.model.over), said)
    found = formula(program, program.outputs[f"d_{t.name}"], sample, named=True)
    good = found.form == "matrix" and not found.read and check_gradient(a.raw, program, "loss", t).ok
    return found if good else None


def _loss(a: Analysis, form: str, given: dict[Node, Leaf]) -> Formula:
    """The formula of the loss; where it names what has no form of its own, in the words of the gradients beside it."""
    loss = a.derivative.outputs["loss"]
    found = formula(a.forward, a.forward.outputs["loss"], sample, form, given=dict(given))
    if form == "matrix" and _defined(a, found):
        said, forward = with_definitions(a)
        words = formula(forward, forward.outputs["loss"], sample, named=True) if said else found
        if said and words.form == "matrix" and not words.read:
            return words
    if not found.read:
        return formula(a.forward, a.forward.outputs["loss"], sample, form, given=given)
    return formula(a.derivative, loss, sample, form, given=given)


def at_a_kink(a: Analysis, t: Tensor) -> str:
    """A remark, where several kinks lie at one place and the rules together give no slope there."""
    found = check_kinks(a.raw, a.derivative, "loss", t) if coincide(a.forward) else None
    if found is None or found.ok:
        return ""
    return f"; where kinks coincide it is by rule no slope (off by {found.error:.0e})"


def native(a: Analysis, name: str) -> Expr:
    """The loss ("") or a gradient as native sympy."""
    program = a.derivative if name else a.forward
    return to_sympy(program, program.outputs[f"d_{name}" if name else "loss"])


def proofs(a: Analysis, name: str) -> tuple[Proof, ...]:
    """What a gradient was compared with: complex step, plain sympy, and mpmath at kinks where it has some."""
    t = next(t for t in a.model.over if t.name == name)
    return every(a.raw, a.derivative, "loss", t)


def _printed(row: dict) -> Proof:
    """How far the printed tree is from its statement; index form is the statement itself."""
    return Proof("printed form", row["printed_error"], BOUND, 1)

"""Plans of what is asked about a fit: its Hessian times a vector, standard errors, the scores of the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from symml.assemble.plan import plan
from symml.calculus.second import hessian_times, jacobian
from symml.calculus.stopped import stopped
from symml.calculus.tangent import tangent
from symml.errors import NumericError, UnsupportedError
from symml.loops.plan import Function, Plan
from symml.methods import likelihood
from symml.proof.complex_step import check_gradient, check_jacobian
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.training.compose import all_dims, executable

if TYPE_CHECKING:
    from symml.analysis import Analysis


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
    held = stopped(a.raw, a.model.over)
    if held is not None:
        raise UnsupportedError("curvature is of an objective without stop( ) of what is trained", held.span)
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

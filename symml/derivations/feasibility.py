"""Is the feasible set convex, and which constraint stopped that.

feasible_set(analysis)  ->  Feasible(convex=False, reason="W' W = I: an equality of ...")
"""

from __future__ import annotations

from dataclasses import dataclass

from symml.analysis import Analysis
from symml.methods.convexity import Certificate, certify
from symml.model.constraints import Constraint
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise


@dataclass(frozen=True)
class Feasible:
    """Whether the constraints leave a convex set; reason: the first that may not."""

    convex: bool
    reason: str


def curvatures(a: Analysis) -> list[tuple[Constraint, Certificate]]:
    """The curvature of each residual's entries in all parameters."""
    found = []
    for c in a.model.constraints:
        program = simplify(stabilise(prune(a.program, c.output)))
        found.append((c, certify(program, c.output, a.model.over)))
    return found


def feasible_set(a: Analysis) -> Feasible:
    """Convex where equalities and matrix inequalities are affine, and inequalities convex."""
    for c, f in curvatures(a):
        wanted = ("constant", "affine", "convex") if c.sense == "at_most" else ("constant", "affine")
        if f.curvature not in wanted:
            why = f.reason if f.curvature == "unknown" else f"{f.curvature}: {f.reason}"
            return Feasible(False, f"{c.text} is not certified {'convex' if c.sense == 'at_most' else 'affine'}: {why}")
    return Feasible(True, "every equality is affine, every inequality convex" if a.model.constraints else "")

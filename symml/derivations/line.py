"""A line of a derivation that is told step by step.

Line(("\\ell", "ℓ"), "=", (..., "1/n ‖Xw − y‖²"), plain("the objective"), proof)
"""

from __future__ import annotations

from dataclasses import dataclass

from symml.ir.program import Tensor
from symml.latex.derivation import BOUND as OF_TREES
from symml.latex.printing import LATEX, TEXT, tensor_name
from symml.latex.style import Both
from symml.proof.complex_step import BOUND, Proof


@dataclass(frozen=True)
class Line:
    """`left relation right` by a rule; an empty left goes on from the line before. `proof`: what it was compared with."""

    left: Both
    relation: str
    right: Both
    rule: Both
    proof: Proof


def at_random(error: float) -> Proof:
    """Both sides of an equality, compared at random inputs."""
    return Proof("both sides at random inputs", error, BOUND, 2)


def by_tree(error: float) -> Proof:
    """A formula, compared with the statement that it shows."""
    return Proof("formula and statement at random inputs", error, OF_TREES, 2)


def name_of(t: Tensor) -> Both:
    """A tensor as it is written."""
    return tensor_name(t, LATEX), tensor_name(t, TEXT)


def several(rules: list[Both]) -> Both:
    """Rules as one."""
    rules = list(dict.fromkeys(rules))
    return r",\; ".join(r[0] for r in rules), ", ".join(r[1] for r in rules)

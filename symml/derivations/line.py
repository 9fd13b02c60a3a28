"""A line of a derivation that is told step by step.

Line(("\\ell", "ℓ"), "=", (..., "1/n ‖Xw − y‖²"), plain("the objective"), proof)
"""

from __future__ import annotations

from dataclasses import dataclass

from symml.derivations.rules import Both
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

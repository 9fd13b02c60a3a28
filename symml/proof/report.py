"""Both oracles on one gradient, and what a person reads of them.

proofs = prove(forward, derivative, "loss", w)
summary(proofs)      "complex step agrees to 3e-16; expansion by sympy agrees to 1e-16"
"""

from __future__ import annotations

from collections.abc import Sequence

from symml.ir.program import Program, Tensor
from symml.proof.complex_step import Proof, check_gradient
from symml.proof.expansion import can_expand, check_expansion
from symml.proof.kinks import check_kinks


def prove(forward: Program, derivative: Program, output: str, wrt: Tensor) -> tuple[Proof, ...]:
    """The gradient `d_NAME` of a scalar output against the complex step and against plain sympy."""
    first = check_gradient(forward, derivative, output, wrt)
    return (first, check_expansion(forward, derivative, output, wrt)) if can_expand(forward) else (first,)


def every(forward: Program, derivative: Program, output: str, wrt: Tensor) -> tuple[Proof, ...]:
    """All that a gradient is compared with: complex step, plain sympy, and mpmath at kinks where it has some."""
    at_kinks = check_kinks(forward, derivative, output, wrt)
    return (*prove(forward, derivative, output, wrt), *([at_kinks] if at_kinks else []))


def summary(proofs: Sequence[Proof]) -> str:
    """One line for all."""
    return "; ".join(map(str, proofs))

"""An optimiser as a Program: one step from old entries to new ones.

optimizer.updates  ->  {theta: new_theta, m: new_m, t: new_t}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symml.ir.program import Program, Tensor


@dataclass(frozen=True)
class Optimizer:
    """An optimiser's page as a Program over entries: `state` per entry, `counters` scalar, hyper-parameters by name."""

    name: str
    program: Program
    theta: Tensor
    gradient: Tensor
    state: tuple[Tensor, ...]
    counters: tuple[Tensor, ...]
    starts: Mapping[Tensor, float]
    hypers: Mapping[Tensor, float | None]
    updates: Mapping[Tensor, Tensor]

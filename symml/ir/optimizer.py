"""An optimiser as a Program: one step from old entries to new ones.

optimizer.updates  ->  {theta: new_theta, m: new_m, t: new_t}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from symml.ir.program import Program, Tensor


@dataclass(frozen=True)
class Optimizer:
    """An optimiser's page as a Program over entries: `state` per entry, `counters` scalar, hyper-parameters by name.

    `clock` marks the hyper-parameters that a run fills in: "steps" and "epochs" of the whole run, which schedules read.
    """

    name: str
    program: Program
    theta: Tensor
    gradient: Tensor
    state: tuple[Tensor, ...]
    counters: tuple[Tensor, ...]
    starts: Mapping[Tensor, float]
    hypers: Mapping[Tensor, float | None]
    updates: Mapping[Tensor, Tensor]
    clock: Mapping[Tensor, str] = field(default_factory=dict)

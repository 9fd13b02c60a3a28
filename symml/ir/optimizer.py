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
    `answer` is the state that a run gives out in the place of theta, such as an average; None where it is theta.
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
    answer: Tensor | None = None

    @property
    def by_tensor(self) -> bool:
        """Does it reduce over the entries (`||theta||`)? Then a step takes the parameters one by one."""
        return any(s.reduce != "none" for s in self.program.statements)

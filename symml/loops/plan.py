"""The Plan of a fit, what a target prints as one module: functions, the algorithm that calls them, how parameters start.

plan.function("value_and_grad").program  ->  LoopProgram
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sympy import Expr

from symml.ir.optimizer import Optimizer
from symml.ir.program import Dim, Tensor
from symml.loops.program import LoopProgram, read_by


@dataclass(frozen=True)
class Function:
    """One function of the module.

    kind: gradient (fills g, returns `output`), value (a scalar), array (fills `out`), vector (fills `out` with all of
    `outputs`, one after another). `along`: inputs that come as one vector v beside x, as in a derivative along v.
    `params`: what x holds, where that is more than the parameters of the plan.
    """

    name: str
    kind: str
    program: LoopProgram
    output: str = ""
    part: str = ""
    outputs: tuple[str, ...] = ()
    along: tuple[Tensor, ...] = ()
    params: tuple[Tensor, ...] = ()

    @property
    def arguments(self) -> str:
        """The names of its arguments."""
        v = "v, " if self.along else ""
        return {
            "gradient": f"x, {v}g, data, work",
            "value": f"x, {v}data, work",
            "array": f"x, {v}data, work, out",
            "vector": f"x, {v}out, data, work",
        }[self.kind]

    @property
    def data(self) -> tuple[Tensor, ...]:
        """The data arrays it reads, in order of declaration."""
        read = read_by(self.program) | set(self.program.outputs.values())
        return tuple(t for t in self.program.inputs if t.kind == "data" and t in read and t not in self.along)


@dataclass(frozen=True)
class Start:
    """How one parameter starts: `constant` (value) or `normal` (mean, deviation), over dims and hyper-parameters; as the
    `identity` matrix; or `sample`, with distinct rows of the data `source`, which the runtime puts in."""

    tensor: Tensor
    kind: str
    args: tuple[Expr, ...]
    source: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything a target needs to print the module of a fit.

    `params` share one vector in this order; `dims` is the order of `sizes`; `batch` counts the rows of a batch of `row`.
    `algorithm` stands in the file of its name; `files` are those that it needs besides; `reason` says why it was
    chosen, `method` is the page's word for it, `facts` are what its run must know (JSON), `unknowns` those that it adds.
    """

    params: tuple[Tensor, ...]
    hypers: tuple[Tensor, ...]
    dims: tuple[Dim, ...]
    functions: tuple[Function, ...]
    starts: tuple[Start, ...]
    algorithm: str
    optimizer: Optimizer | None = None
    update: LoopProgram | None = None
    row: Dim | None = None
    batch: Dim | None = None
    files: tuple[str, ...] = ()
    reason: str = ""
    method: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    unknowns: tuple[Tensor, ...] = ()

    @property
    def noise(self) -> tuple[Tensor, ...]:
        """The arrays that a step of training draws anew, in order of declaration."""
        return tuple(t for t in self.function("value_and_grad").data if t.domain.kind == "noise")

    def function(self, name: str) -> Function:
        return next(f for f in self.functions if f.name == name)

"""How long a derivative is: what a rule that only shortens must not lose. Values cannot tell, so this is an oracle of its own.

    length(derivative)  ->  Length(statements=3, operations=14, adding=1, nests=2, buffers=1, loose=0)

A fault is seen where a page takes more of anything than it takes without the fault.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

from symml.ir.program import Program, flat
from symml.loops.program import Gemm, Item, LoopProgram, Rounds, Steps, statements_of
from symml.loops.schedule import schedule

CONTRACTION = 3  # loops of a product of two matrices


@dataclass(frozen=True)
class Length:
    """statements and operations of the formulas; statements that add to what was cleared; nests; buffers of full length;
    contractions that are not left to BLAS."""

    statements: int
    operations: int
    adding: int
    nests: int
    buffers: int
    loose: int

    def longer_than(self, other: Length) -> str:
        """What there is more of, with both figures; "" where nothing is."""
        rows = zip(fields(self), astuple(self), astuple(other), strict=True)
        return ", ".join(f"{f.name} {ours} instead of {theirs}" for f, ours, theirs in rows if ours > theirs)


def length(derivative: Program) -> Length:
    """The figures of a program and of its loops."""
    loops = schedule(derivative)
    formulas = list(flat(derivative.statements))
    run = [s for region in loops.regions for s in statements_of(region)]
    items = [item for region in loops.regions for outer in region.items for item in _inside(outer)]
    contractions = sum(s.reduce == "sum" and len(s.loops) >= CONTRACTION for s in run)
    return Length(
        len(derivative.statements) + len(formulas),
        sum(int(s.body.count_ops()) for s in formulas),
        sum(s.mode == "+=" for s in run),
        len(items),
        _buffers(loops),
        contractions - sum(isinstance(item, Gemm) for item in items),
    )


def _inside(item: Item) -> tuple[Item, ...]:
    return item.items if isinstance(item, Steps | Rounds) else (item,)


def _buffers(loops: LoopProgram) -> int:
    return sum(t not in loops.local for t in loops.workspace)

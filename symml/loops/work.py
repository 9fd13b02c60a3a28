"""How much an interpreter has to do for one evaluation of a LoopProgram, before it does it.

work(program, dims)  ->  Work(statements, entries, largest)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from symml.ir.evaluate import extent
from symml.ir.program import Dim, Iterate, Library, Node, Scan
from symml.loops.program import LoopProgram, Region, nodes_of

ROUNDS = 100  # of an iteration, whose number nobody knows before


@dataclass(frozen=True)
class Work:
    """Statements that are run, entries of their grids, and the entries of the largest grid (which is held in memory)."""

    statements: float
    entries: float
    largest: float

    def times(self, count: float) -> Work:
        return Work(count * self.statements, count * self.entries, self.largest)


def work(p: LoopProgram, dims: Mapping[Dim, int]) -> Work:
    """The work of one evaluation with these sizes."""
    return _total(_region(r, dims) for r in p.regions)


def _total(parts: Iterable[Work]) -> Work:
    found = list(parts)
    return Work(
        sum(w.statements for w in found), sum(w.entries for w in found), max((w.largest for w in found), default=0.0)
    )


def _region(region: Region, dims: Mapping[Dim, int]) -> Work:
    if region.stream is None:
        return _total(_node(n, dims) for n in nodes_of(region))
    rows = dims[region.stream]
    block = {**dims, region.stream: min(rows, region.block)}
    return _total(_node(n, block) for n in nodes_of(region)).times(math.ceil(rows / region.block))


def _node(node: Node, dims: Mapping[Dim, int]) -> Work:
    if isinstance(node, Scan):
        return _total(_node(s, dims) for s in node.statements).times(extent(node.step.size, dims))
    if isinstance(node, Iterate):
        return _total(_node(s, dims) for s in node.statements).times(ROUNDS)
    if isinstance(node, Library):  # of cubic cost in the sizes of its matrices
        sides = [[extent(n, dims) for n in t.shape] for t in node.args]
        held = float(sum(math.prod(s) for s in sides))
        return Work(1.0, held * max((n for s in sides for n in s), default=1), held)
    entries = float(math.prod(extent(k.size, dims) for k in node.loops))
    return Work(1.0, entries, entries)

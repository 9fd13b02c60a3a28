"""The LoopProgram: regions of loop nests and matrix products over buffers.

    loop program ::= region ...
    region       ::= stream (a dim cut in row blocks, or none), items
    item         ::= Nest(statements over the same loops, in order) | Gemm(a statement done by BLAS)

Inside a streaming region every access is local to the block: a tensor whose first axis is the stream is read at the
block's rows, so a block's items are an ordinary program of `block` rows. `local` temporaries hold one block only.
Sums over the stream accumulate over blocks into tensors that are zeroed before the region.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sympy import Expr

from symml.ir.program import Dim, Index, Statement, Tensor


@dataclass(frozen=True)
class Nest:
    """Statements that run in order inside one set of loops; the last loop is the lane (the vectorised one)."""

    statements: tuple[Statement, ...]
    loops: tuple[Index, ...]


@dataclass(frozen=True)
class Gemm:
    """out = a b with optional transposes, times a scalar; the statement is its meaning."""

    statement: Statement
    a: Tensor
    b: Tensor
    transpose_a: bool
    transpose_b: bool
    scale: Expr


@dataclass(frozen=True)
class Region:
    """Items in order; with `stream` they run block by block over its rows."""

    items: tuple[Nest | Gemm, ...]
    stream: Dim | None = None
    block: int = 0
    zeroed: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class LoopProgram:
    """Inputs, regions, named outputs; `workspace` are the temporaries that need a buffer, `local` those of a block.

    `in_place` maps a new tensor to the input whose buffer it overwrites (an optimiser's state).
    """

    inputs: tuple[Tensor, ...]
    regions: tuple[Region, ...]
    outputs: Mapping[str, Tensor]
    workspace: tuple[Tensor, ...]
    local: frozenset[Tensor]
    in_place: Mapping[Tensor, Tensor]

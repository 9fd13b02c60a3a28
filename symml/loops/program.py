"""The LoopProgram: regions of loop nests and matrix products over buffers.

    loop program ::= region ...
    region       ::= stream (a dim cut in row blocks, or none), items
    item         ::= Nest(statements over the same loops, in order) | Gemm(a statement done by BLAS)
                   | Steps(items once for each step of a scan) | Rounds(items until a fixed point) | Call(a library node)

Inside a streaming region every access is local to the block: a tensor whose first axis is the stream is read at the
block's rows, so a block's items are an ordinary program of `block` rows. `local` temporaries hold one block only.
Sums over the stream accumulate over blocks into tensors that are zeroed before the region.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sympy import Expr

from symml.ir.program import Dim, Index, Iterate, Library, Node, Scan, Statement, Tensor, flat, outs, reads


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
class Call:
    """An operation on whole tensors."""

    node: Library


@dataclass(frozen=True)
class Steps:
    """The items of a scan's step, in order."""

    node: Scan
    items: tuple[Nest, ...]


@dataclass(frozen=True)
class Rounds:
    """The items of an iteration's round, in order; `zeroed` tensors start each round at zero."""

    node: Iterate
    items: tuple[Nest | Gemm | Call, ...]
    zeroed: tuple[Tensor, ...] = ()


Item = Nest | Gemm | Call | Steps | Rounds


@dataclass(frozen=True)
class Region:
    """Items in order; with `stream` they run block by block over its rows.

    `cut`: the rows may be cut in chunks that run side by side. Each chunk adds up its rows by itself, the first one to
    what is there; then the sums are added in the order of the chunks.
    """

    items: tuple[Item, ...]
    stream: Dim | None = None
    block: int = 0
    zeroed: tuple[Tensor, ...] = ()
    cut: bool = False


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


def nodes_of(region: Region) -> list[Node]:
    """What the items of a region mean, in order; statements that were fused run in theirs."""
    return [n for item in region.items for n in _meaning(item)]


def _meaning(item: Item) -> Iterable[Node]:
    if isinstance(item, Nest):
        return item.statements
    if isinstance(item, Gemm):
        return (item.statement,)
    if isinstance(item, Call):
        return (item.node,)
    return (item.node.with_statements(n for inner in item.items for n in _meaning(inner)),)


def statements_of(region: Region) -> list[Statement]:
    """All statements of a region, those inside of scans and iterations too."""
    return list(flat(nodes_of(region)))


def row_sums(region: Region) -> tuple[Tensor, ...]:
    """What a streaming region adds up over its rows, in order."""
    outs_ = dict.fromkeys(s.out for s in statements_of(region))
    return tuple(t for t in outs_ if not (t.shape and t.shape[0] == region.stream))


def read_by(p: LoopProgram) -> set[Tensor]:
    """The tensors that a LoopProgram reads."""
    return {t for r in p.regions for n in nodes_of(r) for t in reads(n)}


def defined_by(p: LoopProgram) -> set[Tensor]:
    """The tensors that a LoopProgram defines."""
    return {t for r in p.regions for n in nodes_of(r) for t in outs(n)}

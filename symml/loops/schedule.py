"""Program to LoopProgram: streaming regions, contractions to BLAS, loop orders with their lane, fusion.

1. The stream: the dim whose leading axis the data share. stage(statement) = the most complete of its inputs, plus one
   after a finished sum over the stream; one region for each stage. Streaming pays where passes over the data are
   bound by memory; a program with matrix products is left to BLAS. Where a region's sums over rows can be added up chunk
   by chunk, it may be cut: threads then take chunks, and the order of the sums does not depend on how many they are.
2. A contraction of two matrices over one index is a Gemm, unless a literal size is below GEMM_LEAST.
3. The lane of a nest is the loop with the cheapest accesses (LANE_COST: unit stride, invariant, strided).
4. A sum that shares work with a map is done beside it (beside.py). A map joins the nest before it when they run over the
   same loops and the reader wants the same element.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import permutations

import sympy

from symml.ir.program import (
    Access,
    Dim,
    Index,
    Iterate,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    accesses,
    direct_accesses,
    flat,
    indices,
    reads,
    reindex,
)
from symml.loops.beside import beside_maps
from symml.loops.program import Call, Gemm, Item, LoopProgram, Nest, Region, Rounds, Steps, row_sums, statements_of

BLOCK = 64
GEMM_LEAST = 8
LANE_COST = {"unit": 0.5, "invariant": 0.1, "strided": 8.0}


def schedule(program: Program, in_place: Mapping[Tensor, Tensor] | None = None) -> LoopProgram:
    """The loops of a program; `in_place` says which new tensor takes the buffer of which input."""
    program = beside_maps(program)
    items = [item(node) for node in program.statements]
    stream = stream_dim(program) if all(isinstance(i, Nest) for i in items) else None
    if stream is None:
        regions = [Region(tuple(fuse(items)), zeroed=_scattered(flat(program.statements)))]
    else:
        regions = streamed(program, stream)
    temporaries = [t for t in program.tensors() if t not in program.inputs and t not in program.outputs.values()]
    local = frozenset(_local(regions, temporaries, stream))
    buffers = tuple(t for t in temporaries if t.shape)
    return LoopProgram(program.inputs, tuple(regions), program.outputs, buffers, local, dict(in_place or {}))


def item(node: Node) -> Item:
    """How a node runs outside a streaming region."""
    if isinstance(node, Statement):
        return as_gemm(node) or nest(node)
    if isinstance(node, Scan):
        return Steps(node, tuple(fuse([nest(s) for s in node.statements])))
    if isinstance(node, Iterate):
        return Rounds(node, tuple(fuse([item(s) for s in node.statements])), _scattered(flat(node.statements)))
    return Call(node)


# streaming


def stream_dim(program: Program) -> Dim | None:
    """The dim to cut in blocks: first axis of a data matrix, and of every tensor that has it; sums only over it."""
    candidates = [t.shape[0] for t in program.inputs if t.kind == "data" and len(t.shape) >= 2]
    for dim in dict.fromkeys(candidates):
        if (
            isinstance(dim, Dim)
            and all(dim not in t.shape[1:] for t in program.tensors())
            and all(_streamable(s, dim) for s in program.statements)
        ):
            return dim
    return None


def _streamable(s: Statement, dim: Dim) -> bool:
    over = [k for k in s.loops if k.size == dim]
    if len(over) > 1:
        return False
    reads_whole = any(
        a.tensor.shape and a.tensor.shape[0] == dim and not (over and a.idx[0] is over[0]) for a in accesses(s.body)
    )
    writes_whole = bool(s.out.shape) and s.out.shape[0] == dim and not (over and s.lhs[0] is over[0])
    reduced = bool(over) and over[0] in s.reduced
    uses_row_number = any(k in s.body.free_symbols for k in over)
    return not reads_whole and not writes_whole and not uses_row_number and (not reduced or s.reduce == "sum")


def streamed(program: Program, dim: Dim) -> list[Region]:
    """Statements by stage: what needs no rows, then the region over the rows of that stage."""
    ready: dict[Tensor, int] = {}
    stages: list[tuple[list[Statement], list[Statement]]] = []
    for s in program.statements:
        stage = max((ready.get(t, 0) for t in reads(s)), default=0)
        if s.mode == "+=":
            stage = max(stage, ready.get(s.out, 0))
        over = [k for k in s.loops if k.size == dim]
        while len(stages) <= stage:
            stages.append(([], []))
        stages[stage][bool(over)].append(s)
        whole = bool(over) and not (s.out.shape and s.out.shape[0] == dim)  # summed or scattered: done after all rows
        ready[s.out] = max(ready.get(s.out, 0), stage + (1 if whole else 0))
    regions = []
    done: frozenset[Tensor] = frozenset()
    for outside, inside in stages:
        if outside:
            regions.append(Region(tuple(fuse([nest(s) for s in outside])), zeroed=_scattered(outside, done)))
        done |= {s.out for s in outside}
        if inside:
            regions.append(_stream_region(inside, dim, done))
        done |= {s.out for s in inside}
    return regions


def _scattered(statements: Iterable[Statement], done: frozenset[Tensor] = frozenset()) -> tuple[Tensor, ...]:
    """Tensors whose first statement adds: they start at zero."""
    first: dict[Tensor, str] = {}
    for s in statements:
        first.setdefault(s.out, s.mode)
    return tuple(t for t, mode in first.items() if mode == "+=" and t not in done)


def _stream_region(statements: list[Statement], dim: Dim, done: frozenset[Tensor]) -> Region:
    """Sums over the rows accumulate from block to block; what is added into first starts at zero."""
    adding = [replace(s, mode="+=") if any(k.size == dim for k in s.reduced) else s for s in statements]
    region = Region(tuple(fuse([nest(s) for s in adding])), dim, BLOCK, _scattered(adding, done))
    sums = [s for s in adding if s.out in row_sums(region)]
    return replace(region, cut=bool(sums) and all(s.mode == "+=" and not s.out.integer for s in sums))


def _local(regions: list[Region], temporaries: list[Tensor], stream: Dim | None) -> list[Tensor]:
    """Temporaries along the stream that one region alone touches."""
    where: dict[Tensor, set[int]] = {}
    for number, region in enumerate(regions):
        for s in statements_of(region):
            for t in (*reads(s), s.out):
                where.setdefault(t, set()).add(number)
    return [t for t in temporaries if stream is not None and t.shape and t.shape[0] == stream and len(where[t]) == 1]


# contractions


def as_gemm(s: Statement) -> Gemm | None:
    """out[p, q] = c sum[r] A[p, r] B[r, q] up to transposes, with c free of indices."""
    if (
        s.mode != "="
        or s.reduce != "sum"
        or len(s.reduced) != 1
        or s.guard is not None
        or not s.covers
        or len(s.lhs) != 2
    ):
        return None
    (r,) = s.reduced
    p, q = s.lhs
    factors = sympy.Mul.make_args(s.body)
    matrices = [f for f in factors if isinstance(f, Access) and f.idx]
    scale = sympy.Mul(*(f for f in factors if f not in matrices))
    if (
        len(matrices) != 2
        or indices(scale)
        or any(a.idx for a in accesses(scale))
        or not all(_roomy(k) for k in s.loops)
    ):
        return None
    a, b = matrices if p in matrices[0].idx else matrices[::-1]
    if set(a.idx) != {p, r} or set(b.idx) != {r, q} or a.tensor.integer or b.tensor.integer:
        return None
    if any(k.size != n for x in (a, b) for k, n in zip(x.idx, x.tensor.shape, strict=True)):
        return None  # a part of a matrix
    return Gemm(s, a.tensor, b.tensor, a.idx == (r, p), b.idx == (q, r), scale)


def _roomy(k: Index) -> bool:
    return not k.size.is_Integer or k.size >= GEMM_LEAST


# nests


def nest(s: Statement) -> Nest:
    """One statement with its loops in their best order."""
    if len(s.loops) > 5:
        return Nest((s,), s.loops)
    outer_first = {k: p for p, k in enumerate(s.lhs)}
    best = min(permutations(s.loops), key=lambda order: (_cost(s, order), [outer_first.get(k, 9) for k in order]))
    return Nest((s,), best)


def _cost(s: Statement, order: tuple[Index, ...]) -> float:
    """Access costs of the lane, and of the next loop at a tenth; reductions that cannot be added up in memory, and sums
    into a part of a tensor, keep their loops innermost."""
    if not order:
        return 0.0
    in_register = s.reduce not in ("none", "sum") or (s.reduce == "sum" and s.mode == "=" and not clearable(s))
    if in_register and set(order[len(order) - len(s.reduced) :]) != set(s.reduced):
        return 1e9
    total = 0.0
    for weight, k in zip((1.0, 0.1), reversed(order), strict=False):
        for a in (*accesses(s.body), Access(s.out, s.lhs)):
            total += weight * LANE_COST[stride(a, k)]
    if s.reduce == "sum" and s.reduced and order[-1] not in s.reduced:
        total += 0.3  # adding into memory costs a load and a store that a register does not
    return total


def clearable(s: Statement) -> bool:
    """Are the elements that a statement writes whole axes at fixed places of the others, so that they are set to 0 at
    once?"""
    return all(
        (k in s.loops and k.size == n) or not indices(k) & set(s.loops) for k, n in zip(s.lhs, s.out.shape, strict=True)
    )


def stride(a: Access, k: Index) -> str:
    """How an access moves along a loop."""
    if not any(k in indices(e) for e in a.idx):
        return "invariant"
    return "unit" if a.idx[-1] is k and all(k not in indices(e) for e in a.idx[:-1]) else "strided"


def fuse(items: list[Item]) -> list[Item]:
    """Join a nest to the one before it where that keeps every value."""
    done: list[Item] = []
    for item in items:
        joined = _joined(done[-1], item) if done and isinstance(item, Nest) and isinstance(done[-1], Nest) else None
        if joined is None:
            done.append(item)
        else:
            done[-1] = joined
    return done


def _joined(first: Nest, second: Nest) -> Nest | None:
    """Maps over loops of the same sizes in the same order, each reading what the first wrote at the same element only."""
    if len(first.loops) != len(second.loops) or not first.loops:
        return None
    if any(a.size != b.size for a, b in zip(first.loops, second.loops, strict=True)):
        return None
    table = dict(zip(second.loops, first.loops, strict=True))
    if len(second.statements) != 1:
        return None
    s = reindex(second.statements[0], table)
    if not _is_entrywise(s) or not all(_is_entrywise(t) for t in first.statements):
        return None
    written = {t.out: t.lhs for t in first.statements}
    for a in direct_accesses(s.body):
        if a.tensor in written and a.idx != written[a.tensor]:
            return None
    if s.out in written and written[s.out] != s.lhs:
        return None
    return Nest((*first.statements, s), first.loops)


def _is_entrywise(s: Statement) -> bool:
    """Writes each element of the nest once, and reduces nothing."""
    plain = [k for k in s.lhs if k in s.loops]  # beside them stands the step of a scan
    return s.mode == "=" and s.reduce == "none" and s.guard is None and clearable(s) and len(plain) == len(s.loops)

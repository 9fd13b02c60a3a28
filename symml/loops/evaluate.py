"""The interpreter of LoopPrograms: `--target reference`, and the oracle of every schedule.

Blocks run one after another; inside a block each item is interpreted by the Program's interpreter on the block's rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from symml.ir.evaluate import NUMPY, extent, run
from symml.ir.program import Dim, Tensor, reads
from symml.loops.program import LoopProgram, Region, nodes_of, row_sums, statements_of


def evaluate(
    p: LoopProgram, values: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int], chunks: int = 1
) -> dict[str, np.ndarray]:
    """The outputs of a LoopProgram on arrays; the rows of regions that may be cut make at most `chunks` chunks."""
    env = dict(values)
    for region in p.regions:
        for t in region.zeroed:
            if t not in p.local:
                env[t] = np.zeros([extent(size, dims) for size in t.shape])
        if region.stream is None:
            for node in nodes_of(region):
                run(node, env, dims, NUMPY)
        else:
            _stream(region, p, env, dims, chunks if region.cut else 1)
    return {name: env[t] for name, t in p.outputs.items()}


def _stream(
    region: Region, p: LoopProgram, env: dict[Tensor, np.ndarray], dims: Mapping[Dim, int], chunks: int
) -> None:
    """Cut what has the stream as first axis, run the block, put rows that leave the region back; the sums of a further
    chunk begin at 0 and are added when it ends."""
    rows = dims[region.stream]
    total = Dim(region.stream.name)
    statements = [s.with_body(s.body.xreplace({region.stream: total})) for s in statements_of(region)]
    rowed = {t for s in statements for t in (s.out, *reads(s)) if t.shape and t.shape[0] == region.stream}
    written = {s.out for s in statements if s.out in rowed and s.out not in p.local}
    kept: dict[Tensor, list[np.ndarray]] = {t: [] for t in rowed if t in written}
    span = rows if chunks == 1 else -(-rows // (chunks * region.block)) * region.block
    for first in range(0, rows, max(span, 1)):
        before = {t: env[t] for t in row_sums(region)} if first > 0 else {}
        env.update({t: np.zeros_like(a) for t, a in before.items()})
        last = min(rows, first + span)
        for start in range(first, last, region.block):
            stop = min(last, start + region.block)
            block = {t: (a[start:stop] if t in rowed else a) for t, a in env.items()}
            for s in statements:
                run(s, block, {**dims, region.stream: stop - start, total: rows}, NUMPY)
            for t in kept:
                kept[t].append(block[t])
            env.update({s.out: block[s.out] for s in statements if s.out not in rowed})
        env.update({t: a + env[t] for t, a in before.items()})
    env.update({t: np.concatenate(parts) for t, parts in kept.items() if parts})

"""Batches of rows: what a step copies of the data, what it reads where it stands, and its products of rows and vectors.

rows.gather   copy_rows(b_y, (v_y, order), start, rows)       y is copied, X is a pair (matrix, numbers of the batch)
a product     dot_rows(v_z, v_X, start, rows, v_w)            z[i] = sum[j] X[i, j] w[j]
              add_rows(g_w, v_X, start, rows, v_e)            g[j] += sum[i] X[i, j] e[i]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symml.ir.program import Access, Statement, Tensor, reads
from symml.loops.plan import Plan
from symml.loops.program import Item, LoopProgram, Nest, Region, nodes_of
from symml.targets.numba_cpu.config import Config
from symml.targets.numba_cpu.printer import INDENT, Printer


@dataclass(frozen=True)
class Product:
    """A matrix and a vector: `dot` where each row gives a number, else the rows are added up."""

    statement: Statement
    matrix: Tensor
    vector: Tensor
    dot: bool


def product(item: Item) -> Product | None:
    """out[i] = sum[j] A[i, j] v[j] or out[j] += sum[i] A[i, j] v[i] of whole real arrays; None for all else."""
    if not isinstance(item, Nest) or len(item.statements) != 1:
        return None
    s = item.statements[0]
    if s.reduce != "sum" or s.guard is not None or len(s.loops) != 2 or len(s.reduced) != 1 or not s.body.is_Mul:
        return None
    factors = sorted((a for a in s.body.args if isinstance(a, Access)), key=lambda a: -len(a.idx))
    if len(factors) != len(s.body.args) or [len(a.idx) for a in factors] != [2, 1] or not s.covers:
        return None
    a, v = factors
    (r,) = s.reduced
    (kept,) = (k for k in s.loops if k is not r)
    dot = a.idx == (kept, r)
    if v.idx != (r,) or s.lhs != (kept,) or not ((dot and s.mode == "=") or a.idx == (r, kept)):
        return None
    if s.out.integer or any(x.tensor.integer for x in (a, v)) or not all(_whole(x) for x in (a, v)):
        return None
    return Product(s, a.tensor, v.tensor, dot)


def _whole(a: Access) -> bool:
    return all(k.size == n for k, n in zip(a.idx, a.tensor.shape, strict=True))


def in_place(plan: Plan, config: Config) -> frozenset[Tensor]:
    """The matrices of data whose rows a step needs in products alone: they are read where they stand."""
    if plan.batch is None or config.boundscheck:
        return frozenset()
    f = plan.function("value_and_grad")
    items = [item for region in f.program.regions for item in region.items]
    elsewhere = {t for item in items if product(item) is None for n in nodes_of(Region((item,))) for t in reads(n)}
    rowed = {t for t in f.data if len(t.shape) == 2 and t.shape[0] == plan.batch and not t.integer}
    return frozenset(rowed - elsewhere - set(plan.noise))


class BatchPrinter(Printer):
    """Prints the gradient of a batch; `standing` are the matrices that are read where they stand."""

    def __init__(self, storage: Mapping[Tensor, str], config: Config, standing: frozenset[Tensor]) -> None:
        super().__init__(storage, config)
        self.standing = standing

    def viewed(self, region: Region, p: LoopProgram) -> set[Tensor]:
        return super().viewed(region, p) - self.standing

    def item(self, item: Item) -> list[str]:
        found = product(item)
        if found is None:
            return super().item(item)
        s = found.statement
        name = "dot_rows" if found.dot else "add_rows"
        self.used.add(name)
        rows = s.reduced[0] if not found.dot else s.lhs[0]
        first = "start" if found.matrix in self.standing and rows.size in self.extents else "0"
        matrix, vector, out = (self.storage[t] for t in (found.matrix, found.vector, s.out))
        cleared = [] if found.dot or s.mode == "+=" else self._clear(s)
        return [*cleared, f"{name}({out}, {matrix}, {first}, {self._extent(rows)}, {vector})"]


def gather(plan: Plan, config: Config, used: set[str]) -> list[str]:
    """Copy a batch's rows, or tell where they stand, and draw a step's noise; what has neither is passed on."""
    f, standing = plan.function("value_and_grad"), in_place(plan, config)
    names = [t.name for t in f.data]
    cut = [t for t in f.data if plan.batch is not None and t.shape[:1] == (plan.batch,)]
    lines = ["def gather(data, order, start, stop, batch, seed, step):"]
    lines += [f"{INDENT}sizes, hyper{''.join(f', v_{n}' for n in names)} = data"]
    lines += [f"{INDENT}batch_sizes, _{''.join(f', b_{n}' for n in names)} = batch", f"{INDENT}rows = stop - start"]
    lines += [f"{INDENT}for q in range(sizes.shape[0]):", f"{INDENT * 2}batch_sizes[q] = sizes[q]"]
    if plan.batch is not None:
        at = next(k for k, t in enumerate(plan.dims) if t.name == plan.batch.name)
        lines += [f"{INDENT}batch_sizes[{at}] = rows"]
    copied = [t for t in cut if t not in plan.noise and t not in standing]
    lines += _copied_in_bounds(copied) if config.boundscheck else _copied(copied, used)
    for k, t in enumerate(plan.noise):
        lines.append(f"{INDENT}fill_normal(b_{t.name}.reshape(-1), 0.0, 1.0, seed, DRAW + {256 * k}, step)")
    told = {t: f"b_{t.name}" for t in plan.noise} | {t: f"b_{t.name}[:rows]" for t in cut}
    told |= {t: f"(v_{t.name}, order[start:stop])" for t in standing}
    views = "".join(f", {told.get(t, f'v_{t.name}')}" for t in f.data)
    return [*lines, f"{INDENT}return batch_sizes, hyper{views}"]


def _copied(tensors: list[Tensor], used: set[str]) -> list[str]:
    used |= {"copy_rows"} if tensors else set()
    return [f"{INDENT}copy_rows(b_{t.name}, (v_{t.name}, order), start, rows)" for t in tensors]


def _copied_in_bounds(tensors: list[Tensor]) -> list[str]:
    """b_X[r, ...] = v_X[k, ...] entry by entry, each place of it checked."""
    lines = [f"{INDENT}for r in range(rows):", f"{INDENT * 2}k = order[start + r]"] if tensors else []
    for t in tensors:
        letters = [f"q{axis}" for axis in range(1, len(t.shape))]
        places = "".join(f", {q}" for q in letters)
        for k, q in enumerate(letters):
            lines.append(f"{INDENT * (k + 2)}for {q} in range(v_{t.name}.shape[{k + 1}]):")
        lines.append(f"{INDENT * (len(letters) + 2)}b_{t.name}[r{places}] = v_{t.name}[k{places}]")
    return lines

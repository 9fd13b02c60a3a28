"""LoopPrograms as the text of device functions that a block of threads runs together. Total and dumb.

The loop nests are those of the CPU's printer; here some of their loops are shared out over the threads. Every array is
flat. Scalars are plain variables, computed by every thread. A block barrier stands at the head, since the caller may have
read what is written here, and after each item that writes arrays.

    maps, products, extremes     the last loop of the result over lanes, the one before over rows of threads
    sum into a scalar            every thread a part of the loops, then device_block_sum
    sum into a vector            threads over its entries and, in the rest of the block, over the summed loop
    matrix product               device_product
    colliding scatters           thread 0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sympy import Expr

from symml.ir.program import Access, Dim, Index, Statement, Tensor, accesses, reads
from symml.loops.program import Gemm, Item, LoopProgram, Nest, Region, statements_of
from symml.loops.schedule import stride
from symml.targets.numba_cpu.bodies import NUMPY, PRIMITIVES, Bodies
from symml.targets.numba_cpu.printer import INDENT, Step, size
from symml.targets.numba_cpu.printer import Printer as LoopPrinter
from symml.targets.numba_cuda.config import Config

BARRIER = "cuda.syncthreads()"
ALONE = "if thread == 0:"


class FlatBodies(Bodies):
    """Bodies whose arrays are vectors: T[i, j] is v_T[(i*n_j + j)]. No function is numpy's: numba types none for CUDA."""

    primitives = (*PRIMITIVES, *NUMPY)

    def index(self, expr: Expr, letters: Mapping[Index, str]) -> str:
        if not isinstance(expr, Access) or not expr.idx:
            return super().index(expr, letters)
        places = [self.index(k, letters) for k in expr.idx]
        flat = places[0]
        for place, extent in zip(places[1:], expr.tensor.shape[1:], strict=True):
            flat = f"({flat}*{size(extent)} + {place})"
        return f"{self.storage[expr.tensor]}[{flat}]"


class Printer(LoopPrinter):
    """Prints one function's body; `head` are lines that its own need, once at the start."""

    def __init__(self, storage: Mapping[Tensor, str], config: Config) -> None:
        super().__init__(storage, config)
        self.bodies = FlatBodies(storage, config, self.names.fresh, self.used)
        self.layouts: dict[str, tuple[str, str, str, str]] = {}
        self.ranges: dict[Index, str] = {}
        self.head: list[str] = [BARRIER, "thread = cuda.threadIdx.x"]

    # regions

    def region(self, region: Region, p: LoopProgram) -> list[str]:
        outside = [t for t in region.zeroed if t not in p.local]
        lines = [line for t in outside for line in self._zero(t)]
        if region.stream is None:
            return lines + [line for item in region.items for line in self.item(item)]
        n = f"n_{region.stream.name}"
        lines += [
            f"for start in range(0, {n}, {region.block}):",
            f"{INDENT}rows = device_min({region.block}, {n} - start)",
        ]
        self.extents = {region.stream: "rows"}
        views = {t: self.names.fresh("b") for t in self._rowed(region) if t not in p.local}
        block = [f"{view} = {self.storage[t]}[{_entries(t, 'start')}:]" for t, view in views.items()]
        outer, self.bodies.storage = self.bodies.storage, {**self.storage, **views}
        self.storage = self.bodies.storage
        block += [line for t in region.zeroed if t in p.local for line in self._zero(t)]
        block += [line for item in region.items for line in self.item(item)]
        self.storage = self.bodies.storage = outer
        self.extents = {}
        return lines + [INDENT + line for line in block]

    def item(self, item: Item) -> list[str]:
        if not isinstance(item, Nest):
            return super().item(item)
        s = item.statements[0]
        if not item.loops:
            return [line for s in item.statements for line in self._scalar(s)]
        outer = tuple(k for k in item.loops if k not in s.reduced)
        if any(not _independent(t, k) for t in item.statements for k in outer):
            return self._alone(super().item(item))
        loops = (*outer, *(k for k in item.loops if k in s.reduced))
        if s.reduce == "none":
            return [*self._mapped(item.loops, lambda: self.entries(item)), BARRIER]
        if s.reduce == "sum" and not outer:
            return self._total(s, loops)
        if s.reduce == "sum" and len(outer) == 1 and not (s.reduced == () or s.guard is not None):
            return [*self._vector_sum(s, loops), BARRIER]
        kind = {"sum": self._dot, "logsumexp": self._logsumexp, "prod": self._dot}.get(s.reduce, self._extreme)
        return [*self._mapped(outer, lambda: kind(s, loops, [self._letters(loops)])), BARRIER]

    def gemm(self, g: Gemm) -> list[str]:
        """One call of the tiled matrix product."""
        p, q = g.statement.lhs
        (r,) = g.statement.reduced
        rows, columns, depth = (self._extent(k) for k in (p, q, r))
        a = f"{self.storage[g.a]}, " + (f"1, {rows}" if g.transpose_a else f"{depth}, 1")
        b = f"{self.storage[g.b]}, " + (f"1, {depth}" if g.transpose_b else f"{columns}, 1")
        scale = f"real({self.bodies.scalar(g.scale)})"
        return [
            f"device_product({a}, {b}, {self.storage[g.statement.out]}, {rows}, {columns}, {depth}, {scale}, shared)"
        ]

    def _copied(self, to: Tensor, source: Tensor) -> list[str]:
        return self._each(to, lambda k: f"{self.storage[source]}[{k}]") if to.shape else super()._copied(to, source)

    def _filled(self, t: Tensor, value: str) -> list[str]:
        return self._each(t, lambda _: value) if t.shape else super()._filled(t, value)

    def _each(self, t: Tensor, value: Callable[[str], str]) -> list[str]:
        """Every entry of a tensor set, shared out; in a stream, of the rows that are there."""
        k = self.names.fresh("k")
        count = _entries(t, self.extents.get(t.shape[0]))
        line = f"{INDENT}{self.storage[t]}[{k}] = {value(k)}"
        return [f"for {k} in range(thread, {count}, THREADS):", line, BARRIER]

    # sums

    def _total(self, s: Statement, loops: tuple[Index, ...]) -> list[str]:
        """A scalar, or an entry at a fixed place: the parts of the threads, put together over the block."""
        letters = self._letters(loops)
        scope, (text,) = self.bodies.prepare([s.body], loops, letters)
        part = self.names.fresh("s")
        inner = self._guarded(s, [f"{part} += {text}"], letters, loops)
        lines = self._mapped(loops, lambda: self._loops(loops, letters, scope, inner))
        value = f"device_block_sum({part}, shared)"
        if not s.lhs:
            return [f"{part} = real(0)", *lines, f"{self.storage[s.out]} {s.mode} {value}"]
        return [
            f"{part} = real(0)",
            *lines,
            f"{part} = {value}",
            *self._alone([f"{self._target(s, letters)} {s.mode} {part}"]),
        ]

    def _vector_sum(self, s: Statement, loops: tuple[Index, ...]) -> list[str]:
        """A vector of sums. Where memory runs along the summed loop, a part of a warp walks it; else threads stand side by
        side along the result, and what is left of the block cuts the sum in parts."""
        o, *reduced = loops
        last = reduced[-1]
        along = any(stride(a, last) == "unit" for a in accesses(s.body)) and not any(
            stride(a, o) == "unit" and stride(a, last) != "unit" for a in accesses(s.body)
        )
        n = self._extent(o)
        bits, lane, row, lanes = self._layout(last if along else o, "WARP" if along else "")
        letters = self._letters(loops)
        scope, (text,) = self.bodies.prepare([s.body], loops, letters)
        part, base = self.names.fresh("s"), self.names.fresh("o")
        cut = last if along else reduced[0]
        self.ranges = {
            cut: f"range({lane if along else row}, {self._extent(cut)}, {lanes if along else f'THREADS >> {bits}'})"
        }
        sums = [*scope.lines[1], *self._nested(loops[1:], letters, scope.lines[2:], [f"{part} += {text}"])]
        self.ranges = {}
        total = f"device_lane_sum({part}, {lanes}, shared)" if along else f"device_row_sum({part}, {bits}, shared)"
        first = f"{lane} == 0" if along else f"{row} == 0"
        body = [
            f"{letters[o]} = {base} + {row if along else lane}",
            f"{part} = real(0)",
            f"if {letters[o]} < {n}:",
            *(INDENT + line for line in sums),
            f"{part} = {total}",
            f"if {letters[o]} < {n} and {first}:",
            INDENT + f"{self._target(s, letters)} {s.mode} {part}",
        ]
        step = f"THREADS >> {bits}" if along else lanes
        return [*scope.lines[0], f"for {base} in range(0, {n}, {step}):", *(INDENT + line for line in body)]

    # pieces

    def _mapped(self, loops: tuple[Index, ...], lines: Callable[[], list[str]]) -> list[str]:
        """The lines of a nest whose last two of `loops` are shared out over the threads."""
        if len(loops) == 1:
            self.ranges = {loops[0]: f"range(thread, {self._extent(loops[0])}, THREADS)"}
        elif loops:
            bits, lane, row, lanes = self._layout(loops[-1])
            self.ranges = {
                loops[-2]: f"range({row}, {self._extent(loops[-2])}, THREADS >> {bits})",
                loops[-1]: f"range({lane}, {self._extent(loops[-1])}, {lanes})",
            }
        done = lines()
        self.ranges = {}
        return done

    def _layout(self, k: Index, most: str = "") -> tuple[str, str, str, str]:
        """How threads stand along a loop: bits, lane, row, lanes; made once for each extent, at the head."""
        extent = str(self.blocks[k.size]) if k.size in self.blocks else size(k.size)
        key = f"{extent} {most}"
        if key not in self.layouts:
            names = tuple(self.names.fresh(stem) for stem in ("bits", "lane", "row", "lanes"))
            bits, lane, row, lanes = self.layouts[key] = names
            covered = f"device_min({extent}, {most})" if most else extent
            self.head += [f"{bits} = device_width({covered})", f"{lanes} = 1 << {bits}"]
            self.head += [f"{lane} = thread & ({lanes} - 1)", f"{row} = thread >> {bits}"]
        return self.layouts[key]

    @property
    def blocks(self) -> dict[Dim, int]:
        """The stream that is being printed, with the rows of a tile."""
        return {dim: self.config.tile for dim in self.extents}

    def _nested(
        self,
        loops: tuple[Index, ...],
        letters: Mapping[Index, str],
        lets: Sequence[list[str]],
        inner: list[str],
        step: Step | None = None,
    ) -> list[str]:
        if loops and loops[0] in self.ranges:
            step = (loops[0], self.ranges[loops[0]])
        return super()._nested(loops, letters, lets, inner, step)

    def _alone(self, lines: list[str]) -> list[str]:
        return [ALONE, *(INDENT + line for line in lines), BARRIER]

    def _scalar(self, s: Statement) -> list[str]:
        line = self._store_scalar(s)
        return [line] if not s.lhs else [BARRIER, ALONE, INDENT + line, BARRIER]

    def _zero(self, t: Tensor) -> list[str]:
        return self._filled(t, "real(0)" if t.shape else "0.0")

    def _rowed(self, region: Region) -> list[Tensor]:
        """What has the stream as its first axis, in order."""
        found = {t for s in statements_of(region) for t in (s.out, *reads(s))}
        return sorted((t for t in found if t.shape and t.shape[0] == region.stream), key=lambda t: t.uid)


def _entries(t: Tensor, rows: str | None = None) -> str:
    """The number of entries of a tensor, or of some of its rows."""
    return "*".join([rows or size(t.shape[0]), *map(size, t.shape[1:])])


def _independent(s: Statement, k: Index) -> bool:
    """Do different values of a loop write different entries?"""
    return s.mode == "=" or any(e is k for e in s.lhs) or k in s.reduced

"""Regions whose rows are cut in chunks: the function of one chunk, and what its caller does.

    NAME_rows0(chunk, at)      the region on the rows of a chunk; its sums go to the chunk's own places
    NAME(..., data, work)      has the chunks done, adds their sums up in their order

Behind the buffers of the function, `work` holds: part_0, ... (chunks, entries) of each tensor that is summed, `sums`
(chunks, numbers) of the numbers, `given`, `call`, `crew`. `at` is the address of `call`: rows of a chunk, sizes, the
addresses of `sums`, `given` (the numbers that are known before) and every array.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sympy import Expr

from symml.ir.program import Dim, Tensor, reads
from symml.loops.program import LoopProgram, Region, row_sums, statements_of
from symml.targets.numba_cpu.config import Config
from symml.targets.numba_cpu.printer import INDENT, Printer, size

USED = ("run_chunks", "add_chunks", "address", "pointer")


@dataclass(frozen=True)
class Places:
    """What the chunks of a function add up and what they are told, in the order in which they find it."""

    regions: tuple[Region, ...]
    parts: tuple[Tensor, ...]
    sums: tuple[Tensor, ...]
    given: tuple[Tensor, ...]
    arrays: tuple[Tensor, ...]
    dims: tuple[Dim, ...]

    @property
    def names(self) -> list[str]:
        """The names behind the buffers."""
        return [*(f"part_{k}" for k in range(len(self.parts))), "sums", "given", "call", "crew"]

    @property
    def at_arrays(self) -> int:
        """Where the addresses of arrays begin."""
        return 1 + len(self.dims) + 2

    def entry(self, dtype: str, shape: Callable[[Iterable[Expr]], list]) -> dict:
        """What the runtime must know: the shapes of all places, and how much work a pass over the rows is."""
        return {
            "row": self.regions[0].stream.name,
            "work": [shape(k.size for k in s.loops) for r in self.regions for s in statements_of(r)],
            "parts": [shape(t.shape) for t in self.parts],
            "sums": len(self.sums),
            "given": len(self.given),
            "call": self.at_arrays + len(self.arrays) + len(self.parts),
            "regions": len(self.regions),
            "dtype": dtype,
        }


def places(p: LoopProgram, dims: Sequence[Dim]) -> Places | None:
    """Those of the regions that may be cut; None where there are none. `dims` are the sizes that a function knows."""
    regions = tuple(r for r in p.regions if r.cut)
    if not regions:
        return None
    summed = dict.fromkeys(t for r in regions for t in row_sums(r))
    read = dict.fromkeys(t for r in regions for t in _touched(r) if t not in row_sums(r))
    arrays = tuple(t for t in read if t.shape and t not in p.local)
    given = tuple(t for t in read if not t.shape)
    parts = tuple(t for t in summed if t.shape)
    return Places(regions, parts, tuple(t for t in summed if not t.shape), given, arrays, tuple(dims))


def _touched(region: Region) -> tuple[Tensor, ...]:
    """What the statements of a region read and write, in order."""
    return tuple(dict.fromkeys(t for s in statements_of(region) for t in (*reads(s), s.out)))


class ChunkPrinter(Printer):
    """Prints a function in whose cut regions threads take chunks; `rows` are the functions of a chunk."""

    def __init__(self, name: str, storage: Mapping[Tensor, str], config: Config, found: Places) -> None:
        super().__init__(storage, config)
        self.name, self.places = name, found
        self.rows: list[list[str]] = []
        self.used |= set(USED)

    def region(self, region: Region, p: LoopProgram) -> list[str]:
        if not any(r is region for r in self.places.regions):
            return super().region(region, p)
        number, n = len(self.rows), f"n_{region.stream.name}"
        self.rows.append(self._of_chunk(region, p))
        lines = [line for t in region.zeroed if t not in p.local for line in self._zero(t)]
        lines += self._told(region)
        after = []
        for t in row_sums(region):
            name = self.storage[t]
            if t.shape:
                place, flat = f"part_{self.places.parts.index(t)}", name + ".reshape(-1)" * (len(t.shape) > 1)
                lines += [f"for q in range({place}.shape[1]):", f"{INDENT}{place}[0, q] = {flat}[q]"]
                after.append(f"add_chunks({flat}, {place}, chunks)")
            else:
                k = self.places.sums.index(t)
                lines.append(f"sums[0, {k}] = {name}")
                after += [
                    f"{name} = sums[0, {k}]",
                    "for chunk in range(1, chunks):",
                    f"{INDENT}{name} += sums[chunk, {k}]",
                ]
        lines.append(f"chunks = run_chunks(crew, {number}, {n}, sums.shape[0], {region.block}, call)")
        return lines + after

    def _read(self, region: Region) -> tuple[list[Tensor], list[tuple[str, int, Tensor]]]:
        """The numbers that a region reads, and (variable, place of its address, tensor) of the arrays that it touches."""
        touched = set(_touched(region)) - set(row_sums(region))  # a sum of an earlier region is read as any other
        numbers = [t for t in self.places.given if t in touched]
        first = self.places.at_arrays
        arrays = [(self.storage[t], first + k, t) for k, t in enumerate(self.places.arrays) if t in touched]
        return numbers, arrays

    def _told(self, region: Region) -> list[str]:
        """The caller writes down what the chunks read."""
        numbers, arrays = self._read(region)
        lines = [f"given[{self.places.given.index(t)}] = {self.storage[t]}" for t in numbers]
        lines += [f"call[{1 + k}] = n_{d.name}" for k, d in enumerate(self.places.dims)]
        ends = [(name, at) for name, at, _ in arrays]
        at = 1 + len(self.places.dims)
        ends += [("sums", at), ("given", at + 1)]
        after = self.places.at_arrays + len(self.places.arrays)
        ends += [(f"part_{k}", after + k) for k, t in enumerate(self.places.parts) if t in row_sums(region)]
        return lines + [f"call[{at}] = address({name})" for name, at in ends]

    def _of_chunk(self, region: Region, p: LoopProgram) -> list[str]:
        """The function of a chunk: its sums begin at 0, those of the first chunk at what is there, and end in its places."""
        outer, summed, of = self.storage, row_sums(region), self.places
        numbers, arrays = self._read(region)
        head = [f"call = carray(pointer(at), ({of.at_arrays + len(of.arrays) + len(of.parts)},), np.int64)"]
        head += [f"n_{d.name} = call[{1 + k}]" for k, d in enumerate(of.dims)]
        at = 1 + len(of.dims)
        n = f"n_{region.stream.name}"
        head += ["first = chunk * call[0]", f"last = min({n}, first + call[0])"]
        count = f"-(-{n} // call[0])"
        head.append(f"sums = carray(pointer(call[{at}]), ({count}, {max(1, len(of.sums))}), np.float64)")
        head.append(f"given = carray(pointer(call[{at + 1}]), ({max(1, len(of.given))},), np.float64)")
        head += [f"{outer[t]} = given[{of.given.index(t)}]" for t in numbers]
        head += [self._array(name, f"call[{place}]", t) for name, place, t in arrays]
        local = dict.fromkeys(s.out for s in statements_of(region) if s.out in p.local)
        for t in local:
            shape = ", ".join([str(region.block), *map(size, t.shape[1:])])
            head.append(f"{outer[t]} = np.empty(({shape},), {'np.int64' if t.integer else 'real'})")
        ends, own, begin = [], {}, []
        after = of.at_arrays + len(of.arrays)
        for t in summed:
            if not t.shape:
                place = f"sums[chunk, {of.sums.index(t)}]"
                begin.append(f"{outer[t]} = {place} if chunk == 0 else 0.0")
                ends.append(f"{place} = {outer[t]}")
                continue
            k = of.parts.index(t)
            own[t] = f"sum_{k}"
            entries = "*".join(map(size, t.shape))
            width = np.dtype(self.config.dtype).itemsize
            begin.append(self._array(own[t], f"call[{after + k}] + chunk*({entries})*{width}", t))
            begin += ["if chunk > 0:", f"{INDENT}{own[t]}[:] = real(0)"]
        self.storage = self.bodies.storage = {**outer, **own}
        blocks = self.blocks(region, p, "first", "last")
        self.storage = self.bodies.storage = outer
        body = [*begin, *blocks, *ends, "return 0"]
        lines = [*_needed(head, body), *body]
        name = f"{self.name}_rows{len(self.rows)}"
        return [f"def {name}(chunk, at):", *(INDENT + line for line in lines)]

    @staticmethod
    def _array(name: str, address: str, t: Tensor) -> str:
        dtype = "np.int64" if t.integer else "real"
        return f"{name} = carray(pointer({address}), ({', '.join(map(size, t.shape))},), {dtype})"


def _needed(head: Sequence[str], body: Sequence[str]) -> list[str]:
    """The lines of a head that bind what a body reads."""
    wanted, kept = _names("\n".join(body), ast.Load), []
    for line in reversed(head):
        if _names(line, ast.Store) & wanted:
            wanted |= _names(line, ast.Load)
            kept.append(line)
    return kept[::-1]


def _names(text: str, context: type) -> set[str]:
    nodes = ast.walk(ast.parse(text))
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, context)}

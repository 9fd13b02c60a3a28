"""LoopPrograms as the text of numba functions. Total and dumb: decisions were taken in loops/.

print_body(loop_program, storage, config)  ->  lines of a function's body, the names of the primitives it calls
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import sympy

from symml.ir.evaluate import GROWTH
from symml.ir.program import Access, Dim, Index, Library, Statement, Tensor, accesses, reads
from symml.loops.jam import pays
from symml.loops.program import Call, Gemm, Item, LoopProgram, Nest, Region, Rounds, Steps, statements_of
from symml.loops.schedule import stride
from symml.names import Names
from symml.targets.numba_cpu.bodies import Bodies, Scope
from symml.targets.numba_cpu.config import Config

JAM = 4
NEAR_BYTES = 448  # rows up to this length are near enough for the hardware to fetch JAM of them side by side
INDENT = "    "
Step = tuple[Index, str]  # a loop and the range it walks instead of its own
NEUTRAL = {"sum": "real(0)", "prod": "real(1)"}


class Printer:
    """Prints one function's body. `storage` names the variable of each tensor; scalars are plain variables."""

    def __init__(self, storage: Mapping[Tensor, str], config: Config) -> None:
        self.storage, self.config = storage, config
        self.names = Names()
        self.used: set[str] = set()
        self.bodies = Bodies(storage, config, self.names.fresh, self.used)
        self.extents: dict[Dim, str] = {}
        self.outer: dict[Index, str] = {}
        self.unread: set[Tensor] = set()

    def program(self, p: LoopProgram) -> list[str]:
        """All regions."""
        return [line for region in p.regions for line in self.region(region, p)]

    def region(self, region: Region, p: LoopProgram) -> list[str]:
        outside = [t for t in region.zeroed if t not in p.local]
        lines = [line for t in outside for line in self._zero(t)]
        if region.stream is None:
            return lines + [line for item in region.items for line in self.item(item)]
        return lines + self.blocks(region, p, "0", f"n_{region.stream.name}")

    def blocks(self, region: Region, p: LoopProgram, first: str, last: str) -> list[str]:
        """A streaming region on the rows from `first` to before `last`, block by block."""
        lines = [f"for start in range({first}, {last}, {region.block}):"]
        lines += [f"{INDENT}rows = min({region.block}, {last} - start)"]
        self.extents = {region.stream: "rows"}
        rowed = self.viewed(region, p)
        views = {t: self.names.fresh("b") for t in sorted(rowed, key=lambda t: t.uid)}
        block = [f"{view} = {self.storage[t]}[start:start + rows]" for t, view in views.items()]
        outer, self.bodies.storage = self.bodies.storage, {**self.storage, **views}
        self.storage = self.bodies.storage
        block += [line for t in region.zeroed if t in p.local for line in self._zero(t)]
        self.unread = {t for t in rowed if len(t.shape) > 1}
        for item in region.items:
            block += self.item(item)
            self.unread -= {t for s in item.statements for t in reads(s)}
        self.storage = self.bodies.storage = outer
        self.extents = {}
        return lines + [INDENT + line for line in block]

    def viewed(self, region: Region, p: LoopProgram) -> set[Tensor]:
        """The arrays of which a block sees its rows alone."""
        touched = {a.tensor for s in statements_of(region) for a in _touched(s)}
        return {t for t in touched - p.local if t.shape and t.shape[0] == region.stream}

    def item(self, item: Item) -> list[str]:
        if isinstance(item, Gemm):
            return self.gemm(item)
        if isinstance(item, Call):
            return self.call(item.node)
        if isinstance(item, Steps):
            return self.steps(item)
        if isinstance(item, Rounds):
            return self.rounds(item)
        s = item.statements[0]
        if not item.loops:
            return [self._store_scalar(s) for s in item.statements]
        if s.reduce == "none":
            return self.entries(item)
        if s.reduce == "sum" and item.loops[len(item.loops) - len(s.reduced) :] != _in_order(s.reduced, item.loops):
            return self.accumulate(s, item.loops)
        return self.reduction(s, item.loops)

    # items

    def gemm(self, g: Gemm) -> list[str]:
        """One call of BLAS through numpy's dot."""
        a = self.storage[g.a] + ".T" * g.transpose_a
        b = self.storage[g.b] + ".T" * g.transpose_b
        out = self.storage[g.statement.out]
        lines = [f"np.dot({a}, {b}, {out})"]
        if g.scale != 1:
            c = self.names.fresh("c")
            i, j = self.names.fresh("i"), self.names.fresh("i")
            lines += [
                f"{c} = real({self.bodies.scalar(g.scale)})",
                f"for {i} in range({out}.shape[0]):",
                f"{INDENT}for {j} in range({out}.shape[1]):",
                f"{INDENT * 2}{out}[{i}, {j}] *= {c}",
            ]
        return lines

    def call(self, node: Library) -> list[str]:
        """An operation on whole arrays; one that gives a number returns it."""
        self.used.add(node.op)
        args = ", ".join(self.storage[t] for t in node.args)
        out = [self.storage[t] for t in node.outs]
        if not node.outs[0].shape:
            return [f"{', '.join(out)} = {node.op}({args})"]
        return [f"{node.op}({', '.join([args, *out])})"]

    def steps(self, item: Steps) -> list[str]:
        """A loop over the steps of a scan."""
        step, n = item.node.step, size(item.node.step.size)
        self.outer = {step: self.names.fresh(step.name[0])}
        body = [INDENT + line for inner in item.items for line in self.item(inner)]
        over = f"range({n} - 1, -1, -1)" if item.node.reverse else f"range({n})"
        head = f"for {self.outer[step]} in {over}:"
        self.outer = {}
        return [head, *body]

    def rounds(self, item: Rounds) -> list[str]:
        """The states move until they stay."""
        node, body = item.node, [line for t in item.zeroed for line in self._zero(t)]
        body += [line for inner in item.items for line in self.item(inner)]
        count, first, gap = self.names.fresh("r"), self.names.fresh("first"), self.storage[node.gap]
        body += [f"if {count} == 0:", f"{INDENT}{first} = {gap}"]
        body += [f"if not {gap} < {GROWTH!r}*{first} + 1.0:", f"{INDENT}break"]
        body += [line for x, _, new in node.states for line in self._copied(x, new)]
        body += [f"if {gap} < {node.tolerance!r}:", f"{INDENT}break"]
        head = f"for {count} in range({node.most}):"
        missed = [line for x, _, _ in node.states for line in self._filled(x, "real(math.nan)")]
        starts = [line for x, start, _ in node.states for line in self._copied(x, start)]
        # a fixed point that was not reached is no number
        after = [f"if not {self.storage[node.gap]} < {node.tolerance!r}:", *(INDENT + line for line in missed)]
        return [*starts, f"{first} = 0.0", head, *(INDENT + line for line in body), *after]

    def _copied(self, to: Tensor, source: Tensor) -> list[str]:
        return self._filled(to, self.storage[source])

    def _filled(self, t: Tensor, value: str) -> list[str]:
        return [f"{self.storage[t]}{'[:]' * bool(t.shape)} = {value}"]

    def entries(self, nest: Nest) -> list[str]:
        """Statements that write entries: maps and scatters. Fused maps are all computed before any is stored."""
        letters = self._letters(nest.loops)
        several = len(nest.statements) > 1
        defines = [Access(s.out, s.lhs) for s in nest.statements] if several else ()
        scope, texts = self.bodies.prepare([s.body for s in nest.statements], nest.loops, letters, defines)
        inner = [
            self._guarded(s, [f"{self._target(s, letters)} {s.mode} {text}"], letters, nest.loops)
            for s, text in zip(nest.statements, texts, strict=True)
        ]
        return self._loops(nest.loops, letters, scope, [line for lines in inner for line in lines])

    def accumulate(self, s: Statement, loops: tuple[Index, ...]) -> list[str]:
        """A sum whose lane is an output axis, so that there are two loops: rows are added into memory, JAM of them a sweep."""
        lines = self._clear(s) if s.mode == "=" else []
        if loops[-2] in s.reduced and s.guard is None and pays(s, loops, self.config.sizes):
            return lines + self._jammed(s, loops, self._row_sum)
        return lines + self._row_sum(s, loops, [self._letters(loops)])

    def reduction(self, s: Statement, loops: tuple[Index, ...]) -> list[str]:
        """A reduction into a register."""
        inner = len(loops) - len(s.reduced)
        reusable = (
            s.reduce == "sum"
            and s.guard is None
            and len(s.reduced) == 1
            and inner >= 1
            and not self._fresh(s, loops[-2])
            and pays(s, loops, self.config.sizes)
        )
        if reusable and any(
            stride(a, loops[inner - 1]) == "invariant" and stride(a, loops[-1]) == "unit" for a in _touched(s)
        ):
            return self._jammed(s, loops, self._dot)
        kind = {"sum": self._dot, "logsumexp": self._logsumexp, "prod": self._dot}.get(s.reduce, self._extreme)
        return kind(s, loops, [self._letters(loops)])

    # copies of a nest: JAM rows at once, then the rest one by one

    def _jammed(self, s: Statement, loops: tuple[Index, ...], kind: Callable[..., list[str]]) -> list[str]:
        at = len(loops) - 2
        k = loops[at]
        letters = self._letters(loops)
        n = self._extent(k)
        copies = [{**letters, k: letters[k] if q == 0 else f"({letters[k]} + {q})"} for q in range(JAM)]
        full = kind(s, loops, copies, step=(k, f"range(0, {n} - {n} % {JAM}, {JAM})"))
        rest = kind(s, loops, [letters], step=(k, f"range({n} - {n} % {JAM}, {n})"))
        short = self._short_rows(s, k)
        if not short:
            return full + rest
        alone = kind(s, loops, [letters])
        return [f"if {short}:", *(INDENT + t for t in full + rest), "else:", *(INDENT + t for t in alone)]

    def _fresh(self, s: Statement, k: Index) -> list[Tensor]:
        """The matrices whose rows a loop walks and the block has not read yet. They come from memory, which gives long rows
        several times faster one after the other than JAM of them side by side."""
        return sorted(
            {a.tensor for a in accesses(s.body) if a.tensor in self.unread and a.idx[0] is k}, key=lambda t: t.uid
        )

    def _short_rows(self, s: Statement, k: Index) -> str:
        """The test for jamming a loop over such rows where that saves loads and stores; empty where there are none."""
        most = NEAR_BYTES // np.dtype(self.config.dtype).itemsize
        return " and ".join(f"{'*'.join(size(m) for m in t.shape[1:])} <= {most}" for t in self._fresh(s, k))

    def _row_sum(
        self, s: Statement, loops: tuple[Index, ...], copies: Sequence[Mapping[Index, str]], step: Step | None = None
    ) -> list[str]:
        """out += body, for each copy in turn."""
        prepared = [self.bodies.prepare([s.body], loops, letters) for letters in copies]
        rows = " + ".join(text for _, (text,) in prepared)
        inner = self._guarded(s, [f"{self._target(s, copies[0])} += {rows}"], copies[0], loops)
        return self._loops(loops, copies[0], _merged([scope for scope, _ in prepared]), inner, step)

    def _dot(
        self, s: Statement, loops: tuple[Index, ...], copies: Sequence[Mapping[Index, str]], step: Step | None = None
    ) -> list[str]:
        """acc = sum body; out = acc, for each copy."""
        split = len(loops) - len(s.reduced)
        prepared = [self.bodies.prepare([s.body], loops, letters) for letters in copies]
        sums = [self.names.fresh("s") for _ in copies]
        op = "*=" if s.reduce == "prod" else "+="
        inner, after = [], []
        for acc, (_, (text,)), letters in zip(sums, prepared, copies, strict=True):
            inner += self._guarded(s, [f"{acc} {op} {text}"], letters, loops)
            after.append(self._finish(s, acc, letters))
        before = [f"{acc} = {NEUTRAL[s.reduce]}" for acc in sums]
        return self._around(
            loops, split, copies[0], _merged([scope for scope, _ in prepared]), before, inner, after, step
        )

    def _logsumexp(self, s: Statement, loops: tuple[Index, ...], copies: Sequence[Mapping[Index, str]]) -> list[str]:
        """Two sweeps: the largest, then the sum of exponentials below it."""
        split = len(loops) - len(s.reduced)
        letters = copies[0]
        top, acc, v = self.names.fresh("m"), self.names.fresh("s"), self.names.fresh("v")
        suffix = self.config.suffix
        self.used.update({f"exp_{suffix}", f"log_{suffix}"})
        scope, (text,) = self.bodies.prepare([s.body], loops, letters)
        again, (same,) = self.bodies.prepare([s.body], loops, letters)
        first = self._nested(
            loops[split:],
            letters,
            scope.lines[split + 1 :],
            self._guarded(s, [f"{v} = {text}", f"{top} = {v} if {v} > {top} else {top}"], letters, loops),
        )
        added = self._guarded(s, [f"{acc} += exp_{suffix}({same} - {top})"], letters, loops)
        second = self._nested(loops[split:], letters, again.lines[split + 1 :], added)
        body = [
            f"{top} = real(-np.inf)",
            *first,
            f"{top} = {top} if {top} > real(-np.inf) else real(0)",
            f"{acc} = real(0)",
            *again.lines[split],
            *second,
            self._finish(s, f"{top} + log_{suffix}({acc})", letters),
        ]
        outer = Scope(split)
        outer.lines = [
            a + (b if p < split else []) for p, (a, b) in enumerate(zip(scope.lines, again.lines, strict=True))
        ]
        return self._loops(loops[:split], letters, outer, body)

    def _extreme(self, s: Statement, loops: tuple[Index, ...], copies: Sequence[Mapping[Index, str]]) -> list[str]:
        """max, min and their first argument; NaN wins, so that it is not lost."""
        split = len(loops) - len(s.reduced)
        letters = copies[0]
        best, at, v = self.names.fresh("m"), self.names.fresh("a"), self.names.fresh("v")
        sign = ">" if s.reduce.endswith("max") else "<"
        worst = "real(-np.inf)" if sign == ">" else "real(np.inf)"
        scope, (text,) = self.bodies.prepare([s.body], loops, letters)
        update = [f"if {v} {sign} {best} or {v} != {v}:", f"{INDENT}{best} = {v}"]
        if s.reduce.startswith("arg"):
            update = [f"if {v} {sign} {best}:", f"{INDENT}{best} = {v}", f"{INDENT}{at} = {letters[loops[-1]]}"]
        guarded = self._guarded(s, [f"{v} = {text}", *update], letters, loops)
        inner = self._nested(loops[split:], letters, scope.lines[split + 1 :], guarded)
        before = [f"{best} = {worst}"] + ([f"{at} = 0"] if s.reduce.startswith("arg") else [])
        after = self._finish(s, at if s.reduce.startswith("arg") else best, letters)
        return self._loops(loops[:split], letters, scope, [*before, *inner, after])

    # pieces

    def _around(
        self,
        loops: tuple[Index, ...],
        split: int,
        letters: Mapping[Index, str],
        scope: Scope,
        before: list[str],
        inner: list[str],
        after: list[str],
        step: Step | None = None,
    ) -> list[str]:
        """Outer loops, what comes before, the reduced loops, what comes after."""
        reduced = self._nested(loops[split:], letters, scope.lines[split + 1 :], inner)
        return self._loops(loops[:split], letters, scope, [*before, *reduced, *after], step)

    def _loops(
        self,
        loops: tuple[Index, ...],
        letters: Mapping[Index, str],
        scope: Scope,
        inner: list[str],
        step: Step | None = None,
    ) -> list[str]:
        """Loops with the lets of their depths; those of further depths belong to what stands inside."""
        return scope.lines[0] + self._nested(loops, letters, scope.lines[1:], inner, step)

    def _nested(
        self,
        loops: tuple[Index, ...],
        letters: Mapping[Index, str],
        lets: list[list[str]],
        inner: list[str],
        step: Step | None = None,
    ) -> list[str]:
        if not loops:
            return inner
        k = loops[0]
        over = step[1] if step and step[0] is k else f"range({self._extent(k)})"
        body = lets[0] + self._nested(loops[1:], letters, lets[1:], inner, step)
        return [f"for {letters[k]} in {over}:", *(INDENT + line for line in body)]

    def _letters(self, loops: tuple[Index, ...]) -> dict[Index, str]:
        return {**self.outer, **{k: self.names.fresh(k.name[0]) for k in loops}}

    def _extent(self, k: Index) -> str:
        return self.extents.get(k.size) or size(k.size)

    def _target(self, s: Statement, letters: Mapping[Index, str]) -> str:
        return self.bodies.index(Access(s.out, s.lhs), letters) if s.lhs else self.storage[s.out]

    def _finish(self, s: Statement, value: str, letters: Mapping[Index, str]) -> str:
        """Store a reduced value; scalars are kept in double precision."""
        if not s.lhs:
            value = value if s.out.integer else f"float({value})"
        return f"{self._target(s, letters)} {s.mode} {value}"

    def _store_scalar(self, s: Statement) -> str:
        assert s.guard is None, "a guard stands inside loops"
        target = self._target(s, self.outer)
        return f"{target} {s.mode} {self.bodies.scalar(s.body, self.outer)}"

    def _guarded(
        self, s: Statement, inner: list[str], letters: Mapping[Index, str], loops: tuple[Index, ...]
    ) -> list[str]:
        if s.guard is None:
            return inner
        scope, (test,) = self.bodies.prepare([s.guard], loops, letters)
        lets = [text for lines in scope.lines for text in lines]
        other = (
            ["else:", f"{INDENT}{self._target(s, letters)} = real(0)"] if s.reduce == "none" and s.mode == "=" else []
        )
        return [*lets, f"if {test} != real(0):", *(INDENT + line for line in inner), *other]

    def _clear(self, s: Statement) -> list[str]:
        """Set what a statement writes to 0: a tensor, or its part at fixed places of some axes."""
        if all(k in s.loops for k in s.lhs):
            return self._zero(s.out)
        places = [":" if k in s.loops else self.bodies.index(k, self.outer) for k in s.lhs]
        return [f"{self.storage[s.out]}[{', '.join(places)}] = real(0)"]

    def _zero(self, t: Tensor) -> list[str]:
        if not t.shape:
            return [f"{self.storage[t]} = 0.0"]
        return [f"{self.storage[t]}[:] = real(0)"]


def size(expr: sympy.Expr) -> str:
    """A size as source."""
    if expr.is_Integer or isinstance(expr, Dim):
        return str(int(expr)) if expr.is_Integer else f"n_{expr.name}"
    op = " + " if expr.is_Add else "*"
    return "(" + op.join(map(size, expr.args)) + ")"


def _in_order(reduced: tuple[Index, ...], loops: tuple[Index, ...]) -> tuple[Index, ...]:
    return tuple(k for k in loops if k in reduced)


def _touched(s: Statement) -> tuple[Access, ...]:
    return (*accesses(s.body), Access(s.out, s.lhs))


def _merged(scopes: Sequence[Scope]) -> Scope:
    """The lets of several copies side by side; those outside the copied loop are the same and stand once."""
    merged = Scope(scopes[0].depth)
    for depth in range(scopes[0].depth + 1):
        merged.lines[depth] = [line for scope in scopes for line in scope.lines[depth]]
    return merged

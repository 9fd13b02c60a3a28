"""Pieces of a fit from Programs: the loops of a finished one, the batch program, the optimiser's loops.

loops = executable(program)
batch, m = minibatch(program, n)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from symml.calculus.stopped import released
from symml.ir.optimizer import Optimizer
from symml.ir.program import (
    Dim,
    Index,
    Iterate,
    Library,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    accesses,
    flat,
    outs,
    parts,
    read_instead,
    reads,
    reindex,
)
from symml.loops.plan import Function
from symml.loops.program import LoopProgram
from symml.loops.schedule import schedule
from symml.names import Names, number
from symml.rewrite.numeric.engine import numeric


def executable(program: Program, in_place: Mapping[Tensor, Tensor] | None = None) -> LoopProgram:
    """The loops of a finished Program, its bodies in their numeric form; `in_place` says which new tensor takes the buffer
    of which input. Every function of a fit comes from here."""
    return schedule(numeric(released(program)), in_place)


def minibatch(program: Program, row: Dim) -> tuple[Program, Dim]:
    """The program of one batch: rows run over m of n, and each sum over rows is scaled by n/m, so that its mean over
    batches is the sum over all rows. `n` in bodies stays the number of all rows."""
    m = Dim(Names(d.name for d in all_dims([program], ())).claim(f"{row.name}_batch"))
    short = {
        t: replace(t, shape=tuple(m if size == row else size for size in t.shape), uid=number())
        for t in program.tensors()
    }
    short = {t: (u if u.shape != t.shape else t) for t, u in short.items()}

    def shortened(s: Statement) -> Statement:
        scaled = row / m if s.reduce == "sum" and any(k.size == row for k in s.reduced) else 1
        s = read_instead(reindex(s, {k: Index(k.name, m) for k in s.loops if k.size == row}), short)
        return replace(s, out=short[s.out], body=s.body * scaled)

    outputs = {name: short[t] for name, t in program.outputs.items()}
    return replace(program.mapped(shortened), inputs=tuple(short[t] for t in program.inputs), outputs=outputs), m


def couples_rows(program: Program, row: Dim) -> Node | None:
    """The first node in which one row meets another, so that a batch of rows is no problem of the same form."""
    for node in program.statements:
        if isinstance(node, Library | Iterate) and any(row in t.shape for t in (*reads(node), *outs(node))):
            return node
        if isinstance(node, Scan) and row in node.step.size.free_symbols:
            return node
        for s in flat([node]):
            rows = [k for k in s.loops if row in k.size.free_symbols]
            read = [(a.idx[p], a.tensor.shape[p]) for e in parts(s) for a in accesses(e) for p in range(len(a.idx))]
            meets = any(size == row and k not in rows for k, size in (*read, *zip(s.lhs, s.out.shape, strict=True)))
            nonlinear = any(k in s.reduced for k in rows) and s.reduce != "sum"
            if len(rows) > 1 or meets or nonlinear or any(k.size != row for k in rows):
                return node
    return None


def update_program(optimizer: Optimizer) -> LoopProgram:
    """The optimiser as loops: new values overwrite the old ones' buffers."""
    return executable(optimizer.program, {new: old for old, new in optimizer.updates.items()})


def outputs_as_functions(forward: Mapping[str, Program], parts: Mapping[str, str]) -> list[Function]:
    """`predict` and each `report NAME` as functions, in order; `parts` says on which rows a report runs."""
    functions = []
    if "predict" in forward:
        functions.append(Function("predict", "array", executable(forward["predict"]), "predict"))
    for name, part in parts.items():
        key = f"report {name}"
        functions.append(
            Function(f"report_{len(functions) - ('predict' in forward)}", "value", executable(forward[key]), key, part)
        )
    return functions


def all_dims(programs: Iterable[Program], params: Iterable[Tensor]) -> tuple[Dim, ...]:
    """Every dim that a fit meets, in order of first use."""
    found: dict[Dim, None] = {}
    tensors = [*params, *(t for p in programs for t in p.tensors())]
    for t in tensors:
        for size in t.shape:
            found.update(dict.fromkeys(sorted(size.atoms(Dim), key=lambda d: d.name)))
    for p in programs:
        found.update(dict.fromkeys(d for n in p.statements if isinstance(n, Scan) for d in n.step.size.atoms(Dim)))
        for s in flat(p.statements):
            for size in (*(k.size for k in s.loops), s.body):
                found.update(dict.fromkeys(sorted(size.atoms(Dim), key=lambda d: d.name)))
    return tuple(found)

"""Pieces of a fit from Programs: the batch program, the optimiser's loops.

batch, m = minibatch(program, n)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sympy import Expr

from symml.ir.optimizer import Optimizer
from symml.ir.program import Access, Dim, Index, Program, Tensor, accesses, reindex, substitute
from symml.loops.plan import Function
from symml.loops.program import LoopProgram
from symml.loops.schedule import schedule
from symml.names import Names, number


def minibatch(program: Program, row: Dim) -> tuple[Program, Dim]:
    """The program of one batch: rows run over m of n, and each sum over rows is scaled by n/m, so that its mean over
    batches is the sum over all rows. `n` in bodies stays the number of all rows."""
    m = Dim(Names(d.name for d in all_dims([program], ())).claim(f"{row.name}_batch"))
    short = {
        t: replace(t, shape=tuple(m if size == row else size for size in t.shape), uid=number())
        for t in program.tensors()
    }
    short = {t: (u if u.shape != t.shape else t) for t, u in short.items()}
    statements = []
    for s in program.statements:
        loops = {k: Index(k.name, m) for k in s.loops if k.size == row}
        scaled = row / m if s.reduce == "sum" and any(k.size == row for k in s.reduced) else 1
        s = reindex(s, loops)
        s = replace(
            s,
            out=short[s.out],
            body=_on(s.body, short) * scaled,
            lhs=tuple(_on(k, short) for k in s.lhs),
            guard=None if s.guard is None else _on(s.guard, short),
        )
        statements.append(s)
    outputs = {name: short[t] for name, t in program.outputs.items()}
    return Program(tuple(short[t] for t in program.inputs), tuple(statements), outputs), m


def _on(expr: Expr, tensors: Mapping[Tensor, Tensor]) -> Expr:
    """An expression reading other tensors in the place of some."""
    table = {a: Access(tensors[a.tensor], tuple(_on(k, tensors) for k in a.idx)) for a in accesses(expr)}
    return substitute(expr, {a: b for a, b in table.items() if a != b})


def update_program(optimizer: Optimizer) -> LoopProgram:
    """The optimiser as loops: new values overwrite the old ones' buffers."""
    return schedule(optimizer.program, {new: old for old, new in optimizer.updates.items()})


def outputs_as_functions(forward: Mapping[str, Program], parts: Mapping[str, str]) -> list[Function]:
    """`predict` and each `report NAME` as functions, in order; `parts` says on which rows a report runs."""
    functions = []
    if "predict" in forward:
        functions.append(Function("predict", "array", schedule(forward["predict"]), "predict"))
    for name, part in parts.items():
        key = f"report {name}"
        functions.append(
            Function(f"report_{len(functions) - ('predict' in forward)}", "value", schedule(forward[key]), key, part)
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
        for s in p.statements:
            for size in (*(k.size for k in s.loops), s.body):
                found.update(dict.fromkeys(sorted(size.atoms(Dim), key=lambda d: d.name)))
    return tuple(found)

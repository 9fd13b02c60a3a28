"""One name for one thing: tensors of a program that would be printed alike get names of their own.

distinct(program)  ->  the program, in which the second s̄ is t9
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from itertools import count

from symml.ir.program import Dim, Program, Tensor, renamed
from symml.latex.style import TEXT, tensor_name
from symml.names import number


def distinct(program: Program, keep: Collection[Tensor] = ()) -> Program:
    """The same program, whose tensors all have names of their own; inputs, what the page names and `keep` keep theirs."""
    return renamed(program, others(program, keep))


def others(program: Program, keep: Collection[Tensor] = ()) -> dict[Tensor, Tensor]:
    """What stands in the place of tensors whose printed name another one has that comes first."""
    first = [*program.inputs, *(t for t in program.tensors() if t in keep or t.kind == "definition")]
    fixed = set(first)
    names = {t.name for t in program.tensors()}
    sizes = {d.name for t in program.tensors() for n in t.shape for d in n.atoms(Dim)}
    taken = {_printed(t) for t in first} | set(map(TEXT.name, sizes))
    table: dict[Tensor, Tensor] = {}
    for t in (t for t in program.tensors() if t not in fixed):
        if _printed(t) not in taken:
            taken.add(_printed(t))
            continue
        free = (f"t{k}" for k in count(1))
        name = next(n for n in free if n not in names and TEXT.name(n) not in taken)
        table[t] = replace(t, name=name, adjoint_of=None, uid=number())
        taken.add(_printed(table[t]))
    return table


@lru_cache(maxsize=4096)
def _printed(t: Tensor) -> str:
    return tensor_name(t, TEXT)

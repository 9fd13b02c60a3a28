"""Remove what no output needs."""

from __future__ import annotations

from dataclasses import replace

from symml.ir.program import Program, reads


def eliminate_dead(program: Program) -> Program:
    """The statements that the outputs reach, and the inputs as they are (a fit binds all of them)."""
    needed = set(program.outputs.values())
    kept = []
    for s in reversed(program.statements):
        if s.out in needed:
            needed.update(reads(s))
            kept.append(s)
    return program.with_statements(reversed(kept))


def prune(program: Program, *names: str) -> Program:
    """The program of some outputs only, with only the inputs it reads."""
    small = eliminate_dead(replace(program, outputs={name: program.outputs[name] for name in names}))
    read = {t for s in small.statements for t in reads(s)} | set(small.outputs.values())
    return replace(small, inputs=tuple(t for t in small.inputs if t in read))

"""Remove what no output needs."""

from __future__ import annotations

from dataclasses import replace

from symml.ir.program import Iterate, Node, Program, Scan, Tensor, outs, reads


def eliminate_dead(program: Program) -> Program:
    """The statements that the outputs reach, and the inputs as they are (a fit binds all of them)."""
    needed = set(program.outputs.values())
    return program.with_statements(reversed(_live(program.statements, needed)))


def _live(nodes: tuple[Node, ...], needed: set[Tensor]) -> list[Node]:
    """The nodes that define what is needed, last first; `needed` grows by what they read."""
    kept = []
    for node in reversed(nodes):
        if needed.isdisjoint(outs(node)):
            continue
        if isinstance(node, Scan):
            node = _live_scan(node, needed)
        elif isinstance(node, Iterate):
            inside = {node.gap, *(new for _, _, new in node.states)}
            node = node.with_statements(reversed(_live(node.statements, inside)))
        needed.update(reads(node))
        kept.append(node)
    return kept


def _live_scan(scan: Scan, needed: set[Tensor]) -> Scan:
    """A statement may be needed by one before it, at a later step: until nothing more is."""
    inside = set(needed)
    while True:
        kept = [s for s in scan.statements if s.out in inside]
        more = {t for s in kept for t in reads(s)} - inside
        if not more:
            return scan.with_statements(kept)
        inside |= more


def prune(program: Program, *names: str) -> Program:
    """The program of some outputs only, with only the inputs it reads."""
    small = eliminate_dead(replace(program, outputs={name: program.outputs[name] for name in names}))
    read = {t for s in small.statements for t in reads(s)} | set(small.outputs.values())
    return replace(small, inputs=tuple(t for t in small.inputs if t in read))

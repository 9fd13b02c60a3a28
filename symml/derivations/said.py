"""What the page names and code has no need of: definitions that are computed where they are read.

with_definitions(analysis)  ->  (the definitions that a person would go on naming, the forward program that does)
"""

from __future__ import annotations

from collections import Counter

import sympy

from symml.analysis import Analysis
from symml.ir.program import Access, Program, Statement, Tensor, accesses, flat
from symml.rewrite.dead import eliminate_dead
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise

LEAST_OPERATIONS = 1  # of what the page names and is read once


def with_definitions(a: Analysis) -> tuple[frozenset[Tensor], Program]:
    """What the page names and a person would go on naming, and the forward program that does.

    Code has no need of a name for an entry that is computed where it is read; a derivation has, where it is long or read
    several times."""
    stable = eliminate_dead(stabilise(a.raw))
    bodies = (e for s in flat(stable.statements) for e in sympy.preorder_traversal(s.body))
    read = Counter(e.tensor for e in bodies if isinstance(e, Access))
    lost = {t for t in a.raw.tensors() if t.kind == "definition" and t.span is not None} - set(a.forward.tensors())
    said = frozenset(
        s.out
        for s in stable.statements
        if isinstance(s, Statement)
        and s.out in lost
        and s.is_map
        and accesses(s.body)
        and not s.out.integer
        and (read[s.out] > 1 or s.body.count_ops() >= LEAST_OPERATIONS)
    )
    return (said, simplify(stable, said)) if said else (said, a.forward)

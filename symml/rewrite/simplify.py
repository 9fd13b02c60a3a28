"""Shorter programs: inline maps, add up contributions, factor bodies, share, drop; to a fixed point.

A map is inlined where that costs nothing: it is used once by a statement whose loops are not more than its own, or
it is a monomial of one entry. Never into a larger loop nest (a gather of relu(M) over edges would redo relu for each
edge; a product inside a contraction would stop it from being a matrix product). Bodies stay under BODY_OPERATIONS.
"""

from __future__ import annotations

from collections import Counter

import sympy
from sympy import Expr

from symml.ir.functions import canonical
from symml.ir.program import (
    Access,
    Index,
    Program,
    Statement,
    Tensor,
    accesses,
    direct_accesses,
    indices,
    reindex,
    substitute,
)
from symml.rewrite.cost import is_cheap
from symml.rewrite.cse import eliminate_common
from symml.rewrite.dead import eliminate_dead
from symml.rewrite.diagonal import unify_diagonals
from symml.rewrite.stable import stable_body

BODY_OPERATIONS = 60
MOST_ROUNDS = 200


def simplify(program: Program) -> Program:
    """All passes until nothing changes."""
    for _ in range(MOST_ROUNDS):
        tidy = eliminate_dead(factor(merge(unify_diagonals(inline(program)))))
        new = eliminate_dead(eliminate_common(tidy))
        if new is program:
            return program
        program = new
    raise AssertionError("simplify does not settle: one pass undoes another")


def inline(program: Program) -> Program:
    """Put maps into their readers where that costs nothing."""
    uses = _uses(program)
    wanted = set(program.outputs.values())
    definitions = Counter(s.out for s in program.statements)
    maps: dict[Tensor, Statement] = {}
    new = []
    for s in program.statements:
        s = _inlined(s, maps, uses, wanted)
        if s.is_map and definitions[s.out] == 1:
            maps[s.out] = s
        new.append(s)
    return program.with_statements(new)


def _uses(program: Program) -> Counter[Tensor]:
    """In how many places each tensor is read; the same element twice in one body is one place."""
    uses: Counter[Tensor] = Counter()
    for s in program.statements:
        parts = (s.body, *s.lhs) if s.guard is None else (s.body, *s.lhs, s.guard)
        uses.update(a.tensor for part in parts for a in accesses(part))
    return uses


def _inlined(s: Statement, maps: dict[Tensor, Statement], uses: Counter, wanted: set[Tensor]) -> Statement:
    for a in direct_accesses(s.body):
        source = maps.get(a.tensor)
        if source is None or a.tensor.integer:
            continue
        if is_cheap(source.body) or (
            uses[a.tensor] == 1
            and a.tensor not in wanted
            and len(s.loops) <= len(source.loops)
            and _plain_or_fewer(a, s, source)
        ):
            body = s.body.xreplace({a: expand_access(a, source)})
            if body.count_ops() <= BODY_OPERATIONS or is_cheap(source.body):
                s = s.with_body(canonical(body))
    return s


def _plain_or_fewer(a: Access, s: Statement, source: Statement) -> bool:
    """A gather reads a map at repeated elements: only where the reader has fewer loops is nothing redone."""
    return all(isinstance(k, Index) for k in a.idx) or len(s.loops) < len(source.loops)


def expand_access(a: Access, source: Statement) -> Expr:
    """The body of a map at the element that is read."""
    return substitute(source.body, dict(zip(source.lhs, a.idx, strict=True)))


def merge(program: Program) -> Program:
    """Add up contributions to one tensor that run over the same elements without reducing."""
    new: list[Statement] = []
    for s in program.statements:
        partner = _partner(new, s)
        if partner is None:
            new.append(s)
            continue
        first = new[partner]
        table = dict(zip(s.lhs, first.lhs, strict=True))
        new[partner] = first.with_body(canonical(first.body + reindex(s, table).body))
    return program.with_statements(new)


def _partner(new: list[Statement], s: Statement) -> int | None:
    """The earlier statement of the same definition that this one can be added to."""
    if s.mode != "+=" or s.reduce != "none" or s.guard is not None or not s.covers:
        return None
    for at in range(len(new) - 1, -1, -1):
        first = new[at]
        if first.out is not s.out:
            return None
        if first.reduce == "none" and first.guard is None and first.covers:
            return at
    return None


def factor(program: Program) -> Program:
    """Each body with common factors outside and stable forms inside, where that is not longer."""
    return program.with_statements(s.with_body(_factored(s.body)) for s in program.statements)


def _factored(body: Expr) -> Expr:
    stable = stable_body(body)
    if not stable.is_Add:
        return stable
    shorter = canonical(sympy.factor_terms(stable))
    return shorter if shorter.count_ops() < stable.count_ops() and not indices(shorter) - indices(stable) else stable

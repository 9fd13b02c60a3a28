"""Shorter programs: inline maps, add up contributions, factor bodies, share, drop; to a fixed point.

A map is inlined where that costs (next to) nothing: it is used once by a statement whose loops are not more than its own, or
it is a monomial of one entry. Never into a larger loop nest (a gather of relu(M) over edges would redo relu for each
edge; a product inside a contraction would stop it from being a matrix product). Bodies stay under BODY_OPERATIONS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import sympy
from sympy import Expr

from symml.ir.functions import canonical
from symml.ir.program import (
    Access,
    Index,
    Iterate,
    Library,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    accesses,
    direct_accesses,
    flat,
    indices,
    parts,
    reads,
    reindex,
    substitute,
)
from symml.rewrite.cost import is_cheap
from symml.rewrite.cse import eliminate_common
from symml.rewrite.dead import eliminate_dead
from symml.rewrite.diagonal import unify_diagonals
from symml.rewrite.orthonormal import orthonormal
from symml.rewrite.stable import stable_body

BODY_OPERATIONS = 60
REPEATED_OPERATIONS = 2  # what inlining may do again where a body reads an element in several places
MOST_ROUNDS = 200


def simplify(program: Program, keep: Collection[Tensor] = ()) -> Program:
    """All passes until nothing changes; `keep` are read by their names."""
    for _ in range(MOST_ROUNDS):
        tidy = eliminate_dead(factor(merge(unify_diagonals(orthonormal(inline(program, keep))))))
        new = eliminate_dead(eliminate_common(tidy))
        if new is program:
            return program
        program = new
    raise AssertionError("simplify does not settle: one pass undoes another")


def inline(program: Program, keep: Collection[Tensor] = ()) -> Program:
    """Put maps into their readers where that costs nothing; those in `keep` stay."""
    uses = Counter(a.tensor for s in flat(program.statements) for part in parts(s) for a in accesses(part))
    uses.update(t for node in program.statements if not isinstance(node, Statement) for t in _whole(node))
    wanted = set(program.outputs.values())
    definitions = Counter(s.out for s in flat(program.statements))
    maps: dict[Tensor, Statement] = {}
    new: list[Node] = []
    for node in program.statements:
        if isinstance(node, Statement):
            node = _inlined(node, maps, uses, wanted, ())
            if node.is_map and definitions[node.out] == 1 and node.out not in keep:
                maps[node.out] = node
        elif isinstance(node, Scan):
            node = _inlined_scan(node, maps, uses, wanted, definitions)
        elif isinstance(node, Iterate):
            node = _inlined_iteration(node, uses, definitions)
        new.append(node)
    return program.with_statements(new)


def _whole(node: Node) -> tuple[Tensor, ...]:
    """What a node needs as a tensor, not element by element."""
    return reads(node) if not isinstance(node, Scan) else ()


def _inlined_scan(
    scan: Scan, maps: Mapping[Tensor, Statement], uses: Counter, wanted: set[Tensor], definitions: Counter
) -> Scan:
    """Cheap maps from before the scan, and its own maps where the same step reads them."""
    outside = {t: s for t, s in maps.items() if is_cheap(s.body)}
    inside: dict[Tensor, Statement] = {}
    once = Counter(a.tensor for s in scan.statements for part in parts(s) for a in accesses(part))
    new = []
    for s in scan.statements:
        local = {
            t: m
            for t, m in inside.items()
            if all(a.idx[0] is scan.step for a in direct_accesses(s.body) if a.tensor is t)
        }
        s = _inlined(s, {**outside, **local}, uses, wanted, (scan.step,))
        if s.is_map and s.lhs[:1] == (scan.step,) and definitions[s.out] == 1 and once[s.out] == uses[s.out]:
            inside[s.out] = s
        new.append(s)
    return scan.with_statements(new)


def _inlined_iteration(node: Iterate, uses: Counter, definitions: Counter) -> Iterate:
    """An iteration's own maps where the same round reads them; what moves, and the gap, stay."""
    kept = {node.gap, *(new for _, _, new in node.states)}
    once = Counter(a.tensor for s in flat(node.statements) for part in parts(s) for a in accesses(part))
    whole = Counter(t for s in node.statements if isinstance(s, Library) for t in reads(s))
    inside: dict[Tensor, Statement] = {}
    new: list[Node] = []
    for s in node.statements:
        if isinstance(s, Statement):
            s = _inlined(s, inside, once, kept, ())
            outside = uses[s.out] - 1 - once[s.out]  # the node as a whole was counted once
            if s.is_map and definitions[s.out] == 1 and not outside and not whole[s.out] and s.out not in kept:
                inside[s.out] = s
        new.append(s)
    return node.with_statements(new)


def _inlined(
    s: Statement, maps: Mapping[Tensor, Statement], uses: Counter, wanted: set[Tensor], outer: tuple[Index, ...]
) -> Statement:
    """The statement with maps written out; `outer` is the step of the scan around it."""
    for a in direct_accesses(s.body):
        source = maps.get(a.tensor)
        if source is None or a.tensor.integer:
            continue
        loops = len(s.loops) + len(outer)
        own = len(source.loops) + len([k for k in outer if k in source.lhs])
        if is_cheap(source.body) or (
            uses[a.tensor] == 1
            and a.tensor not in wanted
            and (s.body.count(a) - 1) * source.body.count_ops() <= REPEATED_OPERATIONS
            and loops <= own
            and (all(isinstance(k, Index) for k in a.idx) or loops < own)  # a gather reads elements repeatedly
        ):
            body = s.body.xreplace({a: expand_access(a, source)})
            if body.count_ops() <= BODY_OPERATIONS or is_cheap(source.body):
                s = s.with_body(canonical(body))
    return s


def expand_access(a: Access, source: Statement) -> Expr:
    """The body of a map at the element that is read."""
    return substitute(source.body, dict(zip(source.lhs, a.idx, strict=True)))


def merge(program: Program) -> Program:
    """Add up contributions to one tensor that run over the same elements without reducing."""
    inner = (Scan, Iterate)
    new = [n.with_statements(_merged(n.statements)) if isinstance(n, inner) else n for n in program.statements]
    return program.with_statements(_merged(new))


def _merged(nodes: Iterable[Node]) -> list[Node]:
    new: list[Node] = []
    for s in nodes:
        partner = _partner(new, s) if isinstance(s, Statement) else None
        if partner is None:
            new.append(s)
            continue
        first = new[partner]
        table = dict(zip(s.lhs, first.lhs, strict=True))
        new[partner] = first.with_body(canonical(first.body + reindex(s, table).body))
    return new


def _partner(new: list[Node], s: Statement) -> int | None:
    """The earlier statement of the same definition that this one can be added to."""
    if s.mode != "+=" or s.reduce != "none" or s.guard is not None or not s.covers:
        return None
    for at in range(len(new) - 1, -1, -1):
        first = new[at]
        if not isinstance(first, Statement) or first.out is not s.out:
            return None
        if first.reduce == "none" and first.guard is None and first.covers:
            return at
    return None


def factor(program: Program) -> Program:
    """Each body with common factors outside and stable forms inside, where that is not longer."""
    return program.mapped(lambda s: s.with_body(_factored(s.body)))


def _factored(body: Expr) -> Expr:
    stable = stable_body(body)
    if not stable.is_Add:
        return stable
    shorter = canonical(sympy.factor_terms(stable))
    return shorter if shorter.count_ops() < stable.count_ops() and not indices(shorter) - indices(stable) else stable

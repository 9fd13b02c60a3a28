"""A program as a person would write it down: every step of it read twice or named by the page, nothing else.

    t[i] = Q[i] s[i];  u[i] = t[i] / c         ->  u[i] = Q[i] s[i] / c
    M[v, i, j] += a[e] H[e, j], the same for all i   ->  M[v, j] += a[e] H[e, j]

Loops of code have other needs (what is read once per element of a larger loop is computed before it), so this is for
print alone; the values of what stays are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

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
    flat,
    indices,
    read_once,
    substitute,
    whole,
)
from symml.names import number
from symml.rewrite.dead import eliminate_dead

MOST_OPERATIONS = 16  # of a body into which something is written
MOST_ROUNDS = 50
Axes = dict[Tensor, frozenset[int]]


def for_print(program: Program, keep: Collection[Tensor]) -> Program:
    """The program without axes on which nothing depends and without maps that are read once; `keep` stay as they are."""
    program = eliminate_dead(_assigned(_without_axes(program, keep)))
    for _ in range(MOST_ROUNDS):
        new = _put_in(program, keep)
        if new is program:
            break
        program = new
    return program


def without_copies(program: Program, keep: Collection[Tensor]) -> Program:
    """The program that reads entries of tensors where it read plain copies of them, spread along other axes or not."""
    program = _assigned(program)
    often = Counter(s.out for s in flat(program.statements))
    fixed = {*program.outputs.values(), *keep, *(t for n in program.statements for t in whole(n))}
    copies: dict[Tensor, Statement] = {}

    def changed(s: Statement) -> Statement:
        table = {
            a: substitute(copies[a.tensor].body, dict(zip(copies[a.tensor].lhs, a.idx, strict=True)))
            for a in direct_accesses(s.body)
            if a.tensor in copies
        }
        s = s.with_body(canonical(s.body.xreplace(table))) if table else s
        plain = isinstance(s.body, Access) and set(s.body.idx) <= set(s.lhs)
        if s.is_map and plain and often[s.out] == 1 and s.out not in fixed:
            copies[s.out] = s
        return s

    new = program.mapped(changed)
    return eliminate_dead(new) if copies else program


def _assigned(program: Program) -> Program:
    """`+=` of a tensor with one covering statement as `=`."""
    often = Counter(s.out for s in flat(program.statements))
    return program.mapped(
        lambda s: replace(s, mode="=") if s.mode == "+=" and s.covers and often[s.out] == 1 and s.guard is None else s
    )


def _put_in(program: Program, keep: Collection[Tensor]) -> Program:
    maps = {t: s for t, s in read_once(program, keep).items() if s.reduce == "none"}
    gone: set[Tensor] = set()

    def changed(s: Statement) -> Statement:
        for a in direct_accesses(s.body):
            if a.tensor not in maps or a.tensor in gone:  # what changed in this round is put in in the next one
                continue
            m = maps[a.tensor]
            if s.body.count(a) != 1 or not indices(m.body) <= set(m.lhs):
                continue
            body = canonical(s.body.xreplace({a: substitute(m.body, dict(zip(m.lhs, a.idx, strict=True)))}))
            if body.count_ops() <= max(MOST_OPERATIONS, s.body.count_ops(), m.body.count_ops()):
                gone.add(s.out)
                s = replace(s, body=body)
        return s

    new = program.mapped(changed)
    return eliminate_dead(new) if gone else program


# axes on which nothing depends


def _without_axes(program: Program, keep: Collection[Tensor]) -> Program:
    found = _idle(program, keep)
    if not found:
        return program
    new = {
        t: replace(t, shape=tuple(n for p, n in enumerate(t.shape) if p not in axes), uid=number())
        for t, axes in found.items()
    }
    return program.mapped(lambda s: _without(s, found, new))


def _idle(program: Program, keep: Collection[Tensor]) -> Axes:
    """The axes of intermediates along which all entries are the same."""
    statements = list(flat(program.statements))
    fixed = {t for n in program.statements for t in whole(n)} | {*program.inputs, *program.outputs.values(), *keep}
    fixed |= {s.out for s in statements if s.out.kind == "definition" or s.out.integer}
    found: Axes = {s.out: frozenset(range(len(s.out.shape))) for s in statements if s.out not in fixed}
    while True:
        before = dict(found)
        for s in statements:
            if s.out in found:
                found[s.out] = frozenset(p for p in found[s.out] if _is_idle(s, p, found))
        if found == before:
            return {t: axes for t, axes in found.items() if axes}


def _is_idle(s: Statement, p: int, found: Axes) -> bool:
    k = s.lhs[p]
    if not (isinstance(k, Index) and k in s.loops and k.size == s.out.shape[p]):
        return False
    others = [e for q, e in enumerate(s.lhs) if q != p]
    read = [s.body, *others, *(() if s.guard is None else (s.guard,))]
    return not any(k in _held(e, found) for e in read)


def _held(e: Expr, found: Axes) -> set[Index]:
    """The indices on which an expression depends, where axes along which nothing changes do not count."""
    free = set(e.atoms(Index))
    for a in e.atoms(Access):
        idle = found.get(a.tensor, frozenset())
        for p, k in enumerate(a.idx):
            if p not in idle:
                free |= _held(k, found)
    return free


def _without(s: Statement, found: Axes, new: Mapping[Tensor, Tensor]) -> Statement:
    def shorter(e: Expr) -> Expr:
        table = {
            a: Access(new[a.tensor], tuple(k for p, k in enumerate(a.idx) if p not in found[a.tensor]))
            for a in accesses(e)
            if a.tensor in found
        }
        return e.xreplace(table) if table else e

    lhs, out, loops = s.lhs, s.out, s.loops
    if s.out in found:
        gone = {k for p, k in enumerate(s.lhs) if p in found[s.out]}
        lhs = tuple(k for p, k in enumerate(s.lhs) if p not in found[s.out])
        out, loops = new[s.out], tuple(k for k in s.loops if k not in gone)
    made = replace(s, out=out, lhs=tuple(map(shorter, lhs)), loops=loops, body=shorter(s.body))
    if s.guard is not None:
        made = replace(made, guard=shorter(s.guard))
    return made if made != s else s

"""Recurrences of positive numbers that are only read under a logarithm are scaled step by step.

A forward recursion of probabilities underflows after a few hundred steps. Where every step is linear and homogeneous in
the state, a[s+1] = F(a[s]), the scaled state a'[s+1] = F(a'[s]) / c[s] with c[s] = sum F(a'[s]) stays of size 1, and

    log sum w a[T-1]  =  log sum w a'[T-1] + log c0 + sum over s of log c[s]

Source: Rabiner, "A tutorial on hidden Markov models" (1989), section V.A. Exact, so the numeric proof of a gradient
compares the scaled program with the page as it was written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import sympy
from sympy import Dummy, Expr, log

from symml.ir.expand import expand
from symml.ir.program import (
    Access,
    Index,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    accesses,
    direct_accesses,
    flat,
    outs,
    parts,
    read_instead,
    reads,
    refresh,
)
from symml.names import Names

MOST_OPERATIONS = 200


def scale_recurrences(program: Program) -> Program:
    """The program with each scan scaled that allows it."""
    for scan in [n for n in program.statements if isinstance(n, Scan)]:
        program = _scaled(program, scan) or program
    return program


def _scaled(program: Program, scan: Scan) -> Program | None:
    final = scan.statements[-1]
    state = final.out
    if scan.reverse or not _is_homogeneous(scan, state) or not _mixes(scan, state):
        return None
    first = [s for s in flat(program.statements) if s.out is state and s is not final]
    readers = _readers(program, scan, state)
    if readers is None or len(first) != 1 or first[0].lhs[0] != 0 or first[0].mode != "=" or first[0].guard is not None:
        return None
    if state not in _positive(program):
        return None
    return _rewritten(program, scan, first[0], readers)


def _is_homogeneous(scan: Scan, state: Tensor) -> bool:
    """Is every statement linear, without a constant, in what the scan defines; and is one tensor handed on only?"""
    own = set(outs(scan))
    z = Dummy("z", positive=True)
    for s in scan.statements:
        inside = [a for a in direct_accesses(s.body) if a.tensor in own]
        if s.reduce not in ("none", "sum") or s.guard is not None or s.body.count_ops() > MOST_OPERATIONS:
            return False
        if expand(s.body.xreplace({a: z * a for a in inside}) - z * s.body) != 0:
            return False
        if any(a.tensor is not state and a.idx[0] is not scan.step for a in inside):
            return False
        if any(a.tensor is state and a.idx[0] is not scan.step for a in inside):
            return False
    return scan.statements[-1].lhs[0] == scan.step + 1


def _mixes(scan: Scan, state: Tensor) -> bool:
    """Does a step sum over the whole state? Several states side by side are left as they are."""
    read = [(s, a) for s in scan.statements for a in direct_accesses(s.body) if a.tensor is state]
    return bool(read) and all(set(a.idx[1:]) <= set(s.reduced) for s, a in read)


def _readers(program: Program, scan: Scan, state: Tensor) -> list[Statement] | None:
    """The scalar sums over the last state, where nothing else reads what the scan defines, and only logs read them."""
    own, last = set(outs(scan)), scan.step.size
    found = []
    for node in program.statements:
        if node is scan or not own & set(reads(node)):
            continue
        if not isinstance(node, Statement) or node.reduce not in ("none", "sum") or node.out.shape or node.mode != "=":
            return None
        read = [a for e in parts(node) for a in accesses(e) if a.tensor in own]
        z = Dummy("z", positive=True)
        linear = expand(node.body.xreplace({a: z * a for a in read}) - z * node.body) == 0
        if not linear or any(a.tensor is not state or expand(a.idx[0] - last) != 0 for a in read):
            return None
        found.append(node)
    totals = {s.out for s in found}
    for s in flat(program.statements):
        for a in (a for a in direct_accesses(s.body) if a.tensor in totals):
            if s.body.xreplace({log(a): sympy.Integer(0)}).has(a):
                return None
    return found if found and not totals & set(program.outputs.values()) else None


def _positive(program: Program) -> set[Tensor]:
    """The tensors whose entries are positive numbers, whatever the inputs are."""
    known, begun = {t for t in program.inputs if t.domain.positive}, set()
    for node in program.statements:
        if isinstance(node, Statement):
            added = {node.out} if _is_positive([node], known) else set()
        elif isinstance(node, Scan):  # by induction: from positive first elements every step makes positive ones
            own = set(outs(node))
            good = own & begun <= known and _is_positive(node.statements, known | own)
            added = own if good else set()
        else:
            added = set()
        known = (known - set(outs(node))) | added
        begun |= set(outs(node))
    return known


def _is_positive(statements: Iterable[Statement], known: set[Tensor]) -> bool:
    return all(
        s.guard is None
        and s.reduce in ("none", "sum", "prod", "max", "min")
        and s.body.xreplace(
            {a: Dummy("p", positive=True) for a in direct_accesses(s.body) if a.tensor in known}
        ).is_positive
        for s in statements
    )


def _rewritten(program: Program, scan: Scan, first: Statement, readers: list[Statement]) -> Program:
    names = Names(t.name for t in program.tensors())
    final = scan.statements[-1]
    state, step = final.out, scan.step
    scaled = Tensor(names.fresh(state.name), state.shape, "definition", span=state.span)
    start, start_sum = Tensor(names.fresh("t"), state.shape[1:]), Tensor(names.fresh("c"))
    raw, sums = Tensor(names.fresh("t"), (step.size, *state.shape[1:])), Tensor(names.fresh("c"), (step.size,))
    rest = first.lhs[1:]
    before = [
        replace(first, out=start, lhs=rest),
        refresh(Statement(start_sum, (), "=", "sum", first.loops, Access(start, rest), span=first.span)),
        refresh(replace(first, out=scaled, body=Access(start, rest) / start_sum[()], reduce="none")),
    ]
    free = final.lhs[1:]
    inside = [read_instead(s, {state: scaled}) for s in scan.statements[:-1]]
    inside += [
        replace(read_instead(final, {state: scaled}), out=raw, lhs=(step, *free)),
        refresh(Statement(sums, (step,), "=", "sum", free, Access(raw, (step, *free)), span=final.span)),
        refresh(
            Statement(scaled, final.lhs, "=", "none", free, Access(raw, (step, *free)) / sums[step], span=final.span)
        ),
    ]
    total, s = Tensor(names.fresh("t")), Index(step.name, step.size)
    after = Statement(total, (), "=", "sum", (s,), log(sums[s]), span=scan.span)
    totals = {r.out for r in readers}
    shift = log(start_sum[()]) + total[()]
    nodes: list[Node] = []
    for node in program.statements:
        if node is first:
            nodes += before
        elif node is scan:
            nodes += [scan.with_statements(inside), after]
        elif node in readers:
            nodes.append(read_instead(node, {state: scaled}))
        elif isinstance(node, Statement):
            table: dict[Expr, Expr] = {log(a): log(a) + shift for a in direct_accesses(node.body) if a.tensor in totals}
            nodes.append(node.with_body(node.body.xreplace(table)))
        else:
            nodes.append(node)
    return program.with_statements(nodes)

"""exp(u - L) with L the logsumexp of u, as a tensor of its own: P = softmax(u), for formulas that multiply such entries.

sympy makes exp(u - L) exp(v - L) one exponential; entries of a named tensor stay apart.
"""

from __future__ import annotations

from dataclasses import replace

import sympy
from sympy import Expr, exp

from symml.ir.program import Access, Node, Program, Statement, Tensor, indices, substitute
from symml.names import Names


def named_softmax(program: Program) -> tuple[Program, tuple[Tensor, ...]]:
    """The program with a tensor for each softmax that its plain statements read, and those tensors."""
    names = Names(t.name for t in program.tensors())
    by_sum = {
        s.out: s
        for s in program.statements
        if isinstance(s, Statement) and s.reduce == "logsumexp" and s.covers and s.guard is None and len(s.reduced) == 1
    }
    made: dict[Tensor, Tensor] = {}
    new: list[Node] = []
    for s in program.statements:
        if not isinstance(s, Statement):
            new.append(s)
            continue
        own = _entry(s.body, by_sum) if isinstance(s.body, exp) and s.is_map and s.out.kind == "definition" else None
        if own is not None and own[0] not in made and s.lhs == (*own[1], own[2]):
            made[own[0]] = s.out
            new.append(s)
            continue
        table = {}
        for e in sorted(s.body.atoms(exp), key=str):
            found = _entry(e, by_sum)
            if found is not None:
                lse, idx, along = found
                if lse not in made:
                    made[lse] = Tensor(names.claim("P"), (*lse.shape, by_sum[lse].reduced[0].size))
                    new.append(_definition(by_sum[lse], made[lse]))
                table[e] = Access(made[lse], (*idx, along))
        new.append(s.with_body(s.body.xreplace(table)) if table else s)
    return replace(program, statements=tuple(new)) if made else program, tuple(made.values())


def _entry(e: Expr, by_sum: dict[Tensor, Statement]) -> tuple[Tensor, tuple[Expr, ...], Expr] | None:
    """The logsumexp that an exponential is divided by, at which place, and the index along the softmax."""
    for term in sympy.Add.make_args(e.args[0]):
        lse = -term
        if not isinstance(lse, Access) or lse.tensor not in by_sum:
            continue
        s, u = by_sum[lse.tensor], e.args[0] + lse
        (r,) = s.reduced
        for along in sorted((k for k in indices(u) if k.size == r.size), key=lambda k: (k.name, k.uid)):
            if u == substitute(s.body, {**dict(zip(s.lhs, lse.idx, strict=True)), r: along}):
                return lse.tensor, lse.idx, along
    return None


def _definition(s: Statement, out: Tensor) -> Statement:
    (r,) = s.reduced
    lhs = tuple(k.fresh() for k in s.lhs)
    along = r.fresh()
    at = {**dict(zip(s.lhs, lhs, strict=True)), r: along}
    body = exp(substitute(s.body, at) - Access(s.out, lhs))
    return Statement(out, (*lhs, along), "=", "none", (*lhs, along), body, span=s.span)

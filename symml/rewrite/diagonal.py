"""Diagonal tensors disappear into the sums that read them: sum[j] D[i, j] X[j, k] with D[i, i] += c is c X[i, k]."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import sympy

from symml.ir.functions import equal
from symml.ir.program import Access, Index, Program, Statement, Tensor, direct_accesses, flat, reindex, substitute


def unify_diagonals(program: Program) -> Program:
    """Replace reads of tensors that are one diagonal statement, where the read stands as a factor of a sum."""
    definitions = Counter(s.out for s in flat(program.statements))
    diagonals: dict[Tensor, Statement] = {}
    new = []
    for s in program.statements:
        if not isinstance(s, Statement):
            new.append(s)
            continue
        s = _without_deltas(s)
        for a in direct_accesses(s.body):
            if a.tensor in diagonals:
                s = _unified(s, a, diagonals[a.tensor])
        if (
            definitions[s.out] == 1
            and len(s.lhs) == 2
            and s.lhs[0] is s.lhs[1]
            and isinstance(s.lhs[0], Index)  # one gathered element of the diagonal is not the diagonal
            and s.reduce == "none"
            and s.guard is None
        ):
            diagonals[s.out] = s
        new.append(s)
    return program.with_statements(new)


def _without_deltas(s: Statement) -> Statement:
    """sum[j] [i = j] f(i, j) is f(i, i), where the sum is over all of an axis that i runs over too."""
    for f in sympy.Mul.make_args(s.body):
        if not isinstance(f, equal) or s.reduce != "sum" or s.guard is not None:
            continue
        for gone, kept in (f.args, f.args[::-1]):
            if isinstance(gone, Index) and gone in s.reduced and isinstance(kept, Index) and kept.size == gone.size:
                rest = substitute(sympy.Mul(*(x for x in sympy.Mul.make_args(s.body) if x is not f)), {gone: kept})
                rest = rest.xreplace({e: sympy.Integer(1) for e in rest.atoms(equal) if e.args[0] == e.args[1]})
                made = replace(s, body=rest, loops=tuple(k for k in s.loops if k is not gone))
                return _without_deltas(replace(made, reduce="sum" if made.reduced else "none"))
    return s


def _unified(s: Statement, a: Access, diagonal: Statement) -> Statement:
    """The sum without the index that the diagonal makes equal to another."""
    factors = sympy.Mul.make_args(s.body)
    p, q = a.idx
    summed = [k for k in (q, p) if isinstance(k, Index) and k in s.reduced]
    if s.reduce != "sum" or factors.count(a) != 1 or not summed or p == q or s.guard is not None:
        return s
    gone = summed[0]
    kept = p if gone is q else q
    entry = substitute(diagonal.body, {diagonal.lhs[0]: kept})
    body = sympy.Mul(*(f for f in factors if f is not a)) * entry
    loops = tuple(k for k in s.loops if k is not gone)
    if isinstance(kept, Index):
        s = reindex(replace(s, body=body, loops=loops), {gone: kept})
        loops = tuple(dict.fromkeys(s.loops))
        s = replace(s, loops=loops)
    else:
        s = replace(s, body=substitute(body, {gone: kept}), loops=loops)
    return replace(s, reduce="sum" if s.reduced else "none")

"""Matrices that are positive semidefinite by what they are made of: sums of R v v' with R >= 0, diagonals that are not negative,
and semidefinite matrices times numbers that are not negative.

    semidefinite(A, definitions, nonnegative)  ->  whether X' diag(w) X + lam I is, where w >= 0 and lam >= 0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy
from sympy import Expr

from symml.ir.expand import expand_products
from symml.ir.functions import equal
from symml.ir.program import (
    Access,
    Index,
    Statement,
    Tensor,
    direct_accesses,
    fresh_indices,
    indices,
    reindex,
    substitute,
)

MOST = 60  # terms

Definitions = Mapping[Tensor, list[Statement]]


def semidefinite(t: Tensor, definitions: Definitions, nonnegative: Callable[[Expr], bool]) -> bool:
    """Whether a matrix is, for all unknowns in their domains; nonnegative(e): whether e is, entry by entry."""
    if t.domain.kind == "psd":
        return True
    if len(t.shape) != 2 or t.shape[0] != t.shape[1] or t not in definitions:
        return False
    i, j = fresh_indices(t.shape)
    terms = products(Access(t, (i, j)), definitions, (i, j))
    return terms is not None and all(_is_outer(e, i, j, nonnegative) for e in terms)


def products(e: Expr, definitions: Definitions, kept: tuple[Index, ...]) -> list[Expr] | None:
    """An entry as products of inputs under sums over all indices but `kept`; None where it is nothing of the kind."""
    found, todo = [], [e]
    while todo:
        e = _without_deltas(todo.pop(), kept)
        open_ = [a for a in direct_accesses(e) if a.tensor in definitions and a.tensor.domain.kind != "psd"]
        held = [a for a in open_ if a in sympy.Mul.make_args(e)]
        if not held:
            if open_:
                return None
            found.append(e)
            continue
        for s in definitions[held[0].tensor]:
            body = _entry(s, held[0])
            if body is None:
                return None
            todo += sympy.Add.make_args(expand_products(e / held[0] * body))
        if len(todo) + len(found) > MOST:
            return None
    return found


def _entry(s: Statement, a: Access) -> Expr | None:
    """What a statement gives for an element; a visible diagonal is 0 elsewhere."""
    if s.guard is not None or s.reduce not in ("sum", "none"):
        return None
    s, table, off = reindex(s, {k: k.fresh() for k in s.loops}), {}, sympy.Integer(1)
    for k, at, size in zip(s.lhs, a.idx, s.out.shape, strict=True):
        if not isinstance(k, Index) or k.size != size:
            return None
        off *= equal(table[k], at) if k in table else 1
        table.setdefault(k, at)
    return substitute(s.body, table) * off


def _without_deltas(e: Expr, kept: tuple[Index, ...]) -> Expr:
    """[k = j] in a product takes the place of a sum over k."""
    for d in [f for f in sympy.Mul.make_args(e) if isinstance(f, equal)]:
        for k, other in (d.args, d.args[::-1]):
            if isinstance(k, Index) and isinstance(other, Index) and k not in kept and k.size == other.size:
                return _without_deltas(substitute(e / d, {k: other}), kept)
    return e


def _is_outer(e: Expr, i: Index, j: Index, nonnegative: Callable[[Expr], bool]) -> bool:
    """Is a term, summed over its other indices, semidefinite?"""
    factors = list(sympy.Mul.make_args(e))
    rows = [f for f in factors if i in indices(f) and j not in indices(f)]
    columns = [f for f in factors if j in indices(f) and i not in indices(f)]
    both = [f for f in factors if {i, j} <= indices(f)]
    rest = sympy.Mul(*(f for f in factors if not {i, j} & indices(f)))
    if not both:
        return substitute(sympy.Mul(*rows), {i: j}) == sympy.Mul(*columns) and nonnegative(rest)
    (first, *more) = both
    if more:
        return False
    if isinstance(first, equal) and set(first.args) == {i, j}:
        return nonnegative(substitute(sympy.Mul(rest, *rows, *columns), {i: j}))
    whole = isinstance(first, Access) and first.tensor.domain.kind == "psd" and set(first.idx) == {i, j}
    return whole and not rows and not columns and nonnegative(rest)

"""A tensor as a sum of terms that read given tensors only: what lies between is multiplied out, statement by statement.

    t[i, j] += X[i, j];  t[i, y[i]] -= 1;  O[j] = sum[i] c[i] t[i, j]
        ->   O[j] += sum[i] c[i] X[i, j],   O[y[i]] += sum[i] -c[i]

A repeated index on the left side of what is read, a diagonal, makes two indices of its reader one, and goes on to the
reader's own left side. Nothing is expanded that is not linear in what is read; maps are put in where they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import permutations

import sympy
from sympy import Expr

from symml.ir.functions import NO_SLOPE
from symml.ir.program import Access, Index, Program, Statement, Tensor, direct_accesses, indices, refresh, substitute

MOST_TERMS = 16
MOST_OPERATIONS = 80
MOST_PERMUTED = 4  # reduced indices of terms that are compared up to their names
SYMMETRIC = ("symmetric", "psd")  # domains of matrices that are their own transposes
Definitions = Mapping[Tensor, list[Statement]]


class TooLongError(Exception):
    """The sum has more terms, or longer ones, than anybody reads."""


def written_out(program: Program, t: Tensor, keep: Callable[[Tensor], bool]) -> tuple[Statement, ...]:
    """The terms of a tensor, each `+=`, reading inputs and the tensors that `keep` names; TooLongError."""
    open_ = {u: found for u, found in _definitions(program).items() if u is t or not keep(u)}
    if t not in open_:
        raise TooLongError(t.name)
    done: list[Statement] = []
    todo = [_as_term(s) for s in open_[t]]
    while todo:
        s = todo.pop()
        parts = _expanded(s, {u: d for u, d in open_.items() if u is not t})
        if parts is None:
            done.append(_counted(s))
        else:
            todo += parts
        if len(done) + len(todo) > MOST_TERMS or sympy.count_ops(s.body) > MOST_OPERATIONS:
            raise TooLongError(t.name)
    return tuple(together(done))


def _definitions(program: Program) -> Definitions:
    """The statements of every tensor that is a sum of plain terms."""
    found: dict[Tensor, list[Statement]] = {}
    for s in (s for s in program.statements if isinstance(s, Statement)):
        found.setdefault(s.out, []).append(s)
    return {u: d for u, d in found.items() if all(s.reduce in ("none", "sum") for s in d) and not u.integer}


def _as_term(s: Statement) -> Statement:
    s = refresh(s)
    return replace(s, mode="+=", reduce="sum" if s.reduced else "none")


def _expanded(s: Statement, open_: Definitions) -> list[Statement] | None:
    """The statement with one access written out, as several; None where there is none to write out."""
    for a in direct_accesses(s.body):
        if a.tensor not in open_:
            continue
        definitions = open_[a.tensor]
        if len(definitions) == 1 and definitions[0].is_map:
            d = definitions[0]
            return [replace(s, body=s.body.xreplace({a: substitute(d.body, dict(zip(d.lhs, a.idx, strict=True)))}))]
        c = sympy.diff(s.body, a)
        if c.has(a) or any(f.has(a) for f in s.body.atoms(*NO_SLOPE)):
            continue
        made = [_put_in(s, a, c, refresh(d)) for d in definitions]
        if any(m is None for m in made):
            continue
        rest = s.body.xreplace({a: sympy.Integer(0)})
        return [*([replace(s, body=rest)] if rest != 0 else []), *made]
    return None


def _put_in(s: Statement, a: Access, c: Expr, d: Statement) -> Statement | None:
    """The part of `s` in which one statement stands for the access `a` with coefficient `c`; None where they do not meet."""
    if d.guard is not None and s.guard is not None:
        return None
    at: dict[Index, Expr] = {}
    meets: list[tuple[Expr, Expr, Expr]] = []
    for left, idx, size in zip(d.lhs, a.idx, a.tensor.shape, strict=True):
        if isinstance(left, Index) and left not in at and left.size == size:
            at[left] = idx
        else:
            meets.append((left, idx, size))
    loops = [*s.loops, *(k for k in d.loops if k not in at)]
    s = replace(
        s,
        loops=tuple(loops),
        body=c * substitute(d.body, at),
        guard=s.guard if d.guard is None else substitute(d.guard, at),
    )
    for left, idx, size in meets:
        met = _met(s, substitute(left, at), idx, size)
        if met is None:
            return None
        s, table = met
        at = {k: substitute(e, table) for k, e in at.items()}
        meets[:] = [(x, substitute(y, table), n) for x, y, n in meets]
    return replace(s, reduce="sum" if s.reduced else "none")


def _met(s: Statement, one: Expr, other: Expr, size: Expr) -> tuple[Statement, dict[Expr, Expr]] | None:
    """The statement where two indices of an axis are equal: a loop over the whole axis gives way to the other one."""
    if one == other:
        return s, {}
    for gone, kept in ((other, one), (one, other)):
        if isinstance(gone, Index) and gone in s.loops and gone.size == size and gone not in indices(kept):
            table = {gone: kept}
            loops = tuple(k for k in s.loops if k is not gone)
            lhs = tuple(substitute(e, table) for e in s.lhs)
            guard = None if s.guard is None else substitute(s.guard, table)
            return replace(s, lhs=lhs, loops=loops, body=substitute(s.body, table), guard=guard), table
    return None


def _counted(s: Statement) -> Statement:
    """Sums over what does not depend on their index are products with its size."""
    if s.guard is not None:
        return s
    held = indices(s.body)
    free = tuple(k for k in s.reduced if k not in held)
    if not free:
        return s
    s = replace(s, body=s.body * sympy.Mul(*(k.size for k in free)), loops=tuple(k for k in s.loops if k not in free))
    return replace(s, reduce="sum" if s.reduced else "none")


# terms that are alike


def together(terms: Iterable[Statement]) -> list[Statement]:
    """Terms that differ in the names of their indices and a number only, added up; the longest left sides first."""
    found: list[Statement] = []
    for s in terms:
        for k, other in enumerate(found):
            body = _alike(s, other)
            if body is not None:
                found[k] = replace(other, body=mirrored(other.body) + body)
                break
        else:
            found.append(s)
    return sorted((s for s in found if s.body != 0), key=lambda s: (-len(set(s.lhs)), -len(s.loops), -len(str(s.body))))


def _alike(s: Statement, other: Statement) -> Expr | None:
    """The body of `s` in the indices of `other`, where both run over the same and are the same up to a number."""
    if s.guard is not None or other.guard is not None or len(s.reduced) != len(other.reduced):
        return None
    table: dict[Expr, Expr] = {}
    for a, b in zip(s.lhs, other.lhs, strict=True):
        if not (isinstance(a, Index) and isinstance(b, Index)) or table.get(a, b) is not b:
            return None
        table[a] = b
    if len(set(table.values())) != len(table) or len(s.reduced) > MOST_PERMUTED:
        return None
    wanted = mirrored(other.body).as_coeff_Mul()[1]
    for order in permutations(other.reduced):
        if any(a.size != b.size for a, b in zip(s.reduced, order, strict=True)):
            continue
        body = mirrored(substitute(s.body, {**table, **dict(zip(s.reduced, order, strict=True))}))
        if body.as_coeff_Mul()[1] == wanted:
            return body
    return None


def mirrored(e: Expr) -> Expr:
    """Entries of symmetric tensors with their indices in one order."""
    table = {}
    for a in e.atoms(Access):
        if a.tensor.domain.kind in SYMMETRIC and len(a.idx) == 2:
            idx = tuple(sorted(a.idx, key=lambda k: (str(k), getattr(k, "uid", 0))))
            if idx != a.idx:
                table[a] = Access(a.tensor, idx)
    return e.xreplace(table) if table else e

"""Sums inside of terms by the names they have: sum[i] A[k, i] x[i] x[j] is T1[k] x[j] where T1 = A x.

A sum that depends on no index of the left side is a number, and gets a name where it has none:

    folded(program, terms)  ->  (terms, new statements)      3/r^5 sum[i] T1[i] x[i] x[j] x[k]  ->  3/r^5 c x[j] x[k]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import permutations

import sympy
from sympy import Expr

from symml.ir.program import Access, Index, Program, Statement, Tensor, flat, indices, reindex, substitute
from symml.rewrite.written_out import mirrored, together

MOST_INDICES = 3  # of a sum that is compared with definitions, in every order


def folded(program: Program, terms: Sequence[Statement]) -> tuple[list[Statement], list[Statement]]:
    """The terms with sums inside of them by name, and definitions of the numbers that had none."""
    known = [s for s in program.statements if isinstance(s, Statement) and _is_plain_sum(s)]
    often = Counter(s.out for s in flat(program.statements))
    own = {s.out for s in terms}
    known = [s for s in known if s.out not in own and often[s.out] == 1]
    made: list[Statement] = []
    new = []
    for s in terms:
        for part in _parts(s):
            s = _named(s, part, [*known, *made], made)
        new.append(s)
    used = {a.tensor for s in new for a in s.body.atoms(Access)}
    made = [m for m in made if m.out in used]
    return _added_up(together(new)), made


def _added_up(terms: Sequence[Statement]) -> list[Statement]:
    """Terms without sums over the same elements as one."""
    found: list[Statement] = []
    for s in terms:
        at = next((k for k, o in enumerate(found) if _same_elements(s, o)), None)
        if at is None:
            found.append(s)
            continue
        first = found[at]
        found[at] = replace(first, body=first.body + reindex(s, dict(zip(s.lhs, first.lhs, strict=True))).body)
    found = [s if s in terms else replace(s, body=sympy.factor_terms(mirrored(s.body))) for s in found]
    return [s for s in found if s.body != 0]


def _same_elements(s: Statement, other: Statement) -> bool:
    if s.reduced or other.reduced or s.guard is not None or other.guard is not None:
        return False
    if not all(isinstance(k, Index) for k in (*s.lhs, *other.lhs)):
        return False
    pattern = [[x.lhs.index(k) for k in x.lhs] for x in (s, other)]
    return pattern[0] == pattern[1] and {*s.loops, *other.loops} == {*s.lhs, *other.lhs}


def _is_plain_sum(s: Statement) -> bool:
    return s.mode == "=" and s.reduce == "sum" and s.guard is None and s.covers and s.out.kind != "definition"


def _parts(s: Statement) -> list[tuple[frozenset[Index], list[Expr]]]:
    """The factors of a term that hang together by reduced indices, without those that are one factor alone."""
    if s.guard is not None or s.reduce != "sum" or not s.body.is_Mul:
        return []
    groups: list[tuple[set[Index], list[Expr]]] = []
    for f in s.body.args:
        held = indices(f) & set(s.reduced)
        if not held:
            continue
        met = [g for g in groups if g[0] & held]
        rest = [g for g in groups if not g[0] & held]
        groups = [*rest, (held.union(*(g[0] for g in met)), [f, *(x for g in met for x in g[1])])]
    return [(frozenset(held), factors) for held, factors in groups]


def _named(
    s: Statement, part: tuple[frozenset[Index], list[Expr]], known: Iterable[Statement], made: list[Statement]
) -> Statement:
    """The term with one part of it as an element of a tensor, where one has that definition."""
    held, factors = part
    whole = sympy.Mul(*factors)
    free = tuple(sorted(indices(whole) - held, key=lambda k: k.uid))
    if len(held) + len(free) > MOST_INDICES or len(factors) == len(s.body.args):
        return s
    found = next((a for d in known if (a := _element(d, whole, tuple(held), free)) is not None), None)
    if found is None and not free:
        d = Statement(Tensor(f"fold{len(made)}"), (), "=", "sum", tuple(held), whole)
        made.append(d)
        found = Access(d.out, ())
    if found is None:
        return s
    rest = sympy.Mul(*(f for f in s.body.args if f not in factors))
    s = replace(s, body=rest * found, loops=tuple(k for k in s.loops if k not in held))
    return replace(s, reduce="sum" if s.reduced else "none")


def _element(d: Statement, whole: Expr, held: tuple[Index, ...], free: tuple[Index, ...]) -> Expr | None:
    """The element of the tensor that `d` defines which is the sum of `whole` over `held`, with its coefficient."""
    if len(d.reduced) != len(held) or len(d.lhs) != len(free):
        return None
    wanted = mirrored(whole)
    for order in permutations(held):
        for lhs in permutations(free):
            pairs = [*zip(d.reduced, order, strict=True), *zip(d.lhs, lhs, strict=True)]
            if any(a.size != b.size for a, b in pairs):
                continue
            ratio = mirrored(substitute(d.body, dict(pairs))) / wanted
            if ratio.is_Rational:
                return Access(d.out, lhs) / ratio
    return None

"""Second moments about the mean: sum f g - (sum f)(sum g)/n is summed again as sum (f - mean f)(g - mean g).

The difference of the two sums loses as many digits as the squared mean has more than the variance; it is looked for
across statements, also where the means have names. Chan, Golub & LeVeque, The American Statistician 37 (1983).

    v = 1/n sum[i] x[i]^2 - (1/n sum[i] x[i])^2        c[i] = x[i] - s/n;   v = 1/n sum[i] c[i]^2
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy
from sympy import Add, Expr, Mul

from symml.ir.expand import expand, expand_sums
from symml.ir.program import Access, Index, Node, Program, Statement, Tensor, direct_accesses, flat, substitute
from symml.names import Names
from symml.rewrite.cost import is_cheap

MOST_OPERATIONS = 60
DEPTH = 3  # of names for means


@dataclass
class _Seen:
    """The sums and cheap maps before a statement, and names for what is made."""

    names: Names
    single: Counter
    sums: dict[Tensor, Statement] = field(default_factory=dict)
    maps: dict[Tensor, Statement] = field(default_factory=dict)


@dataclass(frozen=True)
class _Sum:
    """A sum at the indices where it is read: its body over fresh loops `over`."""

    access: Access
    body: Expr
    over: tuple[Index, ...]


def centre_moments(program: Program) -> Program:
    """The program with second moments about the mean; itself where there are none."""
    seen = _Seen(Names(t.name for t in program.tensors()), Counter(s.out for s in flat(program.statements)))
    new: list[Node] = []
    for node in program.statements:
        if isinstance(node, Statement):
            node = _centred(node, seen, new)
            if seen.single[node.out] == 1 and node.mode == "=" and node.covers and node.guard is None:
                if node.reduce == "sum" and node.reduced:
                    seen.sums[node.out] = node
                elif node.is_map and is_cheap(node.body):
                    seen.maps[node.out] = node
        new.append(node)
    return program.with_statements(new)


def _centred(s: Statement, seen: _Seen, new: list[Node]) -> Statement:
    """The statement in terms of centred sums; what they need is put into `new`."""
    body = _written_out(s.body, seen)
    if sum(a.tensor in seen.sums for a in direct_accesses(body)) < 2 or body.count_ops() > MOST_OPERATIONS:
        return s
    for part in (*sorted(body.atoms(Add), key=lambda e: (-e.count_ops(), str(e))), body):
        flat_part = expand_sums(part)
        for t, u in itertools.permutations(Add.make_args(flat_part), 2):
            found = _moment(t, u, seen)
            if found is not None:
                coefficient, both, first, second = found
                value = coefficient * _sum_of_products(both, first, second, seen, new)
                return _centred(s.with_body(body.xreplace({part: flat_part - t - u + value})), seen, new)
    return s


def _written_out(body: Expr, seen: _Seen) -> Expr:
    """Names for multiples of sums replaced by what they stand for."""
    for _ in range(DEPTH):
        table = {
            a: substitute(seen.maps[a.tensor].body, dict(zip(seen.maps[a.tensor].lhs, a.idx, strict=True)))
            for a in direct_accesses(body)
            if a.tensor in seen.maps
        }
        if not table:
            break
        body = body.xreplace(table)
    return body


def _moment(t: Expr, u: Expr, seen: _Seen) -> tuple[Expr, _Sum, _Sum, _Sum] | None:
    """(c, sum f g, sum f, sum g) where t = c sum f g and u = -c/n (sum f)(sum g)."""
    one, two = _sums_in(t, seen), _sums_in(u, seen)
    if len(one) != 1 or len(two) != 2:
        return None
    both, first, second = (_at(a, seen) for a in (*one, *two))
    if None in (both, first, second):
        return None
    coefficient, other = t / one[0], u / Mul(*two)
    if (coefficient / other).atoms(Access):
        return None
    count = Mul(*(k.size for k in both.over))
    if sympy.cancel(coefficient + other * count) != 0:
        return None
    f, g = _over(first, both.over), _over(second, both.over)
    if f is None or g is None or expand(both.body - f.body * g.body) != 0:
        return None
    return coefficient, both, f, g


def _sums_in(term: Expr, seen: _Seen) -> list[Access]:
    """The sums that are factors of a term, each as often as it is one; nothing where they stand elsewhere too."""
    found: list[Access] = []
    for f in Mul.make_args(term):
        base, power = f.as_base_exp()
        if isinstance(base, Access) and base.tensor in seen.sums and power in (1, 2):
            found += [base] * int(power)
        elif any(a.tensor in seen.sums for a in direct_accesses(f)):
            return []
    return found


def _at(a: Access, seen: _Seen) -> _Sum | None:
    """A sum at plain indices, over loops of its own."""
    if not all(isinstance(k, Index) for k in a.idx):
        return None
    s = seen.sums[a.tensor]
    fresh = {k: k.fresh() for k in s.reduced}
    body = substitute(s.body, {**dict(zip(s.lhs, a.idx, strict=True)), **fresh})
    return _Sum(a, body, tuple(fresh.values()))


def _over(s: _Sum, loops: tuple[Index, ...]) -> _Sum | None:
    """The sum over the given loops, where it has as many of the same sizes."""
    if [k.size for k in s.over] != [k.size for k in loops]:
        return None
    return _Sum(s.access, substitute(s.body, dict(zip(s.over, loops, strict=True))), loops)


def _sum_of_products(both: _Sum, first: _Sum, second: _Sum, seen: _Seen, new: list[Node]) -> Access:
    """The statements of the centred factors and of the sum of their products, which is read in the place of the two."""
    f = _deviation(first, seen, new)
    g = f if second.access == first.access else _deviation(second, seen, new)
    free = tuple(dict.fromkeys((*first.access.idx, *second.access.idx)))
    out = Tensor(seen.names.fresh("moment"), tuple(k.size for k in free))
    table: Mapping[Expr, Expr] = {k: k.fresh() for k in (*free, *both.over)}
    lhs, over = tuple(table[k] for k in free), tuple(table[k] for k in both.over)
    body = substitute(f * g, table)
    s = Statement(out, lhs, "=", "sum", (*lhs, *over), body, span=seen.sums[both.access.tensor].span)
    new.append(s)
    seen.single[out] = 1
    return Access(out, free)


def _deviation(s: _Sum, seen: _Seen, new: list[Node]) -> Access:
    """f - mean f as a tensor over the summed loops and the indices of the sum."""
    loops = (*s.over, *dict.fromkeys(s.access.idx))
    out = Tensor(seen.names.fresh("centred"), tuple(k.size for k in loops))
    table = {k: k.fresh() for k in loops}
    body = substitute(s.body - s.access / Mul(*(k.size for k in s.over)), table)
    at = tuple(table[k] for k in loops)
    new.append(Statement(out, at, "=", "none", at, body, span=seen.sums[s.access.tensor].span))
    seen.single[out] = 1
    return Access(out, loops)

"""A convexity certificate from the Hessian: v' H v as a sum of terms none of which can be negative.

Source: Klaus, Merk, Wiedom, Laue, Giesen, "Convexity certificates from Hessians" (NeurIPS 2022). Here the form v' H v of the
derived Hessian is taken apart into sums of products; a term is not negative by the signs of its factors, as a square, as a
quadratic form in a matrix that is positive semidefinite by its declaration or as a product A' A, or as part of a small
quadratic form whose coefficients are one.

    certify(forward, derivative, (w, b))  ->  Certificate("convex", "v' H v is a sum of squares ...")

What has kinks, or poles inside its domain, has no such certificate: second derivatives say nothing of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import sympy
from sympy import Expr

from symml.calculus.second import hessian_times
from symml.ir.expand import expand, expand_products
from symml.ir.functions import expm1, log1p, sigmoid, softplus
from symml.ir.program import (
    Access,
    Index,
    Library,
    Program,
    Statement,
    Tensor,
    direct_accesses,
    flat,
    fresh_indices,
    reads,
    substitute,
)
from symml.methods import intervals
from symml.methods.convexity import Certificate, Fact, curvature_of, facts_of, interval_of
from symml.methods.intervals import Interval
from symml.methods.terms import NoClosedForm, Term, Terms, maps_written_out, terms_of
from symml.rewrite.simplify import simplify

MOST_STATEMENTS = 40
MOST_OPERATIONS = 150
SMOOTH = (
    sympy.exp, sympy.log, sympy.sin, sympy.cos, sympy.sinh, sympy.cosh, sympy.tanh, sympy.atan,
    log1p, expm1, sigmoid, softplus,
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """v' H v: its terms, the tensors v by unknown, the intervals of everything, and the matrices that are psd."""

    terms: Terms
    along: Mapping[Tensor, Tensor]
    facts: Mapping[Tensor, Fact]
    definite: frozenset[Tensor]


class NoForm(Exception):
    """The Hessian is not looked at, and why."""


def form(forward: Program, derivative: Program, wrt: tuple[Tensor, ...]) -> Form:
    """The quadratic form of the Hessian in `wrt`; NoForm where second derivatives do not tell the curvature."""
    _refuse(forward, wrt)
    _, second, along = hessian_times(derivative, wrt)
    total, statements = Tensor("L"), []
    for t, v in zip(wrt, along, strict=True):
        k = fresh_indices(t.shape)
        body = Access(second.outputs[f"d_{t.name}"], k) * Access(v, k)
        statements.append(Statement(total, (), "+=", "sum" if k else "none", k, body))
    inputs = tuple(dict.fromkeys((*second.inputs, *along)))
    whole = symmetric_order(simplify(Program(inputs, (*second.statements, *statements), {"L": total})))
    try:
        terms = terms_of(whole, along)
    except NoClosedForm as stop:
        raise NoForm(str(stop)) from None
    nodes = _added_up(maps_written_out(terms.definitions, terms.moving(along)))
    terms = replace(terms, definitions=tuple(nodes))
    facts = facts_of(replace(whole, statements=terms.definitions, outputs={}), ())
    return Form(terms, dict(zip(wrt, along, strict=True)), facts, _definite(terms.definitions, facts))


def _added_up(nodes: Iterable) -> Iterable:
    """Definitions in which equal sums are one, with a factor."""
    kept: list = []
    for node in nodes:
        earlier = [
            k
            for k, s in enumerate(kept)
            if isinstance(s, Statement) and isinstance(node, Statement) and s.out is node.out
        ]
        for k in earlier:
            if (ratio := _ratio(kept[k], node)) is not None:
                kept[k] = replace(kept[k], body=kept[k].body * (1 + ratio))
                break
        else:
            kept.append(node)
    return kept


def _ratio(first: Statement, s: Statement) -> Expr | None:
    """The number that a sum is of another over the same elements."""
    if not (_plain(first) and _plain(s)) or first.reduce != s.reduce or len(first.reduced) != len(s.reduced):
        return None
    table = {**dict(zip(s.lhs, first.lhs, strict=True)), **dict(zip(s.reduced, first.reduced, strict=True))}
    ratio = substitute(s.body, table) / first.body
    return ratio if ratio.is_number else None


def symmetric_order(program: Program) -> Program:
    """Elements of declared symmetric matrices read in one order of their indices, so that Q[j, i] + Q[i, j] is 2 Q[i, j]."""

    def ordered(s: Statement) -> Statement:
        table = {}
        for a in direct_accesses(s.body):
            if a.tensor.domain.kind in ("psd", "symmetric") and all(isinstance(k, Index) for k in a.idx):
                table[a] = Access(a.tensor, sorted(a.idx, key=lambda k: k.uid))
        return s.with_body(s.body.xreplace(table)) if table else s

    return program.mapped(ordered)


def _refuse(forward: Program, wrt: tuple[Tensor, ...]) -> None:
    """Kinks, jumps and poles of what depends on the unknowns."""
    size = sum(s.body.count_ops() for s in flat(n for n in forward.statements if not isinstance(n, Library)))
    if len(forward.statements) > MOST_STATEMENTS or size > MOST_OPERATIONS:
        raise NoForm("the objective is too long")
    moving, curvature = set(wrt), facts_of(forward, wrt)
    signs = facts_of(forward, ())
    for node in forward.statements:
        if not moving.intersection(reads(node)):
            continue
        if not isinstance(node, Statement):
            raise NoForm("a recurrence or an operation on whole matrices")
        moving.add(node.out)
        if node.reduce not in ("none", "sum", "logsumexp") or any(
            a.tensor in moving for k in node.lhs for a in k.atoms(Access)
        ):
            raise NoForm(f"{node.reduce} has kinks")
        if node.guard is not None and any(a.tensor in moving for a in node.guard.atoms(Access)):
            raise NoForm("a condition on the unknowns")
        _refuse_body(node, moving, signs, curvature)


def _refuse_body(s: Statement, moving: set[Tensor], signs: Mapping[Tensor, Fact], bent: Mapping[Tensor, Fact]) -> None:
    for e in sympy.preorder_traversal(s.body):
        if not any(a.tensor in moving for a in e.atoms(Access)) or isinstance(e, Access):
            continue
        if e.is_Function and not isinstance(e, SMOOTH):
            raise NoForm(f"{e.func.__name__} may have kinks or poles")
        if e.is_Pow and e.exp.is_number and not (e.exp.is_Integer and e.exp >= 0):
            _refuse_domain(e.base, signs, bent, e.exp.is_Integer)
        elif isinstance(e, sympy.log | log1p):
            _refuse_domain(e.args[0] + (1 if isinstance(e, log1p) else 0), signs, bent, False)
        elif e.is_Pow and not e.exp.is_number and curvature_of(bent, e.base) != "constant":
            raise NoForm("an exponent that is not known")


def _refuse_domain(base: Expr, signs: Mapping[Tensor, Fact], bent: Mapping[Tensor, Fact], pole: bool) -> None:
    """What is real or finite only where base > 0 (a pole: where it is not 0) must be so on a convex set, without kinks in it."""
    low, high = interval_of(signs, base)
    if low > 0:
        return
    curvature = curvature_of(bent, base)
    if low == 0 and not pole and curvature == "convex":
        raise NoForm("a root or logarithm of what may be 0 has kinks or poles")  # real everywhere, but not smooth there
    if curvature not in ("constant", "affine", "concave"):
        raise NoForm("the set where it is real may not be convex")
    if pole and low < 0 and not (curvature == "affine" and high <= 0):
        raise NoForm("a pole where a sign changes")


def _definite(nodes: Iterable, facts: Mapping[Tensor, Fact]) -> frozenset[Tensor]:
    """Matrices that are positive semidefinite: declared so, or c A' A with c >= 0."""
    found = {t for t in facts if t.domain.kind == "psd"}
    for s in flat(n for n in nodes if not isinstance(n, Library)):
        if isinstance(s, Statement) and s.covers and s.mode == "=" and len(s.lhs) == 2 and _is_gram(s, facts):
            found.add(s.out)
    return frozenset(found)


def _is_gram(s: Statement, facts: Mapping[Tensor, Fact]) -> bool:
    """S[i, j] = sum c A[.., i] A[.., j], c >= 0."""
    i, j = s.lhs
    for a in direct_accesses(s.body):
        if i not in a.idx or j in a.idx:
            continue
        b = Access(a.tensor, tuple(j if k is i else k for k in a.idx))
        rest = s.body / (a * b)
        if b in s.body.free_symbols and not rest.free_symbols & {a, b, i, j} and s.guard is None:
            held = {k for x in direct_accesses(rest) for k in x.idx}
            if not held & {i, j} and interval_of(facts, rest)[0] >= 0 and s.reduce in ("sum", "none"):
                return True
    return False


def certify_hessian(f: Form) -> Certificate:
    """Convex where no term of v' H v can be negative; concave where none can be positive."""
    for sign, curvature in ((1, "convex"), (-1, "concave")):
        stopped = _negative(f, sign)
        if stopped is None:
            return Certificate(curvature, _told(f))
    stopped = _negative(f, 1)
    return Certificate("unknown", f"the term {stopped} of vᵀHv has no known sign", None, _hint(f, stopped))


def _told(f: Form) -> str:
    """What the Hessian is made of."""
    read = {a.tensor for s in flat(f.terms.definitions) for a in direct_accesses(s.body)}
    read |= {a.tensor for t in f.terms.terms for a in direct_accesses(t.body)}
    used = sorted({t.name for t in f.definite if t in read and t not in f.along.values()})
    forms = f" and forms in {' and '.join(used)}, positive semidefinite" if used else ""
    return f"by its Hessian, of squares whose weights have a known sign{forms}"


def _negative(f: Form, sign: int) -> Term | None:
    """The first term that may be negative (times sign); terms over the same loops may make up for each other."""
    groups: dict[tuple, list[Term]] = {}
    for t in f.terms.terms:
        t = Term(t.loops, sign * t.body)
        if _not_negative(f, t):
            continue
        groups.setdefault(tuple(k.size for k in t.loops), []).append(t)
    for group in groups.values():
        if not _together(f, group, sign):
            return group[0]
    return None


def _not_negative(f: Form, t: Term) -> bool:
    return signed(f, t.body)[0] >= 0 or _is_form(f, t)


def signed(f: Form, e: Expr) -> Interval:
    """The interval of a product, even powers and the logistic derivative known."""
    found = intervals.point(1)
    for part in sympy.Mul.make_args(e):
        found = intervals.times(found, _factor(f, part))
    return found


def _factor(f: Form, e: Expr) -> Interval:
    own = interval_of(f.facts, e)
    if e.is_Pow and e.exp.is_Integer and int(e.exp) % 2 == 0:
        return intervals.times(own, intervals.point(1)) if own[0] >= 0 else (intervals.ZERO[0], own[1])
    return own


def _is_form(f: Form, t: Term) -> bool:
    """c a b, where b is linear in what a is, and every part of it makes a square or a psd form with a."""
    moving = f.terms.moving(f.along.values())
    held = [a for a in direct_accesses(t.body) if a.tensor in moving]
    for a, b in (held, held[::-1]) if len(held) == 2 else ():
        rest = t.body / (a * b)
        own = [s for s in f.terms.definitions if isinstance(s, Statement) and s.out is b.tensor]
        if not own or rest.free_symbols & {a, b} or not all(_plain(s) for s in own):
            continue
        if all(_part(f, a, rest * part, moving) for s in own for part in parts_at(s, b)):
            return True
    return False


def _plain(s: Statement) -> bool:
    return s.covers and s.guard is None and s.reduce in ("sum", "none")


def parts_at(s: Statement, b: Access) -> list[Expr]:
    """The products that a linear definition adds up, at the element that is read, over fresh loops."""
    table = {**{k: k.fresh() for k in s.reduced}, **dict(zip(s.lhs, b.idx, strict=True))}
    return list(sympy.Add.make_args(expand_products(substitute(s.body, table))))


def _part(f: Form, a: Access, e: Expr, moving: frozenset[Tensor]) -> bool:
    """a times e, e linear: a square with a weight >= 0, a Q a with Q psd, or d u^2 with u a sum that a and e share."""
    inner = [x for x in direct_accesses(e) if x.tensor in moving]
    if len(inner) != 1:
        return False
    (m,) = inner
    rest = e / m
    if m == a:
        return signed(f, rest)[0] >= 0
    if m.tensor is a.tensor:
        return _psd_between(f, a, m, rest)
    return _shared(f, a, m, rest)


def _psd_between(f: Form, a: Access, m: Access, rest: Expr) -> bool:
    """rest = c Q[i, j] for a at i and m at j, equal otherwise."""
    apart = [p for p, (x, y) in enumerate(zip(a.idx, m.idx, strict=True)) if x != y]
    if len(apart) != 1:
        return False
    i, j = a.idx[apart[0]], m.idx[apart[0]]
    for q in direct_accesses(rest):
        factor = rest / q
        free = {k for x in direct_accesses(factor) for k in x.idx} | factor.atoms(Index)
        if q.tensor in f.definite and set(q.idx) == {i, j} and not free & {i, j} and signed(f, factor)[0] >= 0:
            return True
    return False


def _shared(f: Form, a: Access, m: Access, rest: Expr) -> bool:
    """m is itself the sum over a's index of what stands beside it: then the term is a weight times m^2."""
    own = [s for s in f.terms.definitions if isinstance(s, Statement) and s.out is m.tensor]
    if len(own) != 1 or not _plain(own[0]) or own[0].reduce != "sum":
        return False
    (s,) = own
    table = dict(zip(s.lhs, m.idx, strict=True))
    inner = [x for x in direct_accesses(s.body) if x.tensor is a.tensor]
    if len(inner) != 1 or len(set(inner[0].idx)) != len(inner[0].idx):
        return False
    for here, there in zip(inner[0].idx, a.idx, strict=True):
        if table.setdefault(here, there) != there:
            return False
    if not set(s.loops) <= set(table) or len(set(table.values())) != len(table):
        return False
    ratio = rest * a / substitute(s.body, table)
    summed = {table[k] for k in s.reduced}
    free = {k for x in direct_accesses(ratio) for k in x.idx} | ratio.atoms(Index)
    return not ratio.free_symbols & {a} and not free & summed and signed(f, ratio)[0] >= 0


def _together(f: Form, group: list[Term], sign: int) -> bool:
    """Whether all terms over the same loops, those that are not negative included, are one quadratic form in a few elements
    with a common factor >= 0 and a psd matrix of numbers."""
    sizes = tuple(k.size for k in group[0].loops)
    k = tuple(Index("i", n) for n in sizes)
    total = sympy.Integer(0)
    for t in f.terms.terms:
        if tuple(x.size for x in t.loops) == sizes:
            total += sign * Term(k, _over(t, k)).body
    moving = f.terms.moving(f.along.values())
    v = sorted((a for a in direct_accesses(total) if a.tensor in moving), key=lambda a: a.name)
    if not 1 <= len(v) <= 6:
        return False
    poly = sympy.Poly(expand(total), *v)
    if any(sum(m) != 2 for m in poly.monoms()):
        return False
    n = len(v)
    entries = sympy.zeros(n, n)
    for monom, c in poly.terms():
        i, j = [p for p, m in enumerate(monom) for _ in range(m)]
        entries[i, j] += c / 2
        entries[j, i] += c / 2
    if n == 1 and interval_of(f.facts, entries[0, 0])[0] >= 0:
        return True
    if n == 2 and _two(f, entries):
        return True
    first = next((e for e in entries if e != 0), None)
    common = sympy.Mul(*(x for x in sympy.Mul.make_args(first) if not x.is_number)) if first is not None else None
    if common is None:
        return False
    numbers = entries.applyfunc(lambda e: sympy.cancel(e / common))
    return bool(all(e.is_Rational for e in numbers) and signed(f, common)[0] >= 0 and numbers.is_positive_semidefinite)


def _two(f: Form, m: sympy.Matrix) -> bool:
    """Both diagonal entries and the determinant of a 2 x 2 matrix of expressions are not negative."""
    determinant = sympy.powsimp(expand(m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]))
    entries = (m[0, 0], m[1, 1], determinant)
    return all(all(signed(f, t)[0] >= 0 for t in sympy.Add.make_args(e)) for e in entries)


def _over(t: Term, k: tuple[Index, ...]) -> Expr:
    """A term's body over other loops."""
    return substitute(t.body, dict(zip(t.loops, k, strict=True)))


def _hint(f: Form, t: Term) -> str:
    """What would settle a term: a declaration of one matrix or one factor."""
    held = [a for a in direct_accesses(t.body) if a.tensor in f.terms.moving(f.along.values())]
    own = [s for s in f.terms.definitions if isinstance(s, Statement) and any(s.out is a.tensor for a in held)]
    for s in own:
        for a in direct_accesses(s.body):
            square = len(a.tensor.shape) == 2 and a.tensor.shape[0] == a.tensor.shape[1]
            if square and a.tensor.kind == "data" and a.tensor not in {*f.along.values(), *f.definite}:
                return f"declare {a.tensor.name}[{', '.join(map(str, a.tensor.shape))}] in psd"
    for a in direct_accesses(t.body):
        given = a.tensor.kind in ("data", "hyper") and a.tensor not in f.along.values()
        helps = given and a not in t.body.diff(a).free_symbols and signed(f, t.body / a)[0] >= 0
        if helps and f.facts[a.tensor].interval[0] < 0:
            return f"declare {a.tensor.name} >= 0"
    return ""

"""A quadratic form in one vector: its Hessian as statements, its minimum by a linear solve.

minimised(terms, x, quadratic_terms, linear_terms, names, others)  ->  Found(value=terms at 0 minus 1/2 g' H^-1 g, ...)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sympy import Expr

from symml.calculus.reverse import gradient
from symml.ir.program import Access, Index, Library, Statement, Tensor, direct_accesses, fresh_indices, outs, substitute
from symml.methods.terms import NoClosedForm, Term, Terms, renamed, terms_of, unknowns, zeroed
from symml.names import Names
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify


@dataclass(frozen=True)
class Found:
    """The minimum and where it is, over definitions; assumes: under what it is one."""

    value: list[Term]
    definitions: Terms
    loops: tuple[Index, ...]
    at: Expr
    assumes: str


def minimised(
    terms: Terms, p: Tensor, bent: list[Term], linear: list[Term], names: Names, others: frozenset[Tensor]
) -> Found:
    """The minimum of quadratic terms and linear ones; NoClosedForm where they are not quadratic in a vector alone."""
    if len(p.shape) != 1:
        raise NoClosedForm(str(bent[0]))
    hessian, statements = _hessian(terms, p, bent, names, others)
    whole = zeroed_gradient = gradient(terms.program([*bent, *linear], names.fresh("s")), "L", (p,))
    zeroed_gradient = prune(zeroed(whole, p), f"d_{p.name}")
    small = renamed(simplify(zeroed_gradient), names, lambda t: t in terms.inputs)
    g = small.outputs[f"d_{p.name}"]
    if any(t in others for t in Terms(terms.inputs, small.statements, ()).moving(others) - others):
        raise NoClosedForm("a product with another unknown")
    solution = Tensor(names.fresh("t"), p.shape)
    solve = Library("solve", (solution,), (hessian, g))
    definitions = replace(terms, definitions=(*terms.definitions, *statements, *small.statements, solve))
    k = fresh_indices(p.shape)
    at_zero = list(terms_of(zeroed(terms.program([*bent, *linear]), p), unknowns(terms.inputs)).terms)
    value = [*at_zero, Term(k, -Access(g, k) * Access(solution, k) / 2)]
    told = f"the Hessian in {p.name} is positive definite"
    return Found(value, definitions, k, -Access(solution, k), told)


def _hessian(
    terms: Terms, p: Tensor, bent: list[Term], names: Names, others: frozenset[Tensor]
) -> tuple[Tensor, list[Statement]]:
    """H as a tensor and the statements that add it up, term by term."""
    out = Tensor(names.fresh("H"), (p.shape[0], p.shape[0]))
    moving, found = terms.moving((p,)), []
    for t in bent:
        held = [a for a in direct_accesses(t.body) if a.tensor in moving]
        for a in held:
            for b in held:
                second = t.body.diff(a, b)
                if second == 0:
                    continue
                if any(x.tensor in moving or x.tensor in others for x in direct_accesses(second)):
                    raise NoClosedForm(str(t))
                found.append(_contribution(terms, out, p, t, (a, b), second))
    if not found:
        raise NoClosedForm(str(bent[0]))
    return out, found


def _contribution(
    terms: Terms, out: Tensor, p: Tensor, t: Term, pair: tuple[Access, Access], second: Expr
) -> Statement:
    """H[q1, q2] += sum second * da/dp[q1] * db/dp[q2]."""
    loops, body, lhs = list(t.loops), second, []
    for a in pair:
        (q,) = fresh_indices(p.shape, "q")
        if a.tensor is p:
            i = a.idx[0]
            if not isinstance(i, Index):
                raise NoClosedForm(str(t))
            lhs.append(i)
            continue
        inner, slope = _jacobian(terms, a, p, q)
        loops += [q, *inner]
        body = body * slope
        lhs.append(q)
    if any(i not in loops for i in lhs):
        raise NoClosedForm(str(t))
    s = Statement(out, tuple(lhs), "+=", "none", tuple(dict.fromkeys(loops)), body)
    return replace(s, reduce="sum" if s.reduced else "none")


def _jacobian(terms: Terms, a: Access, p: Tensor, q: Index) -> tuple[list[Index], Expr]:
    """d T[idx] / d p[q] for T = sum over loops of a product with p: further loops, and the body."""
    own = [s for s in terms.definitions if a.tensor in outs(s)]
    if len(own) != 1 or not isinstance(own[0], Statement) or own[0].reduce != "sum" or own[0].guard is not None:
        raise NoClosedForm(f"what {a.tensor.name} is")
    s = own[0]
    fresh = {k: k.fresh() for k in s.loops}
    table = {**fresh, **dict(zip(s.lhs, a.idx, strict=True))}
    moving = terms.moving((p,))
    held = [x for x in direct_accesses(s.body) if x.tensor in moving]
    if len(held) != 1 or held[0].tensor is not p or held[0].idx[0] not in s.reduced:
        raise NoClosedForm(f"what {a.tensor.name} is")
    (x,) = held
    slope = s.body.diff(x)
    if x in slope.free_symbols:
        raise NoClosedForm(f"what {a.tensor.name} is")
    rest = [fresh[k] for k in s.reduced if k is not x.idx[0]]
    return rest, substitute(slope, {**table, x.idx[0]: q})

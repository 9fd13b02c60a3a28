"""A Lipschitz constant of the gradient in one unknown, from v' H v <= L ||v||^2, part by part.

    bound(form)  ->  [Part(1/(4 n), X, "gram"), Part(lam, None, "identity")]       L = 1/(4 n) lmax(X' X) + lam

A part is a number, a size or a hyper-parameter times the largest eigenvalue of X' X, of a symmetric matrix, or of I; what
depends on the unknowns is bounded by what its function can be. NoForm where a part is none of these.

    majorised(forward, wrt)  ->  the program with log-sum-exp(z) as 1/4 ||z||^2, whose Hessian is nowhere less
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import sympy
from sympy import Expr

from symml.calculus.reverse import gradient
from symml.ir.functions import sigmoid
from symml.ir.program import Access, Index, Program, Statement, Tensor, direct_accesses, indices, substitute
from symml.methods import intervals
from symml.methods.convexity import Fact, curvature_of, facts_of, interval_of
from symml.methods.hessian import Form, NoForm, parts_at
from symml.methods.terms import Term
from symml.rewrite.dead import prune

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """factor times the largest eigenvalue: kind identity; gram, of A' A over the first axis of `tensor` (`across`: over the
    second, A A'); matrix, the largest of a symmetric one."""

    factor: Expr
    kind: str
    tensor: Tensor | None = None
    across: bool = False


def bound(f: Form) -> list[Part]:
    """The parts of L, one for each part of the form."""
    moving = f.terms.moving(f.along.values())
    found: list[Part] = []
    for t in f.terms.terms:
        held = [a for a in direct_accesses(t.body) if a.tensor in moving]
        if len(held) == 1:
            found.append(_square(f, t, held[0]))
        else:
            found += _pair(f, t, held, moving)
    return _collected(found)


def majorised(forward: Program, wrt: tuple[Tensor, ...]) -> Program:
    """The loss with each log-sum-exp of affine maps z, where it counts with a constant weight >= 0, as 1/4 ||z||^2: the
    Hessian diag(s) - s s' is at most I/2 (Boehning, "Multinomial logistic regression algorithm", 1992, lemma 2)."""
    program = prune(forward, "loss")
    bent = facts_of(program, wrt)
    found = {
        s.out: s
        for s in program.statements
        if isinstance(s, Statement) and s.reduce == "logsumexp" and s.covers and curvature_of(bent, s.body) == "affine"
    }
    if not found:
        return forward
    held = tuple(found)
    kept = tuple(s for s in program.statements if s not in found.values())
    slopes = gradient(replace(program, inputs=(*program.inputs, *held), statements=kept), "loss", held)
    moving, signs = facts_of(slopes, (*wrt, *held)), facts_of(slopes, ())
    slope = {t: slopes.outputs[f"d_{t.name}"] for t in held}
    plain = {t for t, d in slope.items() if moving[d].curvature == "constant" and signs[d].interval[0] >= 0}
    return program.mapped(
        lambda s: replace(s, reduce="sum", body=s.body**2 / 4) if s is found.get(s.out) and s.out in plain else s
    )


def _collected(parts: list[Part]) -> list[Part]:
    """Parts of one matrix added up."""
    keys = dict.fromkeys((p.kind, p.tensor, p.across) for p in parts)
    return [Part(sympy.Add(*(p.factor for p in parts if (p.kind, p.tensor, p.across) == k)), *k) for k in keys]


def _square(f: Form, t: Term, a: Access) -> Part:
    """c a^2: a is v itself, or a sum X v."""
    rest = t.body / a**2
    if a in rest.free_symbols:
        raise NoForm(_no_square(f, t))
    c = _largest(f, rest, t) * _times(t.loops, a)
    if a.tensor in f.along.values():
        return Part(c, "identity")
    return _mapped(f, _only(f, _definition(f, a, t), t), c, t)


def _pair(f: Form, t: Term, held: list[Access], moving: frozenset[Tensor]) -> list[Part]:
    """v times H v, H v by its definitions."""
    direct = [a for a in held if a.tensor in f.along.values()]
    if len(held) != 2 or len(direct) != 1:
        raise NoForm(_no_square(f, t))
    (a,), (b,) = direct, [x for x in held if x not in direct]
    rest, found = t.body / (a * b), []
    for s in _definition(f, b, t):
        times = sympy.Mul(*(k.size for k in s.reduced if k not in indices(s.body)))
        for part in parts_at(s, b):
            inner = _only(f, [x for x in direct_accesses(part) if x.tensor in moving], t)
            found.append(_one(f, a, inner, times * rest * part / inner, t))
    return found


def _one(f: Form, a: Access, m: Access, rest: Expr, t: Term) -> Part:
    """a rest m: with m = a a square, with m another element of v a form, with m a sum X v that a and rest make again."""
    if m == a:
        return Part(_largest(f, rest, t) * _times(indices(rest), a), "identity")
    if m.tensor is a.tensor:
        q = _only(f, [x for x in direct_accesses(rest) if len(x.idx) == 2], t)
        if q.tensor.domain.kind not in ("psd", "symmetric") and q.tensor not in f.definite:
            raise NoForm(f"{t}, whose matrix is not known to be symmetric")
        return Part(_largest(f, rest / q, t), "matrix", q.tensor)
    s = _only(f, _definition(f, m, t), t)
    table = dict(zip(s.lhs, m.idx, strict=True))
    inner = _only(f, [x for x in direct_accesses(s.body) if x.tensor is a.tensor], t)
    table.update(zip(inner.idx, a.idx, strict=True))
    ratio = rest * a / substitute(s.body, table)
    held = {k for x in direct_accesses(ratio) for k in x.idx} | ratio.atoms(Index)
    if a in ratio.free_symbols or held & {table[k] for k in s.reduced if k in table}:
        raise NoForm(_no_square(f, t))
    return _mapped(f, s, _largest(f, ratio, t), t)


def _times(loops: Iterable[Index], a: Access) -> Expr:
    """How often a sum over loops adds the square of one element."""
    return sympy.Mul(*(k.size for k in dict.fromkeys(loops) if k not in indices(a)))


def _definition(f: Form, a: Access, t: Term) -> list[Statement]:
    own = [s for s in f.terms.definitions if isinstance(s, Statement) and s.out is a.tensor]
    if not own or any(s.guard is not None or s.reduce not in ("sum", "none") or not s.covers for s in own):
        raise NoForm(_no_square(f, t))
    return own


def _only(f: Form, found: Sequence[T], t: Term) -> T:
    """The one of its kind."""
    if len(found) != 1:
        raise NoForm(_no_square(f, t))
    return found[0]


def _no_square(f: Form, t: Term) -> str:
    return f"{t} is no square" if _is_readable(f, t) else "vᵀHv is no sum of squares of linear maps"


def _is_readable(f: Form, t: Term) -> bool:
    """Does a term hold names of the page alone: those of inputs?"""
    return all(a.tensor in (*f.terms.inputs, *f.along.values()) for a in direct_accesses(t.body))


def _mapped(f: Form, s: Statement, c: Expr, t: Term) -> Part:
    """c times the square of a sum kappa X v."""
    moving = f.terms.moving(f.along.values())
    v = _only(f, [x for x in direct_accesses(s.body) if x.tensor in moving], t)
    x = _only(f, [x for x in direct_accesses(s.body) if len(x.idx) == 2 and x.tensor not in moving], t)
    k = _only(f, s.reduced, t)
    if v.tensor not in f.along.values():
        raise NoForm(_no_square(f, t))
    kappa = s.body / (x * v)
    if direct_accesses(kappa) or kappa.atoms(Index) or k not in x.idx:
        raise NoForm(f"{t}, whose weights differ")
    return Part(c * kappa**2, "gram", x.tensor, x.idx[0] is k)


def _largest(f: Form, e: Expr, t: Term) -> Expr:
    """The largest value of a product: numbers, sizes and hyper-parameters stay, functions of the unknowns at their most."""
    kept, rest = sympy.Integer(1), []
    for part in sympy.Mul.make_args(e):
        read = direct_accesses(part)
        if not part.atoms(Index) and all(a.tensor.kind == "hyper" and not a.idx for a in read):
            kept *= part
        else:
            rest.append(part)
    high = _most(f.facts, rest)
    size = sympy.Abs(kept)
    if high is None or size.has(sympy.Abs):
        raise NoForm(f"{t}, whose weight has no bound" if _is_readable(f, t) else "a weight has no bound")
    return size * high


def _most(facts: Mapping[Tensor, Fact], parts: list[Expr]) -> Expr | None:
    """The largest absolute value of a product of factors; sigmoid(u) sigmoid(-u) is at most 1/4."""
    found, left = sympy.Integer(1), list(parts)
    for p in list(left):
        if isinstance(p, sigmoid) and p in left and sigmoid(-p.args[0]) in left and p != sigmoid(-p.args[0]):
            left.remove(p)
            left.remove(sigmoid(-p.args[0]))
            found /= 4
    for p in left:
        low, high = interval_of(facts, p)
        if low < 0 or high in (intervals.EVERYTHING[1],):
            return None
        found *= sympy.Rational(high.numerator, high.denominator)
    return found

"""inf over X in psd of <A, X> - w log det X = w (log det A - n log w + n), at X = w A^-1 where A is positive definite.

    terms, splits = named(terms, over, names)     log det of an affine matrix, or of an unknown with kinks, gets a name
    minimised(terms, x, t, slope, k, names)       Found, or None where t is no log det of x

Source: Boyd & Vandenberghe, "Convex Optimization" (2004), example 3.23 and section 5.1.6.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sympy
from sympy import Expr

from symml.duality.conjugates import Piece
from symml.duality.split import Split, expanded, is_linear_map
from symml.duality.structure import is_symmetric
from symml.ir.program import (
    Access,
    Domain,
    Index,
    Library,
    Program,
    Statement,
    Tensor,
    direct_accesses,
    fresh_indices,
    substitute,
)
from symml.methods.terms import NoClosedForm, Term, Terms
from symml.names import Names
from symml.rewrite.dead import prune

OP = "logdet"
UNKNOWN, MULTIPLIER = ("X", "Y", "V"), ("Lambda", "Gamma", "Theta")  # the first that is free


@dataclass(frozen=True)
class Found:
    """The minimum as an expression, where it is (over the loops of the slope), both over `terms`; `slope`: what must be
    positive definite; `above`: what must be positive."""

    terms: Terms
    value: Expr
    at: Expr
    slope: Expr
    above: tuple[Expr, ...]


def _nodes(terms: Terms, over: tuple[Tensor, ...]) -> list[Library]:
    """The log determinants of what is optimised."""
    moving = terms.moving(over)
    return [n for n in terms.definitions if isinstance(n, Library) and n.op == OP and moving.intersection(n.outs)]


def named(terms: Terms, over: tuple[Tensor, ...], names: Names) -> tuple[Terms, list[Split]]:
    """log det A as log det X, X = A with a symmetric multiplier, unless A is an unknown that is linear otherwise."""
    splits = []
    for node in _nodes(terms, over):
        (a,) = node.args
        if a in over and not _bent(terms, a, node.outs[0]):
            continue
        if not (a in over or is_linear_map(terms, a, over)):
            raise NoClosedForm("logdet of what is not affine in the unknowns")
        if not _symmetric(terms, a):
            raise NoClosedForm("logdet of a matrix that is not symmetric")
        x = Tensor(_letter(names, UNKNOWN), a.shape, "param", Domain("psd"))
        m = Tensor(_letter(names, MULTIPLIER), a.shape, "param", Domain("symmetric"))
        i, j = fresh_indices(a.shape)
        splits.append(Split(x, m, (i, j), Access(a, (i, j)), terms))
        more = expanded((i, j), Access(m, (i, j)) * (Access(x, (i, j)) - Access(a, (i, j))))
        definitions = tuple(replace(n, args=(x,)) if n is node else n for n in terms.definitions)
        terms = Terms((*terms.inputs, x, m), definitions, (*terms.terms, *more))
    return terms, splits


def _letter(names: Names, wished: tuple[str, ...]) -> str:
    return names.claim(next((w for w in wished if not names.taken(w)), wished[0]))


def _bent(terms: Terms, p: Tensor, log: Tensor) -> bool:
    """Does any term but log det p hold p in another way than linearly?"""
    moving = terms.moving((p,))
    for t in terms.terms:
        held = [a for a in direct_accesses(t.body) if a.tensor in moving]
        if [a.tensor for a in held] == [log]:
            continue
        if len(held) > 1 or (held and held[0] in t.body.diff(held[0]).free_symbols):
            return True
        if held and not terms.linear(held[0].tensor, p):
            return True
    return False


def _symmetric(terms: Terms, t: Tensor) -> bool:
    if varies_symmetrically(t):
        return True
    if t in terms.inputs:
        return False
    return is_symmetric(prune(Program(terms.inputs, terms.definitions, {"A": t}), "A"), t)


def varies_symmetrically(p: Tensor) -> bool:
    """Is p a matrix that varies among symmetric ones?"""
    return p.domain.kind in ("psd", "symmetric")


def symmetrised(terms: Terms, p: Tensor, slope: Expr, k: tuple[Index, ...]) -> Expr:
    """The slope in an unknown that is symmetric: half the sum of the gradient with its transpose, if these differ."""
    if not varies_symmetrically(p) or _same_when_turned(terms, slope, k):
        return slope
    return (slope + _turned(slope, k)) / 2


def even(terms: Terms, one: Piece, k: tuple[Index, ...]) -> Piece:
    """A piece w F(b u + c) of each entry of a symmetric unknown: w becomes the mean of the two entries' factors."""
    if not (_same_when_turned(terms, one.b, k) and _same_when_turned(terms, one.c, k)):
        raise NoClosedForm("functions that differ for u[i, j] and u[j, i]")
    return one if _same_when_turned(terms, one.w, k) else replace(one, w=(one.w + _turned(one.w, k)) / 2)


def _turned(body: Expr, k: tuple[Index, ...]) -> Expr:
    """The transpose of an expression over two loops."""
    return substitute(body, {k[0]: k[1], k[1]: k[0]})


def _same_when_turned(terms: Terms, body: Expr, k: tuple[Index, ...]) -> bool:
    """Whether an expression over two loops is symmetric, at random inputs."""
    out = Tensor("shown", tuple(i.size for i in k))
    s = Statement(out, k, "=", "none", k, body)
    return is_symmetric(prune(Program(terms.inputs, (*terms.definitions, s), {"A": out}), "A"), out)


def minimised(terms: Terms, p: Tensor, t: Term, slope: Expr, k: tuple[Index, ...], names: Names) -> Found | None:
    """The minimum of t = -w log det p and of <slope, p>; None where t is nothing of the kind."""
    held = [a for a in direct_accesses(t.body) if a.tensor in terms.moving((p,))]
    own = [n for n in terms.definitions if isinstance(n, Library) and n.op == OP and n.args == (p,)]
    if t.loops or len(held) != 1 or held[0].tensor not in [n.outs[0] for n in own] or not varies_symmetrically(p):
        return None
    w = -t.body.diff(held[0])
    if held[0] in w.free_symbols or not w.is_nonnegative:
        raise NoClosedForm(f"a log determinant, whose factor {-w} is not known to be negative")
    slope = symmetrised(terms, p, slope, k)
    whole, inverse, log = (Tensor(names.fresh("t"), shape) for shape in (p.shape, p.shape, ()))
    statement = Statement(whole, k, "=", "none", k, slope)
    made = (statement, Library("inv", (inverse,), (whole,)), Library(OP, (log,), (whole,)))
    n = p.shape[0]
    value = w * (Access(log, ()) + n - n * sympy.log(w))
    definitions = (*(d for d in terms.definitions if d not in own), *made)
    above = () if w.is_positive else (w,)
    return Found(replace(terms, definitions=definitions), value, w * Access(inverse, k), slope, above)

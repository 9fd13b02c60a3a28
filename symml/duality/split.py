"""Names for what hides unknowns: F(X w + b) becomes F(z), z = X w + b with a multiplier of its own.

terms, splits = split(terms, over, names)
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy
from sympy import Expr

from symml.ir.expand import expand, expand_products
from symml.ir.program import Access, Index, Tensor, direct_accesses, fresh_indices, indices, substitute
from symml.methods.terms import Term, Terms
from symml.names import Names


@dataclass(frozen=True)
class Split:
    """`unknown[loops] = body`, a part of the problem that got a name, and its multiplier."""

    unknown: Tensor
    multiplier: Tensor
    loops: tuple[Index, ...]
    body: Expr
    terms: Terms


def split(terms: Terms, over: tuple[Tensor, ...], names: Names) -> tuple[Terms, list[Split]]:
    """Names for what functions read of the unknowns through an affine map."""
    moving, found, new, more = terms.moving(over), [], [], []
    known: dict[tuple, Tensor] = {}
    for t in terms.terms:
        inner = _inside(t, terms, moving, over)
        if inner is None:
            new.append(t)
            continue
        loops = tuple(k for k in t.loops if k in indices(inner))
        k = fresh_indices(tuple(i.size for i in loops))
        table = dict(zip(loops, k, strict=True))
        key = (tuple(i.size for i in loops), substitute(inner, {i: sympy.Symbol(f"k{n}") for n, i in enumerate(loops)}))
        z = known.get(key)
        if z is None:
            z = known[key] = Tensor(names.claim("z"), tuple(i.size for i in loops), "param")
            m = Tensor(names.claim("alpha"), z.shape, "param")
            body = substitute(inner, table)
            found.append(Split(z, m, k, body, terms))
            more += expanded(k, Access(m, k) * (body - Access(z, k)))
        new += expanded(t.loops, t.body.subs(inner, Access(z, loops)))
    whole = Terms(
        (*terms.inputs, *(x for s in found for x in (s.unknown, s.multiplier))), terms.definitions, (*new, *more)
    )
    return whole, found


def expanded(loops: tuple[Index, ...], body: Expr) -> list[Term]:
    """A sum over loops as terms."""
    return [
        Term(tuple(k for k in loops if k in indices(e)), e * _unused(loops, e))
        for e in sympy.Add.make_args(expand_products(body))
    ]


def _unused(loops: tuple[Index, ...], e: Expr) -> Expr:
    return sympy.Mul(*(k.size for k in loops if k not in indices(e)))


def _inside(t: Term, terms: Terms, moving: frozenset[Tensor], over: tuple[Tensor, ...]) -> Expr | None:
    """The argument of a function, or the base of a power, that holds an affine map of the unknowns."""
    for f in sympy.Mul.make_args(t.body):
        inner = f.base if f.is_Pow else f.args[0] if f.is_Function and len(f.args) == 1 else None
        if inner is None or (f.is_Pow and f.exp.is_negative):
            continue
        moved = [a for a in direct_accesses(inner) if a.tensor in moving]
        plain = all(a.tensor in over and set(a.idx) == set(t.loops) for a in moved)
        if not moved or (plain and len(moved) == 1):
            continue
        if all(_is_affine(inner, a, moved) and is_linear_map(terms, a.tensor, over) for a in moved):
            return inner
    return None


def _is_affine(inner: Expr, a: Access, moved: list[Access]) -> bool:
    """Whether the slope in one element holds nothing that moves."""
    return read(expand(inner).diff(a)).isdisjoint({b.tensor for b in moved})


def is_linear_map(terms: Terms, t: Tensor, over: tuple[Tensor, ...]) -> bool:
    """Whether a tensor is linear in all unknowns together, by what its definitions say."""
    return all(terms.linear(t, p) for p in over if t in terms.moving((p,)))


def read(e: Expr) -> set[Tensor]:
    """The tensors of an expression."""
    return {a.tensor for a in direct_accesses(e)}

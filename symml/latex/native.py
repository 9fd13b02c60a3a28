"""Statements as native sympy.

to_sympy(program, d_w)  ->  Eq(d_w[j], Sum(X[i, j]*d_t1[i], (i, 0, n - 1)) + lam*w[j])
"""

from __future__ import annotations

import sympy
from sympy import Expr

from symml.ir.functions import BY_CLASS, FUNCTIONS
from symml.ir.program import Access, Dim, Index, Library, Program, Statement, Tensor, reindex
from symml.latex.index_form import places


def to_sympy(program: Program, t: Tensor) -> Expr:
    """The definition as native sympy: Eq(out[i, j], Sum(...)) over Indexed objects; other tensors stay as names."""
    own = [s for s, _ in places(program, t)]
    first = own[0]
    if isinstance(first, Library):
        args = (sympy.Symbol(u.name) for u in first.args)
        return sympy.Eq(sympy.Symbol(t.name), sympy.Function(first.op)(*args), evaluate=False)
    own = [s for s in own if s.lhs == first.lhs or s.mode == "+="]  # of a definition by cases, the first case
    left = _native(Access(t, first.lhs))
    right = sympy.Add(*(_native_statement(s, first) for s in own))
    return sympy.Eq(left, right, evaluate=False)


def _native_statement(s: Statement, first: Statement) -> Expr:
    if s.lhs != first.lhs and all(isinstance(k, Index) for k in (*s.lhs, *first.lhs)):
        s = reindex(s, dict(zip(s.lhs, first.lhs, strict=True)))
    body = _native(s.body)
    bounds = [(_index(k), 0, _native(k.size) - 1) for k in s.reduced]
    if s.lhs != first.lhs:  # a scatter: 1 where the element is meant
        body = body * sympy.Mul(
            *(sympy.KroneckerDelta(_native(a), _native(b)) for a, b in zip(first.lhs, s.lhs, strict=True))
        )
    if s.reduce == "none" or not bounds:
        return body
    if s.reduce == "sum":
        return sympy.Sum(body, *bounds)
    if s.reduce == "prod":
        return sympy.Product(body, *bounds)
    if s.reduce == "logsumexp":
        return sympy.log(sympy.Sum(sympy.exp(body), *bounds))
    return sympy.Function(s.reduce)(body, *(b[0] for b in bounds))


def _index(k: Index) -> Expr:
    return sympy.Symbol(k.name, integer=True)


def _native(e: Expr) -> Expr:
    """Accesses as Indexed, own functions by their elementary forms."""
    if isinstance(e, Access):
        if not e.idx:
            return sympy.Symbol(e.tensor.name, real=True)
        return sympy.Indexed(sympy.IndexedBase(sympy.Symbol(e.tensor.name)), *(_native(k) for k in e.idx))
    if isinstance(e, Index):
        return _index(e)
    if isinstance(e, Dim):
        return sympy.Symbol(e.name, integer=True, positive=True)
    if e.is_Atom:
        return e
    args = [_native(a) for a in e.args]
    row = FUNCTIONS.get(BY_CLASS.get(e.func, ""))
    return row.elementary(*args) if row is not None and row.elementary is not None else e.func(*args)

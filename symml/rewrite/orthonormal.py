"""Eigenvectors are orthonormal: sum[k] V[i, k] V[j, k] is [i = j], a diagonal that no derivative passes through.

    d_X[i, j] = sum[k] V[i, k] V[j, k]   with V = eigvecs(X)    ->    d_X[i, i] += 1

Without this the gradient of tr X by way of its eigenvalues is the identity to rounding only, and its derivative noise.
"""

from __future__ import annotations

from dataclasses import replace

import sympy

from symml.ir.program import Access, Index, Library, Program, Statement, Tensor, indices, reindex

SQUARE = ("eigvecs", "svdv")  # operations whose result Q has Q'Q = QQ' = I


def orthonormal(program: Program) -> Program:
    """The program with products of such vectors over their entries, or over all of them, as diagonals."""
    known = {t for n in program.statements if isinstance(n, Library) and n.op in SQUARE for t in n.outs}
    if not known:
        return program
    alone = [s.out for s in program.statements if isinstance(s, Statement)]
    return program.with_statements(
        _shorter(s, known) if isinstance(s, Statement) and alone.count(s.out) == 1 else s for s in program.statements
    )


def _shorter(s: Statement, known: set[Tensor]) -> Statement:
    factors = sympy.Mul.make_args(s.body)
    pairs = [f for f in factors if isinstance(f, Access) and f.tensor in known]
    if s.reduce != "sum" or s.guard is not None or len(pairs) < 2 or not all(isinstance(k, Index) for k in s.lhs):
        return s
    for at, a in enumerate(pairs):
        for b in pairs[at + 1 :]:
            for axis in (0, 1):
                k, p, q = a.idx[axis], a.idx[1 - axis], b.idx[1 - axis]
                rest = sympy.Mul(*(f for f in factors if f not in (a, b)))
                if a.tensor is not b.tensor or b.idx[axis] is not k or k not in s.reduced or k in indices(rest):
                    continue
                if isinstance(p, Index) and isinstance(q, Index) and p is not q and {p, q} <= set(s.loops):
                    return _tied(s, rest, k, p, q)
    return s


def _tied(s: Statement, rest: sympy.Expr, k: Index, p: Index, q: Index) -> Statement:
    """The statement without the sum over k, where p and q are equal."""
    gone, kept = (q, p) if q not in s.lhs else (p, q) if p not in s.lhs else (q, p)
    loops = tuple(x for x in s.loops if x not in (k, gone))
    made = reindex(replace(s, body=rest, loops=loops), {gone: kept})
    made = replace(made, reduce="sum" if made.reduced else "none")
    return made if len(set(made.lhs)) == len(made.lhs) else replace(made, mode="+=")

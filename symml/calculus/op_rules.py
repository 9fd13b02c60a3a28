"""The adjoints of operations on whole tensors, one function each; OP_RULES is the table.

    nodes, sent = OP_RULES["inv"](node, adjoint_of, names)      sent: (tensor, the statement that adds to its adjoint)

Source: Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation" (2008);
Cholesky: Murray, "Differentiation of the Cholesky decomposition" (2016), equation 10. Letters are those of the papers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sympy import Expr

from symml.ir.functions import equal, less
from symml.ir.program import Index, Library, Node, Statement, Tensor
from symml.names import Names

Sent = list[tuple[Tensor, Statement]]
Rule = Callable[[Library, Mapping[Tensor, Tensor], Names], tuple[list[Node], Sent]]


def _sum(out: Tensor, lhs: tuple[Index, ...], over: tuple[Index, ...], body: Expr, mode: str = "=") -> Statement:
    return Statement(out, lhs, mode, "sum" if over else "none", (*lhs, *over), body)


def _indices(n: Expr, letters: str) -> tuple[Index, ...]:
    return tuple(Index(letter, n) for letter in letters)


def _inverse_of(t: Tensor, names: Names) -> tuple[Tensor, Library]:
    inverse = Tensor(names.fresh(f"inv_{t.name}"), t.shape)
    return inverse, Library("inv", (inverse,), (t,))


def _inv(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """Y = A^-1:  dA = -Y' dY Y'"""
    (A,), (Y,) = node.args, node.outs
    i, j, k, m = _indices(A.shape[0], "ijkl")
    right = Tensor(names.fresh("t"), A.shape)  # dY Y'
    nodes = [_sum(right, (k, j), (m,), d[Y][k, m] * Y[j, m])]
    return nodes, [(A, _sum(d[A], (i, j), (k,), -Y[k, i] * right[k, j], "+="))]


def _det(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """y = det A:  dA = dy y A^-T"""
    (A,), (y,) = node.args, node.outs
    i, j = _indices(A.shape[0], "ij")
    inverse, found = _inverse_of(A, names)
    return [found], [(A, _sum(d[A], (i, j), (), d[y][()] * y[()] * inverse[j, i], "+="))]


def _logdet(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """y = log det A:  dA = dy A^-T"""
    (A,), (y,) = node.args, node.outs
    i, j = _indices(A.shape[0], "ij")
    inverse, found = _inverse_of(A, names)
    return [found], [(A, _sum(d[A], (i, j), (), d[y][()] * inverse[j, i], "+="))]


def _solve(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """X = A^-1 B:  dB = A^-T dX,  dA = -dB X'"""
    (A, B), (X,) = node.args, node.outs
    i, j = _indices(A.shape[0], "ij")
    rest = tuple(Index("k", size) for size in B.shape[1:])
    turned, pulled = Tensor(names.fresh("t"), A.shape), Tensor(names.fresh("t"), B.shape)
    nodes: list[Node] = [_sum(turned, (i, j), (), A[j, i]), Library("solve", (pulled,), (turned, d[X]), node.span)]
    sent = []
    if B in d:
        sent.append((B, _sum(d[B], (i, *rest), (), pulled[(i, *rest)], "+=")))
    if A in d:
        sent.append((A, _sum(d[A], (i, j), rest, -pulled[(i, *rest)] * X[(j, *rest)], "+=")))
    return nodes, sent


def _solve_each(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """x_n = A_n^-1 b_n:  db_n = A_n^-T dx_n,  dA_n = -db_n x_n'"""
    (A, B), (X,) = node.args, node.outs
    n, (i, j) = Index("n", A.shape[0]), _indices(A.shape[1], "ij")
    turned, pulled = Tensor(names.fresh("t"), A.shape), Tensor(names.fresh("t"), B.shape)
    nodes: list[Node] = [
        _sum(turned, (n, i, j), (), A[n, j, i]),
        Library("solve_each", (pulled,), (turned, d[X]), node.span),
    ]
    sent = []
    if B in d:
        sent.append((B, _sum(d[B], (n, i), (), pulled[n, i], "+=")))
    if A in d:
        sent.append((A, _sum(d[A], (n, i, j), (), -pulled[n, i] * X[n, j], "+=")))
    return nodes, sent


def _chol(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """A = L L':  S = L^-T phi(L' dL) L^-1, with phi the lower triangle and half the diagonal; of A the lower triangle is
    read, so dA = S + S' below the diagonal, S on it, 0 above."""
    (A,), (L,) = node.args, node.outs
    i, j, k, m = _indices(A.shape[0], "ijkl")
    inverse, found = _inverse_of(L, names)
    phi, right, S = (Tensor(names.fresh("t"), A.shape) for _ in range(3))
    halved = less(j, i) + equal(i, j) / 2
    nodes = [
        found,
        _sum(phi, (i, j), (k,), halved * L[k, i] * d[L][k, j]),
        _sum(right, (i, k), (j,), phi[i, j] * inverse[j, k]),
        _sum(S, (m, k), (i,), inverse[i, m] * right[i, k]),
    ]
    body = less(k, m) * (S[m, k] + S[k, m]) + equal(m, k) * S[m, k]
    return nodes, [(A, _sum(d[A], (m, k), (), body, "+="))]


OP_RULES: Mapping[str, Rule] = MappingProxyType(
    {"inv": _inv, "det": _det, "logdet": _logdet, "solve": _solve, "solve_each": _solve_each, "chol": _chol}
)

"""The adjoints of operations on whole tensors, one function each; OP_RULES is the table.

    nodes, sent = OP_RULES["inv"](node, adjoint_of, names)      sent: (tensor, the statement that adds to its adjoint)

Source: Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation" (2008);
eigenvectors and singular vectors: Townsend, "Differentiating the singular value decomposition" (2016), and Giles;
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
    """y = log det A, or log |det A|:  dA = dy A^-T"""
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
    rest = _indices(B.shape[2], "k") if len(B.shape) == 3 else ()
    nodes: list[Node] = [
        _sum(turned, (n, i, j), (), A[n, j, i]),
        Library("solve_each", (pulled,), (turned, d[X]), node.span),
    ]
    sent = []
    if B in d:
        sent.append((B, _sum(d[B], (n, i, *rest), (), pulled[n, i, *rest], "+=")))
    if A in d:
        sent.append((A, _sum(d[A], (n, i, j), rest, -pulled[n, i, *rest] * X[n, j, *rest], "+=")))
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


def _eigvals(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """w = eigenvalues of A:  dA = V diag(dw) V'; where some coincide, with the vectors that were found (a subgradient)"""
    (A,), (w,) = node.args, node.outs
    i, j, k = _indices(A.shape[0], "ijk")
    V = Tensor(names.fresh("V"), A.shape)
    return [Library("eigvecs", (V,), (A,), node.span)], [
        (A, _sum(d[A], (i, j), (k,), V[i, k] * d[w][k] * V[j, k], "+="))
    ]


def _eigvecs(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """V = eigenvectors of A:  S = V (G .* V' dV) V',  dA = (S + S')/2,  G = 1/(w_j - w_i)"""
    (A,), (V,) = node.args, node.outs
    i, j, k, m = _indices(A.shape[0], "ijkl")
    w, G = Tensor(names.fresh("t"), A.shape[:1]), Tensor(names.fresh("t"), A.shape)
    M, right, S = (Tensor(names.fresh("t"), A.shape) for _ in range(3))
    nodes = [
        Library("eigvals", (w,), (A,), node.span),
        Library("gaps", (G,), (w,), node.span),
        _sum(M, (k, m), (i,), G[k, m] * V[i, k] * d[V][i, m]),
        _sum(right, (k, j), (m,), M[k, m] * V[j, m]),
        _sum(S, (i, j), (k,), V[i, k] * right[k, j]),
    ]
    return nodes, [(A, _sum(d[A], (i, j), (), (S[i, j] + S[j, i]) / 2, "+="))]


def _gaps(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """G_ij = 1/(w_j - w_i):  dw_k = sum_i dG_ki G_ki^2 - dG_ik G_ik^2"""
    (w,), (G,) = node.args, node.outs
    i, k = _indices(w.shape[0], "ik")
    body = d[G][k, i] * G[k, i] ** 2 - d[G][i, k] * G[i, k] ** 2
    return [], [(w, _sum(d[w], (k,), (i,), body, "+="))]


def _factors(A: Tensor, names: Names, node: Library) -> tuple[Tensor, Tensor, Tensor, list[Node]]:
    """U, s, V of a matrix, and the nodes that make them; equal ones are merged later."""
    n = A.shape[1]
    U, s, V = Tensor(names.fresh("U"), A.shape), Tensor(names.fresh("s"), (n,)), Tensor(names.fresh("V"), (n, n))
    made = zip(("svdu", "svdvals", "svdv"), (U, s, V), strict=True)
    return U, s, V, [Library(op, (t,), (A,), node.span) for op, t in made]


def _svdvals(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """s = singular values of A:  dA = U diag(ds) V'; U is 0 beside a value that a wide A does not have (a subgradient)"""
    (A,), (s,) = node.args, node.outs
    U, _, V, (left, _, right) = _factors(A, names, node)
    (i,), (j, k) = _indices(A.shape[0], "i"), _indices(A.shape[1], "jk")
    return [left, right], [(A, _sum(d[A], (i, j), (k,), U[i, k] * d[s][k] * V[j, k], "+="))]


def _turned(
    W: Tensor, dW: Tensor, s: Tensor, names: Names, node: Library
) -> tuple[Tensor, list[Node], tuple[Index, ...]]:
    """K = G .* (W' dW - dW' W) with G_ij = 1/(s_j^2 - s_i^2), for vectors W of singular values s."""
    n = s.shape[0]
    a, p, q = Index("a", W.shape[0]), Index("p", n), Index("q", n)
    square, G = Tensor(names.fresh("t"), (n,)), Tensor(names.fresh("t"), (n, n))
    inner, K = Tensor(names.fresh("t"), (n, n)), Tensor(names.fresh("t"), (n, n))
    nodes = [
        _sum(square, (p,), (), s[p] ** 2),
        Library("gaps", (G,), (square,), node.span),
        _sum(inner, (p, q), (a,), W[a, p] * dW[a, q]),
        _sum(K, (p, q), (), G[p, q] * (inner[p, q] - inner[q, p])),
    ]
    return K, nodes, (p, q)


def _svdu(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """U:  dA = (U (G .* (U'dU - dU'U)) S + (I - UU') dU S^-1) V'"""
    (A,), (U,) = node.args, node.outs
    _, s, V, (_, values, right) = _factors(A, names, node)
    K, nodes, (p, q) = _turned(U, d[U], s, names, node)
    (i, a), (j,) = _indices(A.shape[0], "ia"), _indices(A.shape[1], "j")
    inner, left = Tensor(names.fresh("t"), (A.shape[1],) * 2), Tensor(names.fresh("t"), A.shape)
    nodes += [
        _sum(inner, (p, q), (a,), U[a, p] * d[U][a, q]),
        _sum(left, (i, q), (p,), U[i, p] * (K[p, q] * s[q] - inner[p, q] / s[q])),
        _sum(left, (i, q), (), d[U][i, q] / s[q], "+="),
    ]
    return [values, right, *nodes], [(A, _sum(d[A], (i, j), (q,), left[i, q] * V[j, q], "+="))]


def _svdv(node: Library, d: Mapping[Tensor, Tensor], names: Names) -> tuple[list[Node], Sent]:
    """V, a square matrix:  dA = U S (G .* (V'dV - dV'V)) V'"""
    (A,), (V,) = node.args, node.outs
    U, s, _, (left, values, _) = _factors(A, names, node)
    K, nodes, (p, q) = _turned(V, d[V], s, names, node)
    (i,), (j,) = _indices(A.shape[0], "i"), _indices(A.shape[1], "j")
    right = Tensor(names.fresh("t"), (A.shape[1],) * 2)
    nodes.append(_sum(right, (p, j), (q,), s[p] * K[p, q] * V[j, q]))
    return [left, values, *nodes], [(A, _sum(d[A], (i, j), (p,), U[i, p] * right[p, j], "+="))]


OP_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "inv": _inv,
        "det": _det,
        "logdet": _logdet,
        "logabsdet": _logdet,
        "solve": _solve,
        "solve_each": _solve_each,
        "chol": _chol,
        "eigvals": _eigvals,
        "eigvecs": _eigvecs,
        "gaps": _gaps,
        "svdvals": _svdvals,
        "svdu": _svdu,
        "svdv": _svdv,
    }
)

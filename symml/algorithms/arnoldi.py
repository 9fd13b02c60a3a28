"""A matrix that is known by its products with vectors only: leading eigenvalues (Arnoldi) and linear systems (GMRES).

    A V_m = V_{m+1} H         V: orthonormal vectors that span start, A start, A^2 start, ...; H: (m + 1, m), Hessenberg

The eigenvalues of the square part of H (Ritz values) come to those of A, the outer ones first; |A u - theta u| of one is
|h_{m+1,m} s_m|, s its eigenvector in H. Every new vector is made orthogonal to all before it, twice. Sources: Saad, Numerical
Methods for Large Eigenvalue Problems (2nd ed.), 6.2; Saad & Schultz (1986); scipy's equivalents are sparse.linalg.eigs, gmres.
"""

import numpy as np

EVERY = 10  # steps between two looks at the eigenvalues


def extended(times, V, H, k):
    """One more step: row k + 1 of V and column k of H; whether the vectors span an invariant space."""
    w = times(V[k])
    size = np.linalg.norm(w)
    for _ in range(2):
        h = V[: k + 1] @ w
        w = w - V[: k + 1].T @ h
        H[: k + 1, k] += h
    H[k + 1, k] = np.linalg.norm(w)
    if H[k + 1, k] <= 1e-14 * size or not np.isfinite(size):
        H[k + 1, k] = 0.0
        return True
    V[k + 1] = w / H[k + 1, k]
    return False


def leading(times, start, steps, wanted, order, tolerance):
    """The first `wanted` eigenvalues by order(values), the largest first, and their residuals relative to the largest |value|.

    It ends where all of these are at most the tolerance, after `steps` products, or where the space is invariant.
    """
    n = start.size
    most = min(steps, n)
    V, H = np.zeros((most + 1, n)), np.zeros((most + 1, most))
    V[0] = start / np.linalg.norm(start)
    for k in range(most):
        closed = extended(times, V, H, k)
        if not (closed or k == most - 1 or (k + 1) % EVERY == 0):
            continue
        values, vectors = np.linalg.eig(H[: k + 1, : k + 1])
        chosen = np.argsort(-order(values), kind="stable")[:wanted]
        scale = max(np.abs(values).max(), 1e-300)
        residuals = H[k + 1, k] * np.abs(vectors[-1, chosen]) / scale
        if closed or (k + 1 >= wanted and residuals.max() <= tolerance):
            break
    return values[chosen], residuals


def gmres(times, b, steps, tolerance):
    """x with the least |A x - b| in the space of b, A b, A^2 b, ... of at most `steps` vectors."""
    size = np.linalg.norm(b)
    if size == 0.0:
        return np.zeros(b.size)
    most = min(steps, b.size)
    V, H = np.zeros((most + 1, b.size)), np.zeros((most + 1, most))
    V[0] = b / size
    for k in range(most):
        closed = extended(times, V, H, k)
        right = np.zeros(k + 2)
        right[0] = size
        y = np.linalg.lstsq(H[: k + 2, : k + 1], right, rcond=None)[0]
        if closed or np.linalg.norm(H[: k + 2, : k + 1] @ y - right) <= tolerance * size:
            break
    return V[: k + 1].T @ y

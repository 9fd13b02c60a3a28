"""Extreme eigenvalues of a symmetric matrix that is known by its products with vectors only.

    beta q' = A q - alpha q - beta_before q_before          (a row of the tridiagonal T = Q' A Q a step)

The eigenvalues of T (Ritz values) come to those of A from inside, the extreme ones first. Every new q is made orthogonal
to all before it, twice, so no eigenvalue is found again. Source: Golub & Van Loan, Matrix Computations (4th ed.), 10.1;
scipy's equivalent is scipy.sparse.linalg.eigsh.
"""

import numpy as np


def lanczos(times, start, steps, tolerance):
    """The least and the largest eigenvalue, the number of steps, and the larger of their residuals |A u - theta u|.

    times(v): the product A v; start: a vector with a part in every eigenvector; it ends where both residuals are below
    tolerance times the largest Ritz value, after `steps` products, or where the vectors span an invariant space.
    """
    n = start.size
    rows = np.zeros((min(steps, n), n))
    diagonal, beside = np.zeros(min(steps, n)), np.zeros(min(steps, n))
    q = start / np.linalg.norm(start)
    for k in range(min(steps, n)):
        rows[k] = q
        w = times(q)
        diagonal[k] = q @ w
        for _ in range(2):
            w = w - rows[: k + 1].T @ (rows[: k + 1] @ w)
        beside[k] = np.linalg.norm(w)
        t = np.diag(diagonal[: k + 1]) + np.diag(beside[:k], 1) + np.diag(beside[:k], -1)
        values, vectors = np.linalg.eigh(t)
        scale = max(abs(values[0]), abs(values[-1]))
        residual = beside[k] * max(abs(vectors[-1, 0]), abs(vectors[-1, -1]))
        if residual <= tolerance * scale or beside[k] <= 1e-14 * scale:
            break
        q = w / beside[k]
    return values[0], values[-1], k + 1, residual

"""Operations on whole matrices for numba: LAPACK through numpy. What cannot be done gives NaN, which a run then meets.

Emitted modules hold the functions they use; `out` has the shape of the result. Arrays are copied by loops: numba takes
more than a second to compile the message of `out[:] = A` about two shapes.
"""

import math

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def copied(A, out):
    """out = A, of equal shapes."""
    for i, value in np.ndenumerate(A):
        out[i] = value


@njit(cache=True, error_model="numpy")
def solve(A, B, out):
    """out = A^-1 B, by LU."""
    try:
        copied(np.linalg.solve(A, B), out)
    except Exception:  # a singular matrix
        out[:] = math.nan


@njit(cache=True, error_model="numpy")
def solve_each(A, B, out):
    """out[i] = A[i]^-1 B[i]."""
    for i in range(A.shape[0]):
        solve(A[i], B[i], out[i])


@njit(cache=True, error_model="numpy")
def inv(A, out):
    """out = A^-1, by LU."""
    try:
        copied(np.linalg.inv(A), out)
    except Exception:  # a singular matrix
        out[:] = math.nan


@njit(cache=True, error_model="numpy")
def det(A):
    """The determinant, by LU."""
    sign, log = np.linalg.slogdet(A)
    return float(sign) * math.exp(log)


@njit(cache=True, error_model="numpy")
def logdet(A):
    """The logarithm of a positive determinant, by LU; NaN where it is negative."""
    sign, log = np.linalg.slogdet(A)
    return float(log) if sign > 0 else math.nan


@njit(cache=True, error_model="numpy")
def logabsdet(A):
    """The logarithm of the absolute determinant, by LU; -inf where it is 0."""
    return float(np.linalg.slogdet(A)[1])


@njit(cache=True, error_model="numpy")
def chol(A, out):
    """out out' = A, lower; A is positive definite."""
    try:
        copied(np.linalg.cholesky(A), out)
    except Exception:  # not positive definite
        out[:] = math.nan


@njit(cache=True, error_model="numpy")
def argsort(x, out):
    """The places of the entries in rising order; equal ones keep theirs."""
    copied(np.argsort(x, kind="mergesort"), out)


@njit(cache=True, error_model="numpy")
def finite(A):
    """Is every entry a number? LAPACK's eigenvalues are not to be asked of others."""
    return np.isfinite(np.sum(A))


@njit(cache=True, error_model="numpy")
def column_sign(V, k):
    """-1 where the first of the nearly largest entries of a column is negative, else 1."""
    largest = 0.0
    for i in range(V.shape[0]):
        largest = max(largest, abs(V[i, k]))
    for i in range(V.shape[0]):
        if abs(V[i, k]) >= (1 - 1e-8) * largest:
            return -1.0 if V[i, k] < 0 else 1.0
    return 1.0


@njit(cache=True, error_model="numpy")
def eigvals(A, out):
    """The eigenvalues of the symmetric part, rising."""
    out[:] = math.nan
    if finite(A):
        copied(np.linalg.eigvalsh((A + A.T) / 2), out)


@njit(cache=True, error_model="numpy")
def eigvecs(A, out):
    """The eigenvectors of the symmetric part, as columns."""
    out[:] = math.nan
    if finite(A):
        V = np.linalg.eigh((A + A.T) / 2)[1]
        for k in range(V.shape[1]):
            sign = column_sign(V, k)
            for i in range(V.shape[0]):
                out[i, k] = V[i, k] * sign


@njit(cache=True, error_model="numpy")
def singular(A):
    """U, s, V' with a column of V for each of A, and signs by V; of a wide A the last s and columns of U are 0."""
    m, n = A.shape
    u, t, vt = np.linalg.svd(np.ascontiguousarray(A), m < n)
    U, s, V = np.zeros_like(A), np.zeros_like(A[0]), np.zeros((n, n), A.dtype)
    copied(vt.T, V)
    for k in range(n):
        sign = column_sign(V, k)
        for i in range(n):
            V[i, k] *= sign
        if k < len(t):
            s[k] = t[k]
            for i in range(m):
                U[i, k] = u[i, k] * sign
    return U, s, V


@njit(cache=True, error_model="numpy")
def svdvals(A, out):
    """The singular values, falling."""
    out[:] = math.nan
    if finite(A):
        copied(singular(A)[1], out)


@njit(cache=True, error_model="numpy")
def svdu(A, out):
    """The left singular vectors, as columns."""
    out[:] = math.nan
    if finite(A):
        copied(singular(A)[0], out)


@njit(cache=True, error_model="numpy")
def svdv(A, out):
    """The right singular vectors, as columns."""
    out[:] = math.nan
    if finite(A):
        copied(singular(A)[2], out)


@njit(cache=True, error_model="numpy")
def gaps(w, out):
    """1/(w[j] - w[i]), 0 on the diagonal; NaN where two values coincide."""
    scale = w[0] * 0
    for i in range(len(w)):
        scale = max(scale, abs(w[i]))
    for i in range(len(w)):
        for j in range(len(w)):
            apart = w[j] - w[i]
            if i == j:
                out[i, j] = 0
            elif scale + abs(apart) / 64 == scale:
                out[i, j] = math.nan
            else:
                out[i, j] = 1 / apart

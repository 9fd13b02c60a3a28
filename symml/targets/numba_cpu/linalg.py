"""Operations on whole matrices for numba: LAPACK through numpy. What cannot be done gives NaN, which a run then meets.

Emitted modules hold the functions they use; `out` has the shape of the result.
"""

import math

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def solve(A, B, out):
    """out = A^-1 B, by LU."""
    try:
        out[:] = np.linalg.solve(A, B)
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
    identity = np.zeros_like(A)
    for i in range(A.shape[0]):
        identity[i, i] = 1
    solve(A, identity, out)


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
def chol(A, out):
    """out out' = A, lower; A is positive definite."""
    try:
        out[:] = np.linalg.cholesky(A)
    except Exception:  # not positive definite
        out[:] = math.nan


@njit(cache=True, error_model="numpy")
def argsort(x, out):
    """The places of the entries in rising order; equal ones keep theirs."""
    out[:] = np.argsort(x, kind="mergesort")

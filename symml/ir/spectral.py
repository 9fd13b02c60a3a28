"""Eigenvalues, singular values and their vectors, in float64, in its complex extension, and in mpmath.

eigvals(A) -> w rising, eigvecs(A) -> V with A V = V diag(w), of the symmetric part (A + A')/2
svdvals(A) -> s falling, one for each column, svdu, svdv with A = U diag(s) V'; of a wide A the last s are 0 and U's columns too

LAPACK has no complex extension of these (its vectors are conjugated), so of A + i h E the part in h is the exact solution of
the differentiated equations: (A - w) v' - v w' = -E v, v'v = 0. An entry that is nearly the largest of its column is positive.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np

NEARLY = 1 - 1e-8  # of the largest entry: which of two equal ones rounding makes larger is chance
COINCIDE = 64  # eigenvalues nearer than so many units in the last place have no difference left


def eigvals(A: np.ndarray) -> np.ndarray:
    """The eigenvalues of the symmetric part, rising."""
    return _eigen(A)[0]


def eigvecs(A: np.ndarray) -> np.ndarray:
    """Their eigenvectors, as columns."""
    return _eigen(A)[1]


def svdvals(A: np.ndarray) -> np.ndarray:
    """The singular values, falling."""
    return _singular(A)[0]


def svdu(A: np.ndarray) -> np.ndarray:
    """The left singular vectors, as columns."""
    return _singular(A)[1]


def svdv(A: np.ndarray) -> np.ndarray:
    """The right singular vectors, as columns."""
    return _singular(A)[2]


def gaps(w: np.ndarray) -> np.ndarray:
    """1/(w[j] - w[i]), 0 on the diagonal; NaN where two values coincide."""
    w = np.asarray(w)
    apart = w[None, :] - w[:, None]
    if w.dtype == object:
        return np.array([[1 / e if i != j else e * 0 for j, e in enumerate(row)] for i, row in enumerate(apart)])
    scale = np.max(np.abs(w.real), initial=0.0)
    same = scale + np.abs(apart.real) / COINCIDE == scale
    with np.errstate(all="ignore"):
        return np.where(np.eye(len(w), dtype=bool), 0.0, np.where(same, np.nan, 1.0 / apart))


def _eigen(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    A = (A + A.T) / 2
    if A.dtype == object:
        return _exact_eigen(A)
    w, V = np.linalg.eigh(A.real)
    V = V * _signs(V)
    if A.dtype.kind != "c":
        return w, V
    n, moved, turned = len(w), np.zeros_like(w), np.zeros_like(V)
    for k in range(n):
        system = np.zeros((n + 1, n + 1))
        system[:n, :n] = A.real - w[k] * np.eye(n)
        system[:n, n], system[n, :n] = -V[:, k], V[:, k]
        found = _answer(system, np.append(-A.imag @ V[:, k], 0.0))
        turned[:, k], moved[k] = found[:n], found[n]
    return w + 1j * moved, V + 1j * turned


def _singular(A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    m, n = A.shape
    if A.dtype == object:
        return _exact_singular(A)
    U, s, Vt = np.linalg.svd(A.real, full_matrices=m < n)
    signs = _signs(Vt.T)
    V, r = Vt.T * signs, len(s)
    U, s = np.hstack([U[:, :r], np.zeros((m, n - r))]) * signs, np.append(s, np.zeros(n - r))
    if A.dtype.kind != "c":
        return s, U, V
    ds, dU, dV = np.zeros(n), np.zeros((m, n)), np.zeros((n, n))
    for k in range(r):
        system = np.zeros((m + n + 1, m + n + 1))
        system[:m, :m], system[m : m + n, m : m + n] = -s[k] * np.eye(m), -s[k] * np.eye(n)
        system[:m, m : m + n], system[m : m + n, :m] = A.real, A.real.T
        system[:m, -1], system[m : m + n, -1] = -U[:, k], -V[:, k]
        system[-1, :m], system[-1, m : m + n] = U[:, k], V[:, k]
        found = _answer(system, np.concatenate([-A.imag @ V[:, k], -A.imag.T @ U[:, k], [0.0]]))
        dU[:, k], dV[:, k], ds[k] = found[:m], found[m : m + n], found[-1]
    return s + 1j * ds, U + 1j * dU, V + 1j * dV


def _answer(system: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution of a small system in units of its right side; NaN where it is singular: values coincide."""
    scale = np.max(np.abs(right), initial=0.0)
    if scale == 0.0:
        return right
    try:
        return np.linalg.solve(system, right / scale) * scale
    except np.linalg.LinAlgError:
        return np.full(len(right), np.nan)


def _signs(V: np.ndarray) -> np.ndarray:
    """A sign for each column: the first of its nearly largest entries is positive."""
    size = np.abs(V)
    first = np.argmax(size >= NEARLY * size.max(axis=0, initial=0.0), axis=0)
    return np.where(V[first, np.arange(V.shape[1])] < 0, -1.0, 1.0)


# mpmath


def _exact_eigen(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    w, V = mpmath.eigsy(mpmath.matrix(A.tolist()))
    order = sorted(range(len(A)), key=lambda k: w[k])
    vectors = np.array([[V[i, k] for k in order] for i in range(len(A))], object)
    return np.array([w[k] for k in order], object), vectors * _exact_signs(vectors)


def _exact_singular(A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    m, n = A.shape
    assert m >= n, "singular vectors of a wide matrix at high precision"
    U, s, Vt = mpmath.svd_r(mpmath.matrix(A.tolist()))
    V = np.array([[Vt[k, i] for k in range(n)] for i in range(n)], object)
    signs = _exact_signs(V)
    return np.array(list(s), object), np.array(U.tolist(), object).reshape(m, n) * signs, V * signs


def _exact_signs(V: np.ndarray) -> np.ndarray:
    first = [int(np.argmax([abs(x) >= NEARLY * max(map(abs, column)) for x in column])) for column in V.T]
    return np.array([-1 if V[i, k] < 0 else 1 for k, i in enumerate(first)], object)


OPERATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    f.__name__: f for f in (eigvals, eigvecs, svdvals, svdu, svdv, gaps)
}

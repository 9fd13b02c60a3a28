"""L D L' of a symmetric indefinite matrix with the pivots of Bunch and Kaufman, for algorithms.

Only the upper triangle is read: row k of U holds column k of L. Source: Golub & Van Loan, Matrix Computations (2013),
section 4.4.4; Bunch & Kaufman, Math. Comp. 31 (1977).
"""

import math

import numpy as np

GROWTH = 0.6403882032022076  # (1 + sqrt(17)) / 8


def factor(U, pivots):
    """Factor in place; returns the number of negative eigenvalues, or -1 where a pivot is zero or not finite."""
    n = U.shape[0]
    k, negative = 0, 0
    while k < n:
        size, other = pivot_of(U, k)
        if size == 0:
            return -1
        last = k + size - 1
        if other != last:
            interchange(U, k, last, other, size)
        if size == 1:
            d = U[k, k]
            if d < 0.0:
                negative += 1
            for j in range(k + 1, n):
                w = U[k, j] / d
                if w != 0.0:
                    for i in range(j, n):
                        U[j, i] -= w * U[k, i]
            for j in range(k + 1, n):
                U[k, j] /= d
            pivots[k] = other
        else:
            off = U[k, k + 1]
            a, b = U[k + 1, k + 1] / off, U[k, k] / off
            t = 1.0 / (a * b - 1.0)
            negative += 1 if a * b < 1.0 else 2 if U[k, k] < 0.0 else 0
            for j in range(k + 2, n):
                first = t / off * (a * U[k, j] - U[k + 1, j])
                second = t / off * (b * U[k + 1, j] - U[k, j])
                for i in range(j, n):
                    U[j, i] -= U[k, i] * first + U[k + 1, i] * second
                U[k, j], U[k + 1, j] = first, second
            pivots[k] = pivots[k + 1] = -other - 1
        k += size
    return negative


def pivot_of(U, k):
    """The size of the next pivot (0: there is none) and the row that comes to its last place."""
    n = U.shape[0]
    here, below, at = abs(U[k, k]), 0.0, k
    for i in range(k + 1, n):
        if abs(U[k, i]) > below:
            below, at = abs(U[k, i]), i
    if not (max(here, below) > 0.0 and math.isfinite(here) and math.isfinite(below)):
        return 0, k
    if here >= GROWTH * below:
        return 1, k
    row = 0.0
    for j in range(k, at):
        row = max(row, abs(U[j, at]))
    for i in range(at + 1, n):
        row = max(row, abs(U[at, i]))
    if here * row >= GROWTH * below * below:
        return 1, k
    if abs(U[at, at]) >= GROWTH * row:
        return 1, at
    return 2, at


def interchange(U, k, last, other, size):
    """Swap rows and columns `last` and `other` > last of what is left to factor."""
    for i in range(other + 1, U.shape[0]):
        U[last, i], U[other, i] = U[other, i], U[last, i]
    for j in range(last + 1, other):
        U[last, j], U[j, other] = U[j, other], U[last, j]
    U[last, last], U[other, other] = U[other, other], U[last, last]
    if size == 2:
        U[k, k + 1], U[k, other] = U[k, other], U[k, k + 1]


def substitute(U, pivots, b):
    """b becomes the solution of the factored system."""
    n = U.shape[0]
    k = 0
    while k < n:
        size = 1 if pivots[k] >= 0 else 2
        last, other = k + size - 1, pivots[k] if pivots[k] >= 0 else -pivots[k] - 1
        b[last], b[other] = b[other], b[last]
        for i in range(k + size, n):
            b[i] -= U[k, i] * b[k]
        if size == 2:
            for i in range(k + 2, n):
                b[i] -= U[k + 1, i] * b[k + 1]
            off = U[k, k + 1]
            upper, lower = U[k, k] / off, U[k + 1, k + 1] / off
            first, second, det = b[k] / off, b[k + 1] / off, upper * lower - 1.0
            b[k], b[k + 1] = (lower * first - second) / det, (upper * second - first) / det
        else:
            b[k] /= U[k, k]
        k += size
    k = n - 1
    while k >= 0:
        size = 1 if pivots[k] >= 0 else 2
        first = k - size + 1
        for row in range(first, k + 1):
            for i in range(k + 1, n):
                b[row] -= U[row, i] * b[i]
        other = pivots[k] if pivots[k] >= 0 else -pivots[k] - 1
        b[k], b[other] = b[other], b[k]
        k -= size


def solve_symmetric(A, U, pivots, b, x, residual):
    """x = A^-1 b with the factors U of A (its full matrix is kept for one step of refinement)."""
    n = b.shape[0]
    for i in range(n):
        x[i] = b[i]
    substitute(U, pivots, x)
    for i in range(n):
        total = b[i]
        for j in range(n):
            total -= A[i, j] * x[j]
        residual[i] = total
    substitute(U, pivots, residual)
    for i in range(n):
        x[i] += residual[i]


def empty(n):
    """Room for the pivots of an n x n matrix."""
    return np.zeros(n, np.int64)

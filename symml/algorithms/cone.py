"""Matrices among the unknowns that stay positive semidefinite: barrier -log det X, multiplier Z with X Z = barrier I.

cones: (k, 2), where each matrix begins in x and its rows; Z lies in a vector as long as x, which is 0 elsewhere. Steps are
those of Helmberg, Rendl, Vanderbei & Wolkowicz, SIAM J. Optim. 6 (1996): dZ = barrier X^-1 - Z - (X^-1 dX Z + Z dX X^-1)/2.
"""

import math

import numpy as np

HALVINGS = 60


def block(x, cones, k):
    """Matrix k of a vector, as a view."""
    start, rows = cones[k, 0], cones[k, 1]
    return x[start : start + rows * rows].reshape((rows, rows))


def cholesky(A, L):
    """L L' = A, lower; False where A is not positive definite."""
    n = A.shape[0]
    for j in range(n):
        total = A[j, j]
        for k in range(j):
            total -= L[j, k] * L[j, k]
        if not total > 0.0:
            return False
        L[j, j] = math.sqrt(total)
        for i in range(j + 1, n):
            total = A[i, j]
            for k in range(j):
                total -= L[i, k] * L[j, k]
            L[i, j] = total / L[j, j]
            L[j, i] = 0.0
    return True


def inverse(A):
    """A^-1 of a positive definite matrix; NaN where it is none."""
    n = A.shape[0]
    L, R, out = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    if not cholesky(A, L):
        return out * math.nan
    for j in range(n):
        R[j, j] = 1.0 / L[j, j]
        for i in range(j + 1, n):
            total = 0.0
            for k in range(j, i):
                total -= L[i, k] * R[k, j]
            R[i, j] = total / L[i, i]
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for k in range(i, n):
                total += R[k, i] * R[k, j]
            out[i, j] = out[j, i] = total
    return out


def even(x, cones):
    """Each matrix becomes symmetric; nothing depends on its other part."""
    for k in range(cones.shape[0]):
        X = block(x, cones, k)
        for i in range(X.shape[0]):
            for j in range(i):
                X[i, j] = X[j, i] = 0.5 * (X[i, j] + X[j, i])


def inside(x, cones):
    """A start: what is not positive definite becomes the identity; all become symmetric."""
    even(x, cones)
    for k in range(cones.shape[0]):
        X = block(x, cones, k)
        if not cholesky(X, np.zeros(X.shape)):
            X[:, :] = np.eye(X.shape[0])


def central(x, Z, cones, barrier):
    """Z = barrier X^-1."""
    for k in range(cones.shape[0]):
        block(Z, cones, k)[:, :] = barrier * inverse(block(x, cones, k))


def barrier_of(x, cones):
    """-sum log det X; infinite outside."""
    total = 0.0
    for k in range(cones.shape[0]):
        X = block(x, cones, k)
        L = np.zeros(X.shape)
        if not cholesky(X, L):
            return math.inf
        for i in range(X.shape[0]):
            total -= 2.0 * math.log(L[i, i])
    return total


def apart(x, Z, cones, barrier):
    """max |X Z - barrier I|."""
    found = 0.0
    for k in range(cones.shape[0]):
        X, W = block(x, cones, k), block(Z, cones, k)
        for i in range(X.shape[0]):
            for j in range(X.shape[0]):
                total = -barrier if i == j else 0.0
                for m in range(X.shape[0]):
                    total += X[i, m] * W[m, j]
                found = max(found, abs(total))
    return found


def bend(K, right, x, Z, cones, barrier):
    """What the cones add to the matrix and the right side of a step, multipliers taken out."""
    for k in range(cones.shape[0]):
        start, n = cones[k, 0], cones[k, 1]
        W, Y = block(Z, cones, k), inverse(block(x, cones, k))
        for i in range(n):
            for j in range(n):
                row = start + i * n + j
                right[row] += barrier * Y[i, j] - W[i, j]
                for m in range(n):
                    first = start + m * n
                    K[row, first : first + n] += 0.5 * (Y[i, m] * W[j] + W[i, m] * Y[j])


def step_of(dx, x, Z, cones, barrier, dZ):
    """The step of the multipliers, symmetric."""
    for k in range(cones.shape[0]):
        n = cones[k, 1]
        D, W, Y, out = block(dx, cones, k), block(Z, cones, k), inverse(block(x, cones, k)), block(dZ, cones, k)
        for i in range(n):
            for j in range(n):
                total = barrier * Y[i, j] - W[i, j]
                for m in range(n):
                    for p in range(n):
                        total -= 0.5 * (Y[i, m] * W[p, j] + W[i, m] * Y[p, j]) * D[m, p]
                out[i, j] = total
        for i in range(n):
            for j in range(i):
                out[i, j] = out[j, i] = 0.5 * (out[i, j] + out[j, i])


def along(dx, x, cones):
    """The slope of -sum log det X along a step."""
    total = 0.0
    for k in range(cones.shape[0]):
        D, Y = block(dx, cones, k), inverse(block(x, cones, k))
        for i in range(D.shape[0]):
            for j in range(D.shape[0]):
                total -= Y[i, j] * D[j, i]
    return total


def room(x, dx, cones, longest, part):
    """The longest step up to `longest` that keeps 1 - part of the way to the boundary."""
    for k in range(cones.shape[0]):
        X, D = block(x, cones, k), block(dx, cones, k)
        L, high = np.zeros(X.shape), longest / part
        if cholesky(X + high * D, L):
            continue
        low = 0.5 * high
        for _ in range(HALVINGS):
            if cholesky(X + low * D, L):
                break
            high, low = low, 0.5 * low
        for _ in range(6):
            middle = 0.5 * (low + high)
            if cholesky(X + middle * D, L):
                low = middle
            else:
                high = middle
        longest = part * low
    return longest

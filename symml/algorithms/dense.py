"""Small dense linear algebra in plain loops, for algorithms: QR by Householder, LDL' with pivots, triangular solves.

Matrices of a least-squares problem are kept as columns: `columns[j]` is column j of A, contiguous.
Source: Golub & Van Loan, Matrix Computations (2013), algorithms 5.1.1, 5.2.1, 4.4.4 in spirit.
"""

import math

import numpy as np


def norm(a):
    """sqrt(sum a^2), scaled so that neither large nor small entries leave the range."""
    top = 0.0
    for i in range(a.shape[0]):
        v = abs(a[i])
        if v > top or v != v:
            top = v
    if not (top > 0.0 and math.isfinite(top)):
        return top
    total = 0.0
    for i in range(a.shape[0]):
        total += (a[i] / top) * (a[i] / top)
    return top * math.sqrt(total)


def triangle(columns, b, R):
    """R of A = Q R in the upper triangle of R; b becomes Q'b, the columns are used up.

    columns: (p, m), b: (m,), R: (p, p). Where m < p the missing rows of R are zero.
    """
    p, m = columns.shape
    for j in range(p):
        for i in range(p):
            R[i, j] = 0.0
    for j in range(p):
        v = columns[j]
        for i in range(min(j, m)):
            R[i, j] = v[i]
        if j >= m:
            continue
        length = norm(v[j:])
        if length == 0.0:
            continue
        alpha = -length if v[j] > 0.0 else length
        R[j, j] = alpha
        head = v[j] - alpha
        v[j] = head
        below = -alpha * head  # = v'v / 2
        if below == 0.0:
            continue
        for k in range(j + 1, p):
            reflect(v, columns[k], j, m, below)
        reflect(v, b, j, m, below)


def reflect(v, other, start, stop, below):
    """other -= v (v'other) / below, from `start` on."""
    total = 0.0
    for i in range(start, stop):
        total += v[i] * other[i]
    total /= below
    for i in range(start, stop):
        other[i] -= total * v[i]


def solve_upper(R, b, x):
    """R x = b by back substitution; a diagonal that is zero gives x = 0 there. Returns whether there was none."""
    p = x.shape[0]
    regular = True
    for i in range(p - 1, -1, -1):
        total = b[i]
        for k in range(i + 1, p):
            total -= R[i, k] * x[k]
        if R[i, i] == 0.0:
            x[i] = 0.0
            regular = False
        else:
            x[i] = total / R[i, i]
    return regular


def solve_lower(R, b, x):
    """R' x = b by forward substitution, R upper triangular; zero diagonals as in solve_upper."""
    for i in range(x.shape[0]):
        total = b[i]
        for k in range(i):
            total -= R[k, i] * x[k]
        x[i] = total / R[i, i] if R[i, i] != 0.0 else 0.0


def damped(R, b, damping, S, rotated, x):
    """x = argmin |R x - b|^2 + damping |x|^2; S is left as the triangle of [R; sqrt(damping) I].

    R, S: (p, p); b, rotated, x: (p,). Rows of the identity are rotated in one after the other, so nothing is squared.
    """
    p = x.shape[0]
    row = np.zeros(p)
    for i in range(p):
        rotated[i] = b[i]
        for j in range(p):
            S[i, j] = R[i, j]
    for first in range(p):
        for j in range(p):
            row[j] = 0.0
        row[first] = math.sqrt(damping)
        right = 0.0
        for k in range(first, p):
            if row[k] == 0.0:
                continue
            length = math.hypot(S[k, k], row[k])
            c, s = S[k, k] / length, row[k] / length
            for j in range(k, p):
                upper = S[k, j]
                S[k, j] = c * upper + s * row[j]
                row[j] = c * row[j] - s * upper
            upper = rotated[k]
            rotated[k] = c * upper + s * right
            right = c * right - s * upper
    solve_upper(S, rotated, x)

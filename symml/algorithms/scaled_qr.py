"""Linear least squares, min |A x - b|: QR of the scaled columns, and refinement in twice the precision.

Needs residuals(x, r, data, work), affine in x, and tangent(x, v, out, data, work) -> out = A v. A is never squared, so its
condition number costs digits once; with r = b - A x refined together with x, and both equations evaluated exactly to about 32
digits, even those come back. Sources: Golub & Van Loan, Matrix Computations (2013), 5.2.2 (Householder); Bjorck,
"Iterative refinement of linear least squares solutions" (1967); Dekker (1971) for the products.
"""

import math

import numpy as np

CONVERGED = 1
DIVERGED = 3
ROUNDING = 2.220446049250313e-16
SPLIT = 134217729.0  # 2^27 + 1
ROUNDS = 12


def scaled_qr(x, scalars, counters, data, work, tangent_data, tangent_work, m):
    """Solve into x; returns CONVERGED or DIVERGED.

    scalars = [condition number of the scaled columns]; counters = [rounds of refinement, rank]. Columns that depend on
    others to rounding are left out: their x is 0.
    """
    p = x.shape[0]
    columns, R, r = np.zeros((p, m)), np.zeros((p, p)), np.zeros(m)
    v, scale, order = np.zeros(p), np.ones(p), np.arange(p)
    for j in range(p):
        x[j] = 0.0
    residuals(x, r, data, work)
    for j in range(p):
        v[j] = 1.0
        tangent(x, v, columns[j], tangent_data, tangent_work)
        v[j] = 0.0
        size = norm(columns[j])
        if not math.isfinite(size):
            return DIVERGED
        if size > 0.0:
            scale[j] = 2.0 ** -math.floor(math.log2(size))  # a power of two: scaling rounds nothing
        for i in range(m):
            columns[j, i] *= scale[j]
    for i in range(m):
        r[i] = -r[i]
        if not math.isfinite(r[i]):
            return DIVERGED
    b, A = r.copy(), columns.copy()
    below, rank = np.zeros(p), 0
    rank = factor(columns, R, below, order, m)
    counters[1] = rank
    scalars[0] = abs(R[0, 0]) / abs(R[rank - 1, rank - 1]) if rank > 0 else 0.0
    y, dy = np.zeros(p), np.zeros(p)
    f, g = b.copy(), np.zeros(p)
    last = math.inf
    r[:] = 0.0
    for k in range(ROUNDS):
        step = refine(columns, R, below, order, rank, f, g, dy)
        size = 0.0
        for j in range(p):
            size = max(size, abs(y[j] + dy[j]))
        moved = 0.0
        for j in range(p):
            moved = max(moved, abs(dy[j]))
        if k > 0 and not moved < 0.5 * last:
            break
        last = moved
        for j in range(p):
            y[j] += dy[j]
        for i in range(m):
            r[i] += step[i]
        counters[0] = k + 1
        if moved <= 0.25 * ROUNDING * size and k > 0:
            break
        defects(A, b, r, y, order, rank, f, g)
    for j in range(p):
        x[j] = y[j] * scale[j]
        if not math.isfinite(x[j]):
            return DIVERGED
    return CONVERGED


def factor(columns, R, below, order, m):
    """Householder vectors in the columns, R, half their squares in `below`, pivots in `order`; returns the rank."""
    p = columns.shape[0]
    first = 0.0
    for k in range(min(p, m)):
        best, chosen = -1.0, k
        for j in range(k, p):
            size = norm(columns[order[j], k:])
            if size > best:
                best, chosen = size, j
        if k == 0:
            first = best
        if best <= m * ROUNDING * first or best == 0.0:
            return k
        order[k], order[chosen] = order[chosen], order[k]
        for i in range(k):  # rows of R follow their columns
            R[i, k], R[i, chosen] = R[i, chosen], R[i, k]
        v = columns[order[k]]
        alpha = -best if v[k] > 0.0 else best
        head = v[k] - alpha
        v[k] = head
        below[k] = -alpha * head
        R[k, k] = alpha
        for j in range(k + 1, p):
            reflect(v, columns[order[j]], k, m, below[k])
            R[k, j] = columns[order[j], k]
    return min(p, m)


def refine(columns, R, below, order, rank, f, g, dy):
    """The step of (r, y): r + A y = f, A'r = g; dy in the order of the columns, the step of r is returned."""
    m = f.shape[0]
    q, h = f.copy(), np.zeros(rank)
    for k in range(rank):
        reflect(columns[order[k]], q, k, m, below[k])
    for k in range(rank):
        total = g[order[k]]
        for i in range(k):
            total -= R[i, k] * h[i]
        h[k] = total / R[k, k]
    for j in range(dy.shape[0]):
        dy[j] = 0.0
    for k in range(rank - 1, -1, -1):
        total = q[k] - h[k]
        for j in range(k + 1, rank):
            total -= R[k, j] * dy[order[j]]
        dy[order[k]] = total / R[k, k]
        q[k] = h[k]
    for k in range(rank - 1, -1, -1):
        reflect(columns[order[k]], q, k, m, below[k])
    return q


def defects(A, b, r, y, order, rank, f, g):
    """f = b - r - A y and g = -A'r, each sum carried in two numbers."""
    p, m = A.shape
    for i in range(m):
        high, low = b[i], 0.0
        high, low = add(high, low, -r[i], 0.0)
        for k in range(rank):
            j = order[k]
            s, e = product(-A[j, i], y[j])
            high, low = add(high, low, s, e)
        f[i] = high + low
    for j in range(p):
        high, low = 0.0, 0.0
        for i in range(m):
            s, e = product(-A[j, i], r[i])
            high, low = add(high, low, s, e)
        g[j] = high + low


def add(a, b, c, d):
    """(a + b) + (c + d) as two numbers."""
    s = a + c
    t = s - a
    e = (a - (s - t)) + (c - t) + b + d
    high = s + e
    return high, e - (high - s)


def product(a, b):
    """a b as two numbers, exactly."""
    s = a * b
    t = SPLIT * a
    ah = t - (t - a)
    al = a - ah
    t = SPLIT * b
    bh = t - (t - b)
    bl = b - bh
    return s, ((ah * bh - s) + ah * bl + al * bh) + al * bl

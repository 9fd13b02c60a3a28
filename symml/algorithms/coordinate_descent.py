"""Coordinate descent for f(x) + sum of weighted absolute values between bounds, f quadratic: its Hessian is computed once.

What has neither a weight nor ends (an intercept) is solved for at once before the gap is measured, whose dual point asks for a
slope of 0 there.

Needs smooth(x, g, data, work) -> f, second_derivatives(x, out, data, work), the Hessian row by row, and proximal.py. Source:
Friedman, Hastie & Tibshirani, J. Stat. Softw. 33 (2010): covariance updates, sweeps over the active set.

All state is in the arrays, so a run may be cut into calls anywhere without changing a bit.
"""

import math

import numpy as np

RUNNING = 0
CONVERGED = 1
DIVERGED = 3
INSIDE = 20  # sweeps over what is not 0 between two over all
SINGULAR = 1e-12  # of a pivot, next to the diagonal


def coordinate_descent(
    x, H, scalars, counters, trace, sets, squares, data, work, hessian_data, hessian_work, iterations, tolerance
):
    """Run at most `iterations` sweeps over all coordinates; arguments as in proximal_gradient.py, H: (n, n)."""
    n = x.shape[0]
    g, spare = np.zeros(n), np.zeros(n)
    if counters[2] == 0 and iterations > 0:
        counters[2], scalars[4] = 1, math.nan
        prox(x, sets, 0.0)
        second_derivatives(x, H.reshape(-1), hessian_data, hessian_work)
    free = unbound(sets, n)
    L = factor_of(H, free)
    for _ in range(iterations):
        f = smooth(x, g, data, work)  # afresh: rounding of the updates does not add up
        counters[1] += 1
        if L.shape[0] > 0:
            f += settle(x, g, H, L, free)
        scalars[0] = f + penalty(x, sets)
        scalars[3] = residual(x, g, sets, spare)
        if not math.isfinite(scalars[0]) or not math.isfinite(scalars[3]):
            return DIVERGED
        if squares > 0:
            scalars[4] = duality_gap(x, f, g, sets, squares, spare)
        if counters[0] < trace.shape[0]:
            trace[counters[0], 0], trace[counters[0], 1], trace[counters[0], 2] = scalars[0], scalars[3], scalars[4]
        if solved(scalars, tolerance):
            return CONVERGED
        moved = sweep(x, g, H, sets, False)
        for _ in range(INSIDE):
            if not moved or not sweep(x, g, H, sets, True):
                break
        counters[0] += 1
        if not moved:
            return CONVERGED
    return RUNNING


def unbound(sets, n):
    """The coordinates without a weight and without ends."""
    blocks, figures, lower, upper, _ = sets
    found, count = np.zeros(n, np.int64), 0
    for k in range(blocks.shape[0]):
        if blocks[k, 2] == 0 or (blocks[k, 2] == 1 and figures[blocks[k, 5]] == 0.0):
            for j in range(blocks[k, 0], blocks[k, 1]):
                if lower[j] == -math.inf and upper[j] == math.inf:
                    found[count] = j
                    count += 1
    return found[:count]


def factor_of(H, free):
    """The Cholesky factor of the rows and columns `free` of H; empty where they depend on each other."""
    m = free.shape[0]
    L = np.zeros((m, m))
    for i in range(m):
        for j in range(i + 1):
            v = H[free[i], free[j]]
            for k in range(j):
                v -= L[i, k] * L[j, k]
            if i != j:
                L[i, j] = v / L[j, j]
            elif v > SINGULAR * H[free[i], free[i]]:
                L[i, i] = math.sqrt(v)
            else:
                return np.zeros((0, 0))
    return L


def settle(x, g, H, L, free):
    """Move the free coordinates to their minimum, where their slopes are 0; returns the change of f."""
    m, change = free.shape[0], 0.0
    d = np.zeros(m)
    for i in range(m):
        d[i] = -g[free[i]]
        for k in range(i):
            d[i] -= L[i, k] * d[k]
        d[i] /= L[i, i]
    for i in range(m - 1, -1, -1):
        for k in range(i + 1, m):
            d[i] -= L[k, i] * d[k]
        d[i] /= L[i, i]
    for i in range(m):
        change += 0.5 * d[i] * g[free[i]]
        x[free[i]] += d[i]
        for j in range(x.shape[0]):
            g[j] += d[i] * H[free[i], j]
    for i in range(m):
        g[free[i]] = 0.0
    return change


def sweep(x, g, H, sets, active):
    """Each coordinate to its own minimum, or only those that are inside of their bounds and not 0; returns whether any moved
    beyond rounding."""
    blocks, figures, lower, upper, _ = sets
    moved = False
    for k in range(blocks.shape[0]):
        weight = figures[blocks[k, 5]] if blocks[k, 2] == 1 else 0.0
        for j in range(blocks[k, 0], blocks[k, 1]):
            if H[j, j] <= 0.0 or (active and (x[j] == 0.0 or x[j] == lower[j] or x[j] == upper[j])):
                continue
            at = x[j] - g[j] / H[j, j]
            new = math.copysign(max(abs(at) - weight / H[j, j], 0.0), at)
            new = min(max(new, lower[j]), upper[j])
            change = new - x[j]
            if change != 0.0:
                for i in range(x.shape[0]):
                    g[i] += change * H[j, i]
                x[j] = new
                moved = moved or abs(change) > 1e-15 * abs(new)
    return moved

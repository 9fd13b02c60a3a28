"""Coordinate descent for f(x) + sum of weighted absolute values between bounds, f quadratic: its Hessian is computed once.

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
    for _ in range(iterations):
        f = smooth(x, g, data, work)  # afresh: rounding of the updates does not add up
        counters[1] += 1
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

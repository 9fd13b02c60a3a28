"""Accelerated proximal gradient steps (FISTA) with a step length found by backtracking, restarted where momentum hurts.

Needs smooth(x, g, data, work) -> f and proximal.py. Sources: Beck & Teboulle, SIAM J. Imaging Sci. 2 (2009); O'Donoghue &
Candès, Found. Comput. Math. 15 (2015), the restart by the gradient.

All state is in the arrays, so a run may be cut into calls anywhere without changing a bit.
"""

import math

import numpy as np

RUNNING = 0
CONVERGED = 1
STALLED = 2
DIVERGED = 3
PATIENCE = 2000


def proximal_gradient(
    x, ahead, scalars, counters, trace, sets, squares, data, work, hessian_data, hessian_work, iterations, tolerance
):
    """Run at most `iterations` iterations; returns RUNNING, CONVERGED, STALLED or DIVERGED.

    x, ahead: (n,) the point and the one with momentum; sets: see proximal.py; squares: 1 where f is half a sum of squares of
    affine residuals, 2 where it is convex. scalars = [F, step length, momentum, residual, duality gap (NaN: there is none),
    least residual, least F, the gap at which to stop (0: none)]; counters = [iterations, evaluations, started, the last one that
    made either less]. trace[k] holds F, the residual and the gap. CONVERGED: the residual is at most the tolerance, or at most
    ten times so much where the duality gap is small, or the gap is what was asked for. STALLED: PATIENCE iterations
    without progress in this precision.
    """
    n = x.shape[0]
    g, new, slope, spare, f = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), 0.0
    if counters[2] == 0 and iterations > 0:
        counters[2], scalars[1], scalars[2], scalars[4] = 1, 1.0, 1.0, math.nan
        scalars[5], scalars[6] = math.inf, math.inf
        prox(x, sets, 0.0)
        for i in range(n):
            ahead[i] = x[i]
    if iterations > 0:
        f = smooth(x, g, data, work)
        counters[1] += 1
    for _ in range(iterations):
        scalars[0] = f + penalty(x, sets)
        scalars[3] = residual(x, g, sets, spare)
        if not math.isfinite(scalars[0]) or not math.isfinite(scalars[3]):
            return DIVERGED
        if squares > 0:
            scalars[4] = duality_gap(x, f, g, sets, squares, spare)
        if counters[0] < trace.shape[0]:
            trace[counters[0], 0], trace[counters[0], 1], trace[counters[0], 2] = scalars[0], scalars[3], scalars[4]
        if scalars[3] < 0.9 * scalars[5] or scalars[0] < scalars[6]:
            scalars[5], scalars[6], counters[3] = min(scalars[3], scalars[5]), min(scalars[0], scalars[6]), counters[0]
        if solved(scalars, tolerance):
            return CONVERGED
        if counters[0] - counters[3] > PATIENCE:
            return STALLED
        f = prox_step(x, f, g, ahead, new, slope, sets, scalars, counters, data, work, spare)
        if not math.isfinite(f):
            return STALLED
        turn = 0.0
        for i in range(n):
            turn += (ahead[i] - new[i]) * (new[i] - x[i])
        momentum = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * scalars[2] * scalars[2]))
        if turn > 0.0:
            scalars[2] = momentum = 1.0
        for i in range(n):
            ahead[i] = new[i] + (scalars[2] - 1.0) / momentum * (new[i] - x[i])
            x[i], g[i] = new[i], spare[i]
        scalars[2] = momentum
        counters[0] += 1
    return RUNNING


def prox_step(x, f, g, ahead, new, slope, sets, scalars, counters, data, work, spare):
    """new = prox(ahead - step slope) with a step for which f lies below its quadratic bound; spare: the slope there, where it
    is finite. Returns f there, NaN where there is no such step. What is not finite ahead begins again at x."""
    there = smooth(ahead, slope, data, work)
    counters[1] += 1
    if not all_finite(there, slope):
        scalars[2], there = 1.0, f
        for i in range(x.shape[0]):
            ahead[i], slope[i] = x[i], g[i]
    noise, bottom = 1e-14 * abs(there), there
    scalars[1] *= 1.1
    for _ in range(100):
        for i in range(new.shape[0]):
            new[i] = ahead[i] - scalars[1] * slope[i]
        prox(new, sets, scalars[1])
        bound, size = bottom, 0.0
        for i in range(new.shape[0]):
            d = new[i] - ahead[i]
            bound += slope[i] * d
            size += d * d
        there = smooth(new, spare, data, work)
        counters[1] += 1
        if there <= bound + 0.5 * size / scalars[1] + noise and all_finite(there, spare):
            return there
        scalars[1] *= 0.5
    return math.nan


def all_finite(f, g):
    """Are a value and its slope numbers?"""
    total = 0.0
    for i in range(g.shape[0]):
        total += abs(g[i])
    return math.isfinite(f) and math.isfinite(total)

"""L-BFGS with a line search for the strong Wolfe conditions.

Needs value_and_grad(x, g, data, work) -> float. Sources: Nocedal & Wright, Numerical Optimization (2006), algorithms
7.4 and 7.5 (directions), 3.5 and 3.6 (line search); Hager & Zhang, SIAM J. Optim. 16 (2005), eq. 4.1 (the approximate
Wolfe condition, which replaces the first one where losses differ by rounding only).

All state is in the arrays, so a run may be cut into calls anywhere without changing a bit.
"""

import math

import numpy as np

RUNNING = 0
CONVERGED = 1
STALLED = 2
DIVERGED = 3
UNBOUNDED = 8
FAR = 1e10  # times the first loss: there is no least one
SUFFICIENT = 1e-4  # c1 of the Wolfe conditions
CURVATURE = 0.9  # c2
TRIALS = 40
PATIENCE = 30


def lbfgs(x, g, memory_s, memory_y, rho, vectors, scalars, counters, trace, data, work, iterations, tolerance):
    """Run at most `iterations` iterations; returns RUNNING, CONVERGED, STALLED, DIVERGED or UNBOUNDED.

    memory_s, memory_y: (m, size) steps and gradient changes; rho: (m,); vectors: (3, size) buffers.
    scalars = [loss at x, least loss, least max-norm of the gradient]; counters = [iterations done, pairs stored,
    evaluations, started, iterations without progress]. trace[k] holds the loss and the max-norm of the gradient after
    iteration k, for as many rows as it has. STALLED: PATIENCE iterations without progress in this precision.
    """
    if counters[3] == 0:
        scalars[0] = value_and_grad(x, g, data, work)
        counters[2] += 1
        counters[3] = 1
        scalars[1] = scalars[0]
        scalars[2] = largest(g)
        note(trace, 0, scalars[0], largest(g))
    if not (math.isfinite(scalars[0]) and math.isfinite(largest(g))):
        return DIVERGED
    for _ in range(iterations):
        if largest(g) <= tolerance:
            return CONVERGED
        direction, trial, trial_gradient = vectors[0], vectors[1], vectors[2]
        two_loops(direction, g, memory_s, memory_y, rho, counters[1])
        slope = inner(direction, g)
        if not slope < 0.0:  # the memory has lost its curvature: begin again with the gradient
            counters[1] = 0
            for i in range(x.shape[0]):
                direction[i] = -g[i]
            slope = -inner(g, g)
        first = 1.0 if counters[1] > 0 else min(1.0, 1.0 / max(largest(g), 1e-300))
        step, loss = line_search(x, direction, slope, first, scalars[0], trial, trial_gradient, data, work, counters)
        if step == 0.0:
            if counters[1] == 0:
                value_and_grad(x, g, data, work)
                return STALLED
            counters[1] = 0
            continue
        store_pair(x, g, trial, trial_gradient, memory_s, memory_y, rho, counters)
        for i in range(x.shape[0]):
            x[i] = trial[i]
            g[i] = trial_gradient[i]
        scalars[0] = loss
        counters[0] += 1
        note(trace, counters[0], loss, largest(g))
        if loss < -FAR * max(1.0, abs(trace[0, 0])):
            return UNBOUNDED
        if progressed(loss, largest(g), scalars, x.itemsize):
            counters[4] = 0
        else:
            counters[4] += 1
            if counters[4] >= PATIENCE:
                return CONVERGED if largest(g) <= tolerance else STALLED
    return CONVERGED if largest(g) <= tolerance else RUNNING


def progressed(loss, gradient, scalars, itemsize):
    """Is the loss lower beyond rounding, or the gradient clearly smaller, than ever before?"""
    slack = (1e-7 if itemsize == 4 else 1e-15) * abs(scalars[1])
    better = loss < scalars[1] - slack or gradient < 0.9 * scalars[2]
    scalars[1] = min(scalars[1], loss)
    scalars[2] = min(scalars[2], gradient)
    return better


def note(trace, k, loss, gradient):
    """Write one row of the trace, if it has that row."""
    if k < trace.shape[0]:
        trace[k, 0] = loss
        trace[k, 1] = gradient


def inner(a, b):
    """sum a b, in double precision."""
    total = 0.0
    for i in range(a.shape[0]):
        total += float(a[i]) * float(b[i])
    return total


def largest(a):
    """max |a|; NaN if any entry is NaN."""
    top = 0.0
    for i in range(a.shape[0]):
        v = abs(float(a[i]))
        if v > top or v != v:
            top = v
            if v != v:
                return v
    return top


def two_loops(direction, g, memory_s, memory_y, rho, stored):
    """direction = -H g, algorithm 7.4; pairs are kept in a ring, the newest at (stored - 1) mod m."""
    m = rho.shape[0]
    kept = min(stored, m)
    alpha = np.zeros(m)
    for i in range(g.shape[0]):
        direction[i] = -g[i]
    for back in range(kept):
        k = (stored - 1 - back) % m
        alpha[k] = rho[k] * inner(memory_s[k], direction)
        for i in range(g.shape[0]):
            direction[i] -= alpha[k] * memory_y[k, i]
    if kept > 0:
        k = (stored - 1) % m
        scale = 1.0 / (rho[k] * inner(memory_y[k], memory_y[k]))  # eq. 7.20
        for i in range(g.shape[0]):
            direction[i] *= scale
    for back in range(kept - 1, -1, -1):
        k = (stored - 1 - back) % m
        beta = rho[k] * inner(memory_y[k], direction)
        for i in range(g.shape[0]):
            direction[i] += (alpha[k] - beta) * memory_s[k, i]


def store_pair(x, g, trial, trial_gradient, memory_s, memory_y, rho, counters):
    """Keep (s, y) where the curvature s'y is safely positive."""
    k = counters[1] % rho.shape[0]
    curvature = 0.0
    squared = 0.0
    for i in range(x.shape[0]):
        memory_s[k, i] = trial[i] - x[i]
        memory_y[k, i] = trial_gradient[i] - g[i]
        curvature += float(memory_s[k, i]) * float(memory_y[k, i])
        squared += float(memory_y[k, i]) * float(memory_y[k, i])
    if curvature > 1e-16 * squared and curvature > 0.0:
        rho[k] = 1.0 / curvature
        counters[1] += 1


def evaluate(x, direction, step, trial, trial_gradient, data, work, counters):
    """Loss and slope at x + step direction."""
    for i in range(x.shape[0]):
        trial[i] = x[i] + step * direction[i]
    loss = value_and_grad(trial, trial_gradient, data, work)
    counters[2] += 1
    slope = inner(trial_gradient, direction)
    if not (math.isfinite(loss) and math.isfinite(slope)):
        return math.inf, math.inf
    return float(loss), slope


def line_search(x, direction, slope, step, loss, trial, trial_gradient, data, work, counters):
    """A step of the strong Wolfe conditions, or 0.0; `trial` and `trial_gradient` are left at the step returned.

    A bracket [low, high] is widened by doubling and narrowed by cubic interpolation; at non-finite values it shrinks.
    """
    slack = (1e-6 if x.itemsize == 4 else 1e-14) * max(abs(loss), 1e-300)
    low, low_loss, low_slope = 0.0, loss, slope
    high, high_loss, high_slope, bracketed = 0.0, 0.0, 0.0, False
    for _ in range(TRIALS):
        f, s = evaluate(x, direction, step, trial, trial_gradient, data, work, counters)
        near = abs(f - loss) <= slack and (2.0 * SUFFICIENT - 1.0) * slope >= s
        decreased = f <= loss + SUFFICIENT * step * slope or near
        if decreased and abs(s) <= -CURVATURE * slope:
            return step, f
        if not decreased or (f >= low_loss and low > 0.0 and not near):
            high, high_loss, high_slope, bracketed = step, f, s, True
        elif s >= 0.0:
            high, high_loss, high_slope, bracketed = low, low_loss, low_slope, True
            low, low_loss, low_slope = step, f, s
        elif bracketed and (high - low) * s >= 0.0:
            high, high_loss, high_slope = low, low_loss, low_slope
            low, low_loss, low_slope = step, f, s
        else:
            low, low_loss, low_slope = step, f, s
        if bracketed:
            step = interpolate(low, low_loss, low_slope, high, high_loss, high_slope)
            if abs(high - low) <= 1e-12 * max(abs(high), abs(low)):
                break
        else:
            step = 2.0 * step
    if low > 0.0 and low_loss <= loss + SUFFICIENT * low * slope:  # decrease without the curvature condition
        f, s = evaluate(x, direction, low, trial, trial_gradient, data, work, counters)
        return low, f
    return 0.0, loss


def interpolate(a, fa, sa, b, fb, sb):
    """The minimiser of the cubic through both ends, kept inside the bracket (eq. 3.59); else the middle."""
    middle = 0.5 * (a + b)
    if not math.isfinite(fb):
        return a + 0.1 * (b - a)
    d1 = sa + sb - 3.0 * (fa - fb) / (a - b)
    under = d1 * d1 - sa * sb
    if not under >= 0.0:
        return middle
    d2 = math.copysign(math.sqrt(under), b - a)
    below = sb - sa + 2.0 * d2
    if below == 0.0:
        return middle
    c = b - (b - a) * (sb + d2 - d1) / below
    least, most = min(a, b), max(a, b)
    margin = 0.05 * (most - least)
    if not (least + margin <= c <= most - margin):
        return middle if not math.isfinite(c) else min(max(c, least + margin), most - margin)
    return c

"""A quasi-Newton method of limited memory between bounds: minimise f(x), lower <= x <= upper, with gradients alone.

Needs value_and_grad(x, g, data, work) -> f, bounded_step.py and symmetric.py.

All state is in the arrays, so a run may be cut into calls anywhere without changing a bit.
"""

import math

RUNNING = 0
CONVERGED = 1
STALLED = 2
DIVERGED = 3
UNBOUNDED = 8
FAR = 1e12  # times the first f: there is no least one
PATIENCE = 30


def merit(x, g, data, work):
    """What the steps make less."""
    return value_and_grad(x, g, data, work)


def lbfgs_b(x, g, lower, upper, pairs, inner, scalars, counters, trace, data, work, iterations, tolerance):
    """Run at most `iterations` iterations; returns RUNNING, CONVERGED, STALLED, DIVERGED or UNBOUNDED.

    x, g, lower, upper: (n,); pairs, inner, scalars, counters: see bounded_step.py. trace[k] holds f and the projected
    gradient. STALLED: PATIENCE iterations without progress in this precision.
    """
    if counters[3] == 0 and not bounded_start(x, g, lower, upper, scalars, counters, data, work):
        return DIVERGED
    for _ in range(iterations):
        if counters[0] < trace.shape[0]:
            trace[counters[0], 0], trace[counters[0], 1] = scalars[0], scalars[1]
        if scalars[1] <= tolerance:
            return CONVERGED
        if scalars[0] < -FAR * max(1.0, abs(scalars[5])):
            return UNBOUNDED
        if not bounded_step(x, g, lower, upper, pairs, inner, scalars, counters, data, work):
            return STALLED
        if not math.isfinite(scalars[1]):
            return DIVERGED
        if progress(scalars, counters) >= PATIENCE:
            return CONVERGED if scalars[1] <= tolerance else STALLED
    return CONVERGED if scalars[1] <= tolerance else RUNNING

"""Closed forms in turn: each round solves gradient = 0 in one block of parameters after the other, all else held.

Needs update(x, new, data, work), which fills `new` with the blocks as one round leaves them, and value_and_grad. No
round raises the objective where every block's problem is convex. Sources: Lloyd, "Least squares quantization in PCM"
(1982); block coordinate descent, Bertsekas, "Nonlinear Programming", section 3.7.

All state is in the arrays, so a run may be cut into calls anywhere without changing a bit.
"""

import math

import numpy as np

RUNNING = 0
CONVERGED = 1
DIVERGED = 3
RISES = 9
ROUNDING = 1e-12  # of the objective: a smaller rise is rounding


def alternating(x, new, scalars, counters, trace, data, work, update_data, update_work, rounds, tolerance):
    """Run at most `rounds` rounds; returns RUNNING, CONVERGED, DIVERGED or RISES.

    x, new: (p,); scalars = [objective, max |gradient|]; counters = [rounds]; trace[k] holds both after round k.
    CONVERGED: max |gradient| <= tolerance, or a round moves nothing or does not lower the objective. Before the first
    round the objective may be infinite: where closed forms are exact the start does not matter.
    """
    g = np.zeros_like(x)
    for _ in range(rounds):
        f = value_and_grad(x, g, data, work)
        slope = 0.0
        for i in range(x.shape[0]):
            slope = max(slope, abs(g[i]))
        done = counters[0]
        if done < trace.shape[0]:
            trace[done, 0], trace[done, 1] = f, slope
        if done > 0:
            if not math.isfinite(f):
                return DIVERGED
            if math.isfinite(scalars[0]) and f > scalars[0] + ROUNDING * (1.0 + abs(scalars[0])):
                return RISES
        stays = done > 1 and not f < scalars[0]
        scalars[0], scalars[1] = f, slope
        if done > 0 and (slope <= tolerance or stays):
            return CONVERGED
        update(x, new, update_data, update_work)
        moved = False
        for i in range(x.shape[0]):
            if not math.isfinite(new[i]):
                return DIVERGED
            moved = moved or new[i] != x[i]
            x[i] = new[i]
        counters[0] += 1
        if not moved:
            return CONVERGED
    return RUNNING

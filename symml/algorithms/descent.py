"""Training by an optimiser's page where rows need each other: every step reads all data.

Needs value_and_grad(x, g, data, work) -> float, gather(data, order, 0, 1, batch, seed, step) -> data with the noise of
the step, and update(x, g, state, scalars).
"""

import math

RUNNING = 0
CONVERGED = 1
STALLED = 2
DIVERGED = 3


def descent(x, g, state, scalars, data, batch, work, order, counters, batch_size, steps, seed, trace):
    """Run at most `steps` steps, beginning with step number counters[0]; trace[step] is the loss before it.

    The arguments are those of minibatch.py, of which the order is not needed. At the first
    non-finite loss the run stops with DIVERGED and `x` as it was before that step (its number is counters[1]).
    """
    for step in range(counters[0], counters[0] + steps):
        rows = gather(data, order, 0, 1, batch, seed, step)
        loss = value_and_grad(x, g, rows, work)
        if not math.isfinite(loss):
            counters[1] = step
            counters[0] = step
            return DIVERGED
        trace[step] = loss
        update(x, g, state, scalars)
    counters[0] += steps
    return RUNNING

"""Stochastic training: epochs of shuffled mini-batches, one optimiser step each.

Needs value_and_grad(x, g, rows, work) -> float, gather(data, order, start, stop, batch, seed, step) -> rows,
update(x, g, state, scalars), and philox.py.
"""

import math

RUNNING = 0
CONVERGED = 1
STALLED = 2
DIVERGED = 3


def minibatch(x, g, state, scalars, data, batch, work, order, counters, batch_size, steps, seed, trace):
    """Run at most `steps` steps, beginning with step number counters[0]; any splitting of a run gives the same bits.

    trace[epoch] is the mean loss of the epoch's batches, weighted by their rows. At the first non-finite loss the run
    stops with DIVERGED and `x` as it was before that step (its number is counters[1]).
    """
    n = order.shape[0]
    in_epoch = (n + batch_size - 1) // batch_size
    for step in range(counters[0], counters[0] + steps):
        epoch = step // in_epoch
        start = (step - epoch * in_epoch) * batch_size
        if start == 0 or step == counters[0]:  # the order is a function of (seed, epoch): resuming needs no record
            shuffle(order, seed, SHUFFLE, epoch)
        stop = min(start + batch_size, n)
        rows = gather(data, order, start, stop, batch, seed, step)
        loss = value_and_grad(x, g, rows, work)
        if not math.isfinite(loss):
            counters[1] = step
            counters[0] = step
            return DIVERGED
        trace[epoch] += loss * (stop - start) / n
        update(x, g, state, scalars)
    counters[0] += steps
    return RUNNING

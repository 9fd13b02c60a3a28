"""An augmented Lagrangian with safeguarded multipliers: minimise f(x), c(x) = 0, h(x) <= 0, lower <= x <= upper, with gradients
alone, so that nothing is as large as unknowns times unknowns or unknowns times conditions.

Needs lagrangian(x, g, data, work) -> f + u'(c, h), whose data hold views of u; general(x, out, data, work), all c and then all
h; bounded_step.py and symmetric.py. Sources: Birgin & Martinez, Practical Augmented Lagrangian Methods (2014), algorithm
4.1; Conn, Gould & Toint, SIAM J. Numer. Anal. 28 (1991), the tolerances of the problems in between.

facts = [weight of the conditions, tolerance of the problem in between, largest conflict of the last one, infeasibility, KKT
residual, largest slope of the violation, 1 where only the violation is made less]; counts = [outer iterations, equalities,
steps of this one, returns to the start]; scalars and counters are those of bounded_step.py. trace[k] holds f and the KKT
residual, or what is known of it.

All state is in the arrays, so a run may be cut into calls anywhere without changing a bit.
"""

import math

import numpy as np

RUNNING = 0
CONVERGED = 1
STALLED = 2
DIVERGED = 3
INFEASIBLE = 7
UNBOUNDED = 8
FAR = 1e12  # times the first value: there is no least one
PATIENCE = 30
OUTER = 200
INNER = 3000  # steps for one set of multipliers
ENOUGH = 0.25  # part of the conflict that multipliers alone must leave at most
HEAVIEST = 1e14
RETURNS = 2  # to the start with a larger weight, where the sum falls for ever
LARGEST = 1e15  # of a multiplier: beyond it the conditions say nothing of it
MISSED = 1e-6  # of a condition that counts as not kept


def merit(x, g, data, work):
    """f + sum (u^2 - m^2) / (2 weight), u = m + weight c, cut at 0 for inequalities; the Lagrangian reads u."""
    of_lagrangian, of_general, used, kept, c, facts, counts = data
    general(x, c, of_general, work[1])
    if facts[6] == 1.0:
        return squared_violation(x, g, c, used, of_lagrangian, work[0], counts[1])
    more = 0.0
    for i in range(c.shape[0]):
        u = kept[i] + facts[0] * c[i]
        if i < counts[1] or u > 0.0 or u != u:
            used[i] = u
            more -= 0.5 * facts[0] * c[i] * c[i]
        else:
            used[i] = 0.0
            more -= 0.5 * kept[i] * (kept[i] / facts[0])
    return lagrangian(x, g, of_lagrangian, work[0]) + more


def squared_violation(x, g, c, used, data, work, equal):
    """Half the sum of squares of what is not kept, and its gradient: that of the Lagrangian less that without multipliers."""
    alone, total = np.zeros(x.shape[0]), 0.0
    for i in range(c.shape[0]):
        used[i] = 0.0
    lagrangian(x, alone, data, work)
    for i in range(c.shape[0]):
        used[i] = c[i] if i < equal else max(c[i], 0.0)
        total += 0.5 * used[i] * used[i]
    lagrangian(x, g, data, work)
    for i in range(x.shape[0]):
        g[i] -= alone[i]
    return total


def augmented_lagrangian(
    x, g, start, lower, upper, pairs, inner, scalars, counters, trace, facts, counts, used, kept, c, data, work,
    general_data, general_work, iterations, tolerance,
):  # fmt: skip
    """Run at most `iterations` steps; returns RUNNING, CONVERGED, STALLED, DIVERGED, INFEASIBLE or UNBOUNDED.

    x, g, start, lower, upper: (n,); used, kept, c: (m,); the others: see above. used ends as the multipliers.
    """
    both, works = (data, general_data, used, kept, c, facts, counts), (work, general_work)
    if counters[3] == 0 and not first_point(
        x, g, start, lower, upper, scalars, counters, facts, counts, both, works, tolerance
    ):
        return DIVERGED
    for _ in range(iterations):
        ended = scalars[1] <= facts[1] or counts[2] >= INNER or counters[4] >= PATIENCE
        if facts[6] == 1.0 and (ended or violation(c, counts[1]) <= MISSED):
            facts[3] = violation(c, counts[1])
            if facts[3] > MISSED:
                return INFEASIBLE
            swapped(x, start)
            return UNBOUNDED
        if scalars[0] < -FAR * max(1.0, abs(scalars[5])):
            if c.shape[0] == 0:
                return UNBOUNDED
            counts[3] += 1
            if counts[3] > RETURNS:  # the sum falls for ever: because of f, or because no point keeps the conditions?
                facts[6], facts[1] = 1.0, 1e-3 * tolerance
                swapped(x, start)
            else:
                facts[0] *= 1000.0
                for i in range(x.shape[0]):
                    x[i] = start[i]
            again(x, g, lower, upper, scalars, counters, counts, both, works, True)
        elif ended:
            end = next_multipliers(
                x, g, lower, upper, scalars, counters, facts, counts, used, kept, c, both, works, tolerance
            )
            if end != RUNNING:
                return end
        elif bounded_step(x, g, lower, upper, pairs, inner, scalars, counters, both, works):
            progress(scalars, counters)
            counts[2] += 1
        else:
            counters[4] = PATIENCE
        if not math.isfinite(scalars[1]):
            return DIVERGED
        if counters[0] < trace.shape[0]:
            trace[counters[0], 0], trace[counters[0], 1] = scalars[0], max(scalars[1], facts[3])
    return RUNNING


def swapped(a, b):
    """Each becomes the other."""
    for i in range(a.shape[0]):
        a[i], b[i] = b[i], a[i]


def first_point(x, g, start, lower, upper, scalars, counters, facts, counts, data, work, tolerance):
    """The first weight, from f and the violation; False where they are no numbers."""
    c = data[4]
    facts[0], facts[1], facts[2], facts[5], facts[4] = (
        1.0,
        max(math.sqrt(tolerance), tolerance),
        math.inf,
        0.0,
        math.inf,
    )
    if not bounded_start(x, g, lower, upper, scalars, counters, data, work):
        return False
    squared = 0.0
    for i in range(c.shape[0]):
        v = c[i] if i < counts[1] else max(c[i], 0.0)
        squared += v * v
    size = max(1.0, abs(scalars[0] - 0.5 * squared))
    facts[0] = min(max(10.0 * size / max(1.0, 0.5 * squared), 1e-6), 1e8)
    for i in range(x.shape[0]):
        start[i] = x[i]
    no_way(x, g, lower, upper, facts, data[2], c, counts[1], data, work, 0.0)
    again(x, g, lower, upper, scalars, counters, counts, data, work, True)
    return math.isfinite(scalars[0]) and math.isfinite(scalars[1])


def again(x, g, lower, upper, scalars, counters, counts, data, work, other):
    """Value and gradient for other multipliers; with another weight the memory of the old curvature goes."""
    first = scalars[5]
    if other:
        counters[2], scalars[2] = 0, 1.0
    scalars[0] = merit(x, g, data, work)
    counters[1] += 1
    scalars[1] = steepness(x, g, lower, upper)
    scalars[3], scalars[4], scalars[5] = scalars[0], scalars[1], first
    counters[4], counts[2] = 0, 0


def violation(c, equal):
    """The largest entry that is not as the conditions say."""
    found = 0.0
    for i in range(c.shape[0]):
        found = max(found, abs(c[i]) if i < equal else c[i])
    return found


def next_multipliers(x, g, lower, upper, scalars, counters, facts, counts, used, kept, c, data, work, tolerance):
    """What the multipliers have become, a larger weight where that alone does not help; how the run ends, or RUNNING."""
    scalars[0] = merit(x, g, data, work)  # `used` and c of this point
    equal, conflict, open_ = counts[1], 0.0, 0.0
    for i in range(c.shape[0]):
        conflict = max(conflict, abs(c[i]) if i < equal else abs(max(c[i], -kept[i] / facts[0])))
        if i >= equal:
            open_ = max(open_, min(abs(c[i]), used[i]))
    facts[3] = violation(c, equal)
    facts[4] = max(scalars[1], facts[3], open_)
    if facts[4] <= tolerance:
        return CONVERGED
    if facts[3] > MISSED and no_way(x, g, lower, upper, facts, used, c, equal, data, work, 1e-5):
        return INFEASIBLE
    counts[0] += 1
    if counts[0] >= OUTER or facts[0] > HEAVIEST:
        merit(x, g, data, work)
        return INFEASIBLE if facts[3] > math.sqrt(MISSED) else STALLED
    for i in range(c.shape[0]):
        u = kept[i] + facts[0] * c[i]
        u = u if i < equal else max(u, 0.0)
        kept[i] = u if abs(u) <= LARGEST else 0.0
    heavier = conflict > ENOUGH * facts[2] and conflict > 0.1 * tolerance
    if heavier:
        facts[0] *= 10.0
    facts[2] = conflict
    facts[1] = max(0.5 * tolerance, min(0.1 * facts[1], max(conflict, tolerance)))
    again(x, g, lower, upper, scalars, counters, counts, data, work, heavier)
    return RUNNING


def no_way(x, g, lower, upper, facts, used, c, equal, data, work, part):
    """Is the squared violation stationary between the bounds, its slope `part` of the largest that it ever had?"""
    size = violation(c, equal)
    if size == 0.0:
        return False
    squared_violation(x, g, c, used, data[0], work[0], equal)
    found = 0.0
    for i in range(x.shape[0]):
        found = max(found, min(g[i] / size, x[i] - lower[i]), min(-g[i] / size, upper[i] - x[i]))
    facts[5] = max(facts[5], found)
    return found <= part * facts[5]

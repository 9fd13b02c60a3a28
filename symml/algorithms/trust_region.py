"""Newton's method in a trust region, the step by conjugate gradients, between bounds: minimise f(x), lower <= x <= upper.

Needs value_and_grad(x, g, data, work) -> f and lagrangian_times(x, v, out, data, work), the Hessian times v. A Cauchy point of
the projected gradient says which bounds are active, conjugate gradients go on in what is free until the region's edge or
negative curvature. Sources: Lin & Moré, SIAM J. Optim. 9 (1999); Steihaug, SIAM J. Numer. Anal. 20 (1983).

All state is in the arrays, so a run may be cut into calls anywhere without changing a bit.
"""

import math

import numpy as np

RUNNING = 0
CONVERGED = 1
STALLED = 2
DIVERGED = 3
UNBOUNDED = 8
FAR = 1e12
CAUCHY = 1e-2  # part of the slope's promise that a projected step must keep
FACES = 12
PATIENCE = 6
NOISE = 1e-13  # of f: a smaller change may be rounding


def trust_region(
    x, g, lower, upper, kept, scalars, counters, trace, data, work, hessian_data, hessian_work, iterations, tolerance
):
    """Run at most `iterations` iterations; returns RUNNING, CONVERGED, STALLED, DIVERGED or UNBOUNDED.

    x, g, lower, upper, kept: (n,); kept is the best point once f differs by rounding only. scalars = [f, radius, largest
    entry of the projected gradient, the least of these where f is noise, first f]; counters = [iterations, evaluations,
    products with the Hessian, started, steps in the noise]. trace[k] holds f and the projected gradient's largest entry.
    CONVERGED: that entry <= tolerance, or it does not get less where f differs by rounding only.
    """
    n = x.shape[0]
    s, hs, w, hw, trial, r, p = (
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
    )
    free = np.zeros(n, np.int64)
    inside(x, lower, upper)
    scalars[0] = value_and_grad(x, g, data, work)
    counters[1] += 1
    if not (math.isfinite(scalars[0]) and math.isfinite(length(g))):
        return DIVERGED
    for _ in range(iterations):
        scalars[2] = projected(x, g, lower, upper)
        if counters[3] == 0:
            counters[3], scalars[1], scalars[3], scalars[4] = 1, max(1.0, length(g)), math.inf, scalars[0]
        if counters[0] < trace.shape[0]:
            trace[counters[0], 0], trace[counters[0], 1] = scalars[0], scalars[2]
        if scalars[2] <= tolerance:
            return CONVERGED
        if scalars[0] < -FAR * max(1.0, abs(scalars[4])):
            return UNBOUNDED
        cauchy(x, g, lower, upper, scalars[1], s, hs, hessian_data, hessian_work, counters)
        for _ in range(FACES):
            if not face(x, g, lower, upper, scalars[1], s, hs, w, hw, r, p, free, hessian_data, hessian_work, counters):
                break
        status = move(x, g, lower, upper, s, hs, trial, r, kept, scalars, counters, data, work)
        if status != RUNNING:
            return status
    return RUNNING


def length(a):
    """sqrt(sum a^2)."""
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * a[i]
    return math.sqrt(total)


def inner(a, b):
    """sum a b."""
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


def inside(x, lower, upper):
    """x between its bounds."""
    for i in range(x.shape[0]):
        x[i] = min(max(x[i], lower[i]), upper[i])


def projected(x, g, lower, upper):
    """The largest entry of x - P(x - g): 0 where no small move is down."""
    top = 0.0
    for i in range(x.shape[0]):
        top = max(top, abs(x[i] - min(max(x[i] - g[i], lower[i]), upper[i])))
    return top


def cauchy(x, g, lower, upper, radius, s, hs, data, work, counters):
    """s = P(x - a g) - x inside of the region with a decrease of the model, and hs = H s."""
    size = length(g)
    step = min(1.0, radius / size) if size > 0.0 else 1.0
    for _ in range(60):
        for i in range(x.shape[0]):
            s[i] = min(max(x[i] - step * g[i], lower[i]), upper[i]) - x[i]
        lagrangian_times(x, s, hs, data, work)
        counters[2] += 1
        slope = inner(g, s)
        if length(s) <= radius * (1.0 + 1e-12) and slope + 0.5 * inner(s, hs) <= CAUCHY * slope:
            return
        step *= 0.3
    return


def face(x, g, lower, upper, radius, s, hs, w, hw, r, p, free, data, work, counters):
    """Improve s in the variables that are not at a bound; returns whether a bound was met, so that another face follows."""
    n, begin, all_ = x.shape[0], 0.0, 0.0
    for i in range(n):
        at = x[i] + s[i]
        free[i] = 1 if lower[i] < at < upper[i] else 0
        r[i] = -(g[i] + hs[i]) if free[i] == 1 else 0.0
        p[i], w[i] = r[i], 0.0
        begin += r[i] * r[i]
        all_ += g[i] * g[i] if free[i] == 1 else 0.0
    if begin <= 1e-30 * all_ or begin == 0.0:
        return False
    goal, left = min(0.01, math.sqrt(math.sqrt(begin))) ** 2 * begin, begin
    for _ in range(2 * n + 10):
        lagrangian_times(x, p, hw, data, work)
        counters[2] += 1
        bent = 0.0
        for i in range(n):
            hw[i] = hw[i] if free[i] == 1 else 0.0
            bent += p[i] * hw[i]
        step = left / bent if bent > 0.0 else math.inf
        edge = to_edge(s, w, p, radius)
        if step >= edge:
            for i in range(n):
                w[i] += edge * p[i]
            break
        after = 0.0
        for i in range(n):
            w[i] += step * p[i]
            r[i] -= step * hw[i]
            after += r[i] * r[i]
        if after <= goal:
            break
        for i in range(n):
            p[i] = r[i] + after / left * p[i]
        left = after
    return search(x, g, lower, upper, s, hs, w, hw, r, data, work, counters)


def to_edge(s, w, p, radius):
    """The longest step along p from s + w that stays in the region."""
    a, b, c = 0.0, 0.0, -radius * radius
    for i in range(s.shape[0]):
        at = s[i] + w[i]
        a, b, c = a + p[i] * p[i], b + at * p[i], c + at * at
    if not a > 0.0 or c >= 0.0:
        return 0.0
    root = math.sqrt(max(b * b - a * c, 0.0))
    return -c / (b + root) if b > 0.0 else (root - b) / a


def search(x, g, lower, upper, s, hs, w, hw, r, data, work, counters):
    """s = P(x + s + t w) - x with a decrease of the model; returns whether it met a bound."""
    n, before, step, met = x.shape[0], inner(g, s) + 0.5 * inner(s, hs), 1.0, False
    for i in range(n):
        r[i] = s[i]
    for _ in range(30):
        met = False
        for i in range(n):
            at = x[i] + r[i] + step * w[i]
            cut = min(max(at, lower[i]), upper[i])
            met = met or (cut != at and w[i] != 0.0)
            s[i] = cut - x[i]
        lagrangian_times(x, s, hw, data, work)
        counters[2] += 1
        if inner(g, s) + 0.5 * inner(s, hw) <= before:
            for i in range(n):
                hs[i] = hw[i]
            return met
        step *= 0.5
    for i in range(n):
        s[i] = r[i]
    return False


def move(x, g, lower, upper, s, hs, trial, trial_gradient, kept, scalars, counters, data, work):
    """Take the step where f keeps the model's promise, and fit the region; in the noise of f the gradient decides."""
    n, size = x.shape[0], length(s)
    promised = -(inner(g, s) + 0.5 * inner(s, hs))
    for i in range(n):
        trial[i] = min(max(x[i] + s[i], lower[i]), upper[i])
    f = value_and_grad(trial, trial_gradient, data, work)
    counters[1] += 1
    gained, noise = scalars[0] - f, promised <= NOISE * abs(scalars[0])
    counters[0] += 1
    if noise:
        now = projected(trial, trial_gradient, lower, upper)
        if scalars[2] < scalars[3]:
            scalars[3] = scalars[2]
            for i in range(n):
                kept[i] = x[i]
        better = math.isfinite(f) and now < scalars[3]
        counters[4] = 0 if better else counters[4] + 1
        if counters[4] >= PATIENCE or not math.isfinite(f) or size == 0.0:
            for i in range(n):
                x[i] = kept[i]
            scalars[0] = value_and_grad(x, g, data, work)
            scalars[2] = projected(x, g, lower, upper)
            return CONVERGED
    ratio = -1.0 if not math.isfinite(f) else 1.0 if noise else gained / promised
    if ratio < 0.25:
        scalars[1] = 0.25 * min(scalars[1], size)
    elif ratio > 0.75 and size >= 0.9 * scalars[1]:
        scalars[1] *= 3.0
    if ratio > 1e-4:
        scalars[0] = f
        for i in range(n):
            x[i], g[i] = trial[i], trial_gradient[i]
    elif scalars[1] <= 1e-15 * max(1.0, length(x)):
        return STALLED
    return RUNNING

"""Levenberg-Marquardt in a trust region, for objectives that are half a sum of squares: f = |r|^2 / 2 + constant.

Needs residuals(x, r, data, work), tangent(x, v, out, data, work) -> out = J v, and dense.py. Sources: Moré, The
Levenberg-Marquardt algorithm (1978), for the scaling and the trust region; Transtrum & Sethna, arXiv:1201.5885, for
the geodesic acceleration. J is factored and never squared, so its condition number costs digits once, not twice.

All state is in the arrays, so a run may be cut into calls anywhere without changing a bit.
"""

import math

import numpy as np

RUNNING = 0
CONVERGED = 1
STALLED = 2
DIVERGED = 3
ROUNDING = 2.220446049250313e-16
BEND = 0.75  # largest 2 |acceleration| / |velocity| of a step that is taken
REACH = 0.1  # of a step, where the second derivative along it is measured
TRIALS = 60
PATIENCE = 6
NOISE = 1e-11  # of f: a smaller change may be rounding of the residuals, and the angle says more


def levenberg_marquardt(
    x, kept, scale, scalars, counters, trace, data, work, tangent_data, tangent_work, m, iterations, tolerance, curved
):
    """Run at most `iterations` iterations; returns RUNNING, CONVERGED or DIVERGED.

    x, kept, scale: (p,) parameters, those before the last step, the axes of the trust region; m: entries of r.
    scalars = [f, radius (before the first step: relative to x), damping, angle, max |gradient|, least angle], the angle
    being the largest cosine between r and a column of J; counters = [iterations, evaluations of r, of J v, started,
    whether f differs by rounding only, steps since the angle was least].
    trace[k] holds f and max |gradient| after iteration k. curved: 1 for steps with acceleration, 0 for those without.
    CONVERGED: max |gradient| <= tolerance, or no step makes the angle smaller in this precision.
    """
    p = x.shape[0]
    r, q, other, spare = np.zeros(m), np.zeros(max(m, p)), np.zeros(m), np.zeros((6, p))
    columns, R, S, gradient = np.zeros((p, m)), np.zeros((p, p)), np.zeros((p, p)), np.zeros(p)
    scalars[0] = half_square(x, r, data, work, counters)
    if not math.isfinite(scalars[0]):
        return DIVERGED
    for _ in range(iterations):
        jacobian(x, columns, spare[0], tangent_data, tangent_work, counters)
        slopes(columns, r, gradient, scalars)
        if not math.isfinite(scalars[4]):
            return DIVERGED
        if counters[0] < trace.shape[0]:
            trace[counters[0], 0], trace[counters[0], 1] = scalars[0], scalars[4]
        if finished(x, kept, scalars, counters, tolerance):
            return CONVERGED
        rescale(columns, scale, x, scalars, counters)
        for i in range(m):
            q[i] = -r[i]
        triangle(columns, q, R)
        status = one_step(x, kept, r, q, other, R, S, scale, spare, scalars, counters, data, work,
                          tangent_data, tangent_work, curved)  # fmt: skip
        if status != RUNNING:
            return status
        counters[0] += 1
    return RUNNING


def half_square(x, r, data, work, counters):
    """|r|^2 / 2 at x."""
    residuals(x, r, data, work)
    counters[1] += 1
    total = 0.0
    for i in range(r.shape[0]):
        total += r[i] * r[i]
    return 0.5 * total


def jacobian(x, columns, v, data, work, counters):
    """columns[j] = J e_j."""
    for j in range(x.shape[0]):
        v[j] = 0.0
    for j in range(x.shape[0]):
        v[j] = 1.0
        tangent(x, v, columns[j], data, work)
        v[j] = 0.0
    counters[2] += x.shape[0]


def slopes(columns, r, gradient, scalars):
    """gradient = J'r, its largest entry, and the largest cosine between r and a column."""
    length = norm(r)
    scalars[3], scalars[4] = 0.0, 0.0
    for j in range(columns.shape[0]):
        total = 0.0
        for i in range(r.shape[0]):
            total += columns[j, i] * r[i]
        gradient[j] = total
        size = norm(columns[j])
        if not math.isfinite(total) or not math.isfinite(size):
            scalars[4] = math.nan
            return
        scalars[4] = max(scalars[4], abs(total))
        if size > 0.0 and length > 0.0:
            scalars[3] = max(scalars[3], abs(total) / size / length)


def finished(x, kept, scalars, counters, tolerance):
    """Is this the end? Where f no longer tells steps apart, the angle does: the better of the last two points stays."""
    if scalars[4] <= tolerance or scalars[3] <= ROUNDING:
        return True
    if counters[4] == 1:
        if scalars[3] < scalars[5]:
            for j in range(x.shape[0]):
                kept[j] = x[j]
            scalars[5] = scalars[3]
            counters[5] = 0
        else:
            counters[5] += 1
        if counters[5] >= PATIENCE:
            for j in range(x.shape[0]):
                x[j] = kept[j]
            return True
    return False


def rescale(columns, scale, x, scalars, counters):
    """Divide each column by the largest length that it had so far; the first radius is that of x."""
    total = 0.0
    for j in range(columns.shape[0]):
        scale[j] = max(scale[j], norm(columns[j]))
        d = scale[j] if scale[j] > 0.0 else 1.0
        for i in range(columns.shape[1]):
            columns[j, i] /= d
        total += (d * x[j]) * (d * x[j])
    if counters[3] == 0:
        counters[3] = 1
        scalars[1] *= math.sqrt(total) if total > 0.0 and math.isfinite(total) else 1.0


def one_step(
    x, kept, r, q, other, R, S, scale, spare, scalars, counters, data, work, tangent_data, tangent_work, curved
):
    """Shrink the trust region until a step is good; x, r and f move to it. CONVERGED where no step is left.

    q = -Q'r and the triangle R are those of the scaled Jacobian.
    """
    p = x.shape[0]
    y, step, trial, bent = spare[0], spare[1], spare[2], spare[3]
    widen(R, q, y, scalars)
    for _ in range(TRIALS):
        scalars[2] = fit_damping(R, q, scalars[1], scalars[2], S, spare[4], spare[5], y)
        length, along, reach = norm(y), 0.0, 0.0
        for i in range(p):
            total = 0.0
            for k in range(i, p):
                total += R[i, k] * y[k]
            along += total * total
            d = scale[i] if scale[i] > 0.0 else 1.0
            step[i] = y[i] / d
            reach += (d * x[i]) * (d * x[i])
        predicted = 0.5 * along + scalars[2] * length * length
        if length <= ROUNDING * math.sqrt(reach) or predicted == 0.0:
            return CONVERGED
        bend = 0.0
        if curved == 1 and counters[4] == 0:
            bend = accelerate(x, r, step, scale, R, S, scalars, other, trial, bent, spare, counters, data, work,
                              tangent_data, tangent_work)  # fmt: skip
        for i in range(p):
            trial[i] = x[i] + step[i] + (0.5 * bent[i] if curved == 1 and counters[4] == 0 and bend <= BEND else 0.0)
        f = half_square(trial, other, data, work, counters)
        noise = predicted <= NOISE * scalars[0]
        gained = scalars[0] - f
        if not math.isfinite(f) or bend > BEND:
            ratio = -1.0
        else:
            ratio = 1.0 if noise and abs(gained) <= NOISE * scalars[0] else gained / predicted
        resize(scalars, ratio, length)
        if ratio >= 1e-4:
            if noise and counters[4] == 0:
                scalars[5], counters[5] = scalars[3], 0
                for i in range(p):
                    kept[i] = x[i]
            counters[4] = 1 if noise else 0
            for i in range(p):
                x[i] = trial[i]
            for i in range(r.shape[0]):
                r[i] = other[i]
            scalars[0] = f
            return RUNNING
        if scalars[1] <= ROUNDING * math.sqrt(reach):
            return CONVERGED
    return CONVERGED


def widen(R, q, y, scalars):
    """Where all that the model promises is below the noise of f, the trust region holds the whole step."""
    promised = 0.0
    for i in range(y.shape[0]):
        promised += q[i] * q[i]
    if 0.5 * promised <= NOISE * scalars[0] and solve_upper(R, q, y):
        scalars[1] = max(scalars[1], norm(y))


def resize(scalars, ratio, length):
    """A smaller trust region after a bad step, a larger one after a good step."""
    if ratio < 0.25:
        scalars[1] = 0.25 * min(scalars[1], length)
        scalars[2] *= 4.0
    elif ratio > 0.75 or scalars[2] == 0.0:
        scalars[1] = max(scalars[1], 2.0 * length)
        scalars[2] *= 0.5


def fit_damping(R, q, radius, guess, S, rotated, spare, y):
    """The damping with which |y| is the radius to 10 %, 0 where the whole step fits (Moré's iteration); y is left."""
    p = y.shape[0]
    regular = solve_upper(R, q, y)
    length = norm(y)
    if regular and length <= 1.1 * radius:
        return 0.0
    low, slope = 0.0, 0.0
    for j in range(p):
        total = 0.0
        for i in range(j + 1):
            total += R[i, j] * q[i]
        spare[j] = total
    high = norm(spare) / radius
    if regular and math.isfinite(length):
        for j in range(p):
            y[j] /= length
        solve_lower(R, y, spare)
        slope = norm(spare)
        low = max(0.0, (length - radius) / radius / max(slope * slope, 1e-300) / length)
    damping = min(max(guess, low), high)
    if damping == 0.0 or not math.isfinite(damping):
        damping = max(0.001 * high, 1e-300)
    for _ in range(10):
        damped(R, q, damping, S, rotated, y)
        length = norm(y)
        if abs(length - radius) <= 0.1 * radius or not length > 0.0:
            break
        if length > radius:
            low = max(low, damping)
        else:
            high = min(high, damping)
        for j in range(p):
            rotated[j] = y[j] / length
        solve_lower(S, rotated, spare)
        slope = norm(spare)
        damping = max(low, damping + (length - radius) / radius / max(slope * slope, 1e-300))
        if damping > high and high > low:
            damping = 0.5 * (low + high)
    return damping


def accelerate(
    x, r, step, scale, R, S, scalars, other, trial, bent, spare, counters, data, work, tangent_data, tangent_work
):
    """`bent` = the second derivative of the geodesic that starts with `step`; returns its scaled length over the step's.

    r'' along the step is measured at REACH of it. Infinite where it is not finite.
    """
    p, m = x.shape[0], r.shape[0]
    for i in range(p):
        trial[i] = x[i] + REACH * step[i]
    residuals(trial, other, data, work)
    counters[1] += 1
    push = np.zeros(m)
    tangent(x, step, push, tangent_data, tangent_work)
    counters[2] += 1
    for i in range(m):
        other[i] = 2.0 / REACH * ((other[i] - r[i]) / REACH - push[i])
    backward(x, other, scale, spare[4], tangent_data, tangent_work, spare[3], push, counters)
    T = S if scalars[2] > 0.0 else R
    for j in range(p):
        spare[4, j] = -spare[4, j]
    solve_lower(T, spare[4], spare[5])
    solve_upper(T, spare[5], bent)
    top, below = 0.0, 0.0
    for j in range(p):
        d = scale[j] if scale[j] > 0.0 else 1.0
        top += bent[j] * bent[j]
        below += (d * step[j]) * (d * step[j])
        bent[j] /= d
    found = 2.0 * math.sqrt(top) / math.sqrt(below) if below > 0.0 else math.inf
    return found if math.isfinite(found) else math.inf


def backward(x, u, scale, out, data, work, v, push, counters):
    """out = (J D^-1)' u, by one product with J for each parameter."""
    for j in range(x.shape[0]):
        v[j] = 0.0
    for j in range(x.shape[0]):
        v[j] = 1.0
        tangent(x, v, push, data, work)
        v[j] = 0.0
        total = 0.0
        for i in range(u.shape[0]):
            total += push[i] * u[i]
        out[j] = total / scale[j] if scale[j] > 0.0 else total
    counters[2] += x.shape[0]

"""A primal-dual interior-point method: minimise f(x) where c(x) = 0 and g(x) <= 0, with exact second derivatives.

Needs objective(x, g, data, work) -> f; conditions(x, out, data, work), all c and then all g; their derivative
condition_tangent(x, v, out, data, work); lagrangian_times(x, v, out, data, work), the Hessian of f + multipliers'(c, g)
times v, whose data hold views of `multipliers`; symmetric.py, polish.py, implied.py, and cone.py or without_cones.py. Sources:
Wächter & Biegler, Math. Program. 106 (2006), for the barrier, the step to the boundary and the correction of the inertia;
Nocedal & Wright, Numerical Optimization (2006), section 19.3 and algorithm 18.3, for the merit function.

scalars = [f, barrier, KKT residual, weight of infeasibility, shift of the Hessian, infeasibility, least KKT residual of this
barrier, first f, the gap at which to stop (0: none; negative: there is no duality), the gap]; counters = [iterations,
evaluations, started, steps without progress, shakes]. trace[k] holds f, the KKT residual and the gap after iteration k. The
residual is the largest of the gradient of the Lagrangian and the complementarity, both relative to the gradient of f where
that exceeds 1, and of the infeasibility.

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
SUFFICIENT = 1e-4
TRIALS = 30
SHAKES = 3  # of a start that nothing pulls anywhere
HUGE = 1e10  # of multipliers beside the right side: equalities that repeat each other
REACH = 1e4  # of a step under a shift, next to x
FAR = 1e12  # of the objective or of x: there is no least value


def interior_point(
    x, multipliers, slack, scalars, counters, trace, equal, data, work, conditions_data, conditions_work,
    tangent_data, tangent_work, hessian_data, hessian_work, iterations, tolerance, flat, affine, H, J, ready, cones, Z,
):  # fmt: skip
    """Run at most `iterations` iterations; returns RUNNING, CONVERGED, STALLED, DIVERGED, INFEASIBLE or UNBOUNDED.

    x: (n,); multipliers: (m,) of the `equal` equalities, then of the inequalities, whose slacks are slack: (m - equal,).
    flat, affine: 1 where the Hessian H of the Lagrangian (n, n), the Jacobian J of the conditions (m, n) are the same
    everywhere; ready: (2,) whether they are there. scalars, counters and trace: see above. cones, Z: see cone.py.
    """
    n, m = x.shape[0], multipliers.shape[0]
    g, c, dual, dZ, columns = np.zeros(n), np.zeros(m), np.zeros(n), np.zeros(n), np.zeros((n, m))
    K, U, pivots = np.zeros((n + equal, n + equal)), np.zeros((n + equal, n + equal)), np.zeros(n + equal, np.int64)
    right, step, spare = np.zeros(n + equal), np.zeros(n + equal), np.zeros(n + equal)
    ds, dm, trial, c_trial, s_trial = np.zeros(m - equal), np.zeros(m), np.zeros(n), np.zeros(m), np.zeros(m - equal)
    if counters[2] == 0:
        inside(x, cones)
    f = evaluated(x, g, c, np.zeros(m), counters, data, work, conditions_data, conditions_work)
    moved_by = opened(x, c, equal, affine, J, columns, spare, ready, tangent_data, tangent_work)
    if counters[2] == 0:
        begin(f, c, multipliers, slack, scalars, counters, equal)
        central(x, Z, cones, scalars[1])
    if not (math.isfinite(f) and all_numbers(c) and all_numbers(g)):
        return DIVERGED
    for _ in range(iterations):
        look(x, f, g, c, H, J, multipliers, slack, equal, scalars, counters, trace, flat, affine, ready, dual, columns, spare,
             trial, tangent_data, tangent_work, hessian_data, hessian_work, cones, Z)  # fmt: skip
        end = verdict(x, f, J, c, multipliers, equal, scalars, spare, tolerance, Z)
        if astray(end, affine, cones, counters, H, J, c, multipliers, slack, equal, dual, K, U, pivots, right):
            f = shaken(x, g, c, moved_by, trial, counters, data, work, conditions_data, conditions_work)
            begin(f, c, multipliers, slack, scalars, counters, equal)
            continue
        if end == CONVERGED:
            finish(x, g, c, J, H, multipliers, slack, equal, scalars, trial, c_trial, s_trial, columns, spare,
                   data, work, conditions_data, conditions_work, tangent_data, tangent_work, cones, Z, moved_by)  # fmt: skip
        if end != RUNNING:
            return end
        lower_barrier(dual, g, c, multipliers, slack, equal, scalars, tolerance, x, Z, cones)
        assemble(H, J, dual, c, multipliers, slack, equal, scalars[1], K, right)
        bend(K, right, x, Z, cones, scalars[1])
        if not solve_shifted(K, U, pivots, right, step, spare, n, equal, scalars, REACH * max(1.0, top(x))):
            return STALLED
        rest_of_step(J, c, multipliers, slack, equal, scalars[1], step, ds, dm, n)
        even(step[:n], cones)
        step_of(step[:n], x, Z, cones, scalars[1], dZ)
        moved = line_search(
            x, f, g, c, multipliers, slack, equal, scalars, H, step, ds, dm, trial, c_trial, s_trial, J, data, work,
            conditions_data, conditions_work, counters, dual, columns, spare, tangent_data, tangent_work, cones, Z, dZ, moved_by,
        )  # fmt: skip
        counters[0] += 1
        if not moved:
            counters[3] += 1
            if counters[3] > 3:
                return INFEASIBLE if scalars[5] > 1e-6 else STALLED
            restart(c, multipliers, slack, equal, scalars)
            central(x, Z, cones, scalars[1])
        f = evaluated(x, g, c, moved_by, counters, data, work, conditions_data, conditions_work)
    scalars[0] = f
    return RUNNING


def evaluated(x, g, c, moved_by, counters, data, work, conditions_data, conditions_work):
    """f, its gradient g and the conditions c at x."""
    counters[1] += 1
    held(x, c, moved_by, conditions_data, conditions_work)
    return objective(x, g, data, work)


def look(
    x, f, g, c, H, J, multipliers, slack, equal, scalars, counters, trace, flat, affine, ready, dual, columns, spare,
    trial, tangent_data, tangent_work, hessian_data, hessian_work, cones, Z,
):  # fmt: skip
    """The derivatives H, J and dual at x, as far as they are not known, and the KKT residual, also into the trace."""
    scalars[0] = f
    if affine == 0 or ready[1] == 0:
        transpose(x, columns, J, spare, tangent_data, tangent_work)
        ready[1] = 1
    lagrange_gradient(g, J, multipliers, Z, dual)
    scalars[2] = kkt(dual, g, c, multipliers, slack, 0.0, equal, scalars, x, Z, cones)
    scalars[9] = gap(dual, c, multipliers, slack, equal, x, Z) if scalars[8] >= 0.0 else math.nan
    if counters[0] < trace.shape[0]:
        trace[counters[0], 0], trace[counters[0], 1], trace[counters[0], 2] = f, scalars[2], scalars[9]
    if flat == 0 or ready[0] == 0:
        hessian(x, H, spare, trial, hessian_data, hessian_work)
        ready[0] = 1


def astray(end, affine, cones, counters, H, J, c, multipliers, slack, equal, dual, K, U, pivots, right):
    """Did a run that ends begin where nothing pulls, so that it is worth another start? It did where it ends at what is
    no minimum, and it may have where curved conditions seem to exclude each other. So did one that begins where a function
    has no derivative."""
    if counters[4] == SHAKES or cones.shape[0] > 0:
        return False
    if counters[0] == 0 and not (all_numbers(H.ravel()) and all_numbers(J.ravel())):
        return True
    if end == CONVERGED:
        return bent_down(H, J, c, multipliers, slack, equal, dual, K, U, pivots, right)
    return end == INFEASIBLE and affine == 0


def bent_down(H, J, c, multipliers, slack, equal, dual, K, U, pivots, right):
    """Is this stationary point none of a minimum: does the Hessian bend down where the equalities leave freedom?"""
    n, biggest = H.shape[0], 1.0
    assemble(H, J, dual, c, multipliers, slack, equal, 0.0, K, right)
    for i in range(n):
        biggest = max(biggest, abs(K[i, i]))
    for i in range(K.shape[0]):
        for j in range(K.shape[0]):
            U[i, j] = K[i, j]
        U[i, i] += 1e-7 * biggest * (1.0 if i < n else -1.0)
    return factor(U, pivots) > equal


def shaken(x, g, c, moved_by, trial, counters, data, work, conditions_data, conditions_work):
    """Move a little from where nothing pulls, such as the middle of a sphere; f there. Shorter where that is no number."""
    size = 0.3
    counters[4] += 1
    for j in range(x.shape[0]):
        trial[j] = x[j]
    for _ in range(TRIALS):
        for j in range(x.shape[0]):
            x[j] = trial[j] + size * max(1.0, abs(trial[j])) * math.sin((1.0 + counters[4]) * (j + 1.0))
        f = evaluated(x, g, c, moved_by, counters, data, work, conditions_data, conditions_work)
        if math.isfinite(f) and all_numbers(c):
            break
        size *= 0.5
    return f


def verdict(x, f, J, c, multipliers, equal, scalars, spare, tolerance, Z):
    """How the run ends at this point, or RUNNING."""
    if not math.isfinite(scalars[2]):
        return DIVERGED
    if scalars[2] <= tolerance or (scalars[8] > 0.0 and scalars[9] <= scalars[8] and scalars[5] <= tolerance):
        return CONVERGED
    if f < -FAR * max(1.0, abs(scalars[7])) and scalars[5] <= 1e-6 * max(1.0, top(x)):
        return UNBOUNDED
    if scalars[5] > 1e-6 and (stuck(J, c, equal, spare) or excluding(J, c, multipliers, equal, Z)):
        return INFEASIBLE
    return RUNNING


def begin(f, c, multipliers, slack, scalars, counters, equal):
    """Slacks of at least 1, multipliers that fit the first barrier."""
    scalars[1], scalars[3], scalars[4], scalars[6], scalars[7] = 0.1, 1.0, 0.0, math.inf, f
    multipliers[:equal] = 0.0
    for i in range(slack.shape[0]):
        slack[i] = max(-c[equal + i], 1.0)
        multipliers[equal + i] = scalars[1] / slack[i]
    counters[2] = 1


def restart(c, multipliers, slack, equal, scalars):
    """No step helps: widen the slacks and forget the multipliers of what is far from active."""
    scalars[1] = max(scalars[1], 0.01)
    scalars[6] = math.inf
    for i in range(slack.shape[0]):
        slack[i] = max(slack[i], -c[equal + i], 1e-2)
        multipliers[equal + i] = scalars[1] / slack[i]


def all_numbers(a):
    """Are all entries finite?"""
    total = 0.0
    for i in range(a.shape[0]):
        total += 0.0 * a[i]
    return total == 0.0


def top(a):
    """max |a|."""
    found = 0.0
    for i in range(a.shape[0]):
        found = max(found, abs(a[i]))
    return found


def transpose(x, columns, J, v, data, work):
    """The rows of the Jacobian of all conditions."""
    n, m = columns.shape
    if m == 0:
        return
    for j in range(n):
        v[j] = 0.0
    for j in range(n):
        v[j] = 1.0
        condition_tangent(x, v[:n], columns[j], data, work)
        v[j] = 0.0
        for i in range(m):
            J[i, j] = columns[j, i]


def hessian(x, H, v, out, data, work):
    """The Hessian of the Lagrangian, a column at a time."""
    n = x.shape[0]
    for j in range(n):
        v[j] = 0.0
    for j in range(n):
        v[j] = 1.0
        lagrangian_times(x, v[:n], out, data, work)
        v[j] = 0.0
        for i in range(n):
            H[i, j] = out[i]


def lagrange_gradient(g, J, multipliers, Z, dual):
    """dual = g + J' multipliers - Z."""
    for j in range(g.shape[0]):
        dual[j] = g[j] - Z[j]
    for i in range(multipliers.shape[0]):
        if multipliers[i] != 0.0:
            for j in range(g.shape[0]):
                dual[j] += J[i, j] * multipliers[i]


def kkt(dual, g, c, multipliers, slack, barrier, equal, scalars, x, Z, cones):
    """How far from a solution with this barrier; scalars[5] becomes the infeasibility."""
    size = max(1.0, top(g))
    found, open_ = max(top(dual), apart(x, Z, cones, barrier)) / size, 0.0
    for i in range(c.shape[0]):
        gap = abs(c[i]) if i < equal else max(c[i], 0.0)
        open_ = max(open_, gap)
        if i >= equal:
            s = slack[i - equal]
            found = max(found, abs(c[i] + s) / max(1.0, abs(s)))
            found = max(found, abs(s * multipliers[i] - barrier) / size)
        else:
            found = max(found, gap)
    scalars[5] = open_
    return found


def gap(dual, c, multipliers, slack, equal, x, Z):
    """What multipliers leave open between f and the dual value, and what the slope of the Lagrangian that is left may still
    bring within a distance of x from here (Boyd & Vandenberghe 2004, 11.7.1, ask for feasibility besides)."""
    total = 0.0
    for j in range(x.shape[0]):
        total += abs(dual[j]) * max(1.0, abs(x[j])) + x[j] * Z[j]
    for i in range(c.shape[0]):
        held = abs(c[i]) if i < equal else max(slack[i - equal], abs(c[i]))
        total += abs(multipliers[i]) * held
    return total


def stuck(J, c, equal, spare):
    """Is the squared violation of the conditions stationary, so that no small step makes it less?"""
    violation, size = 0.0, 0.0
    for j in range(J.shape[1]):
        total, length = 0.0, 0.0
        for i in range(c.shape[0]):
            v = c[i] if i < equal else max(c[i], 0.0)
            total += J[i, j] * v
            length = max(length, abs(J[i, j] * v))
        violation = max(violation, abs(total))
        size = max(size, length)
    return violation <= 1e-9 * size


def excluding(J, c, multipliers, equal, Z):
    """Do large multipliers say that the conditions exclude each other: J' m - Z = 0 where m' c > 0, both next to m?

    Multipliers without end say so by themselves, unless m' c = 0: then equalities only repeat each other."""
    size, total, off, largest = top(multipliers), 0.0, 0.0, 0.0
    if size <= 1e8:
        return False
    for i in range(c.shape[0]):
        gap = c[i] if i < equal else max(c[i], 0.0)
        total += multipliers[i] * gap
        off = max(off, abs(gap))
    for j in range(J.shape[1]):
        pull = -Z[j]
        for i in range(c.shape[0]):
            pull += J[i, j] * multipliers[i]
        largest = max(largest, abs(pull))
    return total > 1e-3 * size * off and (largest <= 1e-8 * size or size > 1e14)


def lower_barrier(dual, g, c, multipliers, slack, equal, scalars, tolerance, x, Z, cones):
    """A smaller barrier once the problem with this one is solved well enough."""
    for _ in range(60):
        error = kkt(dual, g, c, multipliers, slack, scalars[1], equal, scalars, x, Z, cones)
        least = 0.1 * tolerance * max(1.0, top(g))
        if error > 10.0 * scalars[1] or scalars[1] <= least or slack.shape[0] + cones.shape[0] == 0:
            return
        scalars[1] = max(least, min(0.2 * scalars[1], scalars[1] ** 1.5))
        scalars[3], scalars[6] = 1.0, math.inf


def assemble(H, J, dual, c, multipliers, slack, equal, barrier, K, right):
    """[H + G' (z/s) G, C'; C, 0] and its right side: slacks and their multipliers are eliminated."""
    n, m = H.shape[0], c.shape[0]
    for i in range(n):
        for j in range(n):
            K[i, j] = 0.5 * (H[i, j] + H[j, i])
        right[i] = -dual[i]
    for i in range(equal):
        for j in range(n):
            K[n + i, j] = K[j, n + i] = J[i, j]
        for j in range(equal):
            K[n + i, n + j] = 0.0
        right[n + i] = -c[i]
    for i in range(equal, m):
        s, z = slack[i - equal], multipliers[i]
        ratio = z / s
        push = (barrier + z * c[i]) / s  # (mu - s z + z (g + s)) / s
        for j in range(n):
            a = J[i, j]
            if a != 0.0:
                right[j] -= a * push
                for k in range(n):
                    K[j, k] += (ratio * a) * J[i, k]


def solve_shifted(K, U, pivots, right, step, spare, n, equal, scalars, reach):
    """Solve with the least shift of the Hessian that makes it positive definite where the equalities leave freedom.

    Where a shift is needed no step is longer than `reach`: a Hessian that says nothing of a direction says not how far."""
    size, shift, small = n + equal, 0.0, 0.0
    for attempt in range(40):
        for i in range(size):
            for j in range(size):
                U[i, j] = K[i, j]
        for i in range(n):
            U[i, i] += shift
        for i in range(n, size):
            U[i, i] -= small
        negative = factor(U, pivots)
        if negative == equal:
            if shift > 0.0:
                scalars[4] = shift
            for i in range(n):
                K[i, i] += shift
            solve_symmetric(K, U, pivots, right, step, spare)
            bearable = top(step[n:]) <= HUGE * max(1.0, top(right)) if attempt == 0 else top(step[:n]) <= reach
            if all_numbers(step) and bearable:
                return True
            for i in range(n):
                K[i, i] -= shift
        if attempt == 0:
            biggest = 0.0
            for i in range(n):
                biggest = max(biggest, abs(K[i, i]))
            small = 1e-11 * max(1.0, biggest)
            shift = 1e-11 * max(1.0, biggest)
        elif attempt == 1:
            shift = max(1e-8, scalars[4] / 3.0)
        else:
            shift *= 8.0
    return False


def rest_of_step(J, c, multipliers, slack, equal, barrier, step, ds, dm, n):
    """The steps of slacks and multipliers from that of x."""
    for i in range(equal):
        dm[i] = step[n + i]
    for i in range(equal, c.shape[0]):
        along = 0.0
        for j in range(n):
            along += J[i, j] * step[j]
        s, z = slack[i - equal], multipliers[i]
        ds[i - equal] = -(c[i] + s) - along
        dm[i] = (barrier - s * z - z * ds[i - equal]) / s


def boundary(values, change, offset, part):
    """The longest step up to 1 that keeps `part` of each value away from 0."""
    longest = 1.0
    for i in range(change.shape[0] - offset):
        if change[offset + i] < 0.0:
            longest = min(longest, -part * values[offset + i] / change[offset + i])
    return longest


def merit(f, c, slack, equal, barrier, weight, x, cones):
    """f - barrier (sum log s + log det X) + weight |conditions|_1."""
    total, logs = 0.0, -barrier_of(x, cones)
    for i in range(c.shape[0]):
        total += abs(c[i]) if i < equal else abs(c[i] + slack[i - equal])
    for i in range(slack.shape[0]):
        logs += math.log(slack[i])
    return f - barrier * logs + weight * total


def line_search(
    x, f, g, c, multipliers, slack, equal, scalars, H, step, ds, dm, trial, c_trial, s_trial, J, data, work,
    conditions_data, conditions_work, counters, dual, columns, spare, tangent_data, tangent_work, cones, Z, dZ, moved_by,
):  # fmt: skip
    """Move x, slacks and multipliers along their steps, so far that the merit or the KKT residual is less."""
    n, barrier = x.shape[0], scalars[1]
    part = max(0.99, 1.0 - barrier)
    longest = room(x, step[:n], cones, boundary(slack, ds, 0, part), part)
    of_dual = room(Z, dZ, cones, boundary(multipliers, dm, equal, part), part)
    slope, bent, off = barrier * along(step[:n], x, cones), 0.0, 0.0
    for j in range(n):
        slope += g[j] * step[j]
        for k in range(n):
            bent += step[j] * H[j, k] * step[k]
    for i in range(slack.shape[0]):
        slope -= barrier * ds[i] / slack[i]
    for i in range(c.shape[0]):
        off += abs(c[i]) if i < equal else abs(c[i] + slack[i - equal])
    if off > 0.0:
        wanted = (slope + 0.5 * max(bent, 0.0)) / (0.7 * off)
        if wanted > scalars[3]:
            scalars[3] = 1.5 * wanted
    start = merit(f, c, slack, equal, barrier, scalars[3], x, cones)
    slope -= scalars[3] * off
    size, noise = longest, 1e-13 * max(1.0, abs(start))
    for attempt in range(TRIALS):
        for j in range(n):
            trial[j] = x[j] + size * step[j]
        for i in range(slack.shape[0]):
            s_trial[i] = slack[i] + size * ds[i]
        new = objective(trial, spare[:n], data, work)
        held(trial, c_trial, moved_by, conditions_data, conditions_work)
        counters[1] += 1
        if math.isfinite(new) and all_numbers(c_trial):
            for i in range(slack.shape[0]):
                s_trial[i] = max(s_trial[i], -c_trial[equal + i])
            after = merit(new, c_trial, s_trial, equal, barrier, scalars[3], trial, cones)
            good = after <= start + SUFFICIENT * size * min(slope, 0.0) + (noise if slope > -noise else 0.0)
            if not good and attempt == 0:
                good = closer(trial, c_trial, s_trial, multipliers, dm, equal, of_dual, scalars, J, columns, dual,
                              data, work, step, tangent_data, tangent_work, cones, Z, dZ)  # fmt: skip
            if good:
                for j in range(n):
                    Z[j] += of_dual * dZ[j]
                take(x, slack, multipliers, trial, s_trial, dm, equal, size, of_dual, barrier)
                counters[3] = 0
                return True
        size *= 0.5
    return False


def closer(
    trial, c_trial, s_trial, multipliers, dm, equal, of_dual, scalars, J, columns, dual, data, work, step,
    tangent_data, tangent_work, cones, Z, dZ,
):  # fmt: skip
    """Is the KKT residual of this barrier a tenth less than ever, with the whole step? (The merit may stand in the way.)"""
    n, m = trial.shape[0], c_trial.shape[0]
    rows, other, gradient, v = np.zeros((m, n)), np.zeros(m), np.zeros(n), np.zeros(n)
    objective(trial, gradient, data, work)
    transpose(trial, columns, rows, v, tangent_data, tangent_work)
    for i in range(m):
        other[i] = multipliers[i] + (1.0 if i < equal else of_dual) * dm[i]
    beyond = Z + of_dual * dZ
    lagrange_gradient(gradient, rows, other, beyond, v)
    kept = scalars[5]
    error = kkt(v, gradient, c_trial, other, s_trial, scalars[1], equal, scalars, trial, beyond, cones)
    scalars[5] = kept
    if error < 0.9 * scalars[6] and math.isfinite(error):
        scalars[6] = error
        return True
    return False


def take(x, slack, multipliers, trial, s_trial, dm, equal, size, of_dual, barrier):
    """The step; multipliers of inequalities stay within a factor of barrier / slack."""
    for j in range(x.shape[0]):
        x[j] = trial[j]
    for i in range(multipliers.shape[0]):
        if i < equal:
            multipliers[i] += size * dm[i]
        else:
            s = s_trial[i - equal]
            slack[i - equal] = s
            z = multipliers[i] + of_dual * dm[i]
            multipliers[i] = min(max(z, barrier / (1e10 * s)), 1e10 * barrier / s)

"""The last step of interior_point.py: Newton's method with what is active held at 0, so that slack or multiplier are exactly 0.

Needs what interior_point.py needs, and its kkt, lagrange_gradient and transpose. Source: Nocedal & Wright, Numerical
Optimization (2006), section 16.5, for the change of the active set.
"""

import numpy as np

POLISHED = 12
INSIDE = 1e-6  # of the multipliers of cones, next to the gradient


def finish(
    x, g, c, J, H, multipliers, slack, equal, scalars, trial, c_trial, s_trial, columns, spare, data, work,
    conditions_data, conditions_work, tangent_data, tangent_work, cones, Z, moved_by,
):  # fmt: skip
    """The last step, where no matrix is at the boundary of its cone."""
    if top(Z) > INSIDE * max(1.0, top(g)):
        return
    kept, before = Z.copy(), scalars[2]
    Z[:] = 0.0
    polish(x, g, c, J, H, multipliers, slack, equal, scalars, trial, c_trial, s_trial, columns, spare,
           data, work, conditions_data, conditions_work, tangent_data, tangent_work, cones, Z, moved_by)  # fmt: skip
    if scalars[2] >= before:
        Z[:] = kept


def polish(
    x, g, c, J, H, multipliers, slack, equal, scalars, trial, c_trial, s_trial, columns, spare, data, work,
    conditions_data, conditions_work, tangent_data, tangent_work, cones, Z, moved_by,
):  # fmt: skip
    """Newton steps with the active inequalities as equalities; one is taken where it leaves a smaller KKT residual.

    Active is first what has a multiplier above its slack. Then what is violated becomes active and what has a negative
    multiplier does not stay so. At the end slack or multiplier are exactly 0.
    """
    n, m, better = x.shape[0], multipliers.shape[0], False
    rows, active, found = np.zeros(m, np.int64), np.ones(m, np.int64), multipliers.copy()
    for i in range(equal, m):
        active[i] = 1 if multipliers[i] > slack[i - equal] else 0
    gradient, dual, infeasible, moved = spare[:n].copy(), np.zeros(n), scalars[5], x.copy()
    for _ in range(POLISHED):
        if not newton_step(moved, g if not better else gradient, c, J, H, active, rows, found, trial):
            break
        even(trial, cones)
        objective(trial, gradient, data, work)
        held(trial, c_trial, moved_by, conditions_data, conditions_work)
        transpose(trial, columns, J, spare, tangent_data, tangent_work)
        lagrange_gradient(gradient, J, found, Z, dual)
        for i in range(slack.shape[0]):
            s_trial[i] = max(-c_trial[equal + i], 0.0)
        size, changed = max(1.0, top(gradient)), 0
        error = kkt(dual, gradient, c_trial, found, s_trial, 0.0, equal, scalars, trial, Z, cones)
        for i in range(equal, m):
            error = max(error, -found[i] / size)
            wrong = found[i] < -1e-14 * size if active[i] == 1 else c_trial[i] > 1e-14 * max(1.0, top(trial))
            if wrong:
                active[i] = 1 - active[i]
                changed += 1
        if error < scalars[2]:
            scalars[2], infeasible, better = error, scalars[5], True
            for j in range(n):
                x[j] = moved[j] = trial[j]
            for i in range(m):
                c[i], multipliers[i] = c_trial[i], found[i]
                if i >= equal:
                    slack[i - equal] = s_trial[i - equal]
        elif changed == 0:
            break
    scalars[5] = infeasible


def newton_step(x, g, c, J, H, active, rows, found, trial):
    """trial = x + step to a stationary point where all that is active is 0; `found` are the multipliers there."""
    n, m, held = x.shape[0], found.shape[0], 0
    for i in range(m):
        found[i] = 0.0
        if active[i] == 1:
            rows[held] = i
            held += 1
    size = n + held
    K, U, pivots = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size, np.int64)
    right, step, rest = np.zeros(size), np.zeros(size), np.zeros(size)
    for i in range(n):
        right[i] = -g[i]
        for j in range(n):
            K[i, j] = 0.5 * (H[i, j] + H[j, i])
    for k in range(held):
        right[n + k] = -c[rows[k]]
        for j in range(n):
            K[j, n + k] = K[n + k, j] = J[rows[k], j]
    biggest = 0.0
    for i in range(n):
        biggest = max(biggest, abs(K[i, i]))
    for shift in (0.0, 1e-11, 1e-8):  # a shift holds what does not change, and conditions that say the same
        for i in range(size):
            for j in range(size):
                U[i, j] = K[i, j]
            U[i, i] += shift * max(1.0, biggest) * (1.0 if i < n else -1.0)
        if factor(U, pivots) == held:
            solve_symmetric(K, U, pivots, right, step, rest)
            if top(step[n:]) <= HUGE * max(1.0, top(right)):
                break
    else:
        return False
    for j in range(n):
        trial[j] = x[j] + step[j]
    for k in range(held):
        found[rows[k]] = step[n + k]
    return True

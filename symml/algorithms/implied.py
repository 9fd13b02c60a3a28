"""Inequalities that equalities make exact, for interior_point.py: x[j] >= 0 where x[j] = 0. They leave no interior, and their
multipliers are any; each is moved out of the way by 1, and the equality keeps it.
"""

import numpy as np

EXACT = 1e-9  # of an end, next to what it bounds


def opened(x, c, equal, affine, J, columns, spare, ready, data, work):
    """By how much each condition is moved, which c then is; none where J, which is found here, is not constant."""
    moved = np.zeros(c.shape[0])
    if affine == 1 and equal > 0 and equal < c.shape[0]:
        transpose(x, columns, J, spare, data, work)
        ready[1] = 1
        moved[:] = moved_ends(J, c, equal)
        for i in range(c.shape[0]):
            c[i] -= moved[i]
    return moved


def moved_ends(J, c, equal):
    """By how much each condition is moved: 1 for inequalities of one unknown that an equality of the same unknown alone sets to
    their end. J: (m, n) the Jacobian, which is the same everywhere; c: (m,) all conditions at some point."""
    m, n = J.shape
    found, fixed, value = np.zeros(m), np.zeros(n, np.int64), np.zeros(n)
    for i in range(equal):
        j = only_one(J, i)
        if j >= 0:
            fixed[j], value[j] = 1, -c[i] / J[i, j]
    for i in range(equal, m):
        j = only_one(J, i)
        if j >= 0 and fixed[j] == 1:
            there = c[i] + J[i, j] * value[j]
            if abs(there) <= EXACT * max(1.0, abs(J[i, j])):
                found[i] = 1.0
    return found


def only_one(J, i):
    """The only unknown of a condition, -1 where it has none or more."""
    at = -1
    for j in range(J.shape[1]):
        if J[i, j] != 0.0:
            if at >= 0:
                return -1
            at = j
    return at


def held(x, c, moved, data, work):
    """All conditions at x, some of them moved."""
    conditions(x, c, data, work)
    for i in range(c.shape[0]):
        c[i] -= moved[i]

"""Affine conditions that exclude each other, found by a linear program.

An interior-point method that meets such conditions most often tells so itself, by multipliers without end. Where it ends in
another way, the least t is asked for at which an x has |A x + b| <= t in the equalities, A x + b <= t in the inequalities.

    missed(A, b, equal)  ->  0.5, by how much the best point misses a condition; 0 where there is a point that meets them all
"""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-6  # of a right side; the program keeps 1e-7


def missed(A: np.ndarray, b: np.ndarray, equal: int) -> float:
    """A: (conditions, unknowns), b: (conditions,), of which the first `equal` are equalities."""
    from scipy.optimize import linprog  # it takes long to import, and few runs come here

    rows, sides = np.vstack([A, -A[:equal]]), -np.concatenate([b, -b[:equal]])
    n, m = A.shape[1], rows.shape[0]
    found = linprog(
        np.append(np.zeros(n), 1.0),
        A_ub=np.column_stack([rows, -np.ones(m)]),
        b_ub=sides,
        bounds=[(None, None)] * n + [(0.0, None)],
    )
    least = float(found.fun) if found.status == 0 else 0.0
    return least if least > TOLERANCE * max(1.0, float(np.abs(b).max())) else 0.0

"""The multipliers of constraints that a projection keeps: what the slope of a solution says of them.

At a solution g + sum of multiplier * slope of residual = 0, g the slope of the smooth part and of its penalties. A sum takes
what is common to all entries between their bounds, a ball what points along x, and what is left is the bounds'.
"""

from __future__ import annotations

import math

import numpy as np

from symml.algorithms.proximal import onto_level, row_start
from symml.runtime.launch import Problem, shape
from symml.runtime.solving_bounds import at_ends

INSIDE = 1e-9  # of a ball, next to its radius


def of_projections(p: Problem, sets: tuple[np.ndarray, ...], g: np.ndarray) -> dict[str, object]:
    """Multipliers by the names of conditions; sets as in proximal.py, g: the slope of the smooth part."""
    facts, found, left = p.kernel.manifest["method"]["facts"], {}, _with_penalties(p.x, sets, g)
    number = {q["name"]: k for k, q in enumerate(p.kernel.manifest["params"])}
    for w in facts["wholes"]:
        k = number[w["param"]]
        if sets[0][k, 2] == 3:
            numbers, axis = shape(p.dims, p.kernel.manifest["params"][k]["shape"]), facts["axes"][k]
            rest = numbers[:axis] + numbers[axis + 1 :] if axis >= 0 else numbers[:-1]
            found[w["name"]] = (_of_sums(p.x, left, sets, k) / w["slope"]).reshape(rest).tolist()
        else:
            found[w["name"]] = _of_norm(p.x, left, sets, k, w["squared"]) / w["slope"]
    return {**found, **at_ends(p, p.x, left)}


def _with_penalties(x: np.ndarray, sets: tuple[np.ndarray, ...], g: np.ndarray) -> np.ndarray:
    """The slope of the smooth part and of weighted absolute values; at 0 the one that leaves least for the bounds."""
    blocks, figures, *_ = sets
    left = g.copy()
    for start, stop, kind, _, _, first in blocks.tolist():
        if kind == 1:
            part = slice(start, stop)
            least = np.sign(g[part]) * np.maximum(np.abs(g[part]) - figures[first], 0.0)
            left[part] = np.where(x[part] == 0.0, least, g[part] + figures[first] * np.sign(x[part]))
    return left


def _of_sums(x: np.ndarray, left: np.ndarray, sets: tuple[np.ndarray, ...], k: int) -> np.ndarray:
    """The multiplier of each row's sum, its part taken out of `left`: the mean over the entries between their bounds."""
    blocks, figures, lower, upper, normal = sets
    start, stop, _, width, stride, first = blocks[k].tolist()
    rows = (stop - start) // width
    found = np.zeros(rows)
    for row in range(rows):
        at = row_start(blocks, k, row)
        i = np.arange(at, at + width * stride, stride)
        a, free = normal[i], (x[i] > lower[i]) & (x[i] < upper[i]) & (normal[i] != 0.0)
        if free.any():
            found[row] = -float(a[free] @ left[i][free]) / float(a[free] @ a[free])
        else:
            found[row] = onto_level(x - left, at, width, stride, figures[first + row], lower, upper, normal)
        left[i] += found[row] * a
        left[i[free]] = 0.0
    return found


def _of_norm(x: np.ndarray, left: np.ndarray, sets: tuple[np.ndarray, ...], k: int, squared: bool) -> float:
    """The multiplier of a norm at its bound, 0 inside."""
    blocks, figures, *_ = sets
    start, stop, _, _, _, first = blocks[k].tolist()
    part, radius = x[start:stop], float(figures[first])
    size = math.sqrt(float(part @ part))
    if size < (1.0 - INSIDE) * radius or size == 0.0:
        return 0.0
    along = max(0.0, -float(left[start:stop] @ part) / size)
    return along / (2.0 * size) if squared else along

"""A duality gap from the slope at a point nearby, where that of the solution itself bounds nothing.

At a solution of min f(x) + h(x) a slope has the sign, or the size, that a dual point must have only up to rounding: w >= 0
asks for g >= 0 and finds -1e-16. By the convexity of f every slope g' = f'(x') bounds f from below,

    f(u) + h(u) >= f(x') + g'(u - x') + h(u)   for all u,

so the slope of a point x' next to x, moved by H (x' - x) = what is missing, is a dual point whose value is nearly the best.

    nearby(evaluate, x, g, aim, bound, most)  ->  the gap, infinite where no such point is found
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from symml.algorithms.proximal import penalty, support

MARGINS = (1.0, 10.0, 1e3)  # by how much more than what is missing the slope is moved
REACH = 1e-4  # of a difference of slopes, next to x
Vector = np.ndarray


def nearby(
    evaluate: Callable[[Vector], tuple[float, Vector]],
    x: Vector,
    g: Vector,
    aim: Callable[[Vector, float], Vector],
    bound: Callable[[Vector, float, Vector], float],
    most: int,
) -> float:
    """The least gap that is found with `most` evaluations a try. evaluate(x) -> f, its slope; aim(g, margin) -> a slope like
    g that is a dual point with some room; bound(x', f', g') -> the gap of the slope at x', infinite where it bounds nothing."""
    for margin, alone in ((m, a) for m in MARGINS for a in (True, False)):
        missing = aim(g, margin) - g
        if not missing.any():
            return math.inf
        there = x + _solved(evaluate, x, g, missing, missing != 0.0 if alone else np.ones(x.shape, bool), most)
        if np.isfinite(there).all():
            f, slope = evaluate(there)
            found = bound(there, f, slope) if math.isfinite(f) and np.isfinite(slope).all() else math.inf
            if math.isfinite(found):
                return found
    return math.inf


def _solved(evaluate: Callable, x: Vector, g: Vector, right: Vector, moving: Vector, most: int) -> Vector:
    """H d = right in the entries that move, by conjugate gradients, H times a vector by differences of slopes, until no entry
    is a quarter of the largest off."""
    d, r = np.zeros_like(x), right.copy()
    p, enough, size = r.copy(), 0.25 * np.max(np.abs(right)), float(r @ r)
    for _ in range(most):
        h = REACH * max(1.0, float(np.max(np.abs(x)))) / float(np.max(np.abs(p)))
        q = np.where(moving, (evaluate(x + h * p)[1] - g) / h, 0.0)
        along = float(p @ q)
        if not along > 0.0:
            return d
        d += size / along * p
        r -= size / along * q
        if np.max(np.abs(r)) <= enough:
            return d
        size, before = float(r @ r), size
        p = r + size / before * p
    return d


def of_sets(sets: tuple[Vector, ...]) -> tuple[Callable, Callable]:
    """`aim`, and h(x) + h*(-g) + g'x of a point and a slope, for the penalties and sets of proximal.py."""
    blocks, figures, lower, upper, _ = sets
    weight, groups, spare = np.full(lower.shape, np.inf), [], np.zeros(lower.shape)
    for start, stop, kind, width, _, first in blocks.tolist():
        if kind < 2:
            weight[start:stop] = figures[first] if kind == 1 else 0.0
        if kind == 2:
            groups.append((slice(start, stop), width, float(figures[first])))
    alone = one_sided(lower, upper, weight)

    def aim(g: Vector, margin: float) -> Vector:
        wanted = alone(g, margin)
        for place, width, most in groups:
            sizes = np.linalg.norm(g[place].reshape((-1, width)), axis=1)
            room = 2.0 * margin * max(float(np.max(sizes - most)), np.finfo(float).tiny)
            part = np.minimum(1.0, (most - room) / np.maximum(sizes, np.finfo(float).tiny))
            wanted[place] = np.repeat(part, width) * g[place]
        return wanted

    def left(x: Vector, g: Vector) -> float:
        return penalty(x, sets) + support(x, g, 1.0, sets, spare) + float(x @ g)

    return aim, left


def one_sided(low: Vector, high: Vector, weight: Vector) -> Callable[[Vector, float], Vector]:
    """`aim` for u between ends with weight |u|, entry by entry: where an end is not there, the slope may not exceed the weight
    on its side. Ends that are not there are infinite."""

    def aim(g: Vector, margin: float) -> Vector:
        over = np.maximum(np.where(np.isinf(high), -g - weight, 0.0), np.where(np.isinf(low), g - weight, 0.0))
        room = 2.0 * margin * max(float(np.max(over, initial=0.0)), np.finfo(float).tiny)
        wanted = np.where(np.isinf(high), np.maximum(g, room - weight), g)
        return np.where(np.isinf(low), np.minimum(wanted, weight - room), wanted)

    return aim

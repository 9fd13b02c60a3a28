"""A duality gap from the slope at a point nearby, where that of the solution itself bounds nothing.

At a solution of min f(x) + h(x) a slope has the sign, or the size, that a dual point must have only up to rounding: w >= 0
asks for g >= 0 and finds -1e-16. By the convexity of f every slope g' = f'(x') bounds f from below,

    f(u) + h(u) >= f(x') + g'(u - x') + h(u)   for all u,

so the slope of a point x' next to x, moved by H (x' - x) = what is missing, is a dual point whose value is nearly the best.

An entry without ends and without weight asks for a slope of exactly 0, which no computed slope has: the point is refined until
the one where it is 0 is the same within rounding.

    nearby(evaluate, x, g, aim, bound, most, free)  ->  the gap, infinite where no such point is found
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from symml.algorithms.proximal import feasible_part, penalty, support

MARGINS = (1.0, 10.0, 1e3)  # by how much more than what is missing the slope is moved
REACH = 1e-4  # of a difference of slopes, next to x
REFINED = 8  # times at most
SAME = 1e-11  # of a point, next to it
Vector = np.ndarray


def nearby(
    evaluate: Callable[[Vector], tuple[float, Vector]],
    x: Vector,
    g: Vector,
    aim: Callable[[Vector, float], Vector],
    bound: Callable[[Vector, float, Vector], float],
    most: int,
    free: Vector,
) -> float:
    """The least gap that is found with `most` evaluations a try. evaluate(x) -> f, its slope; aim(g, margin) -> a slope like
    g that is a dual point with some room; bound(x', f', g') -> the gap of the slope at x', infinite where it bounds nothing;
    free: the entries whose slope is to be 0."""
    all_, first = np.ones(x.shape, bool), [(np.where(free, -g, 0.0), free)] if free.any() else []
    aims = [(aim(g, m) - g, a) for m in MARGINS for a in (True, False)]
    for missing, moving in (*first, *((v, v != 0.0 if a else all_) for v, a in aims)):
        if not missing.any():
            if missing is aims[0][0]:
                return math.inf
            continue
        there = x + _solved(evaluate, x, g, missing, moving, most, 0.25)
        if not np.isfinite(there).all():
            continue
        there, f, slope = _settled(evaluate, there, free, most) if free.any() else (there, *evaluate(there))
        found = bound(there, f, slope) if math.isfinite(f) and np.isfinite(slope).all() else math.inf
        if math.isfinite(found):
            return found
    return math.inf


def _settled(evaluate: Callable, x: Vector, free: Vector, most: int) -> tuple[Vector, float, Vector]:
    """A point near x, its f and slope, whose slope is 0 in the free entries at the same point within rounding, and is said to
    be so; an infinite f where there is none."""
    for _ in range(REFINED):
        f, slope = evaluate(x)
        missing = np.where(free, -slope, 0.0)
        if not (math.isfinite(f) and np.isfinite(missing).all()):
            break
        change = _solved(evaluate, x, slope, missing, free, most, 1e-4) if missing.any() else missing
        if np.all(np.abs(change) <= SAME * np.maximum(1.0, np.abs(x))):
            return x, f, np.where(free, 0.0, slope)
        x = x + change
    return x, math.inf, x


def _solved(evaluate: Callable, x: Vector, g: Vector, right: Vector, moving: Vector, most: int, part: float) -> Vector:
    """H d = right in the entries that move, by conjugate gradients, H times a vector by differences of slopes, until no entry
    is off by more than a part of the largest."""
    d, r = np.zeros_like(x), right.copy()
    p, enough, size = r.copy(), part * np.max(np.abs(right)), float(r @ r)
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


def of_sets(sets: tuple[Vector, ...], x: Vector, at: float, squares: bool) -> tuple[Callable, Callable, Vector]:
    """`aim`, `bound` of x with f = at, and what is free, for the penalties and sets of proximal.py. Where f is half a sum of
    `squares` of affine residuals, a part s <= 1 of a slope bounds it, too: by (2 s - s^2) f' + s g'(u - x')."""
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

    def bound(there: Vector, f: float, g: Vector) -> float:
        s, along = feasible_part(g, sets) if squares else 1.0, float(g @ (there - x))
        if s == 0.0:
            return math.inf
        lost = max(0.0, at - f + along) + (1.0 - s) * ((1.0 - s) * f - along)
        return max(0.0, penalty(x, sets) + support(x, g, s, sets, spare) + s * float(x @ g) + lost)

    return aim, bound, (weight == 0.0) & np.isinf(lower) & np.isinf(upper)


def one_sided(low: Vector, high: Vector, weight: Vector) -> Callable[[Vector, float], Vector]:
    """`aim` for u between ends with weight |u|, entry by entry: where an end is not there, the slope may not exceed the weight
    on its side. Ends that are not there are infinite."""

    def aim(g: Vector, margin: float) -> Vector:
        over = np.maximum(np.where(np.isinf(high), -g - weight, 0.0), np.where(np.isinf(low), g - weight, 0.0))
        room = 2.0 * margin * max(float(np.max(over, initial=0.0)), np.finfo(float).tiny)
        most = np.where(np.isinf(low) & np.isinf(high), np.maximum(weight - room, 0.0), weight - room)
        wanted = np.where(np.isinf(high), np.maximum(g, -most), g)
        return np.where(np.isinf(low), np.minimum(wanted, most), wanted)

    return aim

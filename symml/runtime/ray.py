"""What is asked about the end of a run, numerically: does the objective fall for ever along the way that it went, does it bend
down where its gradient is 0?

    bends_down(gradient, x), falls_nearby(value, x)  bool
    direction = endless(value, missed, x, start)     a unit direction, or None

Along the direction the objective must fall at 30 points, each a thousand times as far as the last, by no less from one to
the next: a logarithm does, 1/w, exp(-w) and a valley very far away do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

LONG = 1e3  # times the start: where a run is far away
POINTS = 30
FACTOR = 1e3
STEADY = 0.999  # of the last fall
ROUNDS = 30
BENT = 1e-4  # next to the largest eigenvalue: beyond what differences tell
LARGE = 1e-3  # of the largest entry
FALL = 1e-9  # next to the value: a fall beyond rounding
NEARBY = (1e-2, 1e-1)  # next to the point: where its value is compared
MOST_WAYS = 20
MISSED = 1e-6  # of conditions, next to the point


def far(x: np.ndarray, start: np.ndarray) -> bool:
    """Has a run gone so far that it is worth a question?"""
    return bool(np.max(np.abs(x), initial=0.0) >= LONG * max(1.0, float(np.max(np.abs(start), initial=0.0))))


def endless(
    value: Callable[[np.ndarray], float], missed: Callable[[np.ndarray], float], x: np.ndarray, start: np.ndarray
) -> np.ndarray | None:
    """The direction, of largest entry 1, along which `value` falls for ever, as far as numbers tell.

    missed(x): by how much x misses its conditions. Only what has gone far from `start` makes the direction, or the largest
    entries alone; x is far.
    """
    size = float(np.max(np.abs(x), initial=0.0))
    moved = np.abs(x - start) > 10.0 * np.maximum(1.0, np.abs(start))
    for which in (moved, np.abs(x) >= LARGE * size):
        direction = np.where(which, x, 0.0) / size
        if _falls(value, missed, x, direction, size):
            return direction
    return None


def _falls(
    value: Callable[[np.ndarray], float],
    missed: Callable[[np.ndarray], float],
    x: np.ndarray,
    direction: np.ndarray,
    along: float,
) -> bool:
    """Does `value` fall at all points, and by no less from one to the next?"""
    before, fall = value(x), 0.0
    for _ in range(POINTS):
        along *= FACTOR
        there = x + along * direction
        now = value(there)
        if not missed(there) <= MISSED * max(1.0, float(np.max(np.abs(there)))):
            return False
        if now == -np.inf:
            return True
        if not before - now >= max(STEADY * fall, FALL * max(1.0, abs(before))):
            return False
        before, fall = now, before - now
    return True


def falls_nearby(value: Callable[[np.ndarray], float], x: np.ndarray) -> bool:
    """Is a stationary point clearly above two points on one line from it, where second derivatives are 0 (x^3 at 0)?"""
    rng, here, size = np.random.default_rng(0), value(x), max(1.0, float(np.max(np.abs(x), initial=0.0)))
    ways = [*np.eye(x.shape[0])[:MOST_WAYS], *rng.normal(size=(MOST_WAYS, x.shape[0])) / math.sqrt(max(1, x.shape[0]))]
    for way in (sign * way for way in ways for sign in (1.0, -1.0)):
        near, further = (value(x + step * size * way) for step in NEARBY)
        if further < near < here - FALL * max(1.0, abs(here)):
            return True
    return False


def bends_down(gradient: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> bool:
    """Has the Hessian at a stationary point an eigenvalue clearly below 0? By power iteration on differences of gradients."""
    rng, step = np.random.default_rng(0), 1e-5 * max(1.0, float(np.max(np.abs(x), initial=0.0)))

    def times(v: np.ndarray) -> np.ndarray:
        return (gradient(x + step * v) - gradient(x - step * v)) / (2.0 * step)

    largest = 0.0
    for shift in (0.0, 1.0):  # first the largest in size, then the least
        v = rng.normal(size=x.shape[0])
        for _ in range(ROUNDS):
            v /= np.linalg.norm(v)
            w = shift * largest * v - times(v) if shift else times(v)
            if not np.isfinite(w).all() or not w.any():
                return False
            bent = float(v @ w)
            v = w
        if not shift:
            largest = abs(bent)
    return largest - bent < -BENT * largest

"""Proximal operators, projections, and what tells how near a composite problem is to its solution, for proximal_gradient and
coordinate_descent.

A problem is F(x) = f(x) + penalties, each block of x in a set. sets = (blocks, figures, lower, upper, normal): block k is
x[blocks[k, 0] : blocks[k, 1]] of the kind blocks[k, 2], its rows have blocks[k, 3] entries at a distance of blocks[k, 4], its
numbers begin at figures[blocks[k, 5]]:

    0 none; 1 weight sum |x_j|, both between lower and upper
    2 weight sum over rows of their norm
    3 each row between lower and upper with normal'row = its total (a simplex: normal 1, lower 0)
    4 ||block|| <= radius

Sources: Parikh & Boyd, Proximal Algorithms (2014), section 6; Fenchel's dual, Bauschke & Combettes (2017), chapter 15.
"""

import math

import numpy as np

ROUNDING = 1e-15
GAP = 1e-4  # of the tolerance, relative to F; then ten times the tolerance is enough for the residual


def solved(scalars, tolerance):
    """Is the residual scalars[3] small enough, for a duality gap scalars[4] (NaN: there is none) of F = scalars[0], or the gap at
    most what was asked for, scalars[7] (0: nothing)?"""
    small = scalars[4] <= GAP * tolerance * max(1.0, abs(scalars[0]))
    enough = 10.0 * tolerance if small else tolerance
    return scalars[3] <= enough or (scalars[7] > 0.0 and scalars[4] <= scalars[7])


def prox(x, sets, step):
    """x becomes argmin_u |u - x|^2 / 2 + step penalties(u), u in the sets."""
    blocks, figures, lower, upper, normal = sets
    for k in range(blocks.shape[0]):
        width, first = blocks[k, 3], blocks[k, 5]
        if blocks[k, 2] == 2:
            for row in range(blocks[k, 0], blocks[k, 1], width):
                shrink(x, row, width, step * figures[first])
        elif blocks[k, 2] == 3:
            for row in range((blocks[k, 1] - blocks[k, 0]) // width):
                at = row_start(blocks, k, row)
                onto_level(x, at, width, blocks[k, 4], figures[first + row], lower, upper, normal)
        elif blocks[k, 2] == 4:
            size = row_norm(x, blocks[k, 0], blocks[k, 1] - blocks[k, 0])
            if size > figures[first]:
                for i in range(blocks[k, 0], blocks[k, 1]):
                    x[i] *= figures[first] / size
        else:
            most = step * figures[first] if blocks[k, 2] == 1 else 0.0
            for i in range(blocks[k, 0], blocks[k, 1]):
                v = math.copysign(max(abs(x[i]) - most, 0.0), x[i])
                x[i] = min(max(v, lower[i]), upper[i])


def row_start(blocks, k, row):
    """Where row number `row` of block k begins."""
    stride = blocks[k, 4]
    return blocks[k, 0] + row // stride * (blocks[k, 3] * stride) + row % stride


def shrink(x, start, count, most):
    """One group moves towards 0 by `most`."""
    size = row_norm(x, start, count)
    part = 1.0 - most / size if size > most else 0.0
    for i in range(start, start + count):
        x[i] *= part


def onto_level(x, start, count, stride, total, lower, upper, normal):
    """The nearest point of one row with normal'row = total between its bounds: x - t normal, cut off; t by Newton's method on
    a falling function of straight pieces, kept in a bracket. Returns t."""
    t, low, high = 0.0, -math.inf, math.inf
    for _ in range(200):
        over, steep, above, below = -total, 0.0, math.inf, -math.inf
        for i in range(start, start + count * stride, stride):
            a = normal[i]
            v = x[i] - t * a
            if v > lower[i] and v < upper[i]:
                steep += a * a
            over += a * min(max(v, lower[i]), upper[i])
            if a != 0.0:
                for end in (lower[i], upper[i]):
                    corner = (x[i] - end) / a
                    above = min(above, corner) if corner > t else above
                    below = max(below, corner) if corner < t else below
        if over == 0.0:
            break
        if over > 0.0:
            low = t
        else:
            high = t
        new = t + over / steep if steep > 0.0 else (above if over > 0.0 else below)
        if not math.isfinite(new):  # behind the last corner, which is met within rounding
            new = t + math.copysign(max(1.0, abs(t)), over)
        if not (low < new and new < high):
            new = 0.5 * (low + high)
        if not math.isfinite(new) or new in (t, low, high):
            break
        t = new
    free = np.zeros(count, np.int64)
    for k in range(count):
        i = start + k * stride
        v, near = x[i] - t * normal[i], 8.0 * ROUNDING * abs(t * normal[i])
        free[k] = 1 if normal[i] != 0.0 and v > lower[i] - near and v < upper[i] + near else 0
        x[i] = min(max(v, lower[i]), upper[i])
    for _ in range(3):  # what rounding of large numbers leaves goes to what may move
        missing, room = total, 0.0
        for k in range(count):
            i = start + k * stride
            missing -= normal[i] * x[i]
            room += normal[i] * normal[i] if free[k] == 1 else 0.0
        if room == 0.0 or abs(missing) <= 10.0 * ROUNDING * max(1.0, abs(total)):
            break
        for k in range(count):
            i = start + k * stride
            if free[k] == 1:
                x[i] = min(max(x[i] + missing / room * normal[i], lower[i]), upper[i])
    return t


def row_norm(x, start, count):
    """sqrt(sum x^2) of one row."""
    total = 0.0
    for i in range(start, start + count):
        total += x[i] * x[i]
    return math.sqrt(total)


def penalty(x, sets):
    """The sum of all penalties."""
    blocks, figures, _, _, _ = sets
    total = 0.0
    for k in range(blocks.shape[0]):
        if blocks[k, 2] == 1:
            for i in range(blocks[k, 0], blocks[k, 1]):
                total += figures[blocks[k, 5]] * abs(x[i])
        elif blocks[k, 2] == 2:
            for row in range(blocks[k, 0], blocks[k, 1], blocks[k, 3]):
                total += figures[blocks[k, 5]] * row_norm(x, row, blocks[k, 3])
    return total


def residual(x, g, sets, spare):
    """max |x - prox(x - g)|: 0 where 0 is in the subdifferential of F."""
    for i in range(x.shape[0]):
        spare[i] = x[i] - g[i]
    prox(spare, sets, 1.0)
    top = 0.0
    for i in range(x.shape[0]):
        v = abs(x[i] - spare[i])
        if v > top or v != v:
            top = v
            if v != v:
                return v
    return top


def duality_gap(x, f, g, sets, squares, spare):
    """F(x) less Fenchel's dual objective at the slope s g; infinite where that bounds nothing.

    h(x) + h*(-s g) + s x'g + (1 - s)^2 f, where f is convex and s = 1, or f = |A x - b|^2 / 2 (squares = 1) and s <= 1 is
    the largest that is feasible; s = 0 says no more than F >= 0, which is no measure.
    """
    scale = feasible_part(g, sets) if squares == 1 else 1.0
    if scale == 0.0:
        return math.inf
    along = 0.0
    for i in range(x.shape[0]):
        along += x[i] * g[i]
    lost = (1.0 - scale) * (1.0 - scale) * f if scale < 1.0 else 0.0
    return penalty(x, sets) + support(x, g, scale, sets, spare) + scale * along + lost


def feasible_part(g, sets):
    """The largest s <= 1 for which -s g is a slope that penalties bound, entry by entry."""
    blocks, figures, lower, upper, _ = sets
    scale = 1.0
    for k in range(blocks.shape[0]):
        weight = figures[blocks[k, 5]] if blocks[k, 2] == 1 or blocks[k, 2] == 2 else 0.0
        if blocks[k, 2] == 2:
            for row in range(blocks[k, 0], blocks[k, 1], blocks[k, 3]):
                size = row_norm(g, row, blocks[k, 3])
                scale = min(scale, weight / size) if size > weight else scale
        elif blocks[k, 2] < 2:
            for i in range(blocks[k, 0], blocks[k, 1]):
                endless = (g[i] < 0.0 and upper[i] == math.inf) or (g[i] > 0.0 and lower[i] == -math.inf)
                if endless and abs(g[i]) > weight:
                    scale = min(scale, weight / abs(g[i]))
    return scale


def support(x, g, s, sets, spare):
    """h*(-s g) = - min over the sets of s g'u + penalties(u)."""
    blocks, figures, lower, upper, _ = sets
    total = 0.0
    for k in range(blocks.shape[0]):
        kind, first, width = blocks[k, 2], blocks[k, 5], blocks[k, 3]
        if kind == 2:
            for row in range(blocks[k, 0], blocks[k, 1], width):
                if s * row_norm(g, row, width) > figures[first] * (1.0 + ROUNDING):
                    return math.inf
        elif kind == 3:
            for row in range((blocks[k, 1] - blocks[k, 0]) // width):
                at = row_start(blocks, k, row)
                total += level_support(x, g, s, at, width, blocks[k, 4], figures[first + row], sets, spare)
        elif kind == 4:
            total += s * figures[first] * row_norm(g, blocks[k, 0], blocks[k, 1] - blocks[k, 0])
        else:
            weight = figures[first] if kind == 1 else 0.0
            for i in range(blocks[k, 0], blocks[k, 1]):
                total -= least_line(s * g[i], weight * (1.0 + ROUNDING), lower[i], upper[i])
    return total


def least_line(slope, weight, low, high):
    """min over low <= u <= high of slope u + weight |u|; -inf where there is none."""
    if slope + weight < 0.0:
        return (slope + weight) * high if high > 0.0 else (slope - weight) * high
    if slope - weight > 0.0:
        return (slope - weight) * low if low < 0.0 else (slope + weight) * low
    u = min(max(0.0, low), high)
    return slope * u + weight * abs(u)


def level_support(x, g, s, start, count, stride, total, sets, spare):
    """- min of s g'u over one row with normal'u = total: any multiplier t of the sum bounds it, that of the projection of
    x - s g is the best; it is kept where no infinite end is met."""
    _, _, lower, upper, normal = sets
    for i in range(start, start + count * stride, stride):
        spare[i] = x[i] - s * g[i]
    t = -onto_level(spare, start, count, stride, total, lower, upper, normal)
    least, most = -math.inf, math.inf
    for i in range(start, start + count * stride, stride):
        if normal[i] != 0.0:
            at, up = s * g[i] / normal[i], normal[i] > 0.0
            if upper[i] == math.inf:
                least, most = (least, min(most, at)) if up else (max(least, at), most)
            if lower[i] == -math.inf:
                least, most = (max(least, at), most) if up else (least, min(most, at))
    if least > most:
        return math.inf
    t = min(max(t, least), most)
    found = t * total
    for i in range(start, start + count * stride, stride):
        d = s * g[i] - t * normal[i]
        if abs(d) > 4.0 * ROUNDING * abs(s * g[i]):
            found += least_line(d, 0.0, lower[i], upper[i])
    return -found

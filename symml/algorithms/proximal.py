"""Proximal operators and what tells how near a composite problem is to its solution, for proximal_gradient and
coordinate_descent.

A problem is F(x) = f(x) + sum of penalties; block k of x is x[blocks[k, 0] : blocks[k, 1]] with the kind blocks[k, 2] (0: none,
1: weight sum |x_j|, 2: weight sum over rows of their norm), blocks[k, 3] entries in a row, and weights[k]. Source: Parikh & Boyd,
Proximal Algorithms (2014), section 6.5.
"""

import math


def prox(x, blocks, weights, step):
    """x becomes argmin_u |u - x|^2 / 2 + step penalties(u)."""
    for k in range(blocks.shape[0]):
        most = step * weights[k]
        if blocks[k, 2] == 1:
            for i in range(blocks[k, 0], blocks[k, 1]):
                x[i] = math.copysign(max(abs(x[i]) - most, 0.0), x[i])
        elif blocks[k, 2] == 2:
            for row in range(blocks[k, 0], blocks[k, 1], blocks[k, 3]):
                size = row_norm(x, row, blocks[k, 3])
                part = 1.0 - most / size if size > most else 0.0
                for i in range(row, row + blocks[k, 3]):
                    x[i] *= part


def row_norm(x, start, count):
    """sqrt(sum x^2) of one row."""
    total = 0.0
    for i in range(start, start + count):
        total += x[i] * x[i]
    return math.sqrt(total)


def penalty(x, blocks, weights):
    """The sum of all penalties."""
    total = 0.0
    for k in range(blocks.shape[0]):
        if blocks[k, 2] == 1:
            for i in range(blocks[k, 0], blocks[k, 1]):
                total += weights[k] * abs(x[i])
        elif blocks[k, 2] == 2:
            for row in range(blocks[k, 0], blocks[k, 1], blocks[k, 3]):
                total += weights[k] * row_norm(x, row, blocks[k, 3])
    return total


def residual(x, g, blocks, weights, spare):
    """max |x - prox(x - g)|: 0 where 0 is in the subdifferential of F."""
    for i in range(x.shape[0]):
        spare[i] = x[i] - g[i]
    prox(spare, blocks, weights, 1.0)
    top = 0.0
    for i in range(x.shape[0]):
        v = abs(x[i] - spare[i])
        if v > top or v != v:
            top = v
            if v != v:
                return v
    return top


def duality_gap(x, f, g, blocks, weights):
    """F(x) less the dual objective at the residual, scaled so that it is feasible, for f = |A x - b|^2 / 2.

    The dual is max -|t|^2/2 - b't where |(A't)_block| <= weight; t = s (A x - b) gives b't = s (x'g - 2 f). Infinite where
    a block without penalty still has a slope, as it then bounds nothing.
    """
    scale, along = 1.0, 0.0
    for i in range(x.shape[0]):
        along += x[i] * g[i]
    for k in range(blocks.shape[0]):
        width = blocks[k, 3] if blocks[k, 2] == 2 else 1
        for row in range(blocks[k, 0], blocks[k, 1], width):
            size = row_norm(g, row, width)
            if blocks[k, 2] == 0:
                if size > 0.0:
                    return math.inf
            elif size > weights[k]:
                scale = min(scale, weights[k] / size)
    return f + penalty(x, blocks, weights) + scale * scale * f + scale * (along - 2.0 * f)

"""Preparation of data as plain functions: split rows, statistics of columns, transforms.

Emitted modules carry this text together with algorithms/philox.py, so it holds functions and numpy only.
"""

import numpy as np

from symml.algorithms.philox import DRAW, INIT, SPLIT, fill_normal, shuffle


def split_rows(n, fractions, seed, strata=None, purpose=SPLIT):
    """Sorted row numbers of each part; with `strata` (codes, one a row) each part has its share of every code.

    Shares are rounded so that every row is used once and each part's size is as near to fraction * n as can be.
    """
    groups = [np.arange(n)] if strata is None else [np.flatnonzero(strata == code) for code in np.unique(strata)]
    ends = np.cumsum(fractions)
    parts = [[] for _ in fractions]
    done = 0
    for number, rows in enumerate(groups):
        order = np.zeros(rows.shape[0], np.int64)
        shuffle(order, seed, purpose, number)
        # the ends of the whole split after this group, less those before it: rounding does not add up over groups
        after = [round(float(e) * (done + rows.shape[0])) for e in ends]
        before = [round(float(e) * done) for e in ends]
        cuts = [0] + [min(max(a - b, 0), rows.shape[0]) for a, b in zip(after, before)]
        cuts[-1] = rows.shape[0]
        for k in range(len(parts)):
            parts[k].append(rows[order[cuts[k] : max(cuts[k], cuts[k + 1])]])
        done += rows.shape[0]
    return [np.sort(np.concatenate(part)).astype(np.int64) for part in parts]


def column_statistics(values, transform):
    """Mean and deviation (ddof 0) of each column; a constant column, or `centred`, has deviation 1."""
    mean = values.mean(axis=0)
    deviation = values.std(axis=0) if transform == "standardised" else np.ones_like(mean)
    constant = deviation <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
    return mean, np.where(constant, 1.0, deviation)


def transformed(values, mean, deviation):
    """(values - mean)/deviation, column by column."""
    return (values - mean) / deviation


def sampled_rows(values, count, seed, number):
    """`count` distinct rows at random, as one vector; `number` is that of the parameter which starts with them."""
    if count > values.shape[0]:
        raise ValueError(f"{count} rows are sampled of {values.shape[0]}")
    order = np.zeros(values.shape[0], np.int64)
    shuffle(order, seed, INIT, number)
    return values[order[:count]].reshape(-1)


def standard_noise(shape, number):
    """Normal numbers for what reads noise outside of training: always the same ones."""
    out = np.zeros(shape)
    fill_normal(out.reshape(-1), 0.0, 1.0, 0, DRAW + 256 * number, 0)
    return out


def edge_list(pairs, nodes, undirected, self_loops):
    """Tails and heads of the edges of a graph, each once, sorted; both ways and with loops where that is declared."""
    if undirected:
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
    if self_loops:
        pairs = np.concatenate([pairs, np.column_stack([np.arange(nodes), np.arange(nodes)])])
    pairs = np.unique(pairs, axis=0)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])

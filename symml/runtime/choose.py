"""Hyper-parameters chosen among listed values by a reported figure, on folds of the training rows or on another part.

found = choose(kernel, bound, hypers, seed)      found.chosen["lam"];  found.rows -> a mean and a score for each fold

Folds are those of the split's seed, stratified as it is. A fold's transforms are those of the rows it trains on, so
nothing of the rows that it is scored on reaches its fit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from symml.algorithms.philox import FOLDS
from symml.errors import DataError, NumericError
from symml.runtime import launch
from symml.runtime.bind import Bound
from symml.runtime.launch import DivergedError, Kernel
from symml.runtime.prepare import column_statistics, split_rows, transformed

Watch = Callable[[int, int, float, float], None]
LARGEST_GRID = 10_000
HELD = "folds"


@dataclass(frozen=True)
class Tried:
    """One combination of values: its score on each fold (NaN where the fit diverged), their mean and its standard error
    (None for a single part)."""

    values: Mapping[str, float]
    scores: tuple[float, ...]
    mean: float
    error: float | None


@dataclass(frozen=True)
class Chosen:
    """All combinations in order, and the best of them."""

    chosen: Mapping[str, float]
    rows: tuple[Tried, ...]

    def facts(self, choice: Mapping) -> dict:
        """As JSON."""
        rows = [
            {"values": dict(r.values), "mean": r.mean, "error": r.error, "scores": list(r.scores)} for r in self.rows
        ]
        return {**{k: choice[k] for k in ("by", "sense", "on")}, "chosen": dict(self.chosen), "tried": rows}


def choose(kernel: Kernel, bound: Bound, hypers: Mapping[str, float], seed: int, watch: Watch | None = None) -> Chosen:
    """The best combination of the values that the page lists; a hyper-parameter that `hypers` gives is not searched."""
    m = kernel.manifest
    choice = m["choice"]
    among = {name: values for name, values in choice["among"].items() if name not in hypers}
    grid = [dict(zip(among, row, strict=True)) for row in itertools.product(*among.values())]
    if len(grid) > LARGEST_GRID:
        raise DataError(f"{len(grid)} combinations of hyper-parameters; the limit is {LARGEST_GRID}")
    for values in grid:  # all are looked at before the first is trained
        launch.hypers(kernel, {**hypers, **values})
    warm = m["certificate"]["curvature"] == "convex" and not m["optimizer"]
    places = list(_places(m, bound))
    scores, begin = np.full((len(grid), len(places)), np.nan), None
    for f, (held, part) in enumerate(places):
        for k, values in enumerate(grid):
            given = {**hypers, **values}
            try:
                x, outcome = launch.train(launch.problem(kernel, held, given, seed, begin if warm else None))
            except DivergedError:
                continue
            scores[k, f] = launch.figure(kernel, m["reports"].index(choice["by"]), x, held, given, part)
            begin = x
            if watch is not None:
                watch(f * len(grid) + k + 1, scores.size, outcome["loss"], outcome["gradient"])
    return _best(choice, grid, scores)


def _best(choice: Mapping, grid: list[dict], scores: np.ndarray) -> Chosen:
    means = scores.mean(axis=1)
    if not np.isfinite(means).any():
        raise NumericError(f"'{choice['by']}' is not finite for any of the values", fix="try others")
    sign = 1.0 if choice["sense"] == "smallest" else -1.0
    best = int(np.argmin(np.where(np.isfinite(means), sign * means, math.inf)))
    count = scores.shape[1]
    errors = scores.std(axis=1, ddof=1) / math.sqrt(count) if count > 1 else [None] * len(grid)
    rows = [
        Tried(values, tuple(map(float, s)), float(mean), None if error is None else float(error))
        for values, s, mean, error in zip(grid, scores, means, errors, strict=True)
    ]
    return Chosen(grid[best], tuple(rows))


def _places(m: Mapping, bound: Bound) -> Iterator[tuple[Bound, str]]:
    """Bound data whose first part is trained on, and the part that is scored."""
    on = m["choice"]["on"]
    if on != HELD:
        yield bound, on
        return
    first = next(iter(bound.parts))
    rows = bound.parts[first]
    for held in fold_rows(m["split"], rows, bound):
        trained = np.setdiff1d(rows, held, assume_unique=True)
        yield replace(bound, arrays=_again(m, bound, trained), parts={**bound.parts, first: trained, HELD: held}), HELD


def fold_rows(split: Mapping, rows: np.ndarray, bound: Bound) -> list[np.ndarray]:
    """The rows of each fold of the training rows, of sizes that differ by one at most."""
    strata = np.unique(bound.arrays[split["by"]][rows], return_inverse=True)[1] if split["by"] else None
    count = split["folds"]
    parts = split_rows(len(rows), [1 / count] * count, split["seed"], strata, FOLDS)
    if not all(len(part) for part in parts):
        raise DataError(f"{len(rows)} training rows do not fill {count} folds")
    return [rows[part] for part in parts]


def _again(m: Mapping, bound: Bound, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays transformed by the statistics of other rows: a transform of transformed data is that of the data."""
    arrays = dict(bound.arrays)
    for d in m["data"]:
        if d["transform"] and d["dims"][0] == m["row"]:
            a = arrays[d["name"]].astype(np.float64)
            moved = transformed(a, *column_statistics(a[rows], d["transform"]))
            arrays[d["name"]] = np.ascontiguousarray(moved, arrays[d["name"]].dtype)
    return arrays

"""Sequences of different lengths: lists of them become arrays, and what lies behind an end becomes an entry like any other.

padded({"obs": [[0, 1, 1], [2]]}, {"obs": "L"})  ->  {"obs": [[0, 1, 1], [2, 2, 2]], "L": [3, 1]}
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from symml.errors import DataError
from symml.runtime.frames import as_array


def as_arrays(values: Mapping[str, object], lengths: Mapping[str, str]) -> dict[str, object]:
    """Lists of sequences as arrays, as wide as the longest; the lengths are theirs where none are given.

    lengths: for each name of ragged data, the name of its lengths.
    """
    given, found = dict(values), {}
    for name, key in lengths.items():
        value = values.get(name)
        if not isinstance(value, list | tuple):
            continue
        rows = [as_array(row, name) for row in value]
        if not rows or any(row.ndim == 0 or len(row) == 0 for row in rows):
            raise DataError(f"'{name}' is a list of sequences, and one of them has no entry")
        sizes = np.array([len(row) for row in rows])
        if len({row.shape[1:] for row in rows}) > 1:
            raise DataError(f"the entries of '{name}' differ in shape")
        given[name] = np.stack([np.concatenate([row, np.repeat(row[-1:], sizes.max() - len(row), 0)]) for row in rows])
        if key in found and not np.array_equal(found[key], sizes):
            raise DataError(f"the sequences of '{name}' differ in length from the others", fix=f"give '{key}' too")
        found[key] = sizes
        given.setdefault(key, sizes)
    return given


def padded(raw: Mapping[str, np.ndarray], lengths: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Arrays whose entries behind the end of a sequence are its first one: they are never read, and hold no surprise."""
    out = dict(raw)
    for name, key in lengths.items():
        if name not in raw or key not in raw or raw[name].ndim < 2 or raw[key].shape != raw[name].shape[:1]:
            continue
        array, size = raw[name], raw[key]
        wrong = np.flatnonzero((size < 1) | (size > array.shape[1]) | (size != np.floor(size)))
        if wrong.size:
            listed = f"{key}[{wrong[0]}] = {size[wrong[0]]:g}"
            raise DataError(f"{listed}: a sequence of '{name}' has 1..{array.shape[1]} entries")
        behind = np.arange(array.shape[1])[None, :] >= size[:, None]
        out[name] = np.where(behind.reshape(*behind.shape, *[1] * (array.ndim - 2)), array[:, :1], array)
    return out

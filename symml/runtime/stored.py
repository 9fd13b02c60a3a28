"""Sparse matrices as the row, column and value of each stored entry, sorted by row; every index is checked once.

Stored.of(scipy_matrix, "X");   Stored.of_members(columns of a file of scipy.sparse.save_npz, "X")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from symml.errors import DataError

MEMBERS = {"csr": ("indptr", "indices"), "csc": ("indptr", "indices"), "coo": ("row", "col")}


@dataclass(frozen=True)
class Stored:
    """The stored entries of a matrix of this shape."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @classmethod
    def of(cls, value: object, name: str) -> Stored:
        """From a scipy.sparse matrix, or the entries of a dense array that are not 0."""
        if hasattr(value, "tocoo"):
            coo = value.tocoo()
            return stored(np.asarray(coo.row), np.asarray(coo.col), np.asarray(coo.data), tuple(coo.shape), name)
        if value.ndim != 2 or value.dtype.kind not in "fiub":
            raise DataError(f"'{name}' is no matrix of numbers: {value.dtype} of shape {value.shape}")
        rows, columns = np.nonzero(value)
        return stored(rows, columns, value[rows, columns], value.shape, name)

    @classmethod
    def of_members(cls, members: Mapping[str, np.ndarray], name: str) -> Stored:
        """From the arrays of a file that scipy.sparse.save_npz wrote: csr, csc or coo."""
        form = str(members["format"]) if "format" in members else ""
        if form not in MEMBERS or not {*MEMBERS[form], "data", "shape"} <= set(members):
            raise DataError(f"'{name}' is stored as '{form[:20]}'", fix="save it as csr, csc or coo")
        shape = members["shape"]
        if shape.shape != (2,) or shape.dtype.kind != "i" or shape.min() < 1:
            raise DataError(f"'{name}' has no shape of two sizes")
        first, second = (members[k] for k in MEMBERS[form])
        if form == "coo":
            return stored(first, second, members["data"], tuple(map(int, shape)), name)
        size = int(shape[0] if form == "csr" else shape[1])
        good = first.shape == (size + 1,) and first.dtype.kind == "i" and first[0] == 0 and (np.diff(first) >= 0).all()
        if not good or first[-1] != len(second):
            raise DataError(f"'{name}' has pointers that do not fit its entries")
        outer = np.repeat(np.arange(size), np.diff(first))
        pair = (outer, second) if form == "csr" else (second, outer)
        return stored(*pair, members["data"], tuple(map(int, shape)), name)


def stored(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int], name: str) -> Stored:
    """Entries sorted by row, those of one place added up; refused outside the shape, or not finite."""
    one = all(a.ndim == 1 and len(a) == len(values) for a in (rows, columns, values))
    if not one or rows.dtype.kind not in "iu" or columns.dtype.kind not in "iu" or values.dtype.kind not in "fiub":
        raise DataError(f"'{name}' is no sparse matrix of numbers")
    if len(values) and (min(rows.min(), columns.min()) < 0 or rows.max() >= shape[0] or columns.max() >= shape[1]):
        raise DataError(f"'{name}' stores an entry outside its shape {shape}")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        k = np.flatnonzero(~np.isfinite(values))[0]
        raise DataError(f"'{name}' has non-finite values at ({rows[k]}, {columns[k]})")
    order = np.lexsort((columns, rows))
    rows, columns, values = rows[order].astype(np.int64), columns[order].astype(np.int64), values[order]
    first = np.ones(len(rows), bool)
    first[1:] = (np.diff(rows) != 0) | (np.diff(columns) != 0)
    if not first.all():
        values = np.add.reduceat(values, np.flatnonzero(first))
        rows, columns = rows[first], columns[first]
    return Stored(rows, columns, values, shape)


def take_rows(rows: np.ndarray, count: int, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which entries (sorted by row) belong to `taken` rows of `count`, repeated as these are, and their new rows."""
    ends = np.cumsum(np.bincount(rows, minlength=count))
    starts = np.concatenate([[0], ends[:-1]])[taken]
    sizes = ends[taken] - starts
    new = np.repeat(np.arange(len(taken)), sizes)
    inside = np.arange(len(new)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(starts, sizes) + inside, new

"""What a user may hand over in Python as an array: numpy, lists, data frames; none of their packages is imported.

as_array(frame, "X")  ->  ndarray of numbers or text
"""

from __future__ import annotations

import numpy as np

from symml.errors import DataError


def as_array(value: object, name: str) -> np.ndarray:
    """An array of numbers or text; frames come through `to_numpy` or `__array__`."""
    if isinstance(value, str | bytes):
        raise DataError(f"'{name}' was given a text", fix="a file is given as pathlib.Path(...), or --data NAME=FILE")
    if hasattr(value, "toarray"):
        raise DataError(
            f"'{name}' is sparse and not declared so", fix=f"declare it: {name}[n, d] sparse, or give .toarray()"
        )
    if not isinstance(value, np.ndarray) and hasattr(value, "to_numpy"):
        value = value.to_numpy()
    try:
        array = np.asarray(value)
    except ValueError as problem:
        raise DataError(f"'{name}' is no array: {problem}") from None
    if array.dtype == object:
        array = _plain(array, name)
    if array.dtype.kind not in "fiubU":
        raise DataError(f"'{name}' holds {array.dtype}; numbers or text labels are expected")
    return array


def titles(value: object) -> list[str] | None:
    """The titles of a frame's columns, where all are text and none comes twice."""
    columns = getattr(value, "columns", None)
    if columns is None or not hasattr(value, "to_numpy"):
        return None
    named = list(columns)
    good = named and all(isinstance(c, str) for c in named) and len(set(named)) == len(named)
    return named if good else None


def _plain(array: np.ndarray, name: str) -> np.ndarray:
    """Object arrays of text or numbers (pandas makes them) as plain ones."""
    if all(isinstance(v, str) for v in array.flat):
        return array.astype(str)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"'{name}' mixes text, numbers or objects", fix="give one kind") from None

"""Parquet files to columns, by pyarrow (the extra `data`), which is imported when such a file is met and not before.

columns(content, "wine.parquet")  ->  {"alcohol": array, ...}
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from symml.errors import DataError

if TYPE_CHECKING:
    import pyarrow

LARGEST_TABLE = 2**34  # bytes, as the file's own counts claim them
LARGEST_HEADER = 2**24


def columns(
    content: bytes, name: str, gaps: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, tuple[tuple[int, str, str], ...]]]:
    """Columns of numbers or text by their titles, and of those that are neither their first fault: row, column and what
    stands there. A missing number is a fault, or with `gaps` NaN; a missing text is empty."""
    if importlib.util.find_spec("pyarrow") is None:
        raise DataError(f"'{name}' is a Parquet file, which needs the package pyarrow", fix="pip install 'symml[data]'")
    import pyarrow
    from pyarrow import parquet

    try:
        limits = {"thrift_string_size_limit": LARGEST_HEADER, "thrift_container_size_limit": LARGEST_HEADER}
        file = parquet.ParquetFile(pyarrow.BufferReader(content), **limits)
        claimed = sum(file.metadata.row_group(k).total_byte_size for k in range(file.num_row_groups))
        if max(claimed, 8 * file.metadata.num_rows * file.metadata.num_columns) > LARGEST_TABLE:
            raise DataError(f"'{name}' claims {claimed} bytes; the limit is {LARGEST_TABLE}")
        table = file.read()
    except (pyarrow.ArrowException, OSError):
        raise DataError(f"'{name}' is not a readable Parquet file") from None
    if not table.num_rows or not table.num_columns:
        raise DataError(f"'{name}' has no data rows", fix="a mean over no rows is undefined")
    titles = table.column_names
    if len(set(titles)) != len(titles):
        raise DataError(f"'{name}' names the column '{next(t for t in titles if titles.count(t) > 1)}' twice")
    read = {title: _column(table.column(title), gaps) for title in titles}
    values = {t: c if isinstance(c, np.ndarray) else _cells(table.column(t)) for t, c in read.items()}
    faults = {title: ((c[0], title, c[1]),) for title, c in read.items() if isinstance(c, tuple)}
    return values, faults


def _column(column: pyarrow.ChunkedArray, gaps: bool) -> np.ndarray | tuple[int, str]:
    """One column as float64 or text, or its first fault."""
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if types.is_string(kind) or types.is_large_string(kind):
        return np.array(["" if text is None else text for text in column.to_pylist()], dtype=str)
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        return 0, f"the type {kind}"
    if column.null_count and not gaps:
        return int(np.flatnonzero(column.is_null().to_numpy())[0]), "empty"
    values = np.asarray(column.to_numpy(), np.float64)
    wrong = np.flatnonzero(np.isinf(values) if gaps else ~np.isfinite(values))
    return values if not wrong.size else (int(wrong[0]), repr(float(values[wrong[0]])))


def _cells(column: pyarrow.ChunkedArray) -> np.ndarray:
    """A column that is not all numbers as text, empty where nothing stands."""
    return np.array(["" if v is None else str(v) for v in column.to_pylist()])

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


def columns(content: bytes, name: str, gaps: bool = False) -> dict[str, np.ndarray]:
    """Columns of numbers or text by their titles; a missing value names its row and column, or with `gaps` is NaN."""
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
    return {title: _column(table.column(title), title, name, gaps) for title in titles}


def _column(column: pyarrow.ChunkedArray, title: str, name: str, gaps: bool) -> np.ndarray:
    """One column as float64 or text."""
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    if column.null_count and not (gaps and number):
        row = np.flatnonzero(column.is_null().to_numpy())[0]
        raise DataError(f"'{name}' has {column.null_count} missing values: row {row} column '{title}'")
    if types.is_string(kind) or types.is_large_string(kind):
        return np.array(column.to_pylist(), dtype=str)
    if not number:
        raise DataError(f"'{name}' column '{title}' is of type {kind}; numbers and text are read")
    values = np.asarray(column.to_numpy(), np.float64)
    wrong = np.flatnonzero(np.isinf(values) if gaps else ~np.isfinite(values))
    if wrong.size:
        raise DataError(f"'{name}' has values that are not finite: row {wrong[0]} column '{title}'")
    return values

"""Files to columns, safely: regular files inside the allowed folder, never pickle, every bad cell named by row and column.

read_table(Path("data/wine.csv"), allowed=Path("."))  ->  Table(columns={"alcohol": array, ...})
"""

from __future__ import annotations

import ast
import csv
import io
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symml.errors import DataError, FileError
from symml.runtime import parquet

LARGEST_FILE = 2**34
OFFENDERS = 3
MISSING = ("", "nan", "na")
LARGEST_HEADER = 10_000
MOST_DIMS = 32
# An npz may grow so many times, or to so many bytes, whichever is more: deflate makes 1000 zeros from one byte.
MOST_GROWTH, SMALL_ARCHIVE = 200, 2**26


@dataclass(frozen=True)
class Table:
    """Named columns (CSV, Parquet), or named arrays (npy: the one array under ""; npz: members)."""

    path: Path
    columns: dict[str, np.ndarray]
    titled: bool
    notes: tuple[str, ...] = ()


def read_table(path: Path, allowed: Path, gaps: bool = False) -> Table:
    """A CSV, npy, npz or Parquet file; raises FileError (cannot be opened) or DataError (wrong content).

    With `gaps`, missing numbers (empty, nan or NA cells) are read as NaN; without, they are refused.
    """
    content = read_bytes(path, allowed)
    if path.suffix == ".npy":
        array, notes = _npy(content, path.name, gaps)
        return Table(path, {"": array}, False, notes)
    if path.suffix == ".npz":
        return _npz(content, path, gaps)
    if path.suffix == ".csv":
        return Table(path, _csv(content, path.name, gaps), True)
    if path.suffix == ".parquet":
        return Table(path, parquet.columns(content, path.name, gaps), True)
    raise DataError(f"'{path.name}' is of a kind that is not read", fix="csv, npy, npz and parquet are")


def read_npz(path: Path, allowed: Path) -> Table:
    """An npz file whatever its ending, under the same rules."""
    return _npz(read_bytes(path, allowed), path)


def read_bytes(path: Path, allowed: Path) -> bytes:
    """The bytes of a regular file inside the allowed folder; nothing else is opened."""
    if "\0" in str(path):
        raise FileError("the name of a file holds a NUL character")
    real = Path(os.path.realpath(path))
    root = Path(os.path.realpath(allowed))
    if not real.is_relative_to(root):
        raise DataError(f"'{path.name}' lies outside the page's folder", fix="allow it with --data NAME=FILE")
    try:
        handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    except OSError as problem:
        raise FileError(f"cannot open '{path}': {problem.strerror}") from None
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode):
        os.close(handle)  # first of all: a folder cannot become a file object
        raise DataError(f"'{path.name}' is not a regular file")
    with os.fdopen(handle, "rb") as file:
        if facts.st_size > LARGEST_FILE:
            raise DataError(f"'{path.name}' has {facts.st_size} bytes; the limit is {LARGEST_FILE}")
        return file.read()


# CSV


def _csv(data: bytes, name: str, gaps: bool = False) -> dict[str, np.ndarray]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"'{name}' is not UTF-8 text") from None
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    head, _, body = text.partition("\n")
    header = [h.strip() for h in next(_rows(head, name), [])]
    other = next((c for c in (";", "\t") if c in head), "")
    if len(header) == 1 and other:
        raise DataError(f"'{name}' separates its cells by {other!r}", fix="save it with commas")
    if not header or any(not h for h in header):
        raise DataError(f"'{name}' has no header line that names its columns")
    if len(set(header)) != len(header):
        again = next(h for h in header if header.count(h) > 1)
        raise DataError(f"'{name}' names the column '{again}' twice")
    if not body.strip():
        raise DataError(f"'{name}' has no data rows", fix="a mean over no rows is undefined")
    try:
        values = np.loadtxt(io.StringIO(body), delimiter=",", comments=None, ndmin=2)
        if values.shape[1] == len(header) and (np.isfinite(values) | (gaps & np.isnan(values))).all():
            return {h: np.ascontiguousarray(values[:, k]) for k, h in enumerate(header)}
    except ValueError:
        pass  # text columns or a bad cell: the slow reader below names it
    return _csv_slowly(body, header, name, gaps)


def _rows(text: str, name: str) -> Iterator[list[str]]:
    """The rows of cells; what Python's reader refuses (a cell of more than 131,072 characters) is a DataError."""
    try:
        yield from csv.reader(io.StringIO(text))
    except csv.Error as problem:
        raise DataError(f"'{name}' cannot be read as CSV: {problem}") from None


def _csv_slowly(body: str, header: list[str], name: str, gaps: bool) -> dict[str, np.ndarray]:
    """Column by column: all numbers, or all text; a column of both names its first cells that are not numbers."""
    rows = [row for row in _rows(body, name) if row]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(f"'{name}' row {number} has {len(row)} cells, the header has {len(header)}")
    columns: dict[str, np.ndarray] = {}
    wrong: list[tuple[int, str, str]] = []
    for k, title in enumerate(header):
        cells = [row[k].strip() for row in rows]
        numbers = [_number(cell) for cell in cells]
        if all(cells) and not any(v is not None for v in numbers):
            columns[title] = np.array(cells)
            continue
        pairs = enumerate(zip(cells, numbers, strict=True), start=2)
        bad = [(r, title, c) for r, (c, v) in pairs if v is None or not math.isfinite(v)]
        wrong += [b for b in bad if not (gaps and b[2].lower() in MISSING)]
        columns[title] = np.array([math.nan if v is None else v for v in numbers])
    if wrong:
        listed = "; ".join(f"row {r} column '{t}': {_shown(c)}" for r, t, c in sorted(wrong)[:OFFENDERS])
        more = f"; and {len(wrong) - OFFENDERS} more" if len(wrong) > OFFENDERS else ""
        raise DataError(
            f"'{name}' has cells that are not finite numbers: {listed}{more}", fix="mend or remove these rows"
        )
    return columns


def _number(cell: str) -> float | None:
    try:
        return float(cell) if "_" not in cell and cell.isascii() else None
    except ValueError:
        return None


def _shown(cell: str) -> str:
    if not cell:
        return "empty"
    value = _number(cell)
    overflow = value is not None and math.isinf(value) and any(c.isdigit() for c in cell)
    return f"{cell[:40]!r} overflows float64" if overflow else repr(cell[:40])


# npy, npz


def _npy(data: bytes, name: str, gaps: bool = False) -> tuple[np.ndarray, tuple[str, ...]]:
    """The array of an npy file; the header's claim is compared with the bytes before anything is made."""
    shape, order, dtype, start = _npy_header(data, name)
    if dtype.hasobject or dtype.kind not in "fiub":
        raise DataError(f"'{name}' holds {dtype}; only numbers are read (pickles and objects never)")
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) - start:
        raise DataError(f"'{name}' has {len(data) - start} data bytes, its header claims {count * dtype.itemsize}")
    if not count:
        raise DataError(f"'{name}' has no data rows", fix="a mean over no rows is undefined")
    array = np.frombuffer(data, dtype, count, start).reshape(shape, order=order)
    notes = []
    if not dtype.isnative or order == "F":
        notes.append(f"'{name}' was converted from {dtype.str} in {order} order")
    if dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise DataError(f"'{name}' holds whole numbers above 2^63", fix="save it as float64")
    with np.errstate(over="ignore"):  # what overflows is infinite, and named below
        native = np.array(array, np.float64 if dtype.kind == "f" else np.int64, order="C")
    _finite(native, name, gaps)
    return native, tuple(notes)


def _npy_header(data: bytes, name: str) -> tuple[tuple[int, ...], str, np.dtype, int]:
    try:
        if data[:6] != b"\x93NUMPY":
            raise ValueError
        wide = data[6] > 1
        size = int.from_bytes(data[8 : 12 if wide else 10], "little")
        start = (12 if wide else 10) + size
        if size > LARGEST_HEADER:
            raise ValueError
        header = ast.literal_eval(data[start - size : start].decode("latin1"))
        shape = tuple(header["shape"])
        if not all(isinstance(k, int) and 0 <= k < 2**62 for k in shape) or len(shape) > MOST_DIMS:
            raise ValueError
        if not isinstance(header["descr"], str) or not isinstance(header["fortran_order"], bool):
            raise ValueError
        return shape, "F" if header["fortran_order"] else "C", np.dtype(header["descr"]), start
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, RecursionError, MemoryError):
        raise DataError(f"'{name}' is not a readable npy file") from None


def _npz(data: bytes, path: Path, gaps: bool = False) -> Table:
    columns, notes = {}, []
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise DataError(f"'{path.name}' is not a readable npz file") from None
    total = sum(member.file_size for member in members)
    if total > max(SMALL_ARCHIVE, MOST_GROWTH * len(data)):
        raise DataError(
            f"'{path.name}' grows from {len(data)} to {total} bytes", fix="save it with numpy.savez, not compressed"
        )
    for member in members:
        title = member.filename.removesuffix(".npy")
        if title in columns:
            raise DataError(f"'{path.name}' has two members '{_short(title)}'")
        name = f"{path.name}:{_short(member.filename)}"
        if title == "format":  # of a sparse matrix, a short word
            columns[title] = _word(_member(archive, member, path.name), name)
            continue
        columns[title], more = _npy(_member(archive, member, path.name), name, gaps)
        notes += more
    return Table(path, columns, False, tuple(notes))


def _word(data: bytes, name: str) -> np.ndarray:
    """A short text in an npy file."""
    shape, _, dtype, start = _npy_header(data, name)
    if shape != () or dtype.kind not in "SU" or dtype.itemsize > 64 or len(data) != start + dtype.itemsize:
        raise DataError(f"'{name}' is no short word")
    return np.array(str(np.frombuffer(data, dtype, 1, start).astype(str)[0]))


def _short(name: str) -> str:
    return name[:60]


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> bytes:
    """The bytes of a member; its header is compared with its declared size before the rest is unpacked."""
    where = f"'{name}' has the member '{_short(member.filename)}'"
    known = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and not member.flag_bits & 1
    if not member.filename.endswith(".npy") or member.file_size > LARGEST_FILE or not known:
        raise DataError(f"{where}, which is no array of allowed size and packing")
    try:
        with archive.open(member) as file:
            head = file.read(LARGEST_HEADER + 12)
            shape, _, dtype, start = _npy_header(head, f"{name}:{_short(member.filename)}")
            if not dtype.hasobject and start + math.prod(shape) * dtype.itemsize != member.file_size:
                raise DataError(
                    f"{where} of {member.file_size - start} data bytes, its header claims "
                    f"{math.prod(shape) * dtype.itemsize}"
                )
            return head + file.read(member.file_size - len(head) + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError):
        raise DataError(f"{where}, which cannot be unpacked") from None


def _finite(array: np.ndarray, name: str, gaps: bool) -> None:
    array = np.where(np.isnan(array), 0.0, array) if gaps and array.dtype.kind == "f" else array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))[:OFFENDERS]
        places = ", ".join(str(tuple(int(k) for k in w)) for w in where)
        raise DataError(f"'{name}' has non-finite values at {places}")

"""Files to columns, safely: regular files inside the allowed folder, never pickle, every bad cell named by row and column.

read_table(Path("data/wine.csv"), allowed=Path("."))  ->  Table(columns={"alcohol": array, ...})
"""

from __future__ import annotations

import ast
import io
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from symml.errors import DataError, FileError
from symml.runtime import parquet
from symml.runtime.csv_tables import EMPTY, Fault, csv_columns

LARGEST_FILE = 2**34
OFFENDERS = 3
LARGEST_HEADER = 10_000
MOST_DIMS = 32
# An npz may grow so many times, or to so many bytes, whichever is more: deflate makes 1000 zeros from one byte.
MOST_GROWTH, SMALL_ARCHIVE = 200, 2**26


@dataclass(frozen=True)
class Table:
    """Named columns (CSV, Parquet), or named arrays (npy: the one array under ""; npz: members).

    A column of numbers with other cells among them is the text of its cells, and `faults` holds these cells (row, column,
    what stands there): what a page does not read is no mistake. `words` are the cells of columns whose whole numbers are
    longer than float64 keeps, for labels.
    """

    path: Path
    columns: Mapping[str, np.ndarray]
    titled: bool
    notes: tuple[str, ...] = ()
    faults: Mapping[str, tuple[Fault, ...]] = field(default_factory=dict)
    words: Mapping[str, np.ndarray] = field(default_factory=dict)

    def refuse(self, titles: Iterable[str]) -> None:
        """DataError that names the first cells of these columns that are no finite numbers."""
        wrong = sorted(fault for title in dict.fromkeys(titles) for fault in self.faults.get(title, ()))
        if wrong:
            listed = "; ".join(f"row {r} column '{t}': {c}" for r, t, c in wrong[:OFFENDERS])
            more = f"; and {len(wrong) - OFFENDERS} more" if len(wrong) > OFFENDERS else ""
            raise DataError(
                f"'{self.path.name}' has cells that are not finite numbers: {listed}{more}",
                fix="mend or remove these rows"
                + (", or declare: missing allowed" if any(c == EMPTY for *_, c in wrong) else ""),
            )


def read_table(path: Path, allowed: Path, gaps: bool = False) -> Table:
    """A CSV, npy, npz or Parquet file; raises FileError (cannot be opened) or DataError (wrong content).

    With `gaps`, missing numbers (empty, nan or NA cells) are read as NaN; without, they are faults of their columns.
    """
    content = read_bytes(path, allowed)
    if path.suffix == ".npy":
        array, notes = _npy(content, path.name, gaps)
        return Table(path, {"": array}, False, notes)
    if path.suffix == ".npz":
        return _npz(content, path, gaps)
    if path.suffix == ".csv":
        found = csv_columns(content, path.name, gaps)
        return Table(path, found.values, True, found.notes, found.faults, found.words)
    if path.suffix == ".parquet":
        columns, faults = parquet.columns(content, path.name, gaps)
        return Table(path, columns, True, faults=faults)
    raise DataError(
        f"'{path.name}' is of a kind that is not read", fix="files that end in .csv, .npy, .npz and .parquet are"
    )


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


# npy, npz


def _npy(data: bytes, name: str, gaps: bool = False) -> tuple[np.ndarray, tuple[str, ...]]:
    """The array of an npy file; the header's claim is compared with the bytes before anything is made."""
    shape, order, dtype, start = _npy_header(data, name)
    if dtype.hasobject or dtype.kind not in "fiubU" or not dtype.itemsize:
        raise DataError(f"'{name}' holds {dtype}; only numbers and text are read (pickles and objects never)")
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) - start:
        raise DataError(f"'{name}' has {len(data) - start} data bytes, its header claims {count * dtype.itemsize}")
    if not count:
        raise DataError(f"'{name}' has no data rows", fix="a mean over no rows is undefined")
    array = np.frombuffer(data, dtype, count, start).reshape(shape, order=order)
    notes = []
    if not dtype.isnative or order == "F":
        notes.append(f"'{name}' was converted from {dtype.str} in {order} order")
    if dtype.kind == "U":
        return _sound(array.astype(dtype.newbyteorder("=")), name), tuple(notes)
    if dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise DataError(f"'{name}' holds whole numbers above 2^63", fix="save it as float64")
    with np.errstate(over="ignore"):  # what overflows is infinite, and named below
        native = np.array(array, np.float64 if dtype.kind == "f" else np.int64, order="C")
    _finite(native, name, gaps)
    return native, tuple(notes)


def _sound(text: np.ndarray, name: str) -> np.ndarray:
    """Text whose every letter is one: what is no code of Unicode, or half of one, cannot be shown."""
    codes = np.ascontiguousarray(text).view(np.uint32)
    if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
        raise DataError(f"'{name}' holds text that is no Unicode")
    return text


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

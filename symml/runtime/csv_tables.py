"""CSV text to columns: a line of titles, cells between commas, quotes as spreadsheets write them.

columns = csv_columns(b"x,y\\n1,2\\n", "t.csv")      columns.values["x"], columns.faults, columns.words, columns.notes
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from symml.errors import DataError

MISSING = ("", "nan", "na")
MARKS = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"), (b"\x1f\x8b", "gzip"), (b"PK\x03\x04", "a zip archive"))
EMPTY = "empty"
EXACT = 2.0**53  # below it, float64 holds every whole number
WHOLE = re.compile(r"[+-]?[0-9]+")
Fault = tuple[int, str, str]


@dataclass(frozen=True)
class Columns:
    """Columns by title: numbers or text. Those with both are the text of their cells, their cells that are no numbers are
    `faults` (line, column, what stands there); `words` are the cells of whole numbers that float64 does not hold."""

    values: Mapping[str, np.ndarray]
    faults: Mapping[str, tuple[Fault, ...]] = field(default_factory=dict)
    words: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def csv_columns(data: bytes, name: str, gaps: bool = False) -> Columns:
    """The columns of a file; DataError where it is no table with titles. With `gaps`, missing numbers are NaN."""
    text = _text(data, name)
    reader = _rows(text, name)
    _, last, cells = next(reader, (1, 1, []))
    header = [cell.strip() for cell in cells]
    _check_titles(header, text, name)
    body = text.split("\n", last)[last] if text.count("\n") >= last else ""
    if not body.strip():
        raise DataError(f"'{name}' has no data rows", fix="a mean over no rows is undefined")
    notes = _numbers_as_titles(header, name)
    try:
        values = np.loadtxt(io.StringIO(body), delimiter=",", comments=None, ndmin=2)
        fine = np.isfinite(values) | (gaps & np.isnan(values))
        if values.shape[1] == len(header) and fine.all() and not (np.abs(values) >= EXACT).any():
            return Columns({h: np.ascontiguousarray(values[:, k]) for k, h in enumerate(header)}, notes=notes)
    except ValueError:
        pass  # text columns or a bad cell: the slow reader below names it
    return _slowly(reader, header, name, gaps, notes)


def _text(data: bytes, name: str) -> str:
    """The text with plain ends of lines."""
    mark = next((kind for start, kind in MARKS if data.startswith(start)), "")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        where = f" but {mark}" if mark else f": a byte of line {line} is none"
        raise DataError(f"'{name}' is not UTF-8 text{where}", fix="save it as plain CSV in UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _rows(text: str, name: str) -> Iterator[tuple[int, int, list[str]]]:
    """The rows of cells with their first and last lines; what Python's reader refuses (a cell of more than 131,072
    characters) is a DataError."""
    reader, line = csv.reader(io.StringIO(text, newline="\n")), 1
    try:
        for row in reader:
            yield line, reader.line_num, row
            line = reader.line_num + 1
    except csv.Error as problem:
        raise DataError(f"'{name}' cannot be read as CSV: {problem}") from None


def _check_titles(header: list[str], text: str, name: str) -> None:
    """Each column has a title of its own."""
    head, _, body = text.partition("\n")
    other = next((c for c in (";", "\t") if c in head), "")
    blanks = len(header) == 1 and len(head.split()) == len(body.partition("\n")[0].split()) > 1
    if len(header) == 1 and (other or blanks):
        raise DataError(f"'{name}' separates its cells by {other or ' '!r}", fix="save it with commas")
    if not header or not any(header):
        raise DataError(
            f"'{name}' has no header line that names its columns", fix="let its first line be such as x1,x2,y"
        )
    if not all(header):
        at = header.index("") + 1
        fix = "give it one; from pandas: to_csv(..., index=False)" if at == 1 else "give it one, or remove the comma"
        raise DataError(f"the header line of '{name}' has no title for column {at}", fix=fix)
    if len(set(header)) != len(header):
        again = next(h for h in header if header.count(h) > 1)
        raise DataError(f"'{name}' names the column '{again}' twice")


def _numbers_as_titles(header: list[str], name: str) -> tuple[str, ...]:
    """Titles that are numbers are titles where they count up (years, pixels), with a note; else they are a row of data."""
    numbers = [_number(h) for h in header]
    if None in numbers:
        return ()
    whole = all(WHOLE.fullmatch(h) for h in header)
    if not whole or any(b <= a for a, b in pairwise(numbers)):
        raise DataError(
            f"the first line of '{name}' holds numbers: {','.join(header)[:40]}", fix="put a line of titles above it"
        )
    shown = ", ".join(header[:4]) + (" ..." if header[4:] else "")
    return (f"the first line of '{name}' is read as titles, not as data: {shown}",)


def _slowly(
    rows: Iterator[tuple[int, int, list[str]]], header: list[str], name: str, gaps: bool, notes: tuple[str, ...]
) -> Columns:
    """Column by column: all numbers, all text, or both, which only a label may be."""
    lines, kept = [], []
    for line, _, row in rows:
        if row and len(row) != len(header):
            unclosed = any("\n" in cell for cell in row)
            fix = (
                "an empty cell keeps its comma"
                if len(row) < len(header)
                else "a cell that holds a comma stands in quotes"
            )
            fix = "is a quote never closed?" if unclosed else fix
            raise DataError(f"'{name}' row {line} has {len(row)} cells, the header has {len(header)}", fix=fix)
        if row:
            lines.append(line)
            kept.append(row)
    values, faults, words = {}, {}, {}
    for k, title in enumerate(header):
        cells = [row[k].strip() for row in kept]
        numbers = [_number(cell) for cell in cells]
        said = [v for v, cell in zip(numbers, cells, strict=True) if cell.lower() not in MISSING]
        if said and not any(v is not None for v in said):
            values[title] = np.array(cells)
            continue
        wrong = [v is None or not math.isfinite(v) for v in numbers]
        wrong = [w and not (gaps and cell.lower() in MISSING) for w, cell in zip(wrong, cells, strict=True)]
        if any(wrong):
            bad = zip(lines, cells, wrong, strict=True)
            faults[title] = tuple((line, title, _shown(cell)) for line, cell, w in bad if w)
            values[title] = np.array(cells)
            continue
        values[title] = np.array([math.nan if v is None else v for v in numbers])
        if any(_is_rounded(v, cell) for v, cell in zip(numbers, cells, strict=True)):
            words[title] = np.array(cells)
    return Columns(values, faults, words, notes)


def _is_rounded(value: float | None, cell: str) -> bool:
    """Is a whole number another one in float64?"""
    return value is not None and abs(value) >= EXACT and WHOLE.fullmatch(cell) is not None and int(cell) != value


def _number(cell: str) -> float | None:
    try:
        return float(cell) if "_" not in cell and cell.isascii() else None
    except ValueError:
        return None


def _shown(cell: str) -> str:
    if not cell:
        return EMPTY
    value = _number(cell)
    overflow = value is not None and math.isinf(value) and any(c.isdigit() for c in cell)
    return f"{cell[:40]!r} overflows float64" if overflow else repr(cell[:40])

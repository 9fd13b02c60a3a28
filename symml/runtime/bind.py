"""Declarations meet values: which column or array a name takes, what its sizes are, whether its entries are allowed.

A declaration is JSON: {"name", "dims": [...], "domain": {...} or null, "transform", "source", "label", "columns"}.

    bind(manifest, values={}, folder=Path("examples"))  ->  Bound(arrays, dims, labels, parts, statistics)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from symml.errors import DataError
from symml.runtime import ragged
from symml.runtime.domains import check_domain
from symml.runtime.frames import as_array, titles
from symml.runtime.graphs import edge_ends, of_table
from symml.runtime.prepare import column_statistics, split_rows, standard_noise, transformed
from symml.runtime.stored import Stored, take_rows
from symml.runtime.tables import OFFENDERS, Table, read_table

LARGEST_ARRAY = 2**36


@dataclass
class Bound:
    """Arrays as the kernel wants them; `labels` are the values behind label codes, `parts` the rows of a split.

    `columns` are the titles of a matrix's columns, where its file or frame has them: a prediction finds them by title.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    dims: dict[str, int] = field(default_factory=dict)
    labels: dict[str, list] = field(default_factory=dict)
    parts: dict[str, np.ndarray] = field(default_factory=dict)
    statistics: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def bind(manifest: Mapping, values: Mapping[str, object], folder: Path, dtype: str) -> Bound:
    """All data of a fit. `values` are arrays, frames or Paths by name and go before the files of the page."""
    bound = Bound(dims=dict(manifest["sizes"]))
    graphs = {g["name"]: g for g in manifest["graphs"]}
    plain = {k: v for k, v in values.items() if k not in graphs}
    raw = _filled(manifest["data"], _gather(_given(manifest["data"]), plain, folder, bound))
    owner: dict[str, str] = {}
    for decl in (d for d in manifest["data"] if not d["entries_of"]):
        _sizes(decl, raw[decl["name"]], bound, owner)
    dense = [d for d in manifest["data"] if not d["entries_of"] and not d["sparse"]]
    _store(manifest["data"], raw, bound, dtype)
    for decl in dense:
        raw[decl["name"]] = _entries(decl, raw[decl["name"]], bound)
    for graph in graphs.values():
        _edges(graph, values.get(graph["name"]), folder, bound)
    _split(manifest.get("split"), bound, raw)
    for decl in dense:
        bound.arrays[decl["name"]] = _prepared(decl, raw[decl["name"]], bound, dtype)
    _noise(manifest, bound, dtype)
    return bound


def bind_again(manifest: Mapping, names: list[str], values: Mapping[str, object], fitted: Bound, dtype: str) -> Bound:
    """Data of a prediction: only `names`, the row dim rebinds; labels, statistics and titles of columns are those of the fit.

    What has no row for each row of the data and is not given is that of the fit.
    """
    row = manifest["row"]
    again = Bound(
        dims={k: v for k, v in fitted.dims.items() if k != row},
        labels=fitted.labels,
        statistics=fitted.statistics,
        columns=dict(fitted.columns),
    )
    decls = [d for d in manifest["data"] if d["name"] in names]
    graphs = [g for g in manifest["graphs"] if f"{g['name']}_tail" in names]
    given = {g["name"] for g in graphs}
    plain = {k: v for k, v in values.items() if k not in given}
    kept = [d for d in decls if d["name"] not in plain and not d["rowed"] and d["name"] in fitted.arrays]
    again.arrays |= {d["name"]: fitted.arrays[d["name"]] for d in kept}
    fresh = [{**d, "source": None} for d in decls if d not in kept]
    needed = {d["present_of"] or d["entries_of"] or d["name"] for d in fresh}
    every = [{**d, "source": None} for d in _given(manifest["data"])]
    raw = _filled(manifest["data"], _gather([d for d in every if d["name"] in needed], plain, Path("."), again, every))
    owner = {k: "the fit" for k in again.dims if not k.endswith("_entries")}
    for decl in (d for d in every if d["sparse"] and d["name"] in raw):
        _sizes(decl, raw[decl["name"]], again, owner)
    _store(every, raw, again, dtype)
    fresh = [d for d in fresh if not d["entries_of"]]
    for decl in fresh:
        _sizes(decl, raw[decl["name"]], again, owner)
    if row is not None:
        again.dims.setdefault(row, fitted.dims[row])
        if again.dims[row] != fitted.dims[row]:
            _refuse_rowed(manifest["params"], row)
    for decl in fresh:
        again.arrays[decl["name"]] = _prepared(decl, _entries(decl, raw[decl["name"]], again), again, dtype)
    for graph in graphs:
        _edges({**graph, "source": None}, values.get(graph["name"]), Path("."), again)
    _noise(manifest, again, dtype)
    return again


def _noise(manifest: Mapping, bound: Bound, dtype: str) -> None:
    """Standard normal numbers for what reads noise outside of training: always the same ones."""
    for k, decl in enumerate(manifest["noise"]):
        numbers = tuple(bound.dims[d] if isinstance(d, str) else d for d in decl["dims"])
        if math.prod(numbers) * 8 > LARGEST_ARRAY:
            raise DataError(f"'{decl['name']}' would need {math.prod(numbers) * 8:.3g} bytes")
        bound.arrays[decl["name"]] = standard_noise(numbers, k).astype(dtype)


def _refuse_rowed(params: list, row: str) -> None:
    rowed = [p["name"] for p in params if row in p["shape"]]
    if rowed:
        raise DataError(
            f"'{rowed[0]}' has entries for the {row} of the fit only", fix="give as many rows as the fit had"
        )


def rows_taken(
    arrays: Mapping[str, np.ndarray], dims: Mapping[str, int], decls: list, row: str | None, rows: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The arrays and sizes of some rows of the data, in their order and as often as they are named."""
    rowed = {d["name"] for d in decls if d["dims"] and d["dims"][0] == row}
    taken = {k: np.ascontiguousarray(a[rows]) if k in rowed else a for k, a in arrays.items()}
    sizes = {**dims, row: len(rows)}
    for name in (d["name"] for d in decls if d.get("sparse") and d["dims"][0] == row and f"{d['name']}_row" in arrays):
        chosen, new = take_rows(arrays[f"{name}_row"], dims[row], rows)
        taken[f"{name}_row"] = new
        taken |= {f"{name}_{end}": np.ascontiguousarray(arrays[f"{name}_{end}"][chosen]) for end in ("col", "value")}
        sizes[f"{name}_entries"] = len(new)
    return taken, sizes


# missing entries


def _given(decls: list) -> list:
    """What a user gives: not the tensors that say where entries are present or which are stored."""
    return [d for d in decls if not d["present_of"] and not d["entries_of"]]


def _store(decls: list, raw: Mapping[str, object], bound: Bound, dtype: str) -> None:
    """The stored entries of sparse data as arrays of the kernel."""
    for name in (d["name"] for d in decls if d["sparse"] and d["name"] in raw):
        found = raw[name]
        bound.arrays |= {f"{name}_row": found.rows, f"{name}_col": found.columns}
        bound.arrays[f"{name}_value"] = found.values.astype(dtype)
        bound.dims[f"{name}_entries"] = len(found.rows)


def _lengths(decls: list) -> dict[str, str]:
    """For each name of ragged data, the name of its lengths."""
    return {d["name"]: d["lengths"] for d in decls if d["lengths"]}


def _filled(decls: list, raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Where entries may be missing, 1 where they are there; what is not there becomes some other entry, never read."""
    raw = ragged.padded(raw, _lengths(decls))
    for d in decls:
        name = d["present_of"]
        if name not in raw:
            continue
        array = raw[name]
        present = ~np.isnan(array) if array.dtype.kind == "f" else np.ones(array.shape, bool)
        if array.size and not present.any():
            raise DataError(f"'{name}' has no entry that is present")
        raw[name] = np.where(present, array, array[present][:1])
        raw[d["name"]] = present.astype(np.float64)
    return raw


# where values come from


def _gather(
    decls: list, values: Mapping[str, object], folder: Path, bound: Bound, every: list | None = None
) -> dict[str, np.ndarray]:
    """The values of `decls`, of `every` declaration of the page (by default the same)."""
    every = decls if every is None else every
    unknown = [name for name in values if name not in {d["name"] for d in every}]
    if unknown:
        raise DataError(
            f"'{unknown[0]}' is not data of this page",
            fix=f"its data are {', '.join(d['name'] for d in every) or 'graphs only'}",
        )
    tables: dict[str, Table] = {}
    raw = {}
    values = ragged.as_arrays(values, _lengths(decls))
    gaps = any(
        d["gaps"] or d["lengths"] for d in every
    )  # a cell of other data in the same file is looked at with its entries
    for decl in decls:
        name = decl["name"]
        if name in values and not isinstance(values[name], Path):
            raw[name] = _from_value(decl, values[name], bound)
        elif name in values:
            raw[name] = _from_table(decl, every, _table(values[name], values[name].parent, tables, bound, gaps), bound)
        elif decl["source"] is None:
            raise DataError(
                f"no value for '{name}'",
                fix=f'give it: {name}=array in Python, --data {name}=FILE, or from "FILE" on the page',
            )
        else:
            raw[name] = _from_table(decl, every, _table(folder / decl["source"], folder, tables, bound, gaps), bound)
    return raw


def _from_value(decl: Mapping, value: object, bound: Bound) -> np.ndarray:
    """An array or a frame; a frame's columns are those of the fit where both have titles."""
    name, own = decl["name"], titles(value)
    if decl["sparse"]:
        return Stored.of(value if hasattr(value, "tocoo") else as_array(value, name), name)
    if own is None or len(decl["dims"]) != 2:
        return as_array(value, name)
    wanted = bound.columns.setdefault(name, own)
    if wanted != own:
        _refuse_absent(name, "the frame", wanted, own)
        value = value[wanted]
    return as_array(value, name)


def _refuse_absent(name: str, place: str, wanted: list[str], columns: Iterable[str]) -> None:
    absent = [title for title in wanted if title not in columns]
    if absent:
        raise DataError(
            f"{place} lacks the column '{absent[0]}' that '{name}' was trained with"
            + (f", and {len(absent) - 1} more" if absent[1:] else ""),
            fix=f"'{name}' has {', '.join(wanted[:12])}",
        )


def _table(path: Path, allowed: Path, tables: dict[str, Table], bound: Bound, gaps: bool) -> Table:
    if str(path) not in tables:
        tables[str(path)] = read_table(path, allowed, gaps)
        bound.notes += tables[str(path)].notes
    return tables[str(path)]


def _from_table(decl: Mapping, decls: list, table: Table, bound: Bound) -> np.ndarray:
    """Rule 8: a vector takes the column of its own name or label, a matrix all remaining numeric columns."""
    name, columns = decl["name"], table.columns
    if decl["sparse"] and "format" in columns:
        return Stored.of_members(columns, name)
    if decl["sparse"]:
        return Stored.of(_from_table({**decl, "sparse": False}, decls, table, bound), name)
    if not table.titled:
        if name not in columns and "" not in columns:
            raise DataError(f"'{table.path.name}' has no member '{name}'", fix=f"it has {', '.join(columns) or 'none'}")
        return columns.get(name, columns.get(""))
    if len(decl["dims"]) == 1:
        title = decl["label"] or name
        _refuse_shared(decl, decls)
        if title not in columns:
            raise DataError(
                f"'{table.path.name}' has no column '{title}'",
                fix=f'it has {", ".join(list(columns)[:12])}; name one: label "..."',
            )
        if (decl["domain"] or {}).get("kind") == "label":
            return table.words.get(title, columns[title])
        _refuse_faults(table, [title], decl, decls)
        return columns[title]
    if name in bound.columns:
        chosen = bound.columns[name]
        _refuse_absent(name, f"'{table.path.name}'", chosen, columns)
    elif decl["columns"]:
        chosen = _said(decl["columns"], name, table)
    else:
        taken = {d["label"] or d["name"] for d in decls if d["source"] == decl["source"] and len(d["dims"]) == 1}
        chosen = [c for c, v in columns.items() if c not in taken and (v.dtype.kind != "U" or c in table.faults)]
    _refuse_faults(table, chosen, decl, decls)
    texts = [c for c in chosen if columns[c].dtype.kind == "U"]
    if texts or not chosen:
        raise DataError(
            f"'{name}' needs numeric columns, and '{table.path.name}' has {'text in ' + texts[0] if texts else 'none'}"
        )
    bound.columns[name] = chosen
    return np.column_stack([columns[c] for c in chosen])


def _refuse_faults(table: Table, titles: list[str], decl: Mapping, decls: list) -> None:
    """Refuse cells that are no numbers where they are read, together with those of the file's other vectors."""
    if any(title in table.faults for title in titles):
        beside = [d for d in decls if d["source"] == decl["source"] and len(d["dims"]) == 1]
        labels = [d for d in beside if (d["domain"] or {}).get("kind") == "label"]
        table.refuse([*titles, *(d["label"] or d["name"] for d in beside if d not in labels)])


def _said(columns: list | dict, name: str, table: Table) -> list[str]:
    """The titles that a page's `columns` name: a range of numbers or of titles, or the titles themselves."""
    titles = list(table.columns)
    wanted = columns["titles"] if isinstance(columns, dict) else [c for c in columns if isinstance(c, str)]
    absent = [c for c in wanted if c not in titles]
    if absent:
        raise DataError(f"'{table.path.name}' has no column '{absent[0]}'", fix=f"it has {', '.join(titles[:12])}")
    if isinstance(columns, dict):
        return wanted
    first, last = (titles.index(c) + 1 if isinstance(c, str) else c for c in columns)
    if not 1 <= first <= last <= len(titles):
        raise DataError(
            f"columns {columns[0]}..{columns[1]} of '{table.path.name}', which has {', '.join(titles[:12])}"
        )
    return titles[first - 1 : last]


def _refuse_shared(decl: Mapping, decls: list) -> None:
    """A label is the column of one vector: of two it would say the same numbers."""
    label, source = decl["label"], decl["source"]
    vectors = [d["name"] for d in decls if len(d["dims"]) == 1 and (d["label"], d["source"]) == (label, source)]
    others = [name for name in vectors if label and name != decl["name"]]
    if others:
        raise DataError(
            f"'{decl['name']}' and '{others[0]}' are both labelled \"{label}\"",
            fix=f'give one of them its own `from`: {decl["name"]}[...] from "{source}"',
        )


def _edges(graph: Mapping, value: object, folder: Path, bound: Bound) -> None:
    """The ends of a graph's edges, and how many there are."""
    if value is None and graph["source"] is None:
        raise DataError(
            f"no edges for '{graph['name']}'", fix=f'give them: {graph["name"]}=array of pairs, or from "FILE"'
        )
    if value is None or isinstance(value, Path):
        path, allowed = (folder / graph["source"], folder) if value is None else (value, value.parent)
        pairs = of_table(graph, _table(path, allowed, {}, bound, False))
    else:
        pairs = as_array(value, graph["name"])
    tail, head, bound.dims[graph["nodes"]] = edge_ends(graph, pairs, bound.dims.get(graph["nodes"]))
    bound.arrays[f"{graph['name']}_tail"], bound.arrays[f"{graph['name']}_head"] = tail, head
    bound.dims[f"{graph['name']}_edges"] = len(tail)


# sizes, entries


def _sizes(decl: Mapping, array: np.ndarray, bound: Bound, owner: dict[str, str]) -> None:
    name, dims = decl["name"], decl["dims"]
    if array.ndim != len(dims):
        raise DataError(
            f"'{name}' is declared [{', '.join(map(str, dims))}] and was given an array of shape {array.shape}"
        )
    if array.size == 0:
        raise DataError(f"'{name}' has no rows", fix="a mean over no rows is undefined")
    for dim, size in zip(dims, array.shape, strict=True):
        known = dim if isinstance(dim, int) else bound.dims.get(dim)
        if known is None:
            bound.dims[dim] = size
            owner[dim] = f"'{name}'"
        elif known != size:
            told = f" by {owner[dim]}" if dim in owner else " by the page"
            raise DataError(f"'{name}' has size {size} where {dim} is {known}, as bound{told}")


def _entries(decl: Mapping, array: np.ndarray, bound: Bound) -> np.ndarray:
    """Labels as codes, entries inside their domain: a kernel never sees an index or a number out of range."""
    name, domain = decl["name"], decl["domain"]
    if domain and domain["kind"] == "label":
        return _codes(name, array, domain["size"], bound)
    if domain and domain["kind"] == "length":
        return _lengths_inside(name, array, bound.dims[domain["size"]])
    if array.dtype.kind not in "fiub":
        first = str(array.flat[0])[:40]
        raise DataError(
            f"'{name}' holds text where numbers are declared, first {first!r}", fix="declare it as a label: y[n] in c"
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        where = [tuple(int(k) for k in w) for w in np.argwhere(~np.isfinite(array))[:OFFENDERS]]
        raise DataError(f"'{name}' has non-finite values at {', '.join(map(str, where))}")
    if domain:
        check_domain(name, array, domain)
    return array


def _lengths_inside(name: str, array: np.ndarray, most: int) -> np.ndarray:
    """Whole numbers in 1..most: a kernel reads up to the last entry of each sequence."""
    if array.dtype.kind not in "fiu" or not ((array >= 1) & (array <= most) & (array == np.floor(array))).all():
        raise DataError(f"'{name}' are lengths of sequences: whole numbers in 1..{most}")
    return array.astype(np.int64)


def _codes(name: str, array: np.ndarray, size: str | int, bound: Bound) -> np.ndarray:
    """Codes 0..c-1 of the sorted distinct labels; numbers that are codes of a known c already stay."""
    number = array.dtype.kind == "f"
    wrong = np.flatnonzero(~np.isfinite(array) if number else array == "" if array.dtype.kind == "U" else ())
    if wrong.size:
        what = "infinite" if number and np.isinf(array.flat[wrong[0]]) else "missing"
        raise DataError(f"the label {name}[{wrong[0]}] is {what}", fix="remove these rows, or give them a label")
    if name in bound.labels:
        known = np.array(bound.labels[name])
        if known.dtype.kind == "U" and array.dtype.kind in "fiub":  # text labels of which these happen to be numbers
            array = np.array([f"{v:.0f}" if v == np.floor(v) else repr(float(v)) for v in array.flat]).reshape(
                array.shape
            )
        codes = np.searchsorted(known, array).clip(0, len(known) - 1)
        wrong = np.flatnonzero(known[codes] != array)
        if wrong.size:
            labels = ", ".join(map(str, bound.labels[name][:12])) + (" ..." if bound.labels[name][12:] else "")
            raise DataError(
                f"{name}[{wrong[0]}] = {array[wrong[0]]} is not a label of the fit", fix=f"its labels are {labels}"
            )
        return codes.astype(np.int64)
    count = size if isinstance(size, int) else bound.dims.get(size)
    if count is not None and array.dtype.kind in "fiub":
        wrong = np.flatnonzero((array < 0) | (array >= count) | (array != np.floor(array)))
        if wrong.size:
            listed = ", ".join(f"{name}[{k}] = {array[k]:g}" for k in wrong[:OFFENDERS])
            raise DataError(f"{listed}: outside 0..{count - 1}", fix="labels of a fixed size are 0-based codes")
        bound.labels[name] = list(range(count))
        return array.astype(np.int64)
    distinct, codes = np.unique(array, return_inverse=True)
    if count is not None and len(distinct) > count:
        raise DataError(f"'{name}' has {len(distinct)} distinct labels, {size} is {count}")
    if isinstance(size, str) and count is None:
        bound.dims[size] = len(distinct)
    whole = distinct.dtype.kind == "f" and (distinct == np.floor(distinct)).all()
    bound.labels[name] = [int(v) for v in distinct] if whole or distinct.dtype.kind in "iub" else distinct.tolist()
    return codes.reshape(array.shape).astype(np.int64)


# split and transforms


def _split(split: Mapping | None, bound: Bound, raw: Mapping[str, np.ndarray]) -> None:
    if not split:
        return
    strata = None
    if split["by"]:
        strata = np.unique(raw[split["by"]], return_inverse=True)[1]
    n = bound.dims[split["dim"]]
    parts = split_rows(n, [f for _, f in split["parts"]], split["seed"], strata)
    for (name, _), rows in zip(split["parts"], parts, strict=True):
        if not rows.size:
            raise DataError(f"the part '{name}' of the split has no rows: {split['dim']} is {n}")
        bound.parts[name] = rows


def _prepared(decl: Mapping, array: np.ndarray, bound: Bound, dtype: str) -> np.ndarray:
    """Transforms by the training rows; the kernel's dtype, C order."""
    name = decl["name"]
    if array.dtype == np.int64:
        return np.asarray(array, order="C")
    if decl["transform"]:
        if name not in bound.statistics:
            train = next(iter(bound.parts.values()), None)
            bound.statistics[name] = column_statistics(array if train is None else array[train], decl["transform"])
            if decl["transform"] == "standardised" and (bound.statistics[name][1] == 1.0).any():
                constant = np.flatnonzero(
                    np.atleast_1d((array if train is None else array[train]).std(axis=0)) <= 1e-12
                )
                if constant.size:
                    bound.notes.append(f"'{name}' has {constant.size} constant columns; they are centred only")
        array = transformed(array, *bound.statistics[name])
    return np.asarray(array, dtype, order="C")  # a number has no dims, where ascontiguousarray gives it one

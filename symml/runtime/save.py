"""A fit on disk: params.npz (no pickle), fit.json and the page, each written whole or not at all; and back.

save(Path("runs/ridge"), result);   saved = restore(Path("runs/ridge"))
"""

from __future__ import annotations

import difflib
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from symml.errors import DataError, FileError
from symml.runtime.bind import Bound
from symml.runtime.launch import Kernel, shape
from symml.runtime.tables import read_bytes, read_npz

DTYPES = ("float64", "float32")
COMMENT = re.compile(r'("[^"]*")|#.*')


def write_whole(path: Path, content: bytes) -> None:
    """Temporary file, flush, fsync, rename: a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as problem:
        raise FileError(f"cannot write '{path}': {problem.strerror}") from None


@dataclass(frozen=True)
class Saved:
    """A fit read from its folder: the page's text, parameters, the same in the data's units, and what its data left behind.

    `bound` holds sizes, labels, statistics, titles of columns, and the arrays that a prediction reads and that have no
    row for each row of the data. `facts` is fit.json.
    """

    page: str
    facts: Mapping
    params: Mapping[str, np.ndarray]
    units: Mapping[str, np.ndarray]
    bound: Bound


def save_arrays(folder: Path, name: str, arrays: Mapping[str, object]) -> Path:
    """An npz in a folder, which is made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise FileError(f"cannot make the folder '{folder}': {problem.strerror}") from None
    buffer = io.BytesIO()
    np.savez(buffer, **{k: np.asarray(v) for k, v in arrays.items()})
    write_whole(folder / name, buffer.getvalue())
    return folder / name


def save(folder: Path, result: object) -> Path:
    """Parameters, statistics and labels of a fit with its figures."""
    m, bound = result.kernel.manifest, result.bound
    arrays = {f"param.{k}": np.asarray(v) for k, v in result.params.items()}
    arrays |= {f"units.{k}": np.asarray(v) for k, v in result.params_in_data_units.items()}
    for name, (mean, deviation) in bound.statistics.items():
        arrays[f"mean.{name}"], arrays[f"deviation.{name}"] = np.asarray(mean), np.asarray(deviation)
    read = m["functions"].get("predict", {"data": []})["data"]
    fixed = [d["name"] for d in m["data"] if d["name"] in read and not d["rowed"]]
    arrays |= {f"data.{name}": bound.arrays[name] for name in fixed}
    save_arrays(folder, "params.npz", arrays)
    facts = {
        "model": m["model"],
        "dtype": result.kernel.dtype,
        "dims": bound.dims,
        "labels": bound.labels,
        "columns": bound.columns,
        "report": dict(result.report),
        "hyper": dict(result.hypers),
        "kernel": result.kernel_name,
        **result.outcome,
    }
    write_whole(folder / "fit.json", json.dumps(facts, indent=1).encode())
    write_whole(folder / "page.symml", result.page.encode())
    return folder


def restore(folder: Path) -> Saved:
    """A saved fit; FileError where it is absent, DataError where its files are not what `save` writes."""
    if not folder.is_dir():
        raise FileError(f"there is no folder '{folder}'", fix="symml run SPEC saves under runs/NAME")
    arrays = read_npz(folder / "params.npz", folder).columns
    facts = _facts(folder)
    groups: dict[str, dict] = {"param": {}, "units": {}, "mean": {}, "deviation": {}, "data": {}}
    for key, array in arrays.items():
        group, _, name = key.partition(".")
        if group not in groups:
            raise DataError(f"'{folder}/params.npz' has the member '{key[:60]}', which no saved fit has")
        groups[group][name] = array
    if groups["mean"].keys() != groups["deviation"].keys():
        raise DataError(f"'{folder}/params.npz' lacks a mean or a deviation")
    statistics = {name: (mean, groups["deviation"][name]) for name, mean in groups["mean"].items()}
    bound = Bound(
        arrays=groups["data"],
        dims=facts["dims"],
        labels=facts["labels"],
        statistics=statistics,
        columns=facts["columns"],
    )
    page = read_bytes(folder / "page.symml", folder).decode("utf-8", "replace")
    return Saved(page, facts, groups["param"], groups["units"], bound)


def _facts(folder: Path) -> dict:
    """fit.json, with every part that a prediction relies on of the type it must have."""
    try:
        facts = json.loads(read_bytes(folder / "fit.json", folder))
    except (ValueError, RecursionError):
        raise DataError(f"'{folder}/fit.json' is not readable JSON") from None
    wanted = {"model": str, "dtype": str, "dims": dict, "labels": dict, "columns": dict, "hyper": dict, "report": dict}
    wrong = [k for k, kind in wanted.items() if not isinstance(facts, dict) or not isinstance(facts.get(k), kind)]
    good = not wrong and (
        facts["dtype"] in DTYPES
        and all(type(v) is int and v > 0 for v in facts["dims"].values())
        and all(isinstance(v, list) for v in (*facts["labels"].values(), *facts["columns"].values()))
        and all(type(v) in (int, float) for v in facts["hyper"].values())
        and all(isinstance(v, str | int | float) for group in facts["labels"].values() for v in group)
        and all(isinstance(v, str) for group in facts["columns"].values() for v in group)
    )
    if not good:
        raise DataError(f"'{folder}/fit.json' is not of a saved fit{': it lacks ' + wrong[0] if wrong else ''}")
    return facts


def fitted(folder: Path, saved: Saved, kernel: Kernel) -> Bound:
    """What the data of a saved fit left behind, as a kernel wants it; every array has the shape and range the page says."""
    m, bound = kernel.manifest, saved.bound
    read = m["functions"].get("predict", {"data": []})["data"]
    wanted = {f"param.{p['name']}": (saved.params.get(p["name"]), p["shape"]) for p in m["params"]}
    arrays = {}
    for d in (d for d in m["data"] if d["name"] in read):
        name = d["name"]
        if d["transform"]:
            pair = bound.statistics.get(name, (None, None))
            wanted |= {f"{k}.{name}": (a, d["dims"][1:]) for k, a in zip(("mean", "deviation"), pair, strict=True)}
        if not d["rowed"]:
            wanted[f"data.{name}"] = bound.arrays.get(name), d["dims"]
            arrays[name] = bound.arrays.get(name)
    for key, (array, sizes) in wanted.items():
        if array is None or array.shape != shape(bound.dims, sizes):
            found = "is absent" if array is None else f"has shape {array.shape}"
            raise DataError(f"'{folder}' is not of this page: {key} {found}", fix="train it again: symml run SPEC")
    for d in (d for d in m["data"] if d["name"] in arrays):
        name, domain = d["name"], d["domain"]
        if domain and domain["kind"] == "label":
            size = shape(bound.dims, [domain["size"]])[0]
            if arrays[name].dtype.kind != "i" or arrays[name].min() < 0 or arrays[name].max() >= size:
                raise DataError(f"'{folder}' holds codes of '{name}' outside 0..{size - 1}")
        elif domain and domain["kind"] == "length":
            most = shape(bound.dims, [domain["size"]])[0]
            if arrays[name].dtype.kind != "i" or arrays[name].min() < 1 or arrays[name].max() > most:
                raise DataError(f"'{folder}' holds lengths of '{name}' outside 1..{most}")
        else:
            arrays[name] = np.ascontiguousarray(arrays[name], kernel.dtype)
    return replace(bound, arrays=arrays)


def refuse_other_page(folder: Path, old: str, new: str) -> None:
    """A fit belongs to its page; comments and blank lines may differ."""
    before, after = _meant(old), _meant(new)
    matcher = difflib.SequenceMatcher(None, [t for _, t in before], [t for _, t in after], autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            number = after[c][0] if c < len(after) else len(new.splitlines()) + 1
            was = " / ".join(t.strip() for _, t in before[a:b])[:80]
            now = " / ".join(t.strip() for _, t in after[c:d])[:80]
            raise DataError(
                f"the page has changed since '{folder}' was trained: line {number} "
                + (f"is '{now}' and was '{was}'" if was and now else f"has '{now}' more" if now else f"lacks '{was}'"),
                fix=f"train it again, or take the page of that run: {folder}/page.symml",
            )


def _meant(text: str) -> list[tuple[int, str]]:
    """The lines of a page that have a meaning, each with its number."""
    lines = [COMMENT.sub(lambda m: m[1] or "", line).rstrip() for line in text.splitlines()]
    return [(k, line) for k, line in enumerate(lines, start=1) if line]

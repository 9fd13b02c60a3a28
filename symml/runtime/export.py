"""Results as files for others: predictions and parameters as CSV, JSON, npy, npz. Numbers read back exactly.

predictions(rows, ".csv");   parameters(saved, "json")   ->  bytes
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import numpy as np

from symml.errors import DataError
from symml.runtime.save import Saved

SPREADSHEET_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
FORMATS = ("csv", "json", "npz")


def predictions(rows: np.ndarray, ending: str) -> bytes:
    """Predictions as the content of a file with this ending: .csv, .json or .npy."""
    rows = np.atleast_1d(rows)
    if ending == ".csv":
        return ("\n".join(_prediction_lines(rows)) + "\n").encode()
    if ending == ".json":
        whole = rows.dtype.kind != "f" or np.isfinite(rows).all()
        listed = rows.tolist() if whole else np.where(np.isfinite(rows), rows.astype(object), None).tolist()
        return json.dumps(listed, allow_nan=False).encode()  # JSON has no word for what is not finite
    if ending == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, rows, allow_pickle=False)
        return buffer.getvalue()
    raise DataError(f"predictions are not written as '{ending}'", fix="one of .csv, .json, .npy")


def _prediction_lines(rows: np.ndarray) -> list[str]:
    """A header and a line for each row; an entry of a row is named by its place in the row."""
    places = ["_".join(map(str, ("prediction", *at))) for at in np.ndindex(rows.shape[1:])]
    lines = [",".join(["row", *places])]
    return lines + [",".join([str(i), *map(cell, np.ravel(row))]) for i, row in enumerate(rows)]


def parameters(saved: Saved, form: str) -> bytes:
    """The parameters of a saved fit: one line an entry (csv), nested lists (json), arrays by name (npz)."""
    if form == "csv":
        return ("\n".join(parameter_lines(saved.params, saved.units)) + "\n").encode()
    if form == "json":
        facts = {
            "model": saved.facts["model"],
            "dims": saved.bound.dims,
            "labels": saved.bound.labels,
            "hyper": saved.facts["hyper"],
            "params": {k: np.asarray(v).tolist() for k, v in saved.params.items()},
            "params_in_data_units": {k: np.asarray(v).tolist() for k, v in saved.units.items()},
        }
        return (json.dumps(facts, indent=1) + "\n").encode()
    if form == "npz":
        buffer = io.BytesIO()
        units = {f"in_data_units.{k}": v for k, v in saved.units.items()}
        np.savez(buffer, **saved.params, **units)
        return buffer.getvalue()
    raise DataError(f"parameters are not written as '{form}'", fix=f"one of {', '.join(FORMATS)}")


def parameter_lines(params: Mapping[str, object], units: Mapping[str, object]) -> list[str]:
    """Every entry of every parameter, as trained and, where it multiplies transformed data, in the data's units."""
    rows = ["parameter,index,value,in_data_units"]
    for name, value in {**params, **{k: v for k, v in units.items() if k not in params}}.items():
        for at in np.ndindex(np.shape(value)):
            own = cell(np.asarray(value)[at]) if name in params else ""
            raw = cell(np.asarray(units[name])[at]) if name in units else ""
            rows.append(f"{name},{' '.join(map(str, at))},{own},{raw}")
    return rows


def cell(value: object) -> str:
    """A cell of a CSV file; text that a spreadsheet would run is made text."""
    if not isinstance(value, str):
        return str(value)
    text = f"'{value}" if value.startswith(SPREADSHEET_FORMULAS) else value
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text

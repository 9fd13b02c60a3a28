"""A fit on disk: params.npz (no pickle) and fit.json, each written whole or not at all.

save(Path("runs/ridge"), result)
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from symml.errors import FileError


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
    arrays = {f"param.{k}": np.asarray(v) for k, v in result.params.items()}
    for name, (mean, deviation) in result.bound.statistics.items():
        arrays[f"mean.{name}"], arrays[f"deviation.{name}"] = np.asarray(mean), np.asarray(deviation)
    save_arrays(folder, "params.npz", arrays)
    facts = {
        "model": result.kernel.manifest["model"],
        "dtype": result.kernel.dtype,
        "dims": result.bound.dims,
        "labels": result.bound.labels,
        "report": dict(result.report),
        "hyper": dict(result.hypers),
        **result.outcome,
    }
    write_whole(folder / "fit.json", json.dumps(facts, indent=1).encode())
    return folder

"""A kernel's module and its calls: the vector of parameters, tuples of data, buffers, training, prediction, reports.

kernel = Kernel(manifest, module)        module: anything with the emitted functions as attributes
outcome = train(kernel, bound, dtype, seed)
"""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symml.errors import DataError, NumericError
from symml.runtime.bind import LARGEST_ARRAY, Bound, check_domain, rows_of
from symml.runtime.drive import run_lbfgs, run_minibatch

Watch = Callable[[int, int, float, float], None]


@dataclass(frozen=True)
class Kernel:
    """A module of functions and the manifest that says how to call them."""

    manifest: Mapping
    module: object
    dtype: str


def load_module(path: Path, source: str) -> types.ModuleType:
    """Execute emitted source under its own file name, so that numba can keep what it compiles beside it."""
    name = f"symml_kernel_{path.parent.name}"
    if name in sys.modules:
        return sys.modules[name]
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


# arguments


def sizes(kernel: Kernel, dims: Mapping[str, int], extra: Mapping[str, int] | None = None) -> np.ndarray:
    """The dims in the kernel's order."""
    known = {**dims, **(extra or {})}
    unbound = [d for d in kernel.manifest["dims"] if d not in known and d != kernel.manifest["batch"]]
    if unbound:
        raise DataError(
            f"the size of '{unbound[0]}' is not known", fix=f"give data with this dim, or write dims {unbound[0]} = 8"
        )
    return np.array([known.get(d, 0) for d in kernel.manifest["dims"]], np.int64)


def hypers(kernel: Kernel, values: Mapping[str, float]) -> np.ndarray:
    """The hyper-parameters in the kernel's order, each inside its domain."""
    known = [h["name"] for h in kernel.manifest["hypers"]]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise DataError(
            f"'{unknown[0]}' is not a hyper-parameter of this page", fix=f"its own are {', '.join(known) or 'none'}"
        )
    out = []
    for h in kernel.manifest["hypers"]:
        value = values.get(h["name"], h["value"])
        if value is None:
            raise DataError(
                f"the hyper-parameter '{h['name']}' has no value", fix=f"write hyper {h['name']} = 0.1, or give it"
            )
        if h["domain"]:
            check_domain(h["name"], np.asarray(float(value)), h["domain"])
        out.append(float(value))
    return np.array(out, np.float64)


def shape(dims: Mapping[str, int], sizes_: list) -> tuple[int, ...]:
    """Named sizes as numbers; refused before anything is allocated where memory would not do."""
    unbound = [s for s in sizes_ if not isinstance(s, int) and s not in dims]
    if unbound:
        raise DataError(
            f"the size of '{unbound[0]}' is not known", fix=f"write dims {unbound[0]} = 8, or give data with this dim"
        )
    numbers = tuple(s if isinstance(s, int) else dims[s] for s in sizes_)
    if math.prod(numbers) * 8 > LARGEST_ARRAY:
        raise DataError(
            f"an array of shape {numbers} would need {math.prod(numbers) * 8:.3g} bytes; the limit is {LARGEST_ARRAY:.3g}"
        )
    return numbers


def buffers(function: Mapping, dims: Mapping[str, int]) -> tuple[np.ndarray, ...]:
    """The work arrays of a function."""
    return tuple(np.zeros(shape(dims, b["shape"]), b["dtype"]) for b in function["work"])


def data_tuple(kernel: Kernel, function: Mapping, arrays: Mapping, dims: Mapping, values: Mapping) -> tuple:
    """(sizes, hyper, array, ...)"""
    return (sizes(kernel, dims), hypers(kernel, values), *(arrays[name] for name in function["data"]))


def parameters(kernel: Kernel, x: np.ndarray, dims: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The vector as named arrays (copies); scalars as numbers."""
    out, at = {}, 0
    for p in kernel.manifest["params"]:
        s = shape(dims, p["shape"])
        count = math.prod(s)
        part = x[at : at + count]
        out[p["name"]] = part.reshape(s).copy() if s else float(part[0])
        at += count
    return out


def in_data_units(kernel: Kernel, x: np.ndarray, bound: Bound) -> dict[str, np.ndarray]:
    """Parameters that multiply transformed data, in the units of the data as given: w/deviation.

    `X w: shift` is -mean' (w/deviation): what the model adds to raw X times these.
    """
    params, out = parameters(kernel, x, bound.dims), {}
    for pair in kernel.manifest["units"]:
        mean, deviation = bound.statistics[pair["data"]]
        raw = (params[pair["param"]].T / deviation).T
        out[pair["param"]] = raw
        out[f"{pair['data']} {pair['param']}: shift"] = -mean @ raw
    return out


def vector(kernel: Kernel, params: Mapping[str, object], dims: Mapping[str, int]) -> np.ndarray:
    """Named arrays as the vector."""
    parts = []
    for p in kernel.manifest["params"]:
        value = np.asarray(params[p["name"]], dtype=kernel.dtype)
        if value.shape != shape(dims, p["shape"]):
            raise DataError(f"'{p['name']}' has shape {value.shape}, the page says {shape(dims, p['shape'])}")
        parts.append(value.reshape(-1))
    return np.concatenate(parts) if parts else np.zeros(0, kernel.dtype)


# runs


def train(
    kernel: Kernel, bound: Bound, values: Mapping[str, float], seed: int, watch: Watch | None
) -> tuple[np.ndarray, dict]:
    """The trained vector and the outcome of the run."""
    m = kernel.manifest
    part = next(iter(bound.parts), "")
    arrays = rows_of(bound, m["data"], m["row"], part)
    dims = dict(bound.dims)
    if part:
        dims[m["row"]] = len(bound.parts[part])
    count = sum(math.prod(shape(dims, p["shape"])) for p in m["params"])
    x = np.zeros(count, kernel.dtype)
    kernel.module.initialise(x, sizes(kernel, dims), hypers(kernel, values), seed)
    function = m["functions"]["value_and_grad"]
    if m["batch"]:
        outcome = _stochastic(kernel, x, function, arrays, dims, values, seed, watch)
    else:
        o = m["method"]
        outcome = run_lbfgs(
            kernel.module.lbfgs,
            x,
            data_tuple(kernel, function, arrays, dims, values),
            buffers(function, dims),
            o["tolerance"],
            int(o["options"]["iterations"]),
            int(o["options"]["memory"]),
            watch,
        )
    if outcome["status"] == "diverged" or not np.isfinite(x).all():
        raise NumericError(
            f"the loss is not finite at step {outcome['steps']}", fix="try a smaller learning rate, or another init"
        )
    return x, outcome


def _stochastic(
    kernel: Kernel,
    x: np.ndarray,
    function: Mapping,
    arrays: Mapping,
    dims: dict,
    values: Mapping,
    seed: int,
    watch: Watch | None,
) -> dict:
    m = kernel.manifest
    o, opt = m["method"]["options"], m["optimizer"]
    rows = dims[m["row"]]
    size = int(min(o["batch"], rows))
    dims = {**dims, m["batch"]: size}
    data = data_tuple(kernel, function, arrays, dims, values)
    rowed = {d["name"] for d in m["data"] if d["dims"] and d["dims"][0] == m["row"]}
    batch = (
        data[0].copy(),
        data[1],
        *(
            np.zeros((size, *arrays[n].shape[1:]), arrays[n].dtype) if n in rowed else arrays[n]
            for n in function["data"]
        ),
    )
    state = np.zeros((max(1, len(opt["state"])), x.shape[0]), x.dtype)
    for k, start in enumerate(opt["state"]):
        state[k] = start
    scalars = np.array([*opt["hypers"], *opt["counters"]], np.float64)
    return run_minibatch(
        kernel.module.minibatch,
        x,
        state,
        scalars,
        data,
        batch,
        buffers(function, dims),
        size,
        rows,
        int(o["epochs"]),
        seed,
        watch,
    )


def report(kernel: Kernel, x: np.ndarray, bound: Bound, values: Mapping[str, float]) -> dict[str, float]:
    """Each reported number, on its part of the split."""
    m = kernel.manifest
    out = {}
    for name in m["reports"]:
        function = m["functions"][f"report_{len(out)}"]
        part = function["part"] or next(iter(bound.parts), "")
        arrays = rows_of(bound, m["data"], m["row"], part)
        dims = {**bound.dims, **({m["row"]: len(bound.parts[part])} if part else {})}
        run = getattr(kernel.module, f"report_{len(out)}")
        out[name] = run(x, data_tuple(kernel, function, arrays, dims, values), buffers(function, dims))
    return out


def predict(kernel: Kernel, x: np.ndarray, bound: Bound, values: Mapping[str, float]) -> np.ndarray:
    """What the page predicts, for the bound rows; label codes come back as labels."""
    m = kernel.manifest
    function = m["functions"]["predict"]
    out = np.zeros(
        shape(bound.dims, function["out"]["shape"]), np.int64 if function["out"]["integer"] else kernel.dtype
    )
    kernel.module.predict(
        x, data_tuple(kernel, function, bound.arrays, bound.dims, values), buffers(function, bound.dims), out
    )
    label = function["out"].get("label")
    return np.array(bound.labels[label])[out] if function["out"]["integer"] and label in bound.labels else out

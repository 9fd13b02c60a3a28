"""A page's training as one call, for workloads that measure whole runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from symml import pipeline
from symml.runtime import launch
from symml.runtime.bind import bind
from symml.source import Source


def training(page: str, dtype: str, data: dict, steps: int) -> Callable[[], tuple[float, np.ndarray]]:
    """A call that trains anew from the page's start for a number of steps: one call of the compiled loop.

    Returns the mean loss of the last epoch that was ended, and the parameters as one vector.
    """
    kernel, _ = pipeline.kernel(Source("page.symml", page), pipeline.Options(dtype=dtype))
    bound = bind(kernel.manifest, data, Path("."), dtype)
    first = launch.problem(kernel, bound, {}, 0)
    function = kernel.manifest["functions"]["value_and_grad"]
    size, rows = launch.batch_size(first), first.dims[kernel.manifest["row"]]
    dims = {**first.dims, kernel.manifest["batch"]: size}
    inputs = launch.data_tuple(kernel, function, first.arrays, dims, {})
    own = [np.zeros((size, *a.shape[1:]), a.dtype) for a in (first.arrays[n] for n in function["data"])]
    batch, work = (inputs[0].copy(), inputs[1], *own), launch.buffers(function, dims)
    in_epoch = -(-rows // size)

    def call() -> tuple[float, np.ndarray]:
        x, g = first.x.copy(), np.zeros_like(first.x)
        state, scalars = launch.optimizer_arrays(first)
        counters, trace = np.zeros(2, np.int64), np.zeros(-(-steps // in_epoch))
        order = np.zeros(rows, np.int64)
        kernel.module.minibatch(x, g, state, scalars, inputs, batch, work, order, counters, size, steps, 0, trace)
        return float(trace[steps // in_epoch - 1]), x

    return call

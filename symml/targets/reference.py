"""The reference target: the functions of a module by interpretation, the algorithms as plain Python. Slow and obvious.

namespace(plan).value_and_grad(x, g, data, work)
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from symml.ir.evaluate import NUMPY, extent, run
from symml.ir.program import Dim, Tensor
from symml.loops.evaluate import evaluate
from symml.loops.plan import Function, Plan

ALGORITHMS = Path(__file__).parent.parent / "algorithms"


def namespace(plan: Plan, before: Callable[[], None] | None = None) -> types.SimpleNamespace:
    """All functions of a plan; `before` is called before each evaluation, and may end a run by an exception."""
    made: dict[str, object] = {"np": np, "math": math}
    for f in plan.functions:
        function = _function(f, plan)
        made[f.name] = function if before is None else _after(before, function)
    if plan.optimizer is not None:
        made["gather"] = _gather(plan, made)
    if plan.update is not None:
        made["update"] = _update(plan)
    for name in ("philox", *plan.files, *([plan.algorithm] if plan.algorithm else [])):
        exec(compile((ALGORITHMS / f"{name}.py").read_text(), f"{name}.py", "exec"), made)
    made["initialise"] = _initialise(plan, made)
    return types.SimpleNamespace(**made)


def _after(before: Callable[[], None], function: Callable) -> Callable:
    def both(*args):
        before()
        return function(*args)

    return both


def _values(
    f: Function, plan: Plan, x: np.ndarray, data: tuple, v: np.ndarray | None = None
) -> tuple[dict[Tensor, np.ndarray], dict[Dim, int]]:
    sizes, hyper, *arrays = data
    dims = dict(zip(plan.dims, map(int, sizes), strict=True))
    values: dict[Tensor, np.ndarray] = dict(zip(f.data, arrays, strict=True))
    values |= dict(zip(plan.hypers, map(np.float64, hyper), strict=True))
    for vector, tensors in ((x, f.params or plan.params), (v, f.along)):
        at = 0
        for t in tensors:
            shape = _shape(t, dims)
            count = math.prod(shape)
            values[t] = vector[at : at + count].astype(np.float64).reshape(shape)[()]
            at += count
    return values, dims


def _shape(t: Tensor, dims: Mapping[Dim, int]) -> tuple[int, ...]:
    return tuple(extent(s, dims) for s in t.shape)


def _evaluated(*args: object) -> dict[Tensor, np.ndarray]:
    """`evaluate` without numpy's warnings: of a guarded form both sides are computed."""
    with np.errstate(all="ignore"):
        return evaluate(*args)


def _function(f: Function, plan: Plan):
    def outputs_of(x, v, data, work):
        """By the chunks that `work` has room for behind the buffers."""
        more = work[len(f.program.workspace) :]
        return _evaluated(f.program, *_values(f, plan, x, data, v), more[0].shape[0] if more else 1)

    def gradient(x, v, g, data, work):
        outputs = outputs_of(x, v, data, work)
        g[:] = np.concatenate([np.ravel(outputs[f"d_{t.name}"]) for t in f.params or plan.params])
        return float(outputs[f.output])

    def value_and_grad(x, g, data, work):
        return gradient(x, None, g, data, work)

    def value_and_grad_along(x, v, g, data, work):
        return gradient(x, v, g, data, work)

    def vector(x, out, data, work):
        vector_along(x, None, out, data, work)

    def vector_along(x, v, out, data, work):
        outputs = outputs_of(x, v, data, work)
        out[:] = np.concatenate([np.ravel(outputs[name]) for name in f.outputs] or [np.zeros(0)])

    def value(x, data, work):
        return float(outputs_of(x, None, data, work)[f.output])

    def array(x, data, work, out):
        out[...] = outputs_of(x, None, data, work)[f.output]

    if f.along:
        return {"gradient": value_and_grad_along, "vector": vector_along}[f.kind]
    return {"gradient": value_and_grad, "value": value, "array": array, "vector": vector}[f.kind]


def _gather(plan: Plan, made: Mapping):
    f = plan.function("value_and_grad")
    at = None if plan.batch is None else plan.dims.index(plan.batch)
    rowed = [plan.batch is not None and t.shape[:1] == (plan.batch,) for t in f.data]

    def gather(data, order, start, stop, batch, seed, step):
        sizes = data[0].copy()
        if at is not None:
            sizes[at] = stop - start
        arrays = []
        for t, a, own, r in zip(f.data, data[2:], batch[2:], rowed, strict=True):
            if t in plan.noise:
                made["fill_normal"](own.reshape(-1), 0.0, 1.0, seed, made["DRAW"] + 256 * plan.noise.index(t), step)
                arrays.append(own[: stop - start] if r else own)
            else:
                arrays.append(a[order[start:stop]] if r else a)
        return sizes, data[1], *arrays

    return gather


def _update(plan: Plan):
    """One step; where the page reduces over a tensor, of each parameter by itself."""
    o = plan.optimizer
    count = len(o.hypers) + len(o.counters)

    def by_tensor(x, g, state, scalars):
        before, at = scalars[:count].copy(), 0
        for end in map(int, scalars[count:]):
            scalars[:count] = before
            update(x[at:end], g[at:end], state[:, at:end], scalars)
            at = end

    def update(x, g, state, scalars):
        entries = o.theta.shape[0]
        env = {o.theta: x.astype(np.float64), o.gradient: g.astype(np.float64)}
        env |= {t: state[k].astype(np.float64) for k, t in enumerate(o.state)}
        env |= {t: np.float64(scalars[k]) for k, t in enumerate((*o.hypers, *o.counters))}
        for s in o.program.statements:
            run(s, env, {entries: x.shape[0]}, NUMPY)
        x[:] = env[o.updates[o.theta]]
        for k, t in enumerate(o.state):
            state[k] = env[o.updates.get(t, t)]
        for k, t in enumerate(o.counters, start=len(o.hypers)):
            scalars[k] = env[o.updates.get(t, t)]

    return by_tensor if o.by_tensor else update


def _initialise(plan: Plan, made: Mapping):
    def initialise(x, sizes, hyper, seed):
        dims = dict(zip(plan.dims, map(int, sizes), strict=True))
        table = {**dims, **{t[()]: float(v) for t, v in zip(plan.hypers, hyper, strict=True)}}
        at = 0
        for k, start in enumerate(plan.starts):
            count = math.prod(_shape(start.tensor, dims))
            args = [float(a.xreplace(table).evalf()) for a in start.args]
            if start.kind == "sample":
                x[at : at + count] = 0.0
            elif start.kind == "identity":
                x[at : at + count] = np.eye(*_shape(start.tensor, dims)).ravel()
            elif start.kind == "constant":
                x[at : at + count] = args[0]
            else:
                made["fill_normal"](x[at : at + count], *args, seed, made["INIT"] + 256 * k, 0)
            at += count

    return initialise

"""A kernel's module and its calls: the vector of parameters, tuples of data, buffers, training, prediction, reports.

kernel = Kernel(manifest, module)        module: anything with the emitted functions as attributes
x, outcome = train(problem(kernel, bound, hypers, seed))
"""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from symml.algorithms.philox import BOOTSTRAP, SHUFFLE, philox, shuffle, unit
from symml.errors import DataError, NumericError
from symml.runtime import cache
from symml.runtime.bind import LARGEST_ARRAY, Bound, rows_taken
from symml.runtime.chunks import chunk_limit, chunk_places
from symml.runtime.crew import Crew
from symml.runtime.domains import check_domain
from symml.runtime.drive import ENDLESS, INFEASIBILITY, NO_MINIMUM, STATUS, run_lbfgs, run_minibatch
from symml.runtime.prepare import sampled_rows
from symml.runtime.solve import MOST_UNKNOWNS

Watch = Callable[..., None]  # of steps done, steps at most, loss, slope and, where it is measured, the duality gap
Between = Callable[[Mapping[str, np.ndarray]], None]
DENSE = ("interior_point", "coordinate_descent", "trust_region")  # methods of small problems, where the form chooses


@dataclass(frozen=True)
class Kernel:
    """A module of functions and the manifest that says how to call them; `threads` share a pass over many rows; `plain`: it
    stands in for a tuned one."""

    manifest: Mapping
    module: object
    dtype: str
    threads: int = 1
    plain: bool = False


def load_module(path: Path, source: str) -> types.ModuleType:
    """Execute emitted source under its own file name; what numba compiles is kept beside it, checked when it is read."""
    name = f"symml_kernel_{path.parent.name}"
    if name in sys.modules:
        return sys.modules[name]
    cache.keep_source(path, source)
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(source, str(path), "exec"), module.__dict__)
    cache.attach(module, path.parent, source)
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
    named = [n for s in sizes_ for n in ([s] if isinstance(s, str) else s if isinstance(s, dict) else []) if n]
    unbound = [n for n in named if n not in dims]
    if unbound:
        raise DataError(
            f"the size of '{unbound[0]}' is not known", fix=f"write dims {unbound[0]} = 8, or give data with this dim"
        )
    numbers = tuple(_extent(s, dims) for s in sizes_)
    if min(numbers, default=0) < 0:
        raise DataError(f"a size would be negative: {sizes_} with {dict(dims)}", fix="give more data")
    if math.prod(numbers) * 8 > LARGEST_ARRAY:
        raise DataError(
            f"an array of shape {numbers} would need {math.prod(numbers) * 8:.3g} bytes; the limit is {LARGEST_ARRAY:.3g}"
        )
    return numbers


def _extent(size: int | str | Mapping, dims: Mapping[str, int]) -> int:
    """A size of a manifest: a number, a dim, or a sum {dim: factor, ..., "": number}."""
    if isinstance(size, int):
        return size
    return dims[size] if isinstance(size, str) else sum(f * (dims[n] if n else 1) for n, f in size.items())


def buffers(function: Mapping, dims: Mapping[str, int]) -> tuple[np.ndarray, ...]:
    """The work arrays of a function."""
    return tuple(np.zeros(shape(dims, b["shape"]), b["dtype"]) for b in function["work"])


def workplace(crew: Crew, name: str, dims: Mapping[str, int]) -> tuple[np.ndarray, ...]:
    """The work arrays of one of the kernel's functions; where its rows are cut, also what its chunks need, and helpers
    stand ready."""
    function, module = crew.kernel.manifest["functions"][name], crew.kernel.module
    own = buffers(function, dims)
    if not function.get("cut"):
        return own
    chunks = function["chunks"]
    rows = (getattr(module, f"{name}_rows{k}", None) for k in range(chunks["regions"]))
    more = chunk_places(chunks, dims, [f for f in rows if f is not None])  # the reference has none
    crew.join(more[-1], more[0].shape[0])
    return (*own, *more)


def is_large(manifest: Mapping, dims: Mapping[str, int]) -> bool:
    """Is there a pass over rows that is worth cutting?"""
    every = (f.get("chunks") for f in manifest["functions"].values())
    return any(chunk_limit(chunks, dims) > 1 for chunks in every if chunks)


def is_wide(manifest: Mapping, dims: Mapping[str, int]) -> bool:
    """Are there too many unknowns for the method that the form alone has chosen?"""
    m = manifest["method"]
    if m["algorithm"] not in DENSE or not m["facts"].get("by_form"):
        return False
    sizes_ = [*(q["shape"] for q in manifest["params"]), *m["facts"]["unknowns"]]
    return sum(math.prod(shape(dims, s)) for s in sizes_) > MOST_UNKNOWNS


def cut_manifest(manifest: Mapping) -> dict:
    """The manifest of the module whose functions cut their rows."""
    functions = {name: {**f, "cut": bool(f.get("chunks"))} for name, f in manifest["functions"].items()}
    return {**manifest, "functions": functions}


def data_tuple(kernel: Kernel, function: Mapping, arrays: Mapping, dims: Mapping, values: Mapping) -> tuple:
    """(sizes, hyper, array, ...)"""
    return (sizes(kernel, dims), hypers(kernel, values), *(arrays[name] for name in function["data"]))


def arguments(
    crew: Crew, name: str, arrays: Mapping, dims: Mapping[str, int], values: Mapping[str, float]
) -> tuple[tuple, tuple]:
    """The data and the work arrays of one of the kernel's functions, for which helpers stand ready."""
    function = crew.kernel.manifest["functions"][name]
    return data_tuple(crew.kernel, function, arrays, dims, values), workplace(crew, name, dims)


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


class OutsideError(NumericError):
    """A closed form that leaves the domain of a parameter."""


class DivergedError(NumericError):
    """A run left the finite numbers. `params` are the last finite ones by name, `x` as one vector.

    `model` is the page's name, `step` the step that failed, `arrays` and `dims` the rows that it read, `state` and
    `scalars` the optimiser's, `which` of many fits it was.
    """

    def __init__(self, problem: Problem, run: Mapping, step: int, rows: np.ndarray | None) -> None:
        super().__init__(f"the loss is not finite at step {step}", fix="try a smaller learning rate, or another init")
        self.model, self.step, self.x = str(problem.kernel.manifest["model"]), step, problem.x.copy()
        self.params = parameters(problem.kernel, problem.x, problem.dims)
        self.dims, self.arrays, self.hypers = dict(problem.dims), dict(problem.arrays), dict(problem.hypers)
        self.which = ""
        self.state, self.scalars = run.get("state"), run.get("scalars")
        if rows is not None:
            self.arrays = {k: a[rows] if k in problem.rowed else a for k, a in problem.arrays.items()}
            self.dims[problem.kernel.manifest["batch"]] = len(rows)


@dataclass(frozen=True)
class Problem:
    """What one fit is given: the arrays of the rows it trains on, the sizes, where the parameters start."""

    kernel: Kernel
    arrays: Mapping[str, np.ndarray]
    dims: Mapping[str, int]
    hypers: Mapping[str, float]
    seed: int
    x: np.ndarray
    validate: Callable[[Crew], Callable[[np.ndarray], float] | None] | None = None
    crew: Crew | None = None

    @property
    def rowed(self) -> frozenset[str]:
        """The data that have a row for each row of a batch."""
        m = self.kernel.manifest
        return frozenset(d["name"] for d in m["data"] if d["dims"] and d["dims"][0] == m["row"])


def check_requirements(m: Mapping, dims: Mapping[str, int]) -> None:
    """Refuse sizes with which an index would leave its axis."""
    for r in m["requires"]:
        named = [n for n in ([r["least"]] if isinstance(r["least"], str) else r["least"]) if n]
        if all(n in dims for n in named) and _extent(r["least"], dims) < 0:
            told = ", ".join(f"{n} = {dims[n]}" for n in named)
            raise DataError(f"this page needs {r['text']} >= 0, and {told}", fix="give other sizes, or more data")


def problem(
    kernel: Kernel, bound: Bound, values: Mapping[str, float], seed: int, start: np.ndarray | None = None
) -> Problem:
    """The training part of the data; parameters as the page starts them, or at `start`."""
    m = kernel.manifest
    check_requirements(m, bound.dims)
    part = next(iter(bound.parts), "")
    arrays, dims = _part(m, bound, part)
    x = np.zeros(sum(math.prod(shape(dims, p["shape"])) for p in m["params"]), kernel.dtype)
    if start is None:
        kernel.module.initialise(x, sizes(kernel, dims), hypers(kernel, values), seed)
        _sample(kernel, x, arrays, dims, seed)
    else:
        x[:] = start
    return Problem(kernel, arrays, dims, values, seed, x, lambda crew: _validation(crew, bound, values))


def resample(p: Problem, rows: np.ndarray) -> Problem:
    """The same problem on given rows of its data."""
    m = p.kernel.manifest
    arrays, dims = rows_taken(p.arrays, p.dims, m["data"], m["row"], rows)
    return replace(p, arrays=arrays, dims=dims)


def _sample(kernel: Kernel, x: np.ndarray, arrays: Mapping, dims: Mapping, seed: int) -> None:
    """Put rows of the data where a parameter starts with them."""
    at = 0
    for number, p in enumerate(kernel.manifest["params"]):
        numbers = shape(dims, p["shape"])
        count = math.prod(numbers)
        if p["sample"]:
            rows = arrays[p["sample"]]
            if numbers[0] > len(rows):
                raise DataError(
                    f"'{p['name']}' starts with {numbers[0]} rows of '{p['sample']}', which has {len(rows)}"
                )
            x[at : at + count] = sampled_rows(rows, numbers[0], seed, number)
        at += count


def _validation(crew: Crew, bound: Bound, values: Mapping[str, float]) -> Callable[[np.ndarray], float] | None:
    """The loss on the part of the split that chooses the best parameters, as a function of them."""
    m = crew.kernel.manifest
    function = m["functions"].get("validation_loss")
    if function is None:
        return None
    given = arguments(crew, "validation_loss", *_part(m, bound, function["part"]), values)
    return lambda x: float(crew.kernel.module.validation_loss(x, *given))


def _part(m: Mapping, bound: Bound, part: str) -> tuple[Mapping[str, np.ndarray], dict[str, int]]:
    """The arrays and sizes of one part of the split."""
    rows = bound.parts.get(part)
    if rows is None:
        return bound.arrays, dict(bound.dims)
    return rows_taken(bound.arrays, bound.dims, [*m["data"], *m["noise"]], m["row"], rows)


def train(
    p: Problem,
    watch: Watch | None = None,
    between: Between | None = None,
    saved: Mapping[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, dict]:
    """The trained vector and the outcome of a run; DivergedError where it left the finite numbers.

    `between(arrays)` is called between the pieces of the run, `saved` are arrays that it was called with.
    """
    m, last = p.kernel.manifest, {}

    def seen(run: Mapping[str, np.ndarray]) -> None:
        last.update(run)
        if between is not None:
            between(run)

    if saved is not None:
        _fitting(saved, p.x)
    from symml.runtime.solving_bounds import direction, is_stuck

    start = p.x.copy()
    with np.errstate(all="ignore"), Crew(p.kernel) as crew:  # what is not finite is met below, with its place
        outcome = (_stochastic if m["optimizer"] else _full_batch)(replace(p, crew=crew), watch, seen, saved)
        outcome = {**outcome, "threads": crew.threads}
    if outcome["status"] == "diverged" or not np.isfinite(p.x).all():
        step = outcome["steps"]
        raise DivergedError(p, last, step, batch_rows(p, step) if m["batch"] else None)
    ray = None
    if not m["optimizer"] and outcome["status"] not in (STATUS[INFEASIBILITY], STATUS[NO_MINIMUM]):
        with np.errstate(all="ignore"), Crew(p.kernel) as crew:
            ray = direction(replace(p, crew=crew), start)
            if is_stuck(replace(p, crew=crew), outcome):
                raise NumericError(
                    "the start is no minimum: its gradient is 0, and the objective bends down from there",
                    fix="start elsewhere, such as init normal(0, 0.1)",
                )
    if ray is not None:
        outcome = {**outcome, "status": STATUS[ENDLESS]}
    if outcome["status"] in STATUS[INFEASIBILITY:]:
        side = "above" if m["sense"] == "maximize" else "below"
        raise NumericError(outcome["status"].replace("unbounded", f"unbounded {side}"), fix=_no_solution(outcome, ray))
    return p.x, outcome


def _no_solution(outcome: Mapping, ray: str | None) -> str:
    """What a person may look at where a problem has no solution."""
    if outcome["status"] == STATUS[INFEASIBILITY]:
        missed = outcome["infeasibility"]
        return f"the best point misses them by {missed:.2g}: look for constraints that exclude each other"
    if outcome["status"] == STATUS[NO_MINIMUM]:
        return "the stationary point is a maximum or a saddle in one of the blocks: look at the sign of the objective"
    told = f"it is {outcome['loss']:.3g} (as it is minimised) after {outcome['steps']} steps"
    told = told if ray is None else f"{told} and goes on along {ray}"
    return f"{told}: bound the parameters, or add a penalty"


def _fitting(saved: Mapping[str, np.ndarray], x: np.ndarray) -> None:
    if "x" not in saved or saved["x"].shape != x.shape or saved["x"].dtype != x.dtype:
        raise DataError("the checkpoint holds parameters of another shape or type", fix="begin again with --checkpoint")


def batch_size(p: Problem) -> int:
    """Rows of a batch: the page's, or all there are."""
    m = p.kernel.manifest
    return int(min(m["method"]["options"]["batch"], p.dims[m["row"]])) if m["batch"] else 1


def batch_rows(p: Problem, step: int) -> np.ndarray:
    """The rows that a step of stochastic training reads."""
    n, size = p.dims[p.kernel.manifest["row"]], batch_size(p)
    in_epoch = -(-n // size)
    order = np.zeros(n, np.int64)
    shuffle(order, p.seed, SHUFFLE, step // in_epoch)
    start = step % in_epoch * size
    return order[start : start + size]


def _full_batch(p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None) -> dict:
    from symml.runtime.solving import SOLVING
    from symml.runtime.solving_bounds import given

    m, module = p.kernel.manifest, p.kernel.module
    o = m["method"]
    if o["algorithm"] in SOLVING:
        return SOLVING[o["algorithm"]](p, watch, between, saved)
    return run_lbfgs(
        module.lbfgs,
        p.x,
        *given(p, "value_and_grad"),
        o["tolerance"],
        int(o["options"]["iterations"]),
        int(o["options"]["memory"]),
        watch,
        saved,
        between,
    )


def optimizer_arrays(p: Problem) -> tuple[np.ndarray, np.ndarray]:
    """What the optimiser of a run keeps before its first step: a row for each state, its hyper-parameters and counters;
    behind them where each parameter ends in x, if a step takes them one by one."""
    m, opt = p.kernel.manifest, p.kernel.manifest["optimizer"]
    state = np.zeros((max(1, len(opt["state"])), p.x.shape[0]), p.x.dtype)
    for k, start in enumerate(opt["state"]):
        state[k] = start
    epochs = int(m["method"]["options"]["epochs"])
    rows = p.dims[m["row"]] if m["batch"] else 1
    clock = {"steps": float(epochs * -(-rows // batch_size(p))), "epochs": float(epochs)}
    counts = [math.prod(shape(p.dims, q["shape"])) for q in m["params"]] if opt["by_tensor"] else []
    scalars = [*(clock.get(h, h) for h in opt["hypers"]), *opt["counters"], *np.cumsum(counts)]
    return state, np.array(scalars, np.float64)


def _stochastic(p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None) -> dict:
    m = p.kernel.manifest
    function = m["functions"]["value_and_grad"]
    rows, size, epochs = p.dims[m["row"]] if m["batch"] else 1, batch_size(p), int(m["method"]["options"]["epochs"])
    dims = {**p.dims, m["batch"]: size} if m["batch"] else p.dims
    data = data_tuple(p.kernel, function, p.arrays, dims, p.hypers)
    arrays = [(n, p.arrays[n]) for n in function["data"]]
    noise = {d["name"]: d["dims"] for d in m["noise"]}
    cut = {n for n in p.rowed if m["batch"]} | {n for n, d in noise.items() if m["batch"] and d[:1] == [m["row"]]}
    own = [np.zeros((size, *a.shape[1:]), a.dtype) if n in cut else a.copy() if n in noise else a for n, a in arrays]
    batch, work = (data[0].copy(), data[1], *own), workplace(p.crew, "value_and_grad", dims)
    state, scalars = optimizer_arrays(p)
    return run_minibatch(
        p.kernel.module.minibatch if m["batch"] else p.kernel.module.descent,
        p.x,
        state,
        scalars,
        data,
        batch,
        work,
        size,
        rows,
        epochs,
        p.seed,
        watch,
        p.validate(p.crew),
        m["method"]["patience"],
        saved,
        between,
        m["optimizer"]["answer"],
    )


def bootstrap_rows(n: int, seed: int, number: int) -> np.ndarray:
    """n rows of n, drawn with replacement: row i of resample `number` from counter (number, i), whatever came before."""
    a, b, _, _ = philox(number, np.arange(n), seed, BOOTSTRAP)
    return np.minimum((unit(a, b) * n).astype(np.int64), n - 1)


def report(kernel: Kernel, x: np.ndarray, bound: Bound, values: Mapping[str, float]) -> dict[str, float]:
    """Each reported number, on its part of the split."""
    m = kernel.manifest
    parts = [m["functions"][f"report_{k}"]["part"] or next(iter(bound.parts), "") for k in range(len(m["reports"]))]
    return {name: figure(kernel, k, x, bound, values, parts[k]) for k, name in enumerate(m["reports"])}


def figure(kernel: Kernel, number: int, x: np.ndarray, bound: Bound, values: Mapping[str, float], part: str) -> float:
    """One of the reported numbers on a part of the split."""
    name = f"report_{number}"
    with Crew(kernel) as crew:
        return getattr(kernel.module, name)(x, *arguments(crew, name, *_part(kernel.manifest, bound, part), values))


def predict(kernel: Kernel, x: np.ndarray, bound: Bound, values: Mapping[str, float]) -> np.ndarray:
    """What the page predicts, for the bound rows; label codes come back as labels."""
    m = kernel.manifest
    function = m["functions"]["predict"]
    out = np.zeros(
        shape(bound.dims, function["out"]["shape"]), np.int64 if function["out"]["integer"] else kernel.dtype
    )
    with Crew(kernel) as crew:
        kernel.module.predict(x, *arguments(crew, "predict", bound.arrays, bound.dims, values), out)
    label = function["out"].get("label")
    if not function["out"]["integer"] or label not in bound.labels:
        return out
    if out.size and out.max() >= len(bound.labels[label]):
        raise DataError(f"the page predicts the code {out.max()}, and '{label}' has {len(bound.labels[label])} labels")
    return np.array(bound.labels[label])[out]

"""A problem handed to one of the solvers of solve.py: the data and buffers of each function, counts, multipliers by name.

SOLVING["interior_point"](problem, watch, between, saved)  ->  outcome
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from symml.errors import DataError
from symml.runtime.launch import Between, Problem, Watch, arguments, shape
from symml.runtime.solve import (
    LARGEST_JACOBIAN,
    MOST_UNKNOWNS,
    blocks_of,
    paths_of,
    run_alternating,
    run_interior_point,
    run_least_squares,
    run_proximal,
    run_scaled_qr,
    run_trust_region,
    second_of,
)

OTHERS = "name another method: train with trust_region for bounds of parameters, or with lbfgs"


def given(p: Problem, name: str) -> tuple[tuple, tuple]:
    """The data and the buffers of one of the kernel's functions."""
    return arguments(p.crew, name, p.arrays, p.dims, p.hypers)


def least_squares(p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None) -> dict:
    """Residuals, their count from the shapes of their parts."""
    o, module = p.kernel.manifest["method"], p.kernel.module
    m = sum(math.prod(shape(p.dims, part)) for part in p.kernel.manifest["functions"]["residuals"]["parts"])
    refuse_large(m, p.x.shape[0])
    return run_least_squares(
        module.levenberg_marquardt,
        module.value_and_grad,
        p.x,
        *given(p, "value_and_grad"),
        given(p, "residuals"),
        given(p, "tangent"),
        m,
        o["tolerance"],
        int(o["options"]["iterations"]),
        paths_of(o["name"], o["facts"]["affine"]),
        watch,
        saved,
        between,
    )


def scaled_qr(p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None) -> dict:
    """Affine residuals, solved at once."""
    module = p.kernel.module
    m = sum(math.prod(shape(p.dims, part)) for part in p.kernel.manifest["functions"]["residuals"]["parts"])
    refuse_large(m, p.x.shape[0])
    given_ = (given(p, "residuals"), given(p, "tangent"))
    value = given(p, "value_and_grad")
    return run_scaled_qr(module.scaled_qr, module.value_and_grad, p.x, *value, *given_, m, watch, saved, between)


def interior_point(p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None) -> dict:
    """Multipliers of all conditions in one vector, which the Hessian reads by their names."""
    o, module, functions = p.kernel.manifest["method"], p.kernel.module, p.kernel.manifest["functions"]
    facts, shapes = o["facts"], [shape(p.dims, part) for part in functions["conditions"]["parts"]]
    counts = [math.prod(s) for s in shapes]
    extra = sum(math.prod(shape(p.dims, s)) for s in facts["unknowns"])
    wide = np.concatenate([p.x, np.ones(extra)])
    if wide.shape[0] > MOST_UNKNOWNS:
        raise DataError(f"{wide.shape[0]} unknowns are too many for dense second derivatives", fix=OTHERS)
    multipliers, at, views = np.zeros(sum(counts)), 0, {}
    for name, s, count in zip(facts["multipliers"], shapes, counts, strict=True):
        views[name] = multipliers[at : at + count].reshape(s)
        at += count
    equal = sum(count for c, count in zip(facts["conditions"], counts, strict=True) if c["equal"])
    q = replace(p, arrays={**p.arrays, **views})
    outcome = run_interior_point(
        module.interior_point,
        module.value_and_grad,
        p.x,
        wide,
        multipliers,
        equal,
        *(given(q, name) for name in ("objective", "conditions", "condition_tangent", "lagrangian_times")),
        given(p, "value_and_grad"),
        o["tolerance"],
        int(o["options"]["iterations"]),
        (int(facts["flat"]), int(facts["affine"])),
        _matrices(p, facts["symmetric"]),
        watch,
        saved,
        between,
    )
    duals = {
        c["name"]: views[n].tolist()
        for c, n in zip(facts["conditions"], facts["multipliers"], strict=True)
        if c["text"]
    }
    return {**outcome, "multipliers": duals}


def refuse_large(m: int, p: int) -> None:
    """A Jacobian has room in memory."""
    if m * p > LARGEST_JACOBIAN:
        raise DataError(
            f"a Jacobian of {m} x {p} entries is too large for least squares",
            fix="name another method: train with lbfgs, or with adam(lr = 1e-3)",
        )


def alternating(p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None) -> dict:
    """Closed forms in turn."""
    o, module = p.kernel.manifest["method"], p.kernel.module
    return run_alternating(
        module.alternating,
        module.value_and_grad,
        p.x,
        *given(p, "value_and_grad"),
        given(p, "update"),
        o["tolerance"],
        int(o["options"]["iterations"]),
        watch,
        saved,
        between,
    )


def trust_region(p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None) -> dict:
    """Bounds are computed once, from the sizes, the data and the hyper-parameters."""
    o, module = p.kernel.manifest["method"], p.kernel.module
    bounds = np.zeros(2 * p.x.shape[0])
    module.bounds(p.x, bounds, *given(p, "bounds"))
    return run_trust_region(
        module.trust_region,
        p.x,
        bounds,
        *given(p, "value_and_grad"),
        given(p, "lagrangian_times"),
        o["tolerance"],
        int(o["options"]["iterations"]),
        watch,
        saved,
        between,
    )


def proximal(p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None) -> dict:
    """A smooth part and penalties: where each parameter stands, its kind and weight."""
    m, module = p.kernel.manifest, p.kernel.module
    o, facts = m["method"], m["method"]["facts"]
    wide = o["algorithm"] == "coordinate_descent"
    if wide and p.x.shape[0] > MOST_UNKNOWNS:
        raise DataError(
            f"{p.x.shape[0]} coordinates are too many for their products", fix="train with proximal_gradient"
        )
    weights = np.zeros(len(facts["kinds"]))
    module.weights(p.x, weights, *given(p, "weights"))
    return run_proximal(
        getattr(module, o["algorithm"]),
        module.value_and_grad,
        p.x,
        blocks_of([shape(p.dims, q["shape"]) for q in m["params"]], facts["kinds"]),
        weights,
        wide,
        int(facts["gap"]),
        given(p, "smooth"),
        given(p, second_of(m["functions"])),
        given(p, "value_and_grad"),
        o["tolerance"],
        int(o["options"]["iterations"]),
        watch,
        saved,
        between,
    )


def _matrices(p: Problem, names: list[str]) -> tuple[tuple[int, int], ...]:
    """Where symmetric parameters stand in x, and their rows."""
    at, found = 0, []
    for entry in p.kernel.manifest["params"]:
        numbers = shape(p.dims, entry["shape"])
        if entry["name"] in names:
            found.append((at, numbers[0]))
        at += math.prod(numbers)
    return tuple(found)


SOLVING: Mapping[str, Callable[..., dict]] = MappingProxyType(
    {
        "levenberg_marquardt": least_squares,
        "interior_point": interior_point,
        "alternating": alternating,
        "trust_region": trust_region,
        "scaled_qr": scaled_qr,
        "proximal_gradient": proximal,
        "coordinate_descent": proximal,
    }
)

"""A problem handed to one of the solvers of solve.py: the data and buffers of each function, counts, multipliers by name.

SOLVING["interior_point"](problem, watch, between, saved)  ->  outcome
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from symml.errors import DataError, NumericError
from symml.runtime.drive import INFEASIBILITY, NO_MINIMUM, STATUS
from symml.runtime.excluding import missed
from symml.runtime.launch import Between, OutsideError, Problem, Watch, shape
from symml.runtime.nearby import nearby, of_sets
from symml.runtime.projected import of_projections
from symml.runtime.ray import bends_down, falls_nearby
from symml.runtime.solve import (
    LARGEST_JACOBIAN,
    MISSED,
    MOST_UNKNOWNS,
    off_sets,
    paths_of,
    run_alternating,
    run_interior_point,
    run_least_squares,
    run_proximal,
    run_scaled_qr,
    second_of,
    sets_of,
    without_ends,
)
from symml.runtime.solving_bounds import MOST_SLOPES, augmented_lagrangian, ends, given, lbfgs_b, slopes, trust_region

CLOSED = 1e-9  # of a gap, next to the objective
OTHERS = "leave the method out, or train with augmented_lagrangian"


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
    cones, beside = _cones(p, facts), np.zeros(wide.shape[0])
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
        o["gap"],
        (int(facts["flat"]), int(facts["affine"])),
        cones,
        beside,
        watch,
        saved,
        between,
    )
    if (
        facts["affine"]
        and not len(cones)
        and outcome["infeasibility"] > MISSED
        and outcome["status"] in STATUS[:INFEASIBILITY]
    ):
        least = missed(*_affine(q, wide, multipliers.shape[0]), equal)
        outcome |= {"status": STATUS[INFEASIBILITY], "infeasibility": least} if least > 0.0 else {}
    if "gap" in outcome:
        outcome["gap"] = outcome["gaps"][-1] = _left_open(q, wide, multipliers, beside)
    duals = {
        c["name"]: beside[start : start + n * n].reshape((n, n)).tolist()
        for c, (start, n) in zip(facts["cones"], cones, strict=True)
    }
    duals |= {
        c["name"]: views[n].tolist()
        for c, n in zip(facts["conditions"], facts["multipliers"], strict=True)
        if c["text"]
    }
    return {**outcome, "multipliers": duals}


def _left_open(p: Problem, x: np.ndarray, multipliers: np.ndarray, beside: np.ndarray) -> float:
    """f less the Lagrangian's least value within a distance of x from here: what the multipliers leave open, and what is left
    of its slope, which is 0 up to rounding where a run has converged."""
    residual, slope = np.zeros_like(multipliers), np.zeros_like(x)
    p.kernel.module.conditions(x, residual, *given(p, "conditions"))
    p.kernel.module.objective(x, slope, *given(p, "objective"))
    if multipliers.any():
        slope += multipliers @ _jacobian(p, x, multipliers.shape[0])
    slope = np.abs(slope - beside) @ np.maximum(1.0, np.abs(x))
    return abs(float(multipliers @ residual)) + abs(float(beside @ x)) + float(slope)


def _jacobian(p: Problem, x: np.ndarray, m: int) -> np.ndarray:
    """The derivatives of the m conditions at x, (m, unknowns)."""
    columns, unit, tangent = np.zeros((x.shape[0], m)), np.zeros_like(x), given(p, "condition_tangent")
    for j in range(x.shape[0]):
        unit[j] = 1.0
        p.kernel.module.condition_tangent(x, unit, columns[j], *tangent)
        unit[j] = 0.0
    return columns.T


def _affine(p: Problem, x: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """A and b of affine conditions A x + b."""
    A, values = _jacobian(p, x, m), np.zeros(m)
    p.kernel.module.conditions(x, values, *given(p, "conditions"))
    return A, values - A @ x


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
    outcome = run_alternating(
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
    return _examined(p, outcome)


def _examined(p: Problem, outcome: dict) -> dict:
    """The outcome of closed forms that stay where they must, at a point where the objective does not bend down."""
    m, at = p.kernel.manifest, 0
    facts = m["method"]["facts"]
    if facts["exact"] and outcome["status"] == "diverged":
        raise OutsideError(
            "gradient = 0 has no single solution: its system is singular", fix="leave the method out, or add a penalty"
        )
    for entry, (low, high) in zip(m["params"], facts["inside"], strict=True):
        part = p.x[at : at + math.prod(shape(p.dims, entry["shape"]))]
        at += part.shape[0]
        worst = max(np.max(-np.inf if low is None else low - part), np.max(-np.inf if high is None else part - high))
        if worst > 0.0:
            raise OutsideError(
                f"gradient = 0 has its solution outside of the domain of '{entry['name']}', by {worst:.2g}",
                fix="close the domain (>= for >), or train with interior_point",
            )
    if facts["exact"] and facts["free"] and m["certificate"]["curvature"] != "convex":
        value, g = given(p, "value_and_grad"), np.zeros_like(p.x)

        def gradient(x: np.ndarray) -> np.ndarray:
            p.kernel.module.value_and_grad(x, g, *value)
            return g.copy()

        def fallen(x: np.ndarray) -> float:
            return float(p.kernel.module.value_and_grad(x, g, *value))

        if outcome["status"] == "converged" and (bends_down(gradient, p.x) or falls_nearby(fallen, p.x)):
            return {**outcome, "status": STATUS[NO_MINIMUM]}
    return outcome


def proximal(p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None) -> dict:
    """A smooth part and penalties: where each parameter stands, its kind and weight."""
    m, module = p.kernel.manifest, p.kernel.module
    o, facts = m["method"], m["method"]["facts"]
    wide = o["algorithm"] == "coordinate_descent"
    if wide and p.x.shape[0] > MOST_UNKNOWNS:
        raise DataError(
            f"{p.x.shape[0]} coordinates are too many for their products", fix="train with proximal_gradient"
        )
    sets = _sets(p)
    outcome = run_proximal(
        getattr(module, o["algorithm"]),
        module.value_and_grad,
        p.x,
        sets,
        wide,
        1 if facts["gap"] else 0 if o["gap"] < 0.0 else 2,
        given(p, "smooth"),
        given(p, second_of(m["functions"])),
        given(p, "value_and_grad"),
        o["tolerance"],
        int(o["options"]["iterations"]),
        o["gap"],
        watch,
        saved,
        between,
    )
    if o["gap"] >= 0.0 and outcome.get("gap", math.inf) > CLOSED * max(1.0, abs(outcome["loss"])):
        found = min(outcome.get("gap", math.inf), _nearby(p, sets, facts["gap"], outcome["evaluations"]))
        outcome |= {"gap": found, "gaps": [*outcome["gaps"][:-1], found]} if math.isfinite(found) else {}
    if (miss := off_sets(p.x, sets)) > MISSED:
        raise NumericError(STATUS[INFEASIBILITY], fix=f"the nearest point misses them by {miss:.2g}")
    multipliers = of_projections(p, sets, slopes(p, "smooth")(p.x)[1])
    return {**outcome, "multipliers": multipliers} if multipliers else outcome


def _nearby(p: Problem, sets: tuple[np.ndarray, ...], squares: bool, evaluations: int) -> float:
    """The duality gap by the slope at a point near the end, whose own slope bounds nothing."""
    evaluate = slopes(p, "smooth")
    f, g = evaluate(p.x)
    aim, bound, free = of_sets(sets, p.x, f, squares)
    return nearby(evaluate, p.x, g, aim, bound, min(MOST_SLOPES, 10 + evaluations), free)


def _sets(p: Problem) -> tuple[np.ndarray, ...]:
    """Where each parameter stands, its kind of penalty or set, and the numbers of these."""
    m, module, n = p.kernel.manifest, p.kernel.module, p.x.shape[0]
    facts, functions = m["method"]["facts"], m["functions"]
    counts = [math.prod(shape(p.dims, part)) for part in functions["weights"]["parts"]]
    figures, normal = np.zeros(sum(counts)), np.ones(n)
    module.weights(p.x, figures, *given(p, "weights"))
    if "normals" in functions:
        module.normals(p.x, normal, *given(p, "normals"))
    both = ends(p, n) if "bounds" in functions else without_ends(n)
    shapes = [shape(p.dims, q["shape"]) for q in m["params"]]
    return sets_of(shapes, facts["kinds"], facts["axes"], counts, figures, both, normal)


def _cones(p: Problem, facts: Mapping) -> np.ndarray:
    """(where it begins among the unknowns, its rows) of each matrix that stays semidefinite."""
    shapes = [shape(p.dims, q["shape"]) for q in p.kernel.manifest["params"]]
    shapes += [shape(p.dims, s) for s in facts["unknowns"]]
    begins = np.cumsum([0, *(math.prod(s) for s in shapes)])
    found = [(begins[c["at"]], shapes[c["at"]][0]) for c in facts["cones"]]
    return np.array(found, np.int64).reshape((len(found), 2))


SOLVING: Mapping[str, Callable[..., dict]] = MappingProxyType(
    {
        "levenberg_marquardt": least_squares,
        "interior_point": interior_point,
        "alternating": alternating,
        "trust_region": trust_region,
        "lbfgs_b": lbfgs_b,
        "augmented_lagrangian": augmented_lagrangian,
        "scaled_qr": scaled_qr,
        "proximal_gradient": proximal,
        "coordinate_descent": proximal,
    }
)

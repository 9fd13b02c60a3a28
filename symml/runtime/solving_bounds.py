"""Problems handed to the methods between bounds: the ends, the data of each function, multipliers by the names of conditions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from symml.errors import NumericError
from symml.runtime.drive import INFEASIBILITY, STATUS
from symml.runtime.launch import Between, Problem, Watch, arguments, shape
from symml.runtime.nearby import nearby, one_sided
from symml.runtime.ray import bends_down, endless, far
from symml.runtime.solve import FAR, run_trust_region
from symml.runtime.solve_bounds import run_augmented_lagrangian, run_lbfgs_b

SHOWN = 6  # entries of a direction
MOST_SLOPES = 100  # evaluations for a gap
ACTIVE = 1e-9  # of a bound, next to what it bounds


def given(p: Problem, name: str) -> tuple[tuple, tuple]:
    """The data and the buffers of one of the kernel's functions."""
    return arguments(p.crew, name, p.arrays, p.dims, p.hypers)


def ends(p: Problem, n: int) -> np.ndarray:
    """The bounds of n unknowns, lower ends first; an end that is never taken becomes the next number inside."""
    found, at = np.zeros(2 * n), 0
    p.kernel.module.bounds(np.zeros(n), found, *given(p, "bounds"))
    open_ = p.kernel.manifest["method"]["facts"]["open"]
    for entry, (low, high) in zip(p.kernel.manifest["params"], open_, strict=False):
        count = math.prod(shape(p.dims, entry["shape"]))
        if low:
            found[at : at + count] = np.nextafter(found[at : at + count], np.inf)
        if high:
            found[n + at : n + at + count] = np.nextafter(found[n + at : n + at + count], -np.inf)
        at += count
    if (crossed := np.flatnonzero(found[:n] > found[n:])).size:
        least, most = found[crossed[0]], found[n + crossed[0]]
        raise NumericError(STATUS[INFEASIBILITY], fix=f"one is to be at least {least:g} and at most {most:g}")
    return found


def direction(p: Problem, start: np.ndarray) -> str | None:
    """Where a run that ended far away would go on for ever, for the reader; None where it would not."""
    m, module = p.kernel.manifest, p.kernel.module
    if not far(p.x, start):
        return None
    value, g = given(p, "value_and_grad"), np.zeros_like(p.x)
    found = endless(lambda x: module.value_and_grad(x, g, *value), _missing(p), p.x, start)
    if found is None:
        return None
    told, at = [], 0
    for entry in m["params"]:
        count = math.prod(shape(p.dims, entry["shape"]))
        part = found[at : at + count]
        at += count
        if part.any():
            numbers = ", ".join(f"{v:.3g}" for v in part[:SHOWN]) + (", ..." if count > SHOWN else "")
            told.append(f"{entry['name']} = ({numbers})" if entry["shape"] else f"{entry['name']} = {numbers}")
    return "; ".join(told)


def is_stuck(p: Problem, outcome: Mapping) -> bool:
    """Did a free run end where it began, in a point that is stationary and from which the objective bends down?"""
    m, module = p.kernel.manifest, p.kernel.module
    held = {"conditions", "general", "bounds"} & m["functions"].keys()
    certified = m["certificate"]["curvature"] in ("convex", "affine", "constant")
    if outcome["steps"] or outcome["status"] != "converged" or held or certified or p.x.dtype != np.float64:
        return False
    value, g = given(p, "value_and_grad"), np.zeros_like(p.x)

    def gradient(x: np.ndarray) -> np.ndarray:
        module.value_and_grad(x, g, *value)
        return g.copy()

    return bends_down(gradient, p.x)


def _missing(p: Problem) -> Callable[[np.ndarray], float]:
    """By how much a point misses the conditions and the bounds."""
    m, module = p.kernel.manifest, p.kernel.module
    functions, facts, n = m["functions"], m["method"]["facts"], p.x.shape[0]
    name, key = ("general", "general") if "general" in functions else ("conditions", "conditions")
    if name in functions and facts["unknowns"]:
        return lambda x: math.nan  # what the new unknowns would be is not known
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    if "bounds" in functions:
        low, high = ends(p, n).reshape(2, n)
    if name not in functions:
        return lambda x: float(np.max(np.maximum(low - x, x - high), initial=0.0))
    counts = [math.prod(shape(p.dims, part)) for part in functions[name]["parts"]]
    equal = sum(count for c, count in zip(facts[key], counts, strict=True) if c["equal"])
    out, read = np.zeros(sum(counts)), given(p, name)

    def missed(x: np.ndarray) -> float:
        getattr(module, name)(x, out, *read)
        worst = np.concatenate([np.abs(out[:equal]), out[equal:], low - x, x - high])
        return float(np.max(worst, initial=0.0))

    return missed


def at_ends(p: Problem, x: np.ndarray, g: np.ndarray) -> dict[str, list]:
    """The multipliers of conditions that only bound: -g / slope where the bound is met, by the name of the condition.

    g is the gradient of the objective plus all other conditions' part; of two bounds at one place the first has it all."""
    m = p.kernel.manifest
    edges, functions = m["method"]["facts"]["edges"], m["functions"]
    if not edges:
        return {}
    left, places, at = g.copy(), {}, 0
    for entry in m["params"]:
        numbers = shape(p.dims, entry["shape"])
        places[entry["name"]] = slice(at, at + math.prod(numbers)), numbers
        at += math.prod(numbers)
    kinds = {c["name"]: c["equal"] for c in m["method"]["facts"]["conditions"]}
    parts = [shape(p.dims, part) for part in functions["edges"]["parts"]]
    values, found, at = np.zeros(sum(map(math.prod, parts))), {}, 0
    p.kernel.module.edges(x, values, *given(p, "edges"))
    for e, part in zip(edges, parts, strict=True):
        place, numbers = places[e["param"]]
        here, slopes = x[place].reshape(numbers), left[place].reshape(numbers)
        value = values[at : at + math.prod(part)].reshape(part)
        at += math.prod(part)
        back = np.argsort(e["axes"])
        met = np.abs(np.transpose(value, back)) <= ACTIVE * np.maximum(1.0, np.abs(e["slope"] * here))
        multiplier = np.where(met, -slopes / e["slope"], 0.0)
        multiplier = multiplier if kinds[e["name"]] else np.maximum(multiplier, 0.0)
        slopes += multiplier * e["slope"]
        found[e["name"]] = np.transpose(multiplier, e["axes"]).tolist()
    return found


def trust_region(p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None) -> dict:
    """Bounds are computed once, from the sizes, the data and the hyper-parameters."""
    o, module = p.kernel.manifest["method"], p.kernel.module
    outcome = run_trust_region(
        module.trust_region,
        p.x,
        ends(p, p.x.shape[0]),
        *given(p, "value_and_grad"),
        given(p, "lagrangian_times"),
        o["tolerance"],
        int(o["options"]["iterations"]),
        watch,
        saved,
        between,
    )
    return _with_multipliers(p, outcome)


def lbfgs_b(p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None) -> dict:
    """Gradients between bounds."""
    o, module = p.kernel.manifest["method"], p.kernel.module
    outcome = run_lbfgs_b(
        module.lbfgs_b,
        p.x,
        ends(p, p.x.shape[0]),
        *given(p, "value_and_grad"),
        o["tolerance"],
        int(o["options"]["iterations"]),
        int(o["options"]["memory"]),
        watch,
        saved,
        between,
    )
    return _with_multipliers(p, outcome)


def _with_multipliers(p: Problem, outcome: dict) -> dict:
    """Multipliers, and where the objective is convex the duality gap."""
    evaluate = slopes(p, "value_and_grad")
    f, g = evaluate(p.x)
    if convex(p) and math.isfinite(gap := _gap(p, evaluate, f, g, outcome["evaluations"])):
        outcome = {**outcome, "gap": gap}
    found = at_ends(p, p.x, g)
    return {**outcome, "multipliers": found} if found else outcome


def slopes(p: Problem, name: str) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """x -> the value of one of the kernel's functions and its gradient."""
    read, function = given(p, name), getattr(p.kernel.module, name)

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        g = np.zeros_like(x)
        return float(function(x, g, *read)), g

    return evaluate


def _gap(p: Problem, evaluate: Callable, f: float, g: np.ndarray, evaluations: int) -> float:
    """The duality gap at the end, by the slope there or at a point nearby."""
    low, high = ends(p, p.x.shape[0]).reshape(2, -1)
    if math.isfinite(gap := between_gap(p.x, g, low, high)):
        return gap
    low, high = np.where(low <= -FAR, -np.inf, low), np.where(high >= FAR, np.inf, high)

    def bound(there: np.ndarray, value: float, slope: np.ndarray) -> float:
        bent = max(0.0, f - value + float(slope @ (there - p.x)))
        return between_gap(p.x, slope, low, high) + bent

    aim = one_sided(low, high, np.zeros_like(p.x))
    free = np.isinf(low) & np.isinf(high)
    return nearby(evaluate, p.x, g, aim, bound, min(MOST_SLOPES, 10 + evaluations), free)


def convex(p: Problem) -> bool:
    """Is the objective, as it is minimised, certified convex?"""
    return p.kernel.manifest["certificate"]["curvature"] in ("convex", "affine", "constant")


def between_gap(x: np.ndarray, g: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """f(x) less Fenchel's dual objective at the slope g: g'x less the least of g'u between the bounds, so no point is lower by
    more. Infinite where g falls towards an end that is not there."""
    towards = np.where(g > 0.0, low, high)
    if not (np.abs(towards) < FAR)[g != 0.0].all():
        return math.inf
    return float(np.sum(g[g != 0.0] * (x - towards)[g != 0.0]))


def augmented_lagrangian(
    p: Problem, watch: Watch | None, between: Between, saved: Mapping[str, np.ndarray] | None
) -> dict:
    """The multipliers of general conditions in one vector, which the Lagrangian reads by their names."""
    o, module, functions = p.kernel.manifest["method"], p.kernel.module, p.kernel.manifest["functions"]
    facts, shapes = o["facts"], [shape(p.dims, part) for part in functions["general"]["parts"]]
    counts = [math.prod(s) for s in shapes]
    extra = sum(math.prod(shape(p.dims, s)) for s in facts["unknowns"])
    wide, used, at, views = np.concatenate([p.x, np.ones(extra)]), np.zeros(sum(counts)), 0, {}
    for name, s, count in zip(facts["multipliers"], shapes, counts, strict=True):
        views[name] = used[at : at + count].reshape(s)
        at += count
    q = replace(p, arrays={**p.arrays, **views})
    outcome, g = run_augmented_lagrangian(
        module.augmented_lagrangian,
        module.value_and_grad,
        p.x,
        wide,
        used,
        sum(count for c, count in zip(facts["general"], counts, strict=True) if c["equal"]),
        ends(p, wide.shape[0]),
        given(q, "lagrangian"),
        given(p, "general"),
        given(p, "value_and_grad"),
        o["tolerance"],
        int(o["options"]["iterations"]),
        int(o["options"]["memory"]),
        watch,
        saved,
        between,
    )
    told = {c["name"] for c in facts["conditions"] if c["text"]}
    duals = {c["name"]: views[n].tolist() for c, n in zip(facts["general"], facts["multipliers"], strict=True)}
    duals = {**at_ends(p, p.x, g), **{name: m for name, m in duals.items() if name in told}}
    return {**outcome, "multipliers": duals} if duals else outcome

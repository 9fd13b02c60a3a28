"""Lines of a standalone module's `fit` that run the methods between bounds: `ends` holds the lower ends, then the upper ones."""

from __future__ import annotations

from collections.abc import Mapping

from symml.targets.module.given import INDENT, call_of, size, sizes


def run_trust_region(m: Mapping, dtype: str) -> list[str]:
    """Lines that run `trust_region`."""
    o = m["method"]
    return [
        *call_of(m, dtype, "bounds"),
        *call_of(m, dtype, "lagrangian_times"),
        *_ends_of(m, "x"),
        f"outcome = run_trust_region(trust_region, x, ends, inputs, work, lagrangian_times_given, {o['tolerance']!r}, "
        f"{int(o['options']['iterations'])}, watch)",
    ]


def run_lbfgs_b(m: Mapping, dtype: str) -> list[str]:
    """Lines that run `lbfgs_b`."""
    o = m["method"]
    numbers = f"{o['tolerance']!r}, {int(o['options']['iterations'])}, {int(o['options']['memory'])}"
    return [
        *call_of(m, dtype, "bounds"),
        *_ends_of(m, "x"),
        f"outcome = run_lbfgs_b(lbfgs_b, x, ends, inputs, work, {numbers}, watch)",
    ]


def run_augmented_lagrangian(m: Mapping, dtype: str) -> list[str]:
    """Lines that run `augmented_lagrangian`."""
    o, facts, parts = m["method"], m["method"]["facts"], m["functions"]["general"]["parts"]
    counts = ["*".join(map(size, part)) or "1" for part in parts]
    extra = " + ".join("*".join(map(size, s)) or "1" for s in facts["unknowns"]) or "0"
    equal = " + ".join(n for n, c in zip(counts, facts["general"], strict=True) if c["equal"]) or "0"
    lines = [f"wide = np.concatenate((x, np.ones({extra})))", f"used = np.zeros({' + '.join(counts) or '0'})"]
    at = "0"
    for name, count, part in zip(facts["multipliers"], counts, parts, strict=True):
        lines.append(f"arrays[{name!r}] = used[{at} : {at} + {count}].reshape(({sizes(part)}))")
        at = f"{at} + {count}"
    numbers = f"{o['tolerance']!r}, {int(o['options']['iterations'])}, {int(o['options']['memory'])}"
    return [
        *lines,
        *(line for name in ("bounds", "lagrangian", "general") for line in call_of(m, dtype, name)),
        *_ends_of(m, "wide"),
        f"outcome = run_augmented_lagrangian(augmented_lagrangian, value_and_grad, x, wide, used, {equal}, ends, "
        f"lagrangian_given, general_given, (inputs, work), {numbers}, watch)[0]",
        "if outcome['status'] in STATUS[INFEASIBILITY:]:",
        f"{INDENT}raise ValueError(outcome['status'])",
    ]


def _ends_of(m: Mapping, vector: str) -> list[str]:
    """Lines that make `ends`, the bounds of a vector; those that are never taken become the next number inside."""
    lines, at = [f"ends = np.zeros(2 * {vector}.shape[0])", f"bounds({vector}, ends, *bounds_given)"], "0"
    for p, (low, high) in zip(m["params"], m["method"]["facts"]["open"], strict=False):
        stop = f"{at} + {'*'.join(map(size, p['shape'])) or '1'}"
        for is_open, first, towards in ((low, "", "np.inf"), (high, f"{vector}.shape[0] + ", "-np.inf")):
            if is_open:
                place = f"ends[{first}{at} : {first}{stop}]"
                lines.append(f"{place} = np.nextafter({place}, {towards})")
        at = stop
    half = f"{vector}.shape[0]"
    return [*lines, f"if (ends[:{half}] > ends[{half}:]).any():", f"{INDENT}raise ValueError(STATUS[INFEASIBILITY])"]


def run_proximal(m: Mapping, dtype: str) -> list[str]:
    """Lines that run `proximal_gradient` or `coordinate_descent`."""
    o, facts, functions = m["method"], m["method"]["facts"], m["functions"]
    wide = o["algorithm"] == "coordinate_descent"
    second = next(name for name in ("second_derivatives", "lagrangian_times", "smooth") if name in functions)
    own = [name for name in ("normals", "bounds") if name in functions]
    names = tuple(dict.fromkeys(("smooth", "weights", *own, second)))
    shapes = "".join(f"({sizes(q['shape'])}), " for q in m["params"])
    counts = "".join(f"{'*'.join(map(size, part)) or '1'}, " for part in functions["weights"]["parts"])
    gap = 1 if facts["gap"] else 0 if o["gap"] < 0.0 else 2
    return [
        *(line for name in names for line in call_of(m, dtype, name)),
        f"figures, normal = np.zeros(sum(({counts}))), np.ones(x.shape[0])",
        "weights(x, figures, *weights_given)",
        *(["normals(x, normal, *normals_given)"] if "normals" in functions else []),
        *(_ends_of(m, "x") if "bounds" in functions else ["ends = without_ends(x.shape[0])"]),
        f"sets = sets_of(({shapes}), {tuple(facts['kinds'])!r}, {tuple(facts['axes'])!r}, ({counts}), figures, ends, normal)",
        f"outcome = run_proximal({o['algorithm']}, value_and_grad, x, sets, {wide}, {gap}, smooth_given, {second}_given, "
        f"(inputs, work), {o['tolerance']!r}, {int(o['options']['iterations'])}, {o['gap']!r}, watch)",
        "if off_sets(x, sets) > MISSED:",
        f"{INDENT}raise ValueError(STATUS[INFEASIBILITY])",
    ]

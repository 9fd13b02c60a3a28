"""Runs of the solvers that need more than a gradient, in pieces as in drive.py; emitted modules carry this text too.

Each run is a dict of arrays that may be kept and gone on with; `work` of a function is its buffers.
"""

import math
import time

import numpy as np

from symml.runtime.drive import STATUS, USED_UP, longer, restore

SMALL = 200_000  # entries of a Jacobian up to which several paths are tried
LARGEST_JACOBIAN = 200_000_000
MOST_UNKNOWNS = 4_000  # of an interior-point method, whose matrices are dense
PATHS = ((1, 1.0), (1, 0.01), (0, 1.0))  # with acceleration or without, the first radius relative to x
WHOLE_STEP = ((0, 1e150),)


def run_least_squares(
    algorithm,
    gradient,
    x,
    data,
    work,
    residual,
    tangent,
    m,
    tolerance,
    iterations,
    paths,
    watch=None,
    saved=None,
    between=None,
):
    """Train all of x as a problem of m residuals; residual, tangent: (data, work) of these functions.

    Of the paths from the same start the one with the least objective is kept: a nonlinear problem has valleys that lead
    nowhere. The last path is gone only where the others have not converged.
    """
    paths = paths[:1] if m * x.shape[0] > SMALL else paths
    run = squares_run(x, iterations, paths[0][1])
    if saved is not None:
        restore(run, saved)
    started = time.perf_counter()
    arrays = (x, run["kept"], run["scale"], run["scalars"], run["counters"], run["trace"])
    algorithm(*arrays, *residual, *tangent, m, 0, tolerance, 1)  # compiles, or loads
    g = np.zeros_like(x)
    gradient(x, g, data, work)
    compiled, began = time.perf_counter() - started, time.perf_counter()
    if between is not None:
        between(run)
    while run["path"][0] < len(paths):
        one_path(algorithm, run, arrays, residual, tangent, m, iterations, tolerance, paths, watch, between)
        next_path(run, paths)
    x[:] = run["best_x"]
    status, done = int(run["best"][1]), int(run["best"][2])
    loss = gradient(x, g, data, work)
    return {
        "status": STATUS[status],
        "steps": done,
        "compile_seconds": compiled,
        "seconds": time.perf_counter() - began,
        "evaluations": int(run["counters"][1]),
        "loss": float(loss),
        "gradient": float(np.max(np.abs(g), initial=0.0)),
        "history": [*(run["best_trace"][:done, 0] + (loss - run["best"][0])).tolist(), float(loss)],
        "angle": float(run["scalars"][3]),
    }


def squares_run(x, iterations, radius):
    """The arrays of a run before its first step."""
    return {
        "x": x,
        "start": x.copy(),
        "kept": x.copy(),
        "scale": np.zeros(x.shape[0]),
        "scalars": np.array([0.0, radius, 0.0, 0.0, 0.0, 0.0]),
        "counters": np.zeros(6, np.int64),
        "trace": np.zeros((iterations + 1, 2)),
        "path": np.zeros(1, np.int64),
        "best": np.array([math.inf, 0.0, 0.0]),
        "best_x": x.copy(),
        "best_trace": np.zeros((iterations + 1, 2)),
        "status": np.zeros(1, np.int64),
    }


def paths_of(method, affine):
    """The ways to go for a method: affine residuals need one, and so does one that the page asks for by its name."""
    return WHOLE_STEP if method == "gauss_newton" else PATHS[:1] if affine else PATHS


def one_path(algorithm, run, arrays, residual, tangent, m, iterations, tolerance, paths, watch, between):
    """Go one path to its end, in pieces."""
    counters, piece = run["counters"], 1
    curved = paths[int(run["path"][0])][0]
    while run["status"][0] == 0:
        start = time.perf_counter()
        steps = min(piece, iterations - int(counters[0]))
        run["status"][0] = algorithm(*arrays, *residual, *tangent, m, steps, tolerance, curved)
        piece = longer(piece, time.perf_counter() - start)
        if run["status"][0] == 0 and counters[0] >= iterations:
            run["status"][0] = USED_UP
        if watch is not None:
            watch(int(counters[0]), iterations, float(run["scalars"][0]), float(run["scalars"][4]))
        if between is not None:
            between(run)


def next_path(run, paths):
    """Keep the better end, and go back to the start with the next way of going."""
    ended = int(run["status"][0])
    f, best = float(run["scalars"][0]), float(run["best"][0])
    first = run["path"][0] == 0
    if first or (math.isfinite(f) and f < best - 1e-10 * abs(best)):
        run["best"][:] = f, ended, run["counters"][0]
        run["best_x"][:] = run["x"]
        run["best_trace"][:] = run["trace"]
    run["path"][0] += 1
    if run["path"][0] == len(paths) - 1 and run["path"][0] > 0 and run["best"][1] == 1:
        run["path"][0] += 1
    if ended == 3 and first:
        run["path"][0] = len(paths)
    if run["path"][0] < len(paths):
        evaluations = run["counters"][1]
        run["x"][:] = run["start"]
        run["kept"][:] = run["start"]
        run["status"][0] = 0
        for name in ("scale", "scalars", "counters", "trace"):
            run[name][...] = 0
        run["counters"][1] = evaluations
        run["scalars"][1] = paths[int(run["path"][0])][1]


# constraints


def run_interior_point(
    algorithm,
    gradient,
    x,
    wide,
    multipliers,
    equal,
    given,
    conditions,
    tangent,
    hessian,
    value,
    tolerance,
    iterations,
    gap,
    constant,
    cones,
    beside,
    watch=None,
    saved=None,
    between=None,
):
    """Minimise over wide = x and the unknowns beside it; every `given` is (data, work) of a function.

    multipliers: views of it are among the data of `hessian`; gradient, value: the page's own objective, for x alone.
    cones: (start, rows) of the matrices that stay semidefinite, whose multipliers come to be in `beside`.
    gap: of duality, at which to stop; 0: none; negative: it is not measured. constant: 1 where the Hessian is the same
    everywhere, 1 where the Jacobian of the conditions is.
    """
    run = interior_run(x, wide, multipliers, equal, iterations, gap, beside)
    if saved is not None:
        restore(run, saved)
    counters, scalars = run["counters"], run["scalars"]
    arrays = [run[k] for k in ("wide", "multipliers", "slack", "scalars", "counters", "trace")]
    functions, n, m = (*given, *conditions, *tangent, *hessian), wide.shape[0], multipliers.shape[0]
    constant = (*constant, np.zeros((n, n)), np.zeros((m, n)), np.zeros(2, np.int64), cones, beside)
    started = time.perf_counter()
    algorithm(*arrays, equal, *functions, 0, tolerance, *constant)  # compiles, or loads
    g = np.zeros_like(x)
    gradient(x, g, *value)
    compiled, began, piece = time.perf_counter() - started, time.perf_counter(), 1
    if between is not None:
        between(run)
    while run["status"][0] == 0:
        start = time.perf_counter()
        steps = min(piece, iterations - int(counters[0]))
        run["status"][0] = algorithm(*arrays, equal, *functions, steps, tolerance, *constant)
        piece = longer(piece, time.perf_counter() - start)
        if run["status"][0] == 0 and counters[0] >= iterations:
            run["status"][0] = USED_UP
        x[:] = wide[: x.shape[0]]
        if watch is not None:
            watch(int(counters[0]), iterations, float(scalars[0]), float(scalars[2]), float(scalars[9]))
        if between is not None:
            between(run)
    seconds = time.perf_counter() - began
    return interior_outcome(run, float(gradient(x, g, *value)), g, compiled, seconds)


def interior_run(x, wide, multipliers, equal, iterations, gap, beside):
    """The arrays of a run before its first step."""
    return {
        "x": x,
        "wide": wide,
        "multipliers": multipliers,
        "beside": beside,
        "slack": np.zeros(multipliers.shape[0] - equal),
        "scalars": np.array([0.0] * 8 + [gap, math.nan]),
        "counters": np.zeros(5, np.int64),
        "trace": np.full((iterations + 1, 3), math.nan),
        "status": np.zeros(1, np.int64),
    }


def interior_outcome(run, loss, g, compiled, seconds):
    """The figures of a run; loss and g are the page's own, at its end."""
    done, status = int(run["counters"][0]), int(run["status"][0])
    return {
        "status": STATUS[status],
        "steps": done,
        "compile_seconds": compiled,
        "seconds": seconds,
        "evaluations": int(run["counters"][1]),
        "loss": loss,
        "gradient": float(np.max(np.abs(g), initial=0.0)),
        "history": [*run["trace"][:done, 0].tolist(), float(loss)],
        "kkt": float(run["scalars"][2]),
        "infeasibility": float(run["scalars"][5]),
        **gaps_of(run["trace"][: done + 1, 2]),
    }


def gaps_of(measured):
    """The duality gap after each step, and the last; nothing where none was measured. An infinite one is None."""
    measured = np.maximum(measured[~np.isnan(measured)], 0.0)  # below 0 by rounding alone
    if measured.shape[0] == 0:
        return {}
    last = {"gap": float(measured[-1])} if math.isfinite(measured[-1]) else {}
    return {**last, "gaps": [float(v) if math.isfinite(v) else None for v in measured]}


# bounds


def run_trust_region(
    algorithm, x, bounds, data, work, hessian, tolerance, iterations, watch=None, saved=None, between=None
):
    """Minimise between bounds, their lower ends first; hessian: (data, work) of the Hessian times a vector."""
    n = x.shape[0]
    run = {
        "x": x,
        "g": np.zeros(n),
        "kept": x.copy(),
        "scalars": np.zeros(5),
        "counters": np.zeros(5, np.int64),
        "trace": np.zeros((iterations + 1, 2)),
        "status": np.zeros(1, np.int64),
    }
    if saved is not None:
        restore(run, saved)
    counters, scalars = run["counters"], run["scalars"]
    arrays = (x, run["g"], bounds[:n], bounds[n:], run["kept"], scalars, counters, run["trace"], data, work, *hessian)
    started = time.perf_counter()
    algorithm(*arrays, 0, tolerance)  # compiles, or loads
    compiled, began, piece = time.perf_counter() - started, time.perf_counter(), 1
    if between is not None:
        between(run)
    while run["status"][0] == 0:
        start = time.perf_counter()
        run["status"][0] = algorithm(*arrays, min(piece, iterations - int(counters[0])), tolerance)
        piece = longer(piece, time.perf_counter() - start)
        if run["status"][0] == 0 and counters[0] >= iterations:
            run["status"][0] = USED_UP
        if watch is not None:
            watch(int(counters[0]), iterations, float(scalars[0]), float(scalars[2]))
        if between is not None:
            between(run)
    done = int(counters[0])
    return {
        "status": STATUS[int(run["status"][0])],
        "steps": done,
        "compile_seconds": compiled,
        "seconds": time.perf_counter() - began,
        "evaluations": int(counters[1]),
        "loss": float(scalars[0]),
        "gradient": float(np.max(np.abs(run["g"]), initial=0.0)),
        "history": [*run["trace"][:done, 0].tolist(), float(scalars[0])],
        "kkt": float(scalars[2]),
    }


# penalties

KINDS = {"": 0, "box": 0, "absolute": 1, "groups": 2, "simplex": 3, "level": 3, "ball": 4}
FAR = 1e300  # an end that is not there
MISSED = 1e-6  # of a sum that counts as not kept


def second_of(functions):
    """Which function gives an algorithm of penalties its second derivatives; where it needs none, the smooth part stands in."""
    return next(name for name in ("second_derivatives", "lagrangian_times", "smooth") if name in functions)


def sets_of(shapes, kinds, axes, counts, figures, ends, normal):
    """The blocks of proximal.py with their numbers: counts: how many of the figures each parameter has; ends: lower and then
    upper ends of all of x."""
    blocks, at, first = np.zeros((len(shapes), 6), np.int64), 0, 0
    for k, (shape, kind, axis) in enumerate(zip(shapes, kinds, axes, strict=True)):
        size, along = math.prod(shape), axis % len(shape) if shape else 0
        whole = KINDS[kind] == 3
        width = shape[along] if shape and (whole or kind == "groups") else 1
        stride = math.prod(shape[along + 1 :]) if whole else 1
        blocks[k] = at, at + size, KINDS[kind], width, stride, first
        at, first = at + size, first + counts[k]
    lower, upper = ends[:at].copy(), ends[at:].copy()
    lower[lower <= -FAR], upper[upper >= FAR] = -math.inf, math.inf
    return blocks, figures, lower, upper, normal


def without_ends(n):
    """No bounds of n unknowns, as `bounds` gives them."""
    return np.concatenate((np.full(n, -FAR), np.full(n, FAR)))


def off_sets(x, sets):
    """By how much the nearest point that is found misses its sums: 0 unless a set is empty."""
    blocks, figures, lower, upper, normal = sets
    worst = float(np.max(lower - upper, initial=0.0))
    for start, stop, kind, width, stride, first in blocks.tolist():
        if kind == 3:
            rows = (stop - start) // width
            parts = (x[start:stop] * normal[start:stop]).reshape((-1, width, stride))
            found, wanted = parts.sum(axis=1).reshape(-1), figures[first : first + rows]
            size = np.maximum(np.maximum(1.0, np.abs(wanted)), np.abs(parts).max(axis=1).reshape(-1))
            worst = max(worst, float(np.max(np.abs(found - wanted) / size, initial=0.0)))
        if kind == 4:
            worst = max(worst, -float(figures[first]))
    return worst


def run_proximal(
    algorithm,
    gradient,
    x,
    sets,
    wide,
    squares,
    smooth,
    hessian,
    value,
    tolerance,
    iterations,
    gap,
    watch=None,
    saved=None,
    between=None,
):
    """Minimise a smooth part plus penalties in sets. wide: True where the algorithm keeps the Hessian, else it keeps a second
    point; smooth, hessian, value: (data, work) of these functions; squares: 1, or 2, where there is a duality gap;
    gap: the one at which to stop, or nothing that is positive."""
    n = x.shape[0]
    run = {
        "x": x,
        "beside": np.zeros((n, n)) if wide else np.zeros(n),
        "scalars": np.array([0.0] * 7 + [max(gap, 0.0)]),
        "counters": np.zeros(4, np.int64),
        "trace": np.full((iterations + 1, 3), math.nan),
        "status": np.zeros(1, np.int64),
    }
    if saved is not None:
        restore(run, saved)
    counters, scalars, trace = run["counters"], run["scalars"], run["trace"]
    arrays = (x, run["beside"], scalars, counters, trace, sets, squares, *smooth, *hessian)
    started = time.perf_counter()
    algorithm(*arrays, 0, tolerance)  # compiles, or loads
    g = np.zeros_like(x)
    gradient(x, g, *value)
    compiled, began, piece = time.perf_counter() - started, time.perf_counter(), 1
    if between is not None:
        between(run)
    while run["status"][0] == 0:
        start = time.perf_counter()
        run["status"][0] = algorithm(*arrays, min(piece, iterations - int(counters[0])), tolerance)
        piece = longer(piece, time.perf_counter() - start)
        if run["status"][0] == 0 and counters[0] >= iterations:
            run["status"][0] = USED_UP
        if watch is not None:
            watch(int(counters[0]), iterations, float(scalars[0]), float(scalars[3]), float(scalars[4]))
        if between is not None:
            between(run)
    return proximal_outcome(run, float(gradient(x, g, *value)), g, compiled, time.perf_counter() - began)


def proximal_outcome(run, loss, g, compiled, seconds):
    """The figures of a run; loss and g are the page's own, at its end."""
    done = int(run["counters"][0])
    return {
        "status": STATUS[int(run["status"][0])],
        "steps": done,
        "compile_seconds": compiled,
        "seconds": seconds,
        "evaluations": int(run["counters"][1]),
        "loss": loss,
        "gradient": float(np.max(np.abs(g), initial=0.0)),
        "history": [*run["trace"][:done, 0].tolist(), float(loss)],
        "kkt": float(run["scalars"][3]),
        **gaps_of(run["trace"][: done + 1, 2]),
    }


# closed forms


def run_alternating(
    algorithm, gradient, x, data, work, update, tolerance, iterations, watch=None, saved=None, between=None
):
    """Train all of x by closed forms in turn; update: (data, work) of the function that makes a round."""
    run = {
        "x": x,
        "scalars": np.array([math.inf, math.inf]),
        "counters": np.zeros(1, np.int64),
        "trace": np.zeros((iterations + 1, 2)),
        "status": np.zeros(1, np.int64),
    }
    if saved is not None:
        restore(run, saved)
    started = time.perf_counter()
    arrays = (x, x.copy(), run["scalars"], run["counters"], run["trace"], data, work, *update)
    algorithm(*arrays, 0, tolerance)  # compiles, or loads
    compiled, began, piece, counters = time.perf_counter() - started, time.perf_counter(), 1, run["counters"]
    if between is not None:
        between(run)
    while run["status"][0] == 0:
        start = time.perf_counter()
        run["status"][0] = algorithm(*arrays, min(piece, iterations + 1 - int(counters[0])), tolerance)
        piece = longer(piece, time.perf_counter() - start)
        if run["status"][0] == 0 and counters[0] > iterations:
            run["status"][0] = USED_UP
        if watch is not None:
            watch(int(counters[0]), iterations, float(run["scalars"][0]), float(run["scalars"][1]))
        if between is not None:
            between(run)
    g, done, status = np.zeros_like(x), int(counters[0]), int(run["status"][0])
    loss = gradient(x, g, data, work)
    return {
        "status": STATUS[status],
        "steps": done,
        "compile_seconds": compiled,
        "seconds": time.perf_counter() - began,
        "evaluations": done + 1,
        "loss": float(loss),
        "gradient": float(np.max(np.abs(g), initial=0.0)),
        "history": [*run["trace"][:done, 0].tolist(), float(loss)],
    }


# linear least squares


def run_scaled_qr(algorithm, gradient, x, data, work, residual, tangent, m, watch=None, saved=None, between=None):
    """Solve for all of x at once; residual, tangent: (data, work) of these functions, m residuals."""
    run = {"x": x, "scalars": np.zeros(1), "counters": np.zeros(2, np.int64)}
    if saved is not None:
        restore(run, saved)
    started = time.perf_counter()
    g, before = np.zeros_like(x), gradient(x, np.zeros_like(x), data, work)
    arrays = (run["scalars"], run["counters"], *residual, *tangent, m)
    status = int(algorithm(x.copy(), *arrays))  # compiles, or loads
    compiled, began = time.perf_counter() - started, time.perf_counter()
    status = int(algorithm(x, *arrays))
    seconds = time.perf_counter() - began
    loss = float(gradient(x, g, data, work))
    slope = float(np.max(np.abs(g), initial=0.0))
    if watch is not None:
        watch(1, 1, loss, slope)
    if between is not None:
        between(run)
    return {
        "status": STATUS[status],
        "steps": 1,
        "compile_seconds": compiled,
        "seconds": seconds,
        "evaluations": x.shape[0] + 1,
        "loss": loss,
        "gradient": slope,
        "history": [float(before), loss],
        "condition": float(run["scalars"][0]),
        "rank": int(run["counters"][1]),
    }

"""Runs of the methods between bounds that need gradients alone; emitted modules carry this text too, behind solve.py."""

import time

import numpy as np

from symml.runtime.drive import STATUS, USED_UP, longer, restore


def in_pieces(run, step, shown, iterations, watch, between):
    """Call step(iterations of a piece) -> status until the run ends; counters[0] counts its iterations, scalars[shown] is
    the residual. Returns the seconds."""
    piece, began, counters, scalars = 1, time.perf_counter(), run["counters"], run["scalars"]
    if between is not None:
        between(run)
    while run["status"][0] == 0:
        start = time.perf_counter()
        run["status"][0] = step(min(piece, iterations - int(counters[0])))
        piece = longer(piece, time.perf_counter() - start)
        if run["status"][0] == 0 and counters[0] >= iterations:
            run["status"][0] = USED_UP
        if watch is not None:
            watch(int(counters[0]), iterations, float(scalars[0]), float(scalars[shown]))
        if between is not None:
            between(run)
    return time.perf_counter() - began


def run_lbfgs_b(algorithm, x, bounds, data, work, tolerance, iterations, memory, watch=None, saved=None, between=None):
    """Minimise between bounds, their lower ends first."""
    n = x.shape[0]
    run = {
        "x": x,
        "g": np.zeros(n),
        "pairs": np.zeros((n, 2 * memory)),
        "inner": np.zeros((2, memory, memory)),
        "scalars": np.zeros(6),
        "counters": np.zeros(5, np.int64),
        "trace": np.zeros((iterations + 1, 2)),
        "status": np.zeros(1, np.int64),
    }
    if saved is not None:
        restore(run, saved)
    counters, scalars = run["counters"], run["scalars"]
    ends = (x, run["g"], bounds[:n], bounds[n:])
    arrays = (*ends, run["pairs"], run["inner"], scalars, counters, run["trace"], data, work)
    started = time.perf_counter()
    algorithm(*arrays, 0, tolerance)  # compiles, or loads
    compiled = time.perf_counter() - started

    def step(steps):
        return algorithm(*arrays, steps, tolerance)

    seconds = in_pieces(run, step, 1, iterations, watch, between)
    done = int(counters[0])
    return {
        "status": STATUS[int(run["status"][0])],
        "steps": done,
        "compile_seconds": compiled,
        "seconds": seconds,
        "evaluations": int(counters[1]),
        "loss": float(scalars[0]),
        "gradient": float(np.max(np.abs(run["g"]), initial=0.0)),
        "history": [*run["trace"][:done, 0].tolist(), float(scalars[0])],
        "kkt": float(scalars[1]),
    }


def run_augmented_lagrangian(
    algorithm,
    gradient,
    x,
    wide,
    used,
    equal,
    bounds,
    whole,
    general,
    value,
    tolerance,
    iterations,
    memory,
    watch=None,
    saved=None,
    between=None,
):
    """Minimise over wide = x and the unknowns beside it; whole, general, value: (data, work) of the Lagrangian with its
    gradient, of the conditions, of the page's own objective; `used`, of which `equal` are for equalities, becomes the
    multipliers. Returns the outcome and the gradient of the Lagrangian in x at the end."""
    n, m = wide.shape[0], used.shape[0]
    run = augmented_run(x, wide, used, equal, iterations, memory)
    if saved is not None:
        restore(run, saved)
    counters, scalars = run["counters"], run["scalars"]
    arrays = (wide, run["g"], run["start"], bounds[:n], bounds[n:], run["pairs"], run["inner"], scalars, counters)
    arrays = (*arrays, run["trace"], run["facts"], run["counts"], used, run["kept"], np.zeros(m), *whole, *general)
    started = time.perf_counter()
    algorithm(*arrays, 0, tolerance)  # compiles, or loads
    g = np.zeros_like(x)
    gradient(x, g, *value)
    compiled = time.perf_counter() - started

    def step(steps):
        status = algorithm(*arrays, steps, tolerance)
        x[:] = wide[: x.shape[0]]
        return status

    seconds = in_pieces(run, step, 1, iterations, watch, between)
    return augmented_outcome(run, float(gradient(x, g, *value)), g, compiled, seconds), run["g"][: x.shape[0]]


def augmented_run(x, wide, used, equal, iterations, memory):
    """The arrays of a run before its first step."""
    n, m = wide.shape[0], used.shape[0]
    return {
        "x": x,
        "wide": wide,
        "g": np.zeros(n),
        "start": wide.copy(),
        "pairs": np.zeros((n, 2 * memory)),
        "inner": np.zeros((2, memory, memory)),
        "scalars": np.zeros(6),
        "counters": np.zeros(5, np.int64),
        "trace": np.zeros((iterations + 1, 2)),
        "facts": np.zeros(7),
        "counts": np.array([0, equal, 0, 0]),
        "used": used,
        "kept": np.zeros(m),
        "status": np.zeros(1, np.int64),
    }


def augmented_outcome(run, loss, g, compiled, seconds):
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
        "history": [*run["trace"][1:done, 0].tolist(), loss],
        "kkt": float(run["facts"][4]),
        "infeasibility": float(run["facts"][3]),
    }

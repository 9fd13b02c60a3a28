"""Runs of an algorithm in pieces of about PIECE seconds: between them live progress, checkpoints, divergence checks.

Plain functions over numpy; emitted modules carry this text too, so both train with the same calls. All that a run is
lies in a dict of arrays: `saved`, one that was kept, goes on where it stood, to the same bits.
"""

import math
import time

import numpy as np

PIECE = 0.1
STATUS = ("running", "converged", "stalled", "diverged", "stopped early", "stopped", "finished")
STATUS += (
    "no point satisfies all constraints",
    "the objective is unbounded: it goes on for ever, and no value is the best",
)
STATUS += ("the closed form is no minimum: the objective falls from there",)
DIVERGENCE = 3
EARLY = 4
USED_UP = 5
FINISHED = 6
INFEASIBILITY = 7
ENDLESS = 8
NO_MINIMUM = 9


def longer(pieces, seconds):
    """The next number of steps in one call, aiming at PIECE seconds."""
    factor = 8.0 if seconds <= 0.0 else min(8.0, max(0.2, PIECE / seconds))
    return max(1, int(pieces * factor))


def restore(run, saved):
    """Copy the arrays of an earlier moment into those of a run."""
    for name in run:
        run[name][...] = saved[name]


def run_lbfgs(lbfgs, x, data, work, tolerance, iterations, memory, watch=None, saved=None, between=None):
    """Train all of x by L-BFGS.

    Between pieces `watch(done, total, loss, gradient)` shows progress and `between(run)` may keep the run's arrays.
    """
    size = x.shape[0]
    run = {
        "x": x,
        "g": np.zeros_like(x),
        "memory_s": np.zeros((memory, size), x.dtype),
        "memory_y": np.zeros((memory, size), x.dtype),
        "rho": np.zeros(memory),
        "scalars": np.zeros(3),
        "counters": np.zeros(5, np.int64),
        "trace": np.zeros((iterations + 1, 2)),
        "status": np.zeros(1, np.int64),
    }
    if saved is not None:
        restore(run, saved)
    vectors, counters, trace = np.zeros((3, size), x.dtype), run["counters"], run["trace"]
    arrays = (x, run["g"], run["memory_s"], run["memory_y"], run["rho"], vectors, run["scalars"], counters, trace)
    started = time.perf_counter()
    lbfgs(*arrays, data, work, 0, tolerance)  # compiles, or loads
    compiled = time.perf_counter() - started
    if between is not None:
        between(run)
    piece, began = 1, time.perf_counter()
    while run["status"][0] == 0:
        start = time.perf_counter()
        run["status"][0] = lbfgs(*arrays, data, work, min(piece, iterations - int(counters[0])), tolerance)
        piece = longer(piece, time.perf_counter() - start)
        if run["status"][0] == 0 and counters[0] >= iterations:
            run["status"][0] = USED_UP
        if watch is not None:
            watch(int(counters[0]), iterations, float(run["scalars"][0]), float(trace[int(counters[0]), 1]))
        if between is not None:
            between(run)
    done, status = int(counters[0]), int(run["status"][0])
    return {
        "status": STATUS[status],
        "steps": done,
        "compile_seconds": compiled,
        "seconds": time.perf_counter() - began,
        "evaluations": int(counters[2]),
        "loss": float(trace[done, 0]),
        "gradient": float(trace[done, 1]),
        "history": trace[: done + 1, 0].tolist(),
    }


def run_minibatch(
    minibatch,
    x,
    state,
    scalars,
    data,
    batch,
    work,
    batch_size,
    rows,
    epochs,
    seed,
    watch=None,
    validate=None,
    patience=0,
    saved=None,
    between=None,
    answer=-1,
):
    """Train x by an optimiser's page over `epochs` epochs of shuffled batches.

    With `validate(x) -> loss`, x ends as the best of all epochs' ends, and after `patience` epochs (0: never) without a
    lower loss the run stops. x ends as row `answer` of the state, where that is not -1. A run that diverges ends with
    its last finite arrays; its `steps` is the step that failed.
    """
    in_epoch = (rows + batch_size - 1) // batch_size
    run = minibatch_run(x, state, scalars, epochs, validate is not None)
    if saved is not None:
        restore(run, saved)
    counters, trace = run["counters"], run["trace"]
    arrays = (x, run["g"], state, scalars, data, batch, work, np.zeros(rows, np.int64), counters, batch_size)
    started = time.perf_counter()
    minibatch(*arrays, 0, seed, trace)  # compiles, or loads
    compiled = time.perf_counter() - started
    if between is not None:
        between(run)
    total, piece, began = epochs * in_epoch, 1, time.perf_counter()
    while run["status"][0] == 0:
        start, before = time.perf_counter(), snapshot(run, in_epoch)
        steps = min(piece, total - int(counters[0]))
        if validate is not None:
            steps = min(steps, in_epoch - int(counters[0]) % in_epoch)
        run["status"][0] = minibatch(*arrays, steps, seed, trace)
        if run["status"][0] != 0 or not is_finite(run):
            back(run, before, in_epoch)
            last_finite(minibatch, arrays, run, steps, seed, in_epoch)
        piece = longer(steps, time.perf_counter() - start)
        if validate is not None and run["status"][0] == 0 and counters[0] % in_epoch == 0:
            shown = x if answer < 0 else state[answer]
            keep_best(run, shown, validate(shown), int(counters[0]) // in_epoch - 1, patience)
        if run["status"][0] == 0 and counters[0] >= total:
            run["status"][0] = FINISHED
        if watch is not None:
            watch(int(counters[0]), total, float(trace[max(0, int(counters[0]) // in_epoch - 1)]), math.nan)
        if between is not None:
            between(run)
    outcome = minibatch_outcome(run, validate, in_epoch, compiled, time.perf_counter() - began)
    if answer >= 0 and validate is None and int(run["status"][0]) != DIVERGENCE:
        x[:] = state[answer]
    return outcome


def minibatch_run(x, state, scalars, epochs, validated):
    """The arrays of a run before its first step; those of the best parameters are empty where no part chooses them."""
    return {
        "x": x,
        "g": np.zeros_like(x),
        "state": state,
        "scalars": scalars,
        "counters": np.zeros(2, np.int64),
        "trace": np.zeros(epochs),
        "status": np.zeros(1, np.int64),
        "best_x": np.zeros(x.shape[0] if validated else 0, x.dtype),
        "best": np.array([math.inf, -1.0]),
        "validation": np.zeros(epochs if validated else 0),
    }


def is_finite(run):
    """Are the parameters and all that their update keeps finite numbers?"""
    return all(bool(np.isfinite(run[name]).all()) for name in ("x", "state", "scalars"))


def snapshot(run, in_epoch):
    """What a piece changes: the arrays of the step, and the sum of the epoch that is under way."""
    kept = {name: run[name].copy() for name in ("x", "g", "state", "scalars", "counters", "status")}
    kept["partial"] = float(run["trace"][int(run["counters"][0]) // in_epoch])
    return kept


def back(run, kept, in_epoch):
    """Undo a piece."""
    for name in ("x", "g", "state", "scalars", "counters", "status"):
        run[name][...] = kept[name]
    epoch = int(run["counters"][0]) // in_epoch
    run["trace"][epoch:] = 0.0
    run["trace"][epoch] = kept["partial"]


def last_finite(minibatch, arrays, run, steps, seed, in_epoch):
    """Go again over a piece that diverged, step by step, to the last of them that leaves finite numbers."""
    for _ in range(steps):
        before = snapshot(run, in_epoch)
        status = minibatch(*arrays, 1, seed, run["trace"])
        if status != 0 or not is_finite(run):
            back(run, before, in_epoch)
            break
    run["status"][0] = DIVERGENCE
    run["counters"][1] = run["counters"][0]


def keep_best(run, x, loss, epoch, patience):
    """Note the loss of an epoch's end on the validation part, keep the best parameters, and stop when they stay the same."""
    run["validation"][epoch] = loss
    if loss < run["best"][0]:
        run["best"][:] = loss, epoch
        run["best_x"][:] = x
    elif patience > 0 and epoch - run["best"][1] >= patience:
        run["status"][0] = EARLY


def minibatch_outcome(run, validate, in_epoch, compiled, seconds):
    """The figures of a run; its parameters become the best ones where a part of the data chose them."""
    done, status = int(run["counters"][0]), int(run["status"][0])
    epochs = (done + in_epoch - 1) // in_epoch
    outcome = {
        "status": STATUS[status],
        "steps": done,
        "compile_seconds": compiled,
        "seconds": seconds,
        "evaluations": done,
        "loss": float(run["trace"][max(0, epochs - 1)]),
        "gradient": float(np.max(np.abs(run["g"]))),
        "history": run["trace"][:epochs].tolist(),
    }
    if validate is not None:
        outcome["validation"] = run["validation"][: done // in_epoch].tolist()
        outcome["best_epoch"] = int(run["best"][1]) + 1
        if status != DIVERGENCE and run["best"][1] >= 0.0:
            run["x"][:] = run["best_x"]
    return outcome

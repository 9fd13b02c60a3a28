"""Runs of an algorithm in pieces of about PIECE seconds: between them live progress, interruption, divergence checks.

Plain functions over numpy; emitted modules carry this text too, so both train with the same calls.
"""

import math
import time

import numpy as np

PIECE = 0.1
STATUS = ("running", "converged", "stalled", "diverged")


def longer(pieces, seconds):
    """The next number of steps in one call, aiming at PIECE seconds."""
    factor = 8.0 if seconds <= 0.0 else min(8.0, max(0.2, PIECE / seconds))
    return max(1, int(pieces * factor))


def run_lbfgs(lbfgs, x, data, work, tolerance, iterations, memory, watch=None):
    """Train all of x by L-BFGS; `watch(done, total, loss, gradient)` is called between pieces."""
    g = np.zeros_like(x)
    pairs_s, pairs_y = np.zeros((memory, x.shape[0]), x.dtype), np.zeros((memory, x.shape[0]), x.dtype)
    rho, vectors = np.zeros(memory), np.zeros((3, x.shape[0]), x.dtype)
    scalars, counters = np.zeros(3), np.zeros(5, np.int64)
    trace = np.zeros((iterations + 1, 2))
    started = time.perf_counter()
    lbfgs(
        x, g, pairs_s, pairs_y, rho, vectors, scalars, counters, trace, data, work, 0, tolerance
    )  # compiles, or loads
    compiled = time.perf_counter() - started
    status, piece, began = 0, 1, time.perf_counter()
    while status == 0 and counters[0] < iterations:
        start = time.perf_counter()
        status = lbfgs(
            x,
            g,
            pairs_s,
            pairs_y,
            rho,
            vectors,
            scalars,
            counters,
            trace,
            data,
            work,
            min(piece, iterations - int(counters[0])),
            tolerance,
        )
        piece = longer(piece, time.perf_counter() - start)
        if watch is not None:
            watch(int(counters[0]), iterations, float(scalars[0]), float(trace[int(counters[0]), 1]))
    done = int(counters[0])
    return {
        "status": STATUS[status] if status else "stopped",
        "steps": done,
        "compile_seconds": compiled,
        "seconds": time.perf_counter() - began,
        "evaluations": int(counters[2]),
        "loss": float(trace[done, 0]),
        "gradient": float(trace[done, 1]),
        "history": trace[: done + 1, 0].tolist(),
    }


def run_minibatch(minibatch, x, state, scalars, data, batch, work, batch_size, rows, epochs, seed, watch=None):
    """Train x by an optimiser's page over `epochs` epochs of shuffled batches."""
    g = np.zeros_like(x)
    order, counters = np.zeros(rows, np.int64), np.zeros(2, np.int64)
    trace = np.zeros(epochs)
    in_epoch = (rows + batch_size - 1) // batch_size
    started = time.perf_counter()
    minibatch(
        x, g, state, scalars, data, batch, work, order, counters, batch_size, 0, seed, trace
    )  # compiles, or loads
    compiled = time.perf_counter() - started
    total, status, piece, began = epochs * in_epoch, 0, 1, time.perf_counter()
    while status == 0 and counters[0] < total:
        start = time.perf_counter()
        status = minibatch(
            x,
            g,
            state,
            scalars,
            data,
            batch,
            work,
            order,
            counters,
            batch_size,
            min(piece, total - int(counters[0])),
            seed,
            trace,
        )
        piece = longer(piece, time.perf_counter() - start)
        epoch = max(0, int(counters[0]) // in_epoch - 1)
        if watch is not None:
            watch(int(counters[0]), total, float(trace[epoch]), math.nan)
    return {
        "status": "diverged" if status else "finished",
        "steps": int(counters[0]),
        "compile_seconds": compiled,
        "seconds": time.perf_counter() - began,
        "evaluations": int(counters[0]),
        "loss": float(trace[-1]),
        "gradient": float(np.max(np.abs(g))),
        "history": trace.tolist(),
    }

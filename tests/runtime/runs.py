"""A small regression to train in these tests: its page, its data, and runs of it."""

from __future__ import annotations

import os
import signal

import numpy as np
from check import page

from symml import pipeline

RNG = np.random.default_rng(6)
N = 40
X = RNG.normal(size=(N, 3))
Y = X @ [1.0, -2, 0.5] + 0.1 * RNG.normal(size=N)
HEAD = "dims n, d\ndata X[n, d], y[n]\nparam w[d] init 0.3\nhyper lam >= 0 = 0.01\n"
LOSS = "minimize 1/n ||X w - y||^2 + lam ||w||^2\n"
ADAM = "train with adam(lr = warmup(cosine(0.05, 0.001), 2), batch = 16, epochs = 30)"
LBFGS = "train with lbfgs(memory = 3) until |grad| < 1e-12"
CURVED = "minimize 1/n sum[i] log(1 + exp(-y[i] sum[j] X[i, j] w[j])) + sum[j] (w[j]^2 - 1)^2\n"


def run(method=ADAM, keeping=None, watch=None, loss=LOSS, target="cpu", head=HEAD, **changed):
    options = pipeline.Options(target, changed.get("dtype", "float64"), hypers=changed.get("hyper", {}))
    data = {"X": X, "y": changed.get("y", Y)}
    return pipeline.train(page(head + loss + method), options, data, changed.get("seed", 0), watch, keeping)


def interrupting(number: int):
    """A watch that sends this process SIGINT at its call `number`."""
    calls = [0]

    def watch(done, total, loss, gradient):
        calls[0] += 1
        if calls[0] == number:
            os.kill(os.getpid(), signal.SIGINT)

    watch.calls = calls
    return watch

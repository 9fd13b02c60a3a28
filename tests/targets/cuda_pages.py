"""The two pages of the CUDA tests at sizes that the simulator can bear, their data, and child processes.

The children import this too, so that all of them train the same.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from symml import pipeline
from symml.source import Source

DTYPES = ("float64", "float32")
BOUND = {"float64": 1e-10, "float32": 1e-4}
CHILD = Path(__file__).parent / "cuda_child.py"
EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SMALLER = {
    "logistic_regression": {"|grad| < 1e-8": "|grad| < 1e-2"},
    "mlp": {"h = 64": "h = 5", "epochs = 30": "epochs = 2", "batch = 128": "batch = 12"},
}
NAMES = tuple(SMALLER)
RNG = np.random.default_rng(5)
X = RNG.normal(size=(30, 3))
DATA = {
    "logistic_regression": {"X": X, "y": (X[:, 0] + RNG.normal(size=30) > 0).astype(float)},
    "mlp": {"X": X, "y": RNG.integers(0, 3, 30)},
}


FUNCTIONS = """model functions
dims n
data x[n]
param w init 1/2
minimize sum[i] (exp(w x[i]) + log(2 + w^2 x[i]^2) + log1p(w^2) + expm1(w x[i]) + sqrt(1 + w^2 x[i]^2) + sinh(w x[i])
  + cosh(w x[i]) + tanh(w x[i]) + arctan(w x[i]) + sigmoid(w x[i]) + softplus(w x[i]) + relu(w x[i]) + floor(w x[i])
  + |w x[i]| + sign(w x[i]) + max(w x[i], 1/3) + min(w x[i], 1/3) + [w x[i] < 1] x[i] w + [x[i] <= 1] w + [x[i] = 1] w
  + (1 + w^2 x[i]^2)^(3/2) + (2 + w x[i]^2)^(-1/3) + prod[k in 3] (1 + w x[i]/7) + (w x[i])^6)
"""
TURNED = FUNCTIONS.replace("sinh(w x[i])", "sinh(w x[i]) + sin(w x[i]) + cos(w x[i]) + tan(w x[i] / 10)")
WRITTEN = {"functions": FUNCTIONS, "turned": TURNED}
DATA |= {name: {"x": np.linspace(-2, 2, 30)} for name in WRITTEN}


def page(name: str) -> Source:
    """An example with fewer units and steps: 24 rows to train on, in the network's case batches of 12; or a page of
    every function of the language."""
    if name in WRITTEN:
        return Source(f"{name}.symml", WRITTEN[name])
    source = pipeline.read(EXAMPLES / f"{name}.symml")
    text = source.text
    for old, new in SMALLER[name].items():
        assert old in text, f"{name} no longer says {old}"
        text = text.replace(old, new)
    return Source(source.name, text)


def beginning(name: str) -> Source:
    """The first steps of any example: three of lbfgs, where the page names no optimiser, else two epochs."""
    source = pipeline.read(EXAMPLES / f"{name}.symml")
    lines = source.text.splitlines()
    known = next((k for k, line in enumerate(lines) if line.startswith("train with ")), None)
    if known is None:
        lines.append("train with lbfgs(iterations = 3)")
    elif lines[known].startswith("train with lbfgs"):
        lines[known] = "train with lbfgs(iterations = 3)"
    else:
        lines[known] = re.sub(r"epochs = \d+", "epochs = 2", lines[known])
    return Source(source.name, "\n".join(lines) + "\n")


def child(*args: object, simulated: bool = False, **kwargs: object) -> subprocess.CompletedProcess:
    """cuda_child.py, or with a module's name that, in a process of its own."""
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_ENABLE_CUDASIM"}
    env |= {"NUMBA_ENABLE_CUDASIM": "1"} if simulated else {}
    return subprocess.run(
        [sys.executable, *map(str, args)], capture_output=True, text=True, env=env, timeout=600, **kwargs
    )


def document(*args: object, simulated: bool = False) -> object:
    out = child(CHILD, *args, simulated=simulated)
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)

"""Constrained problems with known optima: pages, data, where the optimum is; shared by the tests of conditions and duals."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from check import page

from symml import pipeline
from symml.ir.evaluate import evaluate
from symml.ir.program import Dim, Program

GENO = "dims n\ndata c[n]\nparam x[n]\nminimize x' x + c' x  subject to  sum[i] x[i] = 1"
BOXED = "dims n\ndata Q[n, n] in psd, c[n]\nparam x[n]\nminimize 1/2 x' Q x + c' x  subject to  {}"
PAGES = {
    "lp_1": "param x1, x2\nminimize -4 x1 - 5 x2  subject to  2 x1 + x2 <= 3; x1 + 2 x2 <= 3; x1 >= 0; x2 >= 0",
    "lp_2": "param x1, x2\nminimize x1 + 0.5 x2  subject to  -100 <= x1 <= -10; x2 = 1",
    "qp_0": "param x\nminimize x^2  subject to  x >= 1",
    "socp_1": "param x[3], y\nminimize 3 x[0] + 2 x[1] + x[2]\n"
    "subject to  ||x|| <= y; x[0] + x[1] + 3 x[2] >= 1; y <= 5",
    "geno_free": GENO,
    "geno_lb-.2": f"{GENO}; -0.2 <= x <= 1",
    "geno_ub.5": f"{GENO}; x <= 0.5",
    "geno_qp_unc": BOXED.format("-2 <= x <= 5"),
    "geno_qp_lb-1.2": BOXED.format("-1.2 <= x <= 5"),
    "nnls": "dims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize ||X w - y||^2  subject to  w >= 0",
    "svm_dual": "dims n, d\ndata X[n, d], y[n]\nparam a[n]\n"
    "maximize sum[i] a[i] - 1/2 ||X' (a .* y)||^2  subject to  0 <= a <= 1",
    "pnorm_simplex": "dims n, d\ndata D[n, d]\nparam w[d]\n"
    "minimize (sum[i] |sum[j] D[i, j] w[j]|^(5/2))^(2/5)  subject to  w >= 0; sum[j] w[j] = 1",
}
SOLUTIONS = {"lp_1": {"x1": 1, "x2": 1}, "lp_2": {"x1": -100, "x2": 1}, "qp_0": {"x": 1}}


def cases() -> dict[str, dict]:
    """The problems from outside by their id; the test is skipped where they are absent."""
    folder = os.environ.get("SYMML_CASES")
    if not folder:
        pytest.skip("no cases from outside")
    return {c["id"]: c for c in json.loads((Path(folder) / "optima.json").read_text())}


def optimum(case: dict) -> dict[str, np.ndarray]:
    """Where the optimum of a case is, by the page's names."""
    name = case["id"]
    if name in SOLUTIONS:
        return SOLUTIONS[name]
    x = {k: np.array(v) for k, v in case["x"].items()}
    return {**x, "y": np.array(5.0)} if name == "socp_1" else x


def given(program: Program, arrays: dict) -> tuple[dict, dict]:
    """Inputs and sizes of a program from arrays by name."""
    values, dims = {}, {}
    for t in program.inputs:
        values[t] = np.asarray(arrays[t.name], float)
        dims.update({d: n for d, n in zip(t.shape, values[t].shape, strict=True) if isinstance(d, Dim)})
    return values, dims


def run(program: Program, arrays: dict) -> dict:
    """The outputs of a program by key."""
    env = evaluate(program, *given(program, arrays))
    return {key: env[t] for key, t in program.outputs.items()}


def analysed(text: str) -> pipeline.Analysis:
    return pipeline.analyse(page(text))

"""One bit pattern: the same run again, in this process and in others, whatever the hash seed and the pieces."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from runs import ADAM, CURVED, LBFGS, LOSS, run

from symml.runtime import drive

RUNS = 100


@pytest.mark.parametrize("method, loss", [(ADAM, LOSS), (LBFGS, CURVED)], ids=["adam", "lbfgs"])
def test_one_bit_pattern_over_a_hundred_runs(method, loss, monkeypatch):
    found = set()
    for k in range(RUNS):
        monkeypatch.setattr(drive, "PIECE", (0.0, 1e-5, 1e-4, 0.1)[k % 4])
        r = run(method, loss=loss)
        found.add((r.x.tobytes(), json.dumps(r.outcome["history"])))
    assert len(found) == 1
    if method == ADAM:
        assert run(method, loss=loss, seed=1).x.tobytes() != r.x.tobytes(), "the control: another seed"


CODE = "import sys, runs; sys.stdout.write(runs.run(runs.{method}, loss=runs.{loss}).x.tobytes().hex())"


@pytest.mark.parametrize("method, loss", [("ADAM", "LOSS"), ("LBFGS", "CURVED")])
def test_one_bit_pattern_over_processes(method, loss):
    here = run({"ADAM": ADAM, "LBFGS": LBFGS}[method], loss={"LOSS": LOSS, "CURVED": CURVED}[loss]).x
    for seed in ("0", "1", "77"):
        path = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        code = CODE.format(method=method, loss=loss)
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert np.frombuffer(bytes.fromhex(done.stdout)).tobytes() == here.tobytes()

"""What needs an NVIDIA GPU: the examples on their own data, launches, NVIDIA's own checkers. One command runs it all:

    python -m pytest tests/targets/test_cuda_gpu.py

Without a GPU, or in the simulator, everything here skips.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import cuda_pages
import numpy as np
import pytest
from cuda_pages import BOUND, CHILD, DTYPES, child, document

from symml import pipeline

FULL_BOUND = {"float64": 1e-7, "float32": 1e-4}  # of whole runs, in which rounding grows
MOST_LAUNCHES = 20


def has_gpu() -> bool:
    return child("-c", "from numba import cuda; print(cuda.is_available())").stdout.strip() == "True"


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif("NUMBA_ENABLE_CUDASIM" in os.environ or not has_gpu(), reason="no CUDA GPU can be used here"),
]


@pytest.fixture(scope="module")
def cpu():
    """Whole runs of the CPU in double precision."""
    pages = {n: pipeline.read(cuda_pages.EXAMPLES / f"{n}.symml") for n in cuda_pages.NAMES}
    return {n: pipeline.train(page, pipeline.Options(), {}, None) for n, page in pages.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", cuda_pages.NAMES)
def test_an_example_trains_to_the_same_answer(cpu, name, dtype):
    """And no step is launched from Python: a launch does as many steps as fit in a tenth of a second."""
    launches = []
    source = pipeline.read(cuda_pages.EXAMPLES / f"{name}.symml")
    options = pipeline.Options(target="cuda", dtype=dtype)
    fit = pipeline.train(source, options, {}, None, watch=lambda done, *_: launches.append(done))
    truth, bound = cpu[name], FULL_BOUND[dtype]
    steps = min(len(fit.outcome["history"]), len(truth.outcome["history"]))
    np.testing.assert_allclose(fit.outcome["history"][:steps], truth.outcome["history"][:steps], rtol=bound)
    np.testing.assert_allclose(fit.x, truth.x, rtol=bound, atol=bound)
    np.testing.assert_allclose(fit.predict(), truth.predict(), rtol=bound, atol=bound)
    assert fit.report == pytest.approx(truth.report, abs=1e-6)
    print(f"{name} {dtype}: {fit.outcome['steps']} steps in {len(launches)} launches, {fit.outcome['seconds']:.4f} s")
    assert len(launches) <= MOST_LAUNCHES and fit.outcome["steps"] > len(launches)


@pytest.mark.parametrize("name", cuda_pages.NAMES)
def test_the_same_run_gives_the_same_bits(name):
    source = cuda_pages.page(name)
    options = pipeline.Options(target="cuda", dtype="float32")
    one, two = (pipeline.train(source, options, cuda_pages.DATA[name], 0) for _ in range(2))
    assert np.array_equal(one.x, two.x) and one.outcome["history"] == two.outcome["history"]


@pytest.mark.parametrize("name", cuda_pages.NAMES)
def test_a_standalone_module_runs_without_symml(tmp_path, name):
    text = pipeline.emit(cuda_pages.page(name), pipeline.Options(target="cuda"))
    (tmp_path / "emitted.py").write_text(text)
    found = document("module", tmp_path / "emitted.py", name)
    fit = pipeline.train(cuda_pages.page(name), pipeline.Options(target="cuda"), cuda_pages.DATA[name], 0)
    np.testing.assert_allclose(found["x"], fit.x, rtol=BOUND["float64"], atol=BOUND["float64"])


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck"])
@pytest.mark.parametrize("name", cuda_pages.NAMES)
def test_nvidias_checkers_find_nothing(tool, name):
    checker = shutil.which("compute-sanitizer")
    if checker is None:
        pytest.skip("there is no compute-sanitizer")
    command = [checker, "--tool", tool, "--error-exitcode", "9", sys.executable, str(CHILD), "train", name, "float32"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert out.returncode == 0, out.stdout[-2000:] + out.stderr[-2000:]

"""The CUDA target as a user meets it without a GPU: fits and standalone modules in numba's simulator, one clear refusal.

Races and nodes stand in test_cuda_block.py, the compiler's PTX in test_cuda_ptx.py, what needs a GPU in test_cuda_gpu.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import cuda_pages
import numpy as np
import pytest
from check import NAMES
from cuda_pages import BOUND, DTYPES, child, document
from loops.test_agree import DATA

from symml import pipeline


@pytest.fixture(scope="module")
def cpu():
    """The CPU's fits in double precision, the truth of all others."""
    return {n: pipeline.train(cuda_pages.page(n), pipeline.Options(), cuda_pages.DATA[n], 0) for n in cuda_pages.NAMES}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", cuda_pages.NAMES)
def test_the_simulator_trains_to_what_the_cpu_trains(cpu, name, dtype):
    found, truth = document("train", name, dtype, simulated=True), cpu[name]
    bound = BOUND[dtype]
    steps = min(len(found["history"]), len(truth.outcome["history"]))
    assert steps > 1 and (dtype == "float32" or found["status"] == truth.outcome["status"])
    np.testing.assert_allclose(found["history"][:steps], truth.outcome["history"][:steps], rtol=bound)
    np.testing.assert_allclose(found["x"], truth.x, rtol=bound, atol=bound)
    np.testing.assert_allclose(found["predicted"], truth.predict(), rtol=bound, atol=bound)
    assert found["report"] == pytest.approx(truth.report, abs=1e-7)


@pytest.mark.parametrize("name", cuda_pages.NAMES)
def test_a_standalone_module_trains_in_the_simulator_without_symml(cpu, tmp_path, name):
    (tmp_path / "page.symml").write_text(cuda_pages.page(name).text)
    out = child("-m", "symml.cli", "emit", tmp_path / "page.symml", "--target", "cuda", "-o", tmp_path / "emitted.py")
    assert out.returncode == 0, out.stderr
    found = document("module", tmp_path / "emitted.py", name, simulated=True)
    np.testing.assert_allclose(found["x"], cpu[name].x, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found["predicted"], cpu[name].predict(), rtol=1e-10, atol=1e-10)
    assert found["history"][0] == pytest.approx(cpu[name].outcome["history"][0], rel=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_every_example_begins_in_the_simulator_as_on_the_cpu(name):
    """The first steps of all examples; what the target does not compute is refused with its place."""
    found = document("begin", name, simulated=True)
    if "refused" in found:
        assert found["line"] > 1 and re.search("the (CUDA target|CPU)", found["refused"]), found
        return
    truth = pipeline.train(cuda_pages.beginning(name), pipeline.Options(), DATA[name], 0)
    assert len(found["history"]) > 1
    np.testing.assert_allclose(found["history"], truth.outcome["history"], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found["x"], truth.x, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("command", ["run", "train"])
def test_without_a_gpu_one_message_says_so(tmp_path, command):
    if child("-c", "from numba import cuda; print(cuda.is_available())").stdout.strip() == "True":
        pytest.skip("there is a GPU")
    out = child("-m", "symml.cli", command, cuda_pages.EXAMPLES / "ridge.symml", "--target", "cuda", cwd=tmp_path)
    assert out.returncode == 4 and out.stdout == ""
    message, fix = out.stderr.splitlines()
    assert message.startswith("error: no CUDA") and "--target cpu" in fix and fix.startswith("  fix: ")
    assert not list(tmp_path.iterdir())


def test_only_one_module_imports_numba_cuda():
    package = Path(pipeline.__file__).parent
    texts = {p.relative_to(package).as_posix(): p.read_text() for p in package.rglob("*.py")}
    names = [
        p for p, text in texts.items() if re.search(r"^ *(from numba import .*cuda|import numba.*cuda)", text, re.M)
    ]
    assert names == ["runtime/launch_cuda.py"]

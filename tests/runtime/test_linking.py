"""Large functions of a kernel are compiled once and found by their names, in this process and in the next."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from symml.runtime.launch import load_module

LARGE = "".join(f"    for k in range(x.shape[0]):\n        s += math.sin(x[k] + {q}.0)*x[k]\n" for q in range(12))
SOURCE = f"""import math
from numba import njit


@njit(cache=True)
def small(a):
    return a + 1.0


@njit(cache=True)
def large(x):
    s = 0.0
{LARGE}    return small(s)


@njit(cache=True)
def between(x):
    return 2.0*large(x)


@njit(cache=True)
def top(x):
    return between(x) + small(x[0])
"""
CHILD = """import sys
import numpy as np
from pathlib import Path
from symml.runtime.launch import load_module
path = Path(sys.argv[1])
m = load_module(path, path.read_text())
if len(sys.argv) > 2:  # another process may have compiled the same function under another number
    m.large.py_func.__globals__["small"](1.0), m.large(np.ones(4, np.float32))
    m.large(np.ones(2))
else:
    value = m.top(np.arange(3.0))
    assert value == 2.0*m.large(np.arange(3.0)) + 1.0, "Python calls it too"
    print(repr(value), sum(m.top.stats.cache_hits.values()), sum(m.large.stats.cache_hits.values()))
"""


def child(path: Path, *more: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(path), *more], capture_output=True, text=True, check=True, timeout=300
    ).stdout


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, object]:
    folder = tmp_path_factory.mktemp("linked")
    (folder / "kernel.py").write_text(SOURCE)
    module = load_module(folder / "kernel.py", SOURCE)
    return folder / "kernel.py", module.top(np.arange(3.0)), module


def named(function: object, kind: str) -> set[str]:
    """The functions of the module that the code of one defines, or only declares."""
    (compiled,) = function.overloads.values()
    found = [f.name for f in compiled.library._final_module.functions if f.is_declaration == (kind == "declared")]
    return {part for part in ("large", "between", "small") if any(f"{len(part)}{part}" in name for name in found)}


def test_a_large_function_is_no_part_of_its_callers(kernel: tuple) -> None:
    _, value, module = kernel
    assert value == module.top.py_func(np.arange(3.0))
    assert named(module.large, "defined") == {"large"}
    assert named(module.between, "declared") == named(module.top, "declared") == {"large"}, "small ones are a part"


def test_the_next_process_finds_it(kernel: tuple) -> None:
    path, value, _ = kernel
    assert child(path).split() == [repr(value), "1", "1"]


def test_where_it_is_gone_or_another_its_caller_is_made_again(kernel: tuple) -> None:
    path, value, _ = kernel
    for file in path.parent.glob("large.*.bin"):
        file.unlink()
    child(path, "again")  # under another number
    assert child(path).split()[:2] == [repr(value), "0"], "the caller knows the name of before"
    assert child(path).split() == [repr(value), "1", "1"]

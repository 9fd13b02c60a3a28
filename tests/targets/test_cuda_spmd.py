"""An algorithm's text means the same in a block: each is run as plain Python and by threads in drawn orders, watched."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent, indent

import block
import numpy as np
import pytest

from symml.targets.numba_cuda import spmd, wrap
from symml.targets.numba_cuda.config import Config

TEXTS = {
    "sum": """
        for i in range(n):
            total += a[i] * b[i]""",
    "own place": """
        for i in range(n):
            b[i] = a[i] * 2.0
            total += b[i]""",
    "a neighbour": """
        for i in range(n - 1):
            a[i] = a[i + 1] + b[i]""",
    "a running sum": """
        for i in range(n):
            total += a[i]
            b[i] = total""",
    "from the second on": """
        for i in range(1, n):
            a[i] += a[i - 1]""",
    "backwards": """
        for i in range(n - 1, -1, -1):
            b[i] = a[i] + total
            total += b[i]""",
    "a row": """
        for k in range(2):
            for i in range(n):
                m[k, i] += a[i]
            total += m[k, 0]""",
    "scattered": """
        for i in range(n):
            b[i % 3] += a[i]""",
    "a test": """
        if a[0] > -9.0:
            a[0] = 7.0
        total = a[0]
        while total > 1.0:
            total *= 0.5
            b[1] = total""",
    "one entry": """
        a[1] = a[0] + inner(a, b)
        b[2] += 1.0
        total = a[1]""",
    "scratch": """
        s = np.zeros(n)
        for i in range(n):
            s[i] = a[i]
        s[0] = 3.0
        for i in range(n):
            total += s[i]""",
}
HEAD = """
def inner(a, b):
    t = 0.0
    for i in range(a.shape[0]):
        t += a[i] * b[i]
    return t


def work(a, b, m):
    n = a.shape[0]
    total = 0.0
"""
SHARED = {"sums": "THREADS", "parts": "THREADS", "left": "1", "right": "1", "scratch": "SCRATCH"}


def turned(text: str) -> str:
    """A module with the text's function for a block, and a kernel that calls it."""
    device, _ = spmd.definitions((Path(wrap.__file__).parent / "device.py").read_text())
    device = [n for n in device if n.name in ("lane_sum", "block_sum")]
    own, _ = spmd.definitions(text)
    names = {"exchanged", *(n.name for n in (*device, *own))}
    functions = [spmd.renamed(n, (), names) for n in device] + [spmd.block_function(n, (), names) for n in own]
    arrays = [f"    {name} = cuda.shared.array({count}, np.float64)" for name, count in SHARED.items()]
    call = f"    out[cuda.threadIdx.x] = device_work(a, b, m, ({', '.join(SHARED)}))"
    return "\n".join(
        [
            "import numpy as np",
            "real = np.float64",
            *Config().constants,
            *wrap._exchanged(),
            *(f"@cuda.jit(device=True)\n{ast.unparse(n)}" for n in functions),
            "@cuda.jit\ndef work_kernel(a, b, m, out):",
            *arrays,
            call,
        ]
    )


@pytest.mark.parametrize("name", TEXTS)
def test_an_algorithms_text_means_the_same_in_a_block(name):
    text = HEAD + indent(dedent(TEXTS[name]), "    ") + "\n    return total\n"
    rng = np.random.default_rng(4)
    arrays = rng.normal(size=19), rng.normal(size=19), rng.normal(size=(2, 19))
    plain: dict = {"np": np}
    exec(text, plain)
    module = block.load(turned(text), lambda n: rng.permutation(n).tolist())
    moved = [module.cuda.to_device(a) for a in arrays]
    out = module.cuda.to_device(np.zeros(module.THREADS))
    module.work_kernel[1, module.THREADS](*moved, out)
    total = plain["work"](*arrays)
    np.testing.assert_allclose(out.copy_to_host(), np.full(module.THREADS, total), rtol=1e-13)
    for a, d in zip(arrays, moved, strict=True):
        np.testing.assert_allclose(d.copy_to_host(), a, rtol=1e-13)


def test_a_statement_of_two_stores_is_a_bug():
    with pytest.raises(AssertionError, match="one store"):
        turned("def work(a, b, m):\n    a[0], b[0] = 1.0, 2.0\n")

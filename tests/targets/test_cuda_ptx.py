"""The PTX of every kernel for compute capability 9.0: it compiles, and passes a lint that is shown to see faults.

No driver is needed; where numba finds no libNVVM the tests skip, where there is no ptxas its part is left out.
"""

from __future__ import annotations

import cuda_pages
import ptx_lint
import pytest
from cuda_pages import child, document

from symml.targets.numba_cuda.config import Config


def needs_compiler() -> None:
    out = child("-c", "from numba.cuda.cudadrv import nvvm; print(nvvm.is_available())")
    if out.stdout.strip() != "True":
        pytest.skip("numba finds no libNVVM: install the CUDA toolkit, or set CUDA_HOME to one")


@pytest.mark.parametrize("name", cuda_pages.NAMES)
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.full)])
def test_every_kernel_compiles_for_capability_9(tmp_path, name, dtype):
    """No double precision where an f32 training walks over data, no stack, no spills, no atomics."""
    needs_compiler()
    kernels = document("ptx", name, dtype, tmp_path)
    algorithm = {"logistic_regression": "lbfgs", "mlp": "minibatch"}[name]
    assert kernels == sorted(f"{k}_kernel" for k in (algorithm, "predict", "report_0", "value_and_grad"))
    text = (tmp_path / "module.py").read_text()
    for kernel in kernels:
        path = tmp_path / f"{kernel}.ptx"
        ptx = path.read_text()
        assert ptx_lint.complaints(ptx, text if dtype == "float32" else "") == [], kernel
        assert not ptx_lint.assembled(path, Config().threads), kernel
    whole = (tmp_path / f"{algorithm}_kernel.ptx").read_text()
    assert "shfl.sync.bfly" in whole and whole.count("fma.rn.f32" if dtype == "float32" else "fma.rn.f64") > 16


@pytest.mark.parametrize("name, dtype", [("functions", "float32"), ("turned", "float64")])
def test_every_function_compiles(tmp_path, name, dtype):
    """In single precision nothing is double; sine, cosine and tangent, whose reduction is CUDA's own, stand aside."""
    needs_compiler()
    assert document("ptx", name, dtype, tmp_path, "value_and_grad_kernel") == ["value_and_grad_kernel"]
    ptx = (tmp_path / "value_and_grad_kernel.ptx").read_text()
    if dtype == "float32":
        assert ptx_lint.complaints(ptx, (tmp_path / "module.py").read_text()) == []


FAULTS = {
    "m = left[": "m = 1.0 * left[",
    "s1 = real(0)": "s1 = 0.0",
    "for p in range(4)": "for p in range(device_min(4, rows))",
    "out[i * columns + j] = scale * sums[p, q]": "cuda.atomic.add(out, i * columns + j, scale * sums[p, q])",
}


def test_the_lint_sees_each_fault(tmp_path):
    """The negative control: a double factor in the product, a double sum in a loop, a dynamic index into registers, an
    atomic."""
    needs_compiler()
    changes = [word for pair in FAULTS.items() for word in pair]
    document("ptx", "mlp", "float32", tmp_path, "predict_kernel", *changes)
    path = tmp_path / "predict_kernel.ptx"
    found = ptx_lint.complaints(path.read_text(), (tmp_path / "module.py").read_text())
    for words in ("product:", "predict:", "a thread's own memory", "an atomic"):
        assert any(line.startswith(words) for line in found), (words, found)
    if (said := ptx_lint.assembled(path, Config().threads)) is not None:
        assert any("stack" in line for line in said), said

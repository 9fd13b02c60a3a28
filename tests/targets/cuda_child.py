"""What needs a process of its own: NUMBA_ENABLE_CUDASIM is read when numba is imported.

python cuda_child.py train NAME DTYPE           one JSON document of a fit on the CUDA target
python cuda_child.py begin NAME                the first steps of any example on its small data, or why there are none
python cuda_child.py module FILE NAME           the same of a standalone module, where symml cannot be imported
python cuda_child.py ptx NAME DTYPE FOLDER      the PTX of every kernel and the module's text, as files
python cuda_child.py ptx NAME DTYPE FOLDER KERNEL [OLD NEW ...]     of one kernel, after changes of the text
"""

from __future__ import annotations

import contextlib
import json
import sys
import types
from pathlib import Path

import numpy as np

CC = (9, 0)
LINES = "device=True, lineinfo=True"


def train(name: str, dtype: str) -> dict:
    """A fit of a page with all that it reports."""
    import cuda_pages

    from symml import pipeline

    options = pipeline.Options(target="cuda", dtype=dtype)
    fit = pipeline.train(cuda_pages.page(name), options, cuda_pages.DATA[name], 0)
    predicted = np.asarray(fit.predict(), float).tolist()
    return {
        "x": fit.x.astype(float).tolist(),
        "history": fit.outcome["history"],
        "status": fit.outcome["status"],
        "report": dict(fit.report),
        "predicted": predicted,
    }


def begin(name: str) -> dict:
    """The first steps of an example; of one that the target refuses the message and its line."""
    import cuda_pages

    sys.path.append(str(Path(__file__).parent.parent))
    from loops.test_agree import DATA

    from symml import pipeline
    from symml.errors import UnsupportedError

    try:
        fit = pipeline.train(cuda_pages.beginning(name), pipeline.Options(target="cuda"), DATA[name], 0)
    except UnsupportedError as e:
        return {"refused": str(e), "line": e.span.line}
    return {"x": fit.x.tolist(), "history": fit.outcome["history"]}


def module(path: str, name: str) -> dict:
    """A standalone module's fit and predictions; symml is hidden before the module is read."""
    import cuda_pages

    data = cuda_pages.DATA[name]
    for known in [m for m in sys.modules if m == "symml" or m.startswith("symml.")]:
        del sys.modules[known]
    sys.modules["symml"] = None
    emitted = types.ModuleType("emitted")
    exec(compile(Path(path).read_text(), path, "exec"), emitted.__dict__)
    fit = emitted.fit(data)
    return {
        "x": fit["x"].astype(float).tolist(),
        "history": fit["history"],
        "predicted": np.asarray(emitted.predict(fit, {"X": data["X"]}), float).tolist(),
    }


class _Host(np.ndarray):
    """An array that stays where it is."""

    def copy_to_host(self) -> np.ndarray:
        return np.asarray(self)

    def copy_to_device(self, values: np.ndarray) -> None:
        pass


def ptx(name: str, dtype: str, folder: str, only: str = "", *changes: str) -> list[str]:
    """Every kernel of a page, compiled for the types that its launches pass; nothing is run, no driver is needed."""
    import cuda_pages
    from numba import cuda
    from numba.cuda import dispatcher

    from symml import pipeline
    from symml.runtime import launch
    from symml.runtime.bind import bind

    done: dict[str, str] = {}

    def launched(kernel: object, args: tuple) -> None:
        known = kernel.py_func.__name__
        if known not in done and only in ("", known):
            kinds = tuple(_typed(a) for a in args)
            done[known], _ = cuda.compile_ptx(kernel.py_func, kinds, cc=CC, lineinfo=True)
            (Path(folder) / f"{known}.ptx").write_text(done[known])
        args[-1][0] = 1  # a run ends as converged

    cuda.to_device = lambda a: np.ascontiguousarray(a).view(_Host)
    dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=CC)
    dispatcher.CUDADispatcher.__getitem__ = lambda kernel, shape: lambda *args: launched(kernel, args)
    text, facts = pipeline.build(cuda_pages.page(name), pipeline.Options(target="cuda", dtype=dtype))
    text = text.replace("device=True", LINES)  # PTX then says which line an instruction comes from
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, new)
    path = Path(folder) / "module.py"
    path.write_text(text)
    made = types.ModuleType("made")
    exec(compile(text, str(path), "exec"), made.__dict__)
    kernel = launch.Kernel(json.loads(json.dumps(facts)), made, dtype)
    bound = bind(kernel.manifest, cuda_pages.DATA[name], cuda_pages.EXAMPLES, dtype)
    problem = launch.problem(kernel, bound, {}, 0)
    with contextlib.suppress(launch.DivergedError):  # what a run of batches makes of such an end
        launch.train(problem)
    function = kernel.manifest["functions"]["value_and_grad"]
    sizes = {**bound.dims, "n_batch": 12}
    data = launch.data_tuple(kernel, function, bound.arrays, sizes, {})
    made.value_and_grad(problem.x, np.zeros_like(problem.x), data, launch.buffers(function, sizes))
    launch.report(kernel, problem.x, bound, {})
    if "predict" in kernel.manifest["functions"]:
        launch.predict(kernel, problem.x, bound, {})
    return sorted(done)


def _typed(value: object) -> object:
    from numba import typeof
    from numba import types as kinds

    if isinstance(value, tuple):
        return kinds.Tuple([_typed(v) for v in value])
    return typeof(np.asarray(value) if isinstance(value, np.ndarray) else value)


if __name__ == "__main__":
    print(json.dumps({"train": train, "begin": begin, "module": module, "ptx": ptx}[sys.argv[1]](*sys.argv[2:])))

"""CUDA modules in a block whose every access is watched, threads in any order: races, launches, nodes, generated pages."""

from __future__ import annotations

import json
import math

import block
import cuda_pages
import numpy as np
import pytest
import sympy
from calculus.test_every_node import NODES
from calculus.test_every_node import PAGES as NODE_PAGES
from check import page
from cuda_pages import BOUND, DTYPES
from trust import compiled, oracle
from trust.generator import text as generated

from symml import pipeline
from symml.assemble.plan import plan
from symml.errors import SymmlError, UnsupportedError
from symml.ir.evaluate import evaluate
from symml.ir.functions import absolute
from symml.ir.program import Dim, Index, Iterate, Library, Program, Statement, Tensor
from symml.loops.plan import Function, Plan
from symml.loops.schedule import schedule
from symml.runtime import drive, launch
from symml.runtime.bind import bind
from symml.source import Source
from symml.targets.numba_cuda import wrap
from symml.targets.numba_cuda.config import Config
from symml.targets.numba_cuda.supported import refuse
from symml.targets.numba_cuda.wrap import module_source

FIRST_GENERATED = 60_000
GENERATED = 40


@pytest.fixture(scope="module")
def cpu():
    """The CPU's fits in double precision, the truth of all others."""
    return {n: pipeline.train(cuda_pages.page(n), pipeline.Options(), cuda_pages.DATA[n], 0) for n in cuda_pages.NAMES}


@pytest.fixture(scope="module")
def built():
    """Source and manifest of each page and precision."""
    made = {}
    for name in cuda_pages.NAMES:
        for dtype in DTYPES:
            text, facts = pipeline.build(cuda_pages.page(name), pipeline.Options(target="cuda", dtype=dtype))
            made[name, dtype] = (text, json.loads(json.dumps(facts)))
    return made


def fit(built, name: str, dtype: str, order=None, dropped=frozenset()) -> tuple[np.ndarray, dict, block.Cuda]:
    """A page trained by a block whose accesses are watched; `order(threads)` says who runs first."""
    text, facts = built[name, dtype]
    module = block.load(text, order or (lambda n: list(range(n))), dropped)
    kernel = launch.Kernel(facts, module, dtype)
    bound = bind(facts, cuda_pages.DATA[name], cuda_pages.EXAMPLES, dtype)
    x, _ = launch.train(launch.problem(kernel, bound, {}, 0))
    found = {"predicted": launch.predict(kernel, x, bound, {}), "report": launch.report(kernel, x, bound, {})}
    return x, found, module.cuda


def gradient(kernel: launch.Kernel, values: dict) -> np.ndarray:
    """Loss and gradient at the page's start; a batch is all rows."""
    facts = kernel.manifest
    bound = bind(facts, values, cuda_pages.EXAMPLES, kernel.dtype)
    x, function = launch.problem(kernel, bound, {}, 0).x, facts["functions"]["value_and_grad"]
    g = np.zeros_like(x)
    dims = {**bound.dims, **({facts["batch"]: bound.dims[facts["row"]]} if facts["batch"] else {})}
    data = launch.data_tuple(kernel, function, bound.arrays, dims, {})
    loss = kernel.module.value_and_grad(x, g, data, launch.buffers(function, dims))
    return np.array([loss, *g])


def watched(source: Source, dtype: str = "float64") -> launch.Kernel:
    """A page's kernel in a block whose threads run in drawn orders."""
    rng = np.random.default_rng(3)
    text, facts = pipeline.build(source, pipeline.Options(target="cuda", dtype=dtype))
    module = block.load(text, lambda n: rng.permutation(n).tolist())
    return launch.Kernel(json.loads(json.dumps(facts)), module, dtype)


# races


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", cuda_pages.NAMES)
def test_no_two_threads_meet_between_barriers(built, cpu, name, dtype):
    """And so threads in any order give the same bits: in order, backwards, and drawn anew after every barrier."""
    rng = np.random.default_rng(1)
    x, found, _ = fit(built, name, dtype)
    for order in (lambda n: list(reversed(range(n))), lambda n: rng.permutation(n).tolist()):
        again, other, _ = fit(built, name, dtype, order)
        assert np.array_equal(x, again) and found["report"] == other["report"]
        assert np.array_equal(found["predicted"], other["predicted"])
    np.testing.assert_allclose(x, cpu[name].x, rtol=BOUND[dtype], atol=BOUND[dtype])


@pytest.mark.parametrize("name, least", [("logistic_regression", 5), ("mlp", 8)])
def test_missing_barriers_are_seen(built, name, least):
    """The negative control: without one of its barriers (every second is tried), a module is caught. Some barriers are
    there for any page and not needed on this one."""
    text, _ = built[name, "float64"]
    seen = 0
    for line in block.barriers(text)[::2]:
        try:
            fit(built, name, "float64", dropped=frozenset([line]))
        except block.RaceError:
            seen += 1
    assert seen >= least


def test_a_race_is_seen_in_any_order():
    """Threads that add into one entry, and a barrier that some threads miss."""
    head = "@cuda.jit\ndef k_kernel(a):\n    thread = cuda.threadIdx.x\n"
    add = block.load(head + "    a[0] += thread\n")
    with pytest.raises(block.RaceError, match="write"):
        add.k_kernel[1, 4](add.cuda.to_device(np.zeros(1)))
    some = block.load(head + "    if thread > 0:\n        cuda.syncthreads()\n")
    with pytest.raises(block.RaceError, match="different barriers"):
        some.k_kernel[1, 4](some.cuda.to_device(np.zeros(1)))
    own = block.load(head + "    a[thread] = thread\n    cuda.syncthreads()\n    a[thread] += a[0] * 0\n")
    with pytest.raises(block.RaceError, match="read"):
        own.k_kernel[1, 4](own.cuda.to_device(np.zeros(4)))


@pytest.mark.parametrize("name", cuda_pages.NAMES)
def test_a_launch_does_many_steps(built, cpu, monkeypatch, name):
    """A run is cut by time alone: a launch that compiles, one of one step, one of the rest; predict and report follow."""
    monkeypatch.setattr(drive, "PIECE", math.inf)
    x, _, cuda = fit(built, name, "float64")
    assert cuda.launches == 3 + 2
    monkeypatch.setattr(drive, "PIECE", 0.0)
    again, _, cuda = fit(built, name, "float64")
    assert cuda.launches == 1 + cpu[name].outcome["steps"] + 2
    assert np.array_equal(x, again), "the cuts of a run change its bits"


def test_generated_pages_give_the_interpreters_gradients():
    """value_and_grad of generated pages, every access watched, threads in drawn orders, over several tiles of rows."""
    rng = np.random.default_rng(2)
    wrong, done, seed = [], 0, FIRST_GENERATED
    while done < GENERATED:
        seed += 1
        try:
            a = pipeline.analyse(Source("page.symml", generated(seed)))
        except SymmlError:
            continue
        case = oracle.case(a, seed, rows=(5, 17, 40)[seed % 3], entries=1)
        text, facts, made = compiled.printed(case, lambda plan, _: module_source(plan, Config(tile=16)))
        module = block.load(text, lambda n: rng.permutation(n).tolist())
        wrong += compiled.differing(case, compiled.called(module.value_and_grad, case, facts, made))
        done += 1
    assert wrong == []


# values


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_function_has_its_value(dtype):
    source = cuda_pages.page("turned")
    reference, _ = pipeline.kernel(source, pipeline.Options(target="reference"))
    data = cuda_pages.DATA["turned"]
    found, truth = gradient(watched(source, dtype), data), gradient(reference, data)
    np.testing.assert_allclose(found, truth, rtol={"float64": 1e-13, "float32": 1e-5}[dtype])


# nodes


@pytest.mark.parametrize("name", NODE_PAGES)
def test_every_node_is_computed_or_refused_with_its_place(name):
    body, data = NODE_PAGES[name]
    source = page(body)
    if NODES.get(name) is Library or "noise" in name:
        with pytest.raises(UnsupportedError, match="CUDA") as caught:
            watched(source)
        assert caught.value.span.line > 1 and caught.value.fix == "--target cpu"
        return
    reference, _ = pipeline.kernel(source, pipeline.Options(target="reference"))
    np.testing.assert_allclose(gradient(watched(source), data), gradient(reference, data), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["rnn", "graph"])
def test_pages_whose_rows_need_each_other_train(name):
    body, data = NODE_PAGES[name]
    source = page(body)
    truth = pipeline.train(source, pipeline.Options(target="reference"), data, 0)
    kernel = watched(source)
    x, outcome = launch.train(
        launch.problem(kernel, bind(kernel.manifest, data, cuda_pages.EXAMPLES, "float64"), {}, 0)
    )
    assert "descent_kernel" in vars(kernel.module) and outcome["steps"] == 25
    np.testing.assert_allclose(x, truth.x, rtol=1e-9, atol=1e-11)


def fixed_point(most: int) -> Program:
    """x = 1/2 cos(x) + b from x = 0, until the largest move is small; loss = sum x."""
    n = Dim("n")
    b, zero, x, new, gap, loss = (
        Tensor(name, shape, kind)
        for name, shape, kind in (
            ("b", (n,), "data"),
            ("zero", (n,), "temp"),
            ("x", (n,), "temp"),
            ("new", (n,), "temp"),
            ("gap", (), "temp"),
            ("loss", (), "temp"),
        )
    )
    i, j, k, m = (Index(letter, n) for letter in "ijkm")
    inside = (
        Statement(new, (i,), "=", "none", (i,), sympy.cos(x[i]) / 2 + b[i]),
        Statement(gap, (), "=", "max", (j,), absolute(new[j] - x[j])),
    )
    nodes = (
        Statement(zero, (m,), "=", "none", (m,), sympy.Integer(0)),
        Iterate(((x, zero, new),), inside, gap, 1e-9, most),
        Statement(loss, (), "=", "sum", (k,), x[k]),
    )
    return Program((b,), nodes, {"loss": loss})


@pytest.mark.parametrize("most", [3, 200])
def test_a_fixed_point_stops_in_all_threads_at_once(most):
    program = fixed_point(most)
    (b,), (n,) = program.inputs, program.inputs[0].shape
    values, dims = {b: np.linspace(-1, 1, 19)}, {n: 19}
    made = Plan((), (), (n,), (Function("value_and_grad", "value", schedule(program), "loss"),), (), "")
    text, functions = module_source(made, Config())
    sizes = {"n": 19}
    work = launch.buffers(functions["value_and_grad"], sizes)
    found = block.load(text).value_and_grad(np.zeros(0), (np.array([19]), np.zeros(0), values[b]), work)
    assert found == pytest.approx(
        float(evaluate(program, values, dims)[program.outputs["loss"]]), rel=1e-12, nan_ok=True
    )


def test_what_has_no_cuda_text_is_refused_with_its_place():
    """A function and an algorithm that the target lacks; the examples' own plans are taken."""
    a = pipeline.analyse(cuda_pages.page("logistic_regression"))
    made = plan(a)
    refuse(made, 64, wrap.ALGORITHMS, wrap._functions())
    with pytest.raises(UnsupportedError, match=r"'(abs|log|sig|soft)") as caught:
        refuse(made, 64, wrap.ALGORITHMS, frozenset())
    assert caught.value.span.line > 1 and caught.value.fix == "--target cpu"
    with pytest.raises(UnsupportedError, match="'lbfgs'"):
        refuse(made, 64, ("minibatch",), wrap._functions())


def test_a_memory_beyond_the_block_is_refused():
    text = "model m\ndims n\ndata x[n]\nparam w\nminimize sum[i] exp(w x[i])\ntrain with lbfgs(memory = {})"
    with pytest.raises(UnsupportedError, match="2048 pairs"):
        pipeline.build(Source("p", text.format(3000)), pipeline.Options(target="cuda"))
    built, _ = pipeline.build(Source("p", text.format(100)), pipeline.Options(target="cuda"))
    assert "SCRATCH = 100" in built


# runs that are cut or diverge


STEEP = """dims n
data x[n], y[n]
param w init 1
minimize 1/n sum[i] (exp(w x[i]) - y[i])^2
train with sgd(lr = 3, batch = 5, epochs = 40)"""


def test_a_run_that_diverges_ends_with_its_last_finite_numbers():
    rng = np.random.default_rng(6)
    data = {"x": rng.normal(size=15), "y": rng.normal(size=15)}
    reference, _ = pipeline.kernel(page(STEEP), pipeline.Options(target="reference"))
    ends = []
    for kernel in (reference, watched(page(STEEP))):
        bound = bind(kernel.manifest, data, cuda_pages.EXAMPLES, "float64")
        with pytest.raises(launch.DivergedError) as caught:
            launch.train(launch.problem(kernel, bound, {}, 0))
        ends.append((caught.value.step, caught.value.x))
    assert ends[0][0] == ends[1][0] > 0 and np.isfinite(ends[1][1]).all()
    np.testing.assert_allclose(ends[0][1], ends[1][1], rtol=1e-9)


@pytest.mark.parametrize("name", cuda_pages.NAMES)
def test_a_run_goes_on_from_kept_arrays_to_the_same_bits(built, monkeypatch, name):
    monkeypatch.setattr(drive, "PIECE", 0.0)
    text, facts = built[name, "float64"]
    kernel = launch.Kernel(facts, block.load(text), "float64")
    bound = bind(facts, cuda_pages.DATA[name], cuda_pages.EXAMPLES, "float64")
    kept: list[dict] = []

    def keep(run: dict) -> None:
        kept.append({k: np.array(a) for k, a in run.items()})

    whole, _ = launch.train(launch.problem(kernel, bound, {}, 0), between=keep)
    assert len(kept) > 3
    again, _ = launch.train(launch.problem(kernel, bound, {}, 0), saved=kept[2])
    assert np.array_equal(whole, again)

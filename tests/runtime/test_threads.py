"""Sums over many rows: chunks that depend on the sizes alone, so that any number of threads gives the same bits."""

import os
import threading
from dataclasses import replace

import numpy as np
import pytest
from check import page, standalone

import symml
from symml import pipeline
from symml.errors import SpecError
from symml.runtime import crew_loops, launch
from symml.runtime.chunks import LARGE_PASS, chunk_limit
from symml.runtime.crew import Crew, usable_threads
from symml.targets.numba_cpu import calls

PAGE = """dims n, d, c
data X[n, d], y[n] in {0, 1}, k[n] in c
param w[d], a[c], b
hyper lam > 0 = 1e-2
z = X w
minimize over w, a, b
  1/n sum[i] (softplus(z[i] + a[k[i]] + b) - y[i] (z[i] + a[k[i]])) + lam/2 ||w||^2 + lam/2 ||a||^2
train with lbfgs until |grad| < 1e-7
"""
N, D, C = 3001, 200, 5
RNG = np.random.default_rng(0)
DATA = {
    "X": RNG.normal(size=(N, D)) * np.exp(RNG.normal(size=D)),
    "y": RNG.integers(0, 2, N).astype(float),
    "k": RNG.permutation(np.arange(N) % C),
}


def prepared(target="cpu", data=DATA, **options):
    kernel, _, bound, _ = pipeline.prepared(page(PAGE), pipeline.Options(target=target, **options), data, 0)
    return kernel, bound


def passes(kernel, bound, times=1, limit=None):
    """The bits of loss and gradient in repeated passes, and the last of them; `limit` cuts in other chunks."""
    x, found = np.linspace(-0.3, 0.3, D + C + 1), set()
    with Crew(kernel) as crew:
        data, work = launch.arguments(crew, "value_and_grad", bound.arrays, bound.dims, {})
        if limit is not None:
            more = len(kernel.manifest["functions"]["value_and_grad"]["work"])
            parts = [np.zeros((limit, *a.shape[1:])) for a in work[more:-3]]
            work = (*work[:more], *parts, *work[-3:])
        for _ in range(times):
            g = np.zeros_like(x)
            value = kernel.module.value_and_grad(x, g, data, work)
            found.add((float(value), g.tobytes()))
        assert crew.threads == min(
            kernel.threads, chunk_limit(kernel.manifest["functions"]["value_and_grad"]["chunks"], bound.dims)
        )
    return found, value, g


@pytest.fixture(scope="module")
def large():
    return prepared(threads=1)


def test_any_number_of_threads_gives_the_same_bits(large):
    kernel, bound = large
    found = [passes(replace(kernel, threads=t), bound, 100)[0] for t in (1, 2, 4)]
    assert len(set.union(*found)) == 1


def test_chunks_that_depend_on_the_threads_would_not(large):
    kernel, bound = large
    found = [passes(kernel, bound, 1, limit=t)[0] for t in (1, 2, 4)]
    assert len(set.union(*found)) == 3


def test_the_interpreter_adds_up_in_the_same_chunks(large):
    kernel, bound = large
    _, value, g = passes(kernel, bound)
    reference, again = prepared("reference", threads=1)
    _, told, slope = passes(reference, again)
    assert abs(told - value) < 1e-13 * abs(value) and np.abs(slope - g).max() < 1e-13 * np.abs(g).max()
    with Crew(reference) as crew:
        data, work = launch.arguments(crew, "value_and_grad", again.arrays, again.dims, {})
        whole = np.zeros_like(g)
        own = work[: len(reference.manifest["functions"]["value_and_grad"]["work"])]  # without the places of chunks
        reference.module.value_and_grad(np.linspace(-0.3, 0.3, D + C + 1), whole, data, own)
    assert not np.array_equal(whole, slope), "one chunk gives the bits of many: the interpreter does not cut"
    assert np.abs(whole - slope).max() < 1e-13 * np.abs(g).max()


def test_fits_agree_to_the_bit(large):
    kernel, bound = large
    fits = [launch.train(launch.problem(replace(kernel, threads=t), bound, {}, 0)) for t in (1, 2, 4)]
    assert [outcome["threads"] for _, outcome in fits] == [1, 2, 4]
    assert all(np.array_equal(fits[0][0], x) and fits[0][1]["history"] == o["history"] for x, o in fits)


def test_a_standalone_module_holds_the_kernel_of_large_data():
    kernel, _ = pipeline.build(page(PAGE), pipeline.Options(chunks=True))
    told, plain = symml.parse(PAGE).emit(large=True), symml.parse(PAGE).emit()
    assert kernel.removeprefix("import math").strip() in told and "run_chunks" not in plain
    assert "added up in chunks" in told and "--large emits the order of large data" in plain


STAGES = """dims n, d
data X[n, d], weight v[n] > 0
param w[d]
m[j] = mean[i] X[i, j]
minimize 1/n sum[i] softplus(sum[j] (X[i, j] - m[j]) w[j]) + sum[j] w[j]^2
"""


def test_a_pass_that_reads_the_sums_of_an_earlier_one():
    """The total of the weights is a number, the means are an array; both are sums of chunks themselves."""
    data, found = {"X": DATA["X"], "v": RNG.random(N) + 0.5}, []
    for target in ("reference", "cpu"):
        kernel, _, bound, _ = pipeline.prepared(page(STAGES), pipeline.Options(target=target, threads=2), data, 0)
        assert kernel.manifest["functions"]["value_and_grad"]["chunks"]["regions"] == 2
        with Crew(kernel) as crew:
            given, g = launch.arguments(crew, "value_and_grad", bound.arrays, bound.dims, {}), np.zeros(D)
            found.append((kernel.module.value_and_grad(np.linspace(-0.3, 0.3, D), g, *given), g))
            assert crew.threads == (2 if target == "cpu" else 1)
    (told, slope), (value, g) = found
    assert abs(told - value) < 1e-13 * abs(value) and np.abs(slope - g).max() < 1e-13 * np.abs(g).max()


@pytest.mark.full
def test_a_standalone_module_agrees_to_the_bit(large):
    kernel, bound = large
    module = standalone(pipeline.emit(page(PAGE), pipeline.Options(chunks=True)))
    assert np.array_equal(module.fit(DATA)["x"], launch.train(launch.problem(kernel, bound, {}, 0))[0])


def test_a_fork_and_fits_side_by_side_do_not_disturb_each_other(large):
    kernel, bound = large
    kernel = replace(kernel, threads=3)
    (expected,) = passes(kernel, bound)[0]
    found = []
    sides = [threading.Thread(target=lambda: found.append(passes(kernel, bound, 30)[0])) for _ in range(2)]
    for side in sides:
        side.start()
    for side in sides:
        side.join(60)
    assert found == [{expected}, {expected}]
    x = np.linspace(-0.3, 0.3, D + C + 1)
    with Crew(kernel) as crew:
        data, work = launch.arguments(crew, "value_and_grad", bound.arrays, bound.dims, {})
        child = os.fork()
        g = np.zeros_like(x)
        value = kernel.module.value_and_grad(x, g, data, work)
        if child == 0:
            os._exit(0 if (float(value), g.tobytes()) == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and (float(value), g.tobytes()) == expected


def test_helpers_are_gone_after_an_interrupt(large):
    kernel, bound = large
    before = threading.active_count()

    def stop(done, total, loss, gradient):
        assert threading.active_count() == before + 2
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch.train(launch.problem(replace(kernel, threads=3), bound, {}, 0), stop)
    assert threading.active_count() == before


def test_small_data_meet_the_plain_kernel():
    kernel, bound = prepared(data={name: a[:300] for name, a in DATA.items()}, threads=4)
    chunks = kernel.manifest["functions"]["value_and_grad"]["chunks"]
    assert kernel.threads == 1 and not hasattr(kernel.module, "run_chunks")
    assert chunk_limit(chunks, bound.dims) == 1 < chunk_limit(chunks, {**bound.dims, "n": LARGE_PASS})
    with Crew(replace(kernel, threads=4)) as crew:
        _, work = launch.arguments(crew, "value_and_grad", bound.arrays, bound.dims, {})
        assert crew.threads == 1 and len(work) == len(kernel.manifest["functions"]["value_and_grad"]["work"])


def test_the_words_of_a_crew_are_the_same_for_all_who_read_them():
    from symml.runtime import chunks, crew

    assert [calls.HELPERS, calls.JOB, calls.ARGS] == [crew_loops.HELPERS, crew_loops.JOB, crew_loops.ARGS]
    assert calls.RUN == crew.RUN and calls.JOBS == chunks.CREW_JOBS
    assert (chunks.CREW_SEATS, chunks.CREW_SEAT) == (crew_loops.SEATS, crew_loops.SEAT)


def test_how_many_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert usable_threads() == 1
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert usable_threads() == len(os.sched_getaffinity(0))
    with pytest.raises(SpecError, match="0 threads do nothing"):
        pipeline.Options(threads=0)

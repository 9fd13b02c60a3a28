"""A plain kernel gives the first result while the tuned one is compiled behind it: what is told, what agrees, what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from symml import first, pipeline
from symml.assemble.plan import plan
from symml.ir import evaluate
from symml.loops.work import work
from symml.runtime import behind, cache
from symml.source import Source

ROOT = Path(__file__).parent.parent.parent
PAGE = """model small
dims n, d
data X[n, d] from "x.csv", y[n] from "y.csv" label "y0"
param w[d] init 0
minimize over w
  mean[i] (sum[j] (X[i, j] w[j]) - y[i])^2
train with adam(lr = 0.05, epochs = {epochs}, batch = 8)
predict X w
report fit = mean[i] (sum[j] (X[i, j] w[j]) - y[i])^2
"""
ROWS, COLUMNS = 40, 3


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with data, an empty cache, and plain kernels switched on."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, COLUMNS))
    for name, rows in (("x", x), ("y", x @ [1.0, -2.0, 0.5])):
        text = "\n".join(",".join(map(repr, np.atleast_1d(r).tolist())) for r in rows)
        columns = len(np.atleast_1d(rows[0]))
        (tmp_path / f"{name}.csv").write_text(",".join(f"{name}{k}" for k in range(columns)) + f"\n{text}\n")
    monkeypatch.setenv("SYMML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SYMML_PLAIN", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The cache of two tests, so that they compile once."""
    return tmp_path_factory.mktemp("shared") / "cache"


def page(place: Path, epochs: int = 4) -> Source:
    path = place / "small.symml"
    path.write_text(PAGE.format(epochs=epochs))
    return pipeline.read(path)


OPTIONS = pipeline.Options(plain=True)


def command(place: Path) -> list[str]:
    return [sys.executable, "-m", "symml.cli", "train", str(place / "small.symml"), "--json"]


def entry(folder: Path) -> Path:
    """The one entry of a cache."""
    (found,) = [p for p in folder.iterdir() if p.is_dir()]
    return found


def until(seen, seconds: float = 60.0):
    """What `seen` returns once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = seen()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("nothing was seen in time")


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def clean(folder: Path) -> bool:
    """Nothing but whole files is left, and nobody at work."""
    hidden = [p.name for p in folder.iterdir() if p.name.startswith(".")]
    return not hidden and not (folder / behind.MARK).exists()


def test_the_tuned_kernel_follows_behind_the_first_result(place, shared, monkeypatch):
    monkeypatch.setenv("SYMML_CACHE", str(shared))
    page(place)
    out = subprocess.run(command(place), capture_output=True, text=True, check=True).stdout
    plain = json.loads(out)
    assert plain["kernel"] == "plain"
    until(lambda: cache.holds(entry(shared), "minibatch") and clean(entry(shared)))
    compiled = sorted(p.name for p in entry(shared).glob("*.bin"))
    tuned = json.loads(subprocess.run(command(place), capture_output=True, text=True, check=True).stdout)
    assert tuned["kernel"] == "tuned"
    assert sorted(p.name for p in entry(shared).glob("*.bin")) == compiled, "not all was compiled behind"
    assert np.allclose(plain["params"]["w"], tuned["params"]["w"], rtol=1e-10, atol=1e-12)
    assert np.isclose(plain["report"]["fit"], tuned["report"]["fit"], rtol=1e-10)


class Ready:
    """Stands for a process that is done after some looks at it."""

    def __init__(self, looks: int) -> None:
        self.looks, self.stopped = looks, False

    def check(self) -> None:
        self.looks -= 1
        if self.looks == 0:
            raise behind.Overtaken

    def stop(self) -> None:
        self.stopped = True


def test_a_fit_is_one_kernels_from_its_first_step_to_its_last(place, shared, monkeypatch):
    monkeypatch.setenv("SYMML_CACHE", str(shared))
    source = page(place)
    tuned = pipeline.train(source, pipeline.Options(), {}, None)
    monkeypatch.setattr(cache, "holds", lambda *_: False)
    for looks in (1, 7, 20):
        monkeypatch.setattr(behind, "start", lambda *_, n=looks: Ready(n))
        found = pipeline.train(source, OPTIONS, {}, None)
        assert found.kernel_name == "tuned" and found.x.tobytes() == tuned.x.tobytes()
    ready = Ready(21)  # five batches in each of four epochs, then the report
    monkeypatch.setattr(behind, "start", lambda *_: ready)
    assert pipeline.train(source, OPTIONS, {}, None).kernel_name == "tuned"
    ready = Ready(22)
    found = pipeline.train(source, OPTIONS, {}, None)
    assert found.kernel_name == "plain" and found.predict().shape == (ROWS,), "a prediction is never given up"
    assert not ready.stopped


def test_an_interrupt_ends_the_process_too(place, monkeypatch):
    ready = Ready(-1)
    monkeypatch.setattr(behind, "start", lambda *_: ready)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.train(page(place), OPTIONS, {}, None, stop)
    assert ready.stopped


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_where_the_run_is_ended(place, how):
    page(place, epochs=1_000_000)
    run = subprocess.Popen(command(place), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        mark = until(lambda: next((place / "cache").glob(f"*/{behind.MARK}"), None))
        pid = int(until(mark.read_text))
        time.sleep(0.5)
        assert alive(pid)
        run.send_signal(how)
        assert run.wait(10) == (130 if how == signal.SIGINT else -signal.SIGKILL)
    finally:
        run.kill()
        run.wait()
    until(lambda: not alive(pid), 10)
    assert clean(entry(place / "cache"))


def cold(source: Source, options: pipeline.Options = OPTIONS, keeping: pipeline.Keeping | None = None):
    return pipeline._cold(source, options, keeping)


def test_who_waits_for_the_tuned_kernel(place, monkeypatch):
    source = page(place)
    assert cold(source) is not None
    for other in ({"plain": False}, {"dtype": "float32"}, {"target": "reference"}, {"boundscheck": True}):
        assert cold(source, pipeline.Options(**{"plain": True, **other})) is None
    assert cold(source, OPTIONS, pipeline.keeping_of(place / "kept", None)) is None
    monkeypatch.setattr(first, "LONG", 1e9)
    assert cold(source) is None
    monkeypatch.undo()
    monkeypatch.setenv("SYMML_CACHE", str(place / "cache"))
    monkeypatch.setenv("SYMML_PLAIN", "0")
    assert cold(source) is None


def test_what_failed_or_cannot_be_written_is_not_tried_behind_again(place, monkeypatch):
    source = page(place)
    assert cold(source) is not None
    folder = entry(place / "cache")
    (folder / behind.MARK).write_text("1")
    assert cold(source) is None, "nobody holds the lock: the compiler failed"
    with cache.locked(folder, behind.MARK):
        assert cold(source) is not None, "somebody compiles it now"
    (folder / behind.MARK).unlink()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert cold(source) is None


def test_a_failing_process_leaves_the_plain_result_and_its_mark(place, monkeypatch):
    monkeypatch.setenv("SYMML_PLAIN", "1")
    started = []
    begin = behind.start

    def failing(folder, dtype, bound, hypers, seed):
        started.append(begin(folder, "no dtype", bound, hypers, seed))
        return started[0]

    monkeypatch.setattr(behind, "start", failing)
    found = pipeline.train(page(place), OPTIONS, {}, None)
    assert found.kernel_name == "plain"
    assert started[0].process.wait(60) != 0
    assert (entry(place / "cache") / behind.MARK).exists() and cold(page(place)) is None


def test_a_step_that_takes_long_is_not_begun_plainly(place):
    waiting = cold(page(place))
    _, bound = pipeline._bound(waiting.manifest, page(place), OPTIONS, {}, None)[::-1]
    assert waiting.is_light(bound)
    wide = {**bound.dims, "d": 2_000_000}
    assert not waiting.is_light(type(bound)(**{**vars(bound), "dims": wide}))


def test_data_of_another_kernel_ask_for_no_plan(place, monkeypatch):
    """Large data and many unknowns have a kernel of their own, which may be compiled: a warm run analyses nothing."""
    cold(page(place))
    monkeypatch.setattr(pipeline, "assembled", lambda *given: pytest.fail("the page was analysed"))
    waiting = cold(page(place))
    _, bound = pipeline._bound(waiting.manifest, page(place), OPTIONS, {}, None)[::-1]
    for decides in ("is_large", "is_wide"):
        with monkeypatch.context() as patch:
            patch.setattr(first, decides, lambda m, dims: True)
            assert waiting.result(bound, {}, 0, pytest.fail) is None
    with pytest.raises(pytest.fail.Exception, match="analysed"):
        waiting.is_light(bound)


@pytest.mark.parametrize("name", ["logistic_regression", "hmm", "mlp"])
def test_work_counts_the_statements_of_an_interpretation(name, monkeypatch):
    analysis = pipeline.analyse(pipeline.read(ROOT / "examples" / f"{name}.symml"))
    made, ran = plan(analysis), []
    real = evaluate._statement
    monkeypatch.setattr(evaluate, "_statement", lambda s, *rest: (ran.append(s), real(s, *rest)))
    from symml.loops.evaluate import evaluate as interpreted

    dims = {d: 70 if d == made.row else 3 for d in made.dims}
    program = made.function("value_and_grad").program
    values = {
        t: np.zeros([evaluate.extent(n, dims) for n in t.shape], np.int64 if t.integer else np.float64)
        for t in program.inputs
    }
    with np.errstate(all="ignore"):
        interpreted(program, values, dims)
    assert work(program, dims).statements == len(ran) > 0

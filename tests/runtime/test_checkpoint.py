"""Checkpoints: two kept and whole whatever happens, a run that goes on ends on the same bits, another run is refused."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
from runs import ADAM, CURVED, HEAD, LBFGS, LOSS, X, Y, interrupting, run

from symml import api, pipeline
from symml.errors import DataError, FileError, SpecError
from symml.runtime import checkpoint, drive, launch
from symml.runtime.bind import bind
from symml.source import Source

POINTS = 200


def state(number):
    return {"x": np.full(2000, float(number)), "g": np.arange(3.0), "status": np.zeros(1, np.int64)}


# files


def test_two_are_kept_and_the_newest_is_read(tmp_path):
    for number in range(1, 6):
        assert checkpoint.write(tmp_path, state(number), {"page": "p"}) == number
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"0000000{n}.{e}" for n in (4, 5) for e in ("json", "npz")]
    found = checkpoint.newest(tmp_path)
    assert (found.number, found.arrays["x"][0], found.facts) == (5, 5.0, {"page": "p"})


DAMAGE = {
    "cut arrays": ("npz", lambda b: b[: len(b) // 2]),
    "no arrays": ("npz", lambda b: b""),
    "a flipped bit": ("npz", lambda b: b[:300] + bytes([b[300] ^ 1]) + b[301:]),
    "cut facts": ("json", lambda b: b[:-3]),
    "facts of another kind": ("json", lambda b: b"[1, 2]"),
    "facts without a sum": ("json", lambda b: b"{}"),
    "facts that are no text": ("json", lambda b: b"\xff\xfe"),
    "deep facts": ("json", lambda b: b"[" * 100_000),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_one_leaves_the_one_before(tmp_path, kind):
    ending, damage = DAMAGE[kind]
    for number in (1, 2):
        checkpoint.write(tmp_path, state(number), {})
    path = tmp_path / f"00000002.{ending}"
    path.write_bytes(damage(path.read_bytes()))
    assert checkpoint.newest(tmp_path).arrays["x"][0] == 1.0
    path = tmp_path / f"00000001.{ending}"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileError, match="can be read"):
        checkpoint.newest(tmp_path)


def test_arrays_are_no_pickles(tmp_path):
    """An object array under a right sum is refused, not executed."""
    import hashlib

    checkpoint.write(tmp_path, state(1), {})
    np.savez(tmp_path / "00000001.npz", x=np.array([print], dtype=object))
    digest = hashlib.sha256((tmp_path / "00000001.npz").read_bytes()).hexdigest()
    (tmp_path / "00000001.json").write_text(json.dumps({"npz_sha256": digest}))
    with pytest.raises(FileError, match="can be read"):
        checkpoint.newest(tmp_path)


def test_no_folder_no_checkpoint(tmp_path):
    with pytest.raises(FileError, match="holds no checkpoint"):
        checkpoint.newest(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot make the folder"):
        checkpoint.write(tmp_path / "file", state(1), {})


# Kills. The helper forks a writer, kills it at a random time and looks; `atomic` writes as symml does, `over` as one must not.
KILLS = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from symml.errors import FileError
from symml.runtime import checkpoint

folder, kind, kills = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
rng, before, unreadable, back, stale = random.Random(5), 0, 0, 0, 0

def state(number):
    return {"x": np.full(20_000, float(number)), "number": np.array([number]), "status": np.zeros(1)}

def write(number):
    if kind == "atomic":
        checkpoint.write(folder, state(number), {"number": number})
    else:
        np.savez(folder / "over.npz", **state(number))

def read():
    if kind == "atomic":
        found = checkpoint.newest(folder)
        assert found.facts["number"] == found.arrays["number"][0] == found.arrays["x"][-1]
        return found.facts["number"]
    with np.load(folder / "over.npz") as arrays:
        return int(arrays["x"][-1])

write(1)
before = 1
for kill in range(kills):
    child = os.fork()
    if child == 0:
        for number in range(before + 1, 10**9):
            write(number)
    time.sleep(rng.uniform(0.0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        number = read()
        back += number < before
        before = max(before, number)
    except Exception:
        unreadable += 1
if kind == "atomic":
    checkpoint.sweep(folder)
    stale = len(list(folder.iterdir())) - 2 * len(checkpoint.numbers(folder))
print(unreadable, back, before, stale)
"""


def kills(folder, kind, count):
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(folder), kind, str(count)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return map(int, done.stdout.split())


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_kill_at_200_random_times(tmp_path):
    unreadable, back, written, stale = kills(tmp_path, "atomic", 200)
    assert (unreadable, back, stale) == (0, 0, 0)
    assert written > 100, "the writers were killed before they wrote"


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_kill_finds_a_writer_that_is_not_atomic(tmp_path):
    unreadable, _, _, _ = kills(tmp_path, "over", 60)
    assert unreadable > 0


# going on


RUNS = {
    "adam": (ADAM, LOSS, HEAD),
    "nesterov, two parts": (
        "split n into train 0.7, valid 0.3\ntrain with nesterov(lr = 0.01, batch = 7, epochs = 60) until stalled(valid) >= 4",
        LOSS,
        HEAD,
    ),
    "lbfgs": (LBFGS, CURVED, HEAD),
}


def problem(name):
    method, loss, head = RUNS[name]
    source = Source("page.symml", f"model m\n{head}{loss}{method}")
    kernel, _ = pipeline.kernel(source, pipeline.Options())
    bound = bind(kernel.manifest, {"X": X, "y": np.sign(Y) if loss == CURVED else Y}, None, "float64")
    return lambda: launch.problem(kernel, bound, {}, 0)


def bits(p, **how):
    x, outcome = launch.train(p, **how)
    told = {k: v for k, v in outcome.items() if "seconds" not in k}
    return x.tobytes(), json.dumps(told)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_goes_on_to_the_same_bits(tmp_path, monkeypatch, name):
    """Interrupted by a SIGINT at a random piece and step, kept, read and gone on with: 200 times each."""
    make, rng = problem(name), random.Random(8)
    whole = bits(make())
    monkeypatch.setattr(drive, "PIECE", 0.0)
    count = interrupting(-1)
    assert bits(make(), watch=count) == whole, "cutting a run into single steps changes it"
    stopped = 0
    for point in range(POINTS):
        folder = tmp_path / str(point)
        monkeypatch.setattr(drive, "longer", lambda pieces, seconds: rng.choice((1, 1, 1, 2, 3, 7)))
        try:
            with checkpoint.Keeper(folder, 1e9, {}) as keep:
                assert bits(make(), watch=interrupting(rng.randint(1, count.calls[0])), between=keep) == whole
        except KeyboardInterrupt:
            stopped += 1
        saved = checkpoint.newest(folder).arrays
        assert bits(make(), saved=saved) == whole
    assert stopped > POINTS / 4
    other = {**saved, "x": saved["x"] + 1e-9}
    other["status"] = np.zeros(1, np.int64)
    other["counters"] = np.zeros_like(saved["counters"])
    assert bits(make(), saved=other) != whole, "the control: another state ends on other bits"


def test_interrupted_and_resumed_from_outside(tmp_path, monkeypatch):
    monkeypatch.setattr(drive, "PIECE", 0.0)
    whole = run()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"go on with --resume .*ck"):
        run(keeping=pipeline.keeping_of(tmp_path / "ck", None), watch=interrupting(30))
    assert signal.getsignal(signal.SIGINT) is before
    assert 0 < checkpoint.newest(tmp_path / "ck").arrays["counters"][0] < 90
    again = run(keeping=pipeline.keeping_of(None, tmp_path / "ck"))
    assert again.x.tobytes() == whole.x.tobytes() and again.outcome["history"] == whole.outcome["history"]
    ended = run(keeping=pipeline.keeping_of(None, tmp_path / "ck"))  # a run that has ended stays as it is
    assert ended.x.tobytes() == whole.x.tobytes() and ended.outcome["steps"] == 90


def test_resume_may_write_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(drive, "PIECE", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(keeping=pipeline.keeping_of(tmp_path / "a", None), watch=interrupting(5))
    kept = checkpoint.newest(tmp_path / "a").number
    run(keeping=pipeline.keeping_of(tmp_path / "b", tmp_path / "a"))
    assert checkpoint.newest(tmp_path / "a").number == kept
    assert checkpoint.newest(tmp_path / "b").arrays["status"][0] == drive.FINISHED


def test_every(tmp_path, monkeypatch):
    monkeypatch.setattr(drive, "PIECE", 0.0)
    run(keeping=pipeline.keeping_of(tmp_path / "often", None, 0.0))
    run(keeping=pipeline.keeping_of(tmp_path / "seldom", None, 1e9))
    assert checkpoint.newest(tmp_path / "often").number == 91
    assert checkpoint.newest(tmp_path / "seldom").number == 2, "its begin and its end"
    with pytest.raises(SpecError, match="make no sense"):
        pipeline.keeping_of(tmp_path, None, -1.0)
    with pytest.raises(SpecError, match="make no sense"):
        pipeline.keeping_of(tmp_path, None, float("nan"))


def test_the_python_face(tmp_path, monkeypatch):
    monkeypatch.setattr(drive, "PIECE", 0.0)
    model = api.parse(f"model m\n{HEAD}{LOSS}{ADAM}")
    fit = model.train(X=X, y=Y, checkpoint=tmp_path / "ck", every=0.0)
    (tmp_path / "ck" / "00000091.json").unlink()  # the end is lost: 00000090 is one step before it
    again = model.train(X=X, y=Y, resume=str(tmp_path / "ck"))
    assert again.params["w"].tobytes() == fit.params["w"].tobytes()


# another run


CHANGES = {
    "the page": (
        {"method": ADAM.replace("0.05", "0.06")},
        r"the page has changed at line 7: it was 'train with adam\(.*0\.05.* and is .*0\.06",
    ),
    "a hyper-parameter": ({"hyper": {"lam": 0.02}}, "lam was 0.01 and is 0.02"),
    "the data": ({"y": Y + 1e-12}, "the data have changed: y"),
    "the seed": ({"seed": 1}, "the seed was 0 and is 1"),
    "the dtype": ({"dtype": "float32"}, "the dtype was float64 and is float32"),
    "the target": ({"target": "reference"}, "the target was cpu and is reference"),
    "the split": (
        {"method": f"split n into train 0.5, test 0.5\n{ADAM}"},
        "the page has changed at line 7: it was .*; the data have changed: the part train, the part test",
    ),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "ck"
    run(keeping=pipeline.keeping_of(folder, None))
    return folder


@pytest.mark.parametrize("change", CHANGES)
def test_another_run_is_refused(kept, change):
    how, words = CHANGES[change]
    before = sorted(kept.iterdir())
    with pytest.raises(DataError, match=words) as caught:
        run(keeping=pipeline.keeping_of(None, kept), **how)
    assert "belongs to another run" in str(caught.value) and "undo the change" in caught.value.fix
    assert sorted(kept.iterdir()) == before


def test_another_version_is_refused(kept, monkeypatch):
    monkeypatch.setattr(checkpoint.metadata, "version", lambda name: "9.9")
    with pytest.raises(DataError, match=r"the version of symml was .* and is 9\.9"):
        run(keeping=pipeline.keeping_of(None, kept))


def test_a_used_folder_is_refused(kept):
    with pytest.raises(FileError, match="holds checkpoints already") as caught:
        run(keeping=pipeline.keeping_of(kept, None))
    assert f"--resume {kept}" in caught.value.fix


def test_changes_names_all(kept):
    old = checkpoint.newest(kept).facts
    assert checkpoint.changes(old, old) == []
    assert len(checkpoint.changes(old, {**old, "page": "q", "seed": 3, "hyper": {"mu": 1.0}, "data": {}})) == 5
    assert checkpoint.changes({**old, "page": old["page"] + "\r\n"}, {**old, "page": old["page"] + "\n"})

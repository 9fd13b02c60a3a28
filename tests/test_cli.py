"""The commands as a user calls them: exit codes, one JSON document, light start, interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from check import EXAMPLES

import symml
from symml.runtime import checkpoint


def run(*args, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "symml.cli", *map(str, args)], capture_output=True, text=True, **kwargs
    )


def test_derive_without_a_page():
    out = run("derive", "-e", "tr(X' A X)", "--wrt", "X")
    assert out.returncode == 0 and "(A + Aᵀ)X" in out.stdout
    assert r"\left(A + A^{\top}\right) X" in run("derive", "-e", "tr(X' A X)", "--wrt", "X", "--format", "latex").stdout
    rows = json.loads(run("derive", "-e", "b' x", "--wrt", "x", "--vector", "b", "--json").stdout)["formulas"]
    assert rows[0]["latex"] == "b"
    assert "Sum(" in run("derive", EXAMPLES / "ridge.symml", "--wrt", "w", "--form", "sympy").stdout
    assert "expansion by sympy agrees" in run("derive", EXAMPLES / "ridge.symml", "--verify").stdout


@pytest.mark.parametrize("stage", ["tree", "model", "program", "derivative", "loops", "source"])
def test_show(stage):
    out = run("show", EXAMPLES / "ridge.symml", "--stage", stage)
    assert out.returncode == 0 and len(out.stdout) > 50


def page(tmp_path, text):
    path = tmp_path / "p.symml"
    path.write_text(text)
    return path


CODES = [
    ("model m\nparam a\nminimize a + q", 2, "p.symml:3:14: error: unknown name 'q'"),
    ('model m\ndims n\ndata x[n] from "none.csv"\nparam a\nminimize sum[i] (x[i] - a)^2', 4, "none.csv"),
    (
        'model m\ndims n\ndata x[n] from "/etc/passwd"\nparam a\nminimize sum[i] (x[i] - a)^2',
        2,
        "outside the page's folder",
    ),
    ("model m\nparam a init 0\nminimize log(a)", 3, "left the finite numbers"),
]


@pytest.mark.parametrize("text, code, words", CODES, ids=[str(c[1]) + c[2][:12] for c in CODES])
def test_exit_codes(tmp_path, text, code, words):
    out = run("run", page(tmp_path, text), cwd=tmp_path)
    assert out.returncode == code, out.stdout + out.stderr
    assert words in out.stderr and "Traceback" not in out.stderr
    assert not (tmp_path / "runs").exists()


def test_wrong_usage():
    for args in (("derive",), ("run", "x.symml", "--target", "tpu"), ("nothing",), ("run",)):
        out = run(*args)
        assert out.returncode in (2, 4) and "Traceback" not in out.stderr


def test_train_takes_other_data_and_hypers(tmp_path):
    data = tmp_path / "d.csv"
    data.write_text((EXAMPLES / "data" / "diabetes.csv").read_text())
    args = (
        "train",
        EXAMPLES / "ridge.symml",
        "--json",
        "--set",
        "lam=0.2",
        "--data",
        f"X={data}",
        "--data",
        f"y={data}",
    )
    document = json.loads(run(*args).stdout)
    assert document["outcome"]["status"] == "converged" and document["report"]["r2"] < 0.5126


def test_a_warm_run_needs_no_sympy(tmp_path):
    run("run", EXAMPLES / "ridge.symml", "--out", tmp_path)
    code = (
        "import sys; sys.modules['sympy'] = None; sys.modules['lark'] = None; "
        f"sys.argv = ['symml', 'run', {str(EXAMPLES / 'ridge.symml')!r}, '--out', {str(tmp_path)!r}]; "
        "from symml.cli import main; main()"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.returncode == 0 and "r2 = 0.5126" in out.stdout, out.stderr


def long_run(tmp_path):
    (tmp_path / "data").mkdir()
    shutil.copy(EXAMPLES / "data" / "digits.csv", tmp_path / "data")
    return page(tmp_path, (EXAMPLES / "mlp.symml").read_text().replace("epochs = 30", "epochs = 20000"))


def interrupt(process, ready):
    """SIGINT to a process that is `ready`; its exit code, and how long it took."""
    begun = time.monotonic()
    while not ready() and time.monotonic() - begun < 240:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    time.sleep(0.3)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    return process.returncode, time.monotonic() - start


def test_interrupt_returns_at_once_and_keeps_the_run(tmp_path):
    path, folder = long_run(tmp_path), tmp_path / "ck"
    command = [sys.executable, "-m", "symml.cli", "train", str(path)]
    process = subprocess.Popen([*command, "--checkpoint", str(folder)], stderr=subprocess.PIPE, text=True)
    code, seconds = interrupt(process, lambda: folder.is_dir() and any(folder.glob("*.json")))
    told = process.stderr.read()
    assert code == 130 and seconds < 1.0, (code, seconds, told)
    assert told.strip() == f"the run is kept, go on with --resume {folder}\ninterrupted"
    first = int(checkpoint.newest(folder).arrays["counters"][0])
    assert first > 0
    process = subprocess.Popen([*command, "--resume", str(folder)], stderr=subprocess.PIPE, text=True)
    code, seconds = interrupt(process, lambda: checkpoint.numbers(folder)[-1] > 2)
    assert code == 130 and seconds < 1.0
    assert int(checkpoint.newest(folder).arrays["counters"][0]) > first, "it did not go on"


def test_interrupt_without_a_checkpoint(tmp_path):
    """The progress of the run tells that it trains: a module that reports its first piece in the place of a terminal."""
    ready = tmp_path / "ready"
    code = (
        "import sys, pathlib; from symml import cli, pipeline; train = pipeline.train\n"
        f"def watched(source, options, values, seed, watch, keeping):\n"
        f"    return train(source, options, values, seed, lambda *_: pathlib.Path({str(ready)!r}).touch(), keeping)\n"
        f"pipeline.train = watched; sys.argv = ['symml', 'train', {str(long_run(tmp_path))!r}]; cli.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    code, seconds = interrupt(process, ready.exists)
    assert code == 130 and seconds < 1.0
    assert process.stderr.read().strip() == "interrupted"


def test_checkpoints_that_make_no_sense(tmp_path):
    path = EXAMPLES / "ridge.symml"
    for args, code, words in (
        (("--checkpoint", tmp_path, "--every", "-1"), 2, "make no sense"),
        (("--resume", tmp_path / "none"), 4, "holds no checkpoint"),
    ):
        out = run("train", path, *args)
        assert out.returncode == code and words in out.stderr and "Traceback" not in out.stderr


def test_python_face():
    model = symml.load(EXAMPLES / "ridge.symml")
    assert model.parameters == ("w",) and model.certificate().startswith("convex")
    assert model.gradient("w")._repr_latex_().startswith(r"$\displaystyle \frac{\partial \ell}{\partial w}")
    assert all(p.ok for p in model.gradient("w").verify())
    fit = model.train()
    assert fit.status == "converged" and fit.predict().shape == (442,)
    assert fit.predict(X=[[1.0] * 10]).shape == (1,)
    assert os.environ["SYMML_CACHE"]


def test_fmt(tmp_path):
    page = tmp_path / "a.symml"
    page.write_text("model  m\nparam w\nminimize w^2 # square\n")
    done = run("fmt", "--check", str(page))
    assert (done.returncode, "a.symml:1:1: error: not in canonical form" in done.stderr) == (2, True)
    assert run("fmt", str(page)).stdout == "model m\nparam w\nminimize w^2  # square\n"
    assert run("fmt", "--write", str(page)).stdout == f"wrote {page}\n"
    assert page.read_text() == "model m\nparam w\nminimize w^2  # square\n"
    assert run("fmt", "--check", str(page)).returncode == 0
    assert run("fmt", "--write", str(page)).stdout == ""

"""Runs that leave the finite numbers: they stop, name the statement and its place, and keep the last finite parameters."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import numpy as np
import pytest
from check import page

from symml import pipeline
from symml.errors import NumericError
from symml.runtime import checkpoint, drive, launch

RNG = np.random.default_rng(6)
X = RNG.normal(size=(40, 3))
Y = X @ [1.0, -2, 0.5] + 0.1 * RNG.normal(size=40)
HEAD = "dims n, d\ndata X[n, d], y[n]\nparam w[d] init 0.3\n"
SQUARES = "minimize 1/n ||X w - y||^2\n"


def diverge(text: str, target: str = "cpu", dtype: str = "float64", keeping=None, **data) -> launch.DivergedError:
    with pytest.raises(launch.DivergedError) as caught:
        source, options = page(HEAD + text), pipeline.Options(target, dtype)
        pipeline.train(source, options, {"X": X, "y": Y, **data}, 0, keeping=keeping)
    error = caught.value
    assert isinstance(error, NumericError) and error.exit_code == 3
    assert np.isfinite(error.x).all() and all(np.isfinite(v).all() for v in error.params.values())
    return error


# page, place, words: each fails in another statement, for another reason
PLACES = {
    "the loss": (
        f"{SQUARES}train with sgd(lr = 3.0, batch = 16, epochs = 400)",
        "page.symml:5:14",
        r"step \d+: .* overflows",
    ),
    "a power": (
        f"{SQUARES}train with adam(lr = 1e200, batch = 16, epochs = 4)",
        "page.symml:5:14",
        r"step 1: \(.*\)\^\(2\) overflows",
    ),
    "a definition": (
        "z[i] = exp(sum[j] X[i, j] w[j])\nminimize 1/n sum[i] (z[i] - y[i])^2\n"
        "train with adagrad(lr = 1e160, batch = 40, epochs = 4)",
        "page.symml:5:1",
        r"step 1: exp\(.*\) overflows at i = \d+, in 'z'",
    ),
    "a definition of a definition": (
        "a = X w\nb[i] = sqrt(a[i] + 3)\nminimize 1/n sum[i] (b[i] - y[i])^2\ntrain with sgd(lr = 40, batch = 40)",
        "page.symml:6:1",
        "the root of a negative number, -",
    ),
    "a logarithm": (
        "minimize 1/n sum[i] log(w[0] + 0.5 - y[i])\ntrain with sgd(batch = 40, epochs = 2)",
        "page.symml:5:14",
        r"step 0: the logarithm of a negative number, -[\d.]+ at i = \d+",
    ),
    "a division": (
        "minimize 1/n sum[i] y[i]/(w[0] - 0.3)\ntrain with sgd(batch = 40, epochs = 2)",
        "page.symml:5:14",
        "step 0: a division by 0",
    ),
    "the gradient": (
        "minimize sqrt(w[0] - 0.3) + 1/n ||X w - y||^2\ntrain with sgd(lr = 0.1, batch = 40, epochs = 3)",
        "page.symml:5:10",
        "step 0: a division by 0, in the gradient",
    ),
    "the optimiser's state": (
        "minimize 1/n sum[i] y[i] sum[j] 1e160 w[j]\ntrain with adagrad(batch = 40, epochs = 2)",
        "optimizers/adagrad.symml:5:1",
        r"step 0: \(.*\)\^\(2\) overflows at p = 0",
    ),
    "the parameters": (
        "minimize 1/n sum[i] y[i] sum[j] 1e300 w[j]\ntrain with sgd(lr = 1e10, batch = 40, epochs = 2)",
        "optimizers/sgd.symml:4:1",
        "step 0: .* overflows",
    ),
    "an optimiser on all rows": (
        "param z[n] init 0.3\nu[i] = exp(z[i])\nminimize 1/n sum[i] (u[i] - y[i])^2 + 1/n ||X w - y||^2\n"
        "train with sgd(lr = 1e5, epochs = 50)",
        "page.symml:6:1",
        r"step \d: exp\(.*\) overflows at i = \d+, in 'u'",
    ),
    "all rows": (
        "minimize 1/n sum[i] log(w[0] + 0.5 - y[i])\ntrain with lbfgs",
        "page.symml:5:14",
        "step 0: the logarithm of a negative number",
    ),
}


COMPILED = ("a definition", "the optimiser's state", "all rows")


@pytest.mark.parametrize(
    "kind, target", [*((kind, "reference") for kind in PLACES), *((kind, "cpu") for kind in COMPILED)]
)
def test_the_statement_is_named(kind, target):
    text, place, words = PLACES[kind]
    error = diverge(text, target)
    assert error.span is not None and error.span.place == place, str(error)
    assert re.search(words, error.message), error.message


def test_single_precision_overflows_earlier():
    text = f"{SQUARES}train with sgd(lr = 3.0, batch = 16, epochs = 400)"
    half = diverge(text, dtype="float32")
    assert half.x.dtype == np.float32 and half.step < diverge(text, "reference").step / 5


@pytest.mark.parametrize("piece", [0.0, 0.1])
def test_the_last_finite_parameters_are_kept(piece, monkeypatch):
    """Against the same descent in numpy: however the run is cut, it stops at the first step that is not finite."""
    monkeypatch.setattr(drive, "PIECE", piece)
    error = diverge(f"{SQUARES}train with sgd(lr = 3.0, batch = 40, epochs = 4000)")
    w, step = np.full(3, 0.3), 0
    with np.errstate(all="ignore"):
        while True:
            residual = X @ w - Y
            after = w - 3.0 * 2 / 40 * X.T @ residual
            if not (math.isfinite(np.mean(residual**2)) and np.isfinite(after).all()):
                break
            w, step = after, step + 1
    assert error.step == step > 100
    np.testing.assert_allclose(error.params["w"], w, rtol=1e-10)


def test_at_most_one_check_is_lost(monkeypatch):
    """No piece is begun after the one that fails."""
    pieces = []
    longer = drive.longer
    monkeypatch.setattr(drive, "longer", lambda n, seconds: pieces.append(n) or longer(n, seconds))
    seen: list[int] = []
    source = page(f"{HEAD}{SQUARES}train with sgd(lr = 3.0, batch = 40, epochs = 100000)")
    with pytest.raises(launch.DivergedError) as caught:
        pipeline.train(
            source, pipeline.Options("reference"), {"X": X, "y": Y}, 0, watch=lambda done, *_: seen.append(done)
        )
    assert caught.value.step < sum(pieces) and caught.value.step >= sum(pieces[:-1])
    assert seen[-1] == caught.value.step


def test_finite_runs_are_not_blamed():
    """The control: just inside the stable rates nothing is raised."""
    fit = pipeline.train(
        page(f"{HEAD}{SQUARES}train with sgd(lr = 0.3, batch = 40, epochs = 50)"),
        pipeline.Options("reference"),
        {"X": X, "y": Y},
        0,
    )
    assert fit.outcome["status"] == "finished"


def test_the_checkpoint_holds_the_last_finite_state(tmp_path):
    text = f"{SQUARES}train with adam(lr = 1e200, batch = 16, epochs = 4)"
    error = diverge(text, "reference", keeping=pipeline.keeping_of(tmp_path / "ck", None))
    kept = checkpoint.newest(tmp_path / "ck")
    assert kept.arrays["x"].tobytes() == error.x.tobytes() and kept.arrays["status"][0] == drive.DIVERGENCE
    again = diverge(
        text, "reference", keeping=pipeline.keeping_of(None, tmp_path / "ck")
    )  # gone on with, it stays diverged
    assert (again.step, again.span.place) == (error.step, error.span.place)


def test_the_command_says_where(tmp_path):
    (tmp_path / "p.symml").write_text(
        'model m\ndims n, d\ndata X[n, d], y[n] from "d.csv"\nparam w[d] init 0.3\n'
        + f"{SQUARES}train with sgd(lr = 3.0, batch = 16, epochs = 400)\n"
    )
    rows = [",".join(map(repr, map(float, (*x, y)))) for x, y in zip(X, Y, strict=True)]
    (tmp_path / "d.csv").write_text("\n".join(["a,b,c,y", *rows]) + "\n")
    command = [sys.executable, "-m", "symml.cli", "run", "p.symml", "--out", "found", "--target", "reference"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3 and done.stdout == "", done.stdout
    assert done.stderr.startswith("p.symml:5:14: error: training left the finite numbers at step ")
    assert "the last finite parameters are in found/m/last_finite.npz" in done.stderr
    with np.load(tmp_path / "found" / "m" / "last_finite.npz") as kept:
        assert kept["param.w"].shape == (3,) and np.abs(kept["param.w"]).min() > 1e100
    assert sorted(p.name for p in (tmp_path / "found" / "m").iterdir()) == ["last_finite.npz"]

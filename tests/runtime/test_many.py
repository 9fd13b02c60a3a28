"""Many fits with one kernel: each is the fit it stands for, and nothing is compiled after the first."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from check import EXAMPLES, page
from runs import ADAM, HEAD, LOSS, RNG, N, X, Y

from symml import api, kernels, pipeline
from symml.errors import DataError
from symml.runtime import launch, many
from symml.runtime.bind import bind

RIDGE = page(f"{HEAD}{LOSS}train with lbfgs until |grad| < 1e-11")
DATA = {"X": X, "y": Y}
LAMBDAS = [0.001, 0.01, 0.1, 1.0, 10.0]


def closed(rows, lam=0.01):
    """Ridge regression by the normal equations."""
    x, y = X[rows], Y[rows]
    return np.linalg.solve(x.T @ x / len(rows) + lam * np.eye(3), x.T @ y / len(rows))


def bootstrap(fits, source=RIDGE, target="cpu", dtype="float64", **how):
    return pipeline.bootstrap(source, pipeline.Options(target, dtype), DATA, how.pop("seed", 0), fits, **how)


def path(values, source=RIDGE, warm=True, target="cpu", name="lam", **how):
    return pipeline.path(source, pipeline.Options(target, **how), DATA, 0, name, values, warm)


# resamples


def test_each_resample_is_fitted():
    found = bootstrap(50)
    assert found.params["w"].shape == (50, 3)
    for k, w in enumerate(found.params["w"]):
        np.testing.assert_allclose(w, closed(launch.bootstrap_rows(N, 0, k)), rtol=1e-8)
    np.testing.assert_allclose(found.estimate["w"], closed(np.arange(N)), rtol=1e-8)
    other = closed(launch.bootstrap_rows(N, 0, 7))
    assert np.abs(found.params["w"][6] - other).max() > 1e-3, "the control: another resample's fit"


def test_rows_are_drawn_alike():
    """With replacement, each row as often as any other, and no resample like another."""
    rows = np.array([launch.bootstrap_rows(30, 5, k) for k in range(2000)])
    counts = np.bincount(rows.reshape(-1), minlength=30)
    assert counts.size == 30
    assert (((counts - 2000) ** 2) / 2000).sum() < 58.3, "chi-square of 29 degrees, one in a thousand"
    distinct = np.mean([len(set(r)) for r in rows]) / 30
    assert distinct == pytest.approx(1 - (1 - 1 / 30) ** 30, abs=0.005)
    assert len({r.tobytes() for r in rows}) == 2000
    assert not np.array_equal(rows[0], launch.bootstrap_rows(30, 6, 0))


def test_standard_errors_and_intervals():
    """Against a bootstrap of numpy, with other random numbers and ten times as many resamples."""
    found = bootstrap(400)
    rng = np.random.default_rng(11)
    peer = np.array([closed(rng.integers(0, N, N)) for _ in range(4000)])
    np.testing.assert_allclose(found.standard_errors()["w"], peer.std(axis=0, ddof=1), rtol=0.15)
    low, high = found.intervals(0.9)["w"]
    wide = np.quantile(peer, 0.95, axis=0) - np.quantile(peer, 0.05, axis=0)
    np.testing.assert_allclose(high - low, wide, rtol=0.15)
    assert (low < found.estimate["w"]).all() and (found.estimate["w"] < high).all()
    w = np.sort(found.params["w"], axis=0)
    assert ((w[19] <= low) & (low <= w[20])).all() and ((w[379] <= high) & (high <= w[380])).all()


def test_more_resamples_keep_the_first():
    few, many_ = bootstrap(5), bootstrap(8)
    assert few.x.tobytes() == many_.x[:5].tobytes()
    assert few.x.tobytes() != bootstrap(5, seed=1).x.tobytes()


def test_a_split_draws_from_the_training_part():
    source = page(
        f"split n into train 0.75, test 0.25 seed 3\n{HEAD}{LOSS}train with lbfgs until |grad| < 1e-11\n"
        "predict X w\nreport mse = mean[i] (y[i] - sum[j] X[i, j] w[j])^2 on test"
    )
    found = bootstrap(6, source, target="reference")
    kernel = found.kernel
    parts = bind(kernel.manifest, DATA, None, "float64").parts
    for k, w in enumerate(found.params["w"]):
        rows = parts["train"][launch.bootstrap_rows(30, 0, k)]
        np.testing.assert_allclose(w, closed(rows), rtol=1e-8)
        mse = np.mean((Y[parts["test"]] - X[parts["test"]] @ w) ** 2)
        assert found.reports[k]["mse"] == pytest.approx(mse, rel=1e-10)


@pytest.mark.parametrize("dtype, bound", [("float64", 1e-9), ("float32", 1e-3)])
def test_the_interpreter_fits_the_same(dtype, bound):
    found, reference = bootstrap(4, dtype=dtype), bootstrap(4, target="reference", dtype=dtype)
    assert found.x.dtype == np.dtype(dtype)
    np.testing.assert_allclose(found.x, reference.x, rtol=bound)


def test_weights_and_gaps_are_drawn_with_their_rows():
    weights, gaps = RNG.random(N) + 0.1, Y.copy()
    gaps[RNG.choice(N, 8, replace=False)] = np.nan
    there = ~np.isnan(gaps)
    options, fits = pipeline.Options("reference"), 5
    weighted = page(f"{HEAD.replace('y[n]', 'y[n], weight v[n] > 0')}{LOSS}train with lbfgs until |grad| < 1e-11")
    found = pipeline.bootstrap(weighted, options, {**DATA, "v": weights}, 0, fits)
    for k, w in enumerate(found.params["w"]):
        rows = launch.bootstrap_rows(N, 0, k)
        v = weights[rows] / weights[rows].sum()
        x = X[rows]
        np.testing.assert_allclose(
            w, np.linalg.solve(x.T @ (v[:, None] * x) + 0.01 * np.eye(3), x.T @ (v * Y[rows])), rtol=1e-7
        )
    partly = page(
        f"{HEAD.replace('y[n]', 'y[n] missing allowed')}minimize sum[i] (y[i] - sum[j] X[i, j] w[j])^2 + ||w||^2\n"
        "train with lbfgs until |grad| < 1e-10"
    )
    found = pipeline.bootstrap(partly, options, {"X": X, "y": gaps}, 0, fits)
    for k, w in enumerate(found.params["w"]):
        rows = launch.bootstrap_rows(N, 0, k)
        rows = rows[there[rows]]
        np.testing.assert_allclose(w, np.linalg.solve(X[rows].T @ X[rows] + np.eye(3), X[rows].T @ Y[rows]), rtol=1e-7)


def test_batches_of_resamples():
    """Each fit begins as the page says; with the same rows and hyper-parameters it is the single fit, bit by bit."""
    source = page(HEAD.replace("0.3", "normal(0, 1)") + LOSS + ADAM)
    found = bootstrap(3, source)
    for k in range(3):
        rows = launch.bootstrap_rows(N, 0, k)
        alone = pipeline.train(source, pipeline.Options(), {"X": X[rows], "y": Y[rows]}, 0)
        assert alone.x.tobytes() == found.x[k].tobytes()


# a path


def test_each_value_is_fitted():
    found = path(LAMBDAS)
    assert found.values == tuple(LAMBDAS) and found.params["w"].shape == (5, 3)
    for lam, w, outcome in zip(LAMBDAS, found.params["w"], found.outcomes, strict=True):
        np.testing.assert_allclose(w, closed(np.arange(N), lam), rtol=1e-8)
        assert outcome["status"] == "converged"


def test_warm_starts_end_where_cold_ones_do():
    dense = list(np.geomspace(0.01, 0.02, 20))
    warm, cold = path(dense), path(dense, warm=False)
    np.testing.assert_allclose(warm.x, cold.x, rtol=1e-8)
    steps = [sum(o["steps"] for o in fits.outcomes) for fits in (warm, cold)]
    assert steps[0] < steps[1]
    for lam, x in zip(dense[:3], cold.x, strict=False):
        alone = pipeline.train(RIDGE, pipeline.Options(hypers={"lam": lam}), DATA, 0)
        assert alone.x.tobytes() == x.tobytes()


def test_a_path_of_batches():
    source = page(HEAD + LOSS + ADAM)
    found = path([0.0, 1.0], source, warm=False)
    alone = pipeline.train(source, pipeline.Options(hypers={"lam": 1.0}), DATA, 0)
    assert alone.x.tobytes() == found.x[1].tobytes() != found.x[0].tobytes()


def test_what_the_page_lets_be_chosen():
    """A bootstrap takes the value that a training chooses; a path goes over it, and asks for every other."""
    head = HEAD.replace("hyper lam >= 0 = 0.01", "hyper lam in {0.001, 0.1, 5} chosen by smallest mse on valid")
    source = page(
        f"split n into train 0.5, valid 0.5\n{head}{LOSS}train with lbfgs until |grad| < 1e-11\npredict X w\n"
        "report mse = mean[i] (y[i] - sum[j] X[i, j] w[j])^2 on valid"
    )
    chosen = pipeline.train(source, pipeline.Options("reference"), DATA, 0)
    found = bootstrap(3, source, target="reference")
    np.testing.assert_allclose(found.whole, chosen.x, rtol=1e-10)
    given = pipeline.Options("reference", hypers=chosen.hypers)
    assert found.x.tobytes() == pipeline.bootstrap(source, given, DATA, 0, 3).x.tobytes()
    assert len(path([0.001, 0.1], source, target="reference").outcomes) == 2
    other = page(source.text.removeprefix("model m\n") + "\nhyper mu = 1")
    with pytest.raises(DataError, match="'lam' has no value"):
        path([1.0], other, target="reference", name="mu")


# one kernel


@pytest.mark.parametrize("method", [pytest.param("lbfgs", marks=pytest.mark.full), ADAM.removeprefix("train with ")])
def test_all_fits_are_of_one_compile(tmp_path, monkeypatch, method):
    monkeypatch.setenv("SYMML_CACHE", str(tmp_path))
    built = []
    build = pipeline.build
    monkeypatch.setattr(kernels, "build", lambda *args: built.append(args) or build(*args))
    source = page(f"{HEAD.replace('0.01', '0.011')}{LOSS}train with {method}")  # no other test has loaded it
    module = bootstrap(2, source).kernel.module
    compiled = {name: f for name, f in vars(module).items() if hasattr(f, "signatures")}
    once = {name: len(f.signatures) for name, f in compiled.items()}
    files = sorted(p.name for p in tmp_path.rglob("*.bin"))
    assert len(built) == 1 and files
    assert once["lbfgs" if method == "lbfgs" else "minibatch"] == once["value_and_grad"] == 1
    assert bootstrap(60, source).kernel.module is module
    path(LAMBDAS, source)
    bootstrap(3, source, seed=9)
    assert len(built) == 1 and {name: len(f.signatures) for name, f in compiled.items()} == once
    assert sorted(p.name for p in tmp_path.rglob("*.bin")) == files
    bootstrap(3, source, dtype="float32")  # the control: another dtype is another kernel
    assert len(built) == 2


# what can be asked wrongly, what can go wrong


def test_wrong_questions():
    for ask, words in (
        (lambda: bootstrap(1), "have no deviation"),
        (lambda: path([]), "no values of 'lam'"),
        (lambda: path([0.1], name="mu"), "'mu' is not a hyper-parameter of this page"),
        (lambda: path([0.1, -1.0]), "lam"),
        (lambda: bootstrap(2).intervals(1.0), "lies between 0 and 1"),
        (
            lambda: bootstrap(2, page("param w init 1\nminimize (w - 3)^2")),
            "no data with rows|is not data of this page",
        ),
    ):
        with pytest.raises(DataError, match=words):
            ask()
    with pytest.raises(DataError, match="no data with rows"):
        pipeline.bootstrap(page("param w init 1\nminimize (w - 3)^2"), pipeline.Options("reference"), {}, 0, 2)


def test_the_fit_that_diverges_is_named():
    source = page(HEAD + LOSS + "train with sgd(lr = 0.5, batch = 40, epochs = 400)")
    with pytest.raises(launch.DivergedError, match=r"lam = 10: training left the finite numbers at step \d+") as caught:
        path([0.0, 10.0, 0.1], source, target="reference")
    assert caught.value.hypers == {"lam": 10.0} and caught.value.span.place.startswith("page.symml:6:")
    x = X.copy()
    x[17] *= 100.0  # the rate is right for all rows, and too large where this row is drawn twice
    source = page(HEAD + LOSS + "train with sgd(lr = 0.0027, batch = 40, epochs = 700)")
    twice = next(k for k in range(20) if (launch.bootstrap_rows(N, 0, k) == 17).sum() > 1)
    with pytest.raises(launch.DivergedError, match=rf"resample {twice}: training left the finite numbers"):
        pipeline.bootstrap(source, pipeline.Options("reference"), {"X": x, "y": Y}, 0, 20)


TOGETHER = {
    "z": "dims n\ndata y[n]\nparam z[n] init 0\nminimize sum[i] (y[i] - z[i])^2",
    "K": "dims n\ndata y[n], K[n, n]\nparam a init 0\nminimize sum[i] (y[i] - a sum[j] K[i, j])^2",
    "c": "dims n\ndata y[n], c[n] in n\nparam a init 0\nminimize sum[i] (y[i] - a y[c[i]])^2",
}


@pytest.mark.parametrize("name", TOGETHER)
def test_rows_that_belong_together_are_not_drawn(name):
    values = {"y": np.arange(4.0), "K": np.eye(4), "c": np.array([1, 2, 3, 0])}
    data = {k: v for k, v in values.items() if k == "y" or k == name}
    with pytest.raises(DataError, match=f"cannot be drawn one by one: '{name}'"):
        pipeline.bootstrap(page(TOGETHER[name]), pipeline.Options("reference"), data, 0, 3)


def test_a_series_is_not_drawn():
    text = "dims n\ndata y[n]\nparam a\nminimize sum[i in 1..n-1] (y[i] - a y[i-1])^2"
    with pytest.raises(DataError, match=r"on line .* meet their neighbours"):
        pipeline.bootstrap(page(text), pipeline.Options("reference"), {"y": np.arange(4.0)}, 0, 3)


def test_a_watch_sees_every_fit():
    seen = []
    bootstrap(4, watch=lambda done, total, loss, gradient: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


# the faces


def test_the_python_face():
    model = api.parse(f"model m\n{HEAD}{LOSS}train with lbfgs")
    assert isinstance(boot := model.bootstrap(3, **DATA), many.Fits)
    assert boot.standard_errors()["w"].shape == (3,) and boot.intervals()["w"][0].shape == (3,)
    fits = model.path("lam", np.geomspace(0.1, 1, 3), warm=True, **DATA)
    assert fits.values == (0.1, pytest.approx(0.31622776601683794), 1.0)


def command(*args):
    return subprocess.run([sys.executable, "-m", "symml.cli", *map(str, args)], capture_output=True, text=True)


def test_the_commands():
    spec = EXAMPLES / "logistic_regression.symml"
    out = command("bootstrap", spec, "--fits", 20, "--level", "0.9")
    lines = out.stdout.splitlines()
    assert out.returncode == 0, out.stderr
    assert lines[0].startswith("logistic_regression   20 fits with one kernel: 20 converged   ")
    assert lines[1].split() == "estimate standard error 90 % interval".split() and len(lines) == 2 + 30 + 1
    document = json.loads(command("bootstrap", spec, "--fits", 20, "--json").stdout)
    assert np.shape(document["params"]["w"]) == (20, 30) and document["level"] == 0.95
    error = np.std(document["params"]["w"], axis=0, ddof=1)
    np.testing.assert_allclose(document["standard_error"]["w"], error, rtol=1e-12)
    assert np.shape(document["interval"]["w"]["low"]) == (30,) and len(document["reports"]) == 20
    out = command("path", spec, "--hyper", "lam", "--values", "1e-3, 1e-2,1e-1")
    rows = [line.split() for line in out.stdout.splitlines()[1:]]
    assert rows[0] == "lam loss steps status accuracy on test".split()
    assert [row[0] for row in rows[1:]] == ["0.001", "0.01", "0.1"] and rows[2][1] == "0.0930194"
    document = json.loads(command("path", spec, "--hyper", "lam", "--values", "1e-3,1e-2", "--json").stdout)
    assert document["hyper"] == "lam" and document["values"] == [0.001, 0.01]
    for args, words in (
        (("path", spec, "--hyper", "lam", "--values", "a"), "'a' is not a number for 'lam'"),
        (("path", spec, "--hyper", "mu", "--values", "1"), "not a hyper-parameter"),
        (("bootstrap", spec, "--level", "2"), "lies between 0 and 1"),
        (("bootstrap", spec, "--fits", "0"), "have no deviation"),
    ):
        out = command(*args)
        assert out.returncode == 2 and words in out.stderr and "Traceback" not in out.stderr

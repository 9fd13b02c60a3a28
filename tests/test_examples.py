"""Each example: what its `#>` lines promise is on the screen, and an independent library agrees."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from areas import oracles
from check import EXAMPLES, LONG, NAMES, check_derivative
from sklearn import linear_model

from symml import load, pipeline
from symml.runtime import launch


def symml(*args, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "symml.cli", *map(str, args)], capture_output=True, text=True, **kwargs
    )


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.full) if n in LONG else n for n in NAMES])
def test_expected_lines(name, tmp_path):
    out = symml("run", EXAMPLES / f"{name}.symml", "--out", tmp_path)
    assert out.returncode == 0, out.stderr
    expected = [
        line[2:].strip() for line in (EXAMPLES / f"{name}.symml").read_text().splitlines() if line.startswith("#>")
    ]
    assert expected
    for line in expected:
        assert line in out.stdout, f"{line!r} is not on the screen:\n{out.stdout}"
    predicts = "\npredict " in (EXAMPLES / f"{name}.symml").read_text()
    assert (tmp_path / name / "params.npz").is_file()
    assert (tmp_path / name / "predictions.csv").is_file() == predicts


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_to_second_order(name):
    check_derivative(pipeline.analyse(pipeline.read(EXAMPLES / f"{name}.symml")))


def test_json_is_one_document(tmp_path):
    out = symml("run", EXAMPLES / "ridge.symml", "--json", "--out", tmp_path)
    document = json.loads(out.stdout)
    assert document["report"]["r2"] == pytest.approx(0.512562, abs=1e-6)
    assert document["formulas"][1]["text"] == "2/n Xᵀ(Xw − y) + 2λw"


def test_linear_regression_is_sklearns():
    assert oracles.linear_regression(load(EXAMPLES / "linear_regression.symml").train()) < 1e-6


def test_ridge_is_sklearns():
    assert oracles.ridge(load(EXAMPLES / "ridge.symml").train()) < 1e-6


def test_logistic_regression_is_sklearns():
    assert oracles.logistic_regression(load(EXAMPLES / "logistic_regression.symml").train()) < 1e-6


def test_the_comparison_can_fail():
    other = load(EXAMPLES / "logistic_regression.symml").train(hyper={"lam": 2e-2})
    assert oracles.logistic_regression(other) > 1e-3


def test_softmax_regression_is_sklearns():
    fit = load(EXAMPLES / "softmax_regression.symml").train()
    assert oracles.softmax_regression(fit) < 1e-6
    assert fit.predict().shape == (1797,)


def test_make_reproduces_the_data(tmp_path):
    subprocess.run([sys.executable, EXAMPLES / "data" / "make.py", tmp_path], check=True)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (EXAMPLES / "data" / path.name).read_bytes()


def test_parameters_in_the_units_of_the_data(tmp_path):
    values = oracles.table("diabetes")
    X, y = values[:, :-1], values[:, -1]
    fit = load(EXAMPLES / "linear_regression.symml").train()
    peer = linear_model.LinearRegression().fit(X, y)
    units = fit.params_in_data_units
    np.testing.assert_allclose(units["w"], peer.coef_, atol=1e-6)
    assert fit.params["b"] + units["X w: shift"] == pytest.approx(peer.intercept_, rel=1e-6)
    symml("run", EXAMPLES / "linear_regression.symml", "--out", tmp_path)
    lines = (tmp_path / "linear_regression" / "params.csv").read_text().splitlines()
    assert lines[0] == "parameter,index,value,in_data_units" and len(lines) == 1 + 10 + 1 + 1


def test_gradients_of_the_network_are_jaxs():
    import jax

    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 8)), rng.integers(0, 10, 50)
    kernel, _ = pipeline.kernel(pipeline.read(EXAMPLES / "mlp.symml"), pipeline.Options())
    m = kernel.manifest
    dims = {"n": 50, "n_batch": 50, "d": 8, "h": 64, "c": 10}
    data = (launch.sizes(kernel, dims), launch.hypers(kernel, {}), X, y)
    x = rng.normal(size=8 * 64 + 64 + 64 * 10 + 10) * 0.2
    g = np.zeros_like(x)
    value = kernel.module.value_and_grad(x, g, data, launch.buffers(m["functions"]["value_and_grad"], dims))

    def loss(v):
        p = split(v)
        z = jax.numpy.tanh(X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        return -jax.nn.log_softmax(z)[jax.numpy.arange(50), y].mean()

    def split(v):
        a, b, c = 8 * 64, 8 * 64 + 64, 8 * 64 + 64 + 640
        return {"W1": v[:a].reshape(8, 64), "b1": v[a:b], "W2": v[b:c].reshape(64, 10), "b2": v[c:]}

    truth, gradient = jax.value_and_grad(loss)(jax.numpy.asarray(x))
    assert value == pytest.approx(float(truth), rel=1e-12)
    np.testing.assert_allclose(g, gradient, atol=1e-10)
    assert np.abs(g[::-1] - np.asarray(gradient)).max() > 1e-3

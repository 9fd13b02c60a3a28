"""The examples of recurrences, graphs, whole matrices, fixed points and sorting against independent libraries."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
import scipy.stats
from check import EXAMPLES
from hmmlearn.hmm import CategoricalHMM
from sklearn.cluster import KMeans

from symml import load

jax.config.update("jax_enable_x64", True)


@pytest.fixture(scope="module")
def fit():
    """Each example trained once."""
    known = {}

    def trained(name):
        if name not in known:
            known[name] = load(EXAMPLES / f"{name}.symml").train()
        return known[name]

    return trained


def gradient(name, values, **data):
    """The derived gradient of an example at given parameters, by the interpreter, on the example's data."""
    from symml import pipeline
    from symml.ir.evaluate import evaluate
    from symml.runtime.bind import bind

    a = pipeline.analyse(pipeline.read(EXAMPLES / f"{name}.symml"))
    kernel = pipeline.kernel(pipeline.read(EXAMPLES / f"{name}.symml"), pipeline.Options(target="reference"))[0]
    bound = bind(kernel.manifest, data, EXAMPLES, "float64")
    known = {**bound.arrays, **{h["name"]: h["value"] for h in kernel.manifest["hypers"]}, **values}
    inputs = {t: np.asarray(known[t.name]) for t in a.derivative.inputs}
    dims = {d: bound.dims[d.name] for t in a.derivative.tensors() for s in t.shape for d in s.free_symbols}
    env = evaluate(a.derivative, inputs, dims)
    return {t.name: env[a.derivative.outputs[f"d_{t.name}"]] for t in a.model.over}, bound


def test_the_covariance_of_wines(fit):
    X = np.loadtxt(EXAMPLES / "data" / "wine.csv", delimiter=",", skiprows=1)[:, :13]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    p = fit("gaussian_mle").params
    np.testing.assert_allclose(p["mu"], X.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(p["L"] @ p["L"].T, np.cov(X.T, ddof=0), atol=1e-6)
    peer = scipy.stats.multivariate_normal(X.mean(axis=0), np.cov(X.T, ddof=0)).logpdf(X).sum()
    assert fit("gaussian_mle").report["log_likelihood"] == pytest.approx(peer, rel=1e-9)
    assert np.abs(np.cov(X.T, ddof=1) - p["L"] @ p["L"].T).max() > 1e-3


def test_the_likelihood_of_the_hidden_phases(fit):
    obs = np.loadtxt(EXAMPLES / "data" / "sunspots.csv", delimiter=",", skiprows=1)[:, 1].astype(int)
    p = {k: scipy.special.softmax(v, axis=-1) for k, v in fit("hmm").params.items()}
    peer = CategoricalHMM(3, n_features=4)
    peer.startprob_, peer.transmat_, peer.emissionprob_ = p["a"], p["A"], p["B"]
    score = peer.score(obs.reshape(-1, 1))
    assert -fit("hmm").loss == pytest.approx(score, rel=1e-10)
    peer.startprob_ = np.full(3, 1 / 3)
    assert abs(peer.score(obs.reshape(-1, 1)) - score) > 1e-6


def test_colours_are_those_of_lloyd(fit):
    """From where we stop, Lloyd's iterations find nothing that is better by more than a thousandth."""
    pixels = np.load(EXAMPLES / "data" / "photo_pixels.npy")
    peer = KMeans(16, init=fit("k_means").params["C"], n_init=1, tol=0, max_iter=1000).fit(pixels)
    assert fit("k_means").report["inertia"] <= 1.001 * peer.inertia_
    labels = fit("k_means").predict()
    assert (
        labels == KMeans(16, init=fit("k_means").params["C"], n_init=1, max_iter=1).fit(pixels).predict(pixels)
    ).mean() > 0.98


def test_the_filter_of_the_nile(fit):
    x = np.loadtxt(EXAMPLES / "data" / "nile.csv", skiprows=1)
    x = (x - x.mean()) / x.std()
    A = np.column_stack([np.array([x[t : t + 10] for t in range(90)]), np.ones(90)])
    normal = A.T @ A / 90 + np.diag([1e-2] * 10 + [0])
    truth = np.linalg.solve(normal, A.T @ x[10:] / 90)
    np.testing.assert_allclose([*fit("conv1d").params["w"], fit("conv1d").params["b"]], truth, atol=1e-7)


def test_each_factor_is_the_best_for_the_other(fit):
    data = np.load(EXAMPLES / "data" / "digits_missing.npz")
    U, V = fit("matrix_factorisation").params["U"], fit("matrix_factorisation").params["V"]
    for i in range(0, 300, 50):
        rows = data["seen"][i] == 1
        best = np.linalg.solve(V[rows].T @ V[rows] + 0.1 * np.eye(8), V[rows].T @ data["R"][i, rows])
        np.testing.assert_allclose(U[i], best, atol=1e-5)
    assert fit("matrix_factorisation").report["missing_error"] < 0.25


def test_trimmed_squares_are_least_squares_of_what_is_kept(fit):
    values = np.loadtxt(EXAMPLES / "data" / "diabetes.csv", delimiter=",", skiprows=1)
    X = np.column_stack([(values[:, :-1] - values[:, :-1].mean(axis=0)) / values[:, :-1].std(axis=0), np.ones(442)])
    ours = np.array([*fit("trimmed_regression").params["w"], fit("trimmed_regression").params["b"]])
    kept = np.argsort((values[:, -1] - X @ ours) ** 2)[:300]
    np.testing.assert_allclose(ours, np.linalg.lstsq(X[kept], values[kept, -1], rcond=None)[0], atol=1e-5)


def test_the_posterior_of_regression_weights(fit):
    """Of a normal posterior the best independent normals have its mean, and the inverse roots of its precisions' diagonal."""
    values = np.loadtxt(EXAMPLES / "data" / "diabetes.csv", delimiter=",", skiprows=1)
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    X, y = values[:, :-1], values[:, -1]
    precision = X.T @ X / 0.49 + np.eye(10)
    mean, deviation = np.linalg.solve(precision, X.T @ y / 0.49), np.diag(precision) ** -0.5
    p = fit("variational").params
    assert np.abs((p["m"] - mean) / np.sqrt(np.diag(np.linalg.inv(precision)))).max() < 0.1
    np.testing.assert_allclose(np.exp(p["r"]), deviation, rtol=0.05)
    assert np.abs(mean).max() > 10 * deviation.max()


def test_gradients_through_time_are_jaxs():
    rng = np.random.default_rng(0)
    p = {
        "W": rng.normal(size=(8, 8)) * 0.3,
        "u": rng.normal(size=8),
        "b": rng.normal(size=8),
        "v": rng.normal(size=8),
        "c": 0.1,
    }
    ours, bound = gradient("rnn", p)
    x = jnp.asarray(bound.arrays["x"])

    def loss(p):
        def step(s, x):
            s = jnp.tanh(s @ p["W"] + p["u"] * x + p["b"])
            return s, s @ p["v"] + p["c"]

        first = jnp.tanh(p["u"] * x[0] + p["b"])
        _, y = jax.lax.scan(step, first, x[1:])
        y = jnp.concatenate([jnp.array([first @ p["v"] + p["c"]]), y])
        return jnp.mean((y[:-1] - x[1:]) ** 2)

    for name, truth in jax.grad(loss)(p).items():
        np.testing.assert_allclose(ours[name], truth, atol=1e-10, err_msg=name)
        assert np.abs(np.asarray(ours[name]) + truth).max() > 1e-3


def propagation():
    """D^-1/2 (A + I) D^-1/2 of the karate club, by networkx."""
    A = nx.to_numpy_array(nx.karate_club_graph(), weight=None) + np.eye(34)
    d = A.sum(axis=1)
    return A / np.sqrt(np.outer(d, d))


def cross_entropy(Z, bound):
    seen = bound.arrays["labelled"]
    return -(seen * jax.nn.log_softmax(Z)[jnp.arange(34), bound.arrays["y"]]).sum() / seen.sum()


def test_gradients_over_neighbours_are_jaxs():
    rng = np.random.default_rng(1)
    p = {"W1": rng.normal(size=(34, 16)), "W2": rng.normal(size=(16, 2))}
    ours, bound = gradient("gcn", p)
    S, X = propagation(), bound.arrays["X"]
    truth = jax.grad(lambda p: cross_entropy(S @ jax.nn.relu(S @ X @ p["W1"]) @ p["W2"], bound))(p)
    for name in p:
        np.testing.assert_allclose(ours[name], truth[name], atol=1e-10)


def test_the_gradient_of_a_fixed_point_is_that_of_its_solution(fit):
    """Z = alpha (I - (1 - alpha) S)^-1 X W, differentiated by JAX through the solution of the linear system."""
    rng = np.random.default_rng(2)
    W = rng.normal(size=(34, 2))
    ours, bound = gradient("appnp", {"W": W})
    system = np.eye(34) - 0.9 * propagation()

    def loss(W):
        return cross_entropy(0.1 * jnp.linalg.solve(system, bound.arrays["X"] @ W), bound) + 1e-3 / 2 * (W**2).sum()

    np.testing.assert_allclose(ours["W"], jax.grad(loss)(jnp.asarray(W)), atol=1e-10)
    np.testing.assert_allclose(jax.grad(loss)(jnp.asarray(fit("appnp").params["W"])), 0, atol=1e-8)

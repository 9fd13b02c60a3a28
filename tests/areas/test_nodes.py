"""The examples of recurrences, graphs, whole matrices, fixed points and sorting against independent libraries."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
from check import EXAMPLES
from sklearn.cluster import KMeans

from symml import load


@pytest.fixture(scope="module")
def fit():
    """Each example trained once."""
    known = {}

    def trained(name):
        if name not in known:
            known[name] = load(EXAMPLES / f"{name}.symml").train()
        return known[name]

    return trained


def test_the_covariance_of_wines(fit):
    assert oracles.gaussian_mle(fit("gaussian_mle")) < 1e-6
    L = fit("gaussian_mle").params["L"]
    assert np.abs(np.cov(oracles.wines().T, ddof=1) - L @ L.T).max() > 1e-3


def test_the_likelihood_of_the_hidden_phases(fit):
    assert oracles.hmm(fit("hmm")) < 1e-10
    peer, observed = oracles.hidden_phases(fit("hmm")), oracles.observed()
    score = peer.score(observed)
    peer.startprob_ = np.full(3, 1 / 3)
    assert abs(peer.score(observed) - score) > 1e-6


def test_colours_are_those_of_lloyd(fit):
    """From where we stop, Lloyd's iterations find nothing that is better by more than a thousandth."""
    assert abs(oracles.k_means(fit("k_means"))) < 1e-10
    pixels, centres = oracles.pixels(), fit("k_means").params["C"]
    peer = KMeans(16, init=centres, n_init=1, max_iter=1).fit(pixels)
    assert (fit("k_means").predict() == peer.predict(pixels)).mean() > 0.98


def test_the_filter_of_the_nile(fit):
    assert oracles.conv1d(fit("conv1d")) < 1e-7


def test_each_factor_is_the_best_for_the_other(fit):
    assert oracles.matrix_factorisation(fit("matrix_factorisation")) < 1e-5
    assert fit("matrix_factorisation").report["missing_error"] < 0.25


def test_trimmed_squares_are_least_squares_of_what_is_kept(fit):
    assert oracles.trimmed_regression(fit("trimmed_regression")) < 1e-5


def test_the_posterior_of_regression_weights(fit):
    """Of a normal posterior the best independent normals have its mean, and the inverse roots of its precisions' diagonal."""
    mean, precision = oracles.exact_posterior()
    deviation = np.diag(precision) ** -0.5
    assert oracles.variational(fit("variational")) < 0.1
    np.testing.assert_allclose(np.exp(fit("variational").params["r"]), deviation, rtol=0.05)
    assert np.abs(mean).max() > 10 * deviation.max()


def test_gradients_through_time_are_jaxs(fit):
    assert oracles.rnn(fit("rnn")) < 1e-10


def test_gradients_over_neighbours_are_jaxs(fit):
    assert oracles.gcn(fit("gcn")) < 1e-10


def test_the_gradient_of_a_fixed_point_is_that_of_its_solution(fit):
    """Z = alpha (I - (1 - alpha) S)^-1 X W, differentiated by JAX through the solution of the linear system."""
    assert oracles.appnp(fit("appnp")) < 1e-10
    slope = oracles.solved_gradient(fit("appnp")._result.bound)
    np.testing.assert_allclose(slope(fit("appnp").params["W"]), 0, atol=1e-8)


@pytest.mark.parametrize("name", ["rnn", "gcn", "appnp", "mlp_gradients"])
def test_the_comparison_of_gradients_can_fail(fit, monkeypatch, name):
    derived = oracles.gradient

    def turned(example, values):
        ours, bound = derived(example, values)
        return {k: -v for k, v in ours.items()}, bound

    monkeypatch.setattr(oracles, "gradient", turned)
    assert getattr(oracles, name)(fit(name.split("_")[0])) > 1e-3

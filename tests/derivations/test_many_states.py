"""Many states: eigenvalues by Arnoldi and steps by GMRES against LAPACK, and `analyze` of a page of more than 200 entries."""

from __future__ import annotations

import numpy as np
import pytest
from check import page

from symml import pipeline
from symml.algorithms.arnoldi import gmres, leading
from symml.methods.stability import _of_leading

RNG = np.random.default_rng(8)
A = RNG.normal(size=(120, 120)) / 12 + np.diag(np.linspace(0, 2, 120))


@pytest.mark.parametrize("order", [np.abs, np.real])
def test_leading_eigenvalues_are_lapacks(order):
    values, residuals = leading(lambda v: A @ v, RNG.normal(size=120), 300, 6, order, 1e-10)
    truth = np.linalg.eigvals(A)
    truth = truth[np.argsort(-order(truth), kind="stable")][:6]
    np.testing.assert_allclose(np.sort_complex(values), np.sort_complex(truth), atol=1e-8)
    assert residuals.max() < 1e-8


def test_few_products_are_told_by_their_residuals():
    _, residuals = leading(lambda v: A @ v, RNG.normal(size=120), 12, 6, np.abs, 1e-10)
    assert residuals.max() > 1e-3


def test_a_linear_system():
    b, B = RNG.normal(size=120), A + 4 * np.eye(120)
    truth = np.linalg.solve(B, b)
    np.testing.assert_allclose(gmres(lambda v: B @ v, b, 120, 1e-13), truth, atol=1e-9)
    assert np.abs(gmres(lambda v: B @ v, b, 5, 1e-13) - truth).max() > 1e-6


FIELD = "dims n = 250\nstate u[n] = 0\nhyper c = {}\nm = 1/n sum[j] cos(u[j])\nu <- c u + 1/4 m"


@pytest.mark.parametrize(("c", "verdict"), [(0.4, "stable"), (1.5, "unstable")])
def test_a_field_of_many_whose_eigenvalues_are_known(c, verdict):
    """All entries alike: (1 - c) u = cos(u)/4, with the eigenvalues c (249 times) and c - sin(u)/4."""
    found = pipeline.analysed(page(FIELD.format(c)), {}, None)
    assert found["leading"] and "along directions" in found["proof"]
    for p in found["fixed_points"]:
        u = p["at"][0]
        assert (1 - c) * u == pytest.approx(np.cos(u) / 4, abs=1e-10) and np.ptp(p["at"]) < 1e-9
        values = np.array([re for re, _ in p["eigenvalues"]])
        assert min(np.abs(values - (c - np.sin(u) / 4))) < 1e-8 and min(np.abs(values - c)) < 1e-8
        assert p["verdict"] == verdict
    assert found["fixed_points"] and "leading eigenvalues" in "\n".join(pipeline.analysis_lines(found, "text"))


def test_what_is_not_found_decides_nothing():
    assert _of_leading(np.array([0.2, 0.5]), False) == "stable"
    assert _of_leading(np.array([0.2, 1.5]), False) == "unstable"
    assert _of_leading(np.array([0.2, np.nan]), False) == "not decided by the leading eigenvalues"
    assert _of_leading(np.array([-0.2, np.nan]), True) == "not decided by the leading eigenvalues"
    assert _of_leading(np.array([0.2, 1.0]), False) == "not decided by the leading eigenvalues"

"""Many states: `analyze` of pages of more than 200 entries, whose fixed points and eigenvalues are known."""

from __future__ import annotations

import numpy as np
import pytest
from check import page

from symml import pipeline
from symml.methods.stability import _of_leading

FIELD = "dims n = 250\nstate u[n] = 0\nhyper c = {}\nm = 1/n sum[j] cos(u[j])\nu <- c u + 1/4 m"


@pytest.mark.parametrize(("c", "verdict"), [(0.4, "stable"), (1.5, "unstable")])
def test_a_field_of_many_whose_eigenvalues_are_known(c, verdict):
    """All entries alike: (1 - c) u = cos(u)/4, with the eigenvalues c (249 times) and c - sin(u)/4; the six largest are told."""
    found = pipeline.analysed(page(FIELD.format(c)), {}, None)
    assert found["leading"] and "along directions" in found["proof"]
    for p in found["fixed_points"]:
        u = p["at"][0]
        assert (1 - c) * u == pytest.approx(np.cos(u) / 4, abs=1e-10) and np.ptp(p["at"]) < 1e-9
        values = np.array([re for re, _ in p["eigenvalues"]])
        truth = np.sort([c] * 249 + [c - np.sin(u) / 4])[-6:]
        np.testing.assert_allclose(values, truth, atol=1e-8)
        assert p["verdict"] == verdict
    assert found["fixed_points"] and "leading eigenvalues" in "\n".join(pipeline.analysis_lines(found, "text"))


RAMP = "dims n = 250\nstate u[n] = 0\nhyper c = 0.9\nr[j] = (j + 1)/n u[j]\nu <- c r + 1/4"


def test_leading_eigenvalues_of_many_others():
    """Each entry by itself: u = 1/4/(1 - c (j + 1)/n), with the eigenvalues c (j + 1)/n."""
    (p,) = pipeline.analysed(page(RAMP), {}, None)["fixed_points"]
    values = 0.9 * np.arange(1, 251) / 250
    np.testing.assert_allclose(p["at"], 0.25 / (1 - values), atol=1e-9)
    np.testing.assert_allclose([re for re, _ in p["eigenvalues"]], values[-6:], atol=1e-8)
    assert p["verdict"] == "stable"


def test_what_is_not_found_decides_nothing():
    assert _of_leading(np.array([0.2, 0.5]), False) == "stable"
    assert _of_leading(np.array([0.2, 1.5]), False) == "unstable"
    assert _of_leading(np.array([0.2, np.nan]), False) == "not decided by the leading eigenvalues"
    assert _of_leading(np.array([-0.2, np.nan]), True) == "not decided by the leading eigenvalues"
    assert _of_leading(np.array([0.2, 1.0]), False) == "not decided by the leading eigenvalues"

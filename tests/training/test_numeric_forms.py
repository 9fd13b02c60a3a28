"""Every function that a fit calls has its bodies in their numeric form, those of a solver too."""

from __future__ import annotations

import numpy as np
import pytest
from check import page

from symml import pipeline
from symml.training import compose

A = np.array([1e16, 2e16, 3e16, 5e16])  # where sqrt(w a + 1) and sqrt(w a) are the same float
Y = 0.5e8 / np.sqrt(2 * A)
TEXT = """dims n
data a[n], y[n]
param w init 1.3
minimize sum[i] (1e8 * (sqrt(w a[i] + 1) - sqrt(w a[i])) - y[i])^2
"""


def fitted(method: str) -> float:
    fit = pipeline.train(page(TEXT + method), pipeline.Options("reference", "float64"), {"a": A, "y": Y}, 0)
    return float(fit.params["w"])


@pytest.mark.parametrize("method", ["", "train with gauss_newton"])
def test_residuals_and_their_derivative(method, monkeypatch):
    assert abs(fitted(method) - 2) < 1e-10
    monkeypatch.setattr(compose, "numeric", lambda program: program)
    assert fitted(method) == 1.3  # as written, nothing is left of the differences

"""How fast gradient descent is said to be, against how fast it is: on a quadratic everywhere, in a curved valley near its end."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from check import EXAMPLES, page

from symml import faces, pipeline
from symml.derivations import rate
from symml.runtime import drive, launch


def told(source):
    rows = pipeline.derivations(source, False, None, "matrix", {}, product="convexity")
    return [r["text"] for r in rows if r["section"] == "gradient"]


def steps_of(source, data, most, monkeypatch):
    """The parameters before each step."""
    seen = []

    def between(run):
        seen.append(run["x"].copy())
        if len(seen) > most:
            raise StopIteration

    kernel, _, bound, seed = pipeline.prepared(source, pipeline.Options(target="reference"), data, None)
    monkeypatch.setattr(drive, "PIECE", 0.0)
    with contextlib.suppress(StopIteration):
        launch.train(launch.problem(kernel, bound, {}, seed), between=between)
    return np.array(seen)


QUADRATIC = (
    "dims n, d\ndata X[n, d], y[n]\nparam w[d] init 1\nhyper lam > 0 = 0.1\n"
    "minimize 1/(2 n) ||X w - y||^2 + lam/2 ||w||^2\ntrain with sgd(lr = {lr!r}, batch = 40, epochs = 80, seed = 0)"
)


def test_a_step_of_one_over_l_contracts_as_derived(monkeypatch):
    rng = np.random.default_rng(2)
    data = {"X": rng.normal(size=(40, 3)) * [1, 2, 3], "y": rng.normal(size=40)}
    texts = told(page(QUADRATIC.format(lr=0.1)))
    assert "m = 1/n λmin(XᵀX) + λ" in texts
    assert "each step of 1/L leaves at most 1 − m/L of the distance to the optimum" in texts
    H = data["X"].T @ data["X"] / 40 + 0.1 * np.eye(3)
    m, *_, L = np.linalg.eigvalsh(H)
    best = np.linalg.solve(H, data["X"].T @ data["y"] / 40)
    for lr, bound in ((1 / L, 1 - m / L), (2 / (L + m), (L - m) / (L + m))):
        seen = steps_of(page(QUADRATIC.format(lr=float(lr))), data, 60, monkeypatch)
        left = np.linalg.norm(seen - best, axis=1)
        ratios = (left[1:] / left[:-1])[left[:-1] > 1e-6]
        assert ratios.max() <= bound * (1 + 1e-9) and ratios[-1] > bound - 1e-3, "the bound is met in the end"


def test_what_is_no_sum_of_its_parts_has_no_least_curvature(monkeypatch):
    body = "dims n, d\ndata X[n, d], y[n] in {0, 1}\nparam w[d]\nminimize 1/n sum[i] softplus(X[i]' w) + 1/20 ||w||^2"
    assert any("λmax" in t for t in told(page(body))) and not any("λmin" in t for t in told(page(body)))
    monkeypatch.setattr(rate, "_form", lambda *given: 0.0)
    assert not any("λmin" in t for t in told(page(QUADRATIC.format(lr=0.1))))


def test_the_valley_of_rosenbrock(monkeypatch):
    """Near (1, 1) the slow direction keeps 1 - lr h of its distance, h the least eigenvalue that `analyze` finds."""
    text = (
        (EXAMPLES / "rosenbrock.symml")
        .read_text()
        .replace("init -1.2", "init 1.0001")
        .replace("init 1\n", "init 1.0002\n")
    )
    source = page(text.split("\n", 1)[1].split("#>")[0] + "train with sgd(lr = 1e-3, epochs = 400)\n")
    result = pipeline.train(source, pipeline.Options(target="reference"), {}, None)
    found = pipeline.sharpness(result, "reference")
    predicted = max(abs(1 - 1e-3 * found.least), abs(1 - 1e-3 * found.largest))
    (line,) = [x for x in faces.sharpness_lines(result, found) if "near a minimum" in x]
    assert f"{predicted:.6g}" in line
    left = np.linalg.norm(steps_of(source, {}, 300, monkeypatch) - 1, axis=1)
    assert left[-1] / left[-2] == pytest.approx(predicted, abs=2e-6) and predicted < 1 - 3e-4

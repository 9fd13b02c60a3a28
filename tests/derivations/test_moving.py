"""`symml analyze` of pages whose update is an iteration or a recurrence: fixed points, Jacobians, verdicts, bifurcations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from check import page
from typer.testing import CliRunner

from symml import pipeline
from symml.cli.entry import app
from symml.errors import SymmlError

ROOT = "hyper a = 2\niterate x <- (x + a/x)/2 from a until |change| < 1e-12\nreport root = x"
LOGISTIC = (
    "dims T = 50\nhyper r = 2.8\nx[0] = 0.3\nx[t] = r x[t-1] (1 - x[t-1])   for t in 1..T-1\nreport last = x[T-1]"
)


def test_an_iteration():
    (found,) = pipeline.moving(page(ROOT), {"a": 3.0})
    assert found["moves"][0]["text"] == "x ← a/(2x) + x/2" and found["jacobian"][0]["text"] == "∂x′/∂x = 1/2 − a/(2x²)"
    points = found["fixed_points"]
    np.testing.assert_allclose([p["at"][0] for p in points], [-math.sqrt(3), math.sqrt(3)], rtol=1e-14)
    assert [p["verdict"] for p in points] == ["stable", "stable"] and abs(points[1]["eigenvalues"][0][0]) < 1e-12


def test_a_recurrence_is_the_map_of_its_step():
    (found,) = pipeline.moving(page(LOGISTIC), {}, ("r", 0.5, 3.9))
    np.testing.assert_allclose([p["at"][0] for p in found["fixed_points"]], [0, 1 - 1 / 2.8], atol=1e-13)
    np.testing.assert_allclose([p["eigenvalues"][0][0] for p in found["fixed_points"]], [2.8, 2 - 2.8], rtol=1e-12)
    assert [p["verdict"] for p in found["fixed_points"]] == ["unstable", "stable"] and not found["driven"]
    np.testing.assert_allclose([b["at"] for b in found["bifurcations"]], [1.0, 3.0], atol=1e-8)
    assert "period doubling" in found["bifurcations"][1]["kind"]


def test_a_recurrence_of_several_that_is_driven_at_a_fit():
    """Two coupled ones and what drives them, held at its last value: the linear system and its eigenvalues by numpy."""
    body = (
        "dims T\ndata x[T]\nparam w init 0.5\n"
        "u[0] = 0\nv[0] = 0\nu[t] = w u[t-1] + 1/4 v[t-1] + x[t]   for t in 1..T-1\nv[t] = u[t-1]/2   for t in 1..T-1\n"
        "minimize sum[t] (u[t] - x[t])^2 + (w - 1/2)^2"
    )
    data = {"x": np.array([0.3, 0.1, 0.4, 0.2])}
    source = page(body)
    result = pipeline.train(source, pipeline.Options(target="reference"), data, 0)
    (found,) = pipeline.moving(source, {}, result=result)
    w = float(result.params["w"])
    A = np.array([[w, 0.25], [0.5, 0.0]])
    order = [found["states"].index(name) for name in ("u", "v")]
    (point,) = found["fixed_points"]
    np.testing.assert_allclose(np.array(point["at"])[order], np.linalg.solve(np.eye(2) - A, [0.2, 0.0]), rtol=1e-10)
    np.testing.assert_allclose(sorted(re for re, _ in point["eigenvalues"]), np.sort(np.linalg.eigvals(A)), rtol=1e-10)
    assert found["driven"] and point["verdict"] == "stable"


def test_two_steps_back_are_no_map_of_one():
    body = "dims T = 9\nx[0] = 1\nx[1] = 1\nx[t] = x[t-1] + x[t-2]   for t in 2..T-1\nreport last = x[T-1]"
    with pytest.raises(SymmlError, match="more than one step back"):
        pipeline.moving(page(body), {})


def test_the_command(tmp_path):
    run = CliRunner().invoke
    spec = tmp_path / "root.symml"
    spec.write_text(f"model root\n{ROOT}\n")
    shown = run(app, ["analyze", str(spec)]).stdout
    assert "root   a map of x" in shown and "fixed point x = 1.41421 " in shown and "stable" in shown
    still = tmp_path / "still.symml"
    still.write_text("model still\nhyper a = 1\nreport b = a\n")
    told = run(app, ["analyze", str(still)])
    assert told.exit_code != 0 and "nothing moves" in str(told.exception)

"""`symml analyze` of pages whose update is an iteration or a recurrence: fixed points, Jacobians, verdicts, bifurcations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from check import page
from typer.testing import CliRunner

from symml import pipeline
from symml.cli.entry import app

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


HENON = (
    "dims T = 30\nhyper a = 0.3, b = 0.3\nx[0] = 0.1\nx[1] = 0.1\n"
    "x[t] = 1 - a x[t-1]^2 + b x[t-2]   for t in 2..T-1\nreport last = x[T-1]"
)


def test_steps_farther_back_are_states_of_their_own():
    """Henon's map: its fixed points are the roots of a x^2 + (1 - b) x - 1, its period doubles at a = 3 (1 - b)^2/4."""
    (found,) = pipeline.moving(page(HENON), {}, ("a", 0.05, 1.2))
    assert [m["text"] for m in found["moves"]] == ["x ← b x_1 + 1 − ax²", "x_1 ← x"]
    roots = np.sort(np.roots([0.3, 0.7, -1.0]))
    np.testing.assert_allclose([p["at"] for p in found["fixed_points"]], np.column_stack([roots, roots]), rtol=1e-12)
    for x, p in zip(roots, found["fixed_points"], strict=True):
        truth = np.sort(np.linalg.eigvals([[-0.6 * x, 0.3], [1.0, 0.0]]).real)
        np.testing.assert_allclose([re for re, _ in p["eigenvalues"]], truth, rtol=1e-10)
    assert [b["kind"].split(":")[0] for b in found["bifurcations"]] == ["period doubling"]
    assert found["bifurcations"][0]["at"] == pytest.approx(3 * 0.7**2 / 4, abs=1e-8)


def test_three_steps_back_of_several_with_names_that_are_taken():
    """A linear recurrence of a vector: its companion matrix by numpy; x_1 is another's name already."""
    body = (
        "dims T = 9, k = 2\nhyper c = 0.2\n"
        "x_1[0] = 1\nx_1[1] = 1\nx_1[2] = 1\nx_1[t] = 1/2 x_1[t-1] + c x[t-1, 0]   for t in 3..T-1\n"
        "x[0, j] = 1   for j in k\nx[1, j] = 1   for j in k\nx[2, j] = 1   for j in k\n"
        "x[t, j] = c x[t-1, j] - 1/2 x[t-3, j] + x_1[t-1]/4   for t in 3..T-1, j in k\n"
        "report last = x[T-1, 1] + x_1[T-1]"
    )
    (found,) = pipeline.moving(page(body), {})
    (point,) = found["fixed_points"]
    states = found["states"]
    A = np.zeros((7, 7))
    at = {name: i for i, name in enumerate(states)}
    first = [next(n for n in states if n == f"x[{j}]") for j in (0, 1)]
    for j, x in enumerate(first):
        chain = [x, *(n for n in states if n.endswith(f"[{j}]") and n != x)]
        assert len(chain) == 3
        A[at[x], at[x]], A[at[x], at[chain[2]]], A[at[x], at["x_1"]] = 0.2, -0.5, 0.25
        A[at[chain[1]], at[x]] = A[at[chain[2]], at[chain[1]]] = 1.0
    A[at["x_1"], at["x_1"]], A[at["x_1"], at[first[0]]] = 0.5, 0.2
    ours = np.array([complex(*v) for v in point["eigenvalues"]])
    np.testing.assert_allclose(np.sort_complex(ours), np.sort_complex(np.linalg.eigvals(A)), atol=1e-10)
    assert np.abs(np.linalg.eigvals(A * 1.01) - np.linalg.eigvals(A)).max() > 1e-3


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

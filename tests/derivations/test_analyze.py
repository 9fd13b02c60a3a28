"""Systems: fixed points, Jacobians, eigenvalues, verdicts and bifurcations against closed forms; sharpness against numpy."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from check import EXAMPLES, check_error
from typer.testing import CliRunner

from symml import analyze, pipeline
from symml.algorithms.lanczos import lanczos
from symml.cli.entry import app
from symml.errors import SpecError, SymmlError
from symml.methods.stability import Field, verdict
from symml.model.system import system
from symml.source import Source
from symml.syntax.parse import parse

SYSTEMS = EXAMPLES / "systems"


def facts(body: str, vary: tuple[str, float, float] | None = None, period: int = 1, **hypers: float) -> dict:
    return pipeline.analysed(Source("page.symml", f"model m\n{body}"), hypers, vary, period)


def example(name: str, vary: tuple[str, float, float] | None = None, period: int = 1, **hypers: float) -> dict:
    return pipeline.analysed(pipeline.read(SYSTEMS / f"{name}.symml"), hypers, vary, period)


def eigenvalues(point: dict) -> list[complex]:
    return [complex(re, im) for re, im in point["eigenvalues"]]


def test_lotka_volterra():
    found = example("lotka_volterra")
    here, there = found["fixed_points"]
    assert here["at"] == [0.0, 0.0] and here["verdict"] == "saddle"
    np.testing.assert_allclose(eigenvalues(here), [-1.0, 2 / 3], rtol=1e-14)
    np.testing.assert_allclose(there["at"], [1.0, 0.5], rtol=1e-14)
    assert there["verdict"] == "centre of the linearisation"
    np.testing.assert_allclose(eigenvalues(there), [-1j * math.sqrt(2 / 3), 1j * math.sqrt(2 / 3)], atol=1e-14)
    texts = [f["text"] for f in found["jacobian"]]
    assert texts == ["∂x′/∂x = a − by", "∂x′/∂y = −bx", "∂y′/∂x = cy", "∂y′/∂y = cx − d"]
    assert "complex step agrees" in found["proof"]


def test_logistic_map_doubles_its_period():
    found = example("logistic_map", ("r", 0.5, 3.9))
    assert [p["verdict"] for p in found["fixed_points"]] == ["unstable", "stable"]
    np.testing.assert_allclose([b["at"] for b in found["bifurcations"]], [1.0, 3.0], atol=1e-9)
    assert "period doubling" in found["bifurcations"][1]["kind"]
    found = example("logistic_map", ("r", 3.2, 3.6), period=2, r=3.2)
    assert [p["period"] for p in found["fixed_points"]] == [1, 2, 1, 2]
    orbit = sorted((4.2 + sign * math.sqrt(4.2 * 0.2)) / 6.4 for sign in (-1, 1))
    np.testing.assert_allclose([p["at"][0] for p in found["fixed_points"] if p["period"] == 2], orbit, rtol=1e-11)
    np.testing.assert_allclose([b["at"] for b in found["bifurcations"]], [1 + math.sqrt(6)] * 2, rtol=1e-11)


BIFURCATIONS = {
    "fold": ("state x\nhyper r = -1\nx' = r + x^2", ("r", -1.0, 1.01), 0.0, "fold"),
    "pitchfork": ("state x\nhyper r = -1\nx' = r x - x^3", ("r", -1.0, 1.01), 0.0, "exchange of stability"),
    "hopf": (
        "state x, y\nhyper a = 1, b = 1.5\nx' = a + x^2 y - (b + 1) x\ny' = b x - x^2 y",
        ("b", 1.0, 3.3),
        2.0,
        "Hopf",
    ),
    "neimark-sacker": ("state x, y\nhyper r = 0.5\nx <- y\ny <- r y (1 - x)", ("r", 1.5, 2.45), 2.0, "Neimark-Sacker"),
}


@pytest.mark.parametrize("name", BIFURCATIONS)
def test_bifurcations(name):
    body, vary, at, kind = BIFURCATIONS[name]
    found = facts(body, vary)["bifurcations"]
    assert len(found) == 1 and kind in found[0]["kind"]
    assert abs(found[0]["at"] - at) < 1e-8


def test_where_nothing_changes_nothing_is_found():
    assert facts("state x\nhyper r = 1\nx' = -r x", ("r", 0.5, 2.0))["bifurcations"] == []
    assert facts("state x\nx' = 1 + x^2")["fixed_points"] == []


def test_vectors_and_numpy_eigenvalues():
    found = facts("dims n = 3\nstate z[n]\nhyper r = 0.5\nz <- r tanh(z) + 1/10")
    (point,) = found["fixed_points"]
    z = np.array(point["at"])
    np.testing.assert_allclose(0.5 * np.tanh(z) + 0.1, z, rtol=1e-14)
    np.testing.assert_allclose(sorted(np.real(eigenvalues(point))), 0.5 * (1 - np.tanh(z) ** 2), rtol=1e-13)
    assert point["verdict"] == "stable" and "diag(1 − tanh(z)" in found["jacobian"][0]["text"]


def test_verdicts():
    flow = {(-1, -2): "stable node", (-1 + 1j, -1 - 1j): "stable focus", (1, 2): "unstable node", (1, -1): "saddle"}
    for values, word in flow.items():
        assert verdict(np.array(values), True) == word
    assert verdict(np.array([0.5, -0.5, 0.1]), False) == "stable" and verdict(np.array([1.5, 0.5]), False) == "saddle"
    assert verdict(np.array([0.0, -1.0]), True) == "not decided by the linearisation"


def test_a_wrong_jacobian_is_caught(monkeypatch):
    rows = Field._rows
    monkeypatch.setattr(Field, "_rows", lambda self, z: rows(self, z).T)
    with pytest.raises(SymmlError, match="the derived Jacobian is wrong"):
        example("lotka_volterra")


WRONG = [
    ("state x\nx' = x\nx' = 2 x", 4, "moves twice"),
    ("state x, y\nx' = x", 2, "does not move"),
    ("state x, y\nx' = x\ny <- y", 4, "not both"),
    ("state x\ny' = x", 3, "not a state"),
    ("state x\nx' = z", 3, "unknown name"),
    ("dims n = 2\nstate x, z[n]\nx' = z\nz' = z", 4, "moves by a column of n"),
    ("dims n\nstate z[n]\nz' = z", 2, "not known here"),
    ("hyper r\nstate x\nx' = r x", 2, "needs a value"),
    ("state x\ndata y[3]\nx' = x", 3, "no 'data'"),
]


@pytest.mark.parametrize("body, line, words", WRONG, ids=[w for _, _, w in WRONG])
def test_wrong_pages(body, line, words):
    with pytest.raises(SymmlError) as caught:
        system(parse(Source("page.symml", f"model m\n{body}")))
    errors = getattr(caught.value, "errors", (caught.value,))
    assert any(e.span.line == line and words in str(e) for e in errors), str(caught.value)


def test_a_system_is_not_trained_and_a_model_has_no_states():
    check_error(pipeline.read(SYSTEMS / "logistic_map.symml"), 6, 1, "symml analyze")
    check_error(Source("page.symml", "model m\nparam x\nx <- 2\nminimize x^2"), 3, 1, "write = for a definition")
    with pytest.raises(SpecError, match="no hyper-parameter"):
        example("logistic_map", ("q", 1.0, 2.0))
    with pytest.raises(SpecError, match="from less to more"):
        example("logistic_map", ("r", 2.0, 1.0))
    with pytest.raises(SpecError, match="of a map"):
        example("lotka_volterra", period=2)


def test_where_nothing_is_finite_that_is_said():
    with pytest.raises(SymmlError, match="no finite number"):
        facts("state x <= 0\nx' = log(x - 1)")
    (point,) = facts("state x > 0\nx' = log(x)")["fixed_points"]
    assert point["at"] == [1.0] and point["verdict"] == "unstable node"


def test_curvature_under_constraints_is_refused():
    body = "dims d = 3\nparam w[d]\nminimize ||w||^2  subject to  sum[i] w[i] = 1"
    with pytest.raises(SymmlError, match="under constraints"):
        pipeline.build(Source("page.symml", f"model m\n{body}"), pipeline.Options(purpose="curvature"))


def test_from_python():
    found = analyze(SYSTEMS / "logistic_map.symml", vary=("r", 2.5, 3.4))
    assert abs(found["bifurcations"][0]["at"] - 3) < 1e-9


def test_lanczos_finds_the_ends_of_the_spectrum():
    rng = np.random.default_rng(1)
    A = rng.normal(size=(60, 60))
    A = A + A.T
    values = np.linalg.eigvalsh(A)
    least, largest, _, residual = lanczos(lambda v: A @ v, rng.normal(size=60), 60, 1e-10)
    np.testing.assert_allclose([least, largest], values[[0, -1]], rtol=1e-9)
    assert residual <= 1e-8
    few = lanczos(lambda v: A @ v, rng.normal(size=60), 4, 1e-10)
    assert few[1] < values[-1] and few[3] > 1e-3, "a few steps come from inside and say how far they are"


def test_sharpness_of_ridge_is_the_largest_eigenvalue():
    result = pipeline.train(pipeline.read(EXAMPLES / "ridge.symml"), pipeline.Options(target="reference"), {}, None)
    found = pipeline.sharpness(result, "reference")
    X = result.bound.arrays["X"]
    values = np.linalg.eigvalsh(2 / len(X) * X.T @ X + 2 * 0.1 * np.eye(X.shape[1]))
    np.testing.assert_allclose([found.least, found.largest], values[[0, -1]], rtol=1e-10)
    assert found.largest_step == 2 / found.largest


def test_two_over_sharpness_is_where_descent_turns():
    """Below 2/sharpness plain gradient descent comes to the optimum, above it leaves."""
    page = (
        "model m\ndims n, d\ndata X[n, d], y[n]\nparam w[d] init 1\nhyper lam = 0.1\n"
        "minimize 1/n ||X w - y||^2 + lam ||w||^2\ntrain with sgd(lr = {lr}, batch = 40, epochs = 200, seed = 0)"
    )
    rng = np.random.default_rng(2)
    data = {"X": rng.normal(size=(40, 3)), "y": rng.normal(size=40)}
    options = pipeline.Options(target="reference")
    first = pipeline.train(Source("page.symml", page.format(lr="1e-3")), options, data, None)
    step = pipeline.sharpness(first, "reference").largest_step
    ends = {}
    for factor in (0.98, 1.02):
        result = pipeline.train(Source("page.symml", page.format(lr=repr(factor * step))), options, data, None)
        ends[factor] = result.outcome["history"][-1] / result.outcome["history"][len(result.outcome["history"]) // 2]
    assert ends[0.98] <= 1.0 < 10.0 < ends[1.02]


def test_the_command():
    run = CliRunner().invoke
    shown = run(app, ["analyze", str(SYSTEMS / "lotka_volterra.symml")]).stdout
    assert "fixed point x = 1, y = 0.5   eigenvalues ± 0.816497i    centre of the linearisation" in shown
    assert run(app, ["check", str(SYSTEMS / "lotka_volterra.symml")]).stdout == "lotka_volterra: no mistakes\n"
    latex = run(app, ["analyze", str(SYSTEMS / "lotka_volterra.symml"), "--format", "latex"]).stdout
    assert r"\frac{\partial x'}{\partial x} = a - b y" in latex
    words = ["analyze", str(SYSTEMS / "logistic_map.symml"), "--vary", "r=2.5..3.4", "--json"]
    assert abs(json.loads(run(app, words).stdout)["bifurcations"][0]["at"] - 3) < 1e-9
    told = run(app, ["analyze", str(EXAMPLES / "ridge.symml"), "--target", "reference"]).stdout
    assert "2/sharpness" in told and "sharpness 8.24842" in told

"""Levenberg-Marquardt: NIST's certified parameters from both published starts, scipy, closed forms, choice by form."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares

from symml import pipeline
from symml.errors import SymmlError
from symml.runtime.solve import PATHS
from symml.source import Source
from tests.check import check_agree

CASES = Path(os.environ.get("SYMML_CASES", "absent")) / "nist"
NAMES = "BoxBOD Chwirut2 DanWood Gauss1 Hahn1 Kirby2 Lanczos3 MGH10 MGH17 Misra1a Misra1b Nelson Rat42 Thurber".split()
DIGITS = 8


def statement(text: str, predictors: list[str]) -> tuple[str, str]:
    """NIST's `y = b1*(1-exp[-b2*x]) + e` as two sides in the language, data with their index."""
    left, right = text.replace("[", "(").replace("]", ")").replace("**", "^").split("=", 1)
    right = re.sub(r"\+\s*e\s*$", "", right.strip())
    for name in predictors:
        right = re.sub(rf"\b{name}\b", f"{name}[i]", right)
    return ("log(y[i])" if left.strip().startswith("log") else "y[i]"), right


def read(name: str) -> tuple[str, dict[str, np.ndarray], np.ndarray]:
    """A problem of NIST: its page with START for the starts, its data, rows (start 1, start 2, certified)."""
    lines = (CASES / f"{name}.dat").read_text().splitlines()
    rows = [m.groups() for line in lines if (m := re.match(r"\s*b\d+\s*=\s*(\S+)\s+(\S+)\s+(\S+)\s+\S+", line))]
    values = np.array(rows, float)
    head = max(k for k, line in enumerate(lines) if line.startswith("Data:"))
    data = np.array([line.split() for line in lines[head + 1 :] if line.strip()], float)
    begin = next(k for k, line in enumerate(lines) if line.startswith("Model:"))
    text = " ".join(lines[begin:head]).split("Parameters", 1)[1].split(")", 1)[1]
    text = re.search(r"(?:log\[y\]|y)\s*=.*?\+\s*e\b", text).group()
    xs = ["x"] if data.shape[1] == 2 else [f"x{k}" for k in range(1, data.shape[1])]
    left, right = statement(text, xs)
    over = ", ".join(f"b{k + 1}" for k in range(len(values)))
    page = (
        f"model nist\ndims n\ndata {', '.join(f'{x}[n]' for x in xs)}, y[n]\nparam START\n"
        f"minimize over {over}\n  sum[i] ({left} - ({right}))^2\n"
    )
    return page, dict(zip(["y", *xs], data.T, strict=True)), values.T


def started(page: str, start: np.ndarray) -> Source:
    return Source(
        "nist.symml", page.replace("START", ", ".join(f"b{k + 1} init {v!r}" for k, v in enumerate(start.tolist())))
    )


def digits(found: np.ndarray, certified: np.ndarray) -> float:
    """The digits to which the worst parameter agrees."""
    return float(-np.log10(np.max(np.abs(found - certified) / np.abs(certified)) + 1e-16))


@pytest.mark.skipif(not CASES.exists(), reason="NIST's data sets are not here: set SYMML_CASES")
@pytest.mark.parametrize("name", NAMES)
def test_nist(name):
    page, data, (first, second, certified) = read(name)
    for start in (first, second):
        assert digits(start, certified) < DIGITS
        result = pipeline.train(started(page, start), pipeline.Options(target="reference"), data, 0)
        assert result.kernel.manifest["method"]["name"] == "levenberg_marquardt"
        assert result.outcome["status"] == "converged"
        assert digits(result.x, certified) >= DIGITS, (start, result.outcome["steps"])


def test_digits_can_fail():
    assert digits(np.array([1.0, 2.00000001]), np.array([1.0, 2.0])) < DIGITS + 0.5
    assert digits(np.array([1.0, 2.000001]), np.array([1.0, 2.0])) < DIGITS


# the problem of Kowalik and Osborne (1968): eleven points, four parameters
KOWALIK = (
    [4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625],
    [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246],
    [0.19280693458, 0.19128232873, 0.12305650693, 0.13606233068],
)


@pytest.mark.parametrize("start", [(25.0, 39.0, 41.5, 39.0), (0.25, 0.39, 0.415, 0.39)])
def test_a_rational_function_from_afar(start):
    x, y, certified = map(np.array, KOWALIK)
    page = "model k\ndims n\ndata x[n], y[n]\nparam START\nminimize over b1, b2, b3, b4\n"
    page += "  sum[i] (y[i] - b1 (x[i]^2 + x[i] b2) / (x[i]^2 + x[i] b3 + b4))^2\n"
    found = pipeline.train(started(page, np.array(start)), pipeline.Options(target="reference"), {"x": x, "y": y}, 0)
    assert digits(found.x, certified) >= DIGITS


PEAK = """model peak
dims n
data x[n], y[n]
param h init 1, s init 10, m init 500
minimize over h, s, m
  1/n sum[i] (y[i] - h/s exp(-((x[i] - m)/s)^2/2))^2
METHOD"""


def peak() -> dict[str, np.ndarray]:
    x = np.r_[np.arange(400, 436, 5.0), np.arange(436.5, 465, 1.5), np.arange(465, 501, 5.0)]
    rng = np.random.default_rng(0)
    return {"x": x, "y": 1.55 / 4.09 * np.exp(-(((x - 451.5) / 4.09) ** 2) / 2) + 6e-3 * rng.normal(size=x.size)}


def test_a_peak_beside_the_start_is_found_by_another_path(monkeypatch):
    """One path ends in a flat curve; the start is kept and tried with small steps."""
    data = peak()
    near = least_squares(
        lambda b: data["y"] - b[0] / b[1] * np.exp(-(((data["x"] - b[2]) / b[1]) ** 2) / 2), (1.5, 5, 450), xtol=1e-15
    )
    page = PEAK.replace("METHOD", "")
    found = pipeline.train(Source("p", page), pipeline.Options(target="reference"), data, 0)
    np.testing.assert_allclose(found.outcome["loss"], 2 * near.cost / len(data["x"]), rtol=1e-9)
    monkeypatch.setattr("symml.runtime.solving.paths_of", lambda method, affine: PATHS[:1])
    flat = pipeline.train(Source("p", page), pipeline.Options(target="reference"), data, 0)
    assert flat.outcome["loss"] > 100 * found.outcome["loss"], "the start is no hard one"


def test_ridge_is_solved_in_one_path():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(40, 5)) * [1, 10, 100, 1e3, 1e4], rng.normal(size=40)
    page = "model r\ndims n, d\ndata X[n, d], y[n]\nparam w[d]\nhyper lam > 0 = 0.1\n"
    page += "minimize over w  1/n ||X w - y||^2 + lam/2 ||w||^2\ntrain with levenberg_marquardt\n"
    found = pipeline.train(Source("p", page), pipeline.Options(target="reference"), {"X": X, "y": y}, 0)
    exact = np.linalg.solve(2 / 40 * X.T @ X + 0.1 * np.eye(5), 2 / 40 * X.T @ y)
    np.testing.assert_allclose(found.x, exact, rtol=1e-10)
    assert found.outcome["steps"] < 15 and "affine" in found.kernel.manifest["method"]["reason"]


def test_parameters_that_the_data_do_not_tell_apart():
    x = np.linspace(0, 1, 9)
    page = (
        "model r\ndims n\ndata x[n], y[n]\nparam a init 1, b init 1\nminimize over a, b  sum[i] (y[i] - a b x[i])^2\n"
    )
    found = pipeline.train(Source("p", page), pipeline.Options(target="reference"), {"x": x, "y": 3 * x + x**2}, 0)
    best = np.polyfit(x, 3 + x, 0, w=x)[0]
    np.testing.assert_allclose(found.x[0] * found.x[1], best, rtol=1e-8)


@pytest.mark.parametrize(
    "loss", ["sum[i] softplus(-y[i] w x[i])", "sum[i] (y[i] - w x[i])^3", "-sum[i] (y[i] - w x[i])^2"]
)
def test_what_is_no_sum_of_squares(loss):
    page = f"model r\ndims n\ndata x[n], y[n]\nparam w init 1\nminimize over w  {loss}\n"
    assert pipeline.build(Source("p", page), pipeline.Options())[1]["method"]["name"] in ("lbfgs", "closed_form")
    with pytest.raises(SymmlError, match="sums of squares"):
        pipeline.build(Source("p", page + "train with gauss_newton\n"), pipeline.Options())


@pytest.mark.full
def test_gauss_newton_and_targets_agree():
    data = peak()
    page = PEAK.replace("METHOD", "train with gauss_newton").replace("s init 10, m init 500", "s init 5, m init 450")
    check_agree(Source("p", page), data, steps=5)


def test_a_run_that_goes_on_ends_on_the_same_bits(tmp_path):
    data, source = peak(), Source("p", PEAK.replace("METHOD", ""))
    options = pipeline.Options(target="reference")
    whole = pipeline.train(source, options, data, 0)

    class Enough(Exception):
        pass

    def stop(done, total, loss, gradient):
        if done > 30:
            raise Enough

    with pytest.raises(Enough):
        pipeline.train(source, options, data, 0, stop, pipeline.keeping_of(tmp_path / "run", None, 0.0))
    rest = pipeline.train(source, options, data, 0, None, pipeline.keeping_of(None, tmp_path / "run", 0.0))
    assert np.array_equal(rest.x, whole.x)

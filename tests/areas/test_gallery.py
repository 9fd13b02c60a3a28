"""The gallery: what its table claims holds, and a wrong figure, a missing derivation or a target that differs is seen."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from check import EXAMPLES, INTERPRETED, LONG, NAMES

from symml import gallery, pipeline
from symml.api import Fit
from symml.errors import FileError, SpecError

PROJECT = gallery.find()
CLAIMS = [c for c in gallery.claims(PROJECT) if c.example]
KNOWN: dict = {}


def row(claim, asked=("reference",)):
    return gallery.row(PROJECT, claim, KNOWN, asked)


SHORT = [c for c in CLAIMS if c.example not in LONG]


@pytest.mark.parametrize("claim", SHORT, ids=lambda c: c.figure)
def test_every_claim_holds(claim, monkeypatch):
    monkeypatch.setattr(PROJECT.oracles, "SEEDS", 3)
    found = row(claim)
    assert found["ok"], found
    assert found["derivation"] and all(t["difference"] < 1e-10 for t in found["targets"].values())
    assert set(found["targets"]) == ({"reference"} if claim.example in NAMES else set())


@functools.cache
def interpreted(example: str) -> Fit:
    """An example by the interpreter, for all its claims."""
    return Fit(pipeline.train(PROJECT.page(example), pipeline.Options(target="reference"), {}, None))


OTHER = {"mnist_accuracy": -1.0}  # what makes parameters wrong, as a factor: an accuracy hardly feels a small change


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.example in INTERPRETED], ids=lambda c: c.figure)
def test_a_claim_by_the_interpreter(claim):
    fit = interpreted(claim.example)
    found = gallery.row(PROJECT, claim, {claim.example: (fit, {})}, ())
    assert found["ok"], found
    moved = {k: v * OTHER.get(claim.figure, 1 + 1e-4) for k, v in fit.params.items()}
    wrong = SimpleNamespace(params=moved, loss=fit.loss, report=fit.report, _result=fit._result)
    assert getattr(PROJECT.oracles, claim.figure)(wrong) > claim.bound


@pytest.mark.parametrize("name", ["svm", "svm_dual"])
def test_a_street_of_few_tumours_is_libsvms(name, monkeypatch):
    """The oracle of the whole data on 40 rows, and its figure of another C."""
    values = PROJECT.oracles.table("breast_cancer")[:40]
    monkeypatch.setattr(PROJECT.oracles, "table", lambda _: values)
    data = {"X": PROJECT.oracles.standardised(values[:, :-1]), "y": values[:, -1]}
    options = pipeline.Options(target="reference")
    fit = Fit(pipeline.train(PROJECT.page(name), options, data, 0))
    assert getattr(PROJECT.oracles, name)(fit) < 1e-8
    other = SimpleNamespace(params={k: v * 1.01 for k, v in fit.params.items()}, loss=fit.loss)
    assert getattr(PROJECT.oracles, name)(other) > 1e-6


@pytest.mark.full
def test_every_claim_holds_on_every_target():
    known: dict = {}
    rows = [gallery.row(PROJECT, c, known) for c in CLAIMS]
    assert not [r for r in rows if not r["ok"]] and gallery.failing(rows) is None


def test_every_example_has_a_row():
    systems = {f"systems/{page.stem}" for page in (EXAMPLES / "systems").glob("*.symml")}
    assert {c.example for c in CLAIMS} == {*NAMES, *systems}
    assert [a["area"] for a in PROJECT.table["areas"]] == list(range(1, 22))


@pytest.mark.parametrize("figure", [1e-3, float("nan"), float("inf")])
def test_a_wrong_figure_is_not_ok(monkeypatch, figure):
    claim = next(c for c in CLAIMS if c.example == "ridge")
    assert row(claim)["ok"]
    monkeypatch.setattr(PROJECT.oracles, "ridge", lambda fit: figure)
    found = row(claim)
    assert not found["ok"] and gallery.failing([found]).exit_code == 3
    assert gallery.lines([found])[1].endswith("no")


def test_a_derivation_that_is_not_shown_is_not_ok():
    claim = next(c for c in CLAIMS if c.example == "ridge")
    found = row(replace(claim, derivation="2/n Xᵀ(Xw + y)"))
    assert not found["ok"] and found["derivation"] is None
    assert "derivation is not shown" in gallery.lines([found])[1]


def test_a_wrong_place_of_a_bifurcation_is_not_ok(monkeypatch):
    claim = next(c for c in CLAIMS if c.example == "systems/logistic_map")
    analysed = gallery.pipeline.analysed

    def shifted(*asked):
        found = analysed(*asked)
        return {**found, "bifurcations": [{**b, "at": b["at"] + 1e-6} for b in found["bifurcations"]]}

    monkeypatch.setattr(gallery.pipeline, "analysed", shifted)
    assert not row(claim)["ok"]


def test_a_target_that_differs_is_not_ok(monkeypatch):
    claim = next(c for c in CLAIMS if c.example == "ridge")
    train = gallery.launch.train

    def other(p, *rest):
        x, outcome = train(p, *rest)
        return (x * (1 + 1e-9), outcome) if p.kernel.module.__class__.__name__ == "SimpleNamespace" else (x, outcome)

    monkeypatch.setattr(gallery.launch, "train", other)
    found = gallery.row(PROJECT, claim, {}, ("reference",))
    assert not found["ok"] and found["targets"]["reference"]["difference"] == pytest.approx(1e-9, rel=1e-3)


@pytest.mark.parametrize(
    "given, off, ok", [(1 / 3, 4e-10, True), (1 / 3, 1e-8, False), (3.0, 4e-10, False), (1 / 3, float("nan"), False)]
)
def test_a_sensitive_problem_is_compared_with_what_a_last_bit_makes(monkeypatch, given, off, ok):
    """f = 1 + 10^7 (x - given): the last bit of a third makes 5.5e-10 of it, and that of 3 nothing."""

    def begun(source, target, data):
        return [1 + 1e7 * (data["x"] - given) + (off if target == "reference" else 0)]

    monkeypatch.setattr(gallery, "_begun", begun)
    monkeypatch.setattr(gallery, "given", lambda _: {"x": np.array([given])})
    found = gallery.targets(None, None, ("reference",))["reference"]
    assert found["ok"] is ok and ("last bit" in found["told"])


def test_open_areas_are_shown_and_are_not_ok():
    *_, claim = gallery.claims(PROJECT, [3])
    found = row(claim)
    assert found["example"] is None and found["ok"] is False
    assert gallery.lines([found])[1].split() == ["3", "open:", "spectral_embedding"]
    assert gallery.failing([found]) is None


def test_the_command(tmp_path):
    out = subprocess.run([sys.executable, "-m", "symml.cli", "gallery", "3", "--json"], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    *_, found = json.loads(out.stdout)["rows"]
    assert set(gallery.COLUMNS) <= set(found) and found["area"] == 3


def test_messages(tmp_path, monkeypatch):
    with pytest.raises(SpecError, match="no area 22"):
        gallery.claims(PROJECT, [22])
    monkeypatch.setattr(gallery, "TABLE", tmp_path / "nothing.toml")
    with pytest.raises(FileError, match="no gallery here"):
        gallery.find()


def test_without_the_development_packages_one_message_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(FileError, match="'sklearn' is not installed"):
        _ = gallery.Project(PROJECT.root).oracles

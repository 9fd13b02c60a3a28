"""The updates of the optimiser of a page: with what the page gives, and refused where there is none."""

from __future__ import annotations

import pytest
from check import EXAMPLES, page

from symml import pipeline
from symml.errors import SpecError


def told(source, form="text"):
    rows = pipeline.derivations(source, False, None, "matrix", {}, product="updates")
    return [line.strip(" %") for line in pipeline.told(rows, form)]


def test_updates_of_a_page():
    source = pipeline.read(EXAMPLES / "adam.symml")
    assert {"v ← β₂ v + (1 − β₂) g²", "lr = 0.05", "β₁ = 0.9"} <= set(told(source))
    assert r"v \leftarrow \beta_{2} v + \left(1 - \beta_{2}\right) g^{2}" in told(source, "latex")


def test_schedules_are_told():
    body = "param a init 1\nminimize (a - 2)^2\ntrain with sgd(lr = exponential(0.1, 0.9), batch = 1, epochs = 3)"
    shown = ["lr = exponential(0.1, 0.9)", "exponential(start, end) = start (end/start)^(t/T)"]
    assert set(shown) <= set(told(page(body))) and "lr = 0.01" not in told(page(body))


@pytest.mark.parametrize("method", ["", "\ntrain with lbfgs"])
def test_without_an_optimiser(method):
    with pytest.raises(SpecError, match="not trained with an optimiser"):
        told(page(f"param a init 1\nminimize (a - 2)^2{method}"))


@pytest.mark.parametrize("shelf, key", [("optimizers", "updates"), ("schedules", "definition")])
def test_every_page_of_the_library_is_written_as_it_stands(shelf, key):
    """Each line reads again as the page's own (page_text); its LaTeX keeps the order, brackets are in pairs."""
    for row in pipeline.shelf(shelf):
        lines = row[key] if isinstance(row[key], list) else [row[key]]
        for line in lines:
            latex = line["latex"]
            assert latex.count("{") == latex.count("}") and latex.count(r"\left") - latex.count(r"\leftarrow") == (
                latex.count(r"\right")
            )
    sgd = next(r for r in pipeline.shelf("optimizers") if r["name"] == "sgd")
    assert sgd["updates"] == [{"latex": r"\theta \leftarrow \theta - \mathrm{lr} \, g", "text": "θ ← θ − lr g"}]

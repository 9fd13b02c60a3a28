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
    assert {"v <- beta2 v + (1 - beta2) g^2", "lr = 0.05", "beta1 = 0.9"} <= set(told(source))
    assert r"v \leftarrow \beta_{2} v + g^{2} \left(1 - \beta_{2}\right)" in told(source, "latex")


def test_schedules_are_told():
    body = "param a init 1\nminimize (a - 2)^2\ntrain with sgd(lr = exponential(0.1, 0.9), batch = 1, epochs = 3)"
    assert "lr by its schedule" in told(page(body)) and "lr = 0.01" not in told(page(body))


@pytest.mark.parametrize("method", ["", "\ntrain with lbfgs"])
def test_without_an_optimiser(method):
    with pytest.raises(SpecError, match="not trained with an optimiser"):
        told(page(f"param a init 1\nminimize (a - 2)^2{method}"))

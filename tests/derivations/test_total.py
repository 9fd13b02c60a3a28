"""`symml derive --total`: the chain rule in print, its factors, and that a wrong factor or a wrong sum is seen."""

from __future__ import annotations

import pytest
from check import EXAMPLES, page

from symml import pipeline
from symml.derivations import total
from symml.errors import NumericError, SpecError

CURVE = "param t init 1\nx = cos t\ny = x sin t\nf = x^2 y + t y\nminimize over t  f"
VECTORS = "dims n, d\ndata A[n, d]\nparam w[d], t init 0\nu = A w\ns = sum[i] u[i]^3\nv = t u\nminimize  s + v' v"
MATRIX = "dims n\ndata A[n, n]\nparam t init 1\nM = t A\nf = tr(M' M) + t\nminimize  f"


def told(text: str, name: str, wrt: str | None = None) -> dict[str, str]:
    """The right side of each line by its left side."""
    rows = pipeline.derivations(page(text), False, wrt, "matrix", {}, product="total", argument=name)
    assert all("agrees" in r["proof"] for r in rows)
    return dict(r["text"].split(" = ", 1) for r in rows[:-1]) | {"written out": rows[-1]["text"].split(" = ", 1)[1]}


def test_along_a_curve():
    found = told(CURVE, "f")
    assert found.pop("written out")
    assert found == {
        "df/dt": "∂f/∂x dx/dt + ∂f/∂y dy/dt + ∂f/∂t",
        "∂f/∂x": "2xy",
        "dx/dt": "−sin(t)",
        "∂f/∂y": "t + x²",
        "dy/dt": "cos(t)² − sin(t)²",
        "∂f/∂t": "y",
    }


def test_through_vectors_and_matrices():
    assert told(VECTORS, "s", "w")["ds/dw"] == "(du/dw)ᵀ ∂s/∂u" and told(VECTORS, "s", "w")["du/dw"] == "A"
    assert told(VECTORS, "v", "w")["dv/dw"] == "∂v/∂u du/dw"
    found = told(MATRIX, "f")
    assert found["df/dt"] == "⟨∂f/∂M, dM/dt⟩ + ∂f/∂t" and (found["∂f/∂M"], found["dM/dt"]) == ("2M", "A")


def test_nothing_between():
    first, last = pipeline.derivations(page(CURVE), False, None, "matrix", {}, product="total", argument="x")
    assert "it is the partial derivative" in first["text"] and last["text"] == "dx/dt = −sin(t)"


REFUSED = {
    ("mlp", "Z"): "through 'Z' is no product of matrices",
    ("rnn", "s"): "'s' is a recurrence",
    ("mlp", "Q"): "'Q' is not defined",
}


@pytest.mark.parametrize("asked", REFUSED)
def test_refused(asked):
    with pytest.raises(SpecError, match=REFUSED[asked]):
        pipeline.derivations(
            pipeline.read(EXAMPLES / f"{asked[0]}.symml"), False, None, "matrix", {}, product="total", argument=asked[1]
        )


def test_a_part_that_is_left_out_is_seen(monkeypatch):
    between, held, found = total._between, total._held, []

    def first(*asked):
        found[:] = between(*asked)
        return tuple(found[:1])

    monkeypatch.setattr(total, "_between", first)
    monkeypatch.setattr(total, "_held", lambda program, _: held(program, found))
    with pytest.raises(NumericError, match="wrong: the sum of products"):
        told(CURVE, "f")

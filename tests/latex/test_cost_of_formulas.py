"""Formulas of a page are made in a time that grows with it as its statements do: counted, not measured by a clock."""

from __future__ import annotations

from collections import Counter

import pytest

from symml.analysis import analyse
from symml.ir.program import Tensor
from symml.latex import compared, derivation
from symml.latex.derivation import formula
from symml.latex.matrix_form import Recogniser
from symml.latex.tree import Node
from symml.proof.samples import sample
from symml.source import Source


def deep(layers: int) -> str:
    """A network whose layers are normalised over the rows."""
    lines = ["dims n, h = 3", "data X[n, h], y[n, h]"]
    before = "X"
    for k in range(1, layers + 1):
        lines += [f"param W{k}[h, h]", f"A{k} = {before} W{k}", f"m{k}[j] = mean[i] A{k}[i, j]"]
        lines += [f"v{k}[j] = mean[i] (A{k}[i, j] - m{k}[j])^2"]
        lines += [f"H{k}[i, j] = tanh((A{k}[i, j] - m{k}[j]) / sqrt(v{k}[j] + 1e-5))"]
        before = f"H{k}"
    over = ", ".join(f"W{k}" for k in range(1, layers + 1))
    return "\n".join([*lines, f"minimize over {over}  ||{before} - y||^2"])


def test_a_definition_is_read_once_or_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a name and as what it says. Where what is known was not kept, each way to a definition counted."""
    a, read, real = analyse(Source("deep.symml", deep(3))), Counter(), Recogniser._defined
    kept = []  # so that no two of them have one id

    def counted(self: Recogniser, t: Tensor) -> Node:
        kept.append(self)
        read[id(self), t] += 1
        return real(self, t)

    monkeypatch.setattr(Recogniser, "_defined", counted)
    formula(a.derivative, a.derivative.outputs["d_W1"], sample, given={})
    assert len(read) > 50 and max(read.values()) <= 2


def test_a_formula_is_compared_at_one_set_of_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    a, count = analyse(Source("deep.symml", deep(2))), [0]

    def counted(*args: object, **more: object) -> list:
        count[0] += 1
        return compared.draws(*args, **more)

    monkeypatch.setattr(derivation, "draws", counted)
    formula(a.derivative, a.derivative.outputs["d_W1"], sample, given={})
    assert count[0] <= 3

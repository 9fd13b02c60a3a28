"""What is written down for a reader has the values of the program it stands for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from symml import analysis
from symml.calculus.second import hessian
from symml.ir.evaluate import evaluate
from symml.ir.program import Access, flat
from symml.proof.samples import sample
from symml.rewrite.for_print import for_print

EXAMPLES = Path(__file__).parents[2] / "examples"


def programs(name: str):
    a = analysis.analyse(analysis.read(EXAMPLES / f"{name}.symml"))
    first, *_, last = a.model.over
    return a.derivative, hessian(a.derivative, first, last).program


def outputs(program, values, dims) -> list[np.ndarray]:
    found = evaluate(program, {t: values[t] for t in program.inputs}, dims)
    return [found[t] for t in program.outputs.values()]


@pytest.mark.parametrize("name", ["hmm", "gcn", "rnn", "mlp", "gaussian_mle"])
def test_values_are_the_same(name):
    for program in programs(name):
        short = for_print(program, ())
        values, dims = sample(program, np.random.default_rng(3))
        for a, b in zip(outputs(program, values, dims), outputs(short, values, dims), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-14)


def test_axes_on_which_nothing_depends_are_gone():
    _, program = programs("gcn")
    short = for_print(program, ())
    assert len(list(flat(short.statements))) < len(list(flat(program.statements)))
    ranks = [sum(len(s.out.shape) for s in flat(p.statements)) for p in (program, short)]
    assert ranks[1] < ranks[0]


def test_the_comparison_sees_a_wrong_program():
    program, _ = programs("mlp")
    short = for_print(program, ())
    s = next(s for s in short.statements if getattr(s, "body", None) is not None and s.body.atoms(Access))
    wrong = replace(short, statements=tuple(replace(x, body=2 * x.body) if x is s else x for x in short.statements))
    values, dims = sample(program, np.random.default_rng(3))
    pairs = zip(outputs(program, values, dims), outputs(wrong, values, dims), strict=True)
    assert any(np.max(np.abs(a - b)) > 1e-6 for a, b in pairs)

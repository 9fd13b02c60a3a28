"""Derivatives that others derived: each case is derived, compared with the answer, and printed no longer than it by a fifth."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from answers import Answer

from symml import pipeline
from symml.ir.evaluate import evaluate
from symml.model.letters import problem
from symml.proof.samples import sample
from symml.source import Source

CASES = Path(os.environ.get("SYMML_CASES", "")) / "derivatives.json"
MOST = 1.2
STEP = 1e-6
# Answers that a case tells in prose, and what a case assumes without saying so.
SPOKEN = {
    "x if w.x+b>0 else 0": "(w'*x+b>0)*x",
    "(2/N)*sum_i e_i*x_i*[w.x_i+b>0], e_i=max(0,..)-y_i": "2/N*x'*(e.*(x*w+b>0)), e=max(0,x*w+b)-y",
    "diag(s)-s*s'": "diag(s)-s*s', s=softmax(z)",
}
SIGNS = "log(1+exp(-y.*(X*w)))"  # labels are -1 and 1


def cases() -> list[dict]:
    return json.loads(CASES.read_text()) if CASES.is_file() else []


def asked(case: dict) -> tuple[Source, str, dict[str, str]]:
    """The expression, what it is derived by, and the kinds that the case itself tells."""
    text = re.sub(r"\s+st\s.*|\s*\(Hessian\)", "", case["expr"])
    kinds = {"v": "matrix"} if "M=v*B" in case["answer"] else {}
    return Source("-e", text), case["wrt"], kinds


@pytest.mark.skipif(not cases(), reason="SYMML_CASES names no folder with derivatives.json")
@pytest.mark.parametrize("case", cases(), ids=lambda c: c["id"])
def test_case(case):
    source, wrt, kinds = asked(case)
    answer = Answer(SPOKEN.get(case["answer"], case["answer"]))
    (row,) = pipeline.derivations(source, True, wrt, "matrix", kinds)
    assert row["form"] == "matrix" and "agrees" in row["proof"] and row["printed_error"] < 1e-9
    assert row["nodes"] <= MOST * answer.length, f"{row['nodes']} / {answer.length}: {row['text']} where {row['where']}"
    truth, found = compared(source, wrt, kinds, answer, signs=SIGNS in case["expr"])
    np.testing.assert_allclose(found, truth, rtol=1e-6, atol=1e-7)


def compared(
    source: Source, wrt: str, kinds: dict[str, str], answer: Answer, signs: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The answer and central differences of the expression (of its gradient for a Hessian), at one random point."""
    name, *again = wrt.split(",")
    model, program = problem(source, name, kinds)
    if again:
        program = pipeline.differentiate(model, program).derivative
    output = program.outputs[f"d_{name}" if again else next(iter(program.outputs))]
    values, dims = sample(program, np.random.default_rng(5))
    for t in values if signs else ():
        values[t] = np.sign(values[t]) if t.name == "y" else values[t]
    arrays = {t.name: np.asarray(a, float).reshape(*a.shape, *(1,) * (2 - a.ndim)) for t, a in values.items()}
    x = model.over[0]
    arrays["eye"] = np.eye(max(values[x].size, 1))
    columns = []
    for at in np.ndindex(values[x].shape):
        ends = []
        for h in (STEP, -STEP):
            moved = np.array(values[x], float)
            moved[at] += h
            ends.append(np.asarray(evaluate(program, {**values, x: moved}, dims)[output], float).ravel())
        columns.append((ends[0] - ends[1]) / (2 * STEP))
    found = np.array(columns).T
    truth = answer.value(arrays)
    return truth, found.reshape(truth.shape) if found.size == truth.size else found


def test_the_harness_sees_a_wrong_answer():
    """Negative control: an answer without its transpose is not the derivative."""
    right, found = compared(Source("-e", "tr(A*X*B)"), "X", {}, Answer("A'*B'"), False)
    np.testing.assert_allclose(found, right, rtol=1e-6, atol=1e-7)
    wrong, found = compared(Source("-e", "tr(A*X*X*B)"), "X", {}, Answer("A'*B'*X'"), False)
    assert np.abs(wrong - found).max() > 1e-3


@pytest.mark.parametrize(
    "text, length", [("2*A'*(X*B+C)", 9), ("a/b", 3), ("-inv(X)'", 4), ("diag(s)-s*s', s=softmax(z)", 10), ("x-y", 4)]
)
def test_lengths_of_answers(text, length):
    assert Answer(text).length == length

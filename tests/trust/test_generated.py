"""Generated pages: gradients against the complex step, loops against the interpreter, compiled code against both.

In each run 2,000 pages are interpreted and 100 compiled, of which one in twenty is of full length; `-m full` interprets
10,000 of full length. tests/trust/README.md has the figures of the last full run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from trust import compiled, oracle
from trust.generator import text

from symml import pipeline
from symml.errors import SymmlError
from symml.rewrite.numeric.engine import numeric
from symml.source import Source

PAGES = 2_000
LONG = 20  # every so many pages one is of full length
ALL_PAGES = 10_000
CHUNK = 250
COMPILED = 100
FIRST_COMPILED = 50_000
MOST_REFUSED = 0.02
MOST_ROUNDING = 0.001


def judged(seeds: range, long: int = 1) -> Counter:
    """Verdicts by kind, one page in `long` of full length; a wrong one fails at once, with its page."""
    found: Counter = Counter()
    for seed in seeds:
        short = seed % long > 0
        verdict = oracle.judge(seed, short)
        assert verdict.kind != "wrong", f"{verdict}\n{text(seed, short)}"
        found[verdict.kind] += 1
    return found


@pytest.mark.parametrize("first", range(0, PAGES, CHUNK))
def test_gradients_of_generated_pages(first):
    found = judged(range(first, first + CHUNK), LONG)
    assert found["refused"] <= MOST_REFUSED * CHUNK, found
    assert found["rounding"] + found["kink"] <= 1, found


@pytest.mark.full
def test_gradients_of_all_generated_pages():
    found = judged(range(ALL_PAGES))
    print(dict(found))
    assert found["refused"] <= MOST_REFUSED * ALL_PAGES, found
    assert found["rounding"] + found["kink"] <= MOST_ROUNDING * ALL_PAGES, found


def test_compiled_pages_compute_what_the_interpreter_computes():
    """value_and_grad of 100 pages in their numeric forms, in modules of 25, over rows that fill blocks and leave a rest."""
    cases = []
    seed = FIRST_COMPILED
    while len(cases) < COMPILED:
        seed += 1
        try:
            a = pipeline.analyse(Source("page.symml", text(seed, seed % LONG > 0)))
        except SymmlError:
            continue
        case = oracle.case(a, seed, rows=(5, 70, 131)[seed % 3], entries=1)
        cases.append(replace(case, printed=numeric(a.derivative)))
    assert compiled.compare(cases) == []


def test_the_same_seed_gives_the_same_page():
    assert text(17) == text(17) != text(18)


@pytest.mark.parametrize(
    "word", ["where", "argmax", "logsumexp", "prod[", "softmax", "||", "'", "[c1[", "count[", "maximize"]
)
def test_the_generator_reaches(word):
    assert any(word in text(seed, seed % LONG > 0) for seed in range(PAGES))


def a_case(body: str, seed: int = 1) -> oracle.Case:
    return oracle.case(pipeline.analyse(Source("page.symml", f"model m\n{body}")), seed)


def test_a_wrong_gradient_is_seen():
    """The negative control: one statement of a derivative with another sign."""
    c = a_case("dims n\ndata x[n]\nparam w[n]\nminimize sum[i] exp(w[i] x[i])")
    assert oracle.compared(c, 0).kind == "right"
    *others, last = c.analysis.derivative.statements
    broken = c.analysis.derivative.with_statements([*others, replace(last, body=-last.body)])
    assert oracle.compared(replace(c, analysis=replace(c.analysis, derivative=broken)), 0).kind == "wrong"


def test_what_float64_rounds_is_told_from_what_is_wrong():
    """1 - cos cancels: the formula is right at 60 digits and off by more than 1e-9 in float64."""
    c = a_case("param w\nminimize (1 - cos(w/1000000)) * 1000000000000")
    found = np.array([0.0])
    assert oracle.decided(c, found, 0).kind == "rounding"


def test_wrong_compiled_code_is_seen():
    c = a_case("dims n\ndata x[n, 2]\nparam w[n]\nminimize sum[i] exp(w[i] x[i, 0])")
    *others, last = c.analysis.derivative.statements
    broken = c.analysis.derivative.with_statements([*others, replace(last, body=2 * last.body)])
    found = compiled.compare([replace(c, printed=broken)])
    assert len(found) == 1 and "d_w" in found[0]

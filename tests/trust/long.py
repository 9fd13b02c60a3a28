"""The long runs in pieces: what FILE holds already is not done again, so that a run can be stopped and go on.

    python tests/trust/long.py pages FILE [FIRST LAST]    verdicts on generated pages of full length
    python tests/trust/long.py faults FILE [WORD ...]     verdicts on the faults whose key holds one of the words
    python tests/trust/long.py numeric FILE [WORD ...]    verdicts on formulas of tests/rewrite/test_numeric.py

FILE holds a JSON list a line, [seed, kind, text], [key, verdict, seconds] or [formula, verdict, [form, samples, seconds]]; a
fault that was not seen is tried again, and a formula that missed its bar or has another form now. The last line counts.
tests/trust/README.md has the figures of the last run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from rewrite import test_numeric
from sympy.core.cache import clear_cache
from trust import equivalent, faults, oracle, trial
from trust.test_faults import SEEDS
from trust.test_generated import ALL_PAGES

from symml.ir.program import flat
from symml.proof import balls, numerics
from symml.proof.numerics import draw

MANY, BOTH = 100_000, 200  # samples of a range; of both truths
PAGES_A_CACHE = 100  # sympy's cache holds every expression it ever saw


def pages(todo: Iterable[int]) -> Iterator[list]:
    """The verdicts on pages; an exception is one."""
    for count, seed in enumerate(todo):
        if count % PAGES_A_CACHE == 0:
            clear_cache()
        verdict = oracle.judge(seed)
        yield [seed, verdict.kind, verdict.text]


def seeded(todo: Iterable[faults.Fault]) -> Iterator[list]:
    """The verdicts on faults; "" where no oracle saw it."""
    prepared = trial.Trial(SEEDS)
    for fault in todo:
        start = time.monotonic()
        yield [fault.key, prepared.tried(fault), round(time.monotonic() - start, 2)]


def formulas(todo: Iterable[str]) -> Iterator[list]:
    """Both ranges of a formula: "held", or the worst sample of each range that misses the bar. With python-flint the truth is
    arb's, after it was compared with symml's own."""
    faster = importlib.util.find_spec("flint") is not None
    for formula in todo:
        if faster:
            _agree(formula)
        start, verdicts, known = time.monotonic(), [], 0
        naive, final = test_numeric.forms(formula)
        for powers in test_numeric.RANGES:
            at = draw(naive, MANY, np.random.default_rng(5), powers)
            found = test_numeric.judged(naive, final, at)
            known += int(found.known.sum())
            if found.missed.any():
                verdicts.append(f"missed ({powers}: {test_numeric.worst(at, found)})")
        yield [formula, "; ".join(verdicts) or "held", [_form(formula), known, round(time.monotonic() - start, 2)]]


def _agree(formula: str) -> None:
    """Both truths at the first samples; from here on arb's."""
    from trust import arb

    naive, _ = test_numeric.forms(formula)
    own = (balls.settled, balls.sensitivity), (arb.settled, arb.sensitivity)
    for powers in test_numeric.RANGES:
        at = draw(naive, BOTH, np.random.default_rng(5), powers)
        found = []
        for numerics.settled, numerics.sensitivity in own:
            found.append(numerics.exact_values(naive, at).astype(float))
        known = np.isfinite(found).all(axis=0)
        assert (found[0][known] == found[1][known]).all(), f"two truths of {formula}"


def _form(formula: str) -> str:
    """The numeric form, shortened."""
    (body,) = (s.body for s in flat(test_numeric.programs(formula)[1].statements))
    return hashlib.sha256(str(body).encode()).hexdigest()[:12]


def main(kind: str, file: str, *rest: str) -> None:
    path = Path(file)
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines()) if path.exists() else ()
    facts = {key: (verdict, fact) for key, verdict, fact in lines}
    found = {key: verdict for key, (verdict, _) in facts.items()}
    if kind == "pages":
        first, last = map(int, rest or (0, ALL_PAGES))
        verdicts = pages(seed for seed in range(first, last) if seed not in found)
    elif kind == "numeric":
        every = [f for f in test_numeric.FORMULAS if not rest or any(word in f for word in rest)]
        verdicts = formulas(f for f in every if found.get(f) != "held" or facts[f][1][0] != _form(f))
    else:
        every = [f for f in faults.faults() if not equivalent.reason(f) and not found.get(f.key)]
        verdicts = seeded([f for f in every if not rest or any(word in f.key for word in rest)])
    with path.open("a", encoding="utf-8") as out:
        for line in verdicts:
            print(json.dumps(line, ensure_ascii=False), file=out, flush=True)
            found[line[0]] = line[1]
    print(dict(Counter(re.split(" on | \\(", verdict)[0] for verdict in found.values())))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The long runs in pieces: what FILE holds already is not done again, so that a run can be stopped and go on.

    python tests/trust/long.py pages FILE [FIRST LAST]    verdicts on generated pages of full length
    python tests/trust/long.py faults FILE [WORD ...]     verdicts on the faults whose key holds one of the words

FILE holds a JSON list a line, [seed, kind, text] or [key, verdict, seconds]; a fault that was not seen is tried again, and
the last line counts. tests/trust/README.md has the figures of the last run.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sympy.core.cache import clear_cache
from trust import equivalent, faults, oracle, trial
from trust.test_faults import SEEDS
from trust.test_generated import ALL_PAGES

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


def main(kind: str, file: str, *rest: str) -> None:
    path = Path(file)
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines()) if path.exists() else ()
    found = {key: verdict for key, verdict, _ in lines}
    if kind == "pages":
        first, last = map(int, rest or (0, ALL_PAGES))
        verdicts = pages(seed for seed in range(first, last) if seed not in found)
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

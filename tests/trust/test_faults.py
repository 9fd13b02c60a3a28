"""Seeded faults: of each rule that is changed in one place, an oracle must see it, or the change changes no value.

In each run a sample of 12; `-m full` tries all. tests/trust/README.md has the figures of the last full run.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from trust import faults, trial
from trust.equivalent import reason
from trust.length import length

from symml.calculus import reverse

SAMPLE = 12
SEEDS = range(60_000, 60_025)
LEAST = 300


def chosen() -> list[faults.Fault]:
    """The sample: a change of one rule changes no other member."""
    return sorted((f for f in faults.faults() if not reason(f)), key=faults.rank)[:SAMPLE]


@pytest.fixture(scope="module")
def prepared():
    return trial.Trial(SEEDS)


def test_a_sample_of_faults_is_seen(prepared):
    unseen = [str(f) for f in chosen() if not prepared.tried(f)]
    assert not unseen, "\n".join(unseen)


@pytest.mark.full
def test_every_fault_is_seen(prepared):
    every = faults.faults()
    tried = [f for f in every if not reason(f)]
    assert len(tried) >= LEAST
    found = {f: prepared.tried(f) for f in tried}
    print(len(every), len(tried), Counter(v.split(" on ")[0] for v in found.values()))
    unseen = [str(f) for f, v in found.items() if not v]
    assert not unseen, "\n".join(unseen)


def test_a_fault_that_changes_nothing_is_not_seen(prepared):
    """The control: a child without a change has nothing to show."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, (prepared.verdict() or "-").encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"-"
    os.wait()


def test_a_longer_derivative_is_seen():
    """The control: what simplification has not shortened yet is longer."""
    a = trial.analysed("page", "dims n\ndata x[n]\nparam w[n]\nminimize sum[i] (w[i] x[i])^2 + sum[i] sin(w[i])")
    raw = reverse.gradient(a.forward, "loss", a.model.over)
    assert "statements" in length(raw).longer_than(length(a.derivative))
    assert not length(a.derivative).longer_than(length(a.derivative))

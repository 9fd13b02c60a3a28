"""Certificates of generated pages against midpoints: what is called convex has none above its chord.

SYMML_CERTIFICATES=1000 asks for that many pages; a page whose derivation is refused says nothing.
"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
from trust.generator import text

from symml import pipeline
from symml.derivations import convexity
from symml.derivations.convexity import certificate
from symml.errors import SymmlError
from symml.ir.evaluate import evaluate
from symml.methods.convexity import Certificate
from symml.proof.samples import sample
from symml.source import Source

PAGES = int(os.environ.get("SYMML_CERTIFICATES", "40"))
SPREADS = (0.3, 1.0, 3.0)


def excess(a: pipeline.Analysis, curvature: str, rng: np.random.Generator) -> float:
    """By how much a midpoint lies on the wrong side of its chord, relative; what is not finite says nothing."""
    worst, loss = 0.0, a.forward.outputs["loss"]
    for spread in SPREADS:
        values, dims = sample(a.forward, rng)
        ends = [{t: rng.normal(size=np.shape(values[t])) * spread for t in a.model.over if t in values} for _ in "ab"]
        middle = {t: (ends[0][t] + ends[1][t]) / 2 for t in ends[0]}
        with np.errstate(all="ignore"):
            one, two, m = (float(evaluate(a.forward, {**values, **x}, dims)[loss]) for x in (*ends, middle))
        if not np.isfinite([one, two, m]).all():
            continue
        gap = (m - (one + two) / 2) / max(1.0, abs(one), abs(two))
        worst = max(worst, {"convex": gap, "concave": -gap}.get(curvature, abs(gap)))
    return worst


def contradictions(seeds: range) -> tuple[Counter, list[int]]:
    """How many pages have which curvature, and the seeds of those that a midpoint contradicts."""
    counts, wrong = Counter(), []
    for seed in seeds:
        try:
            a = pipeline.analyse(Source(f"g{seed}", text(seed, short=True)))
        except SymmlError:
            continue
        found = certificate(a).curvature
        counts[found] += 1
        if found in ("affine", "convex", "concave") and excess(a, found, np.random.default_rng(seed)) > 1e-9:
            wrong.append(seed)
    return counts, wrong


def test_no_generated_page_contradicts_its_certificate():
    counts, wrong = contradictions(range(PAGES))
    assert not wrong and sum(counts.values()) > PAGES / 2, (counts, wrong)


def test_a_certificate_for_everything_is_contradicted(monkeypatch):
    monkeypatch.setattr(convexity, "certify", lambda *args: Certificate("convex", "by decree"))
    assert contradictions(range(8))[1]

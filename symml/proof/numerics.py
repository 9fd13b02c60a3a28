"""How near the value of a body is to the truth: bits of error of two forms of it, over inputs drawn from their domains.

The truth is the first form at digits that rise until the bound of its error is small (balls.py);
magnitudes of inputs are log-uniform.

    judge(naive, rewritten, draw(naive, 400, rng))   ->   Judged(naive=Errors(...), rewritten=Errors(...), ...)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import mpmath
import numpy as np
import sympy
from sympy import Expr

from symml.ir.evaluate import evaluate
from symml.ir.program import Access, Dim, Domain, Index, Program, Statement, Tensor, direct_accesses, indices
from symml.ir.special import erf, erfc
from symml.proof.balls import sensitivity, settled
from symml.proof.high_precision import ulps

MAGNITUDES = (-12.0, 4.0)  # powers of ten
MOST_OF_A_SIZE = 1000
SAMPLES = Dim("samples")
ROW = Index("i", SAMPLES)
OUT = Tensor("value", (SAMPLES,))


@dataclass(frozen=True)
class Body:
    """A body as a program over samples: what it reads by name, each an input of one axis."""

    program: Program
    inputs: Mapping[str, Tensor]


@dataclass(frozen=True)
class Errors:
    """Over the samples whose truth is a float: mean and largest bits of error, and how many values were no number."""

    mean: float
    largest: float
    non_finite: int


@dataclass(frozen=True)
class Judged:
    """Two forms of a body beside the truth. `worst` is the sample where the first form gains most from the second."""

    samples: int
    naive: Errors
    rewritten: Errors
    worst: Mapping[str, float]
    at_worst: tuple[float, float, str]


def bodies(*forms: Expr) -> tuple[Body, ...]:
    """Forms of one body over common inputs: accesses, sizes and indices alike become arrays of samples."""
    found: dict[Expr, Tensor] = {}
    for e in forms:
        for a in direct_accesses(e):
            found.setdefault(a, Tensor(a.name, (SAMPLES,), "data", _plain(a.tensor.domain)))
    for e in forms:
        loose = e.xreplace({a: sympy.Symbol("x") for a in direct_accesses(e)})
        for k in sorted(indices(loose) | loose.atoms(Dim), key=str):
            lowest = 0.0 if isinstance(k, Index) else 1.0
            found.setdefault(k, Tensor(k.name, (SAMPLES,), "data", Domain("integer", lower=lowest)))
    table = {e: Access(t, (ROW,)) for e, t in found.items()}
    inputs = {t.name: t for t in found.values()}
    return tuple(
        Body(Program(tuple(inputs.values()), (_over_samples(e.xreplace(table)),), {"value": OUT}), inputs)
        for e in forms
    )


def _over_samples(e: Expr) -> Statement:
    return Statement(OUT, (ROW,), "=", "none", (ROW,), e)


def _plain(d: Domain) -> Domain:
    """A domain whose entries are drawn one by one."""
    return Domain("integer", lower=0.0) if d.kind in ("label", "length", "integer") else d


def draw(
    body: Body, count: int, rng: np.random.Generator, powers: tuple[float, float] = MAGNITUDES
) -> dict[str, np.ndarray]:
    """`count` samples of each input inside its domain, of log-uniform magnitude and, where it may be, either sign."""
    return {name: _drawn(t.domain, count, rng, powers) for name, t in body.inputs.items()}


def _drawn(d: Domain, count: int, rng: np.random.Generator, powers: tuple[float, float]) -> np.ndarray:
    if d.kind == "integer":
        return rng.integers(int(d.lower or 0), MOST_OF_A_SIZE, count)
    if d.values:
        return rng.choice(np.array(d.values, float), count)
    low, high = d.lower, d.upper
    if d.kind in ("simplex", "stochastic"):
        low, high = 0.0, 1.0
    size = 10.0 ** rng.uniform(*powers, count)
    if low is not None and high is not None:  # from either end, as near as floats allow
        inside = np.minimum(10.0 ** rng.uniform(powers[0], 0.0, count), 0.5) * (high - low)
        return np.where(rng.random(count) < 0.5, low + inside, high - inside)
    if low is not None:
        return low + size
    return high - size if high is not None else size * rng.choice([-1.0, 1.0], count)


def values_of(body: Body, at: Mapping[str, np.ndarray]) -> np.ndarray:
    """The float64 values of a body."""
    given = {t: np.asarray(at[name]) for name, t in body.inputs.items()}
    with np.errstate(all="ignore"):
        return np.asarray(evaluate(body.program, given, {SAMPLES: _count(at)})[OUT], float)


def exact_values(body: Body, at: Mapping[str, np.ndarray]) -> np.ndarray:
    """The true values: mpf, NaN where there is none (a pole, a root or logarithm of a negative number)."""
    return settled(_with_tails(body.program), _given(body, at), {SAMPLES: _count(at)})


def _with_tails(program: Program) -> Program:
    """1 + erf(u) as erfc(-u): far from 0 no number of digits would tell it from 0."""

    def tails(e: Expr) -> Expr:
        for s, t in itertools.permutations(e.args, 2):
            for f in sympy.Mul.make_args(t):
                if isinstance(f, erf) and abs(s * f / t) == 1:
                    return sympy.Add(
                        s * erfc(-t / s / f * f.args[0]), *(v for v in e.args if v is not s and v is not t)
                    )
        return e

    return program.mapped(lambda s: s.with_body(s.body.replace(lambda e: e.is_Add, tails)))


def _given(body: Body, at: Mapping[str, np.ndarray]) -> dict[Tensor, np.ndarray]:
    return {t: np.asarray(at[name]) for name, t in body.inputs.items()}


def conditions(body: Body, at: Mapping[str, np.ndarray]) -> np.ndarray:
    """sum_i |x_i df/dx_i / f| over the real inputs, by differences at many bits; 0 where f is none or 0."""
    total, given = np.zeros(_count(at)), _given(body, at)
    for t in body.inputs.values():
        if not (t.integer or t.domain.values):
            total += sensitivity(_with_tails(body.program), given, {SAMPLES: _count(at)}, t)
    return total


def _count(at: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(at.values())))


def is_float(exact: np.ndarray) -> np.ndarray:
    """Where the truth is a number that float64 holds."""
    most = mpmath.mpf(np.finfo(float).max)
    return np.array([bool(mpmath.isfinite(v)) and abs(v) <= most for v in exact])


def bits(errors: np.ndarray) -> np.ndarray:
    """Bits of error: log2(1 + units in the last place), 64 for no number."""
    return np.minimum(np.log2(1 + np.asarray(errors, float)), 64.0)


def judge(naive: Body, rewritten: Body, at: Mapping[str, np.ndarray]) -> Judged | None:
    """Both forms beside the truth of the first; None where no sample has a truth."""
    exact = exact_values(naive, at)
    known = is_float(exact)
    if not known.any():
        return None
    pair = [values_of(b, at) for b in (naive, rewritten)]
    lost = [bits(ulps(v[known], exact[known])) for v in pair]
    gain = lost[0] - lost[1]
    k = int(np.flatnonzero(known)[np.argmax(gain)])
    errors = [
        Errors(float(b.mean()), float(b.max()), int((~np.isfinite(v[known])).sum()))
        for v, b in zip(pair, lost, strict=True)
    ]
    worst = {name: float(v[k]) for name, v in at.items()}
    return Judged(int(known.sum()), *errors, worst, (float(pair[0][k]), float(pair[1][k]), mpmath.nstr(exact[k], 17)))


def improves(found: Judged) -> bool:
    """Is the second form nowhere worse as a whole?"""
    a, b = found.naive, found.rewritten
    return b.non_finite <= a.non_finite and b.mean <= a.mean + 0.5 and not math.isnan(b.mean)

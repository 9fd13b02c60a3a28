"""The numeric proof of a dual: at random multipliers its value is the Lagrangian's at the minimiser, and no other point is lower.

check(dual)  ->  Check(error=3e-16, below=0.0, points=6)

Where an unknown enters linearly it is drawn at random and its slope times it subtracted, since the dual asks that the slope
vanish. Multipliers are drawn until the conditions of the table of conjugates hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from sympy import Expr

from symml.duality.dual import Condition, Dual
from symml.ir.evaluate import evaluate
from symml.ir.functions import absolute
from symml.ir.program import Dim, Index, Program, Statement, Tensor, direct_accesses
from symml.methods.terms import NoClosedForm, Terms
from symml.proof.samples import sample
from symml.rewrite.dead import prune

BOUND = 1e-9
DRAWS = 3
TRIES = 400
DEFINITE = 1e-3  # the least eigenvalue of a matrix that is to be positive definite
MOVES = (0.01, 0.1, 1.0)
WAYS = (
    lambda z: z,
    np.abs,
    lambda z: 0.2 * np.abs(z),
    lambda z: 0.05 * z,
    lambda z: -np.abs(z),
    lambda z: 0.02 * np.abs(z),
)
Values = dict[Tensor, np.ndarray]


@dataclass(frozen=True)
class Check:
    """error: of the value against the Lagrangian; below: by how much another point was lower (0: none); relative both."""

    error: float
    below: float
    points: int

    @property
    def ok(self) -> bool:
        return self.points > 0 and self.error <= BOUND and self.below <= BOUND

    def __str__(self) -> str:
        if not self.ok:
            return f"the dual DISAGREES with the Lagrangian by {max(self.error, self.below):.1e}"
        return f"the least value of L at {self.points} random multipliers, to {self.error:.0e}"

    @property
    def at_length(self) -> str:
        """What was compared, number by number."""
        lower = f"lower by {self.below:.0e} at most" if self.below else "lower"
        return f"{self}; none of the points around the minimisers is {lower}"


def check(d: Dual) -> Check:
    """Compare at several random draws; NoClosedForm where no multipliers are found inside the conditions."""
    rng = np.random.default_rng(3)
    whole = replace(d.lagrangian, inputs=tuple(dict.fromkeys((*d.lagrangian.inputs, *d.value.inputs)))).program()
    worst, below, points = 0.0, 0.0, 0
    with np.errstate(all="ignore"):
        for _ in range(DRAWS):
            values, dims = _inside(d, whole, rng)
            error, lower = _compared(d, values, dims, rng)
            worst, below, points = max(worst, error), max(below, lower), points + 1
    return Check(worst, below, points)


def _inside(d: Dual, whole: Program, rng: np.random.Generator) -> tuple[Values, Mapping[Dim, int]]:
    """Random inputs whose multipliers satisfy what the table asks of them."""
    asked = [c for c in d.conditions if not c.affine]
    for attempt in range(TRIES):
        values, dims = sample(whole, rng)
        way = WAYS[attempt % len(WAYS)]
        _definite(d, values, attempt)
        for m in d.multipliers:
            wide = 10.0 ** rng.uniform(-1.0, 1.0) if attempt >= len(WAYS) else 1.0
            if m.domain.kind == "real":
                values[m] = wide * way(np.asarray(values[m]) * 2)
            elif m.domain.kind == "interval":
                values[m] = wide * np.abs(way(np.asarray(values[m])))
        if d.scale is not None:
            values[d.scale.multiplier] = value_of(d.value, (), d.scale.best, values, dims)
        _clipped(d, values, dims)
        if all(_holds(d.value, c, values, dims) for c in asked):
            return values, dims
    raise NoClosedForm("conditions that no random multipliers satisfy, so that the dual cannot be compared")


def _definite(d: Dual, values: Values, attempt: int) -> None:
    """Where a matrix is to be positive definite, every other draw has symmetric multipliers, and square data, that are."""
    if attempt % 2 == 0 and any(c.sense == "definite" for c in d.conditions):
        for t, x in values.items():
            square = len(t.shape) == 2 and t.shape[0] == t.shape[1]
            if (t in d.multipliers and t.domain.kind == "symmetric") or (t.kind == "data" and square and not t.integer):
                z = np.asarray(x, float)
                values[t] = z @ z.T / len(z) + 0.1 * np.eye(len(z))


def _clipped(d: Dual, values: Values, dims: Mapping[Dim, int]) -> None:
    """Multipliers within what a condition w - |m + ...| >= 0 leaves them, entry by entry; an equality leaves no more than a
    point, which no draw would meet."""
    for c in (c for c in d.conditions if c.sense == "at_least" and not c.affine):
        kinks = list(c.body.atoms(absolute))
        if len(kinks) != 1 or (c.body + kinks[0]).has(absolute):
            continue
        (inner,) = kinks[0].args
        held = [a for a in direct_accesses(inner) if a.tensor in d.multipliers and a.idx == c.loops]
        if not held or inner.diff(held[0]) not in (1, -1):
            continue
        found = value_of(d.value, c.loops, inner, values, dims)
        most = 0.9 * value_of(d.value, c.loops, c.body + kinks[0], values, dims)
        values[held[0].tensor] = values[held[0].tensor] + int(inner.diff(held[0])) * (
            np.clip(found, -most, most) - found
        )


def _holds(terms: Terms, c: Condition, values: Values, dims: Mapping[Dim, int]) -> bool:
    found = value_of(terms, c.loops, c.body, values, dims)
    if c.sense == "definite":
        return bool(np.isfinite(found).all()) and bool(np.linalg.eigvalsh((found + found.T) / 2).min() > DEFINITE)
    return bool(np.all(found > 0) if c.sense == "above" else np.all(found >= 0))


def value_of(terms: Terms, loops: tuple[Index, ...], body: Expr, values: Values, dims: Mapping[Dim, int]) -> np.ndarray:
    """An expression over loops, with the definitions of some terms."""
    out = Tensor("shown", tuple(k.size for k in loops))
    s = Statement(out, loops, "=", "none", loops, body)
    program = prune(Program(terms.inputs, (*terms.definitions, s), {"shown": out}), "shown")
    return np.asarray(evaluate(program, values, dims)[out], float)


def _compared(d: Dual, values: Values, dims: Mapping[Dim, int], rng: np.random.Generator) -> tuple[float, float]:
    """The relative error of the dual value, and how far below it another point lies."""
    values, free = dict(values), [s for s in d.steps if s.at is None]
    for step in reversed(d.steps):
        if step.at is not None:
            values[step.unknown] = value_of(step.terms, step.loops, step.at, values, dims)
    said = _total(d.value, values, dims)
    slopes = [c for c in d.conditions if c.affine]

    def least(at: Values) -> float:
        pulled = sum(float(np.sum(value_of(d.value, c.loops, c.body, at, dims) * at[c.unknown])) for c in slopes)
        return _total(d.lagrangian, at, dims) - pulled

    truth, size = least(values), _size(d.lagrangian, values, dims)
    error = abs(said - truth) / size if np.isfinite(said) and np.isfinite(truth) else np.inf
    below = 0.0
    for move in MOVES:
        for s in (s for s in d.steps if s not in free):
            for other in _around(d, s.unknown, values[s.unknown], move, rng):
                found = least({**values, s.unknown: other})
                if np.isfinite(found):
                    below = max(below, (said - found) / size)
    return error, below


def _around(d: Dual, u: Tensor, x: np.ndarray, move: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Points near a minimiser: symmetric ones of what is symmetric, positive definite ones where a log determinant asks it."""
    near = [x + move * rng.normal(size=x.shape), x * np.exp(move * rng.normal(size=x.shape))]
    if u.domain.kind not in ("psd", "symmetric"):
        return near
    near = [(y + y.T) / 2 for y in near]
    inside = any(c.sense == "definite" and c.unknown is u for c in d.conditions)
    return [y for y in near if np.linalg.eigvalsh(y).min() > 0] if inside else near


def _total(terms: Terms, values: Values, dims: Mapping[Dim, int]) -> float:
    program = terms.program()
    return float(evaluate(program, values, dims)[program.outputs["L"]])


def _size(terms: Terms, values: Values, dims: Mapping[Dim, int]) -> float:
    """The size of the largest term, below which differences are rounding."""
    parts = [abs(_total(replace(terms, terms=(t,)), values, dims)) for t in terms.terms]
    return max(1.0, *parts) if parts else 1.0

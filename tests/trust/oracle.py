"""One generated page through the ordinary pipeline, compared with the complex step; what disagrees is decided in mpmath.

judge(17)  ->  Verdict(seed=17, kind="right" | "refused" | "rounding" | "wrong", text="...")

`rounding` means that the derived formula, evaluated at 60 digits, is the derivative and only its float64 value is off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import mpmath
import numpy as np
from trust.generator import text

from symml import pipeline
from symml.errors import SymmlError
from symml.ir import check as legality
from symml.ir.evaluate import evaluate
from symml.ir.program import Program, Tensor
from symml.loops.evaluate import evaluate as evaluate_loops
from symml.loops.schedule import schedule
from symml.proof.complex_step import BOUND, STEP, least_scale, relative
from symml.proof.high_precision import arithmetic, high_precision
from symml.proof.samples import clearance, sample, sizes
from symml.source import Source

ENTRIES = 10
DIGITS = 60
HIGH_STEP = "1e-20"
LOOPS_BOUND = 1e-10


@dataclass(frozen=True)
class Verdict:
    """What became of one page; `kind`: right, refused, rounding, kink, wrong."""

    seed: int
    kind: str
    text: str = ""


@dataclass(frozen=True)
class Case:
    """A page up to its derivative, with one point and what the complex step says there."""

    analysis: pipeline.Analysis
    values: dict
    dims: dict
    entries: tuple[tuple[Tensor, tuple[int, ...]], ...]
    truth: np.ndarray
    loss: float
    printed: Program | None = None  # what is scheduled and printed in the place of the derivative (negative controls)


def judge(seed: int, short: bool = False) -> Verdict:
    """The verdict on the page of a seed."""
    try:
        found = pipeline.analyse(Source(f"g{seed}.symml", text(seed, short)))
    except SymmlError as refusal:
        return Verdict(seed, "refused", str(refusal))
    for program in (found.raw, found.forward, found.derivative):
        legality.check(program)
    return compared(case(found, seed), seed)


def case(a: pipeline.Analysis, seed: int, rows: int | None = None, entries: int = ENTRIES) -> Case:
    """A point of the page and the truth at some entries of its parameters; `rows` is the size of the first dim."""
    rng = np.random.default_rng(seed)
    fixed = sizes(a.derivative, a.raw)
    fixed.update({d: size for d, size in a.model.sizes.items() if d in fixed})
    first = next(iter(a.model.dims.values()), None)
    if rows is not None and first in fixed and first not in a.model.sizes:
        fixed[first] = rows
    values, dims = sample(replace(a.derivative, inputs=_inputs(a)), rng, fixed)[0], fixed
    every = [(t, at) for t in a.model.over for at in np.ndindex(np.shape(values[t]))]
    chosen = every
    if len(every) > entries:
        chosen = [every[k] for k in sorted(rng.choice(len(every), entries, replace=False))]
    with np.errstate(all="ignore"):
        truth = np.array([slope(a.raw, values, dims, t, at) for t, at in chosen])
        loss = float(evaluate(a.raw, values, dims)[a.raw.outputs["loss"]])
    return Case(a, values, dims, tuple(chosen), truth, loss)


def _inputs(a: pipeline.Analysis) -> tuple[Tensor, ...]:
    return tuple(dict.fromkeys((*a.raw.inputs, *a.derivative.inputs)))


def slope(raw: Program, values: dict, dims: dict, t: Tensor, at: tuple[int, ...]) -> float:
    """The derivative of the loss in one entry, by the complex step."""
    x = np.array(values[t], dtype=complex)
    x[at] += 1j * STEP
    return float(np.imag(evaluate(raw, {**values, t: x}, dims)[raw.outputs["loss"]]) / STEP)


def gradients(found: dict, c: Case) -> np.ndarray:
    """The entries that were chosen, of gradients by name `d_NAME`."""
    return np.array([found[f"d_{t.name}"][at] for t, at in c.entries])


def compared(c: Case, seed: int) -> Verdict:
    """The derived gradient against the truth, and its schedule against itself."""
    a = c.analysis
    with np.errstate(all="ignore"):
        env = evaluate(a.derivative, c.values, c.dims)
        loops = evaluate_loops(schedule(a.derivative), c.values, c.dims)
    named = {name: np.asarray(env[t]) for name, t in a.derivative.outputs.items()}
    for name, value in named.items():
        if not relative(loops[name], value) <= LOOPS_BOUND:
            return Verdict(seed, "wrong", f"the loops of {name}: {loops[name]} instead of {value}")
    if not relative(named["loss"], c.loss) <= BOUND:
        near = nearest_kink(c)
        facts = f"the loss {named['loss']} instead of {c.loss}; distance to a kink {near:.1e}"
        return Verdict(seed, "kink" if near < 1e-9 else "wrong", facts)
    found = gradients(named, c)
    if relative(found, c.truth, least_scale(c.truth, c.loss)) <= BOUND:
        return Verdict(seed, "right")
    return decided(c, found, seed)


def decided(c: Case, found: np.ndarray, seed: int) -> Verdict:
    """Where float64 disagrees: the derived formula at 60 digits against a central difference at 60 digits."""
    a = c.analysis
    exact = high_precision(a.derivative, c.values, c.dims, DIGITS)
    for k, (t, at) in enumerate(c.entries):
        ours = np.asarray(exact[a.derivative.outputs[f"d_{t.name}"]], object)[at]
        true = central_difference(c, t, at)
        if not abs(ours - true) <= mpmath.mpf("1e-9") * max(1, abs(true)):
            near = nearest_kink(c)
            facts = f"d_{t.name}{list(at)}: {found[k]!r}, complex step {c.truth[k]!r}, true {mpmath.nstr(true, 17)}"
            return Verdict(seed, "kink" if near < 1e-9 else "wrong", f"{facts}; distance to a kink {near:.1e}")
    worst = relative(found, c.truth, least_scale(c.truth, c.loss))
    return Verdict(
        seed, "rounding", f"float64 is off by {worst:.1e} of {np.max(np.abs(c.truth)):.1e}, the formula is right"
    )


def nearest_kink(c: Case) -> float:
    """How near the point lies to a kink or a tie, of the page as written or of its stable form."""
    return min(clearance(p, c.values, c.dims) for p in (c.analysis.raw, c.analysis.forward))


def central_difference(c: Case, t: Tensor, at: tuple[int, ...], digits: int = DIGITS) -> mpmath.mpf:
    """(f(x + h) - f(x - h)) / 2h with h = 1e-20: exact to about 1e-39 where digits are enough."""
    with mpmath.workdps(digits):
        h = mpmath.mpf(HIGH_STEP)
        ends = []
        for sign in (1, -1):
            x = np.array(exact(c.values[t]), object)
            x[at] = x[at] + sign * h
            ends.append(loss_at({**c.values, t: x}, c, digits))
        return (ends[0] - ends[1]) / (2 * h)


def exact(v: np.ndarray) -> np.ndarray:
    """Floats as the numbers of mpmath that they are."""
    return np.asarray(np.frompyfunc(lambda x: mpmath.mpf(float(x)), 1, 1)(np.asarray(v)), object)


def loss_at(values: dict, c: Case, digits: int = DIGITS) -> mpmath.mpf:
    """The loss of the page as written, in mpmath."""
    raw = c.analysis.raw
    lifted = {s: v if s.integer or np.asarray(v).dtype == object else exact(v) for s, v in values.items()}
    return np.asarray(evaluate(raw, lifted, c.dims, arithmetic(digits))[raw.outputs["loss"]], object)[()]

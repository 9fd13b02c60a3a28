"""Small random inputs of a Program: inside every domain, finite, away from kinks.

values, dims = sample(program, numpy.random.default_rng(0))      {X: array(5, 3), w: array(3)}, {n: 5, d: 3}
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import sympy
from sympy import Expr

from symml.ir.evaluate import NUMPY, Arithmetic, evaluate, extent, run
from symml.ir.functions import BY_CLASS, KINKED, PIECEWISE_CONSTANT
from symml.ir.program import Dim, Domain, Iterate, Library, Program, Scan, Statement, Tensor, flat, outs, reads

KINK_DISTANCE = 1e-6
SIZES = (5, 3, 4, 6, 7, 2, 8)
SWITCHES = frozenset(BY_CLASS[symbol] for symbol in (*KINKED, *PIECEWISE_CONSTANT))
EXTREMES = frozenset(("max", "min", "argmax", "argmin"))
Inputs = tuple[dict[Tensor, np.ndarray], dict[Dim, int]]

# How unbounded entries are drawn from a standard normal, tried in order: a page that takes logarithms or roots of its
# unbounded inputs is finite for one of the later ways only.
WAYS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda z: z,
    lambda z: np.abs(z) + 0.1,
    lambda z: 0.05 + 0.1 * np.abs(np.tanh(z)),
    lambda z: 1.5 + np.abs(z),
)
# Where all of these fail, parameters and data go different ways: log(a - y) asks for an a above every y.
APART: tuple[tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]], ...] = (
    (lambda z: 3 + np.abs(z), np.tanh),
    (lambda z: -3 - np.abs(z), np.tanh),
    (lambda z: 0.1 * np.tanh(z), lambda z: z),
    (lambda z: 0.1 * np.tanh(z), lambda z: 1.5 + np.abs(z)),
    (lambda z: 0.01 * np.tanh(z), lambda z: 0.1 + 0.01 * np.abs(np.tanh(z))),
)
TRIES_EACH = 5
ROUNDS = 1_000  # of an iteration: inputs at which it needs more are no good sample
MOST_ORDERS = 5_000
MOST_RAISED = 60  # steps from small sizes to those that a page's ranges ask for
MOST_REGULAR = 24  # orders of sizes that are tried for the sake of inverses
INVERTING = frozenset(("inv", "solve", "logdet", "logabsdet", "chol"))
SINGULAR = 1e12  # condition number

# Arrays of a set as a whole, from a standard normal one.
STRUCTURED: Mapping[str, Callable[[np.ndarray, Domain], np.ndarray]] = {
    "simplex": lambda z, d: np.exp(z) / np.exp(z).sum(-1, keepdims=True),
    "stochastic": lambda z, d: np.exp(z) / np.exp(z).sum(-1, keepdims=True),
    "symmetric": lambda z, d: (z + z.T) / 2,
    "psd": lambda z, d: z @ z.T / len(z) + 0.1 * np.eye(len(z)),
    "ball": lambda z, d: 0.7 * d.upper * z / (np.sqrt(np.sum(z**2)) + 0.1),
}


def sizes(*programs: Program, fixed: Mapping[Dim, int] | None = None) -> dict[Dim, int]:
    """A small number for each dim of the programs, all different; `fixed` ones as given."""
    found: dict[Dim, None] = {}
    for program in programs:
        for part in _sized(program):
            found.update(dict.fromkeys(sorted(part.atoms(Dim), key=lambda d: (d.name, d.uid))))
    free = [SIZES[k % len(SIZES)] + len(SIZES) * (k // len(SIZES)) for k in range(len(found))]
    requires = [e for program in programs for e in program.requires]
    inverting = [p for p in programs if any(isinstance(n, Library) and n.op in INVERTING for n in p.statements)]
    first, tried = None, 0
    for order in itertools.islice(itertools.permutations(free), MOST_ORDERS):
        chosen = {d: (fixed or {}).get(d) or size for d, size in zip(found, order, strict=True)}
        if lacking(chosen, requires) is not None:
            continue
        first, tried = first or chosen, tried + 1
        if all(_is_regular(p, chosen) for p in inverting):
            return chosen
        if tried >= MOST_REGULAR:
            break
    return first or enlarged(dict(zip(found, free, strict=True)), requires, fixed or {})


def lacking(chosen: Mapping[Dim, int], requires: Iterable[Expr]) -> tuple[Expr, int] | None:
    """The first of the expressions that must be 0 or more, and are not; with its value."""
    for e in requires:
        value = e.xreplace({d: sympy.Integer(n) for d, n in chosen.items()})
        if value.is_nonnegative is False:
            return e, int(value)
    return None


def enlarged(chosen: dict[Dim, int], requires: Iterable[Expr], fixed: Mapping[Dim, int]) -> dict[Dim, int]:
    """Sizes that are raised until a page's ranges fit in: x[t + 12] asks for more than small sizes have."""
    requires, chosen = tuple(requires), {**chosen, **{d: n for d, n in fixed.items() if d in chosen}}
    for _ in range(MOST_RAISED):
        unmet = lacking(chosen, requires)
        if unmet is None:
            break
        e, value = unmet
        growing = sorted((d for d in e.atoms(Dim) if d not in fixed and e.diff(d).is_positive), key=lambda d: d.uid)
        if not growing:
            break
        slope = e.diff(growing[0])
        chosen[growing[0]] += -(value // int(slope)) if slope.is_Integer else 1
    return chosen


def _is_regular(program: Program, dims: Mapping[Dim, int]) -> bool:
    """Do these sizes let the matrices have inverses? (sum over n of p v v' has none where n is less than its rows.)"""
    worst = [1.0]

    def watched(op: str) -> Callable:
        def call(*args: np.ndarray) -> tuple[np.ndarray, ...]:
            if op in INVERTING and np.isfinite(args[0]).all():
                worst.append(float(np.linalg.cond(args[0])))
            return NUMPY.library(op)(*args)

        return call

    rng = np.random.default_rng(0)
    values = {t: _draw(t, dims, rng, WAYS[0]) for t in program.inputs}
    with np.errstate(all="ignore"):
        evaluate(program, values, dims, replace(NUMPY, library=watched))
    return max(worst) < SINGULAR


def _sized(program: Program) -> Iterable[Expr]:
    """Every expression of a program that may hold a dim."""
    for t in program.tensors():
        yield from t.shape
        if t.domain.size is not None:
            yield t.domain.size
    for node in program.statements:
        if isinstance(node, Scan):
            yield node.step.size
    for s in flat(program.statements):
        yield from (s.body, *s.lhs, *(k.size for k in s.loops), *([] if s.guard is None else [s.guard]))


def sample(program: Program, rng: np.random.Generator, fixed: Mapping[Dim, int] | None = None) -> Inputs:
    """Values of every input and dim; drawn again while an output is not finite or the argument of a kink is near 0.

    Where no draw is clear of the kinks the farthest is returned.
    """
    dims = sizes(program, fixed=fixed)
    best, most = None, -math.inf
    for of_params, of_data in (pair for pair in (*((way, way) for way in WAYS), *APART) for _ in range(TRIES_EACH)):
        if (of_params, of_data) in APART and most > -math.inf:
            break
        values = {t: _draw(t, dims, rng, of_params if t.kind == "param" else of_data) for t in program.inputs}
        distance = clearance(program, values, dims)
        if best is None or distance > most:
            best, most = values, distance
        if most >= KINK_DISTANCE:
            break
    return best, dims


def clearance(program: Program, values: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int]) -> float:
    """The distance of these inputs to the nearest kink: inf without one, -inf where an output is not finite."""
    near = [math.inf]
    watched = Arithmetic(
        number=NUMPY.number,
        function=lambda name: _watched(NUMPY.function(name), near) if name in SWITCHES else NUMPY.function(name),
        reduce=lambda kind, a, axes: _reduced(kind, a, axes, near),
        library=NUMPY.library,
    )
    env = dict(values)
    with np.errstate(all="ignore"):
        for node in program.statements:
            if isinstance(node, Iterate):  # its gap, which comes to 0, is no kink of what it finds
                run(replace(node, most=min(node.most, ROUNDS)), env, dims, NUMPY)
                at_end = dict(env)
                for s in _of_next(node):
                    run(s, at_end, dims, watched)
            else:
                run(node, env, dims, watched)
    if not all(np.isfinite(env[t]).all() for t in program.outputs.values()):
        return -math.inf
    return min(near)


def _of_next(node: Iterate) -> list[Statement | Library]:
    """What a round computes for its next values, without what serves the gap alone."""
    needed, found = {new for _, _, new in node.states}, []
    for s in reversed(node.statements):
        if not needed.isdisjoint(outs(s)):
            needed |= set(reads(s))
            found.append(s)
    return found[::-1]


def _watched(function: Callable, near: list[float]) -> Callable:
    """A kinked function that notes how near its argument, or the difference of its two, comes to 0."""

    def call(*args: np.ndarray) -> np.ndarray:
        near.append(_least(args[0] if len(args) == 1 else np.subtract(*args)))
        return function(*args)

    return call


def _least(gap: np.ndarray) -> float:
    """The least nonzero gap: exact zeros come of data in {0, 1} or of equal labels, and no other draw would mend them."""
    gap = np.abs(np.asarray(gap, float))
    return float(np.min(gap, where=gap > 0, initial=math.inf))


def _reduced(kind: str, a: np.ndarray, axes: tuple[int, ...], near: list[float]) -> np.ndarray:
    """A reduction; extremes note the least gap between the first and the second."""
    if kind in EXTREMES and math.prod(a.shape[k] for k in axes) > 1:
        kept = [k for k in range(a.ndim) if k not in axes]
        flat = np.sort(np.transpose(a, (*kept, *axes)).reshape(*(a.shape[k] for k in kept), -1), axis=-1)
        gap = flat[..., -1] - flat[..., -2] if kind.endswith("max") else flat[..., 1] - flat[..., 0]
        near.append(_least(gap))
    return NUMPY.reduce(kind, a, axes)


def _draw(
    t: Tensor, dims: Mapping[Dim, int], rng: np.random.Generator, way: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Entries inside the domain; unbounded ones are normal, of deviation 1/2 for parameters, and then sent on a way."""
    shape = tuple(extent(size, dims) for size in t.shape)
    d = t.domain
    if d.end:  # loops, then edges to the next node, and so on: no node is reached that has no edge of its own
        (edges,), nodes = shape, extent(d.size, dims)
        e = np.arange(edges)
        return e % nodes if d.end == "tail" else (e + e // nodes) % nodes
    if d.kind == "length":
        return rng.integers(1, extent(d.size, dims) + 1, shape)
    if t.integer:
        low, high = (0 if d.lower is None else math.ceil(d.lower)), (3 if d.upper is None else math.floor(d.upper) + 1)
        return rng.integers(low, extent(d.size, dims) if d.size is not None else max(high, low + 1), shape)
    if d.values:
        return rng.choice(np.array(d.values, float), shape)
    if d.kind in STRUCTURED:
        return STRUCTURED[d.kind](rng.normal(size=shape), d)
    if d.lower is not None or d.upper is not None:
        low, high = _window(d.lower, d.upper)
        return low + (high - low) * rng.uniform(0.2, 0.8, shape)
    return way(rng.normal(size=shape) * (0.5 if t.kind == "param" else 1.0))


def _window(lower: float | None, upper: float | None) -> tuple[float, float]:
    """A part of an interval at most 4 wide and near 0, so that exponentials of its entries stay moderate."""
    if lower is None:
        lower = min(-2.0, upper - 2.0)
    if upper is None:
        upper = max(2.0, lower + 2.0)
    low, high = max(lower, -2.0), min(upper, 2.0)
    if low < high:
        return low, high
    return (lower, min(upper, lower + 4.0)) if lower > 0 else (max(lower, upper - 4.0), upper)

"""Expansion: the forward program on plain sympy symbols at sizes 2 and 3, differentiated by plain sympy.

It shares nothing with the engine's index rules: sums are written out, own functions are their elementary definitions,
and `sympy.diff` sees one scalar expression. The entries of `wrt` are symbols of our own naming, everything else is a
number. Extremes, whose choice is constant near the point, are chosen there: the derivative is that of the chosen one.

    check_expansion(forward, derivative, "loss", w)  ->  Proof("expansion by sympy", error=1e-16, ok=True)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import sympy
from sympy import Expr

from symml.ir.evaluate import Arithmetic, evaluate
from symml.ir.functions import FUNCTIONS, KINKED, NO_SLOPE
from symml.ir.ops import OPS
from symml.ir.program import Dim, Iterate, Library, Program, Tensor
from symml.proof.complex_step import BOUND, Proof, chosen_entries, least_scale, relative
from symml.proof.samples import enlarged, lacking, sample, sizes

DIGITS = 30
MOST_ENTRIES = 6
MOST_SIZES = 10  # tried, where matrices are inverted
SINGULAR = 1e8  # condition numbers from here on
Point = Mapping[Expr, Expr]


def check_expansion(forward: Program, derivative: Program, output: str, wrt: Tensor, seed: int = 1) -> Proof:
    """Compare up to six entries of the derived gradient with sympy's derivative of the written-out loss."""
    rng = np.random.default_rng(seed)
    small = small_sizes(derivative, forward)
    values, dims = sample(derivative, rng, small)
    with np.errstate(all="ignore"):  # what a guard leaves out may be infinite
        found = np.asarray(evaluate(derivative, values, dims)[derivative.outputs[f"d_{wrt.name}"]])
    exact = {t: _each(_exact, np.asarray(v)) for t, v in values.items() if not t.integer}
    symbols = _each(lambda _: sympy.Dummy("x", real=True), exact[wrt])
    point = dict(zip(symbols.flat, exact[wrt].flat, strict=True))
    loss = evaluate(forward, {**values, **exact, wrt: symbols}, dims, arithmetic(point))[forward.outputs[output]].item()
    entries = chosen_entries(symbols.shape, rng, MOST_ENTRIES)
    truth = np.array([_slope(loss, symbols[at], point) for at in entries])
    worst = relative(
        np.array([found[at] for at in entries]), truth, least_scale(truth, number_of(at_point(loss, point)))
    )
    return Proof("expansion by sympy", worst, BOUND, len(entries))


def small_sizes(*programs: Program) -> dict[Dim, int]:
    """2 and 3 in turn for the dims, or what of 2, 3 and 4 fits what the programs require; of the first few those at which
    matrices have the inverses that are asked of them."""
    dims = list(sizes(*programs))
    requires = [e for program in programs for e in program.requires]
    turns = [2 + k % 2 for k in range(len(dims))]
    every = itertools.chain([turns, [5 - n for n in turns]], itertools.product((2, 3, 4), repeat=len(dims)))
    fitting = (
        chosen
        for numbers in itertools.islice(every, 5_000)
        if lacking(chosen := dict(zip(dims, numbers, strict=True)), requires) is None
    )
    first = list(itertools.islice(fitting, MOST_SIZES if any(map(_inverses, programs)) else 1))
    if not first:
        return enlarged(dict(zip(dims, turns, strict=True)), requires, {})
    return next((chosen for chosen in first if all(_has_inverses(p, chosen) for p in programs)), first[0])


def _inverses(program: Program) -> list[Library]:
    return [n for n in program.statements if isinstance(n, Library) and OPS[n.op].inverts]


def _has_inverses(program: Program, dims: dict[Dim, int]) -> bool:
    """Is no matrix that is inverted singular, as X'X is where X is wide?"""
    values = sample(program, np.random.default_rng(0), dims)[0]
    with np.errstate(all="ignore"):
        env = evaluate(program, values, dims)
    matrices = [np.asarray(env[n.args[0]], float) for n in _inverses(program)]
    return all(np.isfinite(A).all() and np.max(np.linalg.cond(A)) < SINGULAR for A in matrices)


def can_expand(program: Program) -> bool:
    """A fixed point has no finite expansion, and eigenvalues have none in elementary arithmetic."""
    return not any(
        isinstance(node, Iterate)
        or (isinstance(node, Library) and OPS[node.op].written is None and not OPS[node.op].integer)
        for node in program.statements
    )


def arithmetic(point: Point) -> Arithmetic:
    """Plain sympy for the interpreter; `point` decides tests and extremes."""

    def function(name: str) -> Callable:
        row = FUNCTIONS[name]
        plain = row.elementary or row.symbol
        decided = row.symbol in NO_SLOPE

        def value(*args: Expr) -> Expr:
            if (decided or row.symbol in KINKED) and not all(map(_real, args)):
                return sympy.nan  # what a guard leaves out, such as a logarithm of a negative number, has no side
            return plain(*(at_point(a, point) for a in args)) if decided else plain(*args)

        return lambda *args: np.frompyfunc(value, len(args), 1)(*args)

    def library(op: str) -> Callable:
        if OPS[op].written is None:  # places of sorted entries: decided at the point
            return lambda a: OPS[op].numpy(np.array([float(at_point(e, point)) for e in a]))
        return lambda *args: OPS[op].written(*args, log=sympy.log, root=sympy.sqrt)

    return Arithmetic(
        number=lambda e: e,
        function=function,
        reduce=lambda kind, a, axes: _reduce(kind, a, axes, point),
        library=library,
        small=lambda gap, tolerance: abs(number_of(at_point(gap.item(), point))) < tolerance,
        dtype=object,
    )


def _reduce(kind: str, a: np.ndarray, axes: tuple[int, ...], point: Point) -> np.ndarray:
    """A reduction, written out element by element."""
    kept = [k for k in range(a.ndim) if k not in axes]
    flat = np.transpose(a, (*kept, *axes)).reshape(*(a.shape[k] for k in kept), math.prod(a.shape[k] for k in axes))
    out = np.empty(flat.shape[:-1], object)
    for at in np.ndindex(out.shape):
        terms = list(flat[at])
        if kind in WRITTEN_OUT:
            out[at] = WRITTEN_OUT[kind](terms)
        else:
            best = _best(kind, terms, point)
            out[at] = sympy.Integer(best) if kind.startswith("arg") else terms[best]
    return out


WRITTEN_OUT: Mapping[str, Callable[[list[Expr]], Expr]] = MappingProxyType(
    {
        "sum": lambda terms: sympy.Add(*terms),
        "prod": lambda terms: sympy.Mul(*terms),
        "logsumexp": lambda terms: sympy.log(sympy.Add(*map(sympy.exp, terms))),
    }
)


def _best(kind: str, terms: list[Expr], point: Point) -> int:
    """The place of the first largest or smallest term at the point."""
    there = [at_point(term, point) for term in terms]
    if not all(map(_real, there)):
        return 0
    choose = {"max": max, "argmax": max, "min": min, "argmin": min}[kind]
    return there.index(choose(there))


def _real(e: Expr) -> bool:
    """Whether an expression can be compared: neither complex nor undefined."""
    return bool(e.free_symbols) or bool(e.is_extended_real)


def at_point(e: Expr, point: Point) -> Expr:
    """The number that an expression is at the point."""
    return e.xreplace(point).evalf(DIGITS) if e.free_symbols else e


def _slope(loss: Expr, x: Expr, point: Point) -> float:
    """d loss / d x at the point; infinite where sympy's derivative is no real number there."""
    return number_of(at_point(sympy.diff(loss, x), point))


def number_of(value: Expr) -> float:
    """A value as a float; infinite where it is no finite number."""
    value = value if value.is_Number else value.evalf(DIGITS)  # a power of rational numbers is left as one
    return float(value) if value.is_Number and value.is_finite else math.inf


def _exact(v: float) -> Expr:
    """A float as the same number of sympy, so that nothing is rounded again before the derivative."""
    return sympy.Integer(int(v)) if float(v).is_integer() else sympy.Float(float(v), DIGITS)


def _each(f: Callable, a: np.ndarray) -> np.ndarray:
    """An array of objects, element by element."""
    return np.asarray(np.frompyfunc(f, 1, 1)(a), object)

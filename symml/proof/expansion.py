"""Expansion: the forward program on plain sympy symbols at sizes 2 and 3, differentiated by plain sympy.

It shares nothing with the engine's index rules: sums are written out, own functions are their elementary definitions.

    check_expansion(forward, derivative, "loss", w)  ->  Proof("expansion by sympy", error=1e-16, ok=True)
"""

from __future__ import annotations

import numpy as np
import sympy
from sympy import Expr

from symml.ir.evaluate import Arithmetic, evaluate
from symml.ir.functions import FUNCTIONS
from symml.ir.program import Dim, Program, Tensor
from symml.proof.complex_step import BOUND, Proof, relative
from symml.proof.samples import sample, sizes

DIGITS = 30
MOST_ENTRIES = 6


def _function(name: str):
    row = FUNCTIONS[name]
    plain = row.elementary or row.symbol
    return np.frompyfunc(lambda *args: plain(*args), 2 if name in TWO else 1, 1)


TWO = ("max", "min", "less", "less_equal", "equal")


def _reduce(kind: str, a: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The reduction written out."""
    kept = [k for k in range(a.ndim) if k not in axes]
    flat = np.transpose(a, (*kept, *axes)).reshape(*(a.shape[k] for k in kept), -1)
    out = np.empty(flat.shape[:-1], object)
    for at in np.ndindex(out.shape):
        out[at] = REDUCE[kind](list(flat[at]))
    return out


REDUCE = {
    "sum": lambda xs: sympy.Add(*xs),
    "prod": lambda xs: sympy.Mul(*xs),
    "logsumexp": lambda xs: sympy.log(sympy.Add(*(sympy.exp(x) for x in xs))),
    "max": lambda xs: sympy.Max(*xs),
    "min": lambda xs: sympy.Min(*xs),
}


def check_expansion(forward: Program, derivative: Program, output: str, wrt: Tensor, seed: int = 1) -> Proof:
    """Compare up to six entries of the derived gradient with sympy's derivative of the written-out loss."""
    rng = np.random.default_rng(seed)
    small = {d: 2 + k % 2 for k, d in enumerate(sizes(derivative))}
    values, dims = sample(derivative, rng, small)
    found = evaluate(derivative, values, dims)[derivative.outputs[f"d_{wrt.name}"]]
    symbols = np.empty(np.shape(values[wrt]), object)
    for at in np.ndindex(symbols.shape):
        symbols[at] = sympy.Symbol("x" + "_".join(map(str, at)), real=True)
    exact = {t: _exact(t, v) for t, v in values.items() if t is not wrt}
    loss = _scalar(forward, {**exact, wrt: symbols}, dims, output)
    point = {symbols[at]: sympy.Float(float(np.asarray(values[wrt])[at]), DIGITS) for at in np.ndindex(symbols.shape)}
    entries = list(np.ndindex(symbols.shape))[:MOST_ENTRIES]
    worst = 0.0
    for at in entries:
        truth = sympy.diff(loss, symbols[at]).xreplace(point).evalf(DIGITS)
        worst = max(worst, relative(np.asarray(found)[at], float(truth)))
    return Proof("expansion by sympy", worst, BOUND, len(entries))


def _exact(t: Tensor, v: np.ndarray) -> np.ndarray:
    """Data as exact numbers; labels stay integers."""
    if t.integer:
        return v
    out = np.empty(np.shape(v), object)
    for at in np.ndindex(out.shape):
        out[at] = sympy.Float(float(np.asarray(v)[at]), DIGITS)
    return out


def _scalar(forward: Program, values: dict[Tensor, np.ndarray], dims: dict[Dim, int], output: str) -> Expr:
    arithmetic = Arithmetic(number=lambda e: e, function=_function, reduce=_reduce, dtype=object)
    env = evaluate(forward, values, {d: sympy.Integer(n) for d, n in dims.items()}, arithmetic)
    return env[forward.outputs[output]].item()

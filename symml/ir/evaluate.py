"""The reference interpreter: a Program on arrays, slow and obvious. It is the oracle of every rewrite and target.

    evaluate(program, {X: array, w: array}, {n: 5, d: 3})  ->  {tensor: array, ...} for every tensor

Real and complex arrays go through the same code, so the complex step is the interpreter at complex parameters.
Another arithmetic (plain sympy, mpmath) is another `Arithmetic`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import sympy
from sympy import Expr

from symml.ir.functions import BY_CLASS, FUNCTIONS
from symml.ir.ops import OPS
from symml.ir.program import Access, Dim, Index, Iterate, Library, Node, Program, Scan, Statement, Tensor, outs
from symml.ir.reducers import REDUCERS


@dataclass(frozen=True)
class Arithmetic:
    """How numbers, functions and reductions are computed: the seam between the interpreter and its oracles.

    number: a number of a body (dims and indices are Integers there); library: an operation on whole arrays; small: is
    a gap below a tolerance; dtype: None for numpy's own, `object` for numbers of another kind, whose inputs the caller
    converts; integer tensors stay int64 in every arithmetic.
    """

    number: Callable[[Expr], object]
    function: Callable[[str], Callable]
    reduce: Callable[[str, np.ndarray, tuple[int, ...]], np.ndarray]
    library: Callable[[str], Callable]
    small: Callable[[np.ndarray, float], bool] = lambda gap, tolerance: bool(abs(gap) < tolerance)
    dtype: type | None = None


GROWTH = 1e6  # a fixed point whose rounds change it so much more than the first did is given up
NUMBERS = {0.0: sympy.Integer(0), 1.0: sympy.Integer(1), math.inf: sympy.oo, -math.inf: -sympy.oo}
LARGEST_INTEGER = 2**62  # above it numpy has no integers


def _float(value: Expr) -> float | int:
    return int(value) if value.is_Integer and abs(value) < LARGEST_INTEGER else float(value)


NUMPY = Arithmetic(
    number=_float,
    function=lambda name: FUNCTIONS[name].numpy,
    reduce=lambda kind, a, axis: REDUCERS[kind].numpy(a, axis),
    library=lambda op: OPS[op].numpy,
)


def evaluate(
    program: Program, values: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int], arithmetic: Arithmetic = NUMPY
) -> dict[Tensor, np.ndarray]:
    """All tensors of a program; `values` gives every input (shapes as declared), `dims` every size."""
    env = dict(values)
    for node in program.statements:
        run(node, env, dims, arithmetic)
    return env


def extent(size: Expr, dims: Mapping[Dim, int]) -> int:
    """A symbolic size as a number."""
    return int(size.xreplace({d: sympy.Integer(v) for d, v in dims.items()})) if not size.is_Integer else int(size)


def run(node: Node, env: dict[Tensor, np.ndarray], dims: Mapping[Dim, int], arithmetic: Arithmetic) -> None:
    """One node; what it defines is put into `env`."""
    if isinstance(node, Statement):
        _statement(node, env, dims, arithmetic, {})
    elif isinstance(node, Library):
        found = arithmetic.library(node.op)(*(np.asarray(env[t]) for t in node.args))
        env.update(zip(node.outs, found, strict=True))
    elif isinstance(node, Scan):
        _scan(node, env, dims, arithmetic)
    else:
        _iterate(node, env, dims, arithmetic)


def _scan(scan: Scan, env: dict[Tensor, np.ndarray], dims: Mapping[Dim, int], arithmetic: Arithmetic) -> None:
    """Every statement at every step, in arrays that hold all steps."""
    for t in outs(scan):
        old = env.get(t)  # the first elements, which are kept as they were for whoever else holds the array
        env[t] = _zeros(t, dims, arithmetic) if old is None else old.copy()
    steps = range(extent(scan.step.size, dims))
    for k in reversed(steps) if scan.reverse else steps:
        for s in scan.statements:
            _statement(s, env, dims, arithmetic, {scan.step: np.asarray(k)})


def _iterate(node: Iterate, env: dict[Tensor, np.ndarray], dims: Mapping[Dim, int], arithmetic: Arithmetic) -> None:
    for x, start, _ in node.states:
        env[x] = np.asarray(env[start])
    first = None
    for _ in range(node.most):
        for t in (t for inner in node.statements for t in outs(inner)):
            env.pop(t, None)  # every round begins anew
        for inner in node.statements:
            run(inner, env, dims, arithmetic)
        gap = env[node.gap]
        first = gap if first is None else first
        if not arithmetic.small(gap, GROWTH * abs(first) + 1.0):
            break
        env.update({x: np.asarray(env[new]) for x, _, new in node.states})
        if arithmetic.small(gap, node.tolerance):
            return
    for x, _, _ in node.states:  # a fixed point that was not reached is no number
        env[x] = np.full_like(env[x], arithmetic.number(sympy.nan))


def _zeros(t: Tensor, dims: Mapping[Dim, int], arithmetic: Arithmetic) -> np.ndarray:
    shape = tuple(extent(size, dims) for size in t.shape)
    return np.full(shape, 0 if t.integer else arithmetic.number(sympy.Integer(0)), _dtype(t, np.float64, arithmetic))


def _dtype(t: Tensor, of_value: np.dtype | type, arithmetic: Arithmetic) -> np.dtype | type:
    return np.int64 if t.integer else arithmetic.dtype or np.result_type(of_value, np.float64)


def _statement(
    statement: Statement,
    env: dict[Tensor, np.ndarray],
    dims: Mapping[Dim, int],
    arithmetic: Arithmetic,
    outer: Mapping[Index, np.ndarray],
) -> None:
    """The body on the whole grid of its loops, the reduction, then the store; `outer` is the step of a scan."""
    sizes = [extent(k.size, dims) for k in statement.loops]
    rank = len(sizes)
    grid = {
        k: np.arange(size).reshape([-1 if a == axis else 1 for a in range(rank)])
        for axis, (k, size) in enumerate(zip(statement.loops, sizes, strict=True))
    }
    body = _Body(env, dims, {**grid, **outer}, arithmetic)
    value = np.broadcast_to(np.asarray(body(statement.body)), sizes)
    if statement.guard is not None:
        neutral = arithmetic.number(NUMBERS[REDUCERS[statement.reduce].neutral])
        value = np.where(body(statement.guard), value, neutral)
    axes = tuple(a for a, k in enumerate(statement.loops) if k in statement.reduced and statement.reduce != "none")
    if axes:
        value = arithmetic.reduce(statement.reduce, value, axes)
        for a in axes:
            value = np.expand_dims(value, a)
    _store(statement, value, body, env, bool(outer))


def _store(statement: Statement, value: np.ndarray, body: _Body, env: dict, in_place: bool) -> None:
    """Write or add the elements; a statement that leaves elements out keeps those that are there."""
    dtype = _dtype(statement.out, value.dtype, body.arithmetic)
    old = env.get(statement.out) if statement.mode == "+=" or in_place or not statement.covers else None
    if old is None:
        target = _zeros(statement.out, body.dims, body.arithmetic).astype(dtype)
    else:
        target = old.astype(np.result_type(old.dtype, dtype), copy=not in_place)
    at = np.broadcast_arrays(*map(body.place, statement.lhs), np.zeros(value.shape, bool))
    where = at[:-1]
    value = np.broadcast_to(value, at[-1].shape) if where else value.reshape(())[()]
    if statement.mode == "+=":
        np.add.at(target, where, value)
    else:
        target[where] = value
    env[statement.out] = target


class _Body:
    """Evaluates one body over the grid; equal subexpressions are computed once."""

    def __init__(self, env: Mapping, dims: Mapping, grid: Mapping, arithmetic: Arithmetic) -> None:
        self.env, self.dims, self.grid, self.arithmetic = env, dims, grid, arithmetic
        self.known: dict[Expr, object] = {}

    def __call__(self, expr: Expr) -> object:
        if expr not in self.known:
            self.known[expr] = self._value(expr)
        return self.known[expr]

    def _value(self, expr: Expr) -> object:
        if isinstance(expr, Access):
            return self._load(expr)
        if isinstance(expr, Index):
            return self._lifted(self.grid[expr])
        if isinstance(expr, Dim):
            return self.arithmetic.number(sympy.Integer(self.dims[expr]))
        if expr.is_Number or expr.is_NumberSymbol:
            return self.arithmetic.number(expr)
        args = [self(arg) for arg in expr.args]
        if expr.is_Add or expr.is_Mul:
            total = args[0]
            for arg in args[1:]:
                total = total + arg if expr.is_Add else total * arg
            return total
        if expr.is_Pow:
            return self._power(expr, *args)
        return self.arithmetic.function(BY_CLASS[expr.func])(*args)

    def _power(self, expr: Expr, base: object, exponent: object) -> object:
        if expr.exp == sympy.Rational(1, 2):
            return self.arithmetic.function("sqrt")(base)
        if expr.exp == -1:
            return 1 / (base if self.arithmetic.dtype else np.asarray(base) * 1.0)
        if self.arithmetic.dtype is None:
            return np.power(np.asarray(base) * 1.0, exponent)
        return base**exponent

    def _load(self, access: Access) -> np.ndarray:
        array = self.env[access.tensor]
        if not access.idx:
            return self._lifted(np.asarray(array))[()]
        return self._lifted(np.asarray(array[tuple(map(self.place, access.idx))]))[()]

    def place(self, k: Expr) -> np.ndarray:
        """An index expression as int64."""
        return np.asarray(self(k)).astype(np.int64)

    def _lifted(self, a: np.ndarray) -> np.ndarray:
        """Integers as numbers of the arithmetic, so that 1/(i + 1) is not rounded to a float on the way."""
        if self.arithmetic.dtype is None or a.dtype == object:
            return a
        lift = np.frompyfunc(lambda v: self.arithmetic.number(sympy.Integer(int(v))), 1, 1)
        return np.asarray(lift(a), object)

"""Which statement left the finite numbers first, and why: a Program again by the interpreter, statement by statement.

    first_non_finite(program, {"X": array, "w": array}, {"n": 5, "d": 3}, "float32")
        ->  Blame(span of the statement, "exp(812.4) overflows at i = 3", "'p'")

Slow, and for the error path only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from sympy import Expr

from symml.ir.evaluate import NUMPY, run
from symml.ir.functions import BY_CLASS
from symml.ir.ops import OPS
from symml.ir.program import Dim, Library, Program, Scan, Statement, Tensor, flat, outs
from symml.source import Span

ENTRIES = 2**24  # a statement with more loop points is not interpreted: memory


@dataclass(frozen=True)
class Blame:
    """The statement's place on the page, what happened there in one clause, and what the statement defines."""

    span: Span | None
    event: str
    defines: str

    @property
    def why(self) -> str:
        return f"{self.event}, in {self.defines}"


def first_non_finite(
    program: Program, values: Mapping[str, np.ndarray], dims: Mapping[str, int], dtype: str
) -> Blame | None:
    """The first statement of a program with a non-finite value at these inputs; None where all are finite."""
    sizes = {d: dims[d.name] for t in program.tensors() for s in t.shape for d in s.atoms(Dim) if d.name in dims}
    sizes |= {d: dims[d.name] for s in flat(program.statements) for d in s.body.atoms(Dim) if d.name in dims}
    sizes |= {d: dims[d.name] for s in flat(program.statements) for k in s.loops for d in k.size.atoms(Dim)}
    env: dict[Tensor, np.ndarray] = {}
    for t in program.inputs:
        if t.name in values:
            a = np.asarray(values[t.name])
            env[t] = a if t.integer else a.astype(dtype)
    with np.errstate(all="ignore"):
        for s in program.statements:
            if not isinstance(s, Statement):
                run(s, env, sizes, NUMPY)
                if not all(np.isfinite(np.asarray(env[t], float)).all() for t in outs(s) if not t.integer):
                    what = "a step of the recurrence" if isinstance(s, Scan) else "the result"
                    why = OPS[s.op].fails if isinstance(s, Library) else ""
                    return Blame(s.span, why or f"{what} is not finite", _what(outs(s)[0]))
                continue
            if math.prod(int(k.size.xreplace(sizes)) for k in s.loops) > ENTRIES:
                return None
            run(s, env, sizes, NUMPY)
            if s.out.integer:
                continue
            env[s.out] = np.asarray(env[s.out]).astype(dtype)
            if not np.isfinite(env[s.out]).all():
                return Blame(s.span, _why(s, env, sizes), _what(s.out))
    return None


def _what(t: Tensor) -> str:
    """What a tensor is to the reader of the page."""
    if t.adjoint_of is not None:
        of = t.adjoint_of
        return f"the gradient by '{of.name}'" if of.kind != "temp" else "the gradient"
    return f"'{t.name}'" if t.kind != "temp" else "this expression"


def _why(s: Statement, env: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int]) -> str:
    """The innermost operation with finite operands and a non-finite value, at its first place."""
    plain = replace(s, guard=None) if s.guard is not None else s
    value = _grid(plain, s.body, env, dims)
    inside = np.ones(value.shape, bool) if s.guard is None else _grid(plain, s.guard, env, dims) != 0
    if np.isfinite(value[inside]).all():
        return f"the {s.reduce} of finite terms overflows" if s.reduce != "none" else "the result overflows"
    node, changed = s.body, True
    while changed:
        changed = False
        for part in node.args:
            if part.args and not np.isfinite(_grid(plain, part, env, dims)[inside]).all():
                node, changed = part, True
                break
    value = _grid(plain, node, env, dims)
    at = tuple(np.argwhere(~np.isfinite(value) & inside)[0])
    operands = [float(_grid(plain, part, env, dims)[at]) for part in node.args]
    where = ", ".join(f"{k.name} = {i}" for k, i in zip(s.loops, at, strict=True))
    return _told(node, operands) + (f" at {where}" if where else "")


def _grid(s: Statement, body: Expr, env: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int]) -> np.ndarray:
    """A sub-expression at every point of a statement's loops."""
    out = Tensor("value", tuple(k.size for k in s.loops))
    space = dict(env)
    run(Statement(out, s.loops, "=", "none", s.loops, body), space, dims, NUMPY)
    kind = next((a.dtype for a in env.values() if a.dtype.kind == "f"), np.dtype(float))
    return np.asarray(space[out]).astype(kind)


def _told(node: Expr, operands: list[float]) -> str:
    """One operation on numbers, in words."""
    numbers = [f"{v:.6g}" for v in operands]
    if node.is_Pow:
        base, exponent = operands
        if base == 0 and exponent < 0:
            return "a division by 0"
        if base < 0 and exponent != math.floor(exponent):
            return f"the root of a negative number, {numbers[0]}" if exponent == 0.5 else f"({numbers[0]})^{numbers[1]}"
        return f"({numbers[0]})^({numbers[1]}) overflows"
    if node.is_Add or node.is_Mul:
        sign = " + " if node.is_Add else " * "
        return f"{sign.join(numbers)} overflows"
    name = BY_CLASS.get(node.func, "the operation")
    if name in ("log", "log1p"):
        inner = operands[0] + (name == "log1p")
        return "the logarithm of 0" if inner == 0 else f"the logarithm of a negative number, {inner:.6g}"
    return f"{name}({', '.join(numbers)}) overflows"

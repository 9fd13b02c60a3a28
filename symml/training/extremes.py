"""Largest singular values and extreme eigenvalues by a semidefinite matrix, which an interior-point method keeps in its cone.

    largest eigenvalue of A = min t        over  t I - A in psd         Boyd & Vandenberghe (2004), section 4.6.3
    largest singular value of M = min t    over  [[t I, M], [M', t I]] in psd

of(program, conditions) does so where the objective, and conditions r <= 0, rise with t, which signs prove.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import sympy
from sympy import Expr

from symml.ir.functions import equal, less
from symml.ir.program import (
    Access,
    Domain,
    Index,
    Library,
    Program,
    Statement,
    Tensor,
    dependents,
    direct_accesses,
    fresh_indices,
)
from symml.methods import spectral
from symml.methods.epigraph import rises
from symml.names import Names
from symml.rewrite.dead import prune

SIGNS = {("svdvals", "max"): 1, ("eigvals", "max"): 1, ("eigvals", "min"): -1}
TOLD = {"svdvals": "a largest singular value", "eigvals": "an extreme eigenvalue"}


@dataclass(frozen=True)
class Extremes:
    """The program with a number in place of each value; the numbers, the matrices that are to stay semidefinite, the outputs
    that are 0, and what was done."""

    program: Program
    numbers: tuple[Tensor, ...]
    matrices: tuple[Tensor, ...]
    conditions: tuple[str, ...]
    told: str


@dataclass(frozen=True)
class _Use:
    """One end of the values of `node`: the largest (sign 1), or the smallest (-1), which is less a number."""

    node: Library
    sign: int


def of(program: Program, conditions: Mapping[str, bool], wrt: tuple[Tensor, ...]) -> Extremes | None:
    """None where there is no such value of what is optimised; conditions: outputs, whether they are equalities."""
    moving = dependents(program.statements, wrt)
    made = {n.outs[0]: n for n in program.statements if isinstance(n, Library) and n.op in TOLD and n.args[0] in moving}
    found = dict.fromkeys(u for s in program.statements if isinstance(s, Statement) for u in _uses(s, made))
    if not found:
        return None
    names = Names(t.name for t in program.tensors())
    numbers = {u: Tensor(names.fresh("t"), (), "param", _domain(u)) for u in found}
    statements = [_written(s, made, numbers) if isinstance(s, Statement) else s for s in program.statements]
    matrices, outputs = [], dict(program.outputs)
    for u, t in numbers.items():
        z, gap, more = _set_equal(u, t, names)
        statements += more
        matrices.append(z)
        outputs[f"constraint {gap.name}"] = gap
    inputs = (*program.inputs, *numbers.values(), *matrices)
    whole = Program(inputs, tuple(statements), outputs, program.requires)
    whole = prune(whole, *outputs)
    unknowns = tuple(numbers.values())
    if not rises(prune(whole, "loss", *conditions), "loss", conditions, unknowns):
        return None
    keys = tuple(k for k in outputs if k not in program.outputs)
    told = " and ".join(dict.fromkeys(TOLD[u.node.op] for u in found))
    return Extremes(whole, unknowns, tuple(matrices), keys, told)


def _domain(u: _Use) -> Domain:
    return Domain("interval", lower=0.0) if u.node.op == "svdvals" else Domain()


def _end(a: Access, node: Library) -> int:
    """Is an entry of the values the largest (1), the smallest (-1), or one that no matrix tells (0)?"""
    return SIGNS.get((node.op, spectral.side(a, spectral.KINDS[node.op])), 0)


def _uses(s: Statement, made: Mapping[Tensor, Library]) -> Iterator[_Use]:
    whole = _whole(s, made)
    if whole is not None:
        yield whole
        return
    for a in direct_accesses(s.body):
        if a.tensor in made and (sign := _end(a, made[a.tensor])):
            yield _Use(made[a.tensor], sign)


def _whole(s: Statement, made: Mapping[Tensor, Library]) -> _Use | None:
    """max or min over all values."""
    if not isinstance(s.body, Access) or s.body.tensor not in made or s.guard is not None or s.lhs:
        return None
    node = made[s.body.tensor]
    sign = SIGNS.get((node.op, s.reduce), 0)
    return _Use(node, sign) if sign and s.body.idx == s.loops else None


def _written(s: Statement, made: Mapping[Tensor, Library], numbers: Mapping[_Use, Tensor]) -> Statement:
    whole = _whole(s, made)
    if whole is not None:
        return replace(s, reduce="none", loops=(), body=whole.sign * numbers[whole][()])
    table = {
        a: sign * numbers[_Use(made[a.tensor], sign)][()]
        for a in direct_accesses(s.body)
        if a.tensor in made and (sign := _end(a, made[a.tensor]))
    }
    return s.with_body(s.body.xreplace(table)) if table else s


def _set_equal(u: _Use, t: Tensor, names: Names) -> tuple[Tensor, Tensor, list[Statement]]:
    """An unknown Z, the residual of Z = the matrix of `u`, and what this is made by; below and on the diagonal by its entries,
    above it by symmetry, so that no condition is said twice."""
    m = u.node.args[0]
    rows, columns = m.shape
    size = (rows + columns,) * 2 if u.node.op == "svdvals" else m.shape
    z, gap = Tensor(names.fresh("lifted"), size, "param"), Tensor(names.fresh("whole"), size)
    i, j = fresh_indices(size)
    diagonal, above = equal(i, j) * t[()], less(i, j)
    if u.node.op == "eigvals":
        body: Expr = diagonal - u.sign * (m[i, j] + m[j, i]) / 2
        whole = Tensor(names.fresh("matrix"), size)
        made = [Statement(whole, (i, j), "=", "none", (i, j), body)]
    else:
        whole, made = _corner(m, diagonal, (i, j), names)
    half = (z[i, j] + z[j, i]) / sympy.Integer(2)
    residual = (1 - above) * (half - whole[i, j]) + above * (z[i, j] - z[j, i])
    return z, gap, [*made, Statement(gap, (i, j), "=", "none", (i, j), residual)]


def _corner(m: Tensor, diagonal: Expr, k: tuple[Index, Index], names: Names) -> tuple[Tensor, list[Statement]]:
    """t I with M' below the diagonal: M[i, j] stands at (rows + j, i)."""
    rows, _ = m.shape
    whole = Tensor(names.fresh("matrix"), tuple(i.size for i in k))
    i, j = fresh_indices(m.shape)
    own = Statement(whole, k, "=", "none", k, diagonal)
    return whole, [own, Statement(whole, (j + rows, i), "+=", "none", (i, j), m[i, j])]

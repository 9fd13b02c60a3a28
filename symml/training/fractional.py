"""Quadratic forms in an inverse by a semidefinite matrix, which an interior-point method keeps in its cone.

    tr V' P^-1 V = min tr W    over  [[P, V], [V', W]] in psd        Boyd & Vandenberghe (2004), section 4.6.3 and A.5.5

The form is finite where P is singular too, as at the least c' P^-1 c over tr P <= 1; its derivative is not. of(program,
conditions, wrt) writes it so where P is semidefinite by what it is made of, V does not depend on the unknowns, and the objective
and conditions r <= 0 rise with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import sympy
from sympy import Expr

from symml.ir.functions import less
from symml.ir.program import (
    Access,
    Domain,
    Index,
    Library,
    Program,
    Statement,
    Tensor,
    accesses,
    dependents,
    fresh_indices,
    indices,
    reads,
    substitute,
)
from symml.methods import signs
from symml.methods.definite import products, semidefinite
from symml.methods.epigraph import rises
from symml.names import Names
from symml.rewrite.dead import prune

TOLD = "a quadratic form in an inverse"


@dataclass(frozen=True)
class Fractional:
    """The program with tr W in place of each form; the matrices that are to stay semidefinite, and the outputs that are 0."""

    program: Program
    matrices: tuple[Tensor, ...]
    conditions: tuple[str, ...]


@dataclass(frozen=True)
class _Form:
    """`statement`, where it is known, writes factor tr V' P^-1 V; `v` is an entry of V at its row and column, if it has more
    than one."""

    statement: Statement | None
    p: Tensor
    v: Expr
    at: tuple[Index, ...]
    factor: Expr


def of(program: Program, conditions: Mapping[str, bool], wrt: tuple[Tensor, ...]) -> Fractional | None:
    """None where there is no such form; conditions: outputs, whether they are equalities."""
    forms = {f.statement: f for f in _forms(program, wrt)}
    if not forms or not _rise(program, conditions, forms):
        return None
    names, outputs = Names(t.name for t in program.tensors()), dict(program.outputs)
    statements, matrices, keys = [], [], []
    for node in program.statements:
        if node not in forms:
            statements.append(node)
            continue
        z, gaps, more, trace = _set_equal(forms[node], names)
        statements += [*more, replace(node, reduce="sum", loops=trace.loops, body=forms[node].factor * trace.body)]
        matrices.append(z)
        keys += [f"constraint {gap.name}" for gap in gaps]
        outputs |= {f"constraint {gap.name}": gap for gap in gaps}
    whole = Program((*program.inputs, *matrices), tuple(statements), outputs, program.requires)
    return Fractional(prune(whole, *outputs), tuple(matrices), tuple(keys))


def _forms(program: Program, wrt: tuple[Tensor, ...]) -> Iterator[_Form]:
    """The forms whose P moves and is semidefinite; the first number that is made of P^-1 is looked at."""
    moving = dependents(program.statements, wrt)
    inverses = {
        n.outs[0]: n.args[0]
        for n in program.statements
        if isinstance(n, Library) and n.op == "inv" and n.args[0] in moving
    }
    made: dict[Tensor, list[Statement]] = {}
    for s in (s for s in program.statements if isinstance(s, Statement)):
        made.setdefault(s.out, []).append(s)
    after = dependents(program.statements, inverses)
    between = {t: made[t] for t in after if t in made and t.shape}
    for s in (s for s in program.statements if isinstance(s, Statement) and not s.lhs and s.guard is None):
        held = [t for t in reads(s) if t in after]
        if len(held) == 1 and held[0].shape and s.reduce == "sum":
            found = _read(products(s.body, between, ()), inverses)
            if (
                found is not None
                and not {a.tensor for a in accesses(found.v)} & moving
                and semidefinite(found.p, made, signs.nonnegative)
            ):
                yield replace(found, statement=s)


def _read(terms: list[Expr] | None, inverses: Mapping[Tensor, Tensor]) -> _Form | None:
    """factor sum V[i, k] P^-1[i, j] V[j, k] over all indices."""
    if terms is None or len(terms) != 1:
        return None
    factors = sympy.Mul.make_args(terms[0])
    q = next((a for a in factors if isinstance(a, Access) and a.tensor in inverses), None)
    if q is None or not all(isinstance(k, Index) for k in q.idx) or q.idx[0] is q.idx[1]:
        return None
    i, j = q.idx
    left, right = (sympy.Mul(*(f for f in factors if f is not q and k in indices(f))) for k in (i, j))
    factor = sympy.Mul(*(f for f in factors if not {i, j} & indices(f)))
    others = tuple(indices(left) - {i})
    if j in indices(left) or len(others) > 1 or indices(factor) or substitute(left, {i: j}) != right:
        return None
    return _Form(None, inverses[q.tensor], left, (i, *others), factor)


def _rise(program: Program, conditions: Mapping[str, bool], forms: Mapping[Statement, _Form]) -> bool:
    """Do the objective and the conditions rise with each of the forms?"""
    names = Names(t.name for t in program.tensors())
    numbers = {s: Tensor(names.fresh("t"), (), "param", Domain("interval", lower=0.0)) for s in forms}
    statements = (
        replace(s, reduce="none", loops=(), body=forms[s].factor * numbers[s][()]) if s in forms else s
        for s in program.statements
    )
    whole = replace(program, inputs=(*program.inputs, *numbers.values()), statements=tuple(statements))
    return rises(prune(whole, "loss", *conditions), "loss", conditions, tuple(numbers.values()))


def _set_equal(f: _Form, names: Names) -> tuple[Tensor, tuple[Tensor, ...], list[Statement], Statement]:
    """An unknown Z, the residuals of its block P (below the diagonal; above it by symmetry) and of its corner V, what these are
    made by, and tr W."""
    rows, columns = f.p.shape[0], f.at[1].size if len(f.at) == 2 else sympy.Integer(1)
    z = Tensor(names.fresh("lifted"), (rows + columns, rows + columns), "param")
    block, corner = Tensor(names.fresh("block"), f.p.shape), Tensor(names.fresh("corner"), (rows, columns))
    i, j = fresh_indices(f.p.shape)
    above = less(i, j)
    halves = (z[i, j] + z[j, i] - f.p[i, j] - f.p[j, i]) / sympy.Integer(2)
    made = [Statement(block, (i, j), "=", "none", (i, j), (1 - above) * halves + above * (z[i, j] - z[j, i]))]
    i, k = fresh_indices(corner.shape)
    v = substitute(f.v, dict(zip(f.at, (i, k), strict=False)))
    body = (z[i, k + rows] + z[k + rows, i]) / sympy.Integer(2) - v
    made.append(Statement(corner, (i, k), "=", "none", (i, k), body))
    (k,) = fresh_indices((columns,))
    return z, (block, corner), made, Statement(f.statement.out, (), "=", "sum", (k,), z[k + rows, k + rows])

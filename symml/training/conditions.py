"""What an interior-point method calls of a page with constraints: residuals, their derivative along a vector, and the
Hessian of the Lagrangian times a vector.

found = functions(forward, wrt, (Condition("c1", True, tensor), ...))      equalities first
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from symml.calculus.reverse import gradient
from symml.calculus.second import hessian_times
from symml.calculus.tangent import tangent
from symml.ir.program import Access, Program, Statement, Tensor, fresh_indices
from symml.loops.plan import Function
from symml.names import Names
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.training.compose import executable


@dataclass(frozen=True)
class Condition:
    """A residual by the name of its output: 0 where `equal`, else at most 0; `text` is for the reader."""

    output: str
    equal: bool
    text: str = ""


@dataclass(frozen=True)
class Found:
    """The functions, their programs (for the sizes that they meet), the multipliers' tensors in the order of the
    conditions, and whether the Hessian and the Jacobian are constant."""

    functions: tuple[Function, ...]
    programs: tuple[Program, ...]
    multipliers: tuple[Tensor, ...]
    flat: bool
    affine: bool


def functions(program: Program, wrt: tuple[Tensor, ...], conditions: Iterable[Condition]) -> Found:
    """`program` has the outputs `loss` and those of the conditions; equalities come first."""
    conditions = tuple(conditions)
    outputs = tuple(c.output for c in conditions)
    lagrangian, multipliers = lagrangian_of(program, outputs)
    _, times, along = hessian_times(simplify(gradient(lagrangian, "lagrangian", wrt)), wrt)
    made = [Function("lagrangian_times", "gradient", executable(times), "slope", along=along)]
    residuals = prune(program, *outputs)
    moved, moves = tangent(residuals, outputs, wrt) if outputs else (residuals, along)
    affine = not any(t in moved.inputs for t in wrt)
    names = tuple(f"t_{k}" for k in outputs)
    made += [
        Function("conditions", "vector", executable(residuals), outputs=outputs),
        Function("condition_tangent", "vector", executable(moved), outputs=names, along=moves),
    ]
    programs = [times, residuals, moved]
    d = prune(times, *(f"d_{t.name}" for t in wrt))
    flat = not any(t in d.inputs for t in (*wrt, *multipliers.values()))
    return Found(tuple(made), tuple(programs), tuple(multipliers[k] for k in outputs), flat, affine)


def lagrangian_of(program: Program, outputs: tuple[str, ...]) -> tuple[Program, Mapping[str, Tensor]]:
    """loss + sum multiplier residual as the output `lagrangian`; a multiplier is a data tensor of its residual's shape."""
    names = Names(t.name for t in program.tensors())
    out, loss = Tensor(names.claim("lagrangian")), program.outputs["loss"]
    statements = [Statement(out, (), "=", "none", (), loss[()])]
    multipliers = {}
    for key in outputs:
        r = program.outputs[key]
        m = multipliers[key] = Tensor(names.claim(f"multiplier_{key.split()[-1]}"), r.shape, kind="data")
        k = fresh_indices(r.shape)
        statements.append(Statement(out, (), "+=", "sum" if k else "none", k, Access(m, k) * Access(r, k)))
    whole = replace(
        program,
        inputs=(*program.inputs, *multipliers.values()),
        statements=(*program.statements, *statements),
        outputs={"lagrangian": out},
    )
    return simplify(prune(whole, "lagrangian")), multipliers

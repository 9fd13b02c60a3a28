"""Second derivatives as one more first derivative: the gradient of <gradient, v> is the Hessian times v.

program, v = hessian_times(derivative, (w, b))      outputs `slope` = <gradient, v> and d_w, d_b = Hessian v
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from symml.calculus.reverse import gradient
from symml.ir.program import Access, Program, Statement, Tensor, fresh_indices
from symml.names import Names
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify


def slope_along(derivative: Program, wrt: Iterable[Tensor]) -> tuple[Program, tuple[Tensor, ...]]:
    """<gradient, v> as the output `slope` of a program; v is one data tensor for each parameter, of its shape."""
    names, statements, along = Names(t.name for t in derivative.tensors()), [], []
    slope = Tensor(names.claim("slope"))
    for t in wrt:
        v = Tensor(names.claim(f"along_{t.name}"), t.shape, kind="data")
        k = fresh_indices(t.shape)
        body = Access(derivative.outputs[f"d_{t.name}"], k) * Access(v, k)
        statements.append(Statement(slope, (), "+=", "sum" if k else "none", k, body))
        along.append(v)
    statements[0] = replace(statements[0], mode="=")
    program = Program(
        (*derivative.inputs, *along), (*derivative.statements, *statements), {**derivative.outputs, "slope": slope}
    )
    return prune(program, "slope"), tuple(along)


def hessian_times(derivative: Program, wrt: Iterable[Tensor]) -> tuple[Program, Program, tuple[Tensor, ...]]:
    """The program of <gradient, v>, that of its gradient (outputs `slope`, d_NAME), and the tensors v."""
    wrt = tuple(wrt)
    first, along = slope_along(derivative, wrt)
    return first, simplify(gradient(first, "slope", wrt)), along

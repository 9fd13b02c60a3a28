"""Second derivatives as one more first derivative: the gradient of <gradient, v> is the Hessian times v.

_, program, along = hessian_times(derivative, (w, b))   outputs `slope` = <gradient, v> and d_w, d_b = Hessian v
hessian(derivative, w, b)                    output "hessian"[w's axes, b's axes], stored without its tied axes
jacobian(program, "p", w)                    output "jacobian"[p's axes, w's axes]: d p_i / d w_j
transposed_times(program, "p", (w,))         outputs d_w = J' u;    J v is that of tangent.py
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from symml.calculus.columns import Columns, columns
from symml.calculus.reverse import adjoint, gradient
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
    program = replace(
        derivative,
        inputs=(*derivative.inputs, *along),
        statements=(*derivative.statements, *statements),
        outputs={**derivative.outputs, "slope": slope},
    )
    return prune(program, "slope"), tuple(along)


def hessian_times(derivative: Program, wrt: Iterable[Tensor]) -> tuple[Program, Program, tuple[Tensor, ...]]:
    """The program of <gradient, v>, that of its gradient (outputs `slope`, d_NAME), and the tensors v."""
    wrt = tuple(wrt)
    first, along = slope_along(derivative, wrt)
    return first, simplify(gradient(first, "slope", wrt)), along


def hessian(derivative: Program, a: Tensor, b: Tensor) -> Columns:
    """The block d^2 f / da db of a program with the outputs d_a and d_b."""
    first, (v,) = slope_along(derivative, (b,))
    product = simplify(gradient(first, "slope", (a,)))
    return _named(columns(product, v, f"d_{a.name}"), "hessian")


def transposed_times(program: Program, output: str, wrt: Iterable[Tensor]) -> tuple[Program, Tensor]:
    """J' u as the outputs d_NAME for each of `wrt`, and the tensor u, of the output's shape."""
    y = program.outputs[output]
    u = Tensor(Names(t.name for t in program.tensors()).claim(f"along_{output}"), y.shape, kind="data")
    program = prune(program, output)
    back = adjoint(replace(program, inputs=(*program.inputs, u)), {y: u}, wrt)
    return simplify(prune(back, *(f"d_{t.name}" for t in wrt))), u


def jacobian(program: Program, output: str, wrt: Tensor) -> Columns:
    """d output_i / d wrt_j, the axes of the output first."""
    back, u = transposed_times(program, output, (wrt,))
    return _named(columns(back, u, f"d_{wrt.name}", leading=True), "jacobian")


def _named(found: Columns, key: str) -> Columns:
    return replace(found, program=replace(found.program, outputs={key: found.full}))

"""The Jacobian of vector outputs times a vector: J v is linear in v, and the gradient in u of <J'u, v>.

program, along = tangent(residuals, ("r0", "r1"), (w, b))      outputs `t_r0`, `t_r1`; along: v of each parameter
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from symml.calculus.reverse import adjoint, gradient
from symml.calculus.second import slope_along
from symml.ir.program import Program, Tensor
from symml.names import Names
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify


def tangent(program: Program, outputs: Iterable[str], wrt: Iterable[Tensor]) -> tuple[Program, tuple[Tensor, ...]]:
    """The derivative of the outputs along v, each as the output `t_NAME` of its shape, and the tensors v.

    v is one data tensor for each parameter, of its shape. u of the derivation is gone: J'u is linear in it.
    """
    wrt, outputs = tuple(wrt), tuple(outputs)
    names = Names(t.name for t in program.tensors())
    of = {key: program.outputs[key] for key in outputs}
    weights = {t: Tensor(names.claim(f"u_{t.name}"), t.shape, kind="data") for t in dict.fromkeys(of.values())}
    back = adjoint(replace(program, inputs=(*program.inputs, *weights.values())), weights, wrt)
    slope, along = slope_along(back, wrt)
    forward = gradient(slope, "slope", tuple(weights.values()))
    found = {f"t_{key}": forward.outputs[f"d_{weights[t].name}"] for key, t in of.items()}
    return simplify(prune(replace(forward, outputs=found), *found)), along

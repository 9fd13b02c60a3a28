"""Noise: `eps[k, j] = draw(Normal(m, s)) for k in S, j in d`, normal numbers that every step of training draws anew.

The numbers are an input of the program, standard normal; m and s are applied to them, so a gradient passes through both
(Kingma & Welling, "Auto-encoding variational Bayes", 2014). The counter of a number is (step, element).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import sympy

from symml.errors import SpecError, UnsupportedError
from symml.ir.functions import canonical
from symml.ir.program import Access, Domain, Index, Statement, Tensor
from symml.model import left
from symml.model.values import Value, of_tensor
from symml.names import number
from symml.syntax import tree

if TYPE_CHECKING:
    from symml.model.lower import Lowering


STANDARD = "StandardNormal"


def define(low: Lowering, node: tree.Define) -> Value:
    """The value of a definition by `draw`."""
    (distribution,) = node.value.args if len(node.value.args) == 1 else (None,)
    if distribution is None or not node.indices:
        raise SpecError(
            "draw takes a distribution, and its numbers have an index",
            node.value.span,
            fix=f"such as {node.target.id}[k] = draw(Normal(0, 1)) for k in K",
        )
    sizes = {k.id: left.index_size(low, node, p) for p, k in enumerate(node.indices)}
    env = {name: Index(name, size) for name, size in sizes.items()}
    mean, deviation = _moments(low, distribution, env)
    loops = tuple(env.values())
    name = node.target.id if (mean, deviation) == (0, 1) else low.names.fresh(f"{node.target.id}_noise")
    noise = Tensor(name, tuple(k.size for k in loops), "data", Domain("noise"), node.target.span)
    low.noise.append(noise)
    if (mean, deviation) == (0, 1):
        return of_tensor(noise)
    out = replace(noise, name=node.target.id, kind="definition", domain=Domain(), uid=number())
    body = canonical(mean + deviation * Access(noise, loops))
    low.statements.append(Statement(out, loops, "=", "none", loops, body, span=node.span))
    return of_tensor(out)


def _moments(low: Lowering, distribution: tree.Expr, env: dict[str, Index]) -> tuple[sympy.Expr, sympy.Expr]:
    """Mean and deviation of a normal distribution."""
    if isinstance(distribution, tree.Name) and distribution.id == STANDARD:
        return sympy.Integer(0), sympy.Integer(1)
    if isinstance(distribution, tree.Call) and distribution.function == "Normal" and len(distribution.args) == 2:
        values = [low.expression(a, env) for a in distribution.args]
        if not any(v.rank for v in values):
            return values[0].scalar, values[1].scalar
        raise SpecError(
            "the mean and the deviation are numbers here", distribution.span, fix="index them: Normal(m[j], s[j])"
        )
    raise UnsupportedError(
        "draw from this distribution is not supported yet",
        distribution.span,
        fix="Normal(mean, deviation) or StandardNormal",
    )

"""How parameters start: as the page says, else at 0 or inside of their domains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy

from symml.derivations.convexity import certificate
from symml.errors import SpecError
from symml.ir.program import Tensor
from symml.loops.plan import Start
from symml.model.lower import Lowering
from symml.model.model import Init, Model
from symml.syntax.words import nearest

if TYPE_CHECKING:
    from symml.analysis import Analysis


def starts(a: Analysis, inside: bool) -> tuple:
    """Each parameter's start. Without `init` it is 0 where the problem is convex, or the middle of its domain where the
    solver asks for no more (`inside`); else the page must say it."""

    starts = []
    low = Lowering(a.model.dims, {h.tensor.name: h.tensor for h in a.model.hypers.values()}, {})
    missing = [t for t in a.model.over if a.model.params[t.name].init is None]
    if missing and not inside and not (c := certificate(a)).convex:
        p = a.model.params[missing[0].name]
        raise SpecError(
            f"'{missing[0].name}' needs an init: the problem is not certified convex ({c.reason})",
            p.span,
            fix=f"such as init normal(0, 0.1), or 0: {missing[0].name} init 0",
        )
    for t in a.model.over:
        init = a.model.params[t.name].init
        if init is None:
            turned = inside and any(r.kind == "orthonormal" and r.param is t for r in a.model.regions)
            start = Start(t, "identity", ()) if turned else _middle(t) if inside else None
            starts.append(start or Start(t, "constant", (sympy.Integer(0),)))
        elif init.kind == "sample":
            starts.append(Start(t, "sample", (), _sampled(a.model, t, init)))
        else:
            starts.append(Start(t, init.kind, tuple(low.expression(e, {}).scalar for e in init.args)))
    return tuple(starts)


def _middle(t: Tensor) -> Start:
    """A point inside of a parameter's domain."""
    d = t.domain
    if d.kind in ("psd", "symmetric"):
        return Start(t, "identity", ())
    if d.kind in ("simplex", "stochastic"):
        return Start(t, "constant", (1 / t.shape[-1],))
    if d.kind == "ball" or (d.lower is None and d.upper is None):
        return Start(t, "constant", (sympy.Integer(0),))
    if d.lower is not None and d.upper is not None:
        return Start(t, "constant", (sympy.Float((d.lower + d.upper) / 2),))
    return Start(t, "constant", (sympy.Float(d.lower + 1 if d.lower is not None else d.upper - 1),))


def _sampled(model: Model, t: Tensor, init: Init) -> str:
    """The data whose rows a parameter takes at random."""
    name = init.args[0].id
    data = model.data.get(name)
    if data is None:
        raise SpecError(f"'{name}' is no data", init.span, fix=nearest(name, model.data) or "such as init sample(X)")
    if data.tensor.shape[:1] != (model.row_dim,) or data.tensor.shape[1:] != t.shape[1:] or data.tensor.integer:
        raise SpecError(f"rows of '{name}' do not fit '{t.name}'", init.span, fix="its axes after the first are equal")
    return name

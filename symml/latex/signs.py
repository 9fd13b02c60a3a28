"""Signs and absolute values beside each other in an entrywise product."""

from __future__ import annotations

from collections.abc import Mapping

import sympy
from sympy import Expr

from symml.latex.tree import Map, Node


def without_signs(powers: Mapping[Node, Expr]) -> dict[Node, Expr]:
    """|u|^k is u^k for even k, sign(u) |u|^k is u^k for odd k, and sign(u) u is |u|."""
    found = dict(powers)
    for base, k in powers.items():
        if isinstance(base, Map) and base.function == "sign" and k == found.get(base.args[0]) == 1:
            del found[base], found[base.args[0]]
            magnitude = Map(base.shape, "abs", base.args)
            found[magnitude] = found.get(magnitude, sympy.Integer(0)) + 1
    powers = dict(found)
    for base, k in powers.items():
        if not (isinstance(base, Map) and base.function == "abs" and k.is_Integer):
            continue
        sign = Map(base.shape, "sign", base.args)
        if k.is_odd and found.get(sign) != 1:
            continue
        if k.is_odd:
            found.pop(sign)
        found.pop(base)
        (u,) = base.args
        found[u] = found.get(u, sympy.Integer(0)) + k
    return {b: k for b, k in found.items() if k != 0}

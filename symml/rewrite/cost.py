"""What costs nothing to compute again."""

from __future__ import annotations

import sympy
from sympy import Expr

from symml.ir.program import Access


def is_cheap(body: Expr) -> bool:
    """A number, a scalar, one entry, or a product of scalars and at most one entry."""
    entries = 0
    for f in sympy.Mul.make_args(body):
        base = f.base if f.is_Pow and f.exp.is_number else f
        if isinstance(base, Access) and base.idx:
            entries += 1
        if f.is_Pow and not f.exp.is_number:
            return False
        if not (base.is_Symbol or base.is_number) or (f.is_Pow and entries and isinstance(base, Access) and base.idx):
            return False
    return entries <= 1

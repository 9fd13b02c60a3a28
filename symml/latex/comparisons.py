"""Tests as one writes them: [c r < (c - 1) r] is [r < 0], and a test beside its opposite is said once.

tidy(-c [(c - 1) r <= c r] + (1 - c) [c r < (c - 1) r])  ->  [r < 0] - c
"""

from __future__ import annotations

import sympy
from sympy import Expr

from symml.ir.expand import expand
from symml.ir.functions import less, less_equal

ZERO = sympy.Integer(0)


def tidy(e: Expr) -> Expr:
    """A body with its tests over one difference where that is shorter; equal to it wherever it is defined."""
    found = sorted(e.atoms(less, less_equal), key=str)
    table = {t: _over_zero(t) for t in found}
    table = {t: new for t, new in table.items() if new != t}
    e = e.xreplace(table) if table else e
    opposite = {t: 1 - less(*t.args[::-1]) for t in e.atoms(less_equal) if less(*t.args[::-1]) in e.atoms(less)}
    if not opposite:
        return e
    opened = expand(e.xreplace(opposite))
    return opened if opened.count_ops() < e.count_ops() else e


def _over_zero(t: less | less_equal) -> Expr:
    """[a < b] as [0 < b - a], or [d < 0] where the difference has a minus in front; positive factors are gone."""
    a, b = t.args
    if a == 0 or b == 0:
        return t
    d = sympy.factor_terms(expand(b - a))
    d = sympy.Mul(*(f for f in sympy.Mul.make_args(d) if not f.is_positive))
    minus = d.could_extract_minus_sign()
    new = t.func(-d, ZERO) if minus else t.func(ZERO, d)
    return new if new.count_ops() < t.count_ops() else t

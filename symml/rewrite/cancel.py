"""Factors of one product that say something twice: tests beside what they test, hyperbolic functions over each other.

sinh(u)/cosh(u)  ->  tanh(u)          [u > 0] max(u, 0)  ->  max(u, 0)
"""

from __future__ import annotations

from sympy import Expr, Integer, Mul, cosh, sinh, tanh

from symml.ir.functions import less, less_equal, maximum, relu, step

ZERO = Integer(0)


def hyperbolic_ratio(e: Expr) -> Expr | None:
    """sinh(u)/cosh(u) = tanh(u)"""
    powers = e.as_powers_dict() if e.is_Mul else {}
    for above in powers:
        below = cosh(*above.args) if isinstance(above, sinh) else None
        if below not in powers:
            continue
        a, b = powers[above], powers[below]
        if a.is_Integer and b.is_Integer and a * b < 0:
            k = min(abs(a), abs(b)) * (1 if a > 0 else -1)
            return e / (above**k * below**-k) * tanh(*above.args) ** k
    return None


def maximum_alone(e: Expr) -> Expr | None:
    """[u > 0] max(u, 0) = max(u, 0)"""
    if not e.is_Mul:
        return None
    positive = [g.as_base_exp()[0] for g in e.args if g.as_base_exp()[1].is_positive]
    for test in e.args:
        u = _positive_where(test)
        if u is not None and any(_above_zero(g) == u for g in positive):
            return Mul(*(f for f in e.args if f is not test))
    return None


def _positive_where(test: Expr) -> Expr | None:
    """The u of a test u > 0."""
    if isinstance(test, step):
        return test.args[0]
    return test.args[1] if isinstance(test, less | less_equal) and test.args[0] == ZERO else None


def _above_zero(g: Expr) -> Expr | None:
    """The u of max(u, 0)."""
    if isinstance(g, relu):
        return g.args[0]
    others = [a for a in g.args if a != ZERO] if isinstance(g, maximum) and ZERO in g.args else []
    return others[0] if len(others) == 1 else None

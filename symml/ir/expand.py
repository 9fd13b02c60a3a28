"""Products and powers of sums multiplied out, where that leaves no more than MOST terms; else the expression as it is.

(a + b)^2 has three terms, ((a + b)^99 + 1)^99 has millions: whoever asks for the terms takes what he gets.
"""

from __future__ import annotations

import math

import sympy
from sympy import Expr

MOST = 3000


def expand(e: Expr) -> Expr:
    """Products, powers, logarithms: sympy's `expand`."""
    return sympy.expand(e) if _few(e) else e


def expand_products(e: Expr) -> Expr:
    """Products alone: sympy's `expand_mul`."""
    return sympy.expand_mul(e) if _few(e) else e


def expand_sums(e: Expr) -> Expr:
    """Products and powers; functions, and powers whose exponents are sums, stay as they are."""
    return sympy.expand(e, power_exp=False, power_base=False, log=False, trig=False) if _few(e) else e


def _few(e: Expr) -> bool:
    known: dict[Expr, tuple[int, int]] = {}
    return max(_terms(e, known)) <= MOST


def _terms(e: Expr, known: dict[Expr, tuple[int, int]]) -> tuple[int, int]:
    """How many terms the expression has once it is multiplied out, and the most of a function's argument in it."""
    if not e.args:
        return 1, 1
    if e in known:
        return known[e]
    parts = [_terms(a, known) for a in e.args]
    counts, inside = [n for n, _ in parts], max(m for _, m in parts)
    if e.is_Add:
        found = sum(counts)
    elif e.is_Mul:
        found = math.prod(counts)
    elif e.is_Pow and e.exp.is_Integer and counts[0] > 1:
        n = min(abs(int(e.exp)), MOST + 1)
        found = math.comb(n + min(counts[0], MOST + 1) - 1, n)
    else:
        found, inside = 1, max(inside, *counts)
    known[e] = min(found, MOST + 1), inside
    return known[e]

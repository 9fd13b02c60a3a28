"""Sums whose leading terms cancel by algebra: roots with their conjugate, squares, polynomials, fractions."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import sympy
from sympy import Add, Expr, Float, Integer, Mul, Pow, sqrt

from symml.ir.functions import absolute, equal, less, select
from symml.rewrite.numeric.shapes import HALF, TWO, exact_sum, expanded, gap, split, square_root_of, terms, without

Inner = Callable[[Expr], Expr]
MOST_TERMS = 8


def conjugate(e: Expr, inner: Inner) -> Expr | None:
    """t + sqrt(D) = (t^2 - D)/(t - sqrt(D)) where t is negative and t^2 - D is known better than both"""
    if not e.is_Add or len(e.args) > MOST_TERMS:
        return None
    roots = [(s, c, f) for s in e.args for c, f in split(s, Pow) if f.exp == HALF]
    if len(roots) != 1:
        return None
    ((term, c, root),) = roots
    t = (e - term) / c
    t, inside = expanded(t), root.base
    square, under = expanded(t**2), expanded(inside)
    q = expanded(square - under)
    fewer = terms(q) < terms(square) + terms(under) - 1 or perfect_square(q) is not None
    if not fewer or (t.is_number and t.is_nonnegative):
        return None
    q, root_of_q, sign = _as_square(q)
    q, t, r, c = inner(q), inner(t), _root(inside, inner), inner(c)
    both = absolute(t) + r  # r - t, where t is negative; a function of its own: no pattern for this rule again
    other = -q / both
    if root_of_q is not None and not root_of_q.is_number:  # its square may leave the floats
        s = inner(root_of_q)
        other = -sign * s * select(less(0, both), s / both, Integer(0))
    return c * (other if t.is_number else select(less(t, 0), other, t + r))


def _as_square(q: Expr) -> tuple[Expr, Expr | None, int]:
    """(q, p, sign) with q = sign p^2; p is None where q is no square."""
    if (square := perfect_square(q)) is not None:
        q = square[0] * square[1] ** 2
    for sign in (1, -1):
        if (p := square_root_of(sign * q)) is not None:
            return q, p, sign
    return q, None, 1


def less_a_cosine(e: Expr, inner: Inner) -> Expr | None:
    """c - c n/sqrt(d) = c (d - n^2)/(sqrt(d) (sqrt(d) + n)) for n > sqrt(d)/2, d - n^2 a square (Lagrange)"""
    if not e.is_Add or len(e.args) != 2:
        return None
    for c, t in (e.args, e.args[::-1]):
        roots = [f for f in Mul.make_args(t / c) if f.is_Pow and f.exp == -HALF]
        n = -t / c / Mul(*roots)
        if not roots or not c.is_number or n.as_numer_denom()[1] != 1:
            continue
        _, p, sign = _as_square(expanded(Mul(*(f.base for f in roots)) - n**2))
        if p is None or p.is_number or sign < 0:
            continue
        root, p, n = Mul(*(inner(sqrt(f.base)) for f in roots)), inner(p), inner(n)
        parts = select(less(0, root), p / root, Integer(0)), select(less(0, n), p / (root + n), Integer(0))
        return inner(c) * select(less(root, TWO * n), parts[0] * parts[1], 1 - n / root)
    return None


def _root(inside: Expr, inner: Inner) -> Expr:
    """sqrt(p^2 + rest) where p^2 may leave the floats, as b^2 does in b^2 - 4 a c."""
    found = [p for u in Add.make_args(inside) if not u.is_number and (p := square_root_of(u)) is not None]
    if len(found) != 1 or not inside.is_Add:
        return inner(sqrt(inside))
    p = inner(found[0])
    below = inner(Add(*(u for u in inside.args if square_root_of(u) != found[0])))
    part = select(less(0, absolute(p)), below / p, Integer(0))  # a function of its own: no power of p is formed
    return select(less(absolute(p), Float(1e150)), sqrt(inner(inside)), absolute(p) * sqrt(1 + part / p))


def powers(e: Expr, inner: Inner) -> Expr | None:
    """c a^n - c b^n by factors: n even, or 3 where terms of a - b cancel"""
    if not e.is_Add or len(e.args) > MOST_TERMS:
        return None
    for s, t in itertools.combinations(e.args, 2):
        for (c, f), (g, h) in itertools.product(split(s, Pow), split(t, Pow)):
            found = _factors(f.base, h.base, f.exp, inner) if c == -g and f.exp == h.exp else None
            if found is not None:
                rest = Add(*without(e, s, t))
                return inner(c) * found + (inner(rest) if rest != 0 else 0)
    return None


def _factors(a: Expr, b: Expr, n: Expr, inner: Inner) -> Expr | None:
    """a^2m - b^2m = (a^m - b^m) (a^m + b^m) and a^3 - b^3 = (a - b) ((a + b)^2 + a^2 + b^2)/2, whose sums are of squares"""
    d, shorter = gap(a, b)
    if n == 2:
        if a.is_Add and b.is_Add:  # x - a and x - b, exact where their sum is small; b as a function of its own
            first, second = inner(a), inner(b)
            return inner(d) * (first + select(equal(second, 0), Integer(0), second))
        return inner(d) * inner(expanded(a + b))
    if n == 3 and shorter:
        return inner(d) * (inner(expanded(a + b)) ** 2 + inner(a) ** 2 + inner(b) ** 2) * HALF
    if n.is_Integer and n.is_positive and n.is_even:
        return inner(a ** (n / 2) - b ** (n / 2)) * (inner(a) ** (n / 2) + inner(b) ** (n / 2))
    return None


def _is_polynomial(e: Expr) -> bool:
    """Sums, products and whole powers of symbols and numbers."""
    if e.is_Symbol or e.is_Rational:
        return True
    if e.is_Pow:
        return e.exp.is_Integer and 0 < e.exp <= 8 and _is_polynomial(e.base)
    return (e.is_Add or e.is_Mul) and all(map(_is_polynomial, e.args))


def polynomial(e: Expr, inner: Inner) -> Expr | None:
    """(x + 1)^3 - x^3 = 3 x^2 + 3 x + 1: multiplied out where terms cancel and none of what is left has another sign"""
    if not e.is_Add or len(e.args) > MOST_TERMS or not _is_polynomial(e):
        return None
    flat = expanded(e)
    if (square := perfect_square(flat)) is not None:
        c, d = square
        found = exact_sum(d)
        return c * (d**2 if found is None else d**2 + TWO * d * found[1])
    if not any(f.is_Pow and f.base.is_Add for f in e.atoms(Pow)):
        return None
    signs = {t.as_coeff_Mul()[0].is_negative for t in Add.make_args(flat)}
    if flat == 0 or len(signs) != 1 or sum(terms(expanded(t)) for t in e.args) - terms(flat) < 2:
        return None
    return sympy.horner(flat) if len(flat.free_symbols) == 1 else sympy.factor_terms(flat)


def perfect_square(e: Expr) -> tuple[Expr, Expr] | None:
    """(c, a - b) of c a^2 - 2 c a b + c b^2 = c (a - b)^2"""
    if not e.is_Add or len(e.args) != 3:
        return None
    for u in e.args:
        s, t = (v for v in e.args if v is not u)
        c = s.as_coeff_Mul()[0]
        a, b = square_root_of(s / c), square_root_of(t / c)
        if a is not None and b is not None and expanded(u / c + 2 * a * b) == 0:
            return c, a - b
    return None


def fractions(e: Expr, inner: Inner) -> Expr | None:
    """1/(x + 1) - 1/x = -1/(x (x + 1)): over one denominator where the numerator loses terms"""
    if not e.is_Add or len(e.args) > MOST_TERMS:
        return None
    below = {t.as_numer_denom()[1] for t in e.args if not t.has(sympy.Function)}
    symbolic = [d for d in below if not d.is_number]
    if not symbolic or len(below) < 2 or any(t.has(sympy.Function) for t in e.args):
        return None
    if not all(_is_polynomial(part) for t in e.args for part in t.as_numer_denom()):
        return None
    top, bottom = sympy.together(e).as_numer_denom()
    before = sum(terms(expanded(t * bottom / 1 if t.is_number else sympy.cancel(t * bottom))) for t in e.args)
    top = expanded(top)
    if top == 0 or terms(top) > 2 or before - terms(top) < 2:
        return None
    if terms(top) == 2 and len({t.as_coeff_Mul()[0].is_negative for t in top.args}) != 1:
        return None
    return sympy.factor_terms(top) / bottom


RULES = (conjugate, less_a_cosine, fractions, powers, polynomial)

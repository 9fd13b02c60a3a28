"""What the rules look at: terms, gaps that cancel by themselves, small guarded forms."""

from __future__ import annotations

import sympy
from sympy import Add, Expr, Float, Integer, Mul

from symml.ir.expand import expand_sums
from symml.ir.functions import absolute, less, log1p, lost, maximum, minimum, select

MOST_EXPANDED = 60  # operations of what is multiplied out
TWO = Integer(2)
HALF = sympy.Rational(1, 2)
LARGE, SHIFT = Integer(709), Integer(300)  # exponents; exp(709) is a float


def expanded(e: Expr) -> Expr:
    """Multiplied out, with functions and powers of sums of exponents left as they are; `e` itself where that is long."""
    if e.count_ops() > MOST_EXPANDED:
        return e
    return expand_sums(e)


def terms(e: Expr) -> int:
    """How many terms a sum has; 0 has none."""
    return len(as_terms(e))


def as_terms(e: Expr) -> tuple[Expr, ...]:
    """The terms of a sum; 0 has none."""
    return () if e == 0 else Add.make_args(e)


def without(e: Expr, *gone: Expr) -> list[Expr]:
    """The terms of a sum but for those."""
    return [t for t in e.args if all(t is not g for g in gone)]


def is_exact(term: Expr) -> bool:
    """Is a term read, or such times a power of two, so that its value has no rounding?"""
    c, f = term.as_coeff_Mul()
    if f == 1:
        return c.is_Rational and c == sympy.Rational(float(c))
    return f.is_Symbol and c.is_Rational and abs(c.p * c.q) & (abs(c.p * c.q) - 1) == 0


def exact_sum(e: Expr) -> tuple[Expr, Expr] | None:
    """(e, what its rounding leaves out) of at most two terms that are known without an error; None of any other sum."""
    found = as_terms(e)
    if len(found) > 2 or not all(map(is_exact, found)):
        return None
    return e, lost(*found) if len(found) == 2 else Integer(0)


def either(test: Expr, a: Expr, b: Expr) -> Expr:
    """A select, where the two differ."""
    return a if a == b else select(test, a, b)


def gap(a: Expr, b: Expr) -> tuple[Expr, bool]:
    """a - b multiplied out, and whether terms of a and b cancel in it, so that it is known better than a and b are."""
    d = expanded(a - b)
    return d, terms(d) < terms(expanded(a)) + terms(expanded(b))


def split(term: Expr, kinds: type | tuple[type, ...]) -> list[tuple[Expr, Expr]]:
    """(coefficient, f) for each factor f of the kinds in a term."""
    return [
        (Mul(*(g for g in Mul.make_args(term) if g is not f)), f) for f in Mul.make_args(term) if isinstance(f, kinds)
    ]


def square_root_of(e: Expr) -> Expr | None:
    """p where a term is p^2 for sure: a product of even powers and a positive number."""
    roots = []
    for f in Mul.make_args(e):
        if f.is_Number:
            if not f.is_positive:
                return None
            roots.append(sympy.sqrt(f))
        elif f.is_Pow and f.exp.is_Integer and f.exp % 2 == 0:
            roots.append(f.base ** (f.exp // 2))
        else:
            return None
    return Mul(*roots)


def is_small(d: Expr, b: Expr) -> Expr:
    """[2 |d| < b]: then b + d and b have the same sign and size."""
    return less(TWO * absolute(d), b)


def hypot(a: Expr, b: Expr) -> Expr:
    """sqrt(a^2 + b^2) without squares of large or small numbers."""
    large, small = maximum(absolute(a), absolute(b)), minimum(absolute(a), absolute(b))
    ratio = select(less(0, large), small / large, Integer(0))  # a function of its own, whose square sympy leaves whole
    return large * sympy.sqrt(1 + ratio**2)


def exp_times(u: Expr, small: Expr) -> Expr:
    """exp(u) times a number that may bring it back into the range of floats."""
    high = less(LARGE, u)  # what is selected is multiplied first: factors of one product are taken in any order
    part = select(high, sympy.exp(u - SHIFT) * small, sympy.exp(u) * small)
    return part * select(high, sympy.exp(SHIFT), Integer(1))


def log_quotient(a: Expr, b: Expr, d: Expr, signs_matter: bool) -> Expr:
    """log(a/b) where d = a - b, whose quotient may leave the floats; with `signs_matter` it is log a - log b, no number where
    both are negative."""
    size = absolute(a / b)
    inside = less(Float(1e-290), size) * less(size, Float(1e290))
    far = select(inside, sympy.log(a / b), TWO * sympy.log(sympy.sqrt(absolute(a)) / sympy.sqrt(absolute(b))))
    if signs_matter:
        return select(is_small(d, b), log1p(d / b), select(less(0, b), far, sympy.log(a) + sympy.log(1 / b)))
    return select(is_small(d, absolute(b)), log1p(d / b), far)


def power(x: Expr, r: Expr) -> Expr:
    """x^r for a fraction r that float64 does not hold: what its rounding leaves out is put back to first order."""
    left_out = r - sympy.Rational(float(r))
    if left_out == 0:
        return x**r
    return select(less(0, x), x**r * (1 + sympy.Float(left_out) * sympy.log(x)), x**r)


def one_plus_to(u: Expr, y: Expr) -> Expr:
    """(1 + u)^y, with what the sum leaves out put back."""
    whole = 1 + u
    left_out = y * lost(Integer(1), u) / whole
    far = select(less(-1, u), sympy.exp(y * log1p(u)), whole**y)
    return select(less(absolute(left_out), 1), whole**y * sympy.exp(left_out), far)

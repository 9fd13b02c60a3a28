"""The engine: rules on one body, outermost first, then series where what is left still cancels.

A rule takes an expression and `inner`, which gives the numeric form of a part; it builds its result from such parts, so
the safe branch of a guarded form is not taken for the pattern again.
"""

from __future__ import annotations

from collections.abc import Callable

from sympy import Expr

from symml.ir.functions import canonical
from symml.ir.program import Program
from symml.rewrite.numeric import differences, entropies, functions, logistic, products, series, sums, tails
from symml.rewrite.numeric.statements import across

MOST_OPERATIONS = 120  # of a body that is looked at: longer ones would take long, and cancel in other ways
Inner = Callable[[Expr], Expr]
Rule = Callable[[Expr, Inner], Expr | None]

RULES: tuple[Rule, ...] = tuple(
    rule for family in (tails, sums, entropies, logistic, differences, products, functions) for rule in family.RULES
)


def numeric(program: Program) -> Program:
    """Every body in its numeric form; the same object where none changes."""
    known: dict[Expr, Expr] = {}
    return across(program.mapped(lambda s: s.with_body(numeric_body(s.body, known))))


def numeric_body(body: Expr, known: dict[Expr, Expr] | None = None) -> Expr:
    """The numeric form of one body; `known` shares work between bodies."""
    known = {} if known is None else known
    if body.is_Atom or body.count_ops() > MOST_OPERATIONS:
        return body
    new = series.near_zero(_outermost_first(body, known))
    return body if new == body else canonical(new)


def _outermost_first(e: Expr, known: dict[Expr, Expr]) -> Expr:
    if e.is_Atom:
        return e
    if e not in known:

        def inner(part: Expr) -> Expr:
            return _outermost_first(part, known) if part != e else part

        new = None
        for rule in RULES:
            new = rule(e, inner)
            if new is not None:
                break
        known[e] = _rebuilt(e, inner) if new is None else new
    return known[e]


def _rebuilt(e: Expr, inner: Inner) -> Expr:
    args = [inner(a) for a in e.args]
    return e if all(a is b for a, b in zip(args, e.args, strict=True)) else e.func(*args)

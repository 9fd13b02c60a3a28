"""What a lowered page may hold: real numbers that float64 has, tensors and loops of a bearable size.

sympy works 1/0, log 0 and sqrt(-1) out while a page is lowered; nothing behind the lowering has a meaning for them.

    check_limits(program)     # SpecError at the declaration or statement that is out of bounds
"""

from __future__ import annotations

import math
import sys

import sympy
from sympy import Expr, Function, Pow

from symml.errors import SpecError
from symml.ir.program import Program, flat
from symml.source import Span

LARGEST = sympy.Float(sys.float_info.max)
INFINITE = (sympy.zoo, sympy.oo, -sympy.oo)


WITHIN = "write it so that every number on the way is real and below 1.8e308"
MOST_LOOPS = 8  # of a statement, and axes of a tensor
MOST_ROUNDS = 10_000_000  # of loops whose sizes are written as numbers: proofs run them all


def check_limits(program: Program) -> None:
    """The axes of every tensor, the loops of every statement, every number of every body and guard."""
    for t in program.tensors():
        _check_count(f"'{t.name}' has {len(t.shape)} axes", len(t.shape), t.span)
    for s in flat(program.statements):
        _check_count(f"a statement of this page has {len(s.loops)} loops", len(s.loops), s.span)
        rounds = math.prod(int(k.size) for k in s.loops if k.size.is_Integer)
        if rounds > MOST_ROUNDS:
            raise SpecError(
                f"a statement of this page has loops of {rounds} rounds; the limit for sizes written as numbers is "
                f"{MOST_ROUNDS}",
                s.span,
                fix="declare a dim, as in: dims m = 1000000000",
            )
        for part in (s.body, s.guard):
            fault = "" if part is None else _fault(part)
            if fault:
                raise SpecError(f"a number of this statement is {fault}", s.span, fix=WITHIN)


def _check_count(what: str, count: int, span: Span | None) -> None:
    if count > MOST_LOOPS:
        raise SpecError(f"{what}; the limit is {MOST_LOOPS}", span, fix="define parts of it under names of their own")


def _fault(expr: Expr) -> str:
    """What is wrong with a number in an expression."""
    if expr.has(sympy.nan):
        return "undefined, as 0/0 is"
    for part in expr.atoms(
        sympy.Number, sympy.core.numbers.ImaginaryUnit, sympy.core.numbers.ComplexInfinity, Pow, Function
    ):
        if part in INFINITE:
            return "infinite, as 1/0 and log 0 are"
        if (part.is_Number and abs(part) > LARGEST) or (part.is_Rational and part.q > LARGEST):
            return "not representable in float64"
        if part.is_number and not part.is_Number and part.is_real is False:
            return "not real, as log(-1) and (-1)^(1/2) are"
    return ""

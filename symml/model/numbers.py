"""The numbers of a lowered page: each is a real one that float64 holds, or the page is refused with its place.

sympy works 1/0, log 0 and sqrt(-1) out while a page is lowered; nothing behind the lowering has a meaning for them.

    check_numbers(program)     # SpecError at the statement that holds such a number
"""

from __future__ import annotations

import sys

import sympy
from sympy import Expr, Function, Pow

from symml.errors import SpecError
from symml.ir.program import Program, flat

LARGEST = sympy.Float(sys.float_info.max)
INFINITE = (sympy.zoo, sympy.oo, -sympy.oo)


def check_numbers(program: Program) -> None:
    """Every number of every body and guard."""
    for s in flat(program.statements):
        for part in (s.body, s.guard):
            fault = "" if part is None else _fault(part)
            if fault:
                raise SpecError(f"a number of this statement is {fault}", s.span)


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

"""A tensor of any rank as terms in index form, one line for each pattern of its indices.

    H[j, k, l, m]  = −1/n sum[i] P[i, k] P[i, m] X[i, j] X[i, l]
    H[j, k, l, k] += 1/n sum[i] P[i, k] X[i, j] X[i, l]              only where the second index is the fourth

lines(terms, sides)  ->  [Line(mode, left, right), ...], each side as (LaTeX, text); `sides` writes the left one
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import sympy
from sympy import Expr

from symml.ir.program import Access, Index, Statement, accesses, indices
from symml.ir.show import LETTERS, numbers_in
from symml.latex import bodies
from symml.latex.printing import LATEX, TEXT, Style
from symml.latex.style import Both

OUTPUT = "jklmpqrs"  # the letters of the left side; rows of data keep their own


@dataclass(frozen=True)
class Line:
    """left mode right, both sides as (LaTeX, text)."""

    mode: str
    left: Both
    right: Both
    at: tuple[str, ...] = ()  # the indices of the left side, as text


def lines(terms: Sequence[Statement], sides: Callable[[tuple[str, ...]], Both]) -> list[Line]:
    """The terms as lines; `sides` makes the left side of the indices as text."""
    taken = numbers_in(terms)
    modes = ("=" if k == 0 and not any(map(accesses, s.lhs)) else "+=" for k, s in enumerate(terms))
    return [_line(s, mode, sides, taken) for s, mode in zip(terms, modes, strict=True)]


def letters_of(terms: Sequence[Statement]) -> frozenset[str]:
    """The letters of the lines."""
    taken = numbers_in(terms)
    return frozenset(letter for s in terms for letter in _letters(s, taken).values())


def _line(s: Statement, mode: str, sides: Callable[[tuple[str, ...]], Both], taken: frozenset[str]) -> Line:
    chosen = _letters(s, taken)
    latex, text = _Latex(chosen), _Text(chosen)
    at = tuple(map(text.doprint, s.lhs))
    left = (sides(tuple(map(latex.doprint, s.lhs)))[0], sides(at)[1])
    return Line(mode, left, (_right(s, latex, LATEX), _right(s, text, TEXT)), at)


def _letters(s: Statement, numbers: frozenset[str]) -> dict[Index, str]:
    """A letter for each index: the left side's in order, the others their own where that is free."""
    chosen: dict[Index, str] = {}
    spare = (c for c in (*OUTPUT, *LETTERS) if c not in numbers)
    for e in s.lhs:
        for k in sorted((k for k in indices(e) if k not in chosen), key=lambda k: k.uid):
            chosen[k] = next(spare) if isinstance(e, Index) else k.name
    for k in (k for k in s.loops if k not in chosen):
        taken = {*chosen.values(), *numbers}
        wish = k.name if k.name not in OUTPUT else "i"
        chosen[k] = next(c for c in (wish, *"ihgutrsabcd", *LETTERS) if c not in taken)
    return chosen


def _right(s: Statement, printer: _Latex | _Text, style: Style) -> str:
    """Numbers and sizes, the sum, then what is summed."""
    factors = sympy.Mul.make_args(s.body)
    outer = sympy.Mul(*(f for f in factors if not indices(f)))
    inner = [f for f in factors if indices(f)]
    sign = style.minus if outer.could_extract_minus_sign() else ""
    outer = -outer if sign else outer
    parts = [] if outer == 1 and inner else [_coefficient(outer, printer, style)]
    if s.reduced:
        parts.append(bodies.over(printer, s, style))
    over, under = _fraction(inner)
    parts.append(_product(over, printer, style, bool(parts)) if over or not under else "1")
    if under:
        below = _product(under, printer, style)
        several = len(under) > 1 or under[0].is_Add
        text = parts.pop()
        parts.append(style.fraction(text, below if style is LATEX else f"({below})" if several else below))
    text = sign + " ".join(p for p in parts if p)
    if s.guard is not None and not s.reduced:
        where = r" \; \text{where } " if style is LATEX else " where "
        text += where + bodies.condition(printer, s.guard, style)
    return text


def _fraction(factors: Iterable[Expr]) -> tuple[list[Expr], list[Expr]]:
    over, under = [], []
    for f in factors:
        if f.is_Pow and f.exp.could_extract_minus_sign():
            under.append(f.base**-f.exp)
        else:
            over.append(f)
    return over, under


def _coefficient(e: Expr, printer: _Latex | _Text, style: Style) -> str:
    """A factor without indices, such as 1/n or λ/2."""
    over, under = sympy.fraction(sympy.together(e))
    top = printer.doprint(over)
    if under == 1:
        return f"({top})" if over.is_Add else top
    bottom = printer.doprint(under)
    several = len(sympy.Mul.make_args(under)) > 1 or under.is_Add
    return style.fraction(top, bottom if style is LATEX or not several else f"({bottom})")


def _product(factors: Sequence[Expr], printer: _Latex | _Text, style: Style, behind: bool = False) -> str:
    """Names first, then functions, then sums in brackets; behind: something stands in front."""
    found = sorted((f.is_Add, not _is_entry(f), printer.doprint(f)) for f in factors)
    return " ".join(
        text.join(style.brackets) if added and (behind or len(found) > 1) else text for added, _, text in found
    )


def _is_entry(f: Expr) -> bool:
    return isinstance(f, Access) or (f.is_Pow and isinstance(f.base, Access))


_Latex, _Text = bodies.Latex, bodies.Text

"""Sums of squares along the last axes of what they read are norms: sum[k] (X[i, k] − m[k])² is ‖X[i] − m‖².

vector(statement)  ->  (coefficient, X[i, k] − m[k], (k,)), or None where it is no such sum
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import copy
from typing import Protocol

import sympy
from sympy import Expr

from symml.ir.program import Access, Index, Statement, Tensor, indices, substitute
from symml.latex.style import Style

Axes = tuple[Index, ...]
TWO = sympy.Integer(2)


class Printer(Protocol):
    """A printer of bodies; along: the indices that it leaves out of accesses; held: what stands as what it is."""

    along: Axes
    held: Mapping[Tensor, Statement]

    def doprint(self, e: Expr) -> str:
        """The text of an expression."""


def vector(s: Statement, inside: Collection[Tensor]) -> tuple[Expr, Expr, Axes] | None:
    """What a statement is the squared norm of, with the number before it and the indices that run along it.

    inside: tensors that stand as what they are, and so have no entries to leave an index out of."""
    if s.reduce != "sum" or s.guard is not None or not s.reduced:
        return None
    held = [f for f in sympy.Mul.make_args(s.body) if not indices(f).isdisjoint(s.reduced)]
    if len(held) != 1 or not held[0].is_Pow or held[0].exp != 2:
        return None
    terms = sympy.Add.make_args(held[0].base)
    along = _end(terms[0], s.reduced, inside)
    if along is None or any(_end(t, s.reduced, inside) != along for t in terms):
        return None
    return s.body / held[0], held[0].base, along


def _end(term: Expr, reduced: Axes, inside: Collection[Tensor]) -> Axes | None:
    """The last indices of the one array in a term, where they are the reduced ones, over the whole of their axes."""
    held = [f for f in sympy.Mul.make_args(term) if not indices(f).isdisjoint(reduced)]
    if len(held) != 1 or not isinstance(held[0], Access) or held[0].tensor in inside:
        return None
    a, n = held[0], len(reduced)
    along = a.idx[-n:]
    whole = all(isinstance(k, Index) and k.size == size for k, size in zip(along, a.tensor.shape[-n:], strict=False))
    outer = set().union(*map(indices, a.idx[:-n]))
    return along if set(along) == set(reduced) and whole and outer.isdisjoint(reduced) else None


def alone(s: Statement, inside: Collection[Tensor]) -> tuple[Expr, Axes] | None:
    """What a statement is the squared norm of, without a number before it, and the indices along it."""
    found = vector(s, inside)
    return found[1:] if found is not None and found[0] == 1 else None


def written(printer: Printer, a: Expr, power: Expr, style: Style) -> str | None:
    """The power of a norm whose square is an element that stands as what it is; None for anything else."""
    s = printer.held.get(a.tensor) if isinstance(a, Access) else None
    found = alone(s, printer.held) if s is not None else None
    if found is None or not (power.is_Integer and power > 0):
        return None
    return length(printer, substitute(found[0], dict(zip(s.lhs, a.idx, strict=True))), found[1], power, style)


def length(printer: Printer, f: Expr, along: Axes, power: Expr, style: Style) -> str:
    """The power of the norm of a vector, or of all entries of a matrix."""
    inner = copy(printer)
    inner.along = along
    return inner.doprint(f).join(style.norm) + (style.power(str(power)) if power != 1 else "")


def squares(printer: Printer, s: Statement, style: Style) -> str | None:
    """The right side of a statement that is a number times a squared norm; None for anything else."""
    found = vector(s, printer.held)
    if found is None:
        return None
    number, f, along = found
    text = length(printer, f, along, TWO, style)
    if number in (1, -1):
        return style.minus * (number == -1) + text
    minus = number.could_extract_minus_sign()
    front = printer.doprint(-number if minus else number)
    return style.minus * minus + (front.join(style.brackets) if number.is_Add else front) + " " + text

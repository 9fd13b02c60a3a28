"""What a user asks of `symml derive`."""

from __future__ import annotations

from dataclasses import dataclass

from symml.analysis import Analysis


@dataclass(frozen=True)
class Request:
    """A product of a page, or of an expression in matrixcalculus.org's letters.

    argument: what the product's flag was given (a name, an order), "" where it takes none; wrt: one parameter, or "";
    form: matrix, index or sympy; verify: every proof is wanted.
    """

    analysis: Analysis
    is_expression: bool = False
    argument: str = ""
    wrt: str = ""
    form: str = "matrix"
    verify: bool = False

    @property
    def chosen(self) -> tuple[str, ...]:
        """The parameters that are asked for."""
        return (self.wrt,) if self.wrt else tuple(t.name for t in self.analysis.model.over)

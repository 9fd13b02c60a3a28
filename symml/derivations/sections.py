"""Rows of a derivation told in sections: equations and remarks, each with its proof.

equation("stationarity", ("\\\\partial L", "∂L"), ("w = 0", "w = 0"), "complex step agrees", where)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from symml.ir.program import Access, Program, Statement, Tensor, fresh_indices
from symml.latex.derivation import Formula, formula
from symml.latex.printing import LATEX, Style
from symml.proof.samples import sample
from symml.rewrite.dead import eliminate_dead

SIGNS = (" + ", " − ", " - ")


@dataclass(frozen=True)
class Side:
    """One side of an equation that was compared with its statement, to `error`; turned: it is the negative of what was asked."""

    latex: str
    text: str
    where: tuple[tuple[str, str], ...]
    error: float
    turned: bool = False

    def bracketed(self, style: Style) -> str:
        """As a factor: in brackets, unless it is one word."""
        text = self.latex if style is LATEX else self.text
        return text if self.text.isalnum() else text.join(style.brackets)


def side(program: Program, t: Tensor, turn: bool = True) -> Side:
    """A tensor as a formula, what the page names by its name; with `turn`, its negative where that has fewer minus signs."""
    f = _formula(program, t)
    if turn and _minuses(f) > 0:
        other = negated(program, t)
        if other.text.count("−") < _minuses(f) or f.text.startswith("−"):
            return replace(other, turned=True)
    return Side(f.latex, f.text, f.where, f.error)


def _minuses(f: Formula) -> int:
    return f.text.count("−")


def negated(program: Program, t: Tensor) -> Side:
    """The negative of a tensor as a formula."""
    out, k = Tensor(f"minus_{t.name}", t.shape), fresh_indices(t.shape)
    s = Statement(out, k, "=", "none", k, -Access(t, k))
    found = _formula(replace(program, statements=(*program.statements, s), outputs={"minus": out}), out)
    return Side(found.latex, found.text, found.where, found.error)


def _formula(program: Program, t: Tensor) -> Formula:
    return formula(eliminate_dead(replace(program, outputs={"shown": t})), t, sample, named=True)


def equation(
    section: str,
    left: tuple[str, str],
    right: tuple[str, str],
    proof: str,
    where: Iterable[tuple[str, str]],
    name: str = "",
) -> dict:
    """A row: left and right as (LaTeX, text); without a left side the right one holds the whole relation."""
    latex, text = (" = ".join(filter(None, pair)) for pair in zip(left, right, strict=True))
    return {
        "section": section,
        "name": name or section,
        "latex": latex,
        "text": text,
        "where": [list(w) for w in dict.fromkeys(where)],
        "proof": proof,
    }


def note(section: str, text: str) -> dict:
    """A remark in words."""
    return {"section": section, "name": section, "latex": "", "text": text, "where": [], "proof": ""}

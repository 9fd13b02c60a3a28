"""Rows of a derivation told in sections: equations and remarks, each with its proof.

equation("stationarity", ("\\\\partial L", "∂L"), ("w = 0", "w = 0"), "complex step agrees", where)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from symml.ir.program import Access, Program, Statement, Tensor, fresh_indices, read_once
from symml.latex import index_form
from symml.latex.compared import drawn_once
from symml.latex.definitions import checked
from symml.latex.derivation import Formula, formula
from symml.latex.printing import LATEX, TEXT, Style, tensor_name
from symml.latex.style import Both
from symml.latex.tree import ONE, Leaf, Node
from symml.names import number
from symml.proof.samples import sample
from symml.rewrite.dead import eliminate_dead

SIGNS = (" + ", " − ", " - ")


@dataclass(frozen=True)
class Side:
    """One side of an equation that was compared with its statement, to `error`; turned: it is the negative of what was asked;
    at: the letters of the element that it is of, where it is in index form."""

    latex: str
    text: str
    where: tuple[tuple[str, str], ...]
    error: float
    turned: bool = False
    at: tuple[str, ...] = ()

    def of(self, name: str) -> Both:
        """Something by its name, or its element where this side is one, as (LaTeX, text)."""
        latex, text = LATEX.name(name), TEXT.name(name)
        if not self.at:
            return latex, text
        latex = latex if "_" not in latex else rf"\left[{latex}\right]"
        return f"{latex}_{{{' '.join(self.at)}}}", f"{text}[{', '.join(self.at)}]"

    def bracketed(self, style: Style) -> str:
        """As a factor: in brackets, unless it is one word."""
        text = self.latex if style is LATEX else self.text
        return text if self.text.isalnum() else text.join(style.brackets)


Given = dict[Node, Leaf]


def reserved(tensors: Iterable[Tensor]) -> Given:
    """Names that formulas beside each other must not give to what they repeat, nor ever do: each tensor stands for itself."""
    leaves = [Leaf((*t.shape, *(ONE,) * (2 - len(t.shape))), t) for t in tensors if len(t.shape) < 3]
    printed = [replace(x, tensor=replace(x.tensor, name=TEXT.name(x.tensor.name), uid=number())) for x in leaves]
    return {x: x for x in (*leaves, *printed)}


def side(program: Program, t: Tensor, turn: bool = True, given: Given | None = None) -> Side:
    """A tensor as a formula, what the page names by its name; with `turn`, its negative where that has fewer minus signs.

    given: the names that formulas beside it gave to what they repeat, which grows."""
    mine = None if given is None else dict(given)
    f = _formula(program, t, mine)
    if turn and _minuses(f) > 0:
        others = None if given is None else dict(given)
        other = negated(program, t, others)
        if other.text.count("−") < _minuses(f) or f.text.startswith("−"):
            if given is not None:
                given.update(others)
            return replace(other, turned=True)
    if given is not None:
        given.update(mine)
    return Side(f.latex, f.text, f.where, f.error, at=f.at)


def _minuses(f: Formula) -> int:
    return f.text.count("−")


def negated(program: Program, t: Tensor, given: Given | None = None) -> Side:
    """The negative of a tensor as a formula."""
    out, k = Tensor(f"minus_{t.name}", t.shape), fresh_indices(t.shape)
    s = Statement(out, k, "=", "none", k, -Access(t, k))
    found = _formula(replace(program, statements=(*program.statements, s), outputs={"minus": out}), out, given)
    return Side(found.latex, found.text, found.where, found.error, at=found.at)


def _formula(program: Program, t: Tensor, given: Given | None = None) -> Formula:
    program = eliminate_dead(replace(program, outputs={"shown": t}))
    f = formula(program, t, sample, named=True, given=given)
    if f.form != "index" or f.text.count(";") == 0:
        return f
    inside = read_once(program, ())  # as in the definitions beside it
    checked(program, t, drawn_once(program, sample), inside)
    lines = tuple(index_form.lines(program, t, inside))  # several statements are no side of an equation: its name is
    return replace(f, latex=tensor_name(t, LATEX), text=tensor_name(t, TEXT), where=(*f.where, *lines), at=())


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

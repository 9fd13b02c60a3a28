"""The two ways of writing, LaTeX and Unicode text, and the names of tensors in them.

tensor_name(the adjoint of b1, TEXT)  ->  "b̄₁"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from symml import names
from symml.ir.functions import FUNCTIONS
from symml.ir.program import Tensor

Both = tuple[str, str]  # LaTeX and text


@dataclass(frozen=True)
class Style:
    """The marks of one way of writing."""

    name: Callable[[str], str]
    bar: Callable[[str], str]
    ones: str
    transpose: str
    inverse_transpose: str
    dot: str
    minus: str
    brackets: tuple[str, str]
    tests: tuple[str, str]
    norm: tuple[str, str]
    inner: tuple[str, str]
    joined: str
    power: Callable[[str], str]
    fraction: Callable[[str, str], str]
    divided: Callable[[str, str], str]
    function: Callable[[str], str]
    root: Callable[[str], str]


def _superscript(k: str) -> str:
    table = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
    return k.translate(table) if re.fullmatch(r"-?\d+", k) else f"^{k}" if k.isalnum() else f"^({k})"


TEXT = Style(
    names.unicode,
    lambda a: a[0] + "\u0304" + a[1:],
    "1",
    "ᵀ",
    "⁻ᵀ",
    " ⊙ ",
    "−",
    ("(", ")"),
    ("[", "]"),
    ("‖", "‖"),
    ("⟨", "⟩"),
    "",
    _superscript,
    lambda a, b: f"{a}/{b}",
    lambda a, b: f"{a} ⊘ {b}",
    lambda f: FUNCTIONS[f].text if f in FUNCTIONS else f,
    lambda a: f"√({a})",
)
LATEX = Style(
    names.latex,
    lambda a: rf"\bar{{{a}}}",
    r"\mathbf{1}",
    r"^{\top}",
    r"^{-\top}",
    r" \odot ",
    "-",
    (r"\left(", r"\right)"),
    (r"\left[", r"\right]"),
    (r"\left\|", r"\right\|"),
    (r"\left\langle ", r" \right\rangle"),
    " ",
    lambda k: f"^{{{k}}}",
    lambda a, b: rf"\frac{{{a}}}{{{b}}}",
    lambda a, b: rf"\frac{{{a}}}{{{b}}}",
    lambda f: (
        FUNCTIONS[f].latex
        if f in FUNCTIONS
        else {
            "lse": r"\operatorname{lse}",
            "softmax": r"\operatorname{softmax}",
            "diag": r"\operatorname{diag}",
            "tr": r"\operatorname{tr}",
        }[f]
    ),
    lambda a: rf"\sqrt{{{a}}}",
)


FENCES: Mapping[
    str, tuple[tuple[str, str], tuple[str, str]]
] = {  # functions that are marks around what they are of: text, LaTeX
    "abs": (("|", "|"), (r"\left|", r"\right|"))
}


def called(function: str, inner: str, style: Style) -> str:
    """A function of what is written already: σ(u), |u|; in text bars do not stand inside of bars."""
    if function in FENCES and not (style is TEXT and FENCES[function][0][0] in inner):
        return inner.join(FENCES[function][style is LATEX])
    return style.function(function) + inner.join(style.brackets)


def cases(found: Sequence[tuple[str, str]], otherwise: str, style: Style) -> str:
    """Values with their conditions, tried in order, and what holds else: {a if x < 0; b otherwise}."""
    if style is LATEX:
        lines = [rf"{value} & \text{{if }} {test}" for value, test in found]
        return r"\begin{cases} " + r" \\ ".join([*lines, rf"{otherwise} & \text{{otherwise}}"]) + r" \end{cases}"
    return "{" + "; ".join([*(f"{value} if {test}" for value, test in found), f"{otherwise} otherwise"]) + "}"


def tensor_name(t: Tensor, style: Style) -> str:
    """A tensor as it is written; an adjoint wears a bar."""
    return style.bar(style.name(t.adjoint_of.name)) if t.adjoint_of is not None else style.name(t.name)

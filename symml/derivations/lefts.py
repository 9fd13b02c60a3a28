"""Left sides of derivatives of any order: the whole tensor and one entry of it, each as (LaTeX, text).

by_parameters((W, W)).entry(("j", "k", "l", "m"))  ->  ("\\\\frac{\\\\partial^{2} \\\\ell}{...}", "∂²/∂W[j, k]∂W[l, m]")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from symml import names
from symml.ir.program import Tensor
from symml.latex.style import Both

SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Left:
    """`whole` names the tensor in matrix form, `entry` one entry of it from the texts of its indices."""

    whole: Both
    entry: Callable[[tuple[str, ...]], Both]


def by_parameters(group: Sequence[Tensor]) -> Left:
    """The derivative of the loss by all parameters of a group."""
    n, ends = len(group), _ends(group)
    raised = str(n).translate(SUPERSCRIPT) if n > 1 else ""

    def entry(idx: tuple[str, ...]) -> Both:
        own = [_entry(t.name, idx[i:k]) for t, (i, k) in zip(group, ends, strict=True)]
        under = r" \, ".join(rf"\partial {latex}" for latex, _ in own)
        return rf"\frac{{\partial^{{{n}}} \ell}}{{{under}}}", f"∂{raised}/" + "".join(f"∂{text}" for _, text in own)

    powers = {t: list(group).count(t) for t in dict.fromkeys(group)}
    under = r" \, ".join(rf"\partial {names.latex(t.name)}" + (f"^{{{k}}}" if k > 1 else "") for t, k in powers.items())
    text = "".join(
        f"∂{names.unicode(t.name)}" + (str(k).translate(SUPERSCRIPT) if k > 1 else "") for t, k in powers.items()
    )
    return Left((rf"\frac{{\partial^{{{n}}} \ell}}{{{under}}}", f"∂{raised}/{text}"), entry)


def of_quantity(key: str, shape: Sequence[object], t: Tensor, mark: Both = (r"\partial", "∂")) -> Left:
    """The derivative of a quantity by a parameter; mark: the letter of a partial derivative, or of a total one."""
    rank, (d, d_text) = len(shape), mark

    def entry(idx: tuple[str, ...]) -> Both:
        over, under = _entry(key, idx[:rank]), _entry(t.name, idx[rank:])
        return rf"\frac{{{d} {over[0]}}}{{{d} {under[0]}}}", f"{d_text}{over[1]}/{d_text}{under[1]}"

    x, y = (names.latex(key), names.latex(t.name)), (names.unicode(key), names.unicode(t.name))
    return Left((rf"\frac{{{d} {x[0]}}}{{{d} {x[1]}}}", f"{d_text}{y[0]}/{d_text}{y[1]}"), entry)


def written(whole: Both) -> Left:
    """A left side that is written already."""

    def entry(idx: tuple[str, ...]) -> Both:
        if not idx:
            return whole
        return rf"\left[{whole[0]}\right]_{{{' '.join(idx)}}}", f"({whole[1]})[{', '.join(idx)}]"

    return Left(whole, entry)


def _ends(group: Sequence[Tensor]) -> list[tuple[int, int]]:
    at = [0]
    for t in group:
        at.append(at[-1] + len(t.shape))
    return list(pairwise(at))


def _entry(name: str, idx: Sequence[str]) -> Both:
    latex, text = names.latex(name), names.unicode(name)
    if not idx:
        return latex, text
    inner = " ".join(idx)
    return (
        f"{latex}_{{{inner}}}" if "_" not in latex else rf"\left[{latex}\right]_{{{inner}}}",
        f"{text}[{', '.join(idx)}]",
    )

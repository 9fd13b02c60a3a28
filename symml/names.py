"""Names as objects: unique numbers for identity, one allocator of printable text, the spelling of Greek letters.

names = Names(("w", "t1"));  names.fresh("t")   -> "t2"
latex("lambda_max") -> "\\lambda_{max}";  unicode("lam") -> "λ"
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

_numbers = itertools.count()  # identity only: nothing printed or ordered across programs depends on it

GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ε",
    "eps": "ε",
    "zeta": "ζ",
    "eta": "η",
    "theta": "θ",
    "iota": "ι",
    "kappa": "κ",
    "lambda": "λ",
    "lam": "λ",
    "mu": "μ",
    "nu": "ν",
    "xi": "ξ",
    "pi": "π",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
    "upsilon": "υ",
    "phi": "φ",
    "chi": "χ",
    "psi": "ψ",
    "omega": "ω",
    "Gamma": "Γ",
    "Delta": "Δ",
    "Theta": "Θ",
    "Lambda": "Λ",
    "Xi": "Ξ",
    "Pi": "Π",
    "Sigma": "Σ",
    "Phi": "Φ",
    "Psi": "Ψ",
    "Omega": "Ω",
}
_LATEX_WORD = {"lam": "lambda", "eps": "varepsilon", "epsilon": "varepsilon"}
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def number() -> int:
    """The next unique number."""
    return next(_numbers)


class Names:
    """Allocator of printable names that are unique within one program."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def taken(self, name: str) -> bool:
        """Whether a name has a meaning already."""
        return name in self._taken

    def fresh(self, stem: str) -> str:
        """`stem` with the first number that is free."""
        k = self._next.get(stem, 1)
        while f"{stem}{k}" in self._taken:
            k += 1
        self._next[stem] = k + 1
        self._taken.add(f"{stem}{k}")
        return f"{stem}{k}"

    def claim(self, wish: str) -> str:
        """`wish` itself where it is free, else numbered."""
        if wish in self._taken:
            return self.fresh(wish)
        self._taken.add(wish)
        return wish


def _parts(name: str) -> tuple[str, str]:
    """Stem and subscript: `w_max` -> (w, max), `W1` -> (W, 1)."""
    stem, _, rest = name.partition("_")
    if not rest and (match := re.fullmatch(r"([A-Za-z]+)(\d+)", stem)):
        return match[1], match[2]
    return stem, rest


def latex(name: str) -> str:
    """A user's name as LaTeX; names hold letters, digits and `_` only, so nothing needs escaping."""
    stem, subscript = _parts(name)
    upright = stem if len(stem) == 1 else rf"\mathrm{{{stem}}}"
    text = "\\" + _LATEX_WORD.get(stem, stem) if stem in GREEK else upright
    if not subscript:
        return text
    inner = subscript.replace("_", r"\_")
    if subscript.isdigit() and "_" in name:
        return rf"{text}_{{\_{inner}}}"  # w_1 beside w1
    return f"{text}_{{{inner}}}" if len(subscript) == 1 or subscript.isdigit() else rf"{text}_{{\mathrm{{{inner}}}}}"


def unicode(name: str) -> str:
    """A user's name as text: Greek letters and numeric subscripts as one reads them."""
    stem, subscript = _parts(name)
    text = GREEK.get(stem, stem)
    if not subscript:
        return text
    return text + subscript.translate(_SUBSCRIPT) if subscript.isdigit() and "_" not in name else f"{text}_{subscript}"

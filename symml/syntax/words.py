"""The words of the language: Greek letters, functions without parentheses, reductions, reserved words.

ascii_name("λ1")  ->  "lambda1";   nearest("minimze", STATEMENTS)  ->  "did you mean 'minimize'?"
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from types import MappingProxyType

GREEK = MappingProxyType(
    {
        "α": "alpha",
        "β": "beta",
        "γ": "gamma",
        "δ": "delta",
        "ε": "epsilon",
        "ζ": "zeta",
        "η": "eta",
        "θ": "theta",
        "ι": "iota",
        "κ": "kappa",
        "λ": "lambda",
        "μ": "mu",
        "ν": "nu",
        "ξ": "xi",
        "π": "pi",
        "ρ": "rho",
        "σ": "sigma",
        "τ": "tau",
        "υ": "upsilon",
        "φ": "phi",
        "χ": "chi",
        "ψ": "psi",
        "ω": "omega",
        "Γ": "Gamma",
        "Δ": "Delta",
        "Θ": "Theta",
        "Λ": "Lambda",
        "Ξ": "Xi",
        "Π": "Pi",
        "Σ": "Sigma",
        "Φ": "Phi",
        "Ψ": "Psi",
        "Ω": "Omega",
    }
)
# Marks of mathematics with their one ASCII spelling.
MATHS = MappingProxyType(
    {
        "⊙": ".*",
        "≤": "<=",
        "≥": ">=",
        "≠": "!=",
        "∈": "in",
        "←": "<-",
        "‖": "||",
        "ᵀ": "'",
        "−": "-",
        "∑": "sum",
        "∏": "prod",
    }
)

# Letters that print like one of the language: Cyrillic, Greek capitals outside the table, Greek variants.
LOOK_ALIKES = MappingProxyType(
    {
        "\u0430": "a",
        "\u0435": "e",
        "\u043e": "o",
        "\u0440": "p",
        "\u0441": "c",
        "\u0443": "y",
        "\u0445": "x",
        "\u0456": "i",
        "\u0458": "j",
        "\u0455": "s",
        "\u04bb": "h",
        "\u0501": "d",
        "\u0410": "A",
        "\u0412": "B",
        "\u0415": "E",
        "\u041a": "K",
        "\u041c": "M",
        "\u041d": "H",
        "\u041e": "O",
        "\u0420": "P",
        "\u0421": "C",
        "\u0422": "T",
        "\u0425": "X",
        "\u0391": "A",
        "\u0392": "B",
        "\u0395": "E",
        "\u0396": "Z",
        "\u0397": "H",
        "\u0399": "I",
        "\u039a": "K",
        "\u039c": "M",
        "\u039d": "N",
        "\u039f": "O",
        "\u03a1": "P",
        "\u03a4": "T",
        "\u03a5": "Y",
        "\u03a7": "X",
        "\u03bf": "o",
        "\u00b5": "μ",
        "\u03f5": "ε",
        "\u03d5": "φ",
        "\u03d1": "θ",
        "\u03f1": "ρ",
        "\u03c2": "σ",
    }
)

REDUCTIONS = ("sum", "prod", "mean", "min", "max", "argmin", "argmax", "logsumexp", "count")
FUNCTIONS = (
    "exp",
    "log",
    "log1p",
    "expm1",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "arctan",
    "sigmoid",
    "softplus",
    "relu",
    "step",
    "abs",
    "sign",
    "softmax",
    "logsoftmax",
    "erf",
    "lgamma",
    "digamma",
    "trigamma",
)
STATEMENTS = (
    "model",
    "optimizer",
    "distribution",
    "dims",
    "data",
    "param",
    "hyper",
    "state",
    "split",
    "minimize",
    "maximize",
    "train",
    "predict",
    "report",
    "use",
    "graph",
    "tree",
    "solve",
    "infer",
    "iterate",
    "define",
)
# Words inside statements that no name may be; `label`, `columns`, `seed`, `subset` and the like are read by their place.
INNER = (
    "into",
    "over",
    "subject",
    "to",
    "with",
    "until",
    "on",
    "from",
    "by",
    "where",
    "in",
    "for",
    "init",
    "and",
    "or",
    "not",
    "if",
    "otherwise",
    "cases",
)
SOLVE_CALL = ("CALL", "solve")  # solve(A, b) is a function; `solve for` opens a statement
RESERVED = frozenset((*STATEMENTS, *INNER))
MISPLACED = frozenset((*FUNCTIONS, *REDUCTIONS)) - {"count"}  # a tree page uses `count` as a name


# What a line without its first word looks like -> the words that may be missing.
BEGINNINGS = (
    (r"with\b", ("train", "infer")),
    (r"over \w+ depth\b", ("tree",)),
    (r"over\b", ("minimize", "maximize")),
    (r"for\b", ("solve",)),
    (r"\w+ into\b", ("split",)),
    (r"\w+ over\b", ("graph", "tree")),
    (r'.*\bfrom +"', ("data",)),
    (r"\w+\(.*\) *on\b", ("distribution",)),
    (r".*\bon \w+ *$", ("report",)),
    (r".*\b(init|simplex|stochastic)\b", ("param",)),
    (r"\w+ *([<>]|in\b)", ("hyper", "param")),
    (r"\w+ *= *[\d.e-]+ *(,|$)", ("hyper", "state", "dims")),
    (r"\w+ *=", ("report", "predict")),
    (r"\w+ *$", ("model", "dims", "predict", "optimizer", "param")),
    (r"\w+(\[[^\]]*\])? *(= *\d+ *)?(,|$)", ("dims", "param", "data")),
    (r".", ("minimize", "maximize", "predict")),
)


def beginning(line: str) -> str:
    """The words that may be missing before a line, as the end of a fix."""
    text = line.partition("\n")[0].partition("#")[0].strip()
    found = next((known for pattern, known in BEGINNINGS if re.match(pattern, text)), ())
    return f"; if its first word is missing: {' or '.join(found)}" if found else ""


def ascii_name(text: str) -> str:
    """The one spelling of a name: Greek letters written out."""
    return "".join(GREEK.get(c, c) for c in text)


def ascii_mark(text: str) -> str:
    """The one spelling of a mark: `≤` reads `<=`."""
    return MATHS.get(text, text)


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`did you mean 'x'?`, or nothing where no known word is near."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"did you mean '{found[0]}'?" if found else ""

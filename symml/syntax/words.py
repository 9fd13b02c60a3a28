"""The words of the language: Greek letters, functions without parentheses, reductions, reserved words.

    ascii_name("λ1")  ->  "lambda1";   nearest("minimze", STATEMENTS)  ->  "did you mean 'minimize'?"
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma",
    "τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta",
    "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
}
MATHS = {"⊙": ".*", "≤": "<=", "≥": ">=", "≠": "!=", "∈": "in", "←": "<-", "‖": "||", "ᵀ": "'"}

REDUCTIONS = ("sum", "prod", "mean", "min", "max", "argmin", "argmax", "logsumexp", "count")
FUNCTIONS = (
    "exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan", "sigmoid",
    "softplus", "relu", "step", "abs", "sign", "softmax", "logsoftmax", "erf", "lgamma", "digamma",
)
STATEMENTS = (
    "model", "optimizer", "distribution", "dims", "data", "param", "hyper", "state", "split", "minimize", "maximize",
    "train", "predict", "report", "use", "graph", "tree", "solve", "infer", "iterate", "define",
)
LATER = ("distribution", "use", "graph", "tree", "solve", "infer", "iterate", "define")
OTHERS = (
    "into", "over", "subject", "to", "with", "until", "on", "from", "label", "columns", "seed", "stratified", "by",
    "where", "in", "for", "init", "and", "or", "not",
)
RESERVED = (*STATEMENTS, *OTHERS)


def ascii_name(text: str) -> str:
    """The one spelling of a name: Greek letters written out."""
    return "".join(GREEK.get(c, c) for c in text)


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or nothing where no known word is near."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{found[0]}'?" if found else ""

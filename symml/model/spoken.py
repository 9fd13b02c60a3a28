"""What people write around an expression without a page: sum_i x_i, and what the names are behind a comma.

spoken(Source("-e", "sum_i s_i x_i^2, s vector"))  ->  Source of "sum[i] s[i] x[i]^2", {"s": "vector"}
"""

from __future__ import annotations

import re

from symml.model.kinds import RANKS
from symml.source import Source

_SUM = re.compile(r"\b(sum|prod)_(?:\{([a-z])(?:=[01])?\}(?:\^(?:\w|\{[^}]*\}))?|([a-z])\b)\s*")
_NAME = re.compile(r"(?<!\w)([A-Za-zα-ωΑ-Ω]\w*?)_([a-z]+)(?!\w)")
_WORDS = {**{kind: kind for kind in RANKS}, "psd": "spd", "scalars": "scalar", "vectors": "vector"}
_CLAUSE = re.compile(rf"((?:\w+[\s,]+)+?)(?:is |are )?(?:an? )?({'|'.join(sorted(_WORDS, key=len, reverse=True))})\b")
_OPENING, _CLOSING = "([{", ")]}"


def spoken(source: Source) -> tuple[Source, dict[str, str]]:
    """The expression in the language, and the kinds that clauses behind it give its names."""
    text, clauses = _cut(source.text)
    kinds = {
        name: _WORDS[kind]
        for names, kind in _CLAUSE.findall(clauses)
        for name in re.findall(r"\w+", names)
        if name not in ("and", "where", "with")
    }
    bound = {a or b for _, a, b in _SUM.findall(text)}
    if bound:
        text = _SUM.sub(lambda m: f"{m[1]}[{m[2] or m[3]}] ", text)
        text = _NAME.sub(lambda m: f"{m[1]}[{', '.join(m[2])}]" if set(m[2]) <= bound else m[0], text)
    return (source if text == source.text else Source(source.name, text)), kinds


def _cut(text: str) -> tuple[str, str]:
    """The expression, and what stands behind its first comma outside brackets if that is a clause."""
    depth = 0
    for k, c in enumerate(text):
        depth += (c in _OPENING) - (c in _CLOSING)
        if c == "," and not depth and _CLAUSE.search(text, k):
            return text[:k], text[k + 1 :]
    return text, ""

"""All mistakes of a page at once, of form and of meaning, and no echo of one in another."""

from __future__ import annotations

from pathlib import Path

import pytest
from check import page

from symml import analysis
from symml.errors import SymmlErrors
from symml.source import Source
from symml.syntax.parse import parse_sound
from symml.syntax.pieces import pieces

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.symml"))
PAGE = """dims n, d
data X[n, d], y[n]
param w[d], b
p = X w + b
q = X' y
minimize over w, b
  sum[i] (p[i] - y[i])^2 + ||q||^2
report rmse = mean[i] (p[i] - y[i])^2
"""
BREAKS = (
    lambda line: f"{line.partition('#')[0]} (",
    lambda line: f"{line.partition('#')[0]} + +",
    lambda line: f"${line}",
    lambda line: line.partition("#")[0][: max(3, len(line.partition("#")[0]) // 2)],
)


def mistakes(source: Source) -> list[tuple[str, int]]:
    with pytest.raises(SymmlErrors) as caught:
        analysis.load(source)
    return [(e.message, e.span.line) for e in caught.value.errors]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_a_broken_statement_has_no_echo(path):
    """Each statement of each example is broken in four ways: only what is wrong with it is told."""
    lines, seen = path.read_text().splitlines(), 0
    for piece in pieces(page("\n".join(lines)), [])[0]:
        for broken in BREAKS:
            new = list(lines)
            new[piece.line - 1] = broken(new[piece.line - 1])
            source = Source("page.symml", "\n".join(new))
            own = [(e.message, e.span.line) for e in parse_sound(source)[1]]
            if own:
                assert mistakes(source) == own, new[piece.line - 1]
                seen += 1
    assert seen > 10


# what is broken, what is wrong elsewhere, and what is told of that
BOTH = [
    ("q = X' y", "q = X' y +", "p = X w + bb", "unknown name 'bb'"),
    ("q = X' y", "q = )X' y", "p = X w + y + X", "the shapes differ"),
    ("p = X w + b", "p = X w + b)", "q = sqqrt(y)", "unknown function 'sqqrt'"),
    ("p = X w + b", "p = X w + b)", "report rmse = mean[i] (p[i] - z[i])^2", "unknown name 'z'"),
    ("report rmse", "report", "param w[dd], b", "unknown dim 'dd' in the shape of 'w'"),
    ("minimize over w, b", "minimize over w b,", "q = X y", "the inner dims d and n differ"),
    ("dims n, d", "dims n, d)", "report rmse = mean[i] (y[i] - z)", "unknown name 'z'"),
    ("param w[d], b", "param w[d], b)", "q = X' u", "unknown name 'u'"),
]


@pytest.mark.parametrize(("old", "broken", "wrong", "told"), BOTH)
def test_form_and_meaning_are_told_at_once(old, broken, wrong, told):
    key = wrong.partition("=")[0].partition("[")[0]
    at = next(k for k, line in enumerate(PAGE.splitlines()) if line.startswith(key))
    lines = PAGE.replace(old, broken, 1).splitlines()
    lines[at] = wrong
    source = Source("page.symml", "\n".join(lines))
    own = [(e.message, e.span.line) for e in parse_sound(source)[1]]
    assert own
    rest = [m for m in mistakes(source) if m not in own]
    assert len(rest) == 1 and told in rest[0][0] and rest[0][1] == at + 1


def test_a_wrong_declaration_hides_no_wrong_formula():
    found = mistakes(Source("page.symml", PAGE.replace("X[n, d]", "X[n, q]").replace("+ b\n", "+ bb\n")))
    assert found == [("unknown dim 'q' in the shape of 'X'", 2), ("unknown name 'bb'", 4)]

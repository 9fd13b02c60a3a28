"""A page cut into the texts of its statements, by lines alone: a mistake in one statement never hides another.

A line at the left edge opens a statement, unless it begins with `from` or `subject`, or a bracket is open and it does
not look like a statement. Deeper lines belong to the statement above; those under `tree` are statements of their own
(children), those under `distribution` stand beside it.

    pieces(Source("m", "p = a +\\n  b\\nq = 1"), errors)  ->  [Piece(1, ("p = a +", "  b")), Piece(3, ("q = 1",))]
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from symml.errors import SpecError, SymmlError
from symml.source import Source, Span
from symml.syntax import words

BLANK = " \t\u00a0\ufeff"
FIRST_WORD = re.compile(r"[A-Za-z]+(?![\w(\[])")
HEAD = re.compile(r"[^\W\d_]\w*(\[[^\]\[]*\]|['ᵀ])?[ \t]*(=(?!=)|<-|←|~)")
BRACKET = re.compile(r'"[^"]*"?|#.*|([(\[{])|([)\]}])')
INDENTED = "the first statement is indented"
CONTINUING = ("from", "subject")


@dataclass
class Piece:
    """One statement's lines; `line` is the number of the first, counted from 1."""

    line: int
    lines: list[str]
    children: list[Piece] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def pieces(source: Source, errors: list[SymmlError]) -> tuple[list[Piece], list[tuple[int, str]]]:
    """The pieces of a page in order, and its `#>` lines; mistakes of layout are added to `errors`."""
    lines = source.text.splitlines()
    expected = [(k, line[2:].removeprefix(" ")) for k, line in enumerate(lines, start=1) if line.startswith("#>")]
    _refuse_tabs(lines, source, errors)
    code = [(k, line) for k, line in enumerate(lines, start=1) if _is_code(line)]
    if code and indentation(code[0][1]):
        k, line = code[0]
        errors.append(
            SpecError(
                INDENTED,
                Span(source, k, indentation(line) + 1),
                fix=f"begin it at the left edge{words.beginning(line.strip(BLANK))}",
            )
        )
    found: list[Piece] = []
    for piece in cut(code):
        block = _block(piece)
        if block == "tree":
            piece.children = _below(piece)
        found.append(piece)
        if block == "distribution":
            found += _below(piece)
    return found, expected


def cut(code: Iterable[tuple[int, str]]) -> list[Piece]:
    """Numbered lines as pieces; the first line's indentation is the left edge."""
    found: list[Piece] = []
    edge, depth = 0, 0
    for number, line in code:
        indent, text = indentation(line), line.strip(BLANK)
        edge = edge if found else indent
        word = FIRST_WORD.match(text)
        continues = depth > 0 and not begins_statement(text)
        if found and (indent > edge or continues or (word and word[0] in CONTINUING)):
            last = found[-1]
            last.lines += [""] * (number - last.line - len(last.lines)) + [line]
        else:
            found.append(Piece(number, [line]))
            depth = 0
        for match in BRACKET.finditer(line):
            depth = max(0, depth + bool(match[1]) - bool(match[2]))
    return found


def begins_statement(text: str) -> bool:
    """Whether a line looks like the first of a statement: a statement word, or NAME =, NAME[...] =, NAME <-."""
    word = FIRST_WORD.match(text)
    return bool(word and word[0] in words.STATEMENTS) or bool(HEAD.match(text))


def indentation(line: str) -> int:
    """How many blanks a line begins with."""
    return len(line) - len(line.lstrip(BLANK))


def _is_code(line: str) -> bool:
    text = line.lstrip(BLANK)
    return bool(text) and not text.startswith("#")


def _refuse_tabs(lines: list[str], source: Source, errors: list[SymmlError]) -> None:
    for number, line in enumerate(lines, start=1):
        lead = line[: indentation(line)]
        if "\t" in lead and _is_code(line):
            errors.append(
                SpecError(
                    "a tab in the indentation", Span(source, number, lead.index("\t") + 1), fix="indent with blanks"
                )
            )


def _block(piece: Piece) -> str:
    word = FIRST_WORD.match(piece.lines[0].strip(BLANK))
    return word[0] if word else ""


def _below(piece: Piece) -> list[Piece]:
    """Take the deeper lines of a block out of it, as pieces."""
    rest = [(piece.line + k, line) for k, line in enumerate(piece.lines) if k and line]
    piece.lines = piece.lines[:1]
    return cut(rest)

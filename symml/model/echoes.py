"""What a mistake may hide: a page is checked further where a statement could not be read, without the echoes of that.

    lost(page, errors)              ->  {"p"}       names to which the broken statements may give a meaning
    heard(page, lost, later)        ->  the mistakes of a later stage that do not come from a lost name

A statement that reads a lost name is told its unknown names, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from symml.errors import SymmlError
from symml.model.slips import declared
from symml.source import Source
from symml.syntax import tree, words
from symml.syntax.pieces import FIRST_WORD, HEAD, Piece, pieces

NAME = re.compile(r"(?<![\w.])[^\W\d]\w*")
COMMENT = re.compile(r"#.*|\"[^\"]*\"?")
NAMELESS = ("model", "minimize", "maximize", "predict", "train", "infer")  # statements that give no name a meaning
UNKNOWN = "unknown "


def lost(page: tree.Tree, errors: Iterable[SymmlError]) -> frozenset[str] | None:
    """The names that statements with a mistake may have been about to define or to declare; None where any may be: a
    declaration that ends too early."""
    statements = _by_line(page.source)
    broken = {e.span.line: statements.get(e.span.line) for e in errors if e.span is not None}
    found, defined = set(), set()
    for e in errors:
        piece = broken.get(e.span.line) if e.span is not None else None
        if piece is None:
            return None
        names, is_definition = _given(piece)
        if names and not is_definition and _at_the_end(e, piece):
            return None
        (defined if is_definition else found).update(names)
    sound = [s for s in page.statements if statements.get(s.span.line) not in broken.values()]
    return frozenset(defined | found - set(declared(sound)) - set(words.RESERVED))


def heard(page: tree.Tree, names: frozenset[str], later: Sequence[SymmlError]) -> list[SymmlError]:
    """The mistakes that hold whatever the lost names mean."""
    statements = _by_line(page.source)
    return [e for e in later if e.span is not None and _holds(e, statements.get(e.span.line), names)]


def _holds(e: SymmlError, statement: Piece | None, names: frozenset[str]) -> bool:
    if statement is None:
        return False
    if not _words(statement.text) & names:
        return True
    line, start = e.span.source.line(e.span.line), e.span.column - 1
    return e.message.startswith(UNKNOWN) and not _words(line[start : start + e.span.width]) & names


def _by_line(source: Source) -> dict[int, Piece]:
    """The statement of each line."""
    every = [p for top in pieces(source, [])[0] for p in (top, *top.children)]
    return {k: p for p in every for k in range(p.line, p.line + len(p.lines))}


def _at_the_end(e: SymmlError, piece: Piece) -> bool:
    """Does the mistake stand behind all that was written?"""
    rest = [piece.lines[e.span.line - piece.line][e.span.column - 1 :], *piece.lines[e.span.line - piece.line + 1 :]]
    return not any(COMMENT.sub("", line).strip() for line in rest)


def _given(piece: Piece) -> tuple[set[str], bool]:
    """The names that a statement gives a meaning, and whether it is a definition: else any word of a declaration."""
    text = re.sub(r"^\W+", "", piece.lines[0])
    first = FIRST_WORD.match(text)
    if first and first[0] in NAMELESS:
        return set(), False
    if first and first[0] == "report":
        return set(NAME.findall(text)[1:2]), True
    defined = NAME.match(text) if HEAD.match(text) else None
    return ({defined[0]}, True) if defined else (_words(piece.text), False)


def _words(text: str) -> set[str]:
    return set(NAME.findall(COMMENT.sub(" ", text)))

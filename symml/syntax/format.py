"""The canonical form of a page: one way to set blanks, indentation and empty lines. What a page says never changes.

Names and marks stay as written (`λ` or `lambda`), so do brackets, line breaks, comments and `#>` lines.

    formatted(Source("m", "p=a  +b c"))  ->  "p = a + b c\\n"
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lark import Token, Tree

from symml.source import Source
from symml.syntax.parse import grammar, parse
from symml.syntax.pieces import BLANK, Piece, indentation, pieces
from symml.syntax.postlex import DECLARATIONS, ENDING, before_body
from symml.syntax.run import Run

INDENT = 2
COMMENT_GAP = 2
HEAD_WIDTH = 5  # `dims`, `data` stand as wide as `param` and `hyper`
TIGHT_AFTER = frozenset(
    [
        "LPAR",
        "INDEX_OPEN",
        "TEST_OPEN",
        "LBRACE",
        "NORM_OPEN",
        "BAR_OPEN",
        "CIRCUMFLEX",
        "ENTRY_POWER",
        "DIVIDE",
        "CALL",
        "COUNT_CALL",
    ]
) | {"RANGE", "REDUCE", "COUNT"}
TIGHT_BEFORE = frozenset(
    [
        "RPAR",
        "RSQB",
        "RBRACE",
        "NORM_CLOSE",
        "BAR_CLOSE",
        "COMMA",
        "SEMICOLON",
        "COLON",
        "CIRCUMFLEX",
        "ENTRY_POWER",
        "DIVIDE",
    ]
) | {"PRIME", "INDEX_OPEN", "NORM_ORDER", "RANGE"}
BARS = frozenset(["NORM_OPEN", "NORM_CLOSE", "BAR_OPEN", "BAR_CLOSE"])
OPENS = frozenset(["LPAR", "INDEX_OPEN", "TEST_OPEN", "LBRACE", "NORM_OPEN", "BAR_OPEN"])
CLOSES = frozenset(["RPAR", "RSQB", "RBRACE", "NORM_CLOSE", "BAR_CLOSE"])
# The clauses of a statement stand apart: (kind of its first word, kind of the token) -> blanks before it.
GAPS = {"FROM": 3, "SUBJECT": 2, "IF": 2, "OTHERWISE": 2}
GAPS_OF = {("ITERATE", "FROM"): 1, ("REPORT", "ON"): 2, ("NAME", "FOR"): 3}


def formatted(source: Source) -> str:
    """The text of a page in canonical form; raises SymmlErrors where the page is wrong."""
    before = parse(source)
    rows = _rows(source)
    text = "\n".join(_set(rows)) + "\n"
    after = parse(Source(source.name, text))
    assert after.statements == before.statements, "the canonical form says something else"
    assert [line for _, line in after.expected] == [line for _, line in before.expected]
    return text


@dataclass
class _Row:
    """One line: its code, its comment, how deep it stands; `column` is where the comment stood."""

    indent: int = 0
    code: str = ""
    comment: str = ""
    column: int = 0


class _Recorder(Run):
    """A parse that keeps what it fed."""

    def __init__(self, text: str) -> None:
        super().__init__(grammar(), text, "statement")
        self.tokens: list[Token] = []

    def feed(self, token: Token) -> None:
        super().feed(token)
        self.tokens.append(token)


def _rows(source: Source) -> list[_Row]:
    """The lines of a page, each by itself."""
    lines = source.text.splitlines()
    rows = [_Row() for _ in lines]
    taken: dict[int, int] = {}  # the lines of a statement, with the indentation of what continues it
    for piece, depth in _flat(pieces(source, [])[0]):
        for k in range(len(piece.lines)):
            taken[piece.line + k] = depth * INDENT + INDENT
        for number, row in _statement(piece, depth):
            rows[number - 1] = row
    for k, line in enumerate(lines):
        text = line.strip(BLANK)
        if text.startswith("#"):
            inside = indentation(line) > 0 and (k + 1 in taken or _below(lines, k))
            rows[k] = _Row(taken.get(k + 1, INDENT) if inside else 0, comment=text)
            if not inside and text.startswith("#>") and indentation(line):
                rows[k].indent = INDENT  # at the left edge it would be expected output
    return rows


def _flat(found: list[Piece], depth: int = 0) -> Iterator[tuple[Piece, int]]:
    for piece in found:
        yield piece, depth
        yield from _flat(piece.children, depth + 1)


def _below(lines: list[str], k: int) -> bool:
    """Whether the next line of code stands deeper than the left edge."""
    code = (line for line in lines[k + 1 :] if line.strip(BLANK) and not line.strip(BLANK).startswith("#"))
    return indentation(next(code, "")) > 0


# one statement


def _statement(piece: Piece, depth: int) -> Iterator[tuple[int, _Row]]:
    """The lines of a statement with their numbers."""
    run = _Recorder(piece.text)
    result = run.finish()
    assert isinstance(result, Tree)
    blanks = _blanks(run.tokens)
    by_line: dict[int, list[int]] = {}
    for k, token in enumerate(run.tokens):
        if token.type not in ("ITEM", "LINE"):
            by_line.setdefault(token.line, []).append(k)
    for line, found in by_line.items():
        code = "".join(" " * (blanks[k] if k != found[0] else 0) + str(run.tokens[k]) for k in found)
        rest = piece.lines[line - 1][run.tokens[found[-1]].end_column - 1 :]
        indent = depth * INDENT + (0 if line == 1 or run.tokens[found[0]].type == "SUBJECT" else INDENT)
        if run.tokens[found[0]].type == "SUBJECT" and indentation(piece.lines[line - 1]):
            indent = depth * INDENT + INDENT
        comment = rest.strip(BLANK)
        column = len(piece.lines[line - 1]) - len(rest.lstrip(BLANK)) if comment else 0
        yield piece.line + line - 1, _Row(indent, code, comment, column)


def _blanks(tokens: list[Token]) -> list[int]:
    """How many blanks stand before each token of a statement."""
    found: list[int] = []
    open_: list[tuple[str, str]] = []  # the open brackets, each with the kind of the token before it
    reduced, ranged, body = False, False, tokens[0].type not in ("MINIMIZE", "MAXIMIZE")
    signed = False  # the token before is the sign of a term
    for k, token in enumerate(tokens):
        before = tokens[k - 1] if k else None
        first = not body and not before_body(token, before)
        body |= first
        operand = before is not None and before.type in ENDING and not reduced and not first
        inner = ranged or (bool(open_) and open_[-1][0] == "INDEX_OPEN")
        additive = token.type in ("PLUS", "MINUS")
        found.append(_gap(tokens[0], before, token, inner, signed, first))
        signed = additive and (not operand or inner)
        reduced = False
        if token.type in OPENS:
            open_.append((token.type, before.type if before is not None else ""))
        elif token.type in CLOSES:
            reduced = open_.pop()[1] == "REDUCE"
        ranged = token.type == "RANGE" or (
            ranged and token.type not in ("COMMA", "AND", "OR", "RSQB", "RBRACE", "WHERE")
        )
    return found


def _gap(head: Token, before: Token | None, token: Token, inner: bool, signed: bool, first: bool) -> int:
    """The blanks between two tokens; `inner` within an index, where sums stand tight."""
    if before is None:
        return 0
    if before.type in BARS and token.type in BARS:
        return 1  # two that touch would read as another mark
    if token.type in TIGHT_BEFORE or before.type in TIGHT_AFTER or signed:
        return 0
    if inner and token.type in ("PLUS", "MINUS") and before.type in ENDING:
        return 0
    if before is head and head.type in DECLARATIONS:
        return HEAD_WIDTH - len(head) + 1
    if first and before.type == "NAME":
        return 2  # what is minimized, after the names it is minimized over
    if before.type == "COLON" or (before.type == "TO" and head.type in ("MINIMIZE", "MAXIMIZE")):
        return 2
    return GAPS_OF.get((head.type, token.type)) or GAPS.get(token.type, 1)


# the page


def _set(rows: list[_Row]) -> list[str]:
    """Lines of text: comments of neighbouring lines in one column, never two empty lines, none at the ends."""
    done: list[str] = []
    for row, column in zip(rows, _columns(rows), strict=True):
        code = " " * row.indent + row.code
        line = f"{code:<{column}}{row.comment}" if row.code and row.comment else code + row.comment
        if line.strip() or (done and done[-1]):
            done.append(line.rstrip())
    while done and not done[-1]:
        done.pop()
    return done


def _columns(rows: list[_Row]) -> list[int]:
    """Where the comment behind the code of a line begins: the column the author used, where the code leaves room."""
    columns = [max(r.column, r.indent + len(r.code) + COMMENT_GAP) if r.code and r.comment else 0 for r in rows]
    group: list[int] = []
    for k, row in enumerate(rows):
        if row.code and row.comment:
            group.append(k)
        if (row.code and not row.comment) or k == len(rows) - 1:
            for j in group:
                columns[j] = max(columns[i] for i in group)
            group = []
    return columns

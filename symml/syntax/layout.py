"""Text to tokens, a list for each statement: what touches what, which bar closes, which line continues.

- A name that touches `(` calls; `[` and `'` that touch what stands before them index and transpose.
- `||` and `|` close only after an operand, when the same bar is the innermost open one.
- A deeper line continues a statement where an operator, comma or open bracket joins it, or where the statement has no
  body yet; under dims, data, param, hyper and state it is a new item. `subject to` may stand on a line of its own.

Words and marks are those of the grammar file; nothing is named twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lark import Lark, Token
from lark.lexer import PatternStr

from symml.errors import SpecError, SymmlError
from symml.source import Source, Span
from symml.syntax import words

DEEPEST = 256
OPENING = {"(": ")", "{": "}", "INDEX_OPEN": "]", "TEST_OPEN": "]"}
ITEMS = ("DIMS", "DATA", "PARAM", "HYPER", "STATE")
OPERATORS = frozenset(
    "PLUS MINUS TIMES DIVIDE WIDE_DIVIDE ENTRY_TIMES ENTRY_DIVIDE MATMUL CIRCUMFLEX COMMA SEMICOLON EQUAL LESS LESS_EQUAL "
    "GREATER GREATER_EQUAL UNEQUAL ARROW IN WHERE AND OR NOT RANGE".split()
)
LEADING = OPERATORS | {"SUBJECT", "FROM", "FOR", "UNTIL", "WHERE", "ON", "LABEL", "COLUMNS", "SEED", "STRATIFIED"}
INDEXABLE = frozenset("NAME RPAR RSQB PRIME".split())
OPERAND = frozenset("NAME NUMBER RPAR RSQB RBRACE PRIME NORM_CLOSE NORM_ORDER BAR_CLOSE STRING".split())
NAME = re.compile(r"[A-Za-zα-ωΑ-Ω][A-Za-z0-9_α-ωΑ-Ω]*")
ORDER = re.compile(r"_(1|2|inf)\b")


@dataclass(frozen=True)
class Lexicon:
    """The words and marks of a grammar: text to terminal."""

    keywords: Mapping[str, str]
    marks: tuple[tuple[str, str], ...]
    number: re.Pattern
    string: re.Pattern

    @staticmethod
    def of(grammar: Lark) -> Lexicon:
        fixed = {t.pattern.value: t.name for t in grammar.terminals if isinstance(t.pattern, PatternStr)}
        patterns = {t.name: re.compile(t.pattern.to_regexp()) for t in grammar.terminals}
        marks = sorted(((text, name) for text, name in fixed.items() if not text[0].isalpha()), key=lambda m: -len(m[0]))
        keywords = {text: name for text, name in fixed.items() if text[0].isalpha()}
        return Lexicon(keywords, tuple(marks), patterns["NUMBER"], patterns["STRING"])


@dataclass
class Line:
    """One line's tokens and its indentation."""

    number: int
    indent: int
    tokens: list[Token] = field(default_factory=list)


@dataclass
class _State:
    source: Source
    lexicon: Lexicon
    errors: list[SymmlError]
    open: list[Token] = field(default_factory=list)

    def span(self, line: int, column: int, width: int = 1) -> Span:
        return Span(self.source, line, column + 1, width)

    def wrong(self, message: str, token: Token, fix: str = "") -> None:
        self.errors.append(SpecError(message, self.span(token.line, token.column - 1, len(token)), fix=fix))


def statements(source: Source, lexicon: Lexicon, errors: list[SymmlError]) -> tuple[list[list[Token]], list[tuple[int, str]]]:
    """The tokens of each statement, and the `#>` lines; mistakes are added to `errors`."""
    state = _State(source, lexicon, errors)
    found: list[list[Token]] = []
    expected: list[tuple[int, str]] = []
    for number, text in enumerate(source.text.splitlines(), start=1):
        if text.startswith("#>"):
            expected.append((number, text[2:].removeprefix(" ")))
            continue
        line = _line(text, number, state)
        if line.tokens:
            _place(line, found, state)
    for token in state.open:
        state.wrong(f"'{token}' is never closed", token)
    return found, expected


def expression(source: Source, lexicon: Lexicon, errors: list[SymmlError]) -> list[Token]:
    """The tokens of a text that is one expression."""
    state = _State(source, lexicon, errors)
    tokens = [t for number, text in enumerate(source.text.splitlines(), start=1) for t in _line(text, number, state).tokens]
    for token in state.open:
        state.wrong(f"'{token}' is never closed", token)
    return tokens


# lines


def _line(text: str, number: int, state: _State) -> Line:
    indent = len(text) - len(text.lstrip(" \t"))
    if "\t" in text[:indent] and text.strip() and not text.strip().startswith("#"):
        state.errors.append(SpecError("a tab in the indentation", state.span(number, text.index("\t")), fix="indent with blanks"))
    line = Line(number, indent)
    at = indent
    while at < len(text):
        if text[at] == "#":
            break
        if text[at] in " \t\u00a0":
            at += 1
            continue
        token, stop = _token(text, at, number, line.tokens, state)
        if token is not None:
            line.tokens.append(token)
        at = stop
    return line


def _token(text: str, at: int, number: int, before: list[Token], state: _State) -> tuple[Token | None, int]:
    """The token at a column and where the next one may begin."""

    def made(kind: str, stop: int) -> tuple[Token, int]:
        token = Token(kind, text[at:stop], line=number, column=at + 1, end_line=number, end_column=stop + 1)
        return _bracket(token, before, state), stop

    touches = bool(before) and before[-1].end_column == at + 1 and before[-1].type in INDEXABLE
    if text.startswith("ᵀ", at):
        return made("PRIME", at + 1)
    if match := NAME.match(text, at):
        return made(_word(match[0], text, match.end(), state), match.end())
    if match := state.lexicon.number.match(text, at):
        return made("NUMBER", match.end())
    if match := state.lexicon.string.match(text, at):
        return made("STRING", match.end())
    if before and before[-1].type == "NORM_CLOSE" and before[-1].end_column == at + 1 and (match := ORDER.match(text, at)):
        return made("NORM_ORDER", match.end())
    if text[at] in "|‖":
        width = 2 if text.startswith("||", at) else 1
        return made(_bar("NORM" if width == 2 or text[at] == "‖" else "BAR", before, state), at + width)
    if text[at] in words.MATHS:
        kind = next(name for mark, name in (*state.lexicon.marks, *state.lexicon.keywords.items()) if mark == words.MATHS[text[at]])
        return made(kind, at + 1)
    if text[at] == "[":
        return made("INDEX_OPEN" if touches or (before and before[-1].type in ("REDUCE", "COUNT")) else "TEST_OPEN", at + 1)
    if text[at] == "'" and not touches:
        return _unknown("a ' touches what it transposes; strings are written \"...\"", text, at, number, state)
    for mark, kind in state.lexicon.marks:
        if text.startswith(mark, at):
            wide = mark == "/" and text[at - 1 : at] == " " and text[at + 1 : at + 2] == " "
            return made("WIDE_DIVIDE" if wide else kind, at + len(mark))
    return _unknown(_character(text[at]), text, at, number, state)


def _unknown(message: str, text: str, at: int, number: int, state: _State) -> tuple[None, int]:
    state.errors.append(SpecError(message, state.span(number, at)))
    rest = re.compile(r"[\w.]*").match(text, at + 1)
    return None, rest.end()


def _character(c: str) -> str:
    if c == "_":
        return "a name does not begin with '_'"
    if c.isalpha():
        return f"the letter {c!r} (U+{ord(c):04X}) is not of the language: names are ASCII or Greek letters, digits and _"
    return {"\\": "LaTeX input is not part of the language", "$": "'$' has no meaning here",
            '"': "this string does not end on its line"}.get(c, f"the character {c!r} (U+{ord(c):04X}) has no meaning here")


def _word(word: str, text: str, stop: int, state: _State) -> str:
    following = text[stop : stop + 1]
    if word in state.lexicon.keywords:
        return state.lexicon.keywords[word]
    if word in words.RESERVED:
        return "RESERVED"
    if following == "[" and word in words.REDUCTIONS:
        return "COUNT" if word == "count" else "REDUCE"
    if following == "(":
        return "CALL"
    return "FUNCTION" if word in words.FUNCTIONS and following != "[" else "NAME"


def _bar(kind: str, before: list[Token], state: _State) -> str:
    """Closing only after an operand, with the same bar innermost."""
    innermost = state.open[-1].type if state.open else ""
    closes = innermost == f"{kind}_OPEN" and before and before[-1].type in OPERAND
    return f"{kind}_CLOSE" if closes else f"{kind}_OPEN"


def _bracket(token: Token, before: list[Token], state: _State) -> Token:
    """Keep the stack of open brackets and bars."""
    kind = token.type
    if kind in ("LPAR", "LBRACE", "INDEX_OPEN", "TEST_OPEN", "NORM_OPEN", "BAR_OPEN"):
        state.open.append(token)
        if len(state.open) == DEEPEST + 1:
            state.wrong(f"expression nested deeper than {DEEPEST}", token, "define the inner part under a name of its own")
    elif kind in ("RPAR", "RBRACE", "RSQB", "NORM_CLOSE", "BAR_CLOSE"):
        if state.open:
            state.open.pop()
        else:
            state.wrong(f"'{token}' closes nothing", token)
    return token


# statements


def _place(line: Line, found: list[list[Token]], state: _State) -> None:
    """A line opens a statement or goes on with the last one."""
    first = line.tokens[0]
    inside = [t for t in state.open if t.line < line.number]
    begins_statement = line.indent == 0 and first.type != "SUBJECT" and _is_head(line.tokens)
    if inside and begins_statement:    # the bracket was forgotten: report it where it opened
        for token in inside:
            state.wrong(f"'{token}' is never closed", token)
            state.open.remove(token)
    elif inside:
        found[-1] += line.tokens
        return
    if line.indent == 0 and first.type not in ("SUBJECT", "FROM"):
        found.append(line.tokens)
        return
    if not found:
        state.wrong("the first statement is indented", first, "begin it at the left edge")
        found.append(line.tokens)
        return
    _continue(line, found[-1], state)


def _is_head(tokens: list[Token]) -> bool:
    return tokens[0].lower() in words.STATEMENTS or any(t.type in ("EQUAL", "ARROW") for t in tokens[:1] + tokens[1:2])


def _continue(line: Line, statement: list[Token], state: _State) -> None:
    head, last, first = statement[0], statement[-1], line.tokens[0]
    if head.type in ITEMS and last.type not in (*ITEMS, "COMMA") and first.type not in LEADING:
        statement.append(Token("ITEM", "new item", line=first.line, column=first.column, end_line=first.line, end_column=first.column))
    elif head.type not in ITEMS and not _joins(statement, last, first):
        state.wrong("this deeper line does not continue the line above", first,
                    "end the line above with an operator or comma, or begin this one at the left edge")
    statement += line.tokens


def _joins(statement: list[Token], last: Token, first: Token) -> bool:
    if last.type in OPERATORS or first.type in LEADING:
        return True
    bodiless = {"NAME", "COMMA", "OVER", "MINIMIZE", "MAXIMIZE", "SUBJECT", "TO"}
    return statement[0].type in ("MINIMIZE", "MAXIMIZE") and all(t.type in bodiless for t in statement)



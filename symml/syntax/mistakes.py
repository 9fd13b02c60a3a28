"""Where the parser stopped, in words: rows of grammar/mistakes.toml first, else what was expected there.

The key of a mistake is (kind of the token before, kind of the token at the stop); a row lists wrong texts instead of
keys, so a new message needs no code.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from functools import cache

from lark import Token

from symml.errors import SpecError, UnsupportedError
from symml.source import Source, Span
from symml.syntax import words
from symml.syntax.feed import Stop, feed, grammar_file, lexicon
from symml.syntax.layout import statements

KINDS = {
    "NAME": "a name", "CALL": "a call", "NUMBER": "a number", "STRING": "a file name in \"\"", "FUNCTION": "a function",
    "REDUCE": "a reduction", "COUNT": "a count", "LPAR": "(", "RPAR": ")", "RSQB": "]", "INDEX_OPEN": "[", "TEST_OPEN": "a test [",
    "LBRACE": "{", "RBRACE": "}", "COMMA": ",", "SEMICOLON": ";", "PLUS": "+", "MINUS": "-", "CIRCUMFLEX": "^",
    "NORM_OPEN": "||", "NORM_CLOSE": "||", "BAR_OPEN": "|", "BAR_CLOSE": "|", "PRIME": "'", "$END": "the end", "ITEM": "a new line",
    "TIMES": "*", "DIVIDE": "/", "WIDE_DIVIDE": "/", "ENTRY_TIMES": ".*", "ENTRY_DIVIDE": "./", "MATMUL": "@", "EQUAL": "=",
    "LESS": "<", "LESS_EQUAL": "<=", "GREATER": ">", "GREATER_EQUAL": ">=", "UNEQUAL": "!=", "ARROW": "<-", "RANGE": "..",
    "NORM_ORDER": "_1",
}
FACTORS = {"NAME", "CALL", "NUMBER", "FUNCTION", "REDUCE", "COUNT", "LPAR", "TEST_OPEN", "NORM_OPEN", "BAR_OPEN"}
OPERATORS = {"PLUS", "MINUS", "TIMES", "DIVIDE", "WIDE_DIVIDE", "ENTRY_TIMES", "ENTRY_DIVIDE", "MATMUL", "CIRCUMFLEX"}


def explain(stop: Stop, span: Span, tokens: Sequence[Token]) -> SpecError:
    """The error for a parser that stopped."""
    before, token, accepted = stop.before, stop.token, stop.accepted
    if token is not None and token.type == "RESERVED" and str(token) in words.LATER and before is None:
        return UnsupportedError(f"'{token}' is not supported yet", span)
    row = _table().get((before.type if before else "", _kind(token)))
    if row:
        message, fix = row
        return SpecError(message.format(previous=before, token=token), span, fix=fix)
    if before is None or (len(tokens) > 1 and token is tokens[1] and before.type == "NAME" and token.type in FACTORS):
        return _unknown_statement(tokens[0], span)
    found = "the end of the statement" if token is None else f"'{token}'"
    return SpecError(f"unexpected {found}; expected {expected(accepted)}", span)


def _unknown_statement(first: Token, span: Span) -> SpecError:
    place = Span(span.source, first.line, first.column, len(first))
    fix = words.nearest(str(first), words.STATEMENTS) or "a statement begins with a word such as data, param, minimize, or with NAME ="
    return SpecError(f"'{first}' does not begin a statement", place, fix=fix)


def expected(accepted: Iterable[str]) -> str:
    """The accepted terminals in words, the usual groups together."""
    kinds = set(accepted)
    parts = []
    if kinds >= FACTORS - {"COUNT"}:
        parts.append("an expression")
        kinds -= FACTORS
    if kinds >= OPERATORS - {"CIRCUMFLEX"}:
        parts.append("an operator")
        kinds -= OPERATORS
    return " or ".join([*parts, *sorted({KINDS.get(k, f"'{k.lower()}'") for k in kinds})]) or "nothing more"


def _kind(token: Token | None) -> str:
    """Reserved words are one kind where a name was meant."""
    if token is None:
        return "$END"
    return "RESERVED" if str(token) in words.RESERVED else token.type


@cache
def _table() -> dict[tuple[str, str], tuple[str, str]]:
    """Where each wrong text of the file stops, with its row."""
    table: dict[tuple[str, str], tuple[str, str]] = {}
    for row in rows():
        for text in row["texts"]:
            stop = stop_of(text)
            key = (stop.before.type if stop.before else "", _kind(stop.token))
            table.setdefault(key, (row["message"], row.get("fix", "")))
    return table


def rows() -> list[dict]:
    """The rows of mistakes.toml."""
    return tomllib.loads(grammar_file("mistakes.toml"))["mistake"]


def stop_of(text: str) -> Stop:
    """Where the parser stops in a wrong text of one statement."""
    (tokens,), _ = statements(Source("mistakes", text), lexicon(), [])
    result = feed(tokens, "statement")
    assert isinstance(result, Stop), f"{text!r} is no mistake"
    return result

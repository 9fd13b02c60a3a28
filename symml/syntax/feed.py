"""The LALR tables, and tokens fed to them: a parse tree comes out, or the place where it stopped.

    feed(tokens, "statement")  ->  lark Tree | Stop(before, token, accepted)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedToken
from lark.lexer import Lexer

from symml.syntax.layout import Lexicon

PACKAGE = Path(__file__).parent.parent
PLACES = (PACKAGE / "grammar", PACKAGE.parent / "grammar")    # in an installed package, or beside it in a checkout


class _NoLexer(Lexer):
    """Tokens are fed one by one; layout.py makes them."""

    def __init__(self, _: object) -> None: ...

    def lex(self, _: object) -> iter:
        return iter(())


@dataclass(frozen=True)
class Stop:
    """The parser stopped at `token` (None: the end) after `before` (None: the beginning)."""

    before: Token | None
    token: Token | None
    accepted: frozenset[str]


def grammar_file(name: str) -> str:
    """A file of the grammar folder."""
    return next(p / name for p in PLACES if p.is_dir()).read_text(encoding="utf-8")


@cache
def grammar() -> Lark:
    """The tables of grammar/symml.lark."""
    text = grammar_file("symml.lark")
    return Lark(text, parser="lalr", lexer=_NoLexer, start=["statement", "sum"], keep_all_tokens=True)


@cache
def lexicon() -> Lexicon:
    """The grammar's words and marks."""
    return Lexicon.of(grammar())


def feed(tokens: Sequence[Token], start: str) -> Tree | Stop:
    """One statement or one expression."""
    parser = grammar().parse_interactive(start=start)
    before: Token | None = None
    for token in tokens:
        try:
            parser.feed_token(token)
        except UnexpectedToken as problem:
            return Stop(before, token, frozenset(problem.expected))
        before = token
    try:
        return parser.feed_eof(tokens[-1])
    except UnexpectedToken as problem:
        return Stop(before, None, frozenset(problem.expected))

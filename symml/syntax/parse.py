"""Text to Tree. Every statement is parsed by itself, so all mistakes of a file are found at once.

parse(Source("page.symml", "model m\n..."))  ->  Tree          raises SymmlErrors
parse_sound(source)                          ->  Tree, errors
parse_expression(Source("-e", "tr(X' A X)"))  ->  Expr
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

from lark import Lark
from lark import Tree as ParseTree
from lark.lexer import PatternStr

from symml.errors import SpecError, SymmlError, SymmlErrors
from symml.source import Source, Span
from symml.syntax import mistakes, tree
from symml.syntax.build_statements import BuildStatements
from symml.syntax.pieces import INDENTED, Piece, begins_statement, cut, pieces
from symml.syntax.postlex import DEEPER, AlwaysLexed
from symml.syntax.run import Run, Stop, stops

PACKAGE = Path(__file__).parent.parent
PLACES = (PACKAGE / "grammar", PACKAGE.parent / "grammar")  # in an installed package, or beside it in a checkout
LARGEST_TEXT = 2**20
MOST_ERRORS = 100
HIDDEN_ENDS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # of lines, for Python


def parse(source: Source) -> tree.Tree:
    """The Tree of a page."""
    page, errors = parse_sound(source)
    if errors:
        raise SymmlErrors(errors)
    return page


def parse_sound(source: Source) -> tuple[tree.Tree, list[SymmlError]]:
    """The statements of a page that could be read, and the mistakes in all others."""
    _limit(source)
    errors: list[SymmlError] = []
    found, expected = pieces(source, errors)
    nodes: list[tree.Statement] = []
    for piece in found:
        nodes += _piece(piece, source, errors)
        if len(errors) >= MOST_ERRORS:
            break
    if not found and not errors:
        errors.append(SpecError("the page is empty", Span(source, 1, 1), fix="begin with: model NAME"))
    return tree.Tree(source, tuple(nodes), tuple(expected), span=Span(source, 1, 1)), _without_echoes(errors)


def _without_echoes(errors: list[SymmlError]) -> list[SymmlError]:
    """A line whose indentation is wrong may have lost its first word: that it makes no statement goes unsaid."""
    indented = {e.span.line for e in errors if e.message in (INDENTED, DEEPER)}
    return [e for e in errors if e.span.line not in indented or not any(echo in e.message for echo in mistakes.UNFIT)]


def parse_expression(source: Source) -> tree.Expr:
    """The Expr of a text that is one expression; it may run over several lines."""
    _limit(source)
    text = "\n".join(source.text.splitlines())
    if not any(line.partition("#")[0].strip() for line in text.split("\n")):
        raise SymmlErrors([SpecError("the expression is empty", Span(source, 1, 1))])
    errors: list[SymmlError] = []
    node = _node(stops(Run(grammar(), text, "sum")), source, 1, errors)
    if errors:
        raise SymmlErrors(errors)
    return node


def _limit(source: Source) -> None:
    size = len(source.text.encode(errors="surrogatepass"))
    if size > LARGEST_TEXT:
        raise SymmlErrors([SpecError(f"the text has {size} bytes; the limit is {LARGEST_TEXT}", Span(source, 1, 1))])
    for k, line in enumerate(source.text.splitlines(keepends=True), start=1):
        if line[-1] in HIDDEN_ENDS:
            what = f"the character U+{ord(line[-1]):04X} ends a line here, which few editors show"
            raise SymmlErrors([SpecError(what, Span(source, k, len(line)), fix="press return instead")])


# statements


def _piece(piece: Piece, source: Source, errors: list[SymmlError]) -> list[tree.Statement]:
    """The statements of a piece: one, or several where a deeper line turned out to begin anew."""
    result = stops(Run(grammar(), piece.text, "statement"))
    node = _node(result, source, piece.line, errors)
    body = [n for child in piece.children for n in _piece(child, source, errors)]
    if isinstance(node, tree.Growth):
        errors += [
            SpecError("a tree is described by definitions", n.span, fix="write NAME = ... below it")
            for n in body
            if not isinstance(n, tree.Define)
        ]
        node = replace(node, body=tuple(body))
    after = [n for part in _torn(piece, result) for n in _piece(part, source, errors)]
    return after if node is None else [node, *after]


def _torn(piece: Piece, result: ParseTree | list[Stop]) -> list[Piece]:
    """What begins anew below a deeper line that continues nothing."""
    if not isinstance(result, list):
        return []
    torn = next((s.token.line - 1 for s in result if s.token and s.token.type == "NEWLINE"), len(piece.lines))
    rest = [(piece.line + k, line) for k, line in enumerate(piece.lines) if k >= torn and line.strip()]
    while rest and not begins_statement(rest[0][1].strip()):
        rest = rest[1:]
    return cut(rest)


def _node(result: ParseTree | list[Stop], source: Source, line: int, errors: list[SymmlError]) -> tree.Node | None:
    """The node of a statement or expression that begins at a line; None where `errors` tell why not."""
    if isinstance(result, list):
        told = [_error(stop, source, line) for stop in result]
        errors += told[:1] if mistakes.UNFIT[0] in told[0].message else told  # of what is no statement nothing follows
        return None
    try:
        return BuildStatements(source, line - 1).node(result)
    except SymmlErrors as several:
        errors += several.errors
    except SymmlError as error:
        errors.append(error)
    return None


def _error(stop: Stop, source: Source, line: int) -> SpecError:
    token = stop.token
    if token is None or token.type in ("ITEM", "LINE"):
        last = stop.before
        column = 1 if last is None else last.end_column
        span = Span(source, line if last is None else last.end_line + line - 1, column)
    else:
        span = Span(source, token.line + line - 1, token.column, len(token))
    return mistakes.explain(stop, span, _table(), _keywords())


# the grammar folder


def grammar_file(name: str) -> str:
    """A file of the grammar folder."""
    return next(p / name for p in PLACES if p.is_dir()).read_text(encoding="utf-8")


@cache
def grammar() -> Lark:
    """The tables of grammar/symml.lark."""
    return Lark(
        grammar_file("symml.lark"),
        parser="lalr",
        lexer="contextual",
        postlex=AlwaysLexed(),
        start=["statement", "sum"],
        keep_all_tokens=True,
    )


@cache
def _keywords() -> Mapping[str, str]:
    """Terminals that stand for one word or mark."""
    return MappingProxyType({t.name: t.pattern.value for t in grammar().terminals if isinstance(t.pattern, PatternStr)})


@cache
def _table() -> mistakes.Table:
    return mistakes.table(tomllib.loads(grammar_file("mistakes.toml"))["mistake"], _stop_of)


def _stop_of(text: str) -> Stop:
    """Where the parser stops first in a wrong text of one statement."""
    result = Run(grammar(), text, "statement").finish()
    assert isinstance(result, Stop), f"{text!r} is no mistake"
    return result

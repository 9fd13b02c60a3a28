"""Text to Tree. Every statement is parsed by itself, so all mistakes of a file are found at once.

    parse(Source("page.symml", "model m\n..."))  ->  Tree          raises SymmlErrors
    parse_expression(Source("-e", "tr(X' A X)"))  ->  Expr
"""

from __future__ import annotations

from lark import Token
from lark import Tree as ParseTree

from symml.errors import SpecError, SymmlError, SymmlErrors
from symml.source import Source, Span
from symml.syntax import tree
from symml.syntax.build_statements import BuildStatements
from symml.syntax.feed import Stop, feed, lexicon
from symml.syntax.layout import expression, statements
from symml.syntax.mistakes import explain

LARGEST_TEXT = 2**20
MOST_OPERATIONS = 10_000

def parse(source: Source) -> tree.Tree:
    """The Tree of a page."""
    errors: list[SymmlError] = []
    _limit(source)
    found, expected = statements(source, lexicon(), errors)
    nodes = []
    for tokens in found:
        before = len(errors)
        if any(e.span and tokens[0].line <= e.span.line <= tokens[-1].line for e in errors[:before]):
            continue    # its marks were wrong already: more messages about it would be echoes
        try:
            nodes.append(_parse(tokens, "statement", source))
        except SymmlErrors as several:
            errors += several.errors
        except SymmlError as error:
            errors.append(error)
    if not found and not errors:
        errors.append(SpecError("the page is empty", Span(source, 1, 1), fix="begin with: model NAME"))
    if errors:
        raise SymmlErrors(errors)
    return tree.Tree(source, tuple(nodes), tuple(expected), span=Span(source, 1, 1))


def parse_expression(source: Source) -> tree.Expr:
    """One expression."""
    errors: list[SymmlError] = []
    _limit(source)
    tokens = expression(source, lexicon(), errors)
    if not tokens and not errors:
        errors.append(SpecError("the expression is empty", Span(source, 1, 1)))
    if errors:
        raise SymmlErrors(errors)
    return _parse(tokens, "sum", source)


def _limit(source: Source) -> None:
    size = len(source.text.encode())
    if size > LARGEST_TEXT:
        raise SpecError(f"the text has {size} bytes; the limit is {LARGEST_TEXT}", Span(source, 1, 1))


def _parse(tokens: list[Token], start: str, source: Source) -> tree.Node:
    if len(tokens) > 4 * MOST_OPERATIONS:
        raise SpecError(f"more than {MOST_OPERATIONS} operations in one statement", _span(tokens[0], source),
                        fix="use a reduction, or define parts under names of their own")
    result = feed(tokens, start)
    if isinstance(result, Stop):
        last = tokens[-1]
        place = _span(result.token, source) if result.token else Span(source, last.end_line, last.end_column)
        raise explain(result, place, tokens)
    return BuildStatements(source)(result) if isinstance(result, ParseTree) else result


def _span(token: Token, source: Source) -> Span:
    return Span(source, token.line, token.column, len(token))

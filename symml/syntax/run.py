"""One statement through lexer, layout and parser, with a stop where it is wrong; a stop can be mended and passed.

Run(grammar, "p = a +", "statement").finish()  ->  Stop(before=Token("PLUS"), token=None, ...) | lark Tree
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from symml.syntax.postlex import CLOSING, Layout, LayoutError

GOOD_TOKENS = 4  # so many tokens must fit after a mended mistake before a second one in the statement is believed
MOST_STOPS = 4
# What may be missing before a wrong token, tried in this order.
FILLS = (("NAME", "x"), ("COMMA", ","), ("EQUAL", "="), ("TIMES", "*"), ("IN", "in"), ("RPAR", ")"), ("RSQB", "]"))
LONELY = "closes nothing"
ECHOES = (LONELY, "is never closed")
SOFT = ("LABEL", "COLUMNS", "SEED", "STRATIFIED", "SUBSET", "OF", "CHOSEN")
# What an open bar never meets, and what no open bracket meets.
NOT_IN_BARS = frozenset(
    ["LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "UNEQUAL", "COMMA", "SEMICOLON"]
) | {"AND", "OR", "WHERE", "RPAR", "RSQB", "RBRACE"}
NOT_IN_BRACKETS = frozenset(["from", "until", "subject", "for", "if", "otherwise", "on", "init", "into", "with"])
WORD = re.compile(r"\w+|.", re.DOTALL)


@dataclass(frozen=True)
class Stop:
    """The parser stopped at `token` (None: the end) after `before` (None: the beginning).

    `accepted` holds the terminals that fit there. `message` is set where the layout knows what is wrong; `character`
    where no token begins, with the place in `token`. `beginning` is the first token of the statement.
    """

    before: Token | None
    token: Token | None
    accepted: frozenset[str]
    beginning: Token | None
    second: bool = False  # `token` is the second one of the statement
    within: str = ""  # the innermost open bracket
    message: str = ""
    fix: str = ""
    character: bool = False
    opening: Token | None = None  # the innermost open bracket


class Run:
    """The state of one statement's parse; `copied` branches it, so that a mend can be tried."""

    def __init__(self, grammar: Lark, text: str, start: str) -> None:
        self.text = text
        self.parser = grammar.parse_interactive(text, start=start)
        self.layout = Layout(text, free=start != "statement")
        self.fed: Token | None = None
        self.count = 0

    def copied(self) -> Run:
        """An independent branch."""
        other = copy(self)
        other.parser, other.layout = self.parser.copy(deepcopy_values=False), self.layout.copied()
        return other

    def finish(self) -> Tree | Stop:
        """Parse to the end, or to the first mistake; then the lexer stands behind the wrong token."""
        layout = self.layout.copied()  # as it was before the token in hand
        try:
            for token in self.parser.lexer_thread.lex(self.parser.parser_state):
                for part in self.layout.take(self._soft(token)):
                    self.feed(part)
                layout = self.layout.copied()
            self.layout.finish()
            return self.parser.feed_eof(self.fed)
        except LayoutError as error:
            self.layout = layout
            return self._stop(error.token, error.message, error.fix)
        except UnexpectedToken as error:
            self.layout = layout
            if layout.open and (_ends(error.token, layout) or layout.open[-1][0].line < error.token.line):
                unclosed = layout.unclosed()
                return self._stop(unclosed.token, unclosed.message, unclosed.fix)
            if self.fed is not None and self.fed.type in ("BAR_OPEN", "NORM_OPEN"):
                bar = str(self.fed)
                fix = f"bars stand on both sides of it: {bar}x{bar}"
                return self._stop(self.fed, f"no expression follows this '{bar}'", fix)
            return self._stop(None if error.token.type == "$END" else error.token)
        except UnexpectedCharacters as error:
            start = error.pos_in_stream
            word = WORD.match(self.text, start)[0]
            at = Token("CHARACTER", word, start, error.line, error.column, end_pos=start + len(word))
            return self._stop(at, character=True)

    def feed(self, token: Token) -> None:
        """Feed one token to the parser."""
        self.parser.feed_token(token)
        self.fed = token
        self.count += 1

    def _soft(self, token: Token) -> Token:
        """`label` and the like are words only where the parser takes them as such; elsewhere they are names."""
        if token.type in SOFT and token.type not in self.parser.accepts():
            return Token.new_borrow_pos("NAME", token.value, token)
        return token

    def _stop(self, token: Token | None, message: str = "", fix: str = "", character: bool = False) -> Stop:
        head = self.layout.head or (token if not character else None)
        accepted, second = frozenset(self.parser.accepts()), self.count == 1
        opening = self.layout.open[-1][0] if self.layout.open else None
        return Stop(self.fed, token, accepted, head, second, self.layout.within(), message, fix, character, opening)

    # mending

    def mended(self, stop: Stop) -> tuple[Run, Tree | Stop] | None:
        """The branch that gets furthest after a small repair at the stop, where it gets far enough to be believed."""
        lonely = stop.message.endswith(LONELY)
        if stop.token is None or (stop.message and not lonely):
            return None
        best: tuple[int, Run, Tree | Stop] | None = None
        for branch in [self._skipped(stop)] if lonely else self._branches(stop):
            start = branch.count
            result = branch.finish()
            reach = branch.count - start + (0 if isinstance(result, Stop) else GOOD_TOKENS)
            if best is None or reach > best[0]:
                best = reach, branch, result
        return None if best is None or best[0] < GOOD_TOKENS else best[1:]

    def _branches(self, stop: Stop) -> Iterator[Run]:
        """Something put before the wrong token, which is read again; or, where nothing fits, the token left out."""
        for kind, text in () if stop.character else FILLS:
            if kind not in stop.accepted:
                continue
            branch = self.copied()
            branch._goto(stop.token.start_pos)
            try:
                for part in branch.layout.take(Token.new_borrow_pos(kind, text, stop.token)):
                    branch.feed(part)
            except (LayoutError, UnexpectedToken):
                continue
            yield branch
        if stop.token.type not in CLOSING:  # without a closing bracket that stands there, the rest would only echo
            yield self._skipped(stop)

    def _skipped(self, stop: Stop) -> Run:
        """A branch that goes on behind the wrong token."""
        branch = self.copied()
        if stop.character:
            branch._goto(stop.token.end_pos)
        return branch

    def _goto(self, position: int) -> None:
        """Set the lexer to a position of the text."""
        counter = self.parser.lexer_thread.state.line_ctr
        before = self.text[:position]
        counter.char_pos = position
        counter.line = before.count("\n") + 1
        counter.line_start_pos = before.rfind("\n") + 1
        counter.column = position - counter.line_start_pos + 1


def _ends(token: Token, layout: Layout) -> bool:
    """Whether an open bracket is what is wrong: the text ends, or a bar meets what no bars hold."""
    bars = layout.open[-1][0].type in ("BAR_OPEN", "NORM_OPEN")
    foreign = str(token) in NOT_IN_BRACKETS or (bars and layout.ended and token.type in NOT_IN_BARS)
    return token.type == "$END" or foreign


def stops(run: Run) -> Tree | list[Stop]:
    """The parse tree of a statement, or all places where it is wrong."""
    result = run.finish()
    found: list[Stop] = []
    while isinstance(result, Stop):
        if found and any(echo in result.message for echo in ECHOES):
            return found  # a bracket that lost its partner to the mend
        found.append(result)
        mended = run.mended(result) if len(found) < MOST_STOPS else None
        if mended is None:
            return found
        run, result = mended
    return found or result

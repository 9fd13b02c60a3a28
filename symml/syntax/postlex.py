"""Between lexer and parser, one token at a time and never looking ahead: bars, brackets, line ends, reserved words.

- `|` and `||` close only after an operand, where the same bar is the innermost open one.
- A line end becomes ITEM (a new declaration or condition), LINE (a new case) or nothing, by the head of its statement.
- A closing bracket meets its opening one, or the opening one is named as unclosed.
- A reserved word that stands as a name becomes a token that no rule accepts.
- Nesting and the number of operations are bounded here, before any work is done.

    layout = Layout(text);  [fed for token in lexed for fed in layout.take(token)];  layout.finish()
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lark import Token
from lark.lark import PostLex

from symml.syntax import words

DEEPER = "this deeper line does not continue the line above"
EITHER = "this line may begin a condition or continue the one above"
DEEPEST = 256
MOST_OPERATIONS = 10_000
MOST_TOKENS = 100_000  # an operation on indexed operands has about ten

DECLARATIONS = frozenset(["DIMS", "DATA", "PARAM", "HYPER", "STATE"])
OPENING = frozenset(["LPAR", "LBRACE", "INDEX_OPEN", "TEST_OPEN", "NORM_OPEN", "BAR_OPEN"])
CLOSING = {"RPAR": ("LPAR",), "RBRACE": ("LBRACE",), "RSQB": ("INDEX_OPEN", "TEST_OPEN")}
PARTNERS = {"RPAR": "(", "RBRACE": "{", "RSQB": "["}
OPERATORS = frozenset(
    [
        "PLUS",
        "MINUS",
        "TIMES",
        "DIVIDE",
        "WIDE_DIVIDE",
        "ENTRY_TIMES",
        "ENTRY_DIVIDE",
        "MATMUL",
        "CIRCUMFLEX",
        "ENTRY_POWER",
        "PRIME",
        "AND",
        "OR",
        "NOT",
        "LESS",
        "LESS_EQUAL",
        "GREATER",
        "GREATER_EQUAL",
        "UNEQUAL",
        "FUNCTION",
        "CALL",
        "COUNT_CALL",
        "NORM_OPEN",
        "BAR_OPEN",
    ]
)
# An operand may end at these, so a bar closes, a minus subtracts, and a factor that follows multiplies.
ENDING = frozenset(
    [
        "NAME",
        "NUMBER",
        "RPAR",
        "RSQB",
        "RBRACE",
        "PRIME",
        "NORM_CLOSE",
        "NORM_ORDER",
        "BAR_CLOSE",
        "STRING",
        "OTHERWISE",
    ]
)
BEGINNING = frozenset(
    [
        "NAME",
        "NUMBER",
        "CALL",
        "COUNT_CALL",
        "FUNCTION",
        "REDUCE",
        "COUNT",
        "LPAR",
        "TEST_OPEN",
        "NORM_OPEN",
        "BAR_OPEN",
    ]
)
# A line that begins with one of these continues the line above.
LEADING = re.compile(
    r"[+*@^=~<>,;)\]}⊙≤≥≠∈−←-]|/|\.[*/]|!=|(subject|from|for|until|where|on|label|columns|seed|stratified|chosen|and|or|in|init)\b"
)
SIGNED = re.compile(r"[-−+]")
RELATIONS = frozenset(["LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "UNEQUAL", "IN", "ELEMENT"])
RELATION = re.compile(r"[<>=≤≥≠∈]|\bin\b")
BRACKETS = re.compile(r"\([^()\[\]]*\)|\[[^()\[\]]*\]")
RANGES = re.compile(r"(#|\bfor\b).*")
INSIDE = re.compile(r"(over|with|into|to|by|if|otherwise)\b")  # no line of names begins with these
STATEMENT = re.compile(rf"({'|'.join(words.STATEMENTS)})\b")


class AlwaysLexed(PostLex):
    """Terminals that are lexed in every state: words (so that none is cut in two), bars and line ends."""

    always_accept = ("NAME", "NORM", "BAR", "NEWLINE")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


class LayoutError(Exception):
    """A mistake that no parser need see: its message, the token it is about, and the fix."""

    def __init__(self, message: str, token: Token, fix: str = "") -> None:
        super().__init__(message)
        self.message, self.token, self.fix = message, token, fix


@dataclass
class Layout:
    """What has been read of one statement. `open` holds the open brackets, each with the token before it and whether an
    operand ends there."""

    text: str
    free: bool = False  # line ends mean nothing: the text is one expression
    head: Token | None = None
    before: Token | None = None
    ended: bool = False  # an operand ends at `before`
    open: tuple[tuple[Token, Token | None, bool], ...] = ()
    operations: int = 0
    tokens: int = 0
    signs: int = 0
    has_body: bool = False
    cases: bool = False
    conditions: bool = False  # behind `subject to`
    related: bool = False  # the condition in hand has its relation

    def take(self, token: Token) -> list[Token]:
        """The tokens to feed in place of a lexed one."""
        if token.type == "NEWLINE":
            return self._line_end(token)
        token = _misplaced(self._bar(token))
        self._count(token)
        before, self.before = self.before, token
        self.head = self.head or token
        self.has_body |= not before_body(token, before)
        self.cases |= token.type == "CASES"
        self.conditions |= before is not None and before.type == "SUBJECT" and token.type == "TO"
        self.related = token.type != "SEMICOLON" and (self.related or token.type in RELATIONS)
        closed = self._brackets(token, before)
        reduces = closed is not None and closed[1] is not None and closed[1].type == "REDUCE"
        self.ended = token.type in ENDING and not reduces
        return [token]

    def copied(self) -> Layout:
        """An independent copy; what it holds is never changed in place."""
        other = object.__new__(Layout)
        other.__dict__.update(self.__dict__)
        return other

    def finish(self) -> None:
        """The text ends: no bracket may be open."""
        if self.open:
            raise self.unclosed()

    def unclosed(self, before: str = "") -> LayoutError:
        """The innermost open bracket, as the mistake; `before` is the token that it should be closed before."""
        token = self.open[-1][0]
        bars = token.type in ("BAR_OPEN", "NORM_OPEN")
        fix = f"bars stand on both sides of an expression: {token}x{token}" if bars else ""
        return LayoutError(f"'{token}' is never closed" + (f" before '{before}'" if before else ""), token, fix)

    def within(self) -> str:
        """The kind of the innermost open bracket, and whether an operand stands before it."""
        if not self.open:
            return ""
        token, _, operand = self.open[-1]
        return f"{'operand ' if operand else ''}{token.type}"

    # bars and brackets

    def _bar(self, token: Token) -> Token:
        if token.type not in ("NORM", "BAR"):
            return token
        innermost = self.open[-1][0].type if self.open else ""
        closes = self.ended and innermost == f"{token.type}_OPEN"
        return _typed(token, f"{token.type}_{'CLOSE' if closes else 'OPEN'}")

    def _brackets(self, token: Token, before: Token | None) -> tuple[Token, Token | None, bool] | None:
        """Keep the stack; the pair that a closing bracket takes off it."""
        if token.type in OPENING:
            self.open = (*self.open, (token, before, self.ended))
            return None
        if token.type in ("NORM_CLOSE", "BAR_CLOSE"):
            *rest, last = self.open
            self.open = tuple(rest)
            return last
        if token.type not in CLOSING:
            return None
        fitting = CLOSING[token.type]
        if not any(o[0].type in fitting for o in self.open) and not self._interval(token):
            raise LayoutError(
                f"'{token}' closes nothing", token, fix=f"write {PARTNERS[token.type]} before it, or remove it"
            )
        *rest, last = self.open
        if last[0].type not in fitting and not self._interval(token):
            raise self.unclosed(str(token))
        self.open = tuple(rest)
        return last

    def _interval(self, token: Token) -> bool:
        """Whether a closing bracket ends an interval such as `in (0, 1]`."""
        opening, before, _ = self.open[-1] if self.open else (None, None, False)
        after_in = before is not None and before.type in ("IN", "ELEMENT", "ON")
        return after_in and token.type != "RBRACE" and opening.type in ("LPAR", "TEST_OPEN")

    def _count(self, token: Token) -> None:
        """The bounds on nesting and on operations; juxtaposed factors count as an operation."""
        self.signs = self.signs + 1 if token.type == "MINUS" and not self.ended else 0
        opens = token.type in OPENING
        if len(self.open) + self.signs + opens > DEEPEST and (opens or self.signs):
            raise LayoutError(
                f"expression nested deeper than {DEEPEST}", token, fix="define the inner part under a name of its own"
            )
        self.tokens += 1
        self.operations += token.type in OPERATORS or (self.ended and token.type in BEGINNING)
        if self.operations > MOST_OPERATIONS or self.tokens > MOST_TOKENS:
            many = (
                f"{MOST_OPERATIONS} operations"
                if self.operations > MOST_OPERATIONS
                else f"{MOST_TOKENS} words and marks"
            )
            raise LayoutError(
                f"more than {many} in one statement",
                token,
                fix="write a reduction such as sum[i] ..., or define parts under names of their own",
            )

    # line ends

    def _line_end(self, token: Token) -> list[Token]:
        rest = self.text[token.end_pos :]
        if self.free or self.open or self.before is None or not rest.strip():
            return []
        if self.cases and (self.ended or self.before.type == "CASES"):
            return [_typed(token, "LINE")]
        word = re.match(r"\w+|.", rest)[0]
        first = Token("NEWLINE", word, line=token.end_line, column=token.end_column)
        if self.conditions and self.related and self.ended and SIGNED.match(rest) and _relates(rest):
            raise LayoutError(
                EITHER, first, "end the line above with ; where this is a condition of its own, or with the sign"
            )
        if not self.ended or LEADING.match(rest) or (self._is_objective() and not self.has_body):
            return []
        listed = self.conditions or self.head.type in DECLARATIONS
        if listed and not STATEMENT.match(rest) and not INSIDE.match(rest):
            self.ended, self.signs, self.related = False, 0, False
            return [_typed(token, "ITEM")]
        raise LayoutError(
            DEEPER,
            first,
            f"end the line above with an operator or comma, or begin this one at the left edge{words.beginning(rest)}",
        )

    def _is_objective(self) -> bool:
        return self.head is not None and self.head.type in ("MINIMIZE", "MAXIMIZE")


def _relates(text: str) -> bool:
    """Does the first line hold a relation of its own, outside of brackets and of what ranges say?"""
    line = RANGES.sub("", text.partition("\n")[0])
    while (outside := BRACKETS.sub("", line)) != line:
        line = outside
    return RELATION.search(line) is not None


def before_body(token: Token, before: Token | None) -> bool:
    """Whether a token belongs to `minimize over w, b` rather than to what is minimized."""
    return token.type in ("MINIMIZE", "MAXIMIZE", "OVER", "COMMA") or (
        token.type == "NAME" and before is not None and before.type in ("OVER", "COMMA")
    )


def _typed(token: Token, kind: str) -> Token:
    return Token.new_borrow_pos(kind, token.value, token)


def _misplaced(token: Token) -> Token:
    """Words of the language that the lexer read as a name, because no keyword may stand there."""
    if (
        token.type in ("NAME", "CALL")
        and token.value in words.RESERVED
        and (token.type, token.value) != words.SOLVE_CALL
    ):
        return _typed(token, "RESERVED" if token.type == "NAME" else "RESERVED_CALL")
    if token.type == "NAME" and token.value in words.MISPLACED:
        return _typed(token, "REDUCTION_NAME" if token.value in words.REDUCTIONS else "FUNCTION_NAME")
    return token

"""Where the parser stopped, in words: rows of grammar/mistakes.toml first, else what was expected there.

The key of a mistake is (kind of the token before, kind of the token at the stop, which factors would fit there). A row
lists wrong texts instead of keys, so a new message needs no code.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from symml.errors import SpecError
from symml.source import Span
from symml.syntax import words
from symml.syntax.run import Stop

FACTORS = frozenset("NAME CALL NUMBER FUNCTION REDUCE COUNT COUNT_CALL LPAR TEST_OPEN NORM_OPEN BAR_OPEN".split())
OPERATORS = frozenset("PLUS MINUS TIMES DIVIDE WIDE_DIVIDE ENTRY_TIMES ENTRY_DIVIDE MATMUL CIRCUMFLEX".split())
RELATIONS = frozenset("LESS LESS_EQUAL GREATER GREATER_EQUAL EQUAL UNEQUAL IN".split())
MISPLACED = ("RESERVED", "FUNCTION_NAME", "REDUCTION_NAME")
KINDS = MappingProxyType(
    {
        "NAME": "a name",
        "CALL": "a call",
        "NUMBER": "a number",
        "STRING": 'a text in ""',
        "FUNCTION": "a function",
        "REDUCE": "a reduction",
        "COUNT": "a count",
        "TEST_OPEN": "[",
        "INDEX_OPEN": "[",
        "NORM_OPEN": "||",
        "NORM_CLOSE": "||",
        "BAR_OPEN": "|",
        "BAR_CLOSE": "|",
        "$END": "the end of the statement",
        "ITEM": "a new line",
        "LINE": "a new line",
        "WIDE_DIVIDE": "/",
        "NORM_ORDER": "_1",
        "MINUS": "-",
        "PRIME": "'",
        "ARROW": "<-",
        "LESS": "<",
        "LESS_EQUAL": "<=",
        "GREATER": ">",
        "GREATER_EQUAL": ">=",
        "EQUAL": "=",
        "UNEQUAL": "!=",
        "ELEMENT": "in",
        "ENTRY_TIMES": ".*",
    }
)
SPELLINGS = MappingProxyType(
    {
        "$": "'$' has no meaning here",
        "\\": "LaTeX input is not part of the language",
        '"': "this text does not end on its line",
        ".": "'.' stands only inside numbers, in .* ./ and in a..b",
        "!": "'!' has no meaning here; != is 'not equal'",
        "=": "equality is written with one =",
        "'": 'a \' touches what it transposes; texts are written "..."',
        "_": "a name does not begin with '_'",
        "&": "'&' has no meaning here; tests are joined by 'and'",
    }
)
FIXES = MappingProxyType(
    {
        "\\": "write the formula as on paper: sum[i] x[i], a/b, lambda",
        '"': 'close it with "',
        "=": "write =",
        ".": "write a digit before the point; there are no attributes",
        "&": "write and",
        "_": "begin it with a letter",
        "'": "remove the blank before it: X'",
    }
)
Row = tuple[str, str]
Table = Mapping[tuple, Row]


def explain(stop: Stop, span: Span, table: Table, keywords: Mapping[str, str]) -> SpecError:
    """The error for a stop; `keywords` maps terminals to the words that they stand for."""
    if stop.message:
        return SpecError(stop.message, span, fix=stop.fix)
    if stop.character:
        return _character(str(stop.token), span)
    if misspelt := _misspelt(stop, span, keywords):
        return misspelt
    for key in keys(stop):
        if key in table:
            message, fix = table[key]
            return SpecError(_filled(message, stop), span, fix=_filled(fix, stop))
    found = "the end of the statement" if stop.token is None else f"'{_shown(stop)}'"
    return SpecError(f"unexpected {found}; expected {expected(stop.accepted, keywords)}", span)


def table(rows: Sequence[Mapping], stop_of: Callable[[str], Stop]) -> Table:
    """The keys of every wrong text, with its row; the first row of a key wins."""
    found: dict[tuple, Row] = {}
    for row in rows:
        for text in row["texts"]:
            for key in keys(stop_of(text)):
                found.setdefault(key, (row["message"], row.get("fix", "")))
    return MappingProxyType(found)


def keys(stop: Stop) -> list[tuple]:
    """What a stop is looked up by, the most telling key first."""
    before = stop.before.type if stop.before else ""
    kind = stop.token.type if stop.token else "$END"
    factors = frozenset(stop.accepted & FACTORS)
    found: list[tuple] = [(before, kind, factors), (before, kind)]
    if kind in MISPLACED:
        found.append((kind, "NAME" in stop.accepted))
    return found


def _filled(text: str, stop: Stop) -> str:
    before = "" if stop.before is None else str(stop.before)
    return text.replace("{previous}", before).replace("{token}", _shown(stop))


def _shown(stop: Stop) -> str:
    return (
        {"ITEM": "a new line", "LINE": "a new line"}.get(stop.token.type, str(stop.token))
        if stop.token is not None
        else ""
    )


# words


def _misspelt(stop: Stop, span: Span, keywords: Mapping[str, str]) -> SpecError | None:
    """A word near to one that would fit: the first of a statement, the one at the stop, the one before it."""
    first, token, before = stop.beginning, stop.token, stop.before
    if before is None and token is not None:
        return _unknown_statement(str(token), span) if str(token).isidentifier() else None
    if stop.second and before.type == "NAME" and token is not None and token.type in FACTORS | {"RESERVED", "STRING"}:
        place = Span(span.source, span.line - token.line + first.line, first.column, len(first))
        return _unknown_statement(str(first), place)
    if token is not None and token.type in ("NAME", "RESERVED"):
        fitting = [keywords[k] for k in stop.accepted if k in keywords]
        if fix := words.nearest(str(token), fitting):
            return SpecError(f"'{token}' does not fit here", span, fix=fix)
    if (
        before is not None
        and before.type == "NAME"
        and token is not None
        and token.type in ("STRING", "NUMBER", "NAME", "CALL")
    ):
        if fix := words.nearest(str(before), words.INNER + ("label", "columns", "seed", "stratified"), cutoff=0.7):
            place = Span(span.source, span.line - token.line + before.line, before.column, len(before))
            return SpecError(f"'{before}' does not fit here", place, fix=fix)
    return None


def _unknown_statement(word: str, place: Span) -> SpecError:
    if word in words.RESERVED:
        return SpecError(f"'{word}' does not begin a statement", place, fix=words.nearest(word, words.STATEMENTS, 0.8))
    fix = (
        words.nearest(word, words.STATEMENTS)
        or "a statement begins with a word such as data, param, minimize, or with NAME ="
    )
    return SpecError(f"'{word}' does not begin a statement", place, fix=fix)


def expected(accepted: Iterable[str], keywords: Mapping[str, str]) -> str:
    """The accepted terminals in words, the usual groups together."""
    kinds = set(accepted)
    parts = []
    if kinds >= FACTORS - {"COUNT", "COUNT_CALL"}:
        parts.append("an expression")
        kinds -= FACTORS | {"MINUS"}
    if kinds >= OPERATORS - {"CIRCUMFLEX"}:
        parts.append("an operator")
        kinds -= OPERATORS | {"PRIME", "INDEX_OPEN", "NORM_ORDER"}
    if kinds >= RELATIONS:
        parts.append("a comparison")
        kinds -= RELATIONS | {"ELEMENT"}
    shown = {KINDS.get(k) or f"'{keywords.get(k, k.lower())}'" for k in kinds}
    return " or ".join([*parts, *sorted(shown)]) or "nothing more"


# characters


def _character(text: str, span: Span) -> SpecError:
    """A character at which no token begins; `text` is the rest of its word, at least one character."""
    letter = text[0]
    foreign = next(((k, c) for k, c in enumerate(text) if ord(c) > 127 and c not in words.GREEK), None)
    if foreign is None:
        width = len(text) if letter == "_" else 1
        message = SPELLINGS.get(letter, f"the character {letter!r} (U+{ord(letter):04X}) has no meaning here")
        return SpecError(message, Span(span.source, span.line, span.column, width), fix=FIXES.get(letter, ""))
    k, c = foreign
    place = Span(span.source, span.line, span.column + k)
    code = f"{c!r} (U+{ord(c):04X})"
    if c in "⁰¹²³⁴⁵⁶⁷⁸⁹":
        return SpecError(f"{code}: powers are written with ^", place, fix="write x^2")
    if c in "₀₁₂₃₄₅₆₇₈₉":
        return SpecError(f"{code}: a subscript is part of the name, in plain digits", place, fix="write x1 or x_1")
    if c.isalpha():
        return SpecError(
            f"the letter {code} is not of the language: names are ASCII or Greek letters, digits and _",
            place,
            fix=_look_alike(c),
        )
    return SpecError(f"the character {code} has no meaning here", place)


def _look_alike(c: str) -> str:
    """The letter that a foreign one looks like, where its Unicode name says so."""
    folded = unicodedata.normalize("NFKC", c)
    alike = words.LOOK_ALIKES.get(c) or (folded if folded.isascii() else "")
    return f"it looks like '{alike}'; type that" if alike else ""

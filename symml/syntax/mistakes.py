"""Where the parser stopped, in words: rows of grammar/mistakes.toml first, else what was expected there.

The key of a mistake is (kind of the token before, kind of the token at the stop, which factors would fit there). A row
lists wrong texts instead of keys, so a new message needs no code.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from lark import Token

from symml.errors import SpecError
from symml.source import Span
from symml.syntax import words
from symml.syntax.run import Stop

FACTORS = frozenset(
    [
        "NAME",
        "CALL",
        "NUMBER",
        "FUNCTION",
        "REDUCE",
        "COUNT",
        "COUNT_CALL",
        "LPAR",
        "TEST_OPEN",
        "NORM_OPEN",
        "BAR_OPEN",
    ]
)
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
    ]
)
RELATIONS = frozenset(["LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "UNEQUAL", "IN", "ELEMENT"])
UNFIT = ("does not begin a statement", "does not fit here")
SURE_LETTERS = 3
# Words of a statement that its parser may no longer say that it expects.
CLAUSES = MappingProxyType(
    {
        "DATA": ("from", "label", "columns", "subset"),
        "GRAPH": ("from", "over", "label", "columns"),
        "SPLIT": ("into", "seed", "stratified"),
        "PARAM": ("init",),
        "HYPER": ("chosen",),
        "TRAIN": ("with", "until"),
        "INFER": ("with",),
        "MINIMIZE": ("over", "subject"),
        "MAXIMIZE": ("over", "subject"),
        "ITERATE": ("from", "until"),
    }
)
MISPLACED = ("RESERVED", "RESERVED_CALL", "FUNCTION_NAME", "REDUCTION_NAME")
KINDS = MappingProxyType(
    {
        "NAME": "a name",
        "CALL": "a call f(...)",
        "NUMBER": "a number",
        "STRING": 'a text in ""',
        "FUNCTION": "a function",
        "REDUCE": "a reduction",
        "COUNT": "a count",
        "COUNT_CALL": "a count",
        "INDEX_OPEN": "'['",
        "NORM_OPEN": "'||'",
        "NORM_CLOSE": "'||'",
        "BAR_OPEN": "'|'",
        "BAR_CLOSE": "'|'",
        "$END": "the end of the statement",
        "ITEM": "a new line",
        "LINE": "a new line",
        "NORM_ORDER": "_1",
        "MINUS": "'-'",
        "PRIME": "a ' for the transpose",
        "ARROW": "'<-'",
        "LESS": "'<'",
        "LESS_EQUAL": "'<='",
        "GREATER": "'>'",
        "GREATER_EQUAL": "'>='",
        "EQUAL": "'='",
        "ELEMENT": "'in'",
    }
)
SPELLINGS = MappingProxyType(
    {
        "$": "'$' has no meaning here",
        "\\": "LaTeX input is not part of the language",
        '"': "this text does not end on its line",
        ".": "'.' stands only inside numbers, in .* ./ .^ and in a..b",
        "!": "'!' has no meaning here; != is 'not equal'",
        "=": "equality is written with one =",
        "'": 'a \' touches what it transposes; texts are written "..."',
        "_": "a name does not begin with '_'",
        "&": "'&' has no meaning here; tests are joined by 'and'",
    }
)
USES = MappingProxyType(
    {
        "from": 'data X[n, d] from "file.csv"',
        "into": "split n into train 0.8, test 0.2",
        "over": "minimize over w, b; or graph G over n; or tree over X",
        "subject": "minimize f subject to g = 0",
        "to": "minimize f subject to g = 0",
        "with": "train with METHOD",
        "until": "train with METHOD until TEST, or iterate x <- ... until TEST",
        "on": "report NAME = VALUE on PART",
        "init": "param w[d] init VALUE",
        "for": "a[t] = ... for t in 1..T-1, or solve for V:",
        "if": "a line below cases: VALUE if TEST",
        "otherwise": "the last line below cases: VALUE otherwise",
        "by": "stratified by NAME, or chosen by NAME",
    }
)
FIXES = MappingProxyType(
    {
        "\\": "write the formula as on paper: sum[i] x[i], a/b, lambda",
        '"': 'close it with "',
        "=": "write =",
        ".": "write a digit before the point; there are no attributes: X' is the transpose, sum[i] x[i] the sum",
        "%": "write the fraction, such as 0.8",
        "&": "write and",
        "_": "begin it with a letter",
        "'": "remove the blank before it: X'",
    }
)
PLAIN = MappingProxyType(  # marks of paper and of word processors, and what is written for them
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\ufe63\uff0d", "-"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\uff02", 'a text in "..."'),
        **dict.fromkeys("\u2018\u2019\u201b\u2032\u00b4\uff07", "' for the transpose"),
        **dict.fromkeys("\u00d7\u00b7\u22c5\u2219\u2217\u2022", "a blank between factors, or *; .* multiplies entries"),
        **dict.fromkeys("\u00f7\u2044\u2215\uff0f", "/"),
        **dict.fromkeys("\u2225\u2223", "|| or |"),
        **dict.fromkeys(
            "\u00a0\u2002\u2003\u2009\u202f\u3000\u200b\u200c\u200d\u2060\ufeff", "a plain blank, or nothing"
        ),
        "\u00bd": "1/2",
        "\u00bc": "1/4",
        "\u00be": "3/4",
        "\u2153": "1/3",
        "\u221a": "sqrt(x)",
        "\u221e": "no bound: leave it out",
        "\u2202": "grad(f, x) on a page; symml derive prints derivatives",
        "\u2207": "grad(f, x) on a page; symml derive prints derivatives",
        "\u2260": "!=",
        "\u2248": "=, or |a - b| < 1e-6",
        "\u2261": "=",
        "\u00b1": "two terms, one with + and one with -",
        "\u222b": "a sum: integrals are not of the language",
        "\u2209": "not x in S",
        "\u2192": "<- for an update, = for a definition",
        "\u2026": "a range: 1..n",
        "\u2212": "-",
        "\u22a4": "' for the transpose",
        "\u2297": "index form: A[i, j] B[k, l]",
    }
)
Row = tuple[str, str, str]  # the message, the fix, and where: "bracket" (the innermost open), "previous", "" (the stop)
Table = Mapping[tuple, Row]


def explain(stop: Stop, span: Span, rows: Table, keywords: Mapping[str, str]) -> SpecError:
    """The error for a stop; `keywords` maps terminals to the words and marks that they stand for."""
    if stop.message:
        return SpecError(stop.message, span, fix=stop.fix)
    if stop.character:
        return _character(str(stop.token), span)
    if unknown := _unknown(stop, span) or _nameless(stop, span):
        return unknown
    telling, general = keys(stop)
    if misspelt := _misspelt(stop, span, keywords, surely=True):
        return misspelt
    if row := _row(telling, rows):
        return _filled(row, stop, span)
    if misspelt := _misspelt(stop, span, keywords):
        return misspelt
    fitting = expected(stop.accepted, keywords)
    if fix := USES.get(str(stop.token)):
        return SpecError(f"'{stop.token}' does not fit here; expected {fitting}", span, fix=f"it belongs to: {fix}")
    if row := _row(general, rows):
        return _filled(row, stop, span)
    if stop.token is None:
        return SpecError(f"the statement ends too early; expected {fitting}", span)
    return SpecError(f"unexpected {_shown(stop)}; expected {fitting}", span)


def table(rows: Sequence[Mapping], stop_of: Callable[[str], Stop]) -> Table:
    """The keys of every wrong text, with its row; the first row of a key wins."""
    found: dict[tuple, Row] = {}
    for row in rows:
        for text in row["texts"]:
            telling, general = keys(stop_of(text))
            keep = telling[:3] if row.get("place") == "bracket" else telling  # such a row is about its bracket alone
            for key in (*keep, *general):
                found.setdefault(key, (row["message"], row.get("fix", ""), row.get("place", "")))
    return MappingProxyType(found)


def keys(stop: Stop) -> tuple[list[tuple], list[tuple]]:
    """What a stop is looked up by, the most telling key first; and a general key of words in a name's place."""
    before, kind = stop.before.type if stop.before else "", _kind(stop.token) if stop.token else "$END"
    factors = frozenset(stop.accepted & FACTORS)
    operators = bool(stop.accepted & OPERATORS)  # after an operand
    word = str(stop.token) if kind == "RESERVED" else ""
    place = before, kind, word, operators, "$END" in stop.accepted
    head = "" if stop.beginning is None else stop.beginning.type
    exact = *place, stop.accepted, stop.within
    telling: list[tuple] = [(*exact, head), exact, (*place, factors, stop.within), (*place, factors)]
    return telling, [(kind,)] if kind in MISPLACED and "NAME" in stop.accepted else []


def _row(wanted: Iterable[tuple], rows: Table) -> Row | None:
    return next((rows[key] for key in wanted if key in rows), None)


def _kind(token: Token | None) -> str:
    """Words of the language are one kind, wherever they stand in a name's place."""
    if token is None:
        return ""
    return "RESERVED" if str(token) in words.RESERVED and token.type != "RESERVED_CALL" else token.type


def _filled(row: Row, stop: Stop, span: Span) -> SpecError:
    before, token = ("" if t is None else str(t) for t in (stop.before, stop.token))
    message, fix = (text.replace("{previous}", before).replace("{token}", token) for text in row[:2])
    adjacent = stop.opening is not None and stop.before is not None and stop.opening.end_pos == stop.before.start_pos
    if row[2] == "bracket" and stop.token is not None and adjacent:
        span = _at(stop.opening, stop.token, span)
    elif row[2] == "previous" and stop.token is not None and stop.before is not None:
        span = _at(stop.before, stop.token, span)
    return SpecError(message, span, fix=fix)


def _shown(stop: Stop) -> str:
    return "a new line" if stop.token.type in ("ITEM", "LINE") else f"'{stop.token}'"


# words


def _unknown(stop: Stop, span: Span) -> SpecError | None:
    """A statement whose first word is none: at the stop, or just before it."""
    first, token, before = stop.beginning, stop.token, stop.before
    if token is None:
        if not (stop.second and before.type == "NAME"):
            return None
        return _unknown_statement(str(first), Span(span.source, span.line, first.column, len(first)))
    if before is None:
        return _unknown_statement(str(token), span) if "MODEL" in stop.accepted else None
    if stop.second and before.type == "NAME" and (token.type in FACTORS or _kind(token) in ("RESERVED", "STRING")):
        return _unknown_statement(str(first), _at(before, token, span))
    return None


def _nameless(stop: Stop, span: Span) -> SpecError | None:
    """A line that begins with the mark behind a name."""
    token, before = stop.token, stop.before
    if token is None or token.type not in ("EQUAL", "ARROW", "TILDE") or (before and before.end_line == token.line):
        return None
    return SpecError(f"a name is missing before '{token}'", span, fix=f"write NAME {token} ...")


def _misspelt(stop: Stop, span: Span, keywords: Mapping[str, str], surely: bool = False) -> SpecError | None:
    """A word near to one that would fit: the one at the stop, or the one before it; `surely`, a long one only."""
    token, before = stop.token, stop.before
    if token is None or before is None or (surely and (len(token) < SURE_LETTERS or str(token) in words.RESERVED)):
        return None
    fitting = [keywords[k] for k in stop.accepted if k in keywords and keywords[k].isalpha()]
    fitting += CLAUSES.get(stop.beginning.type if stop.beginning else "", ())
    fits = str(token).isalpha() and str(token) not in (*USES, *fitting) and token.type not in FACTORS - {"NAME", "CALL"}
    if fits and (fix := words.nearest(str(token), fitting, cutoff=0.7 if surely else 0.6)):
        return SpecError(f"'{token}' does not fit here", span, fix=fix)
    if not surely and before.type == "NAME" and token.type in ("STRING", "NUMBER", "NAME", "CALL"):
        known = fitting if token.type == "STRING" else words.INNER
        if fix := words.nearest(str(before), known, cutoff=0.7):
            return SpecError(f"'{before}' does not fit here", _at(before, token, span), fix=fix)
    return None


def _at(place: Token, token: Token, span: Span) -> Span:
    """The span of another token of the statement; `span` is that of `token`."""
    return Span(span.source, span.line - token.line + place.line, place.column, len(place))


def _unknown_statement(word: str, place: Span) -> SpecError:
    fix = f"it belongs to: {USES[word]}" if word in USES else ""
    fix = fix or ("" if word in words.RESERVED else words.nearest(word, words.STATEMENTS))
    fix = fix or "a statement begins with a word such as data, param, minimize, or with NAME =, NAME ~ or NAME <-"
    return SpecError(f"'{word}' does not begin a statement", place, fix=fix)


def expected(accepted: Iterable[str], keywords: Mapping[str, str]) -> str:
    """The accepted terminals in words, the usual groups together."""
    kinds = set(accepted)
    parts = []
    if kinds & {"PLUS", "TIMES", "CIRCUMFLEX"}:  # after an operand: a factor would be a product, so it goes unsaid
        parts.append("an operator")
        kinds -= OPERATORS | FACTORS | {"PRIME", "INDEX_OPEN", "NORM_ORDER"}
    if kinds >= {"NUMBER", "LPAR"}:
        parts.append("an expression")
        kinds -= FACTORS | {"MINUS"}
    if kinds >= {"LESS", "GREATER"}:
        parts.append("a comparison")
        kinds -= RELATIONS
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
    if c in PLAIN:
        return SpecError(f"the character {code} is not of the language", place, fix=f"write {PLAIN[c]}")
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

"""The grammar file itself: no conflicts, no text that two terminals read, words in step with words.py."""

import itertools
import re

import pytest
from lark import Lark
from lark.exceptions import GrammarError
from lark.lexer import Lexer, PatternRE, PatternStr

from symml.syntax import words
from symml.syntax.parse import grammar, grammar_file

ALPHABET = [
    "a",
    "s",
    "1",
    "0",
    "_",
    ".",
    "e",
    "+",
    "-",
    "*",
    "/",
    "<",
    "=",
    ">",
    "!",
    "|",
    "(",
    "[",
    "'",
    " ",
    "λ",
    "ᵀ",
    "\n",
    '"',
]


class NoLexer(Lexer):
    """Tables only: the strict mode of lark's own lexers needs a package that is no dependency."""

    def __init__(self, _): ...

    def lex(self, _):
        return iter(())


def strict(text, start):
    return Lark(text, parser="lalr", lexer=NoLexer, strict=True, start=start)


def test_no_conflicts():
    strict(grammar_file("symml.lark"), ["statement", "sum"])


def test_strict_mode_would_see_a_conflict():
    with pytest.raises(GrammarError):
        strict('sum: sum "+" sum | "a"', "sum")


def matched_by(text, terminals):
    """The patterns of equal priority that read the whole first word of a text."""
    ends = [(t.priority, m.end(), t.name) for t, p in terminals if (m := p.match(text)) and m.end()]
    best = max(((rank, end) for rank, end, _ in ends), default=(0, 0))
    return [name for rank, end, name in ends if (rank, end) == best]


def collisions(terminals, length):
    """Texts that two patterns of one priority read to the same end. Patterns look at most one character ahead."""
    found = set()
    for size in range(1, length + 1):
        for letters in itertools.product(ALPHABET, repeat=size):
            names = matched_by("".join(letters), terminals)
            if len(names) > 1:
                found.add(tuple(sorted(names)))
    return found


def regular(lark, only=None):
    return [(t, re.compile(t.pattern.to_regexp())) for t in lark.terminals if isinstance(t.pattern, PatternRE)]


def test_no_text_belongs_to_two_patterns():
    ignored = {"BLANKS", "COMMENT"}
    terminals = [(t, p) for t, p in regular(grammar()) if t.name not in ignored]
    assert collisions(terminals, 3) == set()


def test_collisions_are_seen():
    lark = Lark("start: A | B\nA: /[a-z]+/\nB: /s[a-z]*/", parser="lalr")
    assert collisions(regular(lark), 1) == {("A", "B")}


def listed(name):
    """The words of a terminal that is a list of words."""
    pattern = next(t.pattern.value for t in grammar().terminals if t.name == name)
    return pattern[pattern.index("(") + 1 : pattern.index(")")].split("|")


def test_words_are_those_of_the_grammar():
    assert tuple(listed("FUNCTION")) == words.FUNCTIONS
    assert {words.ascii_mark(w) for w in listed("REDUCE")} | {"count"} == set(words.REDUCTIONS)
    fixed = {
        t.pattern.value for t in grammar().terminals if isinstance(t.pattern, PatternStr) and t.pattern.value.isalpha()
    }
    soft = {"label", "columns", "seed", "stratified", "subset", "of", "chosen"}
    assert fixed - {"∈"} == words.RESERVED | soft


def test_letters_are_those_of_the_grammar():
    pattern = next(t.pattern.value for t in grammar().terminals if t.name == "NAME")
    letters = pattern[: pattern.index("(?!")]
    assert set(re.findall(r"[^\x00-\x7f]", letters)) == set(words.GREEK)

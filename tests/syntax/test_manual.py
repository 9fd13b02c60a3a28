"""The manual: its sections are those of the grammar, its blocks are read and stand in canonical form."""

import re
from pathlib import Path

import pytest

from symml.source import Source
from symml.syntax.format import formatted
from symml.syntax.parse import grammar_file, parse

MANUAL = (Path(__file__).parent.parent.parent / "grammar" / "MANUAL.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", MANUAL, re.M | re.S)


@pytest.mark.parametrize("text", BLOCKS)
def test_blocks(text):
    assert parse(Source("manual", text)).statements
    assert formatted(Source("manual", text)) == text


def test_sections_are_the_statements_of_the_grammar():
    rule = re.search(r"^\?statement:(.*?)\n\n", grammar_file("symml.lark"), re.M | re.S)[1]
    assert re.findall(r"^### (\w+)", MANUAL, re.M) == re.findall(r"\w+", rule)


def test_every_section_has_a_block():
    for section in re.split(r"^### ", MANUAL, flags=re.M)[1:]:
        assert "```" in section, section[:20]

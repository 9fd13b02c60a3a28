"""A text and the places in it.

source = Source("model.symml", text)
span = Span(source, line=3, column=5, width=4)      # 1-based, as editors count
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A spec's text with the name shown in messages (a path, or `-e` for an expression)."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """The text of one line, counted from 1; empty past the end."""
        lines = self.text.splitlines()
        return lines[number - 1] if 0 < number <= len(lines) else ""


@dataclass(frozen=True)
class Span:
    """A stretch of one line: `line` and `column` count from 1, `width` is in characters."""

    source: Source
    line: int
    column: int
    width: int = 1

    @property
    def place(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def __repr__(self) -> str:
        return f"Span({self.place})"


LONGEST_EXCERPT = 160


def excerpt(span: Span) -> list[str]:
    """The line of a span and a caret line under it, cut to a readable window of long lines."""
    text = span.source.line(span.line)
    if not text.strip():
        return []
    start = max(0, span.column - 1 - LONGEST_EXCERPT // 2) if len(text) > LONGEST_EXCERPT else 0
    window = text[start : start + LONGEST_EXCERPT]
    lead = "".join(c if c == "\t" else " " for c in window[: span.column - 1 - start])
    width = max(1, min(span.width, len(window) - len(lead)))
    return [f"  | {window}", f"  | {lead}{'^' * width}"]

"""What a user can have done wrong, as data: one class per kind, each with its exit code.

A mistake is a `SymmlError` with a message, an optional place (`Span`) and a fix; several of one file
travel together in `SymmlErrors`. An `assert` or any other exception means a bug in symml.

    raise SpecError("unknown name 'lamda'", span, fix="did you mean 'lam'?")
"""

from __future__ import annotations

from collections.abc import Sequence

from symml.source import Span, excerpt

LONGEST = 600  # characters of a message
MOST_SHOWN = 20  # mistakes of a text


class SymmlError(Exception):
    """A mistake that the user can mend: message, place, fix."""

    exit_code = 2
    kind = "error"

    def __init__(self, message: str, span: Span | None = None, *, fix: str = "") -> None:
        super().__init__(message)
        self.message, self.span, self.fix = message, span, fix

    def __str__(self) -> str:
        return render(self)


class SpecError(SymmlError):
    """The text of a spec is wrong: grammar, names, shapes, indices, domains, limits."""


class UnsupportedError(SpecError):
    """The text is of the language, but this version has no meaning for it yet."""


class DataError(SymmlError):
    """Data do not fit their declaration: shape, type, range, missing or non-finite values."""


class NumericError(SymmlError):
    """A computation left the finite numbers, or a proof failed."""

    exit_code = 3


class FileError(SymmlError):
    """A file cannot be read or written."""

    exit_code = 4


class SymmlErrors(SymmlError):
    """All mistakes of one text at once, in the order of their places."""

    def __init__(self, errors: Sequence[SymmlError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda e: (e.span.line, e.span.column) if e.span else (0, 0)))
        super().__init__(self.errors[0].message, self.errors[0].span, fix=self.errors[0].fix)
        self.exit_code = max(error.exit_code for error in self.errors)

    def __str__(self) -> str:
        more = len(self.errors) - MOST_SHOWN
        shown = [render(error) for error in self.errors[:MOST_SHOWN]]
        return "\n".join([*shown, f"and {more} more mistakes"] if more > 0 else shown)


def render(error: SymmlError) -> str:
    """`FILE:LINE:COL: error: message`, the line with a caret, and the fix."""
    place = f"{error.span.place}: " if error.span else ""
    lines = [f"{place}{error.kind}: {_cut(error.message)}"]
    if error.span:
        lines += excerpt(error.span)
    if error.fix:
        lines.append(f"  fix: {_cut(error.fix)}")
    return _harmless("\n".join(lines))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _harmless(text: str) -> str:
    """Names and lines come from files: what would move a terminal's cursor or turn text round is shown as U+FFFD."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)

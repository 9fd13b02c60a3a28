"""The library: pages written in the language itself. This file alone reads them.

names("optimizers")  ->  ("adam", "momentum", "sgd")
"""

from __future__ import annotations

from pathlib import Path

from symml.source import Source
from symml.syntax import tree
from symml.syntax.parse import parse

LIBRARY = Path(__file__).parent.parent / "library"


def names(shelf: str) -> tuple[str, ...]:
    """The pages of a shelf, in alphabetical order."""
    return tuple(sorted(p.stem for p in (LIBRARY / shelf).glob("*.symml")))


def page(shelf: str, name: str) -> tree.Tree:
    """A page of the library; `name` must be one of `names(shelf)`."""
    assert name in names(shelf), name
    path = LIBRARY / shelf / f"{name}.symml"
    return parse(Source(f"{shelf}/{name}.symml", path.read_text(encoding="utf-8")))


def remarks(shelf: str, name: str) -> str:
    """What the comment at the head of a page says: what it is and who published it."""
    assert name in names(shelf), name
    lines = (LIBRARY / shelf / f"{name}.symml").read_text(encoding="utf-8").splitlines()
    return " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))

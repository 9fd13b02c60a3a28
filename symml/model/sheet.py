"""What has been read of a page so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from symml.errors import SpecError, SymmlError, SymmlErrors
from symml.ir.program import Dim
from symml.model.model import Data, Graph, Hyper, Param
from symml.syntax import tree


@dataclass
class Sheet:
    """What has been read of the page so far."""

    dims: dict[str, Dim] = field(default_factory=dict)
    sizes: dict[Dim, int] = field(default_factory=dict)
    data: dict[str, Data] = field(default_factory=dict)
    params: dict[str, Param] = field(default_factory=dict)
    hypers: dict[str, Hyper] = field(default_factory=dict)
    definitions: dict[str, tuple[tree.Define, ...]] = field(default_factory=dict)
    graphs: dict[str, Graph] = field(default_factory=dict)
    functions: dict[str, tree.Function] = field(default_factory=dict)
    iterations: dict[str, tree.Iterate] = field(default_factory=dict)
    reports: list[tree.Report] = field(default_factory=list)
    heads: list[tree.Head] = field(default_factory=list)
    single: dict[type, tree.Statement] = field(default_factory=dict)
    places: dict[str, tree.Node] = field(default_factory=dict)
    errors: list[SymmlError] = field(default_factory=list)

    def claim(self, name: tree.Name) -> None:
        """A name has one meaning."""
        if name.id in self.places:
            raise SpecError(
                f"'{name.id}' already has a meaning, from line {self.places[name.id].span.line}",
                name.span,
                fix="choose another name",
            )
        self.places[name.id] = name

    def once(self, node: tree.Statement, what: str) -> None:
        if type(node) in self.single:
            raise SpecError(f"a second '{what}'; the first is at line {self.single[type(node)].span.line}", node.span)
        self.single[type(node)] = node

    def attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except SymmlErrors as several:
            self.errors += several.errors
        except SymmlError as error:
            self.errors.append(error)

"""What the language says and this version has no meaning for yet, in the words of a page.

refused(tree.Distributed(...))  ->  UnsupportedError("a distribution of a name ('~') is not supported yet", place)
"""

from __future__ import annotations

from symml.errors import SpecError, UnsupportedError
from symml.syntax import tree

WORDS: dict[type, str] = {
    tree.Use: "a part taken from another page ('use')",
    tree.Distributed: "a distribution of a name ('~')",
    tree.Infer: "inference ('infer with')",
    tree.Growth: "a tree",
    tree.SetBuilder: "a set of its own",
    tree.SetLiteral: "a set of its own",
    tree.Range: "a range here",
    tree.Call: "a domain of this kind",
    tree.Interval: "an interval here",
    tree.Text: "a text here",
}
FUNCTIONS = ("sample",)


def refused(node: tree.Node) -> SpecError:
    """The error for a node without a meaning."""
    if isinstance(node, tree.Update):
        return SpecError(
            "'<-' updates a state of an optimizer page or of a system",
            node.span,
            fix="write = for a definition, or iterate x <- ...; a system declares state x",
        )
    fix = "write it out where it is used" if isinstance(node, tree.Use) else ""
    return UnsupportedError(f"{WORDS.get(type(node), 'this')} is not supported yet", node.span, fix=fix)

"""What parses and is hardly meant: slips of the pen, told from the Tree with the names that the page declares.

slips(page)  ->  [SpecError("'G' before a blank is a factor, not a call", ...), ...]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from symml.errors import SpecError
from symml.model.builtins import BUILTINS
from symml.names import unicode
from symml.syntax import tree
from symml.syntax.words import REDUCTIONS

SETTINGS = ("depth",)  # of a tree, on its own line
NOTHING = ("", ())
Names = Mapping[str, tuple[str, tuple]]


def slips(page: tree.Tree) -> list[SpecError]:
    """Every slip of a page."""
    given = declared(page.statements)
    found = [*_settings(page), *_alike(page)]
    for statement in page.statements:
        if isinstance(statement, tree.Objective):
            found += _missing_comma(statement, given)
        for node in tree.walk(statement):
            if isinstance(node, tree.Binary):
                found += [e for rule in _RULES for e in rule(node, given)]
            elif isinstance(node, tree.Name) and node.id not in given and not isinstance(statement, tree.Head):
                found += _underscored(node)
    return found


def declared(statements: Iterable[tree.Statement]) -> Names:
    """The names that statements give a meaning: of what kind, and with what shape."""
    found: dict[str, tuple[str, tuple]] = {}
    for s in statements:
        if isinstance(s, tree.Declare):
            found |= {item.name.id: (s.kind, item.shape) for item in s.items}
        elif isinstance(s, tree.Define | tree.Distributed | tree.Iterate):
            found[s.target.id] = "definition", s.indices
        elif isinstance(s, tree.Graph | tree.Function):
            found[s.name.id] = ("graph" if isinstance(s, tree.Graph) else "function"), ()
        elif isinstance(s, tree.Solve):
            found |= {n.id: ("definition", ()) for n in s.over}
    return found


def _settings(page: tree.Tree) -> Iterator[SpecError]:
    """`depth = 3`, a definition, where `tree over X depth 3` is meant."""
    trees = [s for s in page.statements if isinstance(s, tree.Growth)]
    if not trees:
        return
    for s in (*page.statements, *(d for t in trees for d in t.body)):
        if isinstance(s, tree.Define) and s.target.id in SETTINGS and not s.indices:
            yield SpecError(
                f"'{s.target.id}' is a setting of the tree, not a definition",
                s.target.span,
                fix=f"write tree over {trees[0].over.id} {s.target.id} 3",
            )


def _alike(page: tree.Tree) -> Iterator[SpecError]:
    """`lam` beside `lambda`: both are written with one Greek letter, so a formula with both could not be read."""
    names: dict[str, tree.Name] = {}
    for s in page.statements:
        own = [item.name for item in s.items] if isinstance(s, tree.Declare) else []
        own += [s.target] if isinstance(s, tree.Define | tree.Distributed | tree.Iterate) else []
        for name in own:
            first = names.setdefault(unicode(name.id), name)
            if first.id != name.id:
                yield SpecError(
                    f"'{name.id}' and '{first.id}' are both written {unicode(name.id)}",
                    name.span,
                    fix="call one of them otherwise",
                )


def _missing_comma(objective: tree.Objective, declared: Names) -> Iterator[SpecError]:
    """`minimize over w b  f`: a parameter right behind the list, as a factor of what is minimized."""
    first, product = objective.value, False
    while isinstance(first, tree.Binary) and first.op not in ("^", ".^"):
        product, first = first.op == "product", first.left
    if not (product and isinstance(first, tree.Name)):
        return
    if not objective.over:
        yield from _missing_over(objective, first, declared)
        return
    last, over = objective.over[-1], {n.id for n in objective.over}
    if declared.get(first.id, NOTHING)[0] != "param" or first.id in over or last.span.line != first.span.line:
        return
    between = last.span.source.line(last.span.line)[last.span.column + last.span.width - 1 : first.span.column - 1]
    if not between.strip():
        yield SpecError(
            "a comma is missing between the parameters, or a product begins here",
            first.span,
            fix=f"write {last.id}, {first.id} or put the product in brackets",
        )


def _missing_over(objective: tree.Objective, first: tree.Name, declared: Names) -> Iterator[SpecError]:
    """`minimize w  f`: a parameter, and what is minimized two blanks behind it."""
    behind = first.span.source.line(first.span.line)[first.span.column + first.span.width - 1 :]
    if declared.get(first.id, NOTHING)[0] == "param" and behind.startswith("  ") and behind.strip():
        yield SpecError(
            f"'{first.id}' is a factor here",
            first.span,
            fix=f"write {objective.sense} over {first.id}, or one blank behind the factor",
        )


def _underscored(name: tree.Name) -> Iterator[SpecError]:
    """`sum_i x[i]`, as in LaTeX."""
    word, _, index = name.id.partition("_")
    if word in REDUCTIONS and index:
        yield SpecError(
            f"'{word}' names its index in square brackets", name.span, fix=f"write {word}[{index}] x[{index}]"
        )


def _product_for_a_call(node: tree.Binary, declared: Names) -> Iterator[SpecError]:
    """`G (i)`, `f (x)`, `tr (A)`: a blank makes a product of a call."""
    last = node.left.right if isinstance(node.left, tree.Binary) and node.left.op == "product" else node.left
    if node.op != "product" or not isinstance(last, tree.Name):
        return
    name = last.id
    kind, _ = declared.get(name, NOTHING)
    if kind in ("graph", "function") or (not kind and name in BUILTINS):
        what = "the neighbours are" if kind == "graph" else "the call is"
        yield SpecError(f"'{name}' before a blank is a factor, not a call", last.span, fix=f"{what} {name}(...)")


def _transposed_by_power(node: tree.Binary, declared: Names) -> Iterator[SpecError]:
    """`X^T`, where X has a shape or T no meaning."""
    if node.op != "^" or not (isinstance(node.right, tree.Name) and node.right.id == "T"):
        return
    _, shape = declared.get(node.left.id, NOTHING) if isinstance(node.left, tree.Name) else NOTHING
    if "T" not in declared or shape:
        yield SpecError("'^T' is a power", node.right.span, fix="transpose with ', as in X'")


def _function_of_a_number(node: tree.Binary, declared: Names) -> Iterator[SpecError]:
    """`log 2 * pi` reads (log 2) pi."""
    left = node.left
    while isinstance(left, tree.Binary) and left.op == "product":
        left = left.right
    if node.op != "*" or not (isinstance(left, tree.Call) and left.bare and isinstance(left.args[0], tree.Number)):
        return
    line, stop = left.span.source.line(left.span.line), left.span.column + left.span.width - 1
    if ")" in line[stop : node.right.span.column - 1]:
        return  # the author wrote the brackets
    said, rest = line[left.span.column - 1 : stop], line[node.right.span.column - 1 :][: node.right.span.width]
    number = said.removeprefix(left.function).strip()
    yield SpecError(
        f"'{said} * {rest}' reads ({said}) {rest}",
        left.span,
        fix=f"write {left.function}({number} {rest}) or ({said}) {rest}",
    )


_RULES = (_product_for_a_call, _transposed_by_power, _function_of_a_number)

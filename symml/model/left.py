"""What the indices on the left of a definition run over: said by `for`, else told by the right side, else by its uses.

    d[t] = x[t] - x[t-1]   for t in 1..T-1      d has the elements 1..T-1
    B[i, k] = max(x[i] - k, 0)                  k runs over K where another line reads B[i, k] w[k] and w has K entries

index_run(low, node, 1)  ->  (0, K): the first element and how many there are
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

import sympy
from sympy import Expr

from symml.errors import SpecError, UnsupportedError
from symml.ir.program import Access
from symml.model.infer import agreed, label_size, runs
from symml.syntax import tree

if TYPE_CHECKING:
    from symml.model.lower import Lowering

Run = tuple[Expr, Expr]
ZERO = sympy.Integer(0)


def said(node: tree.Define, p: int) -> tree.Expr | None:
    """What `for` says of the index at place p."""
    k = node.indices[p]
    return next((b.domain for b in node.ranges if isinstance(k, tree.Name) and _binds(b, k.id)), None)


def index_run(low: Lowering, node: tree.Define, p: int) -> Run:
    """The first element and the number of elements of the index at place p."""
    domain, k = said(node, p), node.indices[p]
    unsaid = [b for b in node.ranges if b.domain is None and _binds(b, k.id)]
    if unsaid:
        raise SpecError("an index ranges over a dim or a..b here", unsaid[0].span, fix=f"such as for {k.id} in n")
    if domain is not None:
        return _domain_run(low, domain)
    found = runs(k, (node.value,), low) or _by_use(low, node.target.id, p, frozenset())
    return agreed(k, found, low, fix=f"say it behind the definition: for {k.id} in n")


def index_size(low: Lowering, node: tree.Define, p: int) -> Expr:
    """The number of elements of an index that begins at 0."""
    first, size = index_run(low, node, p)
    if first != 0:
        raise UnsupportedError(f"a range that begins at {first} is not supported here", node.indices[p].span)
    return size


def bound(low: Lowering, node: tree.Expr) -> Expr:
    """The end of a range: a whole number or a sum of dims."""
    value = sympy.expand(low.expression(node, {}).scalar)
    if not value.is_integer or value.atoms(Access):
        raise SpecError("the end of a range is a whole number, a dim, or a sum of those", node.span)
    return value


def _domain_run(low: Lowering, domain: tree.Expr) -> Run:
    if isinstance(domain, tree.Name) and domain.id in low.dims:
        return ZERO, low.dims[domain.id]
    if isinstance(domain, tree.Number) and isinstance(domain.value, int) and domain.value > 0:
        return ZERO, sympy.Integer(domain.value)
    if isinstance(domain, tree.Range):
        first, last = bound(low, domain.low), bound(low, domain.high)
        if first.is_negative or not low.require(last - first, domain.span) or not low.require(first, domain.span):
            what = "begins below 0" if first.is_negative else "is empty"
            raise SpecError(f"the range {first}..{last} {what}", domain.span)
        return first, sympy.expand(last - first + 1)
    raise UnsupportedError("an index ranges over a dim or a..b here", domain.span)


def _binds(binder: tree.Binder, letter: str) -> bool:
    return any(name.id == letter for name in binder.names)


def free_letters(low: Lowering, sides: Iterable[tree.Expr]) -> list[tree.Name]:
    """The letters that stand as an index and are bound nowhere: what is said holds for each of their values."""
    found: dict[str, tree.Name] = {}
    for side in sides:
        bound = {n.id for part in tree.walk(side) if isinstance(part, tree.Binder) for n in part.names}
        for part in tree.walk(side):
            if isinstance(part, tree.Index):
                for k in (x for i in part.indices for x in tree.walk(i) if isinstance(x, tree.Name)):
                    known = (*low.tensors, *low.definitions, *low.iterations, *low.dims, *bound)
                    if k.id not in known:
                        found.setdefault(k.id, k)
    return list(found.values())


# from the lines that read a definition (rule 15)


def _by_use(low: Lowering, name: str, p: int, asked: frozenset[tuple[str, int]]) -> dict[Run, tree.Node]:
    """The runs of the letters at place p wherever a line reads `name[...]`; nothing is lowered for it."""
    found: dict[Run, tree.Node] = {}
    low.peeking, before = True, low.peeking
    try:
        for owner, root in _lines(low):
            for use, around in _uses(root, name):
                if p < len(use.indices):
                    for run in _letter_runs(low, use.indices[p], around, owner, asked | {(name, p)}):
                        found.setdefault(run, use)
    finally:
        low.peeking = before
    return found


def _lines(low: Lowering) -> Iterator[tuple[tree.Define | None, tree.Expr]]:
    for nodes in low.definitions.values():
        yield from ((node, node.value) for node in nodes)
    yield from ((None, node) for node in low.lines)


def _uses(root: tree.Node, name: str) -> Iterator[tuple[tree.Index, tuple[tree.Reduction, ...]]]:
    """Each `name[...]` below a node, with the reductions around it; without recursion: sums may be thousands deep."""
    todo: list[tuple[object, tuple[tree.Reduction, ...]]] = [(root, ())]
    while todo:
        part, around = todo.pop()
        if isinstance(part, tuple):
            todo += [(p, around) for p in part]
        elif isinstance(part, tree.Node):
            if isinstance(part, tree.Index) and isinstance(part.base, tree.Name) and part.base.id == name:
                yield part, around
            inner = (*around, part) if isinstance(part, tree.Reduction) else around
            todo += [(getattr(part, f.name), inner) for f in fields(part) if f.name not in ("span", "source")]


def _letter_runs(
    low: Lowering,
    k: tree.Expr,
    around: tuple[tree.Reduction, ...],
    owner: tree.Define | None,
    asked: frozenset[tuple[str, int]],
) -> Iterator[Run]:
    """What one index of a use runs over: a label, a letter of a reduction around it, one on the left of its line."""
    if not isinstance(k, tree.Name):
        size = label_size(k, low)
        if size is not None:
            yield ZERO, size
        return
    for r in reversed(around):
        for binder in r.binders:
            if _binds(binder, k.id):
                domain, where = binder.domain, tuple(x for x in (r.body, r.where) if x is not None)
                yield from _known_domain(low, domain) if domain is not None else _walked(low, k, where, asked)
                return
    places = (
        [] if owner is None else [q for q, o in enumerate(owner.indices) if isinstance(o, tree.Name) and o.id == k.id]
    )
    for q in places:
        domain = said(owner, q)
        yield from _known_domain(low, domain) if domain is not None else _walked(low, k, (owner.value,), asked)


def _walked(
    low: Lowering, k: tree.Name, nodes: tuple[tree.Expr, ...], asked: frozenset[tuple[str, int]]
) -> Iterator[Run]:
    """The runs of a letter in some expressions; where they tell none, those of the definitions that it walks there."""
    found = runs(k, nodes, low)
    if found:
        yield from found
        return
    for use in (part for node in nodes for part in tree.walk(node) if isinstance(part, tree.Index)):
        name = use.base.id if isinstance(use.base, tree.Name) else ""
        for q, letter in enumerate(use.indices):
            if (
                name not in low.definitions
                or (name, q) in asked
                or not isinstance(letter, tree.Name)
                or letter.id != k.id
            ):
                continue
            for node in low.definitions[name]:
                own = node.indices[q] if q < len(node.indices) else None
                if isinstance(own, tree.Name):
                    domain = said(node, q)
                    again = asked | {(name, q)}
                    yield from _known_domain(low, domain) if domain else _walked(low, own, (node.value,), again)


def _known_domain(low: Lowering, domain: tree.Expr) -> Iterator[Run]:
    """A dim or a number; the ends of a range tell nothing of the axis that it walks."""
    if isinstance(domain, tree.Number) or (isinstance(domain, tree.Name) and domain.id in low.dims):
        yield _domain_run(low, domain)

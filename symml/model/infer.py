"""The range of an index from its use: the axis it walks, or the labels it is compared with.

sum[j] X[i, j] w[j]     j ranges over d, because it walks the second axis of X and the first of w
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING

import sympy
from sympy import Expr

from symml.errors import SpecError
from symml.ir.functions import FUNCTIONS
from symml.model.values import of_shape
from symml.syntax import tree

if TYPE_CHECKING:
    from symml.model.lower import Lowering

OTHER_SHAPES: Mapping[str, Callable[[tuple], tuple]] = MappingProxyType(  # from those of a matrix
    {"eigvals": lambda a: a[:1], "svdvals": lambda a: a[1:], "svdv": lambda a: (a[1], a[1])}
)
DERIVATIVES = ("grad", "jacobian", "hessian")
SAME_SHAPE = ("softmax", "logsoftmax", "inv", "chol", "eigvecs", "svdu", "sort", "argsort")


def index_range(name: tree.Name, nodes: Iterable[tree.Expr], low: Lowering) -> Expr:
    """The size of the axes that `name` walks in `nodes`; they must agree, and begin at 0."""
    first, size = index_run(name, nodes, low)
    if first != 0:
        raise SpecError(
            f"index '{name.id}' would run from {first}",
            name.span,
            fix=f"say its range: {first}..{sympy.expand(first + size - 1)}",
        )
    return size


def index_run(name: tree.Name, nodes: Iterable[tree.Expr], low: Lowering) -> tuple[Expr, Expr]:
    """The first element and the number of the elements that `name` walks in `nodes`; all axes must agree."""
    return agreed(name, runs(name, nodes, low), low)


def runs(name: tree.Name, nodes: Iterable[tree.Expr], low: Lowering) -> dict[tuple[Expr, Expr], tree.Node]:
    """The (first, size) of each axis that `name` walks in `nodes`, with the place where it does."""
    found: dict[tuple[Expr, Expr], tree.Node] = {}
    for node in nodes:
        for part in _unshadowed(name.id, node):
            for run in _runs(name.id, part, low):
                found.setdefault(run, part)
    return found


def agreed(
    name: tree.Name, found: Mapping[tuple[Expr, Expr], tree.Node], low: Lowering, fix: str = ""
) -> tuple[Expr, Expr]:
    """The one run of an index."""
    if not found:
        raise SpecError(
            f"the range of index '{name.id}' is not known from its use",
            name.span,
            fix=fix or f"say it, as in [{name.id} in n]",
        )
    if len(found) > 1:
        (one, _), (two, place) = list(found.items())[:2]
        raise SpecError(
            f"index '{name.id}' walks axes of different sizes: {_said(one, low)} and {_said(two, low)}",
            place.span,
            fix="use two indices, or give both arrays the same dim",
        )
    return next(iter(found))


def _said(run: tuple[Expr, Expr], low: Lowering) -> str:
    first, size = run
    return f"{first}..{sympy.expand(first + size - 1)}" if first != 0 else f"{size}{low.declared(size)}"


def _unshadowed(name: str, node: tree.Node) -> Iterable[tree.Node]:
    """The parts of an expression where `name` is this index, not that of a reduction inside."""
    hidden: set[int] = set()
    for part in tree.walk(node):  # a node comes before what is below it
        if isinstance(part, tree.Reduction) and any(n.id == name for b in part.binders for n in b.names):
            hidden.update(id(below) for below in tree.walk(part))
        if id(part) not in hidden:
            yield part


def _runs(name: str, node: tree.Expr, low: Lowering) -> Iterable[tuple[Expr, Expr]]:
    zero = sympy.Integer(0)
    if isinstance(node, tree.Index):
        shape = shape_of(node.base, low) or ()
        firsts = low.firsts.get(node.base.id, ()) if isinstance(node.base, tree.Name) else ()
        for k, size, first in zip_longest(node.indices, shape, firsts, fillvalue=zero):
            if isinstance(k, tree.Name) and k.id == name and size != 0:
                yield first, size
    named = isinstance(node, tree.Call) and any(isinstance(k, tree.Name) and k.id == name for k in node.args)
    if named and node.function in low.graphs:
        yield zero, low.graphs[node.function].nodes
    if isinstance(node, tree.Compare):
        sides = [node.first, *(operand for _, operand in node.rest)]
        if any(isinstance(side, tree.Name) and side.id == name for side in sides):
            for side in sides:
                size = label_size(side, low)
                if size is not None:
                    yield zero, size


def label_size(node: tree.Expr, low: Lowering) -> Expr | None:
    """How many values the labels, lengths or members have that an expression names; None where it is no such thing."""
    base = node.base if isinstance(node, tree.Index) else node
    if isinstance(base, tree.Name) and low.shape_of(base.id, base.span) is not None:
        value = low.named(base.id, base.span)
        domain = value.domain
        if domain.kind == "subset" and base is node:
            return value.shape[0]
        return domain.size if domain.kind in ("label", "length") else None
    return None


def shape_of(node: tree.Expr, low: Lowering) -> tuple[Expr, ...] | None:
    """The shape of what may stand before `[`, without lowering it; None where only lowering tells."""
    if isinstance(node, tree.Number):
        return ()
    if isinstance(node, tree.Name):
        return low.shape_of(node.id, node.span)
    if isinstance(node, tree.Cases):
        return max((s for value, _ in node.rows if (s := shape_of(value, low)) is not None), key=len, default=None)
    if isinstance(node, tree.Norm | tree.Bars | tree.Iverson):
        return ()
    if isinstance(node, tree.Negate):
        return shape_of(node.arg, low)
    if isinstance(node, tree.Reduction):
        return () if node.body is None or node.kind.startswith("arg") else shape_of(node.body, low)
    if isinstance(node, tree.Index):
        inner = shape_of(node.base, low)
        return None if inner is None else inner[len(node.indices) :]
    if isinstance(node, tree.Transpose):
        inner = shape_of(node.arg, low)
        return None if inner is None else inner[::-1]
    if isinstance(node, tree.Call) and node.function == "solve" and len(node.args) == 2:
        return shape_of(node.args[1], low)
    if isinstance(node, tree.Call) and node.function in DERIVATIVES and len(node.args) == 2:
        f, x = (shape_of(a, low) for a in node.args)
        return None if f is None or x is None else (*f, *x) if node.function != "hessian" else (*x, *x)
    if isinstance(node, tree.Call) and node.function in OTHER_SHAPES and len(node.args) == 1:
        inner = shape_of(node.args[0], low)
        return OTHER_SHAPES[node.function](inner) if inner is not None and len(inner) == 2 else None
    if isinstance(node, tree.Binary):
        return _joined(node.op, shape_of(node.left, low), shape_of(node.right, low))
    if isinstance(node, tree.Call) and node.function in low.functions:
        return _of_own(node, low)
    if (
        isinstance(node, tree.Call)
        and len(node.args) == 1
        and (node.function in FUNCTIONS or node.function in SAME_SHAPE)
    ):
        return shape_of(node.args[0], low)
    return None


def _of_own(node: tree.Call, low: Lowering) -> tuple[Expr, ...] | None:
    """The shape of a call of a function of one's own: of its line, with the arguments' shapes; or of the arrays it is
    taken of entry by entry."""
    f = low.functions[node.function]
    shapes = {p.name.id: shape_of(a, low) for p, a in zip(f.params, node.args, strict=False)}
    arrays = [shapes[p.name.id] for p in f.params if not p.shape and shapes.get(p.name.id)]
    if arrays or f.name.id in low.called:
        return max(arrays, key=len, default=None)
    outside, low.local = low.local, {name: of_shape(shape or ()) for name, shape in shapes.items()}
    low.called.append(f.name.id)
    try:
        return shape_of(f.value, low)
    finally:
        low.called.pop()
        low.local = outside


def _joined(op: str, a: tuple[Expr, ...] | None, b: tuple[Expr, ...] | None) -> tuple[Expr, ...] | None:
    """The shape of a sum or product, as far as it can be told without lowering."""
    if op in ("^", ".^"):
        return a
    if a is None or b is None:
        return (a if b is None else b) if op in ("+", "-") else None
    if op in ("+", "-", ".*", "./", "/") or not a or not b:
        return a if len(a) >= len(b) else b
    return (*a[:-1], *b[1:])

"""Fixed points: `iterate x[i] <- f(x) from START until |change| < 1e-12`, and `solve for x: x[i] = f(x)`.

What the right side needs and does not depend on x is computed once, before; the rest in every round. A definition that
depends on x is lowered again where it is used outside, at the fixed point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy
from sympy import Expr

from symml.errors import SpecError, UnsupportedError
from symml.ir.functions import canonical
from symml.ir.program import Index, Iterate, Node, Scan, Statement, Tensor, fresh_indices, outs, reads
from symml.model.constants import number
from symml.model.infer import index_range, shape_of
from symml.model.values import Value, broadcast, of_tensor, scalar
from symml.syntax import tree

if TYPE_CHECKING:
    from symml.model.lower import Lowering

TOLERANCE = 1e-12
MOST_ROUNDS = 10_000


def of_equation(node: tree.Solve) -> tree.Iterate:
    """`solve for V: V[s] = ...` as the iteration of its right side from 0."""
    (name,) = node.over if len(node.over) == 1 else (None,)
    (test,) = node.equations if len(node.equations) == 1 else (None,)
    if name is None or not isinstance(test, tree.Compare) or len(test.rest) != 1 or test.rest[0][0] != "=":
        raise UnsupportedError(
            "one unknown and one equation are solved", node.span, fix="such as solve for x: x[i] = ..."
        )
    left = test.first
    base, indices = (left.base, left.indices) if isinstance(left, tree.Index) else (left, ())
    if not isinstance(base, tree.Name) or base.id != name.id:
        raise UnsupportedError(f"the equation has '{name.id}' alone on its left", test.span, fix=f"{name.id}[i] = ...")
    return tree.Iterate(base, test.rest[0][1], None, tuple(indices), None, span=node.span)


def tolerance(until: tree.Expr | None) -> float:
    """The bound on the change of a round."""
    if until is None:
        return TOLERANCE
    shape = isinstance(until, tree.Compare) and isinstance(until.first, tree.Bars) and len(until.rest) == 1
    if not (shape and isinstance(until.first.arg, tree.Name) and until.first.arg.id == "change"):
        raise UnsupportedError("this stopping rule is not supported yet", until.span, fix="until |change| < 1e-12")
    return number(until.rest[0][1])


def define(low: Lowering, node: tree.Iterate) -> Value:
    """Lower an iteration; its target is then the fixed point."""
    env = {k.id: Index(k.id, index_range(k, (node.value,), low)) for k in node.indices if isinstance(k, tree.Name)}
    if len(env) != len(node.indices):
        raise SpecError("the left side of an iteration has distinct index letters", node.span)
    rest = () if env else shape_of(node.start, low) if node.start is not None else shape_of(node.value, low)
    loops = tuple(env.values()) or fresh_indices(rest or ())
    shape = tuple(k.size for k in loops)
    x = Tensor(node.target.id, shape, "definition", span=node.target.span)
    start = _start(low, node, env, x)
    before, outer = set(low.values), low.statements
    low.values[x.name], low.statements, low.awaited = of_tensor(x), [], frozenset()
    try:
        new = _named(low, node, env, loops, x)
        made = low.statements
    finally:
        low.statements = outer
    inside = _moving(made, x)
    for n in inside:
        if isinstance(n, Scan | Iterate):
            raise UnsupportedError("a recurrence inside of an iteration is not supported yet", n.span)
    low.statements += [n for n in made if n not in inside]
    for name in set(low.values) - before - {x.name}:
        if low.values[name].tensor is not None and any(low.values[name].tensor in outs(n) for n in inside):
            del low.values[name]
    gap, measure = low.change([(new, x)])
    states = ((x, start, new),)
    low.statements.append(Iterate(states, (*inside, *measure), gap, tolerance(node.until), MOST_ROUNDS, node.span))
    return of_tensor(x)


def _start(low: Lowering, node: tree.Iterate, env: dict[str, Expr], x: Tensor) -> Tensor:
    value = scalar(sympy.Integer(0)) if node.start is None else low.expression(node.start, env)
    loops = fresh_indices(x.shape)
    if env:
        table = dict(zip(env.values(), loops, strict=True))
        body = value.scalar.xreplace(table) if not value.rank else value.at(loops)
    else:
        body = broadcast(of_tensor(x), value, node.span, "the start")[1].at(loops) if value.rank else value.scalar
    start = Tensor(low.names.fresh(f"{x.name}_start"), x.shape)
    low.statements.append(Statement(start, loops, "=", "none", loops, canonical(body), span=node.span))
    return start


def _named(low: Lowering, node: tree.Iterate, env: dict[str, Expr], loops: tuple[Index, ...], x: Tensor) -> Tensor:
    """The statement of the next x."""
    value = low.expression(node.value, env)
    expected = () if env else x.shape
    if value.rank and value.shape != expected:
        raise SpecError(f"the right side is a {value.described()}, the left is not", node.value.span)
    new = Tensor(low.names.fresh(f"{x.name}_next"), x.shape)
    body = value.scalar if env or not value.rank else value.at(loops)
    low.statements.append(Statement(new, loops, "=", "none", loops, canonical(body), span=node.span))
    return new


def _moving(made: list[Node], x: Tensor) -> list[Node]:
    """The nodes that depend on x, and all that add to what one of them defines."""
    known, found = {x}, []
    for n in made:
        if any(t in known for t in reads(n)) or any(t in known for t in outs(n)):
            found.append(n)
            known |= set(outs(n))
    return found

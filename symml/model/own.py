"""Functions of one's own, `define f(x[d], lam) = ...`, and values by `cases`.

A call lowers the function's line with the arguments under the names of its parameters; nothing of the page it is called from
is seen by it but what stands outside all indices. A parameter without a shape is a number: given an array, the function is
taken of each entry. Cases are one choice for each element, so what is not taken may be no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING

from sympy import Expr

from symml.errors import SpecError, UnsupportedError
from symml.ir.functions import FUNCTIONS, canonical, select
from symml.ir.program import Index, fresh_indices, substitute
from symml.ir.reducers import REDUCERS
from symml.model.builtins import BUILTINS
from symml.model.sheet import Sheet
from symml.model.values import Value, broadcast, elementwise, scalar
from symml.syntax import tree
from symml.syntax.words import FUNCTIONS as WORDS

if TYPE_CHECKING:
    from symml.model.lower import Lowering

Env = Mapping[str, Index]
MOST_CALLS = 30  # of functions within functions


def declare(sheet: Sheet, node: tree.Function) -> None:
    """Read `define f(x) = ...`; names of the language's own functions are never others'."""
    if node.name.id in FUNCTIONS or node.name.id in BUILTINS or node.name.id in REDUCERS or node.name.id in WORDS:
        raise SpecError(f"'{node.name.id}' is a function of the language", node.name.span, fix="choose another name")
    letters: set[str] = set()
    for p in node.params:
        if p.name.id in letters:
            raise SpecError(f"two parameters are named '{p.name.id}'", p.name.span, fix="choose another name")
        if p.bound is not None or p.flags or p.value is not None or p.init is not None:
            raise SpecError("a parameter is a name, or name[d] with its axes", p.span, fix=f"write {p.name.id}")
        letters.add(p.name.id)
    sheet.claim(node.name)
    sheet.functions[node.name.id] = node


def call(low: Lowering, node: tree.Call, env: Env) -> Value:
    """The value of a function of one's own."""
    f = low.functions[node.function]
    if len(node.args) != len(f.params):
        expected = ", ".join(p.name.id for p in f.params)
        raise SpecError(
            f"{node.function} takes {len(f.params)} argument{'s'[: len(f.params) != 1]}, not {len(node.args)}",
            node.span,
            fix=f"write {node.function}({expected})",
        )
    if node.function in low.called or len(low.called) >= MOST_CALLS:
        way = " -> ".join((*low.called, node.function))
        raise SpecError(f"functions that need each other: {way}", f.name.span, fix="a function is made of earlier ones")
    given = [_given(low, p, a, node, env) for p, a in zip(f.params, node.args, strict=True)]
    numbers = [v for p, v in zip(f.params, given, strict=True) if not p.shape and v.rank]
    like = max(numbers, key=lambda v: v.rank) if numbers else None
    if like is None:
        return _of(low, f, given)
    loops = fresh_indices(like.shape)
    each = [
        v if p.shape or not v.rank else scalar(broadcast(like, v, node.span, f"{node.function}")[1].at(loops))
        for p, v in zip(f.params, given, strict=True)
    ]
    value = _of(low, f, each)
    if value.rank:
        raise SpecError(
            f"{node.function} makes a {value.described()} of numbers, and is given arrays of them",
            node.span,
            fix=f"give it one at a time, as in {node.function}(x[i])",
        )
    body = canonical(value.scalar)
    return Value(like.shape, lambda idx: substitute(body, dict(zip(loops, idx, strict=True))), row=like.row)


def _given(low: Lowering, p: tree.Declaration, a: tree.Expr, node: tree.Call, env: Env) -> Value:
    value = low.expression(a, env)
    if p.shape and value.rank != len(p.shape):
        raise SpecError(
            f"'{p.name.id}' of {node.function} has {len(p.shape)} ax{'i' if len(p.shape) == 1 else 'e'}s, "
            f"this is a {value.described()}",
            a.span,
            fix=f"declared at line {p.span.line}",
        )
    return value


def _of(low: Lowering, f: tree.Function, given: list[Value]) -> Value:
    """The function's line, with its parameters' values."""
    outside = low.local
    low.local = {p.name.id: v for p, v in zip(f.params, given, strict=True)}
    low.called.append(f.name.id)
    try:
        return low.expression(f.value, {})
    finally:
        low.called.pop()
        low.local = outside


def cases(low: Lowering, node: tree.Cases, env: Env) -> Value:
    """`VALUE if TEST` line by line, the first whose test holds; the last is for all the rest."""
    if node.rows[-1][1] is not None:
        raise SpecError(
            "nothing is said for the rest", node.rows[-1][0].span, fix="let the last line be: ... otherwise"
        )
    values = [low.expression(value, env) for value, _ in node.rows]
    tests = [low.test(test, env) for _, test in node.rows[:-1]]
    widest = max((*values, *tests), key=lambda v: v.rank)
    if widest.rank > 2:
        raise UnsupportedError(
            "cases of arrays with more than two axes", node.span, fix="write the left side with indices"
        )
    values, tests = ([broadcast(widest, v, v.place, "the cases")[1] for v in group] for group in (values, tests))

    def chosen(*parts: Expr) -> Expr:
        *first, last = parts[: len(values)]
        pairs = list(zip(parts[len(values) :], first, strict=True))
        return reduce(lambda rest, pair: select(pair[0], pair[1], rest), reversed(pairs), last)

    return elementwise(chosen, *values, *tests)

"""Numbers of the page: literals and arithmetic on them, folded within bounds.

number(parse("1/2 10^-3"))  ->  0.0005
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping

from symml.errors import SpecError
from symml.syntax import tree

_FOLD = {"+": operator.add, "-": operator.sub, "*": operator.mul, "product": operator.mul, "/": operator.truediv}
FUNCTIONS = {"sqrt": math.sqrt, "exp": math.exp, "log": math.log}
_CONSTANTS = {"pi": math.pi, "e": math.e}


def number(node: tree.Expr, sizes: Mapping[str, float] | None = None) -> float:
    """A constant expression as a number; `sizes` gives the names it may use (bound dims, in `init`)."""
    known = {**_CONSTANTS, **(sizes or {})}
    try:
        value = _fold(node, known)
    except (ZeroDivisionError, OverflowError, ValueError) as problem:
        raise SpecError(f"this constant has no finite value: {problem}", node.span) from None
    if isinstance(value, complex) or not math.isfinite(value):
        raise SpecError("this constant has no finite value", node.span)
    return value


def _fold(node: tree.Expr, known: Mapping[str, float]) -> float:
    if isinstance(node, tree.Number):
        return node.value
    if isinstance(node, tree.Negate):
        return -_fold(node.arg, known)
    if isinstance(node, tree.Name) and node.id in known:
        return known[node.id]
    if isinstance(node, tree.Binary) and node.op in _FOLD:
        return _FOLD[node.op](_fold(node.left, known), _fold(node.right, known))
    if isinstance(node, tree.Binary) and node.op in ("^", ".^"):
        return float(_fold(node.left, known)) ** float(_fold(node.right, known))
    if isinstance(node, tree.Call) and node.function in FUNCTIONS and len(node.args) == 1:
        return FUNCTIONS[node.function](_fold(node.args[0], known))
    raise SpecError("a number is expected here", node.span)

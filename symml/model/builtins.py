"""Functions of whole values, one row each: softmax and kin act on the last axis, tr and sum on everything.

BUILTINS["softmax"](lowering, call, env)  ->  Value
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import sympy
from sympy import Expr, exp

from symml.errors import SpecError, UnsupportedError
from symml.ir.functions import absolute, equal
from symml.ir.ops import OPS
from symml.ir.program import Access, Dim, Domain, Index, Library, Tensor, fresh_indices
from symml.model.derivatives import KINDS, derivative
from symml.model.values import Value, elementwise, of_tensor, scalar, transpose
from symml.source import Span
from symml.syntax import tree

if TYPE_CHECKING:
    from symml.model.lower import Lowering

Env = Mapping[str, Index]
INTERNAL = ("less", "less_equal", "equal", "select", "polygamma", "lost")
OTHERWISE = {
    "eigh": "eigvals(A) and eigvecs(A), of a symmetric matrix",
    "eig": "eigvals(A) and eigvecs(A), of a symmetric matrix",
    "svd": "svdvals(A), svdu(A) and svdv(A), with A = U diag(s) V'",
    "ln": "log x",
    "log2": "log x / log(2)",
    "log10": "log x / log(10)",
    "dot": "u' v",
    "inner": "u' v",
    "outer": "u v'",
    "kron": "index form, A[i, j] B[k, l]",
    "vec": "index form, or frobenius(A) for its norm",
    "pow": "x^p",
    "square": "x^2",
    "Tr": "tr(A)",
    "sigma": "sigmoid(x)",
    "logistic": "sigmoid(x)",
    "avg": "mean[i] x[i]",
    "average": "mean[i] x[i]",
    "var": "mean[i] (x[i] - m)^2, with m = mean[i] x[i]",
    "std": "sqrt(mean[i] (x[i] - m)^2), with m = mean[i] x[i]",
    "clip": "max(a, min(x, b))",
    "where": "cases, or a test in brackets: [x > 0] x",
    "len": "the dim, or |S| of a set S",
    "gamma": "exp(lgamma(x))",
    "atan": "arctan(x)",
    "norm": "||x||, ||x||_1, ||x||_inf, normp(x, p), or of a matrix frobenius(A), nuclear(A), spectral(A)",
}
OPERATIONS = ("inv", "det", "logdet", "logabsdet", "solve", "solve_each", "chol", "argsort", "eigvals", "eigvecs")
OF_ANY_SHAPE = ("svdvals",)
TALL = ("svdu", "svdv")
LATER = ("factorial", "binomial")


def _one(low: Lowering, node: tree.Call, env: Env) -> Value:
    if len(node.args) != 1:
        raise SpecError(f"{node.function} takes one argument", node.span)
    return low.expression(node.args[0], env)


def _rows(low: Lowering, node: tree.Call, env: Env) -> tuple[Value, Callable[[tuple], Expr]]:
    """A value and its logsumexp over the last axis, as an element function of the other axes."""
    a = _one(low, node, env)
    if a.rank == 0:
        raise SpecError(f"{node.function} of a scalar", node.span, fix="give it a vector or a matrix")
    over = fresh_indices(a.shape)
    out, free = low.reduce("logsumexp", over[-1:], a.at(over), node.span, keep=over[:-1])
    return a, lambda idx: Access(out, (*free, *idx))


def _softmax(low: Lowering, node: tree.Call, env: Env) -> Value:
    a, lse = _rows(low, node, env)
    return Value(a.shape, lambda idx: exp(a.at(idx) - lse(idx[:-1])), row=a.row)


def _logsoftmax(low: Lowering, node: tree.Call, env: Env) -> Value:
    a, lse = _rows(low, node, env)
    return Value(a.shape, lambda idx: a.at(idx) - lse(idx[:-1]), row=a.row)


def _logsumexp(low: Lowering, node: tree.Call, env: Env) -> Value:
    a, lse = _rows(low, node, env)
    return Value(a.shape[:-1], lse)


def _trace(low: Lowering, node: tree.Call, env: Env) -> Value:
    a = _one(low, node, env)
    if a.rank == 0:
        return a
    if a.rank != 2 or a.shape[0] != a.shape[1]:
        raise SpecError(f"the trace of a {a.described()}", node.span, fix="tr takes a square matrix")
    (i,) = fresh_indices(a.shape[:1])
    out, free = low.reduce("sum", (i,), a.at((i, i)), node.span)
    return scalar(Access(out, free))


def _total(kind: str) -> Callable[[Lowering, tree.Call, Env], Value]:
    def total(low: Lowering, node: tree.Call, env: Env) -> Value:
        if not low.star_multiplies:
            raise SpecError(
                f"'{node.function}(' is not a call",
                node.span,
                fix=f"a reduction names its index: {node.function}[i] x[i]",
            )
        return low.total(kind, _one(low, node, env), node.span)

    return total


def _norm(power: int) -> Callable[[Lowering, tree.Call, Env], Value]:
    def norm(low: Lowering, node: tree.Call, env: Env) -> Value:
        a = _one(low, node, env)
        part = elementwise(absolute if power == 1 else lambda x: x**2, a)
        total = low.total("sum", part, node.span)
        return total if power == 1 else elementwise(sympy.sqrt, total)

    return norm


def _diag(low: Lowering, node: tree.Call, env: Env) -> Value:
    a = _one(low, node, env)
    if a.rank == 2 and a.shape[0] == a.shape[1]:
        return Value(a.shape[:1], lambda idx: a.at((idx[0], idx[0])))
    if a.rank != 1:
        raise SpecError(f"diag of a {a.described()}", node.span, fix="diag takes a vector or a square matrix")
    return Value(a.shape * 2, lambda idx: equal(idx[0], idx[1]) * a.at(idx[:1]))


def operation(low: Lowering, op: str, args: tuple[Value, ...], span: Span) -> Value:
    """An operation of ir/ops.py on whole tensors."""
    row = OPS[op]
    for position, (a, ranks) in enumerate(zip(args, row.takes, strict=True)):
        if a.rank not in ranks:
            kinds = " or ".join(("number", "vector", "matrix", "batch of matrices")[r] for r in ranks)
            raise SpecError(f"{op} of a {a.described()}", span, fix=f"it takes a {kinds}")
        if row.square and position == 0 and a.rank > 1 and a.shape[-1] != a.shape[-2]:
            raise SpecError(f"{op} of a {a.described()}", span, fix="it takes a square matrix")
    rows = slice(0, args[0].rank - 1)  # of a batch its number as well
    if len(args) == 2 and args[1].shape[rows] != args[0].shape[rows]:
        raise SpecError(f"{op} of a {args[0].described()} and a {args[1].described()}: the sizes differ", span)
    shapes = tuple(a.shape for a in args)
    domain = Domain("label", size=shapes[0][0]) if row.integer else Domain()
    out = Tensor(low.names.fresh("t"), row.shape(*shapes), domain=domain)
    low.statements.append(Library(op, (out,), tuple(low.whole(a, span) for a in args), span))
    return of_tensor(out)


def _operation(low: Lowering, node: tree.Call, env: Env) -> Value:
    expected = len(OPS[node.function].takes)
    if len(node.args) != expected:
        raise SpecError(f"{node.function} takes {expected} argument{'s'[: expected - 1]}", node.span)
    return operation(low, node.function, tuple(low.expression(a, env) for a in node.args), node.span)


def determinant_in_bars(node: tree.Call) -> tree.Call | None:
    """det X of `log |det X|`, which is one operation for either sign."""
    if node.function != "log" or len(node.args) != 1 or not isinstance(node.args[0], tree.Bars):
        return None
    inner = node.args[0].arg
    return inner if isinstance(inner, tree.Call) and inner.function == "det" and len(inner.args) == 1 else None


def _singular_vectors(low: Lowering, node: tree.Call, env: Env) -> Value:
    """U or V of A = U diag(s) V', for A with no more columns than rows."""
    a = _one(low, node, env)
    if a.rank == 2 and not low.require(a.shape[0] - a.shape[1], node.span):
        raise SpecError(f"{node.function} of a {a.described()} with more columns than rows", node.span, fix="take A'")
    return operation(low, node.function, (a,), node.span)


def _nuclear(low: Lowering, node: tree.Call, env: Env) -> Value:
    """The sum of the singular values."""
    return low.total("sum", operation(low, "svdvals", (_one(low, node, env),), node.span), node.span)


def _spectral(low: Lowering, node: tree.Call, env: Env) -> Value:
    """The largest singular value."""
    values = operation(low, "svdvals", (_one(low, node, env),), node.span)
    return scalar(values.at((sympy.Integer(0),)))


def _normp(low: Lowering, node: tree.Call, env: Env) -> Value:
    """`normp(x, p)`: (sum |x|^p)^(1/p), for a number p from 1 on."""
    if len(node.args) != 2:
        raise SpecError("normp takes a vector or matrix and p", node.span, fix="such as normp(x, 3)")
    a, p = (low.expression(arg, env) for arg in node.args)
    k = p.scalar if not p.rank else None
    if k is None or not k.is_number or not k >= 1:
        raise SpecError("p of a norm is a number from 1 on", node.args[1].span)
    total = low.total("sum", elementwise(lambda x: absolute(x) ** k, a), node.span)
    return total if k == 1 else elementwise(lambda s: s ** (1 / k), total)


def _sort(low: Lowering, node: tree.Call, env: Env) -> Value:
    """The entries in rising order: x at its argsort, so that its derivative goes back to where each came from."""
    a = _one(low, node, env)
    places = operation(low, "argsort", (a,), node.span)
    return Value(a.shape, lambda idx: a.at((places.at(idx),)), row=a.row)


def _top(low: Lowering, node: tree.Call, env: Env) -> Value:
    """`top(x, k)`: the k largest entries, the largest first."""
    if len(node.args) != 2:
        raise SpecError("top takes a vector and how many", node.span, fix="such as top(x, 3)")
    a, count = low.expression(node.args[0], env), low.expression(node.args[1], env)
    k = count.scalar if not count.rank else None
    if k is None or not (isinstance(k, Dim) or (k.is_Integer and k > 0)):
        raise SpecError("how many is a whole number or a dim", node.args[1].span)
    if not low.require(a.shape[0] - k, node.span):
        raise SpecError(f"the {k} largest of {a.shape[0]}", node.span)
    places = operation(low, "argsort", (a,), node.span)
    return Value((k,), lambda idx: a.at((places.at((a.shape[0] - 1 - idx[0],)),)))


def _constant(low: Lowering, node: tree.Call, env: Env) -> Value:
    """`vector(1)` and `matrix(1)` of matrixcalculus.org: a constant that takes the shape of its partner."""
    if not low.star_multiplies:
        raise UnsupportedError(
            f"'{node.function}' is not supported yet", node.span, fix="a scalar broadcasts by itself"
        )
    value = _one(low, node, env)
    return Value(low.constants[id(node)], lambda idx: value.scalar)


def _identity(low: Lowering, node: tree.Call, env: Env) -> Value:
    """`eye(n)`; `eye` of matrixcalculus.org: the identity in the size of its partner."""
    if len(node.args) == 1:
        size = low.expression(node.args[0], env)
        if size.rank or not (size.scalar.is_integer and size.scalar.is_positive):
            raise SpecError("eye takes a size", node.span, fix="such as eye(n), with dims n")
        return Value((size.scalar, size.scalar), lambda idx: equal(*idx))
    if id(node) not in low.constants:
        raise SpecError("eye takes a size", node.span, fix="such as eye(n), with dims n")
    return Value(low.constants[id(node)], lambda idx: equal(*idx))


BUILTINS: Mapping[str, Callable[[Lowering, tree.Call, Env], Value]] = MappingProxyType(
    {
        "softmax": _softmax,
        "logsoftmax": _logsoftmax,
        "logsumexp": _logsumexp,
        "tr": _trace,
        "trace": _trace,
        "sum": _total("sum"),
        "norm1": _norm(1),
        "norm2": _norm(2),
        "diag": _diag,
        "vector": _constant,
        "matrix": _constant,
        "eye": _identity,
        **dict.fromkeys((*OPERATIONS, *OF_ANY_SHAPE), _operation),
        **dict.fromkeys(TALL, _singular_vectors),
        **dict.fromkeys(KINDS, derivative),
        "frobenius": _norm(2),
        "nuclear": _nuclear,
        "spectral": _spectral,
        "normp": _normp,
        "sort": _sort,
        "top": _top,
        "transpose": lambda low, node, env: transpose(_one(low, node, env)),
    }
)

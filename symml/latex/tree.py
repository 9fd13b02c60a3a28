"""The tree of matrix expressions. Every node is a matrix: a vector is n x 1, a scalar 1 x 1; its shape is exact.

Two visitors walk it: printing.py writes it, `evaluate` below computes it, so that no text is shown that was not run.

    Scale(1/n, Product((Transpose(Leaf(X)), Add((Map("sigmoid", (...)), Scale(-1, Leaf(y)))))))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy
from sympy import Expr

from symml.ir.evaluate import NUMPY, extent, run
from symml.ir.functions import FUNCTIONS
from symml.ir.ops import OPS
from symml.ir.program import Access, Dim, Statement, Tensor, reads

ONE = sympy.Integer(1)
Shape = tuple[Expr, Expr]


@dataclass(frozen=True)
class Node:
    """A matrix expression; `shape` is (rows, columns)."""

    shape: Shape


@dataclass(frozen=True)
class Leaf(Node):
    """A tensor by its name; symmetric: its definition is its own transpose."""

    tensor: Tensor
    symmetric: bool = False


@dataclass(frozen=True)
class Ones(Node):
    """The vector of ones."""


@dataclass(frozen=True)
class OneHot(Node):
    """The matrix with 1 at (i, y[i])."""

    labels: Tensor


@dataclass(frozen=True)
class Scale(Node):
    """A scalar coefficient (numbers, dims, hyper-parameters) times a matrix; `arg` None is the scalar itself."""

    factor: Expr
    arg: Node | None


@dataclass(frozen=True)
class Add(Node):
    """A sum; scalars broadcast."""

    terms: tuple[Node, ...]


@dataclass(frozen=True)
class Product(Node):
    """A matrix product."""

    factors: tuple[Node, ...]


@dataclass(frozen=True)
class Hadamard(Node):
    """An entrywise product."""

    factors: tuple[Node, ...]


@dataclass(frozen=True)
class Quotient(Node):
    """An entrywise quotient."""

    over: Node
    under: Node


@dataclass(frozen=True)
class Power(Node):
    """An entrywise power."""

    base: Node
    exponent: Expr


@dataclass(frozen=True)
class MatrixPower(Node):
    """A A ... A, so many times; only finish.py makes it."""

    base: Node
    times: int


@dataclass(frozen=True)
class Map(Node):
    """A function of each entry, by its name in ir/functions.py."""

    function: str
    args: tuple[Node, ...]


@dataclass(frozen=True)
class Transpose(Node):
    """The matrix turned."""

    arg: Node


@dataclass(frozen=True)
class Diagonal(Node):
    """diag(v)"""

    arg: Node


@dataclass(frozen=True)
class DiagonalOf(Node):
    """The vector diag(M) of a square matrix."""

    arg: Node


@dataclass(frozen=True)
class Rowwise(Node):
    """softmax or logsumexp of each row; of a vector, of the whole of it."""

    function: str
    arg: Node


@dataclass(frozen=True)
class SquaredNorm(Node):
    """The sum of squared entries."""

    arg: Node


@dataclass(frozen=True)
class AbsoluteNorm(Node):
    """The sum of absolute values; only finish.py makes it."""

    arg: Node


@dataclass(frozen=True)
class Inner(Node):
    """The sum of the entrywise product of two matrices."""

    left: Node
    right: Node


@dataclass(frozen=True)
class Trace(Node):
    """The sum of the diagonal."""

    arg: Node


@dataclass(frozen=True)
class Whole(Node):
    """An operation on whole matrices, by its name in ir/ops.py."""

    op: str
    args: tuple[Node, ...]


@dataclass(frozen=True)
class Stated(Node):
    """A number as the statement that defines it, in index form: sum[i] i p[i]; inside: statements that are written where it
    reads them; only sums_in_place.py makes it."""

    statement: Statement
    inside: tuple[Statement, ...] = ()


CHILDREN: Mapping[type, Callable[[Node], tuple[Node, ...]]] = {
    Leaf: lambda n: (),
    Ones: lambda n: (),
    OneHot: lambda n: (),
    Scale: lambda n: (n.arg,) if n.arg is not None else (),
    Add: lambda n: n.terms,
    Product: lambda n: n.factors,
    Hadamard: lambda n: n.factors,
    Quotient: lambda n: (n.over, n.under),
    Power: lambda n: (n.base,),
    MatrixPower: lambda n: (n.base,),
    Map: lambda n: n.args,
    Transpose: lambda n: (n.arg,),
    Diagonal: lambda n: (n.arg,),
    DiagonalOf: lambda n: (n.arg,),
    Rowwise: lambda n: (n.arg,),
    SquaredNorm: lambda n: (n.arg,),
    AbsoluteNorm: lambda n: (n.arg,),
    Inner: lambda n: (n.left, n.right),
    Trace: lambda n: (n.arg,),
    Whole: lambda n: n.args,
    Stated: lambda n: (),
}


def _hashed_once(cls: type) -> None:
    """Trees are frozen and asked for in many tables: each node keeps its hash, and its own is made of those below."""
    fields = cls.__hash__

    def kept(self: Node) -> int:
        if "hashed" not in self.__dict__:
            self.__dict__["hashed"] = fields(self)
        return self.__dict__["hashed"]

    cls.__hash__ = kept


for _cls in CHILDREN:
    _hashed_once(_cls)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    return CHILDREN[type(node)](node)


def over_alone(node: Scale) -> bool:
    """Is it a name over a number, as x/c? What is longer has its number in front: 1/n X'y."""
    if not isinstance(node.arg.arg if isinstance(node.arg, Transpose) else node.arg, Leaf):
        return False
    top, under = sympy.fraction(node.factor)
    return top in (1, -1) and under != 1


@lru_cache(maxsize=65536)
def count(node: Node) -> int:
    """How many nodes a tree has: names, numbers, signs, operations; products of products are one."""
    if isinstance(node, Scale):
        own = weight(node.factor)
        if node.arg is None:
            return own
        if over_alone(node):
            return own - 1 + count(node.arg)
        flat = node.factor == -1 or isinstance(node.arg, Product | Hadamard | Quotient)
        return own + (not flat) + count(node.arg)
    if isinstance(node, Diagonal) and isinstance(node.arg, Ones):
        return 1
    if isinstance(node, Power):
        if 2 * node.exponent == 1:
            return count(node.base) + (not isinstance(node.base, SquaredNorm))
        return count(node.base) + 1 + weight(node.exponent)
    if isinstance(node, SquaredNorm):
        return 1 + count(node.arg)
    if isinstance(node, MatrixPower):
        return 2 + count(node.base)
    if isinstance(node, Hadamard):
        inner = [f for f in node.factors if not isinstance(f, Product)]
        return (
            1
            + sum(map(count, node.factors))
            - (len(inner) < len(node.factors) and len(inner) > 0 and all(f.shape == (ONE, ONE) for f in inner))
        )
    return 1 + sum(map(count, children(node)))


@lru_cache(maxsize=65536)
def weight(e: Expr) -> int:
    """The nodes of a coefficient; a sign counts as one."""
    if e.is_Rational:
        return 1 + int(e.p < 0) - int(e == -1) + 2 * int(e.q != 1)
    if e.is_Atom:
        return 1
    if e.could_extract_minus_sign():
        return 1 + weight(-e)
    over, under = sympy.fraction(e)
    if under != 1:
        return weight(over) + 1 + weight(under)
    return 1 + sum(map(weight, e.args))


def leaves(node: Node) -> dict[Tensor, None]:
    """The tensors that a tree names, in order."""
    return dict.fromkeys(_leaves(node))


@lru_cache(maxsize=65536)
def _leaves(node: Node) -> tuple[Tensor, ...]:
    if isinstance(node, Leaf):
        return (node.tensor,)
    if isinstance(node, OneHot):
        return (node.labels,)
    if isinstance(node, Stated):
        within = {s.out for s in node.inside}
        return tuple(dict.fromkeys(t for s in (*node.inside, node.statement) for t in reads(s) if t not in within))
    found = [t for child in children(node) for t in _leaves(child)]
    number = node.factor if isinstance(node, Scale) else node.exponent if isinstance(node, Power) else ONE
    found += [a.tensor for a in sorted(number.atoms(Access), key=lambda a: a.name)]
    return tuple(dict.fromkeys(found))


def evaluate(node: Node, values: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int]) -> np.ndarray:
    """The matrix, from arrays by tensor."""
    return _VALUES[type(node)](node, lambda n: evaluate(n, values, dims), values, dims)


def _number(e: Expr, values: Mapping, dims: Mapping) -> float:
    table = {a: float(values[a.tensor]) for a in e.atoms(Access)}
    table |= {d: dims[d] for d in e.atoms(Dim)}
    return float(e.xreplace({k: sympy.Float(v, 17) for k, v in table.items()}))


def _leaf(n: Leaf, of: Callable, values: Mapping, dims: Mapping) -> np.ndarray:
    a = np.asarray(values[n.tensor], float)
    return a.reshape(1, 1) if a.ndim == 0 else a.reshape(-1, 1) if a.ndim == 1 else a


def _matrix(a: np.ndarray) -> np.ndarray:
    """A number or a vector as a matrix of one column."""
    return a.reshape(-1, 1) if np.ndim(a) < 2 else a


def _size(e: Expr, dims: Mapping) -> int:
    return extent(e, dims)


def _rowwise(n: Rowwise, of: Callable, values: Mapping, dims: Mapping) -> np.ndarray:
    a = of(n.arg)
    axis = 0 if n.arg.shape[1] == ONE else 1
    top = a.max(axis=axis, keepdims=True)
    total = top + np.log(np.exp(a - top).sum(axis=axis, keepdims=True))
    return total if n.function == "logsumexp" else np.exp(a - total)


def _product(n: Product, of: Callable, values: Mapping, dims: Mapping) -> np.ndarray:
    out = of(n.factors[0])
    for f in n.factors[1:]:
        out = out @ of(f)
    return out


def _fold(parts: list[np.ndarray], operate: Callable) -> np.ndarray:
    out = parts[0]
    for p in parts[1:]:
        out = operate(out, p)
    return out


def _stated(n: Stated, of: Callable, values: Mapping, dims: Mapping) -> np.ndarray:
    env = {t: np.asarray(a) for t, a in values.items() if t is not n.statement.out}
    for s in (*n.inside, n.statement):
        run(s, env, dims, NUMPY)
    return np.asarray(env[n.statement.out]).reshape(1, 1)


_VALUES: Mapping[type, Callable] = {
    Leaf: _leaf,
    Ones: lambda n, of, v, d: np.ones((_size(n.shape[0], d), 1)),
    OneHot: lambda n, of, v, d: np.eye(_size(n.shape[1], d))[v[n.labels]],
    Scale: lambda n, of, v, d: _number(n.factor, v, d) * (of(n.arg) if n.arg is not None else np.ones((1, 1))),
    Add: lambda n, of, v, d: _fold([of(t) for t in n.terms], np.add),
    Product: _product,
    Hadamard: lambda n, of, v, d: _fold([of(t) for t in n.factors], np.multiply),
    Quotient: lambda n, of, v, d: of(n.over) / of(n.under),
    Power: lambda n, of, v, d: of(n.base) ** _number(n.exponent, v, d),
    MatrixPower: lambda n, of, v, d: np.linalg.matrix_power(of(n.base), n.times),
    Map: lambda n, of, v, d: FUNCTIONS[n.function].numpy(*map(of, n.args)),
    Transpose: lambda n, of, v, d: of(n.arg).T,
    Diagonal: lambda n, of, v, d: np.diag(of(n.arg)[:, 0]),
    DiagonalOf: lambda n, of, v, d: np.diag(of(n.arg)).reshape(-1, 1),
    Rowwise: _rowwise,
    SquaredNorm: lambda n, of, v, d: np.sum(of(n.arg) ** 2).reshape(1, 1),
    AbsoluteNorm: lambda n, of, v, d: np.sum(np.abs(of(n.arg))).reshape(1, 1),
    Inner: lambda n, of, v, d: np.sum(of(n.left) * of(n.right)).reshape(1, 1),
    Trace: lambda n, of, v, d: np.trace(of(n.arg)).reshape(1, 1),
    Stated: _stated,
    Whole: lambda n, of, v, d: _matrix(OPS[n.op].numpy(*map(of, n.args))[0]),
}

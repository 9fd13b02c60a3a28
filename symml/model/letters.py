"""Expressions without a page, in matrixcalculus.org's letters: a..g are scalars, h..z vectors, A..Z matrices.

The first letter of a name decides, unless that makes no sense (kinds.py); `kinds` overrides. Sizes are inferred: each
axis has an unknown size, products, sums and indices make them equal.

    problem(Source("-e", "tr(X' A X)"), wrt="X")  ->  (Model, Program) whose objective is the expression
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from symml.errors import SpecError, UnsupportedError
from symml.ir.functions import FUNCTIONS
from symml.ir.program import REAL, Dim, Domain, Program, Tensor
from symml.model.infer import OTHER_SHAPES
from symml.model.kinds import RANKS, SCALAR_VALUED, SQUARE, changed, read
from symml.model.lower import Lowering
from symml.model.model import Data, Model, Param
from symml.model.spoken import spoken
from symml.source import Source, Span
from symml.syntax import tree
from symml.syntax.parse import parse_expression
from symml.syntax.words import GREEK, nearest

LETTERS = "mnkpqrst"
LONGEST_PRODUCT = 3  # letters of a name that may be a product without blanks
INVERTIBLE = ("det", "inv", "logdet", "logabsdet", "chol", "solve")
DOMAINS = {"symmetric": Domain("symmetric"), "spd": Domain("psd")}


@dataclass
class _Shapes:
    """Unknown sizes with the classes that products and sums put them in; a shape is a tuple of them."""

    kinds: Mapping[str, str]
    parent: list[int] = field(default_factory=list)
    names: dict[str, tuple[int, ...]] = field(default_factory=dict)
    constants: dict[int, tuple[int, ...]] = field(default_factory=dict)
    bound: dict[str, int] = field(default_factory=dict)
    tall: list[tuple[int, int]] = field(default_factory=list)  # the second size is not smaller than the first

    def fresh(self) -> int:
        self.parent.append(len(self.parent))
        return len(self.parent) - 1

    def find(self, k: int) -> int:
        while self.parent[k] != k:
            k = self.parent[k]
        return k

    def equal(self, a: tuple[int, ...], b: tuple[int, ...]) -> None:
        for x, y in zip(a, b, strict=False):
            x, y = self.find(x), self.find(y)
            self.parent[max(x, y)] = min(x, y)

    def name(self, node: tree.Name) -> tuple[tuple[int, ...], bool]:
        if node.id in ("pi", "e") or node.id in self.bound:
            return (), False
        if node.id not in self.names:
            kind = self.kinds[node.id]
            size = self.fresh() if kind in DOMAINS else None
            self.names[node.id] = (size, size) if kind in DOMAINS else tuple(self.fresh() for _ in range(RANKS[kind]))
        return self.names[node.id], False


def problem(source: Source, wrt: str | None, kinds: Mapping[str, str] | None = None) -> tuple[Model, Program]:
    """The expression as an objective in one parameter, the output `loss`, or `value` where it is no number; the other names
    are data."""
    node, given = parsed(source, kinds or {})
    _refuse_misread(node, given)
    shapes = _Shapes(read(node, given))
    _shape(node, shapes)
    dims: dict[int, Dim] = {}
    used = iter(c for c in LETTERS if c not in shapes.names)
    for shape in (*shapes.names.values(), *shapes.constants.values()):
        for k in shape:
            if shapes.find(k) not in dims:
                dims[shapes.find(k)] = Dim(next(used, f"n_{len(dims)}"))
    target = _target(wrt, shapes, node)
    tensors = {
        name: Tensor(
            name,
            tuple(dims[shapes.find(k)] for k in shape),
            "param" if name == target else "data",
            DOMAINS.get(shapes.kinds[name], REAL),
        )
        for name, shape in shapes.names.items()
    }
    constants = {k: tuple(dims[shapes.find(s)] for s in shape) for k, shape in shapes.constants.items()}
    low = Lowering({}, tensors, {}, star_multiplies=True, constants=constants)
    value = low.expression(node, {})
    for outer, inner in shapes.tall:
        low.require(dims[shapes.find(inner)] - dims[shapes.find(outer)], node.span)
    model = _model(source, tensors, target, node, {d.name: d for d in dims.values()})
    return model, low.finished({"value" if value.rank else "loss": value}, model.inputs)


def _refuse_misread(node: tree.Expr, given: Mapping[str, str]) -> None:
    """`x' Ax` and `x^T A x`, which would be read as a name Ax and a power."""
    names = {n.id: n for n in tree.walk(node) if isinstance(n, tree.Name)}
    for name, place in names.items():
        parts = [c for c in name if c in names]
        short = 1 < len(name) <= LONGEST_PRODUCT and name.isalpha() and name not in GREEK.values()
        if parts and short and name not in given:
            raise SpecError(
                f"'{name}' is one name, and '{parts[0]}' another",
                place.span,
                fix=f"write {' '.join(name)} for a product",
            )
    for n in tree.walk(node):
        power = isinstance(n, tree.Binary) and n.op == "^" and isinstance(n.right, tree.Name)
        if power and n.right.id in ("T", "H") and n.right.id not in given:
            raise SpecError(
                f"'^{n.right.id}' is a power", n.right.span, fix="transpose with ', as in x'; a power: --scalar T"
            )


def parsed(source: Source, kinds: Mapping[str, str]) -> tuple[tree.Expr, dict[str, str]]:
    """The tree of an expression, and the kinds that are given with it."""
    source, said = spoken(source)
    node = parse_expression(source)
    return _with_identities(node), {**said, **kinds}


def readings(source: Source, kinds: Mapping[str, str]) -> dict[str, str]:
    """The names that are read against their letters, without the user's word."""
    return changed(*parsed(source, kinds))


def _with_identities(node: object) -> object:
    """`eye` as a call, whose place gives it a shape; the set behind a binder is left to its use."""
    if isinstance(node, tuple):
        return tuple(map(_with_identities, node))
    if isinstance(node, tree.Name) and node.id == "eye":
        return tree.Call("eye", (), span=node.span)
    if isinstance(node, tree.Binder):
        return replace(node, domain=None) if isinstance(node.domain, tree.Name | tree.Range) else node
    if not isinstance(node, tree.Node):
        return node
    if isinstance(node, tree.Binary):
        return _chain_with_identities(node)
    parts = {f.name: getattr(node, f.name) for f in fields(node) if f.name not in ("span", "source")}
    new = {name: _with_identities(part) for name, part in parts.items()}
    return node if all(new[k] is parts[k] for k in parts) else replace(node, **new)


def _chain_with_identities(node: tree.Binary) -> tree.Expr:
    """A chain from left to right, without recursion along it."""
    chain: list[tree.Binary] = []
    rest: tree.Expr = node
    while isinstance(rest, tree.Binary):
        chain.append(rest)
        rest = rest.left
    rest = _with_identities(rest)
    for part in reversed(chain):
        rest = replace(part, left=rest, right=_with_identities(part.right))
    return rest


def _target(wrt: str | None, shapes: _Shapes, node: tree.Expr) -> str:
    if not shapes.names:
        raise SpecError("the expression has no name to differentiate by", node.span)
    if wrt is None:
        return next((n for n in shapes.names if n in ("x", "X", "w", "W", "theta")), next(iter(shapes.names)))
    if wrt not in shapes.names:
        raise SpecError(
            f"'{wrt}' does not stand in the expression",
            node.span,
            fix=nearest(wrt, shapes.names) or f"its names are {', '.join(shapes.names)}",
        )
    return wrt


def _model(source: Source, tensors: dict[str, Tensor], target: str, node: tree.Expr, dims: dict[str, Dim]) -> Model:
    span = Span(source, 1, 1)
    return Model(
        name="expression",
        source=source,
        dims=dims,
        sizes={},
        data={n: Data(t, "", None, span) for n, t in tensors.items() if n != target},
        params={target: Param(tensors[target], None, span)},
        hypers={},
        definitions={},
        objective=tree.Objective("minimize", (), node, (), span=span),
        over=(tensors[target],),
        split=None,
        train=None,
        predict=None,
        reports=(),
        expected=(),
    )


def _shape(node: tree.Expr, s: _Shapes) -> tuple[tuple[int, ...], bool]:
    """The shape of a node, and whether a vector stands as a row."""
    if isinstance(node, tree.Number):
        return (), False
    if isinstance(node, tree.Name):
        return s.name(node)
    if isinstance(node, tree.Negate):
        return _shape(node.arg, s)
    if isinstance(node, tree.Transpose):
        shape, row = _shape(node.arg, s)
        return (shape[::-1], False) if len(shape) == 2 else (shape, not row)
    if isinstance(node, tree.Norm | tree.Bars):
        shape, row = _shape(node.arg, s)
        return ((), False) if isinstance(node, tree.Norm) else (shape, row)
    if isinstance(node, tree.Call):
        return _call(node, s)
    if isinstance(node, tree.Binary):
        return _binary(node, s)
    if isinstance(node, tree.Index):
        return _element(node, s)
    if isinstance(node, tree.Reduction):
        s.bound.update({name.id: s.fresh() for binder in node.binders for name in binder.names})
        shape = _shape(node.body, s) if node.body is not None else ((), False)
        if node.where is not None:
            _shape(node.where, s)
        return shape
    if isinstance(node, tree.Iverson):
        return _shape(node.test, s)
    if isinstance(node, tree.Compare):
        return max((_shape(x, s) for x in (node.first, *(x for _, x in node.rest))), key=lambda x: len(x[0]))
    raise UnsupportedError("only matrix expressions are understood here", node.span, fix="write a page for index form")


def _element(node: tree.Index, s: _Shapes) -> tuple[tuple[int, ...], bool]:
    """`x[i]`: an index runs over the axis it stands at."""
    base, _ = _shape(node.base, s)
    for k, size in zip(node.indices, base, strict=False):
        if isinstance(k, tree.Name) and k.id in s.bound:
            s.equal((s.bound[k.id],), (size,))
    return base[len(node.indices) :], False


def _call(node: tree.Call, s: _Shapes) -> tuple[tuple[int, ...], bool]:
    if node.function == "eye":
        s.constants[id(node)] = (s.fresh(),) * 2
        return s.constants[id(node)], False
    if node.function in ("vector", "matrix"):
        s.constants[id(node)] = tuple(s.fresh() for _ in range(RANKS[node.function]))
        return s.constants[id(node)], False
    shapes = [_shape(a, s) for a in node.args]
    if not shapes:
        raise SpecError(f"{node.function} takes an argument", node.span)
    shape, row = shapes[0]
    if node.function in SQUARE and len(shape) == 2:
        s.equal(shape[:1], shape[1:])
    if node.function in INVERTIBLE and len(shape) == 2:
        s.tall += [(shape[0], k) for k in _inner(node.args[0], s)]
    if node.function in SCALAR_VALUED:
        return (), False
    if node.function in OTHER_SHAPES and len(shape) == 2:
        return OTHER_SHAPES[node.function](shape), False
    if node.function == "solve" and len(shapes) == 2:
        s.equal(shape[:1], shapes[1][0][:1])
        return shapes[1]
    if node.function == "diag":
        if len(shape) == 2:
            s.equal(shape[:1], shape[1:])
        return ((shape[0], shape[0]), False) if len(shape) == 1 else (shape[:1], False)
    if node.function == "logsumexp":
        return shape[:-1], False
    if node.function in FUNCTIONS and len(shapes) == 2:
        s.equal(shapes[0][0], shapes[1][0])
        return max(shapes, key=lambda x: len(x[0]))
    return shape, row


def _inner(node: tree.Expr, s: _Shapes) -> list[int]:
    """The sizes inside a product: where it has an inverse, none is smaller than its own."""
    if not (isinstance(node, tree.Binary) and node.op in ("*", "product", "@")):
        return []
    shape, _ = _shape(node.right, s)
    return [*_inner(node.left, s), *(shape[:1] if len(shape) == 2 else ())]


def _binary(node: tree.Binary, s: _Shapes) -> tuple[tuple[int, ...], bool]:
    """Operands of a chain from left to right, without recursion along it."""
    chain: list[tuple[str, tree.Expr]] = []
    rest: tree.Expr = node
    while isinstance(rest, tree.Binary):
        chain.append((rest.op, rest.right))
        rest = rest.left
    left = _shape(rest, s)
    for op, operand in reversed(chain):
        left = _joined(op, left, _shape(operand, s), s)
    return left


def _joined(op: str, a: tuple, b: tuple, s: _Shapes) -> tuple[tuple[int, ...], bool]:
    (left, row), (right, other) = a, b
    if op in ("^", ".^"):
        if len(left) == 2 and op == "^":
            s.equal(left[:1], left[1:])
        return left, row
    if not left or not right or op in ("+", "-", ".*", "./", "/"):
        if len(left) == len(right):
            s.equal(left, right)
        return (left, row) if len(left) >= len(right) else (right, other)
    if len(left) == 1 and len(right) == 1:
        if row and not other:
            s.equal(left, right)
            return (), False
        return (left + right, False)
    s.equal(left[-1:], right[:1])
    shape = (*left[:-1], *right[1:])
    return shape, len(left) == 1

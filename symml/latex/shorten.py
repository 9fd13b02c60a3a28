"""Constructors of the tree that keep it short: coefficients in front, inverses cancelled, transposes where they cost least.

Each rule is an identity of matrices; what they make is compared with the statement all the same. Sums are in sums.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import sympy
from sympy import Expr

from symml.latex.order import key, negative, ordered, split
from symml.latex.signs import without_signs
from symml.latex.tree import (
    ONE,
    Add,
    Diagonal,
    DiagonalOf,
    Hadamard,
    Inner,
    Leaf,
    Map,
    Node,
    Ones,
    Power,
    Product,
    Quotient,
    Rowwise,
    Scale,
    Shape,
    SquaredNorm,
    Trace,
    Transpose,
    Whole,
    count,
)

SCALAR: Shape = (ONE, ONE)
NEGATIVE = sympy.Integer(-1)
SYMMETRIC = ("symmetric", "psd")  # domains of matrices that are their own transposes


@dataclass
class Pieces:
    """A term as coefficient * scalars (each with its exponent) * body; body None for a scalar."""

    coefficient: Expr = ONE
    scalars: dict[Node, Expr] = field(default_factory=dict)
    body: Node | None = None

    def node(self) -> Node:
        """The term as one node."""
        found = [power(base, k) for base, k in self.scalars.items()]
        return scale(self.coefficient, hadamard([*found, *([] if self.body is None else [self.body])]))


def pieces(node: Node) -> Pieces:
    """Take a term apart: what is a number, what is a scalar expression, what is left."""
    coefficient, rest = split(node)
    found = Pieces(coefficient)
    if rest is None:
        return found
    over, under = ((rest.over,), (rest.under,)) if isinstance(rest, Quotient) else ((rest,), ())
    bodies: list[tuple[Node, bool]] = []
    for part, below in [*((f, False) for f in over), *((f, True) for f in under)]:
        inner, part = split(part)
        found.coefficient *= 1 / inner if below else inner
        for f in part.factors if isinstance(part, Hadamard) else () if part is None else (part,):
            if f.shape != SCALAR:
                bodies.append((f, below))
                continue
            base, k = (f.base, f.exponent) if isinstance(f, Power) else (f, ONE)
            found.scalars[base] = found.scalars.get(base, sympy.Integer(0)) + (-k if below else k)
    if bodies:
        top = [f for f, below in bodies if not below]
        bottom = [f for f, below in bodies if below]
        body = _entries(top, rest.shape) if top else Scale(SCALAR, ONE, None)
        found.body = Quotient(rest.shape, body, _entries(bottom, rest.shape)) if bottom else body
    return found


def scale(factor: Expr, node: Node | None) -> Node:
    """factor * node; a sign goes into a sum that has both signs, so that -(a - b) is b - a."""
    if node is None:
        return Scale(SCALAR, factor, None)
    inner, rest = split(node)
    factor = factor * inner
    if rest is None:
        return Scale(SCALAR, factor, None)
    if factor == 0:
        return Scale(SCALAR, factor, None)
    if isinstance(rest, Add) and factor.could_extract_minus_sign() and any(negative(t) for t in rest.terms):
        factor, rest = -factor, Add(rest.shape, ordered(scale(NEGATIVE, t) for t in rest.terms))
    if factor.could_extract_minus_sign() and isinstance(rest, Product | Hadamard | Quotient):
        turned = _turned(rest)
        factor, rest = (-factor, turned) if turned is not None else (factor, rest)
    return rest if factor == 1 else Scale(rest.shape, factor, rest)


def _turned(node: Product | Hadamard | Quotient) -> Node | None:
    """The negative of a product, by turning the first factor a - b into b - a."""
    if isinstance(node, Quotient):
        over = _turned_factor(node.over) or (_turned(node.over) if isinstance(node.over, Product | Hadamard) else None)
        return None if over is None else Quotient(node.shape, over, node.under)
    for k, f in enumerate(node.factors):
        if sum(g in (f, transpose(f)) for g in node.factors) > 1:
            continue  # (x - a)(x - a)' keeps its sign in front
        turned = _turned_factor(f) or (_turned(f) if isinstance(f, Product | Hadamard) else None)
        if turned is not None:
            factors = list(node.factors)
            factors[k] = turned
            return type(node)(node.shape, tuple(factors))
    return None


def _turned_factor(f: Node) -> Node | None:
    if isinstance(f, Add) and any(negative(t) for t in f.terms):
        return Add(f.shape, ordered(scale(NEGATIVE, t) for t in f.terms))
    return None


# products


def identity(n: Expr) -> Node:
    """The identity matrix."""
    return Diagonal((n, n), Ones((n, ONE)))


def is_identity(node: Node) -> bool:
    """Is this the identity matrix?"""
    return isinstance(node, Diagonal) and isinstance(node.arg, Ones)


def product(factors: Iterable[Node]) -> Node:
    """A matrix product, flat, with numbers and scalars in front and inverses cancelled."""
    coefficient, scalars, flat = ONE, [], []
    shape: Shape | None = None
    for f in factors:
        p = pieces(f)
        coefficient *= p.coefficient
        scalars += [power(base, k) for base, k in p.scalars.items()]
        if p.body is None:
            continue
        shape = (p.body.shape[0] if shape is None else shape[0], p.body.shape[1])
        flat += _flat_factors(p.body)
    if shape is None:
        return scale(coefficient, hadamard(scalars))
    inner, flat = _inner_scalars(_cancelled(flat))
    scalars += inner
    if not flat:
        chain: Node = identity(shape[0])
    elif len(flat) == 1:
        chain = flat[0]
    else:
        chain = _chain(flat, shape)
    return scale(coefficient, hadamard([*scalars, chain]) if scalars else chain)


def _flat_factors(node: Node) -> list[Node]:
    if isinstance(node, Product):
        return list(node.factors)
    if isinstance(node, Transpose) and isinstance(node.arg, Product):
        return [transpose(x) for x in reversed(node.arg.factors)]
    return [node]


def _chain(flat: list[Node], shape: Shape) -> Node:
    """The product of two or more matrices; a scalar one as a norm, or in the shorter direction."""
    node = Product(shape, tuple(flat))
    if shape != SCALAR:
        return node
    if len(flat) == 2 and isinstance(flat[1], DiagonalOf) and flat[0] == _row_of_ones(flat[0].shape[1]):
        return trace(flat[1].arg)
    if len(flat) == 3 and isinstance(flat[2], Ones) and flat[0] == _row_of_ones(flat[0].shape[1]):
        entries = _total(flat[1])
        if not isinstance(entries, Product):
            return entries
    turned = [transpose(f) for f in reversed(flat)]
    if len(flat) % 2 == 0 and turned == flat:
        half = flat[len(flat) // 2 :]
        arg = half[0] if len(half) == 1 else Product((half[0].shape[0], ONE), tuple(half))
        return Scale(SCALAR, arg.shape[0], None) if isinstance(arg, Ones) else SquaredNorm(SCALAR, arg)
    other = Product(shape, tuple(turned))
    return min(node, other, key=lambda n: (count(n), [key(f) for f in n.factors]))


def _cancelled(flat: list[Node]) -> list[Node]:
    """Without the identity, and without what stands beside its own inverse; diagonals joined to their neighbours."""
    flat = [f for f in flat if not is_identity(f)] if len(flat) > 1 else list(flat)
    k = 0
    while k < len(flat):
        gone = _beside_inverse(flat, k)
        if gone is not None:
            first, last = gone
            flat = flat[:first] + flat[last:]
            k = 0
            continue
        if k + 1 < len(flat):
            joined = _joined_diagonal(flat[k], flat[k + 1])
            if joined is None and len(flat) != 3:  # 1' H 1 is the sum of all entries
                joined = _sums_of_entries(flat[k], flat[k + 1])
            if joined is not None:
                flat[k : k + 2] = [joined]
                k = 0
                continue
        k += 1
    return flat


def inverted(node: Node) -> Node | None:
    """What a node is the inverse of."""
    if isinstance(node, Whole) and node.op == "inv":
        return node.args[0]
    if isinstance(node, Transpose) and isinstance(node.arg, Whole) and node.arg.op == "inv":
        return transpose(node.arg.args[0])
    return None


def inverse(node: Node) -> Node:
    """The inverse; of diag(v) entry by entry, of inv(A) A itself, of a product that holds an inverse its factors'."""
    if isinstance(node, Diagonal):
        return diagonal(hadamard((power(node.arg, NEGATIVE),)))
    known = inverted(node)
    if known is not None:
        return known
    if isinstance(node, Product) and any(map(inverted, node.factors)) and len({f.shape for f in node.factors}) == 1:
        return product(map(inverse, reversed(node.factors)))
    return Whole(node.shape, "inv", (node,))


def _beside_inverse(flat: list[Node], k: int) -> tuple[int, int] | None:
    """The stretch of factors that is a matrix and its inverse at place k."""
    arg = inverted(flat[k])
    if arg is None:
        return None
    own = _flat_factors(arg)
    if flat[max(0, k - len(own)) : k] == own:
        return k - len(own), k + 1
    if flat[k + 1 : k + 1 + len(own)] == own:
        return k, k + 1 + len(own)
    return None


def _joined_diagonal(a: Node, b: Node) -> Node | None:
    """diag(u) diag(v) = diag(u v), diag(u) v = u v, and the same from the other side."""
    if isinstance(a, Diagonal) and isinstance(b, Diagonal):
        return Diagonal(a.shape, hadamard((a.arg, b.arg)))
    if isinstance(a, Diagonal) and b.shape[1] == ONE:
        return hadamard((a.arg, b))
    if isinstance(b, Diagonal) and a.shape[0] == ONE:
        return transpose(hadamard((b.arg, transpose(a))))
    return None


def _sums_of_entries(a: Node, b: Node) -> Node | None:
    """(A o B') 1 = diag(A B) and 1' (A o B') = diag(B A)', where that is shorter."""
    if isinstance(b, Ones):
        return _row_sums(a)
    sums = _row_sums(transpose(b)) if isinstance(a, Transpose) and isinstance(a.arg, Ones) else None
    return None if sums is None else transpose(sums)


def _row_sums(node: Node) -> Node | None:
    if isinstance(node, Rowwise) and node.function == "softmax" and ONE not in node.shape:
        return Ones((node.shape[0], ONE))
    if not (isinstance(node, Hadamard) and len(node.factors) == 2) or any(f.shape != node.shape for f in node.factors):
        return None
    left, right = node.factors
    if ONE in node.shape:
        return None
    both = product((left, transpose(right)))
    found = diagonal_of(min(both, transpose(both), key=count))
    return found if count(found) < count(node) + 2 else None


def _inner_scalars(flat: list[Node]) -> tuple[list[Node], list[Node]]:
    """u (v' w) is a scalar times u: what is 1 x 1 inside a product goes in front."""
    for first in range(len(flat)):
        if flat[first].shape[0] != ONE:
            continue
        for last in range(first, len(flat)):
            if flat[last].shape[1] == ONE and (first > 0 or last < len(flat) - 1) and flat[first].shape[1] != ONE:
                inner = _chain(flat[first : last + 1], SCALAR)
                more, rest = _inner_scalars(flat[:first] + flat[last + 1 :])
                return [inner, *more], rest
    return [], flat


@lru_cache(maxsize=4096)
def symmetric(node: Node) -> bool:
    """Is a matrix its own transpose, by its form?"""
    if node.shape[0] != node.shape[1]:
        return False
    if node.shape == SCALAR or isinstance(node, Diagonal):
        return True
    if isinstance(node, Leaf):
        return node.symmetric or node.tensor.domain.kind in SYMMETRIC
    if isinstance(node, Product):
        return all(f == transpose(g) for f, g in zip(node.factors, reversed(node.factors), strict=True))
    if isinstance(node, Add):
        return _symmetric_sum(node)
    if isinstance(node, Whole):
        return node.op == "inv" and symmetric(node.args[0])
    if isinstance(node, Scale | Transpose):
        return symmetric(node.arg)
    if isinstance(node, Power):
        return symmetric(node.base)
    if isinstance(node, Hadamard | Map):
        return all(symmetric(f) for f in (node.factors if isinstance(node, Hadamard) else node.args))
    return False


def _symmetric_sum(node: Add) -> bool:
    """Every term is symmetric, or its transpose stands beside it."""
    return set(node.terms) == {_plain_transpose(t) if not symmetric(t) else t for t in node.terms}


@lru_cache(maxsize=4096)
def transpose(node: Node) -> Node:
    """The transpose, pushed inside where that makes the text shorter."""
    if node.shape == SCALAR or isinstance(node, Diagonal):
        return node
    if isinstance(node, Transpose):
        return node.arg
    if isinstance(node, Scale):
        return scale(node.factor, transpose(node.arg))
    p = pieces(node) if isinstance(node, Hadamard | Quotient) else Pieces()
    if p.scalars and p.body is not None:
        p.body = transpose(p.body)
        return p.node()
    return node if symmetric(node) else _plain_transpose(node)


def _plain_transpose(node: Node) -> Node:
    turned = node.shape[::-1]
    if isinstance(node, Transpose):
        return node.arg
    if isinstance(node, Scale):
        return scale(node.factor, transpose(node.arg))
    pushed: Node | None = None
    if isinstance(node, Product):
        pushed = Product(turned, tuple(transpose(f) for f in reversed(node.factors)))
    elif isinstance(node, Add):
        pushed = Add(turned, tuple(transpose(t) for t in node.terms))
    elif isinstance(node, Hadamard):
        pushed = Hadamard(turned, tuple(transpose(f) for f in node.factors))
    elif isinstance(node, Quotient):
        pushed = Quotient(turned, transpose(node.over), transpose(node.under))
    elif isinstance(node, Power):
        pushed = Power(turned, transpose(node.base), node.exponent)
    elif isinstance(node, Map):
        pushed = Map(turned, node.function, tuple(transpose(a) for a in node.args))
    elif isinstance(node, Whole) and node.op == "inv":
        pushed = Whole(turned, "inv", (transpose(node.args[0]),))
    plain = Transpose(turned, node)
    return pushed if pushed is not None and count(pushed) < count(plain) else plain


# entrywise

EVEN, ODD = ("abs", "cos", "cosh"), ("sign", "sin", "tan", "sinh", "tanh", "arctan", "erf")


def entrywise(shape: Shape, function: str, args: tuple[Node, ...]) -> Node:
    """A function of each entry; a sign in its argument is lost, or goes in front."""
    factor, rest = split(args[0])
    if function in (*EVEN, *ODD) and rest is not None and factor.could_extract_minus_sign():
        found = Map(shape, function, (scale(NEGATIVE, args[0]),))
        return found if function in EVEN else scale(NEGATIVE, found)
    return Map(shape, function, args)


def hadamard(factors: Iterable[Node]) -> Node:
    """An entrywise product: coefficients and scalars in front, equal factors as a power, quotients as one."""
    coefficient, powers, shape = ONE, {}, SCALAR
    todo = [(f, ONE) for f in factors]
    while todo:
        f, k = todo.pop(0)
        c, rest = split(f)
        coefficient *= c**k
        if rest is not None and rest.shape != SCALAR:
            shape = rest.shape
        if isinstance(rest, Hadamard):
            todo += [(x, k) for x in rest.factors]
        elif isinstance(rest, Quotient):
            todo += [(rest.over, k), (rest.under, -k)]
        elif rest is not None:
            base, exponent = (rest.base, rest.exponent) if isinstance(rest, Power) else (rest, ONE)
            flipped = scale(NEGATIVE, base) if isinstance(base, Add) and (exponent * k).is_Integer else None
            if flipped in powers:  # (a - b) (b - a) is -(a - b)^2
                coefficient, base = coefficient * NEGATIVE ** (exponent * k), flipped
            powers[base] = powers.get(base, sympy.Integer(0)) + exponent * k
    powers = without_signs(powers)
    if any(not isinstance(b, Ones) and b.shape == shape for b in powers):
        powers = {b: k for b, k in powers.items() if not isinstance(b, Ones)}
    for base in [b for b, k in powers.items() if k.could_extract_minus_sign()]:
        below, cleared = _cleared(base)
        if below != 1:
            k = powers.pop(base)
            coefficient, powers[cleared] = coefficient * below**-k, k + powers.get(cleared, sympy.Integer(0))
    over = [power(b, k) for b, k in powers.items() if not k.could_extract_minus_sign() and k != 0]
    under = [power(b, -k) for b, k in powers.items() if k.could_extract_minus_sign()]
    if not under:
        return scale(coefficient, _entries(over, shape)) if over else Scale(SCALAR, coefficient, None)
    top = _entries(over, shape) if over else Scale(SCALAR, ONE, None)
    return scale(
        coefficient, Quotient(shape, top, _entries(under, max((f.shape for f in under), key=lambda x: x != SCALAR)))
    )


def _cleared(node: Node) -> tuple[Expr, Node]:
    """What all coefficients of a sum are over, and the sum times it: u/c + 1 is (u + c)/c."""
    if not isinstance(node, Add):
        return ONE, node
    below = [sympy.fraction(sympy.together(split(t)[0]))[1] for t in node.terms]
    common = sympy.lcm(below) if any(b != 1 for b in below) else ONE
    if common == 1:
        return ONE, node
    return common, Add(node.shape, ordered(scale(common * split(t)[0], split(t)[1]) for t in node.terms))


def _entries(factors: list[Node], shape: Shape) -> Node:
    return factors[0] if len(factors) == 1 else Hadamard(shape, tuple(sorted(factors, key=_factor_key)))


def _factor_key(node: Node) -> tuple:
    """Scalars, names, then what is longer."""
    return (node.shape != SCALAR, not isinstance(node, Leaf), count(node), key(node))


def power(base: Node, exponent: Expr) -> Node:
    """An entrywise power."""
    if exponent == 1:
        return base
    if isinstance(base, Scale) and base.arg is None:
        return Scale(SCALAR, base.factor**exponent, None)
    if isinstance(base, Power):
        return power(base.base, base.exponent * exponent)
    if isinstance(base, Scale) and exponent.is_Integer:
        return scale(base.factor**exponent, power(base.arg, exponent))
    return Power(base.shape, base, exponent)


# reductions


def ones_times(node: Node) -> Node:
    """1' v, the sum of a vector's entries: squared norm, inner product or the product with ones."""
    return product((_row_of_ones(node.shape[0]), node))


def _row_of_ones(n: Expr) -> Node:
    return Transpose((ONE, n), Ones((n, ONE)))


def total(node: Node) -> Node:
    """The sum of all entries."""
    p = pieces(node)
    if p.body is None:
        return node
    body, p.body = p.body, None
    return scale(p.coefficient, hadamard([*(power(b, k) for b, k in p.scalars.items()), _total(body)]))


def _total(rest: Node) -> Node:
    if isinstance(rest, Power) and rest.exponent == 2:
        return SquaredNorm(SCALAR, rest.base)
    if isinstance(rest, Hadamard) and len(rest.factors) == 2 and all(f.shape == rest.shape for f in rest.factors):
        left, right = rest.factors
        if rest.shape[1] == ONE:
            return product((transpose(left), right))
        return Inner(SCALAR, left, right)
    if isinstance(rest, Hadamard) and rest.shape[1] == ONE and all(f.shape == rest.shape for f in rest.factors):
        return product((transpose(hadamard(rest.factors[:-1])), rest.factors[-1]))
    if rest.shape[1] == ONE:
        return ones_times(rest)
    if _row_sums(rest) == Ones((rest.shape[0], ONE)):  # each row of a softmax adds up to 1
        return Scale(SCALAR, rest.shape[0], None)
    return Product(SCALAR, (_row_of_ones(rest.shape[0]), *_flat_factors(rest), Ones((rest.shape[1], ONE))))


def trace(node: Node) -> Node:
    """The trace of a square matrix."""
    c, rest = split(node)
    if rest is not None and is_identity(rest):
        return Scale(SCALAR, c * rest.shape[0], None)
    if isinstance(rest, Product):
        thin = next((k for k, f in enumerate(rest.factors) if k and f.shape[0] == ONE), None)
        if thin is not None:  # tr(A u v' B) = v' B A u
            return scale(c, product((*rest.factors[thin:], *rest.factors[:thin])))
    return scale(c, Trace(SCALAR, rest))


def diagonal(node: Node, n: Expr | None = None) -> Node:
    """diag(v); a number or scalar stands in front, and before the identity of size n where it is all there is."""
    p = pieces(node)
    if p.body is None:
        p.body = identity(n if n is not None else node.shape[0])
    elif isinstance(p.body, Add) and p.body.shape == SCALAR:
        p.body = hadamard((p.body, identity(n)))
    else:
        p.body = identity(p.body.shape[0]) if isinstance(p.body, Ones) else Diagonal(p.body.shape[:1] * 2, p.body)
    return p.node()


def diagonal_of(node: Node) -> Node:
    """The vector of a square matrix's diagonal."""
    c, rest = split(node)
    if isinstance(rest, Diagonal):
        return scale(c, rest.arg)
    return scale(c, DiagonalOf((node.shape[0], ONE), rest))

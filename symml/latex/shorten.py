"""Constructors of the tree that keep it short: coefficients in front, like terms together, transposes where they cost least.

Each rule is an identity of matrices; what they make is compared with the statement all the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import sympy
from sympy import Expr

from symml.latex.tree import (
    ONE,
    Add,
    Diagonal,
    Hadamard,
    Inner,
    Leaf,
    Map,
    Node,
    Ones,
    Power,
    Product,
    Quotient,
    Scale,
    Shape,
    SquaredNorm,
    Trace,
    Transpose,
    count,
    leaves,
)

SCALAR: Shape = (ONE, ONE)
SYMMETRIC = ("symmetric", "psd")  # domains of matrices that are their own transposes


def split(node: Node) -> tuple[Expr, Node | None]:
    """Coefficient and the rest (None for a bare scalar)."""
    return (node.factor, node.arg) if isinstance(node, Scale) else (ONE, node)


def scale(factor: Expr, node: Node | None) -> Node:
    """factor * node; a sign goes into a sum that has both signs, so that -(a - b) is b - a."""
    if node is None:
        return Scale(SCALAR, factor, None)
    inner, rest = split(node)
    factor = factor * inner
    if rest is None:
        return Scale(SCALAR, factor, None)
    if isinstance(rest, Add) and factor.could_extract_minus_sign() and any(negative(t) for t in rest.terms):
        factor, rest = -factor, Add(rest.shape, ordered(scale(sympy.Integer(-1), t) for t in rest.terms))
    if factor.could_extract_minus_sign() and isinstance(rest, Product | Hadamard):
        turned = _turned(rest)
        factor, rest = (-factor, turned) if turned is not None else (factor, rest)
    return rest if factor == 1 else Scale(rest.shape, factor, rest)


def _turned(node: Product | Hadamard) -> Node | None:
    """The negative of a product, by turning the first factor a - b into b - a."""
    for k, f in enumerate(node.factors):
        if isinstance(f, Add) and any(negative(t) for t in f.terms):
            factors = list(node.factors)
            factors[k] = Add(f.shape, ordered(scale(sympy.Integer(-1), t) for t in f.terms))
            return type(node)(node.shape, tuple(factors))
    return None


def negative(node: Node) -> bool:
    """Does a term begin with a minus?"""
    return split(node)[0].could_extract_minus_sign()


def ordered(terms: Iterable[Node]) -> tuple[Node, ...]:
    """Positive terms first, long ones before short ones, bare scalars last; then by name."""
    return tuple(
        sorted(terms, key=lambda t: (negative(t), split(t)[1] is None, _spread(t), -_length(split(t)[1] or t), _key(t)))
    )


def _length(node: Node) -> int:
    """A transposed name is as long as the name."""
    return count(node.arg if isinstance(node, Transpose) and isinstance(node.arg, Leaf) else node)


def _spread(term: Node) -> bool:
    """Is a term a vector spread over rows or columns? Such terms follow the others."""
    rest = split(term)[1]
    return isinstance(rest, Product) and any(
        isinstance(f, Ones | Transpose) and isinstance(getattr(f, "arg", f), Ones) for f in rest.factors
    )


def _key(node: Node) -> str:
    """A text that orders nodes of one size: names, never numbers of identity."""
    return " ".join(t.name for t in leaves(node)) + f" {type(node).__name__}"


def add(terms: Iterable[Node], shape: Shape) -> Node:
    """A sum with like terms collected and common factors in front."""
    collected: dict[Node | None, Expr] = {}
    for term in _flat(terms):
        factor, rest = split(term)
        collected[rest] = collected.get(rest, sympy.Integer(0)) + factor
    pairs = [(c, r) for r, c in collected.items() if c != 0]
    if not pairs:
        return Scale(SCALAR, sympy.Integer(0), None)
    if len(pairs) == 1:
        return scale(*pairs[0])
    common = _common([c for c, _ in pairs])
    terms = ordered(scale(c / common, r) for c, r in pairs)
    if all(negative(t) for t in terms):
        common, terms = -common, ordered(scale(sympy.Integer(-1), t) for t in terms)
    node: Node = _left_factor(Add(shape, terms))
    turned = Transpose(shape, Add(shape[::-1], ordered(transpose(t) for t in terms)))
    return scale(common, turned if shape != SCALAR and count(turned) < count(node) else node)


def _flat(terms: Iterable[Node]) -> Iterable[Node]:
    for term in terms:
        factor, rest = split(term)
        if isinstance(rest, Add):
            yield from (scale(factor, t) for t in rest.terms)
        elif rest is None and factor.is_Add:
            yield from (Scale(SCALAR, t, None) for t in factor.args)
        else:
            yield term


def _common(factors: list[Expr]) -> Expr:
    """The factors that all coefficients share, and the largest number that leaves them whole."""
    shared = set(sympy.Mul.make_args(factors[0].as_coeff_Mul()[1]))
    for f in factors[1:]:
        shared &= set(sympy.Mul.make_args(f.as_coeff_Mul()[1]))
    numbers = [f.as_coeff_Mul()[0] for f in factors]
    content = ONE
    if shared - {ONE} or all(f.is_number for f in factors):
        if len({abs(x) for x in numbers}) == 1:
            content = abs(numbers[0])
        elif all(x.is_Integer for x in numbers):
            content = sympy.Integer(sympy.igcd(*numbers))
    return content * sympy.Mul(*(s for s in sorted(shared, key=str) if s != 1))


def _left_factor(node: Add) -> Node:
    """A x + B x = (A + B) x, and x A + x B = x (A + B), where every term has that factor."""
    parts = [split(t) for t in node.terms]
    if not all(isinstance(r, Product) and len(r.factors) >= 2 for _, r in parts):
        return node
    for last in (False, True):
        ends = {(r.factors[-1] if last else r.factors[0]) for _, r in parts}
        if len(ends) == 1:
            (end,) = ends
            rest = [scale(c, product(r.factors[:-1] if last else r.factors[1:])) for c, r in parts]
            inner = add(rest, split(rest[0])[1].shape)
            return product((inner, end) if last else (end, inner))
    return node


def product(factors: Iterable[Node]) -> Node:
    """A matrix product, flat, with coefficients in front."""
    coefficient, flat = ONE, []
    for f in factors:
        c, rest = split(f)
        coefficient *= c
        if isinstance(rest, Product):
            flat += rest.factors
        elif isinstance(rest, Transpose) and isinstance(rest.arg, Product):
            flat += [transpose(x) for x in reversed(rest.arg.factors)]
        elif rest is not None:
            flat.append(rest)
    scalars = [f for f in flat if f.shape == SCALAR]
    if scalars:
        rest = [f for f in flat if f.shape != SCALAR]
        return scale(coefficient, hadamard([*scalars, *([product(rest)] if rest else [])]))
    if not flat:
        return Scale(SCALAR, coefficient, None)
    if len(flat) == 1:
        return scale(coefficient, flat[0])
    shape = (flat[0].shape[0], flat[-1].shape[1])
    if shape == SCALAR and len(flat) == 2 and flat[0] == transpose(flat[1]):
        return scale(coefficient, SquaredNorm(SCALAR, flat[1]))
    node = Product(shape, tuple(flat))
    if shape == SCALAR:
        turned = Product(shape, tuple(transpose(f) for f in reversed(flat)))
        node = min(node, turned, key=count) if count(turned) < count(node) else node
    return scale(coefficient, node)


def transpose(node: Node) -> Node:
    """The transpose, pushed inside where that makes the text shorter."""
    if node.shape == SCALAR or isinstance(node, Diagonal):
        return node
    if isinstance(node, Leaf) and node.tensor.domain.kind in SYMMETRIC:
        return node
    if isinstance(node, Transpose):
        return node.arg
    turned = node.shape[::-1]
    if isinstance(node, Scale):
        return scale(node.factor, transpose(node.arg))
    pushed: Node | None = None
    if isinstance(node, Product):
        pushed = Product(turned, tuple(transpose(f) for f in reversed(node.factors)))
    elif isinstance(node, Add):
        pushed = Add(turned, tuple(transpose(t) for t in node.terms))
    elif isinstance(node, Hadamard):
        pushed = Hadamard(turned, tuple(transpose(f) for f in node.factors))
    elif isinstance(node, Map):
        pushed = Map(turned, node.function, tuple(transpose(a) for a in node.args))
    plain = Transpose(turned, node)
    return pushed if pushed is not None and count(pushed) < count(plain) else plain


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
            powers[base] = powers.get(base, sympy.Integer(0)) + exponent * k
    over = [power(b, k) for b, k in powers.items() if not k.could_extract_minus_sign() and k != 0]
    under = [power(b, -k) for b, k in powers.items() if k.could_extract_minus_sign()]
    if not under:
        return scale(coefficient, _entries(over, shape)) if over else Scale(SCALAR, coefficient, None)
    top = _entries(over, shape) if over else Scale(SCALAR, ONE, None)
    return scale(
        coefficient, Quotient(shape, top, _entries(under, max((f.shape for f in under), key=lambda x: x != SCALAR)))
    )


def _entries(factors: list[Node], shape: Shape) -> Node:
    return factors[0] if len(factors) == 1 else Hadamard(shape, tuple(sorted(factors, key=_factor_key)))


def _factor_key(node: Node) -> tuple:
    """Scalars, names, then what is longer."""
    return (node.shape != SCALAR, not isinstance(node, Leaf), count(node), _key(node))


def power(base: Node, exponent: Expr) -> Node:
    """An entrywise power."""
    return base if exponent == 1 else Power(base.shape, base, exponent)


def ones_times(node: Node) -> Node:
    """1' v, the sum of a vector's entries: squared norm, inner product or the product with ones."""
    return product((Transpose((ONE, node.shape[0]), Ones((node.shape[0], ONE))), node))


def total(node: Node) -> Node:
    """The sum of all entries."""
    c, rest = split(node)
    if rest is None or rest.shape == SCALAR:
        return node
    if isinstance(rest, Power) and rest.exponent == 2:
        return scale(c, SquaredNorm(SCALAR, rest.base))
    if isinstance(rest, Hadamard) and len(rest.factors) == 2 and all(f.shape == rest.shape for f in rest.factors):
        left, right = rest.factors
        if rest.shape[1] == ONE:
            return scale(c, product((transpose(left), right)))
        return scale(c, Inner(SCALAR, left, right))
    if rest.shape[1] == ONE:
        return scale(c, ones_times(rest))
    return scale(
        c, product((Transpose((ONE, rest.shape[0]), Ones((rest.shape[0], ONE))), rest, Ones((rest.shape[1], ONE))))
    )


def trace(node: Node) -> Node:
    """The trace of a square matrix."""
    c, rest = split(node)
    return scale(c, Trace(SCALAR, rest))

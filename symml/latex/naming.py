"""Names for what a formula says several times: `where s = ...`, up to sign and transposition, where that is shorter.

shared(diag(softmax(z)) - softmax(z) softmax(z)', taken)  ->  diag(s) - s s', {s: softmax(z)}
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import sympy

from symml.ir.program import Domain, Tensor
from symml.latex.shorten import (
    NEGATIVE,
    diagonal,
    entrywise,
    hadamard,
    is_identity,
    key,
    negative,
    ordered,
    power,
    product,
    scale,
    split,
    symmetric,
    transpose,
)
from symml.latex.sums import alike
from symml.latex.tree import (
    ONE,
    Add,
    Diagonal,
    Hadamard,
    Leaf,
    Map,
    Node,
    OneHot,
    Ones,
    Power,
    Product,
    Quotient,
    Rowwise,
    Scale,
    Transpose,
    children,
    count,
    leaves,
)

LETTERS = {"scalar": "cαβγ", "vector": "srqpu", "matrix": "MPQRN"}
MOST_NAMES = 4
LEAST_SAVED = 4  # nodes; less where it is said three times or more
NEVER = (Leaf, Ones, OneHot, Scale)


@dataclass(frozen=True)
class _Use:
    """A shared expression stands here turned, or with the other sign."""

    turned: bool
    minus: bool


Given = Mapping[Node, Leaf]  # names that other formulas beside this one gave, by what they stand for


@dataclass(frozen=True)
class Shared:
    """A formula with names; defined: what they stand for, each behind those it needs; targets: the same written out."""

    main: Node
    defined: Mapping[Tensor, Node]
    targets: Mapping[Node, Leaf]

    @property
    def length(self) -> int:
        return count(self.main) + sum(map(count, self.defined.values()))


def shared(main: Node, taken: Collection[str], given: Given = MappingProxyType({})) -> Shared:
    """The formula with names for what it repeats; `given` ones are used again, and their letters for nothing else."""
    taken = {*taken, *(leaf.tensor.name for leaf in given.values())}
    found = [_with_names(tree, taken, given) for tree in dict.fromkeys((main, _complemented(main)))]
    return min(found, key=lambda x: (x.length, count(x.main)))


def is_own(node: Node) -> bool:
    """May a name stand for this expression as it is, neither turned nor with the other sign?"""
    return not isinstance(node, NEVER) and _canonical(node) == (node, _Use(False, False))


def _complemented(node: Node) -> Node:
    """1 - sigmoid(u) for sigmoid(-u), where sigmoid(u) stands there as well."""
    maps = set(_sigmoids(node))
    table = {}
    for m in maps:
        other = Map(m.shape, m.function, (scale(NEGATIVE, m.args[0]),))
        if negative(m.args[0]) and other in maps:
            table[m] = Add(m.shape, (Scale((ONE, ONE), ONE, None), scale(NEGATIVE, other)))
    return exchanged(node, table) if table else node


def by_complements(node: Node, given: Mapping[Node, Leaf]) -> Node:
    """1 - H for sigmoid(-u), where H is sigmoid(u) and stands there too."""
    table = {}
    for m in set(_sigmoids(node)):
        other = Map(m.shape, m.function, (scale(NEGATIVE, m.args[0]),))
        if other in given and given[other].tensor in leaves(node):
            table[m] = Add(m.shape, (Scale((ONE, ONE), ONE, None), scale(NEGATIVE, given[other])))
    return exchanged(node, table) if table else node


def _sigmoids(node: Node) -> Iterator[Node]:
    if isinstance(node, Map) and node.function == "sigmoid":
        yield node
    for child in children(node):
        yield from _sigmoids(child)


def exchanged(node: Node, table: Mapping[Node, Node]) -> Node:
    """The tree with some of its expressions as others."""
    return table[node] if node in table else _rebuilt(node, lambda child: exchanged(child, table))


def _with_names(main: Node, taken: Collection[str], given: Given) -> Shared:
    trees, defined, targets = [main], {}, {}
    names = set(taken)
    while len(defined) < MOST_NAMES:
        best = _best(trees)
        if best is None:
            break
        target = best
        leaf = given.get(target) or _leaf(target, names)
        if leaf is None:
            break
        names.add(leaf.tensor.name)
        targets[target] = leaf
        trees = [_replaced(t, target, leaf) for t in trees]
        defined = dict(zip(defined, trees[1:], strict=True)) | {leaf.tensor: target}
        trees = [trees[0], *defined.values()]
    return Shared(trees[0], _in_order(defined), targets)


def _in_order(defined: Mapping[Tensor, Node]) -> dict[Tensor, Node]:
    """Definitions, each behind those it needs."""
    found: dict[Tensor, Node] = {}
    while len(found) < len(defined):
        for t, tree in defined.items():
            if t not in found and all(u in found for u in leaves(tree) if u in defined):
                found[t] = tree
    return found


def _leaf(target: Node, names: Collection[str]) -> Leaf | None:
    shape = tuple(k for k in target.shape if k != ONE)
    letters = LETTERS[("scalar", "vector", "matrix")[len(shape)]]
    free = next((c for c in letters if c not in names), None)
    if free is None:
        return None
    domain = Domain("symmetric") if len(shape) == 2 and symmetric(target) else Domain()
    return Leaf(target.shape, Tensor(free, shape, domain=domain))


def _best(trees: list[Node]) -> Node | None:
    """What saves the most when it is named."""
    uses: dict[Node, int] = {}
    for t in trees:
        for candidate in _candidates(t):
            found, _ = _canonical(candidate)
            uses[found] = uses.get(found, 0) + 1
    saved = {}
    whole = sum(map(count, trees))
    for target, times in uses.items():
        own = count(target)
        if times < 2 or own < (2 if isinstance(target, Map | Rowwise) else 3) or times * (own - 1) - own < 1:
            continue
        probe = Leaf(target.shape, Tensor("_", tuple(k for k in target.shape if k != ONE)))
        gain = whole - sum(count(_replaced(t, target, probe)) for t in trees) - own
        if gain >= (LEAST_SAVED if times == 2 else 1):
            saved[target] = gain
    return max(saved, key=lambda n: (saved[n], -count(n), key(n)), default=None)


def _candidates(node: Node) -> Iterator[Node]:
    """Every expression in a tree that may have a name, stretches of products too."""
    if not isinstance(node, NEVER) and not _is_turned_name(node) and not _holds_identity(node):
        yield node
    if isinstance(node, Product):
        for first, last in _stretches(len(node.factors)):
            yield _stretch(node, first, last)
    if isinstance(node, Transpose) and not isinstance(node.arg, NEVER):
        yield from (c for child in children(node.arg) for c in _candidates(child))
        return
    for child in children(node):
        yield from _candidates(child)


def _is_turned_name(node: Node) -> bool:
    return isinstance(node, Transpose | Diagonal) and isinstance(node.arg, Leaf)


def _holds_identity(node: Node) -> bool:
    """The identity, or scalars times it."""
    return is_identity(node) or (isinstance(node, Hadamard) and any(is_identity(f) for f in node.factors))


def _stretches(n: int) -> Iterator[tuple[int, int]]:
    """Parts of a product of n factors, the longest first, without the whole."""
    for size in range(n - 1, 1, -1):
        for first in range(n - size + 1):
            yield first, first + size


def _stretch(node: Product, first: int, last: int) -> Node:
    factors = node.factors[first:last]
    return Product((factors[0].shape[0], factors[-1].shape[1]), factors)


def _canonical(node: Node) -> tuple[Node, _Use]:
    """The one form of an expression, its transpose and its negative, and how it stands here."""
    found = []
    for turned in (False, True):
        form = transpose(node) if turned else node
        for minus in (False, True):
            signed = _negated(form) if minus else form
            if signed is not None and not isinstance(signed, Scale):
                found.append((signed, _Use(turned, minus)))
    return min(found, key=lambda x: (count(x[0]), _minuses(x[0]), key(x[0]), str(x[0].shape), x[1].turned, x[1].minus))


def _negated(node: Node) -> Node | None:
    """The negative without a sign in front, where a sum inside takes it."""
    factor, rest = split(scale(NEGATIVE, node))
    if factor == 1:
        return rest
    if isinstance(rest, Add) and factor == NEGATIVE:
        return None
    return None


def _minuses(node: Node) -> int:
    return sum(negative(t) for t in node.terms) if isinstance(node, Add) else 0


def _replaced(node: Node, target: Node, leaf: Leaf) -> Node:
    """The tree with a name in every place of an expression."""
    if isinstance(node, Leaf | Ones | OneHot):
        return node
    found = _named(node, target, leaf)
    if found is not None:
        return found
    if isinstance(node, Product):
        for first, last in _stretches(len(node.factors)):
            found = _named(_stretch(node, first, last), target, leaf)
            if found is not None:
                return _replaced(product((*node.factors[:first], found, *node.factors[last:])), target, leaf)
    return _rebuilt(node, lambda child: _replaced(child, target, leaf))


def _named(node: Node, target: Node, leaf: Leaf) -> Node | None:
    if count(node) < count(target) or isinstance(node, Scale):
        return None
    form, use = _canonical(node)
    if form != target:
        return None
    named = transpose(leaf) if use.turned else leaf
    return scale(NEGATIVE, named) if use.minus else named


def _rebuilt(node: Node, change: Callable[[Node], Node]) -> Node:
    """The node over changed children, through the constructors."""
    build = _BUILD.get(type(node))
    parts = [change(c) for c in children(node)]
    if all(a is b for a, b in zip(parts, children(node), strict=True)):
        return node
    return build(node, parts) if build is not None else _same_type(node, parts)


def _same_type(node: Node, parts: list[Node]) -> Node:
    if hasattr(node, "args"):
        return replace(node, args=tuple(parts))
    if hasattr(node, "arg"):
        return replace(node, arg=parts[0])
    return replace(node, left=parts[0], right=parts[1])


_BUILD: Mapping[type, Callable[[Node, list[Node]], Node]] = {
    Scale: lambda n, p: scale(n.factor, p[0]) if p else n,
    Add: lambda n, p: alike(p, n.shape) or Add(n.shape, ordered(p)),
    Product: lambda n, p: product(p),
    Hadamard: lambda n, p: hadamard(p),
    Quotient: lambda n, p: hadamard((p[0], power(p[1], sympy.Integer(-1)))),
    Power: lambda n, p: hadamard((power(p[0], n.exponent),)),
    Transpose: lambda n, p: transpose(p[0]),
    Map: lambda n, p: entrywise(n.shape, n.function, tuple(p)),
    Diagonal: lambda n, p: diagonal(p[0]),
}

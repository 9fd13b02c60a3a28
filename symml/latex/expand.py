"""Is a matrix expression zero? Proved by writing it out as a sum of words, in which A A^-1 cancels.

What is zero at random inputs only because of an identity (the residual of a projection is orthogonal to what it projects
on) is left out of a formula when this proves it:

    is_zero(M' (r - M (M' M)^-1 M' r))  ->  True
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping

import sympy
from sympy import Expr

from symml.ir.expand import expand
from symml.latex.shorten import hadamard, inverted, pieces, power, product, scale, split, trace, transpose
from symml.latex.tree import Add, Hadamard, Node, Power, Product, Quotient, Scale, SquaredNorm, Trace, Transpose

MOST_WORDS = 300
MOST_ROUNDS = 8


class TooLong(Exception):
    """The sum of words is longer than MOST_WORDS."""


def is_zero(node: Node) -> bool:
    """Whether the words of an expression cancel; False where that is not known."""
    try:
        return not words(node)
    except TooLong:
        return False


def words(node: Node) -> dict[Node | None, Expr]:
    """The expression as products without sums in them, each with its coefficient; those that cancel are gone."""
    found = _collected(_words(node))
    for _ in range(MOST_ROUNDS):
        opened = [_reduced(w, c) for w, c in found.items()]
        if all(o is None for o in opened):
            break
        pairs = zip(found.items(), opened, strict=True)
        found = _collected(t for (w, c), o in pairs for t in (o if o is not None else [scale(c, w)]))
    return found


def _collected(terms: Iterable[Node]) -> dict[Node | None, Expr]:
    found: dict[Node | None, Expr] = {}
    for t in terms:
        c, rest = split(t)
        found[rest] = found.get(rest, sympy.Integer(0)) + c
        if len(found) > MOST_WORDS:
            raise TooLong
    return {w: c for w, c in found.items() if expand(c) != 0}


def _words(node: Node) -> list[Node]:
    open_ = _OPENED.get(type(node))
    found = open_(node) if open_ is not None else [node]
    if len(found) > MOST_WORDS:
        raise TooLong
    return found


def _times(parts: Iterable[Node], make: Callable[[tuple[Node, ...]], Node]) -> list[Node]:
    """The product of sums, written out."""
    choices = [_words(p) for p in parts]
    size = 1
    for c in choices:
        size *= len(c)
        if size > MOST_WORDS:
            raise TooLong
    return [make(chosen) for chosen in itertools.product(*choices)]


def _of_scale(n: Scale) -> list[Node]:
    return [scale(n.factor, t) for t in _words(n.arg)] if n.arg is not None else [n]


def _of_norm(n: SquaredNorm) -> list[Node]:
    if n.arg.shape[1] == 1:
        return _times((transpose(n.arg), n.arg), product)
    return _times((transpose(n.arg), n.arg), lambda pair: trace(product(pair)))


def _of_power(n: Power) -> list[Node]:
    if n.exponent.is_Integer and 1 < n.exponent <= 4:
        return _times([n.base] * int(n.exponent), hadamard)
    return [n]


def _of_quotient(n: Quotient) -> list[Node]:
    below = power(n.under, sympy.Integer(-1))
    return [hadamard((t, below)) for t in _words(n.over)]


_OPENED: Mapping[type, Callable[[Node], list[Node]]] = {
    Add: lambda n: [w for t in n.terms for w in _words(t)],
    Scale: _of_scale,
    Product: lambda n: _times(n.factors, product),
    Hadamard: lambda n: _times(n.factors, hadamard),
    Transpose: lambda n: [transpose(t) for t in _words(n.arg)],
    SquaredNorm: _of_norm,
    Power: _of_power,
    Quotient: _of_quotient,
    Trace: lambda n: [trace(t) for t in _words(n.arg)],
}


def _reduced(word: Node | None, coefficient: Expr) -> list[Node] | None:
    """A word that holds S^-1 beside the first term of the sum S, with that written as 1 - (the rest) S^-1."""
    p = pieces(word) if word is not None else None
    if p is None or not isinstance(p.body, Product):
        return None
    factors = list(p.body.factors)
    for k, f in enumerate(factors):
        arg = inverted(f)
        if not isinstance(arg, Add):
            continue
        c, lead = split(arg.terms[0])
        own = list(lead.factors) if isinstance(lead, Product) else [lead]
        for first, last, left in ((k - len(own), k + 1, True), (k, k + 1 + len(own), False)):
            stretch = factors[max(first, 0) : k] if left else factors[k + 1 : last]
            if first < 0 or stretch != own:
                continue
            rest = Add(arg.shape, arg.terms[1:]) if len(arg.terms) > 2 else arg.terms[1]
            pair = (rest, f) if left else (f, rest)
            before, after = factors[:first], factors[last:]
            new = []
            for sign, middle in ((1, ()), (-1, pair)):
                if not (before or middle or after):
                    return None
                p.body = product([*before, *middle, *after])
                new += [scale(coefficient * sign / c, w) for w in _words(p.node())]
            return new
    return None

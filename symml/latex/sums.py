"""Sums as a person writes them: like terms collected, common factors outside, on whichever side they stand.

add([A X B, A Y B], shape)  ->  A (X + Y) B          add([a u, a v, w], shape)  ->  a (u + v) + w
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import sympy
from sympy import Expr

from symml.ir.expand import expand
from symml.latex.shorten import (
    NEGATIVE,
    SCALAR,
    Pieces,
    hadamard,
    identity,
    is_identity,
    negative,
    ordered,
    pieces,
    power,
    product,
    scale,
    split,
    transpose,
)
from symml.latex.tree import (
    ONE,
    Add,
    Hadamard,
    Node,
    Ones,
    Power,
    Product,
    Quotient,
    Rowwise,
    Scale,
    Shape,
    Transpose,
    count,
    weight,
)

Common = tuple[str, object]  # how a factor is shared, and which
MOST_OPENED = 8  # terms of products of sums that are written out, to see whether they meet
MOST_SYMBOLS, MOST_NUMBER = 4, 40  # symbols and operations of a sum of numbers that is factored
LEAST_SAVED = 4  # nodes by which a product has to be shorter than its terms
MOST_TERMS = 24  # above it a sum is not searched for common factors


def add(terms: Iterable[Node], shape: Shape) -> Node:
    """A sum with like terms collected and common factors outside."""
    terms = _collected(terms)
    found = _sum(terms, shape)
    opened = [x for t in terms for x in _opened(t)] if shape != SCALAR else terms
    met = _collected(opened) if len(terms) < len(opened) <= MOST_OPENED else terms
    if met is not terms and (len(met) < len(opened) or _length(opened) < _length(terms)):
        found = min(found, _sum(met, shape), key=count)
    weighed = _collected([x for t in terms for x in _weighed(t)])
    if len(weighed) < sum(len(_weighed(t)) for t in terms):
        found = min(found, _sum(weighed, shape), key=count)
    over = _over_one(terms, shape) or _over_power(terms, shape)
    return found if over is None else min(found, over, key=count)


def _number(e: Expr) -> Expr:
    """A number in its shortest form: as it stands, multiplied out above the bar, or one fraction of products."""
    opened = expand(e)
    if opened == 0:
        return opened
    shorter = opened if weight(opened) <= weight(e) else e
    if not e.has(sympy.Pow):
        return shorter
    few = len(e.free_symbols) <= MOST_SYMBOLS and e.count_ops() <= MOST_NUMBER
    plain = all(p.exp.is_Integer for p in e.atoms(sympy.Pow)) and not e.atoms(sympy.Function)
    if not (few and plain):
        return shorter
    found = _sign_inside(sympy.factor(e))
    fraction = any(p.exp.is_negative for p in e.atoms(sympy.Pow))
    return found if weight(found) + (1 if fraction else LEAST_SAVED) <= weight(shorter) else shorter


def _sign_inside(e: Expr) -> Expr:
    """-a (a - 1) as a (1 - a): a sign goes into the first difference of a product."""
    for f in sympy.Mul.make_args(e) if e.could_extract_minus_sign() else ():
        base, k = f.as_base_exp()
        if (
            base.is_Add
            and k.is_odd
            and base.has_free(*e.free_symbols)
            and any(t.could_extract_minus_sign() for t in base.args)
        ):
            return sympy.Mul(*(-g if g == -1 else (-base) ** k if g == f else g for g in sympy.Mul.make_args(e)))
    return e


def _over_one(terms: Sequence[Node], shape: Shape) -> Node | None:
    """1 - u/(u + 1) as 1/(u + 1): one fraction, where terms meet above the bar."""
    under = next((split(t)[1].under for t in terms if isinstance(split(t)[1], Quotient)), None)
    if not isinstance(under, Add) or not 1 < len(terms) <= MOST_OPENED or under.shape not in (shape, SCALAR):
        return None
    above: list[Node] = []
    for t in terms:
        factor, rest = split(t)
        if isinstance(rest, Quotient) and rest.under == under:
            above.append(scale(factor, _as_below(rest.over, under)))
        else:
            above += [hadamard((t, d)) for d in under.terms]
    met = _collected(above)
    if len(met) == len(above):
        return None
    return hadamard((_sum(met, shape), power(under, NEGATIVE)))


def _over_power(terms: Sequence[Node], shape: Shape) -> Node | None:
    """1/u - v/u^2 as (u - v)/u^2, where terms of u meet others above the bar."""
    unders = [split(t)[1].under for t in terms if isinstance(split(t)[1], Quotient)]
    pairs = [(u.base, u.exponent) if isinstance(u, Power) else (u, ONE) for u in unders]
    base = next((b for b, _ in pairs if isinstance(b, Add) and b.shape in (shape, SCALAR)), None)
    if base is None or len(terms) > MOST_OPENED:
        return None
    k = max(e for b, e in pairs if b == base)
    above: list[Node] = []
    for t in terms:
        raised = hadamard((t, power(base, k)))
        rest = split(raised)[1]
        factors = rest.factors if isinstance(rest, Hadamard) else (rest,)
        if base not in factors:
            above.append(raised)
            continue
        rest = hadamard((raised, power(base, NEGATIVE)))
        above += [hadamard((rest, d)) for d in base.terms]
    met = _collected(above)
    if len(met) == len(above):
        return None
    return hadamard((_sum(met, shape), power(base, -k)))


def _weighed(term: Node) -> Sequence[Node]:
    """1'(v + c) as 1'v and n c, softmax(u)'(v + c) as softmax(u)'v and c, x'(v + c x) as x'v and c |x|^2."""
    p = pieces(term)
    for node, k in p.scalars.items():
        if k != 1 or not isinstance(node, Product) or len(node.factors) != 2:
            continue
        left, right = node.factors
        weights, inner = (_upright(left), right) if isinstance(right, Add) else (right, _upright(left))
        if not isinstance(inner, Add):
            continue
        numbers = [t for t in inner.terms if t.shape == SCALAR]
        whole = _weight(weights)
        if any(pieces(t).body == weights for t in inner.terms):
            del p.scalars[node]
            front = p.node() if (p.body, p.coefficient, p.scalars) != (None, ONE, {}) else None
            found = [product((transpose(weights), t)) for t in inner.terms]
            return [t if front is None else hadamard((front, t)) for t in found]
        if whole is None or not numbers or len(numbers) == len(inner.terms):
            continue
        del p.scalars[node]
        others = [product((transpose(weights), t)) for t in inner.terms if t.shape != SCALAR]
        found = [*others, *(scale(whole, t) for t in numbers)]
        front = p.node() if (p.body, p.coefficient, p.scalars) != (None, ONE, {}) else None
        return [t if front is None else hadamard((front, t)) for t in found]
    return [term]


def _weight(node: Node) -> Expr | None:
    """The sum of the entries of a vector, where that is known."""
    if isinstance(node, Ones):
        return node.shape[0]
    if isinstance(node, Rowwise) and node.function == "softmax" and node.shape[1] == ONE:
        return ONE
    return None


def _upright(node: Node) -> Node:
    return node.arg if isinstance(node, Transpose) else node


def _opened(term: Node) -> Sequence[Node]:
    """A (B + C) as A B and A C."""
    p = pieces(term)
    factors = p.body.factors if isinstance(p.body, Product) else ()
    sums = [k for k, f in enumerate(factors) if isinstance(_upright(f), Add) and f.shape != SCALAR]
    if len(sums) != 1:
        return [term]
    (k,) = sums
    found = []
    turned = isinstance(factors[k], Transpose)
    for part in _upright(factors[k]).terms:
        p.body = product((*factors[:k], transpose(part) if turned else part, *factors[k + 1 :]))
        found.append(p.node())
    return found


def alike(terms: Sequence[Node], shape: Shape) -> Node | None:
    """The sum of terms of which some are alike, these together; None where there are none."""
    flat = list(_flat(terms))
    found = _collected(flat)
    return _sum(found, shape) if len(found) < len(flat) else None


def _collected(terms: Iterable[Node]) -> list[Node]:
    """Like terms together; terms that cancel are gone."""
    found: dict[Node | None, Expr] = {}
    for term in _flat(terms):
        factor, rest = split(term)
        found[rest] = found.get(rest, sympy.Integer(0)) + factor
    number = _number(found.pop(None, sympy.Integer(0)))
    bare = sympy.Add.make_args(number) if any(c != 0 for c in found.values()) else (number,)
    return [scale(c, r) for r, c in found.items() if c != 0] + [scale(c, None) for c in bare if c != 0]


def _flat(terms: Iterable[Node]) -> Iterable[Node]:
    for term in terms:
        factor, rest = split(term)
        if isinstance(rest, Add):
            yield from _flat(scale(factor, t) for t in rest.terms)
        elif isinstance(rest, Transpose) and isinstance(rest.arg, Add):
            yield from _flat(scale(factor, transpose(t)) for t in rest.arg.terms)
        else:
            yield term


def _sum(terms: list[Node], shape: Shape) -> Node:
    if not terms:
        return Scale(SCALAR, sympy.Integer(0), None)
    if len(terms) == 1:
        return terms[0]
    common = _content([split(t)[0] for t in terms])
    terms = list(ordered(scale(1 / common, t) for t in terms))
    if all(negative(t) for t in terms):
        common, terms = -common, list(ordered(scale(NEGATIVE, t) for t in terms))
    found = [_factored(terms, shape)]
    if shape != SCALAR:
        found.append(_turned(_factored([transpose(t) for t in terms], shape[::-1])))
    return scale(common, min(found, key=count))


def _turned(node: Node) -> Node:
    factor, rest = split(node)
    if isinstance(rest, Add):
        return scale(factor, Transpose(rest.shape[::-1], rest))
    return transpose(node)


def _content(factors: list[Expr]) -> Expr:
    """The factors that all coefficients share, and the largest number that leaves them whole."""
    shared = _common_powers([f.as_coeff_Mul()[1] for f in factors])
    numbers = [f.as_coeff_Mul()[0] for f in factors]
    content = ONE
    if shared - {ONE} or all(f.is_number for f in factors):
        if len({abs(x) for x in numbers}) == 1:
            content = abs(numbers[0])
        elif all(x.is_Integer for x in numbers):
            content = sympy.Integer(sympy.igcd(*numbers))
    return content * sympy.Mul(*(s for s in sorted(shared, key=str) if s != 1))


def _common_powers(factors: list[Expr]) -> set[Expr]:
    """The powers that all products share: 1/c^2 of 1/c^4 and 1/c^2."""
    tables = [dict(g.as_base_exp() for g in sympy.Mul.make_args(f) if g != 1) for f in factors]
    found = set()
    for base in tables[0]:
        exponents = [t.get(base, sympy.Integer(0)) for t in tables]
        same = len(set(exponents)) == 1
        signs = {bool(e.is_positive) for e in exponents} if all(e.is_Integer and e != 0 for e in exponents) else ()
        if same:
            found.add(base ** exponents[0])
        elif len(signs) == 1:
            found.add(base ** (min if True in signs else max)(exponents))
    return found


def _as_below(over: Node, under: Add) -> Node:
    """(a - b)^2 as (b - a)^2, where that is a term below the bar."""
    if not (isinstance(over, Power) and isinstance(over.base, Add) and over.exponent.is_even):
        return over
    flipped = power(scale(NEGATIVE, over.base), over.exponent)
    return flipped if flipped in [split(t)[1] for t in under.terms] else over


# common factors


def _factored(terms: list[Node], shape: Shape) -> Node:
    """The shortest of the sums that come of putting shared factors outside, one after another."""
    while len(terms) > 1 and len(terms) <= MOST_TERMS:
        best, least = None, 0
        for common, places in _shared(terms).items():
            whole = len(places) == len(terms) and _is_side(common, terms)  # as short, and easier to read
            group = [terms[k] for k in places]
            try:
                merged = _outside(common, group, shape)
            except ZeroDivisionError:  # a scalar group that cancels
                continue
            rest = [t for k, t in enumerate(terms) if k not in places]
            saved = _length(terms) - _length([*rest, merged])
            if saved > least or (whole and best is None and saved == 0):
                best, least = [*rest, merged], saved
        if best is None:
            break
        terms = best
    if len(terms) == 1:
        return terms[0]
    return Add(shape, ordered(terms)) if terms else Scale(SCALAR, sympy.Integer(0), None)


def _is_side(common: Common, terms: Sequence[Node]) -> bool:
    """Is it the first or last matrix of proper products?"""
    return common[0] in ("left", "right") and all(isinstance(pieces(t).body, Product) for t in terms)


def _length(terms: Sequence[Node]) -> int:
    return sum(map(count, terms)) + (len(terms) > 1)


def _shared(terms: list[Node]) -> dict[Common, tuple[int, ...]]:
    """Each factor that two or more terms have, with their places, in order of appearance."""
    found: dict[Common, list[int]] = {}
    for k, t in enumerate(terms):
        for common in dict.fromkeys(_factors(t)):
            found.setdefault(common, []).append(k)
    return {c: tuple(places) for c, places in found.items() if len(places) > 1}


def _factors(term: Node) -> Iterable[Common]:
    p = pieces(term)
    for base, k in p.scalars.items():
        yield "scalar", (base, k.could_extract_minus_sign())
    number, symbols = p.coefficient.as_coeff_Mul()
    if abs(number) != 1:
        yield "number", abs(number)
    for symbol in sympy.Mul.make_args(symbols):
        if symbol != 1:
            yield "symbol", symbol
    if isinstance(p.body, Product):
        yield "left", _signed(p.body.factors[0])[0]
        yield "right", _signed(p.body.factors[-1])[0]
    elif p.body is not None and not is_identity(p.body):  # without it, it would be there again
        yield "left", p.body
        yield "right", p.body
    body = p.body.over if isinstance(p.body, Quotient) else p.body
    if isinstance(body, Hadamard):
        yield from (("entry", f) for f in body.factors)
    elif body is not None and body.shape != SCALAR:
        yield "entry", body


def _signed(side: Node) -> tuple[Node, int]:
    """A factor a - b or its negative b - a, whichever stands for both, and its sign."""
    arg = _upright(side)
    if not isinstance(arg, Add) or not any(negative(t) for t in arg.terms):
        return side, 1
    other = Add(arg.shape, ordered(scale(NEGATIVE, t) for t in arg.terms))
    if str(other) >= str(arg):
        return side, 1
    return (Transpose(side.shape, other) if arg is not side else other), -1


def _outside(common: Common, group: list[Node], shape: Shape) -> Node:
    """The sum of a group of terms with their common factor outside."""
    kind, value = common
    return _OUTSIDE[kind](value, group, shape)


def _scalar_outside(value: tuple[Node, bool], group: list[Node], shape: Shape) -> Node:
    base, below = value
    taken = [pieces(t) for t in group]
    k = (max if below else min)((p.scalars[base] for p in taken), key=lambda x: float(x))
    for p in taken:
        p.scalars[base] -= k
        if p.scalars[base] == 0:
            del p.scalars[base]
    return hadamard((power(base, k), add([p.node() for p in taken], shape)))


def _number_outside(value: Expr, group: list[Node], shape: Shape) -> Node:
    return scale(value, add([scale(1 / value, t) for t in group], shape))


def _side_outside(last: bool) -> Callable[[Node, list[Node], Shape], Node]:
    def outside(value: Node, group: list[Node], shape: Shape) -> Node:
        inner_shape = (shape[0], value.shape[0]) if last else (value.shape[1], shape[1])
        rests = [_without_side(pieces(t), last) for t in group]
        inner = add(rests, inner_shape)
        return product((inner, value) if last else (value, inner))

    return outside


def _without_side(p: Pieces, last: bool) -> Node:
    """A term without its first or last matrix; the identity where nothing is left."""
    if isinstance(p.body, Product):
        p.coefficient *= _signed(p.body.factors[-1 if last else 0])[1]
        p.body = product(p.body.factors[:-1] if last else p.body.factors[1:])
    else:
        p.body = identity(p.body.shape[0] if last else p.body.shape[1])
    return p.node()


def _entry_outside(value: Node, group: list[Node], shape: Shape) -> Node:
    rests = [hadamard((t, power(value, NEGATIVE))) for t in group]
    numbers = all(r.shape == SCALAR for r in rests)
    return hadamard((value, add(rests, SCALAR if numbers else shape)))


_OUTSIDE: dict[str, Callable[[object, list[Node], Shape], Node]] = {
    "scalar": _scalar_outside,
    "number": _number_outside,
    "symbol": _number_outside,
    "left": _side_outside(False),
    "right": _side_outside(True),
    "entry": _entry_outside,
}

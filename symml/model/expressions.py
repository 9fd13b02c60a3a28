"""One function for each kind of expression node; the table HANDLERS at the end is the room's index.

Sums and products are left-deep chains that may have thousands of terms: they are taken apart without recursion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING

import sympy
from sympy import Expr

from symml.errors import SpecError, SymmlError, UnsupportedError
from symml.ir.functions import FUNCTIONS, absolute, equal, less, less_equal, there
from symml.ir.program import Access, Domain, Index, accesses, fresh_indices
from symml.ir.reducers import REDUCERS
from symml.model import builtins, later, left, own, sets
from symml.model.values import Value, broadcast, elementwise, product_kind, scalar, transpose
from symml.source import Span
from symml.syntax import tree
from symml.syntax.words import nearest

if TYPE_CHECKING:
    from symml.model.lower import Lowering

Env = Mapping[str, Index]
LARGEST_POWER = 1100  # bits
GROWING = ("exp", "sinh", "cosh")
LARGEST_EXPONENT = 1e6  # of e to a number, whatever is made of it afterwards
LARGEST_MATRIX_POWER = 64
IDENTITY = "I"


def _number(low: Lowering, node: tree.Number, env: Env) -> Value:
    return scalar(exact(node.value))


def exact(value: int | float) -> Expr:
    """A literal as it was written: 0.1 is 1/10; very large and very small ones stay floating."""
    if isinstance(value, int):
        return sympy.Integer(value)
    if value == 0 or 1e-12 <= abs(value) <= 1e12:
        fraction = Fraction(repr(value))
        return sympy.Rational(fraction.numerator, fraction.denominator)
    return sympy.Float(value)


def _name(low: Lowering, node: tree.Name, env: Env) -> Value:
    if node.id in env:
        k = env[node.id]
        return scalar(k, Domain("label", size=k.size) if isinstance(k, Index) else None)
    if node.id in low.expanding:
        return low.at(node, ())
    return low.named(node.id, node.span)


def _transpose(low: Lowering, node: tree.Transpose, env: Env) -> Value:
    return transpose(low.expression(node.arg, env))


def _negate(low: Lowering, node: tree.Negate, env: Env) -> Value:
    return elementwise(lambda a: -a, low.expression(node.arg, env))


def _index(low: Lowering, node: tree.Index, env: Env) -> Value:
    label = node.base.id if isinstance(node.base, tree.Name) else "this"
    if label not in env and (label in low.expanding or _on_edges(low, node, env)):
        return _expanded(low, node, env)
    base = low.expression(node.base, env)
    if len(node.indices) > base.rank:
        raise SpecError(
            f"{label} is a {base.described()} and takes {base.rank} indices, not {len(node.indices)}", node.span
        )
    firsts = (*(low.firsts.get(label, ()) if label not in env else ()), *[sympy.Integer(0)] * base.rank)
    idx = tuple(
        _position(low, k, size, label, env, first)
        for k, size, first in zip(node.indices, base.shape, firsts, strict=False)
    )
    return Value(base.shape[len(idx) :], lambda rest: base.at((*idx, *rest)), domain=base.domain)


def _on_edges(low: Lowering, node: tree.Index, env: Env) -> bool:
    """Is this a definition over pairs, read at the two ends of edges only? It is computed there (rule 15)."""
    if not isinstance(node.base, tree.Name) or node.base.id not in low.definitions:
        return False
    ends = [env[k.id] for k in node.indices if isinstance(k, tree.Name) and k.id in env]
    return len([k for k in ends if isinstance(k, Access)]) > 1 and low.definitions[node.base.id][0].indices != ()


def _expanded(low: Lowering, node: tree.Index, env: Env) -> Value:
    """An element of a definition that is written out here."""
    definition = low.definitions[node.base.id][0]
    written = definition.indices
    idx = tuple(low.expression(k, env).scalar for k in node.indices)
    for p, (k, place) in enumerate(zip(idx[: len(written)], node.indices, strict=False)):
        if isinstance(left.said(definition, p), tree.Range):
            first, size = left.index_run(low, definition, p)
            _stays_inside(low, k, size, node.base.id, place, first)
    value = low.at(node.base, idx[: len(written)])
    rest = idx[len(written) :]
    if len(rest) > value.rank:
        raise SpecError(f"'{node.base.id}' takes {len(written) + value.rank} indices", node.span)
    return Value(value.shape[len(rest) :], lambda more: value.at((*rest, *more)), domain=value.domain)


def _position(low: Lowering, node: tree.Expr, size: Expr, label: str, env: Env, first: Expr) -> Expr:
    """One index of an element, checked against the axis it walks, and counted from the axis's first element."""
    known = (low.tensors, low.values, low.definitions, low.iterations, low.dims, low.broken, low.local, ("pi", "e"))
    if isinstance(node, tree.Name) and node.id not in env and not any(node.id in names for names in known):
        fix = nearest(node.id, env) or f"bind it, as in sum[{node.id}] ..."
        raise SpecError(f"unknown name '{node.id}'", node.span, fix=fix)
    value = low.expression(node, env)
    if value.rank:
        raise SpecError(f"an index is a number, this is a {value.described()}", node.span)
    k = value.scalar
    if first != 0 and k.is_integer:
        _stays_inside(low, k, size, label, node, first)
        return sympy.expand(k - first)
    if isinstance(k, Index) or (isinstance(k, Access) and k.tensor.integer):
        own = k.size if isinstance(k, Index) else first_and_size(k)[1]
        if own is not None and own != size and not _fits(low, k, size, own, node.span):
            raise SpecError(
                f"'{k.name}' ranges over {own}{low.declared(own)}, but this axis of '{label}' has size "
                f"{size}{low.declared(size)}",
                node.span,
                fix="give both the same dim, or use another index",
            )
        return k
    if k.is_Integer:
        if k < 0 or (size.is_Integer and k >= size):
            raise SpecError(f"index {k} is outside 0..{size - 1} of '{label}'", node.span)
        return k
    if k.is_integer and all(a.is_integer for a in k.free_symbols):
        _stays_inside(low, k, size, label, node)
        return k
    raise SpecError("an index is an index letter, a whole number, a label or a sum of those", node.span)


def first_and_size(k: Index | Access) -> tuple[int, Expr | None]:
    """An index or an integer entry runs over first..size-1; None where its size is not known."""
    if isinstance(k, Index):
        return 0, k.size
    domain = k.tensor.domain
    return (1, domain.size + 1) if domain.kind == "length" else (0, domain.size)


def _fits(low: Lowering, k: Expr, size: Expr, own: Expr, span: Span) -> bool:
    """May an index of another size walk this axis? Steps of a range may, and a part of the axis that is named as such."""
    if not isinstance(k, Index):
        return False
    if (size - own).is_nonnegative:
        return True
    return k in low.parts and low.require(size - own, span)


def _stays_inside(
    lowering: Lowering, k: Expr, size: Expr, label: str, node: tree.Expr, begin: Expr = left.ZERO
) -> None:
    """Refuse a computed index unless it lies in the axis (begin, size) for all values of what it is computed from."""
    low = high = sympy.expand(k)
    for v in sorted((s for s in k.free_symbols if isinstance(s, Index | Access)), key=str):
        first, own = first_and_size(v)
        slope = low.diff(v)
        if own is None or not slope.is_number:
            raise SpecError(f"an index of '{label}' is a sum of indices, labels and whole numbers", node.span)
        low = sympy.expand(low.subs(v, own - 1 if slope < 0 else first))
        high = sympy.expand(high.subs(v, own - 1 if slope > 0 else first))
    if lowering.require(low - begin, node.span) and lowering.require(begin + size - 1 - high, node.span):
        return
    over = f"runs over {low}..{high}" if low != high else f"is {low}"
    raise SpecError(
        f"this index of '{label}' {over}, outside {begin}..{sympy.expand(begin + size - 1)}",
        node.span,
        fix="say the range of its letters, as in ... for t in 1..T-1",
    )


def _binary(low: Lowering, node: tree.Binary, env: Env) -> Value:
    if node.op in ("+", "-"):
        return _sum(low, node, env)
    if node.op in ("^", ".^"):
        return _power(low, node, env)
    return _products(low, node, env)


def _sum(low: Lowering, node: tree.Binary, env: Env) -> Value:
    """A chain of + and -, taken apart without recursion: it may have thousands of terms."""
    terms: list[tuple[int, tree.Expr]] = []
    rest: tree.Expr = node
    while isinstance(rest, tree.Binary) and rest.op in ("+", "-"):
        terms.append((1 if rest.op == "+" else -1, rest.right))
        rest = rest.left
    every = [(1, rest), *reversed(terms)]
    beside = [(sign, of) for sign, term in every if (of := _of_identity(low, term, env)) is not None]
    plain = [(sign, term) for sign, term in every if _of_identity(low, term, env) is None]
    if beside and plain:
        return _with_identity(low, _added(low, plain, node.span, env), beside, env)
    return _added(low, every, node.span, env)


def _of_identity(low: Lowering, term: tree.Expr, env: Env) -> tuple[tree.Expr | None, tree.Name] | None:
    """What stands before an I that no line declares (None: nothing), as in `2 I`, and the I; None where there is none."""
    before, last = (
        (term.left, term.right) if isinstance(term, tree.Binary) and term.op in ("product", "*") else (None, term)
    )
    undeclared = (
        isinstance(last, tree.Name) and last.id == IDENTITY and not (IDENTITY in env or is_meant(low, IDENTITY))
    )
    return (before, last) if undeclared else None


def is_meant(low: Lowering, name: str) -> bool:
    """Does a line of the page give a name its meaning?"""
    return any(
        name in names for names in (low.tensors, low.definitions, low.iterations, low.dims, low.broken, low.local)
    )


def _with_identity(
    low: Lowering, value: Value, beside: list[tuple[int, tuple[tree.Expr | None, tree.Name]]], env: Env
) -> Value:
    """A sum with an I beside a square matrix, which has its size; factors of the I are numbers."""
    weights = []
    for sign, (factor, name) in beside:
        weight = low.expression(factor, env) if factor is not None else scalar(sympy.Integer(1))
        if weight.rank or value.rank != 2 or value.shape[0] != value.shape[1]:
            what = weight if weight.rank else value
            raise SpecError(
                f"I is an identity matrix, beside it stands a {what.described()}",
                name.span,
                fix="write it with its size, eye(n), beside anything but a square matrix",
            )
        weights.append(sign * weight.scalar)
    total = sympy.Add(*weights)
    return Value(value.shape, lambda idx: value.at(idx) + total * equal(*idx))


def _added(low: Lowering, terms: list[tuple[int, tree.Expr]], span: Span, env: Env) -> Value:
    """The sum of terms with signs, each broadcast to the widest."""
    values: list[Value] = []
    signs = []
    for sign, term in terms:
        value = low.expression(term, env)
        if not values:
            values, signs = [value], [sign]
            continue
        widest = max(values, key=lambda v: v.rank)
        broadcast(widest, value, term.span, "the sum")
        values.append(value)
        signs.append(sign)
    widest = max(values, key=lambda v: v.rank)
    fitted = [broadcast(widest, v, span, "the sum")[1] for v in values]
    return elementwise(lambda *parts: sympy.Add(*(s * p for s, p in zip(signs, parts, strict=True))), *fitted)


def _products(low: Lowering, node: tree.Binary, env: Env) -> Value:
    """A chain of * / .* ./ @ and juxtaposition, left to right."""
    chain: list[tuple[str, tree.Expr]] = []
    rest: tree.Expr = node
    while isinstance(rest, tree.Binary) and rest.op in ("*", "/", ".*", "./", "@", "product"):
        chain.append((rest.op, rest.right))
        rest = rest.left
    left = low.expression(rest, env)
    for op, factor in reversed(chain):
        left = _product(low, op, left, low.expression(factor, env), factor.span)
    return left


def _product(low: Lowering, op: str, a: Value, b: Value, span: Span) -> Value:
    if op in (".*", "./"):
        a, b = broadcast(a, b, span, "the entrywise product")
        return elementwise((lambda x, y: x * y) if op == ".*" else (lambda x, y: x / y), a, b)
    if op == "/":
        if b.rank:
            raise SpecError(f"division by a {b.described()}", span, fix="use ./ for entries")
        return elementwise(lambda x, y: x / y, a, b)
    kind = product_kind(a, b, span)
    if op == "*" and kind != "scale" and not low.star_multiplies:
        raise SpecError(
            f"'*' between a {a.described()} and a {b.described()}",
            span,
            fix="write @ or a blank for the matrix product, .* for entries",
        )
    if kind == "scale":
        return elementwise(lambda x, y: x * y, a, b)
    return _contracted(low, kind, a, b, span)


def _contracted(low: Lowering, kind: str, a: Value, b: Value, span: Span) -> Value:
    if kind == "outer":
        return Value((a.shape[0], b.shape[0]), lambda idx: a.at(idx[:1]) * b.at(idx[1:]))
    shape = (*a.shape[:-1], *b.shape[1:])
    cut = a.rank - 1
    value = low.contract(shape, a.shape[-1], lambda idx, j: a.at((*idx[:cut], j)) * b.at((j, *idx[cut:])), span)
    return replace(value, row=kind == "vecmat")


def _power(low: Lowering, node: tree.Binary, env: Env) -> Value:
    base = low.expression(node.left, env)
    if isinstance(node.right, tree.Name) and node.right.id == "T" and base.rank and "T" not in low.tensors:
        raise SpecError("'^T' is a power", node.span, fix="transpose with ', as in X'")
    exponent = low.expression(node.right, env)
    if exponent.rank:
        raise SpecError(f"an exponent is a number, this is a {exponent.described()}", node.right.span)
    if base.rank == 2 and node.op == "^":
        return _matrix_power(low, base, exponent.scalar, node.span)
    return elementwise(lambda a, k: _raised(a, k, node.span), base, exponent)


def _raised(a: Expr, k: Expr, span: Span) -> Expr:
    """a^k; a power of numbers is worked out exactly, so only while it is one that float64 holds."""
    if a.is_Rational and k.is_Rational and abs(k) * math.log2(max(abs(a.p), a.q)) > LARGEST_POWER:
        raise SpecError("this power of numbers is not representable in float64", span, fix="work with its logarithm")
    return a**k


def _matrix_power(low: Lowering, base: Value, exponent: Expr, span: Span) -> Value:
    if base.shape[0] != base.shape[1] or not (exponent.is_Integer and 1 <= abs(exponent) <= LARGEST_MATRIX_POWER):
        raise SpecError(
            f"the power of a {base.described()}",
            span,
            fix=f"M^k is for square M and a whole k from 1 to {LARGEST_MATRIX_POWER} or its negative; "
            "for entries write M .^ k",
        )
    square = builtins.operation(low, "inv", (base,), span) if exponent < 0 else base
    result, k = None, abs(int(exponent))
    while k:  # M^13 = M M^4 M^8
        if k % 2:
            result = square if result is None else _contracted(low, "matmul", result, square, span)
        k //= 2
        square = _contracted(low, "matmul", square, square, span) if k else square
    return result


def _norm(low: Lowering, node: tree.Norm, env: Env) -> Value:
    a = low.expression(node.arg, env)
    part = {"2": lambda x: x**2, "1": absolute, "inf": absolute}[node.order]
    total = low.total("max" if node.order == "inf" else "sum", elementwise(part, a), node.span)
    return elementwise(sympy.sqrt, total) if node.order == "2" else total


def _bars(low: Lowering, node: tree.Bars, env: Env) -> Value:
    found = sets.size(low, node, env)
    if found is not None:
        return found
    return elementwise(absolute, low.expression(node.arg, env))


def _iverson(low: Lowering, node: tree.Iverson, env: Env) -> Value:
    return test(low, node.test, env)


def test(low: Lowering, node: tree.Expr, env: Env) -> Value:
    """A test as a number 0 or 1."""
    if isinstance(node, tree.Logic):
        parts = [test(low, a, env) for a in node.args]
        if node.op == "not":
            return elementwise(lambda a: 1 - a, parts[0])
        if node.op == "and":
            return elementwise(lambda *a: sympy.Mul(*a), *parts)
        return elementwise(lambda *a: 1 - sympy.Mul(*(1 - x for x in a)), *parts)
    if not isinstance(node, tree.Compare):
        raise SpecError("a test is a comparison", node.span, fix="such as [p[i] > 1/2]")
    return _compare(low, node, env)


def _compare(low: Lowering, node: tree.Compare, env: Env) -> Value:
    table = {
        "<": less,
        "<=": less_equal,
        ">": lambda a, b: less(b, a),
        ">=": lambda a, b: less_equal(b, a),
        "=": equal,
        "!=": lambda a, b: 1 - equal(a, b),
    }
    first, parts = low.expression(node.first, env), []
    said = node.first
    for op, operand in node.rest:
        if op == "in":
            parts.append(_member(low, said, first, operand, env))
            continue
        if op not in table:
            raise UnsupportedError(f"a test with '{op}' is not supported yet", operand.span)
        right = low.expression(operand, env)
        a, b = broadcast(first, right, operand.span, "the comparison")
        parts.append(elementwise(table[op], a, b))
        first, said = right, operand
    return elementwise(lambda *a: sympy.Mul(*a), *parts) if len(parts) > 1 else parts[0]


def _member(low: Lowering, said: tree.Expr, value: Value, node: tree.Expr, env: Env) -> Value:
    """`x in {1, 2}`, `x in 1..3`, `x in [0, 1)`, `i in S`: 1 where it holds."""
    if isinstance(node, tree.Name) and (t := sets.subset(low, node)) is not None:
        return scalar(Access(t, (_position(low, said, t.shape[0], node.id, env, left.ZERO),)))
    if isinstance(node, tree.SetLiteral):
        ones = [low.expression(item, env) for item in node.items]
        return elementwise(lambda x, *items: 1 - sympy.Mul(*(1 - equal(x, i) for i in items)), value, *ones)
    if isinstance(node, tree.Range | tree.Interval):
        low_end, high_end = (low.expression(end, env) for end in (node.low, node.high))
        closed = node.closed if isinstance(node, tree.Interval) else (True, True)
        above, below = (less_equal if end else less for end in closed)
        return elementwise(lambda x, a, b: above(a, x) * below(x, b), value, low_end, high_end)
    raise SpecError("a test with 'in' wants {1, 2}, a..b, an interval or a subset", node.span)


def _reduction(low: Lowering, node: tree.Reduction, env: Env) -> Value:
    found = sets.over_neighbours(low, node, env)
    if found is not None:
        return found
    r = sets.ranges(low, node, env)
    guards = [] if r.guard is None else [r.guard]
    guards += [] if node.where is None else [test(low, node.where, r.env).scalar]
    guard = sympy.Mul(*guards) if guards else None
    value = scalar(sympy.Integer(1)) if node.body is None else low.expression(node.body, r.env)
    kind = {"mean": "sum", "count": "sum"}.get(node.kind, node.kind)
    if kind in ("argmax", "argmin") and len(r.over) != 1:
        raise SpecError(f"{kind} runs over one index", node.span)
    if kind in ("argmax", "argmin") and r.env[node.binders[0].names[0].id] != r.over[0]:
        raise UnsupportedError(f"{kind} over a range that does not begin at 0 is not supported yet", node.span)
    rest = fresh_indices(value.shape, "pqr")
    body = value.at(rest)
    out, free = low.reduce(kind, r.over, body, node.span, keep=rest, guard=guard)
    count: Expr = sympy.Integer(1)
    if node.kind == "mean" and guard is None and not low.lacking:
        count = sympy.Mul(*(k.size for k in r.over))
    elif node.kind == "mean":
        one = there(*accesses(body)) if low.lacking and accesses(body) else sympy.Integer(1)
        counted, counted_free = low.reduce("sum", r.over, one, node.span, guard=guard)
        count = Access(counted, counted_free)
    return Value(value.shape, lambda idx: Access(out, (*free, *idx)) / count, row=value.row, domain=out.domain)


def _call(low: Lowering, node: tree.Call, env: Env) -> Value:
    determinant = builtins.determinant_in_bars(node)
    if determinant is not None:
        return builtins.operation(low, "logabsdet", (low.expression(determinant.args[0], env),), node.span)
    if node.function in builtins.BUILTINS:
        return builtins.BUILTINS[node.function](low, node, env)
    if node.function in low.functions:
        return own.call(low, node, env)
    row = FUNCTIONS.get(node.function)
    if row is None or node.function in builtins.INTERNAL:
        raise _not_a_function(low, node)
    expected = 2 if node.function in ("max", "min") else 1
    if len(node.args) != expected:
        f = node.function
        fix = f"{f}[i] x[i] over an index, {f}(a, {f}(b, c)) of three numbers" if f in ("max", "min") else ""
        raise SpecError(f"{f} takes {expected} argument{'s'[: expected - 1]}", node.span, fix=fix)
    args = [low.expression(a, env) for a in node.args]
    if len(args) == 2:
        args = list(broadcast(*args, node.span, f"{node.function}"))
    for value in args:
        if not value.rank and value.scalar.is_number and node.function in GROWING and not _is_bearable(value.scalar):
            raise SpecError(
                f"this {node.function} of a number leaves what float64 has", node.span, fix="work with its logarithm"
            )
    return elementwise(row.symbol, *args)


def _is_bearable(number: Expr) -> bool:
    """Is a number one that sympy can raise e to? (It would work out exp(exp(10^9)) to all its digits.)"""
    try:
        return abs(float(number)) <= LARGEST_EXPONENT
    except OverflowError:
        return False
    except TypeError:
        return True  # not real: refused with the statement


def _not_a_function(low: Lowering, node: tree.Call) -> SymmlError:
    name = node.function
    if name in REDUCERS or name in ("mean", "count"):
        return SpecError(f"'{name}(' is not a call", node.span, fix=f"a reduction names its index: {name}[i] x[i]")
    if name in low.tensors or name in low.definitions:
        return SpecError(f"'{name}' is not a function", node.span, fix=f"a product needs a blank: {name} (...)")
    if name in builtins.OTHERWISE:
        return SpecError(f"unknown function '{name}'", node.span, fix=builtins.OTHERWISE[name])
    if name in builtins.LATER or name in later.FUNCTIONS:
        return UnsupportedError(f"'{name}' is not supported yet", node.span)
    known = [f for f in (*FUNCTIONS, *builtins.BUILTINS, *low.functions) if f not in builtins.INTERNAL]
    return SpecError(
        f"unknown function '{name}'", node.span, fix=nearest(name, known) or f"known are {', '.join(sorted(known))}"
    )


HANDLERS: Mapping[type, Callable[[Lowering, tree.Expr, Env], Value]] = MappingProxyType(
    {
        tree.Number: _number,
        tree.Name: _name,
        tree.Transpose: _transpose,
        tree.Negate: _negate,
        tree.Index: _index,
        tree.Binary: _binary,
        tree.Norm: _norm,
        tree.Bars: _bars,
        tree.Iverson: _iverson,
        tree.Reduction: _reduction,
        tree.Call: _call,
        tree.Cases: own.cases,
    }
)

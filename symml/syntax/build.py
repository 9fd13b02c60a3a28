"""Grammar rules to nodes of the Tree, called bottom-up by the parser: nothing here recurses.

A method of `Build` is named like its rule; spans run from the first to the last token on the first line.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from lark import Token
from lark import Tree as ParseTree

from symml.errors import SpecError
from symml.source import Source, Span
from symml.syntax import tree
from symml.syntax.layout import DEEPEST
from symml.syntax.words import ascii_name

LARGEST_INTEGER = 2**63
NO_DIVISION_AFTER = ("prod", "max", "min", "logsumexp", "argmax", "argmin")


def inline(method: Callable) -> Callable:
    """Mark a method that takes its parts as arguments."""
    method.inline = True
    return method


class Build:
    """One statement's nodes. `depth` holds how deep each node nests, to refuse what would exhaust any later stage."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.depth: dict[int, int] = {}
        self.wide: set[int] = set()
        self.kept: list[object] = []

    def __call__(self, parsed: ParseTree) -> object:
        """The node of a parse tree, leaves first."""
        made: dict[int, object] = {}
        for part in parsed.iter_subtrees():
            children = [made[id(c)] if isinstance(c, ParseTree) else c for c in part.children]
            method = getattr(self, str(part.data))
            made[id(part)] = method(*children) if hasattr(method, "inline") else method(children)
        return made[id(parsed)]

    # places

    def span(self, *parts: object) -> Span:
        """From the first part to the last that stands on the same line."""
        places = [p for p in map(self._place, parts) if p is not None]
        line, column, _ = min(places)
        stop = max(end for at, _, end in places if at == line)
        return Span(self.source, line, column, max(1, stop - column))

    def _place(self, part: object) -> tuple[int, int, int] | None:
        if isinstance(part, Token):
            return part.line, part.column, part.end_column
        if isinstance(part, tree.Node):
            return part.span.line, part.span.column, part.span.column + part.span.width
        return None

    def deep(self, node: tree.Expr, *parts: object, chain: object = None) -> tree.Expr:
        """Register a node's nesting; the left part of a chain (a sum, a product) does not count as deeper."""
        inner = max((self.depth.get(id(p), 0) + 1 for p in parts), default=0)
        self.depth[id(node)] = max(inner, self.depth.get(id(chain), 0))
        self.kept.append(node)    # keeps ids unique while the statement is built
        if self.depth[id(node)] > DEEPEST:
            raise SpecError(f"expression nested deeper than {DEEPEST}", node.span,
                            fix="define the inner part under a name of its own")
        return node

    # expressions

    @inline
    def name(self, token: Token) -> tree.Name:
        return tree.Name(ascii_name(str(token)), span=self.span(token))

    @inline
    def number(self, token: Token) -> tree.Number:
        text, span = str(token), self.span(token)
        if text.isdigit():
            if len(text) > 19 or int(text) >= LARGEST_INTEGER:
                raise SpecError(f"the whole number {text[:24]}{'...' * (len(text) > 24)} is too large", span, fix="write it with an exponent")
            return tree.Number(int(text), span=span)
        value = float(text)
        if not math.isfinite(value) or (value == 0 and any(c in "123456789" for c in text.lower().split("e")[0])):
            raise SpecError(f"the literal {text} is not representable in float64", span)
        return tree.Number(value, span=span)

    def _chain(self, op: str, left: tree.Expr, right: tree.Expr, place: object = None) -> tree.Expr:
        node = tree.Binary(op, left, right, span=self.span(place, right) if place else self.span(left, right))
        return self.deep(node, right, chain=left)

    @inline
    def add(self, left: tree.Expr, plus: Token, right: tree.Expr) -> tree.Expr:
        return self._chain("+", left, right)

    @inline
    def subtract(self, left: tree.Expr, minus: Token, right: tree.Expr) -> tree.Expr:
        return self._chain("-", left, right)

    @inline
    def multiply(self, left: tree.Expr, mark: Token, right: tree.Expr) -> tree.Expr:
        op = {"ENTRY_TIMES": ".*", "ENTRY_DIVIDE": "./", "TIMES": "*", "MATMUL": "@"}.get(mark.type, "/")
        node = self._chain(op, left, right)
        if mark.type == "WIDE_DIVIDE":
            self.wide.add(id(node))
        return node

    @inline
    def juxtapose(self, left: tree.Expr, right: tree.Expr) -> tree.Expr:
        if id(left) in self.wide:
            raise SpecError("a / with blanks divides by one factor, and more follow", self.span(left, right),
                            fix="write (a / b) c, a/b c or a / (b c)")
        return self._chain("product", left, right)

    @inline
    def negate(self, minus: Token, arg: tree.Expr) -> tree.Expr:
        return self.deep(tree.Negate(arg, span=self.span(minus, arg)), arg)

    @inline
    def raised(self, base: tree.Expr, _: Token, exponent: tree.Expr) -> tree.Expr:
        return self.deep(tree.Binary("^", base, exponent, span=self.span(base, exponent)), base, exponent)

    @inline
    def apply(self, function: Token, arg: tree.Expr) -> tree.Expr:
        return self.deep(tree.Call(str(function), (arg,), True, span=self.span(function, arg)), arg)

    def call(self, parts: list) -> tree.Expr:
        args = tuple(p for p in parts if isinstance(p, tree.Expr))
        return self.deep(tree.Call(ascii_name(str(parts[0])), args, span=self.span(*parts)), *args)

    @inline
    def bracket(self, left: Token, inner: tree.Expr, right: Token) -> tree.Expr:
        """Brackets leave no node, but they end a chain."""
        self.wide.discard(id(inner))
        return inner

    def index(self, parts: list) -> tree.Expr:
        base, *idx = [p for p in parts if isinstance(p, tree.Expr)]
        return self.deep(tree.Index(base, tuple(idx), span=self.span(*parts)), *idx, chain=base)

    @inline
    def transpose(self, base: tree.Expr, mark: Token) -> tree.Expr:
        return self.deep(tree.Transpose(base, span=self.span(base, mark)), base)

    def norm(self, parts: list) -> tree.Expr:
        order = str(parts[-1])[1:] if parts[-1].type == "NORM_ORDER" else "2"
        return self.deep(tree.Norm(parts[1], order, span=self.span(*parts)), parts[1])

    def bars(self, parts: list) -> tree.Expr:
        return self.deep(tree.Bars(parts[1], span=self.span(*parts)), parts[1])

    def iverson(self, parts: list) -> tree.Expr:
        return self.deep(tree.Iverson(parts[1], span=self.span(*parts)), parts[1])

    # reductions

    def binder(self, parts: list) -> tuple[tree.Name, tree.Expr | None]:
        nodes = [p for p in parts if isinstance(p, tree.Node)]
        return nodes[0], (nodes[1] if len(nodes) > 1 else None)

    def binders(self, parts: list) -> tuple[tuple[tree.Binder, ...], tree.Expr | None]:
        """`i, j in S`: the names before a set share it."""
        grouped: list[tree.Binder] = []
        waiting: list[tree.Name] = []
        for name, domain in (p for p in parts if isinstance(p, tuple)):
            waiting.append(name)
            if domain is not None:
                grouped.append(tree.Binder(tuple(waiting), domain, span=self.span(waiting[0], domain)))
                waiting = []
        if waiting:
            grouped.append(tree.Binder(tuple(waiting), None, span=self.span(*waiting)))
        condition = parts[-1] if isinstance(parts[-1], tree.Expr) else None
        return tuple(grouped), condition

    def reduction(self, parts: list) -> tree.Expr:
        kind, bound, body = parts[0], parts[2], parts[4]
        return self._reduce(kind, bound, body)

    def reduction_negative(self, parts: list) -> tree.Expr:
        kind, bound, minus, body = parts[0], parts[2], parts[4], parts[5]
        return self._reduce(kind, bound, self.negate_node(minus, body))

    def negate_node(self, minus: Token, body: tree.Expr) -> tree.Expr:
        return self.deep(tree.Negate(body, span=self.span(minus, body)), body)

    def _reduce(self, kind: Token, bound: tuple, body: tree.Expr) -> tree.Expr:
        chain = body.arg if isinstance(body, tree.Negate) else body
        if str(kind) in NO_DIVISION_AFTER and isinstance(chain, tree.Binary) and chain.op == "/":
            raise SpecError(f"a / after the body of {kind} may belong inside or outside", chain.span,
                            fix=f"write ({kind}[...] ...)/c or {kind}[...] (.../c)")
        binders, condition = bound
        node = tree.Reduction(str(kind), binders, condition, body, span=self.span(kind, body))
        return self.deep(node, body, *([condition] if condition else []))

    def count(self, parts: list) -> tree.Expr:
        binders, condition = parts[2]
        return tree.Reduction("count", binders, condition, None, span=self.span(*parts))

    def range(self, parts: list) -> tree.Expr:
        return tree.Range(parts[0], parts[2], span=self.span(*parts))

    # tests and domains

    def compare(self, parts: list) -> tree.Expr:
        rest = tuple((str(op).replace("≤", "<=").replace("≥", ">=").replace("≠", "!="), operand)
                     for op, operand in zip(parts[1::2], parts[2::2], strict=True))
        return self.deep(tree.Compare(parts[0], rest, span=self.span(*parts)), *(p for p in parts if isinstance(p, tree.Expr)))

    def within(self, parts: list) -> tree.Expr:
        return tree.Compare(parts[0], (("in", parts[2]),), span=self.span(*parts))

    def either(self, parts: list) -> tree.Expr:
        return self._logic("or", parts)

    def both(self, parts: list) -> tree.Expr:
        return self._logic("and", parts)

    def negation(self, parts: list) -> tree.Expr:
        return self._logic("not", parts)

    def _logic(self, op: str, parts: list) -> tree.Expr:
        args = tuple(p for p in parts if isinstance(p, tree.Expr))
        return self.deep(tree.Logic(op, args, span=self.span(*parts)), *args)

    def set_literal(self, parts: list) -> tree.Expr:
        return tree.SetLiteral(tuple(p for p in parts if isinstance(p, tree.Expr)), span=self.span(*parts))

    def _interval(self, parts: list, closed: tuple[bool, bool]) -> tree.Expr:
        low, high = (p for p in parts if isinstance(p, tree.Expr))
        return tree.Interval(low, high, closed, span=self.span(*parts))

    def interval_open(self, parts: list) -> tree.Expr:
        return self._interval(parts, (False, False))

    def interval_left(self, parts: list) -> tree.Expr:
        return self._interval(parts, (True, False))

    def interval_closed(self, parts: list) -> tree.Expr:
        return self._interval(parts, (True, True))

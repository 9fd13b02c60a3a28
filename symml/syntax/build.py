"""Grammar rules to nodes of the Tree, leaves first: nothing here recurses.

A method of `Build` is named like its rule; spans run from the first to the last token on the first line.

    Build(source).node(lark tree of "a + b")  ->  Binary("+", Name("a"), Name("b"))
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields

from lark import Token
from lark import Tree as ParseTree

from symml.errors import SpecError
from symml.source import Source, Span
from symml.syntax import tree
from symml.syntax.postlex import DEEPEST
from symml.syntax.words import ascii_mark, ascii_name

LARGEST_INTEGER = 2**63
LONGEST_SHOWN = 24  # characters of a literal in a message
NO_DIVISION_AFTER = ("prod", "max", "min", "logsumexp", "argmax", "argmin")
PRODUCTS = ("*", "/", ".*", "./", "@", "product")
OPERATIONS = {"ENTRY_TIMES": ".*", "ENTRY_DIVIDE": "./", "TIMES": "*", "MATMUL": "@", "DIVIDE": "/", "WIDE_DIVIDE": "/"}


def inline(method: Callable) -> Callable:
    """Mark a method that takes its parts as arguments."""
    method.inline = True
    return method


class Build:
    """One statement's nodes; `offset` is the number of lines above the statement's text."""

    def __init__(self, source: Source, offset: int = 0) -> None:
        self.source, self.offset = source, offset
        self.bracketed: dict[int, tree.Expr] = {}  # by identity; the nodes are kept, so that no identity is reused

    def node(self, parsed: ParseTree) -> tree.Node:
        """The node of a parse tree, leaves first, its nesting checked."""
        made: dict[int, object] = {}
        for part in parsed.iter_subtrees():
            children = [made[id(c)] if isinstance(c, ParseTree) else c for c in part.children]
            method = getattr(self, str(part.data))
            made[id(part)] = method(*children) if hasattr(method, "inline") else method(children)
        result = made[id(parsed)]
        if len(made) > DEEPEST:
            refuse_depth(result)
        return result

    # places

    def span(self, *parts: object) -> Span:
        """From the first part to the last that stands on the same line."""
        places = [p for p in map(self._place, parts) if p is not None]
        line, column, _ = min(places)
        stop = max(end for at, _, end in places if at == line)
        return Span(self.source, line, column, max(1, stop - column))

    def _place(self, part: object) -> tuple[int, int, int] | None:
        if isinstance(part, Token):
            return part.line + self.offset, part.column, part.end_column
        if isinstance(part, tree.Node):
            return part.span.line, part.span.column, part.span.column + part.span.width
        return None

    # atoms

    @inline
    def name(self, token: Token) -> tree.Name:
        return tree.Name(ascii_name(str(token)), span=self.span(token))

    @inline
    def text(self, token: Token) -> tree.Text:
        return tree.Text(str(token)[1:-1], span=self.span(token))

    @inline
    def number(self, token: Token) -> tree.Number:
        """An int below 2^63, or a float64 that is neither infinite nor zero by underflow."""
        text, span = str(token), self.span(token)
        shown = text[:LONGEST_SHOWN] + "..." * (len(text) > LONGEST_SHOWN)
        if text.isdigit():
            digits = text.lstrip("0") or "0"
            if len(digits) > 19 or int(digits) >= LARGEST_INTEGER:
                raise SpecError(
                    f"the whole number {shown} is not below 2^63", span, fix="write it with an exponent, such as 1e20"
                )
            return tree.Number(int(digits), span=span)
        value = float(text)
        underflows = value == 0 and any(c in "123456789" for c in text.lower().split("e")[0])
        if not math.isfinite(value) or underflows:
            raise SpecError(
                f"the literal {shown} is not representable in float64", span, fix="it has 5e-324 to 1.8e308, and 0"
            )
        return tree.Number(value, span=span)

    # sums and products

    @inline
    def add(self, left: tree.Expr, plus: Token, right: tree.Expr) -> tree.Expr:
        return tree.Binary("+", left, right, span=self.span(left, right))

    @inline
    def subtract(self, left: tree.Expr, minus: Token, right: tree.Expr) -> tree.Expr:
        return tree.Binary("-", left, right, span=self.span(left, right))

    @inline
    def multiply(self, left: tree.Expr, mark: Token, right: tree.Expr) -> tree.Expr:
        return tree.Binary(OPERATIONS[mark.type], left, right, span=self.span(left, right))

    @inline
    def juxtapose(self, left: tree.Expr, right: tree.Expr) -> tree.Expr:
        return tree.Binary("product", left, right, span=self.span(left, right))

    @inline
    def negate(self, minus: Token, arg: tree.Expr) -> tree.Expr:
        return tree.Negate(arg, span=self.span(minus, arg))

    @inline
    def raised(self, base: tree.Expr, mark: Token, exponent: tree.Expr) -> tree.Expr:
        return tree.Binary(str(mark), base, exponent, span=self.span(base, exponent))

    @inline
    def apply(self, function: Token, arg: tree.Expr) -> tree.Expr:
        return tree.Call(str(function), (arg,), True, span=self.span(function, arg))

    def call(self, parts: list) -> tree.Expr:
        return tree.Call(ascii_name(str(parts[0])), _expressions(parts), span=self.span(*parts))

    @inline
    def bracket(self, left: Token, inner: tree.Expr, right: Token) -> tree.Expr:
        """Round brackets leave no node; that they stood there matters to a / in a reduction."""
        self.bracketed[id(inner)] = inner
        return inner

    def index(self, parts: list) -> tree.Expr:
        base, *indices = _expressions(parts)
        return tree.Index(base, tuple(indices), span=self.span(*parts))

    @inline
    def transpose(self, base: tree.Expr, mark: Token) -> tree.Expr:
        return tree.Transpose(base, span=self.span(base, mark))

    def norm(self, parts: list) -> tree.Expr:
        """`||x||`, `||x||_2` and `||X||_F` are one norm: the root of the sum of squares."""
        order = str(parts[-1])[1:] if parts[-1].type == "NORM_ORDER" else "2"
        return tree.Norm(parts[1], "2" if order == "F" else order, span=self.span(*parts))

    def bars(self, parts: list) -> tree.Expr:
        return tree.Bars(parts[1], span=self.span(*parts))

    def iverson(self, parts: list) -> tree.Expr:
        return tree.Iverson(parts[1], span=self.span(*parts))

    # reductions

    def binder(self, parts: list) -> tuple[tree.Name, tree.Expr | None]:
        """One name of a list; `binders` joins those that share a set."""
        nodes = [p for p in parts if isinstance(p, tree.Node)]
        return nodes[0], (nodes[1] if len(nodes) > 1 else None)

    def binders(self, parts: list) -> tuple[tuple[tree.Binder, ...], tree.Expr | None]:
        condition = parts[-1] if isinstance(parts[-1], tree.Expr) else None
        return self.grouped_binders(parts), condition

    def grouped_binders(self, parts: list) -> tuple[tree.Binder, ...]:
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
        return tuple(grouped)

    def reduction(self, parts: list) -> tree.Expr:
        (binders, condition), body = parts[2], parts[4]
        kind = ascii_mark(str(parts[0]))
        self._refuse_division(kind, binders, body)
        return tree.Reduction(kind, binders, condition, body, span=self.span(parts[0], body))

    def _refuse_division(self, kind: str, binders: tuple[tree.Binder, ...], body: tree.Expr) -> None:
        """`max[i] x[i]/n`: a / after something that the index runs through could belong outside."""
        if kind not in NO_DIVISION_AFTER:
            return
        part = body.arg if isinstance(body, tree.Negate) else body
        while self._is_product(part) and part.op != "/":
            part = part.left
        if not self._is_product(part):
            return
        bound = {name.id for binder in binders for name in binder.names}
        if any(isinstance(n, tree.Name) and n.id in bound for n in tree.walk(part.left)):
            raise SpecError(
                f"a / after the body of {kind} may belong inside or outside",
                part.span,
                fix=f"write ({kind}[...] ...)/c or {kind}[...] (.../c)",
            )

    def _is_product(self, part: tree.Expr) -> bool:
        return isinstance(part, tree.Binary) and part.op in PRODUCTS and id(part) not in self.bracketed

    def count(self, parts: list) -> tree.Expr:
        binders, condition = parts[2]
        return tree.Reduction("count", binders, condition, None, span=self.span(*parts))

    def range(self, parts: list) -> tree.Expr:
        return tree.Range(parts[0], parts[2], span=self.span(*parts))

    # tests and domains

    def compare(self, parts: list) -> tree.Expr:
        rest = tuple((ascii_mark(str(op)), operand) for op, operand in zip(parts[1::2], parts[2::2], strict=True))
        return tree.Compare(parts[0], rest, span=self.span(*parts))

    def within(self, parts: list) -> tree.Expr:
        return tree.Compare(parts[0], (("in", parts[2]),), span=self.span(*parts))

    def either(self, parts: list) -> tree.Expr:
        return tree.Logic("or", _expressions(parts), span=self.span(*parts))

    def both(self, parts: list) -> tree.Expr:
        return tree.Logic("and", _expressions(parts), span=self.span(*parts))

    def negation(self, parts: list) -> tree.Expr:
        return tree.Logic("not", _expressions(parts), span=self.span(*parts))

    def grouped(self, parts: list) -> tree.Expr:
        return parts[1]

    def set_literal(self, parts: list) -> tree.Expr:
        return tree.SetLiteral(_expressions(parts), span=self.span(*parts))

    def builder(self, parts: list) -> tree.Expr:
        """`{i in S, j where cond}`: the first name and its set stand bare, the others are binders."""
        name, domain = (p for p in parts[:4] if isinstance(p, tree.Node))
        last = parts[-2] if isinstance(parts[-3], Token) and parts[-3].type == "WHERE" else None
        return tree.SetBuilder(self.grouped_binders([(name, domain), *parts]), last, span=self.span(*parts))

    def interval(self, parts: list) -> tree.Expr:
        low, high = _expressions(parts)
        return tree.Interval(low, high, (str(parts[0]) == "[", str(parts[-1]) == "]"), span=self.span(*parts))


def _expressions(parts: list) -> tuple[tree.Expr, ...]:
    return tuple(p for p in parts if isinstance(p, tree.Expr))


def refuse_depth(root: tree.Node) -> None:
    """Nodes in nodes are bounded; the left part of a sum or product stands on one level with it."""
    todo: list[tuple[object, int]] = [(root, 0)]
    while todo:
        part, depth = todo.pop()
        if isinstance(part, tuple):
            todo += [(p, depth) for p in reversed(part)]
        if not isinstance(part, tree.Node) or isinstance(part, tree.Name | tree.Number):
            continue
        inner = depth + isinstance(part, tree.Expr)
        if inner > DEEPEST:
            raise SpecError(
                f"expression nested deeper than {DEEPEST}",
                part.span,
                fix="define the inner part under a name of its own",
            )
        chain = part.left if isinstance(part, tree.Binary) and part.op not in ("^", ".^") else None
        below = [getattr(part, f.name) for f in fields(part) if f.name not in ("span", "source")]
        todo += [(p, depth if p is chain else inner) for p in reversed(below)]

"""Numeric forms across statements: 1 - s where s is a sigmoid of its own, and roots of sums of squares.

s[i] = sigmoid(u[i]);  f[i] = s[i] (1 - s[i])     ->   f[i] = s[i] sigmoid(-u[i])
t = sum[i] x[i]^2;     r = sqrt(t)                ->   r from two more sums, of large and of small x scaled, where t leaves
                                                      the range of floats. Blue, ACM TOMS 4 (1978), with three sums
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import sympy
from sympy import Expr, Float

from symml.ir.functions import absolute, less, select, sigmoid
from symml.ir.program import Access, Node, Program, Statement, Tensor, direct_accesses, flat, refresh, substitute
from symml.names import Names
from symml.rewrite.numeric.shapes import HALF, square_root_of

SCALE = 2.0**460  # entries up to 1e15 and down to 1e-300 stay floats in both sums
SMALL, LARGE = 1e-280, 1e300  # of a sum of squares that is near the ends of floats


def across(program: Program) -> Program:
    """The program with both forms; itself where neither is met."""
    single = Counter(s.out for s in flat(program.statements))
    sigmoids: dict[Tensor, Statement] = {}
    squares: dict[Tensor, Statement] = {}
    scaled: dict[Tensor, tuple[Tensor, Tensor]] = {}
    names, new = Names(t.name for t in program.tensors()), []
    for node in program.statements:
        if isinstance(node, Statement):
            node = _roots(_complements(node, sigmoids), squares, scaled, names, new)
            if node.is_map and single[node.out] == 1 and isinstance(node.body, sigmoid):
                sigmoids[node.out] = node
            elif single[node.out] == 1 and _is_sum_of_squares(node):
                squares[node.out] = node
        new.append(node)
    return program.with_statements(new)


def _complements(s: Statement, sigmoids: dict[Tensor, Statement]) -> Statement:
    """1 - s[i] as the sigmoid of the other sign."""
    table: dict[Expr, Expr] = {}
    for e in s.body.atoms(sympy.Add):
        if len(e.args) == 2 and e.args[0] == 1 and isinstance(-e.args[1], Access) and (-e.args[1]).tensor in sigmoids:
            a = -e.args[1]
            source = sigmoids[a.tensor]
            table[e] = sigmoid(-substitute(source.body.args[0], dict(zip(source.lhs, a.idx, strict=True))))
    return s.with_body(s.body.xreplace(table)) if table else s


def _is_sum_of_squares(s: Statement) -> bool:
    return s.reduce == "sum" and s.mode == "=" and s.covers and bool(s.reduced) and square_root_of(s.body) is not None


def _roots(
    s: Statement,
    squares: dict[Tensor, Statement],
    scaled: dict[Tensor, tuple[Tensor, Tensor]],
    names: Names,
    new: list[Node],
) -> Statement:
    """sqrt(t) and 1/sqrt(t) of a sum of squares t."""
    table: dict[Expr, Expr] = {}
    for e in sorted(s.body.atoms(sympy.Pow), key=str):
        t = e.base
        if not (
            abs(e.exp) == HALF and isinstance(t, Access) and t.tensor in squares and set(direct_accesses(t)) == {t}
        ):
            continue
        if t.tensor not in scaled:
            scaled[t.tensor] = tuple(_scaled(squares[t.tensor], k, names, new) for k in (1 / SCALE, SCALE))
        large, small = (sympy.sqrt(Access(u, t.idx)) for u in scaled[t.tensor])
        root = select(
            less(t, Float(SMALL)),
            small * Float(1 / SCALE),
            select(less(t, Float(LARGE)), sympy.sqrt(t), large * Float(SCALE)),
        )
        table[e] = root if e.exp > 0 else 1 / root
    return s.with_body(s.body.xreplace(table)) if table else s


def _scaled(s: Statement, factor: float, names: Names, new: list[Node]) -> Tensor:
    """The sum of the squares of scaled entries."""
    out = Tensor(names.fresh("scaled"), s.out.shape)
    entry = absolute(Float(factor) * square_root_of(s.body))  # a function of its own: sympy would square the factor
    new.append(refresh(replace(s, out=out, body=entry**2)))
    return out

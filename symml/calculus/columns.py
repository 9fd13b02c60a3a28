"""A program that is linear in a tensor v, as the array of its coefficients: the Jacobian of J' u by u, of H v by v.

    O[lhs] = sum c A[idx]      ->      O[lhs, J] = sum c A[idx, J]       J: the indices of v
    O[lhs] = sum c v[idx]      ->      O[lhs, idx] += sum c              no Kronecker delta: the left side takes the index

An axis of v that is always one of a tensor's own indices is *tied* to it and is not stored: of O[i, k, i, q] the array
O[i, k, q] is kept, I (x) A stays A, a diagonal stays a vector. Only the output is written out, with its repeated
left-side index, and even there nothing is filled in that is 0. Source: the bookkeeping of reverse.py, read forward.

    columns(program, v, "d_w").program   output d_w[w's axes, v's axes];   leading: [v's axes, w's axes]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import sympy
from sympy import Expr

from symml.errors import UnsupportedError
from symml.ir.functions import equal
from symml.ir.program import (
    Access,
    Index,
    Iterate,
    Library,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    change,
    direct_accesses,
    fresh_indices,
    indices,
    outs,
    reads,
)
from symml.names import Names
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify

Ties = Mapping[int, int]  # axis of v -> position among a tensor's own indices


@dataclass(frozen=True)
class Columns:
    """`program` has the full array as its output; `stored` is the array without its tied axes, on the way to it.

    ties: axis of v -> axis of the output that it always equals; rank: how many axes the output has without v's.
    """

    program: Program
    stored: Tensor
    ties: Ties
    rank: int

    @property
    def full(self) -> Tensor:
        """The array with all of its axes."""
        (t,) = self.program.outputs.values()
        return t

    @property
    def diagonal(self) -> bool:
        """Are all axes of v tied?"""
        return bool(self.ties) and len(self.stored.shape) == self.rank


@dataclass
class _Pass:
    """The tensor v, the ties of each tensor that is linear in it, and what stands for it."""

    v: Tensor
    names: Names
    ties: dict[Tensor, Ties] = field(default_factory=dict)
    of: dict[Tensor, Tensor] = field(default_factory=dict)

    def moves(self, t: Tensor) -> bool:
        return t is self.v or t in self.ties

    def free(self, t: Tensor) -> list[int]:
        """The axes of v that are stored with a tensor."""
        return [k for k in range(len(self.v.shape)) if k not in self.ties[t]]

    def target(self, t: Tensor) -> Tensor:
        if t not in self.of:
            shape = (*t.shape, *(self.v.shape[k] for k in self.free(t)))
            self.of[t] = Tensor(self.names.fresh("D"), shape)
        return self.of[t]


def columns(program: Program, v: Tensor, output: str, leading: bool = False) -> Columns:
    """For each entry of `output` its coefficients of v, which is read no more."""
    program = prune(program, output)
    p, y = _Pass(v, Names(t.name for t in program.tensors())), program.outputs[output]
    for node in program.statements:
        _tie(node, p)
    nodes: list[Node] = []
    for node in program.statements:
        nodes += _columns(node, p) if any(p.moves(t) for t in reads(node)) else [node]
    full = Tensor(p.names.fresh("D"), (*v.shape, *y.shape) if leading else (*y.shape, *v.shape))
    if y in p.ties:
        nodes.append(_written_out(y, full, leading, p))
    else:
        k = fresh_indices(full.shape, "ijklmpqr")
        nodes.append(Statement(full, k, "=", "none", k, sympy.Integer(0)))
        p.ties[y] = {}
    inputs = tuple(t for t in program.inputs if t is not v)
    found = Program(inputs, tuple(nodes), {output: full, "stored": p.of.get(y, full)}, program.requires)
    found = simplify(simplify(prune(found, output, "stored")).mapped(counted))
    return Columns(prune(found, output), found.outputs["stored"], p.ties[y], len(y.shape))


def counted(s: Statement) -> Statement:
    """A sum over an index on which nothing depends, as a product with its size."""
    if s.reduce != "sum" or s.guard is not None:
        return s
    gone = tuple(k for k in s.reduced if k not in indices(s.body))
    if not gone:
        return s
    loops = tuple(k for k in s.loops if k not in gone)
    s = replace(s, loops=loops, body=s.body * sympy.Mul(*(k.size for k in gone)))
    return s if s.reduced else replace(s, reduce="none")


def _written_out(y: Tensor, full: Tensor, leading: bool, p: _Pass) -> Statement:
    own, more = fresh_indices(y.shape), fresh_indices(p.v.shape, "pqrs")
    added = tuple(own[p.ties[y][k]] if k in p.ties[y] else more[k] for k in range(len(more)))
    kept = tuple(more[k] for k in p.free(y))
    lhs = (*added, *own) if leading else (*own, *added)
    mode = "+=" if p.ties[y] else "="
    return Statement(full, lhs, mode, "none", (*own, *kept), Access(p.of[y], (*own, *kept)))


# which axes are tied


def _tie(node: Node, p: _Pass) -> None:
    """Note the tensors of a node that are linear in v, with the ties that all of their statements have."""
    if isinstance(node, Statement):
        _tie_statement(node, p)
    elif isinstance(node, Library):
        if any(p.moves(t) for t in node.args):
            p.ties.update(dict.fromkeys(node.outs, _kept(node, p)))
    elif isinstance(node, Scan):
        before: dict | None = None
        while before != {t: p.ties.get(t) for t in outs(node)}:
            before = {t: p.ties.get(t) for t in outs(node)}
            for s in node.statements:
                _tie_statement(s, p)
    else:
        size = -1
        while size != len(p.ties):
            size = len(p.ties)
            moving = {t for s in node.statements if any(p.moves(t) for t in reads(s)) for t in outs(s)}
            moving |= {x for x, start, new in node.states if p.moves(start) or p.moves(new)}
            p.ties.update({t: {} for t in moving})


def _kept(node: Library, p: _Pass) -> Ties:
    """The ties that A^-1 B has from B: all but those of the axis that is solved for."""
    if node.op not in ("solve", "solve_each"):
        return {}
    A, B = node.args
    return {axis: position for axis, position in p.ties.get(B, {}).items() if position != len(A.shape) - 2}


def _tie_statement(s: Statement, p: _Pass) -> None:
    for a in (a for a in direct_accesses(s.body) if p.moves(a.tensor)):
        there = {axis: position for axis, position in _sources(a, p).items() if _own(s, position) is not None}
        told = {axis: _own(s, e) for axis, e in there.items()}
        old = p.ties.get(s.out)
        p.ties[s.out] = told if old is None else {k: q for k, q in told.items() if old.get(k) == q}


def _sources(a: Access, p: _Pass) -> dict[int, Expr]:
    """The axes of v that an access ties, each with the index it is tied to."""
    if a.tensor is p.v:
        return dict(enumerate(a.idx))
    return {axis: a.idx[position] for axis, position in p.ties[a.tensor].items()}


def _own(s: Statement, e: Expr) -> int | None:
    """The position of an index on the left side of a statement."""
    return s.lhs.index(e) if isinstance(e, Index) and e in s.lhs else None


# the statements


def _columns(node: Node, p: _Pass) -> list[Node]:
    if isinstance(node, Statement):
        return list(_statement(node, p))
    if isinstance(node, Scan):
        made: list[Statement] = []
        for s in node.statements:
            made += _statement(s, p) if s.out in p.ties else [s]
        return [node.with_statements(made)]
    return _solved(node, p) if isinstance(node, Library) else _fixed_point(node, p)


def _statement(s: Statement, p: _Pass) -> tuple[Statement, ...]:
    """One statement for each linear access of the body."""
    found = [a for a in direct_accesses(s.body) if p.moves(a.tensor)]
    rest = s.body.xreplace({a: sympy.Integer(0) for a in found})
    parts = [(a, sympy.diff(s.body, a)) for a in found]
    linear = s.reduce in ("none", "sum") and rest == 0
    if not linear or any(p.moves(b.tensor) for _, c in parts for b in direct_accesses(c)):
        raise UnsupportedError("this is not linear in the direction", s.span)
    made = [_part(s, a, c, p) for a, c in parts]
    if s.mode == "=" and s.covers:
        whole = [k for k, m in enumerate(made) if m.covers and (m.guard is None or s.reduce == "sum")]
        if whole:  # one that writes every element of the columns goes first, and assigns
            first = made.pop(whole[0])
            made.insert(0, replace(first, mode="="))
    return tuple(made)


def _part(s: Statement, a: Access, c: Expr, p: _Pass) -> Statement:
    """What one access adds to the columns of a statement's tensor."""
    out, k = p.target(s.out), fresh_indices(p.v.shape, "pqrs")
    tied = _sources(a, p)
    at = {axis: tied.get(axis, k[axis]) for axis in range(len(k))}
    more = () if a.tensor is p.v else tuple(k[axis] for axis in p.free(a.tensor))
    body = c if a.tensor is p.v else c * Access(p.target(a.tensor), (*a.idx, *more))
    lhs = (*s.lhs, *(at[axis] for axis in p.free(s.out)))
    made = Statement(out, lhs, "+=", "none", (*s.loops, *more), body, s.guard, s.span)
    return replace(made, reduce="sum" if made.reduced else "none")


def _solved(node: Library, p: _Pass) -> list[Node]:
    """X = A^-1 B is linear in B; X[n] = A[n]^-1 B[n] too."""
    if node.op not in ("solve", "solve_each") or p.moves(node.args[0]):
        raise UnsupportedError(f"'{node.op}' is not linear in the direction", node.span)
    A, B = node.args
    inverse = Tensor(p.names.fresh(f"inv_{A.name}"), A.shape)
    *batch, i, j = fresh_indices(A.shape, "ij" if len(A.shape) == 2 else "nij")
    rest, k = fresh_indices(B.shape[len(A.shape) - 1 :], "kl"), fresh_indices(p.v.shape, "pqrs")
    own = (*batch, j, *rest)
    added = tuple(own[p.ties[B][axis]] if axis in p.ties[B] else k[axis] for axis in range(len(k)))
    loops = tuple(dict.fromkeys((*batch, i, *rest, *added, j)))
    body = inverse[*batch, i, j] * Access(p.of[B], (*own, *(k[axis] for axis in p.free(B))))
    lhs = (*batch, i, *rest, *(added[axis] for axis in p.free(node.outs[0])))
    made = Statement(p.target(node.outs[0]), lhs, "+=", "none", loops, body, span=node.span)
    return [*_inverse(A, inverse, p, node), replace(made, reduce="sum" if made.reduced else "none")]


def _inverse(A: Tensor, inverse: Tensor, p: _Pass, node: Library) -> list[Node]:
    """A^-1; of a batch, each by solving for the identity."""
    if len(A.shape) == 2:
        return [Library("inv", (inverse,), (A,), node.span)]
    one, (n, i, j) = Tensor(p.names.fresh("eye"), A.shape), fresh_indices(A.shape, "nij")
    ones = Statement(one, (n, i, j), "=", "none", (n, i, j), equal(i, j), span=node.span)
    return [ones, Library("solve_each", (inverse,), (A, one), node.span)]


def _fixed_point(node: Iterate, p: _Pass) -> list[Node]:
    """v = a + B v, for all columns at once: the rounds go on until none of them moves."""
    wanted = {new for _, _, new in node.states}
    kept: list[Statement | Library] = []
    for s in reversed(node.statements):
        if not wanted.isdisjoint(outs(s)):
            kept.append(s)
            wanted.update(reads(s))
    made: list[Node] = []
    for x, _, _ in node.states:
        p.target(x)
    for s in reversed(kept):
        made += _columns(s, p) if any(p.moves(t) for t in reads(s)) else [s]
    before, states = [], []
    for x, start, new in node.states:
        begin = p.of[start]
        if p.ties[start]:
            begin = Tensor(p.names.fresh("D"), (*start.shape, *p.v.shape))
            before.append(_written_out(start, begin, False, p))
        states.append((p.of[x], begin, p.of[new]))
    gap, measure = change([(new, x) for x, _, new in states], p.names)
    return [*before, replace(node, states=tuple(states), statements=(*made, *measure), gap=gap)]


# what all rows, or all columns, share


def shared(block: Columns) -> tuple[Program, Tensor, int] | None:
    """The A of I (x) A (tied axis 0) or A (x) I (tied axis 1) for a matrix: where it is computed, A, the tied axis.

    None where the tied axes are others, or A is not the same all along them.
    """
    if block.rank != 2 or dict(block.ties) not in ({0: 0}, {1: 1}):
        return None
    (gone,) = block.ties.values()
    own = [s for s in block.program.statements if isinstance(s, Statement) and s.out is block.stored]
    made = [_without(s, gone) for s in own]
    if not made or None in made:
        return None
    out = Tensor(block.stored.name, tuple(n for k, n in enumerate(block.stored.shape) if k != gone))
    kept = (s for s in block.program.statements if block.stored not in outs(s) and block.full not in outs(s))
    program = replace(block.program, statements=(*kept, *(replace(s, out=out) for s in made)), outputs={"stored": out})
    return simplify(prune(program, "stored")), out, gone


def _without(s: Statement, axis: int) -> Statement | None:
    """A statement without an axis of its left side on which nothing else depends."""
    k = s.lhs[axis]
    rest = (*s.lhs[:axis], *s.lhs[axis + 1 :])
    read = (s.body, *rest, *(() if s.guard is None else (s.guard,)))
    if not isinstance(k, Index) or any(k in indices(e) for e in read):
        return None
    return replace(s, lhs=rest, loops=tuple(x for x in s.loops if x is not k))

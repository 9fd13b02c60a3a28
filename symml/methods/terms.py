"""A scalar of a Program as a sum of terms, each a sum over loops of one product: the form in which unknowns are taken out.

    terms_of(program, "L", moving)  ->  Terms(definitions, (Term((i,), C*s[i]), Term((j,), w[j]^2/2), ...))

Maps that move are written out; sums that move and have indices of their own (t[i] = sum[j] X[i, j] w[j]) stay definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import sympy
from sympy import Expr

from symml.ir.expand import expand, expand_products
from symml.ir.functions import canonical, equal, less, maximum, minimum, relu
from symml.ir.program import (
    Access,
    Index,
    Library,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    dependents,
    direct_accesses,
    elsewhere,
    indices,
    outs,
    reads,
    reindex,
)
from symml.ir.show import BodyPrinter, letters
from symml.names import Names, number
from symml.rewrite.dead import eliminate_dead, prune
from symml.rewrite.simplify import expand_access

MOST_TERMS = 400


class NoClosedForm(Exception):
    """The inner minimisation stops at something that no rule covers; the message says at what."""


@dataclass(frozen=True)
class Term:
    """The sum over loops of body."""

    loops: tuple[Index, ...]
    body: Expr

    def __str__(self) -> str:
        text = BodyPrinter(letters(self.loops)).doprint(self.body)
        names = letters(self.loops)
        return f"sum[{', '.join(names[k] for k in self.loops)}] {text}" if self.loops else text


@dataclass(frozen=True)
class Terms:
    """The sum of terms; definitions are nodes that give what the terms read beside inputs."""

    inputs: tuple[Tensor, ...]
    definitions: tuple[Node, ...]
    terms: tuple[Term, ...]

    def program(self, terms: Iterable[Term] | None = None, name: str = "L") -> Program:
        """A Program with the sum as its scalar output `L`."""
        total = Tensor(name)
        statements = [
            Statement(total, (), "+=", "sum" if t.loops else "none", t.loops, t.body)
            for t in (self.terms if terms is None else terms)
        ]
        statements = statements or [Statement(total, (), "=", "none", (), sympy.Integer(0))]
        return Program(self.inputs, (*self.definitions, *statements), {"L": total})

    def moving(self, wrt: Iterable[Tensor]) -> frozenset[Tensor]:
        """The tensors that depend on some inputs, these included."""
        return dependents(self.definitions, wrt)

    def linear(self, t: Tensor, p: Tensor) -> bool:
        """Whether a tensor is p itself, or linear in it by what its definition says."""
        if t is p:
            return True
        moving = self.moving((p,))
        own = [node for node in self.definitions if t in outs(node)]
        return all(isinstance(s, Statement) and self._linear_statement(s, p, moving) for s in own)

    def _linear_statement(self, s: Statement, p: Tensor, moving: frozenset[Tensor]) -> bool:
        if s.guard is not None or s.reduce not in ("sum", "none"):
            return False
        for part in sympy.Add.make_args(expand_products(s.body)):
            held = [a for a in direct_accesses(part) if a.tensor in moving]
            if len(held) > 1 or (held and not (part / held[0]).free_symbols.isdisjoint(held)):
                return False
            if held and not self.linear(held[0].tensor, p):
                return False
        return True


def terms_of(program: Program, wrt: Iterable[Tensor], whole: Iterable[str] = (), tests: bool = False) -> Terms:
    """The output `L` as terms; NoClosedForm where it is no sum of them in `wrt`. whole: operations that a rule may cover;
    tests: what a sum leaves out has the factor 0."""
    small = prune(program, "L")
    empty = Terms(small.inputs, small.statements, ())
    moving = empty.moving(wrt) | {small.outputs["L"]}
    table: dict[Tensor, list[Statement]] = {}
    for node in small.statements:
        if isinstance(node, Statement):
            table.setdefault(node.out, []).append(node)
        elif moving.intersection(outs(node)) and not (isinstance(node, Library) and node.op in whole):
            raise NoClosedForm(f"{_whole(node)} of what is optimised")
    if tests:
        table = {t: [_with_factor(s, moving) for s in group] for t, group in table.items()}
    terms = _flat(Access(small.outputs["L"], ()), table, moving, ())
    kept = replace(small, outputs={"L": small.outputs["L"]})
    needed = {a.tensor for t in terms for a in direct_accesses(t.body)}
    nodes = [n for n in kept.statements if small.outputs["L"] not in outs(n)]
    live = eliminate_dead(Program(small.inputs, tuple(nodes), {t.name + str(t.uid): t for t in needed}))
    return Terms(small.inputs, live.statements, tuple(terms))


def _with_factor(s: Statement, moving: frozenset[Tensor]) -> Statement:
    """A sum whose guard is a factor 0 or 1; what is not equal is less, or greater."""
    if s.guard is None or s.reduce not in ("sum", "none") or any(a.tensor in moving for a in direct_accesses(s.guard)):
        return s
    tests = list(s.guard.atoms(equal))
    if len(tests) == 1 and s.guard == 1 - tests[0]:
        a, b = tests[0].args
        return replace(s, guard=None, body=(less(a, b) + less(b, a)) * s.body)
    return replace(s, guard=None, body=s.guard * s.body)


def unknowns(inputs: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Parameters and multipliers among some inputs."""
    return tuple(t for t in inputs if t.kind == "param")


def _whole(node: Node) -> str:
    return node.op if isinstance(node, Library) else "a recurrence" if isinstance(node, Scan) else "a fixed point"


def _flat(e: Expr, table: Mapping[Tensor, list[Statement]], moving: frozenset, loops: tuple[Index, ...]) -> list[Term]:
    """An expression under loops as terms."""
    found: list[Term] = []
    todo = [(loops, e)]
    while todo:
        loops, e = todo.pop(0)
        e = expand_products(_hinges(written_out(e, table, moving)))
        for part in sympy.Add.make_args(e):
            inner = next((a for a in direct_accesses(part) if _opens(a, table, moving)), None)
            if inner is None:
                found.append(Term(loops, part))
                continue
            factor = part.diff(inner)
            if inner in factor.free_symbols or expand(part - factor * inner) != 0:
                found.append(Term(loops, part))  # a norm, say: a rule may cover it
                continue
            for s in table[inner.tensor]:
                if s.guard is not None or s.reduce not in ("sum", "none"):
                    raise NoClosedForm(f"{s.reduce} of what is optimised")
                fresh = {k: k.fresh() for k in s.loops}
                s = reindex(s, fresh)
                todo.append(((*loops, *s.loops), factor * s.body))
        if len(found) > MOST_TERMS:
            raise NoClosedForm("a sum of too many terms")
    return _spread(found)


def _spread(found: list[Term]) -> list[Term]:
    """Loops that a body does not walk become a factor."""
    done = []
    for t in found:
        used = indices(t.body)
        rest = sympy.Mul(*(k.size for k in t.loops if k not in used))
        if t.body != 0:
            done.append(Term(tuple(k for k in t.loops if k in used), t.body * rest))
    return done


def _opens(a: Access, table: Mapping[Tensor, list[Statement]], moving: frozenset) -> bool:
    """A scalar that moves and is defined: it is taken apart."""
    return not a.idx and a.tensor in table and a.tensor in moving


def written_out(e: Expr, table: Mapping[Tensor, list[Statement]], moving: frozenset) -> Expr:
    """The expression with maps that move put in."""
    while True:
        maps = {}
        for a in direct_accesses(e):
            group = table.get(a.tensor, ())
            if a.idx and a.tensor in moving and group and all(_is_plain_map(s) for s in group):
                maps[a] = sympy.Add(*(expand_access(a, s) for s in group))
        if not maps:
            return canonical(e)
        e = e.xreplace(maps)


def _hinges(e: Expr) -> Expr:
    """max(a, b) = b + relu(a - b), min(a, b) = a - relu(a - b)."""
    if e.has(maximum):
        e = e.replace(maximum, lambda a, b: relu(b) if a == 0 else b + relu(a - b))
    return e.replace(minimum, lambda a, b: a - relu(a - b)) if e.has(minimum) else e


def _is_plain_map(s: Statement) -> bool:
    return s.reduce == "none" and s.guard is None and s.covers


def maps_written_out(nodes: Iterable[Node], moving: frozenset[Tensor]) -> list[Node]:
    """Definitions with the maps that move put into their readers."""
    table: dict[Tensor, list[Statement]] = {}
    done: list[Node] = []
    for node in nodes:
        if isinstance(node, Statement):
            node = node.with_body(expand_products(written_out(node.body, table, moving)))
            table.setdefault(node.out, []).append(node)
        done.append(node)
    return done


def zeroed(program: Program, p: Tensor) -> Program:
    """The program with an input at 0; what becomes 0 by that is left out and 0 in its readers too."""
    zero = {p}
    last = {t: k for k, node in enumerate(program.statements) for t in outs(node)}
    nodes: list[Node] = []
    alive: set[Tensor] = set()
    for at, node in enumerate(program.statements):
        if not isinstance(node, Statement):
            if zero.intersection(reads(node)):
                raise NoClosedForm(f"{_whole(node)} of what is optimised")
            nodes.append(node)
            continue
        table = {a: sympy.Integer(0) for a in node.body.atoms(Access) if a.tensor in zero}
        s = node.with_body(node.body.xreplace(table)) if table else node
        if s.body == 0 and s.reduce in ("none", "sum"):
            if s.out not in alive and last[s.out] == at and s.out not in program.outputs.values():
                zero.add(s.out)
                continue
            if s.out in alive or last[s.out] != at:
                continue
        alive.add(s.out)
        nodes.append(s)
    return replace(program, statements=tuple(nodes), inputs=tuple(t for t in program.inputs if t is not p))


def renamed(program: Program, names: Names, keep: Callable[[Tensor], bool]) -> Program:
    """The program defining tensors of fresh identity and name, those that are kept aside."""
    table = {
        t: replace(t, name=names.fresh("t"), uid=number(), adjoint_of=None)
        for node in program.statements
        for t in outs(node)
        if not keep(t)
    }
    nodes = []
    for node in program.statements:
        if isinstance(node, Library):
            args, out = (tuple(table.get(t, t) for t in group) for group in (node.args, node.outs))
            nodes.append(replace(node, args=args, outs=out))
        elif isinstance(node, Statement):
            nodes.append(
                replace(
                    node,
                    out=table.get(node.out, node.out),
                    lhs=tuple(elsewhere(k, table) for k in node.lhs),
                    body=elsewhere(node.body, table),
                    guard=None if node.guard is None else elsewhere(node.guard, table),
                )
            )
        else:
            raise NoClosedForm("a recurrence")
    return replace(program, statements=tuple(nodes), outputs={k: table.get(t, t) for k, t in program.outputs.items()})

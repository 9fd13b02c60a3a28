"""Reverse mode on statements: the adjoint of a sum swaps its left side with each access, over the same loops.

    O[lhs] = sum body over L          dT[idx] += dO[lhs] * d body / d T[idx]      over L      for each access T[idx]

No Kronecker delta arises, a gather becomes a scatter. One row of ADJOINTS for each reduction gives the weight that
multiplies the local derivative (sum: 1; logsumexp: exp(body - O)); `sympy.diff` does the rest. max and min follow
Danskin: the derivative belongs to the first element that attains the extreme. Integer accesses carry no derivative.

A scan is walked in the other direction; only what its own tensors send to each other stays in it, the rest are sums
over its steps as well, done afterwards at once. Whole-tensor operations have their rows in op_rules.py. The adjoint of a
fixed point x = f(x, u) is the fixed point of v = dx + (df/dx)' v, by the implicit function theorem; then du = (df/du)' v.

    gradient(program, "objective", (w, b))  ->  Program with outputs "d_w", "d_b" beside the old ones
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import sympy
from sympy import Expr

from symml.calculus.op_rules import OP_RULES
from symml.errors import UnsupportedError
from symml.ir.program import (
    Access,
    Domain,
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
    parts,
    reads,
    refresh,
    reindex,
    renamed_node,
    substitute,
)
from symml.names import Names, number


def _own_element(s: Statement) -> Access:
    """The element that a statement defines, as an access."""
    return Access(s.out, s.lhs)


def _of_logsumexp(s: Statement) -> Expr:
    """d log sum exp f / d f = exp(f - O), in (0, 1]: the softmax."""
    return sympy.exp(s.body - _own_element(s))


def _of_product(s: Statement) -> Expr:
    """d prod f / d f = O / f (f = 0 is refused by the numeric proof)."""
    return _own_element(s) / s.body


ADJOINTS: Mapping[str, Callable[[Statement], Expr]] = MappingProxyType(
    {
        "none": lambda s: sympy.Integer(1),
        "sum": lambda s: sympy.Integer(1),
        "logsumexp": _of_logsumexp,
        "prod": _of_product,
    }
)
INTEGER_VALUED = ("argmax", "argmin")


@dataclass(frozen=True)
class Sent:
    """One step of the way: `node` read the tensor `to` (a statement as `access`), and `statement` adds to its adjoint.

    around: the scan that the node stands in, whose step is then free in the statement.
    """

    to: Tensor
    node: Node
    access: Access | None
    statement: Statement
    around: Scan | None = None


@dataclass
class _Pass:
    """The state of one pass: the adjoint of each active tensor, what is sent to it so far, the nodes that were made."""

    of: dict[Tensor, Tensor]
    names: Names
    way: list[Sent] = field(default_factory=list)
    sent: dict[Tensor, list[Statement]] = field(default_factory=dict)
    settled: set[Tensor] = field(default_factory=set)
    helpers: list[Node] = field(default_factory=list)
    new: list[Node] = field(default_factory=list)

    def send(self, t: Tensor, s: Statement) -> None:
        self.sent.setdefault(t, []).append(s)

    def settle(self, t: Tensor) -> None:
        """The adjoint of a tensor to which everything was sent."""
        if t in self.sent:
            self.settled.add(t)
            self.new += _as_definition(self.sent.pop(t))


def gradient(program: Program, output: str, wrt: Iterable[Tensor]) -> Program:
    """Extend a program by the gradient of a scalar output; each has the shape of its tensor, outputs `d_NAME`."""
    target = program.outputs[output]
    assert target.shape == (), f"the gradient is of a scalar, {target} is none"
    return adjoint(program, {target: sympy.Integer(1)}, wrt)


def gradient_way(program: Program, output: str, wrt: Iterable[Tensor]) -> tuple[Program, tuple[Sent, ...]]:
    """The program of `gradient` with the record of the pass that made it: what each reading sent back, last node first."""
    return _adjoint(program, {program.outputs[output]: sympy.Integer(1)}, wrt)


def adjoint(program: Program, seeds: Mapping[Tensor, Expr | Tensor], wrt: Iterable[Tensor]) -> Program:
    """Extend a program by J' seed for every tensor of `wrt`, outputs `d_NAME`; a seed is a tensor like its key, or 1."""
    return _adjoint(program, seeds, wrt)[0]


def _adjoint(
    program: Program, seeds: Mapping[Tensor, Expr | Tensor], wrt: Iterable[Tensor]
) -> tuple[Program, tuple[Sent, ...]]:
    wrt = tuple(wrt)
    program = replace(program, inputs=tuple(dict.fromkeys((*program.inputs, *wrt))))
    active = _active(program.statements, set(seeds), wrt)
    names = Names(t.name for t in program.tensors())
    every = dict.fromkeys((*(t for t in program.tensors() if t in active), *wrt))
    of = {t: Tensor(names.claim(f"d_{t.name}"), t.shape, adjoint_of=t) for t in every}
    p = _Pass(of, names)
    for t, seed in seeds.items():
        if t in of:
            k = fresh_indices(t.shape)
            p.send(t, Statement(of[t], k, "=", "none", k, Access(seed, k) if isinstance(seed, Tensor) else seed))
    last = {t: n for n, node in enumerate(program.statements) for t in outs(node)}
    for n in range(len(program.statements) - 1, -1, -1):
        node = program.statements[n]
        complete = [t for t in reversed(outs(node)) if t in active and last[t] == n]
        if isinstance(node, Scan):
            _back_through_scan(node, complete, p)
            continue
        for t in complete:
            p.settle(t)
        if not p.settled.isdisjoint(outs(node)):
            _BACK[type(node)](node, p)
    for t in reversed(program.inputs):
        if t in of:
            if t not in p.sent:
                p.send(t, _zero(of[t]))
            p.settle(t)
    extended = replace(
        program,
        statements=(*program.statements, *p.helpers, *p.new),
        outputs={**program.outputs, **{f"d_{t.name}": of[t] for t in wrt}},
    )
    return extended, tuple(p.way)


def _zero(t: Tensor) -> Statement:
    """The gradient of what the output does not depend on."""
    loops = fresh_indices(t.shape)
    return Statement(t, loops, "=", "none", loops, sympy.Integer(0))


def _active(nodes: Iterable[Node], targets: set[Tensor], wrt: tuple[Tensor, ...]) -> frozenset[Tensor]:
    """The tensors that depend on `wrt` and on which a target depends."""
    forward = set(wrt)
    nodes = tuple(nodes)
    for node in nodes:
        _carry(node, forward)
    needed = set(targets)
    for node in reversed(nodes):
        if not needed.isdisjoint(outs(node)):
            needed.update(reads(node), outs(node))
    return frozenset(forward & needed)


def _carry(node: Node, forward: set[Tensor]) -> None:
    """Add what a node makes of tensors that move; inside a scan or an iteration until nothing more does."""
    if isinstance(node, Statement):
        if node.reduce not in INTEGER_VALUED and any(a.tensor in forward for a in direct_accesses(node.body)):
            forward.add(node.out)
    elif isinstance(node, Library):
        if any(t in forward for t in node.args):
            forward.update(t for t in node.outs if not t.integer)
    else:
        size = -1
        while size != len(forward):
            size = len(forward)
            for s in node.statements:
                _carry(s, forward)
            if isinstance(node, Iterate):
                forward.update(x for x, start, new in node.states if new in forward or start in forward)


# one node


def _back_through_statement(s: Statement, p: _Pass) -> None:
    for t, back in _contributions(s, p):
        p.send(t, refresh(back))


def _contributions(s: Statement, p: _Pass, around: Scan | None = None) -> list[tuple[Tensor, Statement]]:
    """What one statement sends back to the tensors it reads."""
    node, origin = s, {}
    if s.reduce in ("max", "min"):
        s, chosen = _at_extreme(s, p)
        origin = {substitute(a, chosen): a for a in direct_accesses(node.body)}
    if s.reduce not in ADJOINTS:
        raise UnsupportedError(
            f"{s.reduce} has no derivative", s.span, fix="use max or min, or keep it out of the loss"
        )
    weight = ADJOINTS[s.reduce](s)
    seed = Access(p.of[s.out], s.lhs)
    found = []
    for a in direct_accesses(s.body):
        if a.tensor not in p.of or a.tensor.integer:
            continue
        local = sympy.diff(s.body, a)
        if (
            s.mode == "=" and s.reduce == "none" and s.guard is None and s.body.is_Function
        ):  # tanh' = 1 - tanh^2 reads the value that is there already
            local = local.xreplace({s.body: _own_element(s)})
        if local == 0:
            continue
        back = Statement(p.of[a.tensor], a.idx, "+=", "none", s.loops, seed * weight * local, s.guard, s.span)
        back = replace(back, reduce="sum" if back.reduced else "none")
        found.append((a.tensor, back))
        p.way.append(Sent(a.tensor, node, origin.get(a, a), back, around))
    return found


def _at_extreme(s: Statement, p: _Pass) -> tuple[Statement, dict[Index, Access]]:
    """`max[k] f` as f at k = argmax[k] f, one statement more, and what took the place of k; its derivative is Danskin's,
    ties go to the first."""
    steps = tuple(set().union(*map(indices, parts(s))) - set(s.loops))  # of the scan around it, at most one
    if len(s.reduced) != 1:
        raise UnsupportedError(
            f"the derivative of {s.reduce} over several indices", s.span, fix=f"nest: {s.reduce}[i] {s.reduce}[j] ..."
        )
    (k,) = s.reduced
    free = tuple(x for x in (*steps, *s.loops) if x is not k)
    at = Tensor(p.names.fresh("at"), tuple(x.size for x in free), domain=Domain("label", size=k.size))
    chooser = replace(s, out=at, lhs=free, reduce=f"arg{s.reduce}", loops=(*free, k))
    p.helpers.append(refresh(chooser))
    chosen = {k: Access(at, free)}
    guard = None if s.guard is None else substitute(s.guard, chosen)
    loops = tuple(x for x in s.loops if x is not k)
    return replace(s, reduce="none", loops=loops, body=substitute(s.body, chosen), guard=guard), chosen


def _back_through_library(node: Library, p: _Pass) -> None:
    known = {t: a for t, a in p.of.items() if t in node.args or t in p.settled}
    nodes, sent = OP_RULES[node.op](node, known, p.names)
    p.new += nodes
    for t, s in sent:
        p.send(t, s)
        p.way.append(Sent(t, node, None, s))


def _back_through_scan(scan: Scan, complete: list[Tensor], p: _Pass) -> None:
    """First what came from outside, then the scan in the other direction, then the sums over all its steps."""
    own, reached = set(outs(scan)), {t for t in outs(scan) if t in p.sent}
    for _ in scan.statements:  # a step may pass on to one before it in the list, at the next step
        reached.update(t for s in scan.statements if s.out in reached for t in reads(s) if t in own)
    sent = [
        x for s in reversed(scan.statements) if s.out in reached and s.out in p.of for x in _contributions(s, p, scan)
    ]
    begun = {p.of[t] for t in complete if t in p.sent}
    for t in complete:
        p.settle(t)
    p.settled |= reached
    step = scan.step.fresh()
    inside = [refresh(reindex(s, {scan.step: step})) for t, s in sent if t in own]
    if inside:
        p.new.append(Scan(step, not scan.reverse, _as_maps(inside, begun), scan.span))
    for t, s in sent:
        if t not in own:
            s = replace(s, loops=(scan.step, *s.loops))
            p.send(t, refresh(replace(s, reduce="sum" if s.reduced else "none")))


def _as_maps(body: list[Statement], begun: set[Tensor]) -> tuple[Statement, ...]:
    """A tensor that one statement writes at every step, and nobody before, is assigned."""
    once = [s.out for s in body]
    return tuple(
        replace(s, mode="=") if s.covers and once.count(s.out) == 1 and s.out not in begun else s for s in body
    )


def _back_through_iterate(node: Iterate, p: _Pass) -> None:
    """v = dx + (df/dx)' v by the same iteration, then du = (df/du)' v."""
    states = [(x, new) for x, _, new in node.states if x in p.settled]
    moving = tuple(x for x, _ in states)
    body, at_end = _fresh(node.statements, p.names)  # f at the fixed point, with its values
    p.helpers += body
    v = {x: Tensor(p.names.claim(f"v_{x.name}"), x.shape) for x in moving}
    seeds = {at_end[new]: v[x] for x, new in states}
    steps, pulled = _pulled(body, seeds, moving, p.names)
    moves, changes = [], []
    for x in moving:
        new, k = Tensor(p.names.fresh(f"v_{x.name}"), x.shape), fresh_indices(x.shape)
        steps.append(Statement(new, k, "=", "none", k, Access(p.of[x], k) + Access(pulled[x], k)))
        changes.append((new, v[x]))
        moves.append((v[x], p.of[x], new))
    gap, measure = change(changes, p.names)
    p.new.append(Iterate(tuple(moves), (*steps, *measure), gap, node.tolerance, node.most, node.span))
    read = dict.fromkeys(t for s in node.statements for t in reads(s))  # where it starts does not matter
    given = tuple(t for t in read if t in p.of and t not in outs(node))
    steps, pulled = _pulled(body, seeds, given, p.names)
    p.new += steps
    for t in given:
        k = fresh_indices(t.shape)
        s = Statement(p.of[t], k, "+=", "none", k, Access(pulled[t], k), span=node.span)
        p.send(t, s)
        p.way.append(Sent(t, node, None, s))


def _pulled(
    body: list[Node], seeds: Mapping[Tensor, Tensor], wrt: tuple[Tensor, ...], names: Names
) -> tuple[list[Node], dict[Tensor, Tensor]]:
    """The nodes of J' seed for a body whose values are there, under fresh names, and the result for each of `wrt`."""
    back = adjoint(Program((), tuple(body), {}), seeds, wrt)
    nodes, table = _fresh(back.statements[len(body) :], names)
    return nodes, {t: table[back.outputs[f"d_{t.name}"]] for t in wrt}


def _fresh(
    nodes: Iterable[Statement | Library], names: Names
) -> tuple[list[Statement | Library], dict[Tensor, Tensor]]:
    """The nodes defining tensors of other names, and which took whose place."""
    nodes = tuple(nodes)
    table = {t: _fresh_tensor(t, names) for node in nodes for t in outs(node)}
    return [renamed_node(node, table) for node in nodes], table


def _fresh_tensor(t: Tensor, names: Names) -> Tensor:
    """A tensor like another; an adjoint wears its bar over a name of its own too."""
    name = names.fresh(t.name)
    of = t.adjoint_of and replace(t.adjoint_of, name=name.removeprefix("d_"))
    return replace(t, name=name, adjoint_of=of, uid=number())


_BACK: Mapping[type, Callable[..., None]] = MappingProxyType(
    {Statement: _back_through_statement, Library: _back_through_library, Iterate: _back_through_iterate}
)


def _as_definition(statements: list[Statement]) -> list[Statement]:
    """Contributions to one tensor, one that covers every element first and as an assignment: a reduction if any is."""
    covering = sorted((k for k, s in enumerate(statements) if s.covers), key=lambda k: statements[k].reduce == "none")
    if not covering:
        return statements
    k = covering[0]
    return [replace(statements[k], mode="="), *statements[:k], *statements[k + 1 :]]

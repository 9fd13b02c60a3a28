"""Reverse mode on statements: the adjoint of a sum swaps its left side with each access, over the same loops.

    O[lhs] = sum body over L          dT[idx] += dO[lhs] * d body / d T[idx]      over L      for each access T[idx]

No Kronecker delta arises, a gather becomes a scatter. One row of ADJOINTS for each reduction gives the weight that
multiplies the local derivative (sum: 1; logsumexp: exp(body - O)); `sympy.diff` does the rest. max and min follow
Danskin: the derivative belongs to the first element that attains the extreme. Integer accesses carry no derivative.

    gradient(program, "objective", (w, b))  ->  Program with outputs "d_w", "d_b" beside the old ones
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import sympy
from sympy import Expr

from symml.errors import UnsupportedError
from symml.ir.program import (
    Access,
    Domain,
    Program,
    Statement,
    Tensor,
    direct_accesses,
    fresh_indices,
    reads,
    refresh,
    substitute,
)
from symml.names import Names


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
class _Grown:
    """What the pass builds: the adjoint of each tensor, its statements, argmax helpers, the allocator of names."""

    of: dict[Tensor, Tensor]
    statements: dict[Tensor, list[Statement]]
    helpers: list[Statement]
    names: Names


def gradient(program: Program, output: str, wrt: Iterable[Tensor]) -> Program:
    """Extend a program by the gradient of a scalar output; each has the shape of its tensor, outputs `d_NAME`."""
    wrt = tuple(wrt)
    program = replace(program, inputs=tuple(dict.fromkeys((*program.inputs, *wrt))))
    target = program.outputs[output]
    assert target.shape == (), f"the gradient is of a scalar, {target} is none"
    active = _active(program, target, wrt)
    names = Names(t.name for t in program.tensors())
    adjoint = {t: Tensor(names.claim(f"d_{t.name}"), t.shape, adjoint_of=t) for t in dict.fromkeys((*active, *wrt))}
    grown = _Grown(adjoint, {t: [] for t in adjoint}, [], names)
    if target in active:
        grown.statements[target].append(Statement(adjoint[target], (), "=", "none", (), sympy.Integer(1)))
    for s in reversed(program.statements):
        if s.out in active and grown.statements[s.out]:
            _propagate(s, grown)
    for t in wrt:
        if not grown.statements[t]:
            grown.statements[t].append(_zero(adjoint[t]))
    order = (t for t in reversed(program.tensors()) if t in adjoint)
    new = [s for t in order for s in _as_definition(grown.statements[t])]
    outputs = {**program.outputs, **{f"d_{t.name}": adjoint[t] for t in wrt}}
    return replace(program, statements=(*program.statements, *grown.helpers, *new), outputs=outputs)


def _zero(t: Tensor) -> Statement:
    """The gradient of what the output does not depend on."""
    loops = fresh_indices(t.shape)
    return Statement(t, loops, "=", "none", loops, sympy.Integer(0))


def _active(program: Program, target: Tensor, wrt: tuple[Tensor, ...]) -> frozenset[Tensor]:
    """The tensors that depend on `wrt` and on which the target depends."""
    forward = set(wrt)
    for s in program.statements:
        if s.reduce not in INTEGER_VALUED and any(a.tensor in forward for a in direct_accesses(s.body)):
            forward.add(s.out)
    needed = {target}
    for s in reversed(program.statements):
        if s.out in needed:
            needed.update(reads(s))
    return frozenset(forward & needed)


def _propagate(s: Statement, grown: _Grown) -> None:
    """Add what one statement sends back to the tensors it reads."""
    if s.reduce in ("max", "min"):
        s = _at_extreme(s, grown)
    if s.reduce not in ADJOINTS:
        raise UnsupportedError(
            f"{s.reduce} has no derivative", s.span, fix="use max or min, or keep it out of the loss"
        )
    weight = ADJOINTS[s.reduce](s)
    seed = Access(grown.of[s.out], s.lhs)
    for a in direct_accesses(s.body):
        if a.tensor not in grown.of or a.tensor.integer:
            continue
        local = sympy.diff(s.body, a)
        if s.is_map and s.body.is_Function:  # tanh' = 1 - tanh^2 reads the value that is there already
            local = local.xreplace({s.body: _own_element(s)})
        if local == 0:
            continue
        back = Statement(grown.of[a.tensor], a.idx, "+=", "none", s.loops, seed * weight * local, s.guard, s.span)
        back = replace(back, reduce="sum" if back.reduced else "none")
        grown.statements[a.tensor].append(refresh(back))


def _at_extreme(s: Statement, grown: _Grown) -> Statement:
    """`max[k] f` as f at k = argmax[k] f, one statement more; its derivative is Danskin's, ties go to the first."""
    if len(s.reduced) != 1:
        raise UnsupportedError(
            f"the derivative of {s.reduce} over several indices", s.span, fix=f"nest: {s.reduce}[i] {s.reduce}[j] ..."
        )
    (k,) = s.reduced
    at = Tensor(grown.names.fresh("at"), s.out.shape, domain=Domain("label", size=k.size))
    grown.helpers.append(refresh(replace(s, out=at, reduce=f"arg{s.reduce}")))
    chosen = substitute(s.body, {k: Access(at, s.lhs)})
    return replace(s, reduce="none", loops=tuple(x for x in s.loops if x is not k), body=chosen)


def _as_definition(statements: list[Statement]) -> list[Statement]:
    """Contributions to one tensor, one that covers every element first and as an assignment: a reduction if any is."""
    covering = sorted((k for k, s in enumerate(statements) if s.covers), key=lambda k: statements[k].reduce == "none")
    if not covering:
        return statements
    k = covering[0]
    return [replace(statements[k], mode="="), *statements[:k], *statements[k + 1 :]]

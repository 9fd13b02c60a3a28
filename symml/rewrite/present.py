"""Entries that are not there: missing ones, and what lies behind the end of a ragged sequence.

An element that is computed from such an entry is not there either. Each tensor gets the test that its elements are,
and a reduction leaves the others out: of missing entries only a sum over all indices, of sequences any over their steps.
In a recurrence along sequences, step t needs earlier steps only, which are there if t is.

    present_only(program, {M: (M_present,)}, {obs: L})     M[i, j] where M_present[i, j]; obs[i, t] where t < L[i]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sympy
from sympy import Expr

from symml.errors import SpecError
from symml.ir.functions import less, there
from symml.ir.program import (
    Access,
    Index,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    accesses,
    indices,
    outs,
    parts,
    reads,
    substitute,
)

ROUNDS = 4  # of a recurrence, until the tests of what it defines stay the same


@dataclass(frozen=True)
class Presence:
    """An element at `formal` is there where all of `tests` hold, each a number 0 or 1."""

    formal: tuple[Expr, ...]
    tests: tuple[Expr, ...]

    def at(self, idx: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """The tests of the element at other indices."""
        table = dict(zip(self.formal, idx, strict=True))
        return tuple(substitute(test, table) for test in self.tests)


def present_only(program: Program, masks: Mapping[Tensor, Tensor], ragged: Mapping[Tensor, Tensor]) -> Program:
    """The program whose reductions leave out what is not there; refused where it reaches anything else.

    masks: for each tensor that may lack entries, one of its shape that is 1 where they are; ragged: for each tensor of
    sequences, how long each row is.
    """
    known: dict[Tensor, Presence] = {}
    for t in (*masks, *ragged):
        formal = tuple(Index("ijklm"[k], size) for k, size in enumerate(t.shape))
        there = Access(masks[t], formal) if t in masks else less(formal[1], Access(ragged[t], formal[:1]))
        known[t] = Presence(formal, (there,))
    nodes = tuple(_present(node, known) for node in program.statements)
    for key, t in program.outputs.items():
        if t in known:
            raise SpecError(f"{key} has entries that may be missing", t.span, fix="reduce it by a sum over its entries")
    read = [m for m in (*masks.values(), *ragged.values()) if m not in program.inputs]
    return replace(program, inputs=(*program.inputs, *dict.fromkeys(read)), statements=nodes)


def _present(node: Node, known: dict[Tensor, Presence]) -> Node:
    lacking = [t for t in reads(node) if t in known]
    if not lacking:
        return node
    if isinstance(node, Scan):
        return _through(node, known)
    if not isinstance(node, Statement) or any(a.tensor in known for part in node.lhs for a in accesses(part)):
        raise _wrong(lacking[0], node)
    return _guarded(node, lacking[0], known)


def _guarded(node: Statement, lacking: Tensor, known: dict[Tensor, Presence]) -> Statement:
    """A statement whose reduction leaves out what is not there; what still moves with its left side is noted."""
    over, tests = set(node.reduced), _tests(node, known)
    inside = [test for test in tests if indices(test) & over]
    outside = tuple(test for test in tests if not indices(test) & over)
    gaps = [test for test in tests if not isinstance(test, less)]
    if gaps and not node.is_map and (node.reduce != "sum" or any(not indices(test) <= over for test in gaps)):
        raise _wrong(lacking, node)  # half a sum would take a missing entry for 0; a sequence just ends
    if outside:
        if node.mode != "=":
            raise _wrong(lacking, node)
        known[node.out] = _joined(known.get(node.out), _stated(node, outside, lacking))
    if not inside:
        return node.with_body(_plain(node.body))
    guard = sympy.Mul(*inside) if node.guard is None else sympy.Mul(node.guard, *inside)
    return replace(node, body=_plain(node.body), guard=guard)


def _plain(body: Expr) -> Expr:
    """What only told the elements that a count follows has done so."""
    return body.replace(there, lambda *_: sympy.Integer(1))


def _stated(node: Statement, tests: tuple[Expr, ...], lacking: Tensor) -> Presence:
    """The tests of a left side, said of any element: of out[i, t+1], where t+1 < L[i], those of out[i, k]: k < L[i]."""
    formal = tuple(Index("ijklmpqr"[k], size) for k, size in enumerate(node.out.shape))
    table: dict[Expr, Expr] = {}
    for k, own in zip(node.lhs, formal, strict=True):
        moving = sorted(indices(k), key=str)
        if len(moving) > 1 or any(m in table for m in moving) or accesses(k):
            raise _wrong(lacking, node)
        if moving:
            table[moving[0]] = own - (k - moving[0])
            if indices(k - moving[0]):
                raise _wrong(lacking, node)
    said = tuple(substitute(test, table) for test in tests)
    if any(not indices(test) <= set(formal) for test in said):
        raise _wrong(lacking, node)
    return Presence(formal, said)


def _joined(old: Presence | None, new: Presence) -> Presence:
    """The tests of several cases of one definition together."""
    if old is None:
        return new
    return Presence(old.formal, _strongest((*old.tests, *new.at(old.formal))))


def _through(scan: Scan, known: dict[Tensor, Presence]) -> Scan:
    """A recurrence: what its steps hand on is there where their own inputs are, if that holds of all earlier steps."""
    lacking = next(t for t in reads(scan) if t in known)
    for _ in range(ROUNDS):
        before = {t: known[t] for t in outs(scan) if t in known}
        nodes = tuple(_guarded(s, lacking, known) for s in scan.statements)
        if before == {t: known[t] for t in outs(scan) if t in known}:
            return scan.with_statements(nodes)
    raise SpecError(
        f"this recurrence reads '{lacking.name}' beyond the end of its sequences",
        scan.span,
        fix="let step t read steps up to t only",
    )


def _tests(node: Statement, known: Mapping[Tensor, Presence]) -> tuple[Expr, ...]:
    """All tests of what a statement reads, without those that always hold or that another one implies."""
    found: list[Expr] = []
    for a in dict.fromkeys(a for part in parts(node) for a in accesses(part)):
        if a.tensor in known:
            found += [test for test in known[a.tensor].at(a.idx) if not _holds(test)]
    for test in found:
        if isinstance(test, less) and not indices(test.args[0]):
            raise _past_the_end(test, node)
    return _strongest(tuple(found))


def _strongest(tests: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """Each test once, without those that another one implies."""
    distinct = tuple(dict.fromkeys(tests))
    return tuple(t for t in distinct if not any(_implies(other, t) for other in distinct if other != t))


def _holds(test: Expr) -> bool:
    return isinstance(test, less) and sympy.expand(test.args[1] - test.args[0]).is_positive is True


def _implies(a: Expr, b: Expr) -> bool:
    """[u < L] implies [v < L] where v <= u."""
    if not (isinstance(a, less) and isinstance(b, less)):
        return False
    return a.args[1] == b.args[1] and sympy.expand(a.args[0] - b.args[0]).is_positive is True


def _wrong(lacking: Tensor, node: Node) -> SpecError:
    name = lacking.name
    return SpecError(
        f"'{name}' may lack entries, and only sums over all of its indices leave them out",
        node.span,
        fix=f"such as sum[i, j] (X[i, j] - ...)^2; fill in '{name}' for anything else",
    )


def _past_the_end(test: Expr, node: Node) -> SpecError:
    length = test.args[1]
    return SpecError(
        f"step {test.args[0]} is behind the end of shorter sequences",
        node.span,
        fix=f"the last step of a sequence is {length} - 1",
    )

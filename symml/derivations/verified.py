"""`--verify` beyond the gradient: what each formula was compared with, every oracle that applies to it, with its error.

entries(claim, group), along(...), pulled(...), trace(...), terms(...)  ->  the Proofs to print after the first one
told(proofs)                                                          ->  "complex step agrees to 2e-16; ..."; wrong ones raise
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from symml.calculus.columns import Columns
from symml.calculus.stopped import stopped
from symml.derivations.sections import Side
from symml.errors import NumericError
from symml.ir.program import Access, Program, Statement, Tensor, fresh_indices
from symml.latex.derivation import BOUND as OF_TREES
from symml.latex.derivation import Formula
from symml.names import Names
from symml.proof.complex_step import Proof
from symml.proof.expansion import can_expand
from symml.proof.higher import (
    Claim,
    check_along,
    check_direction,
    check_entries,
    check_pulled,
    check_series,
    check_trace,
)
from symml.proof.kinks import AT_KINKS, check_kinks

MOST_BY_SYMPY = 4  # orders: an expression differentiated more often takes minutes


def told(proofs: Iterable[Proof | None]) -> str:
    """All proofs as one line; NumericError where one fails."""
    proofs = [p for p in proofs if p is not None]
    for p in proofs:
        if p.error == float("inf"):
            raise NumericError(
                f"a derivative cannot be compared: it is not finite at random inputs ({p.method})",
                fix="declare the domains of data and parameters, as in x[n] > 0 or S[d, d] in psd",
            )
        if not p.ok and p.method != AT_KINKS:  # there the derivative is by rule, and may be no slope
            raise NumericError(f"a derived formula is wrong: {p}")
    return "; ".join(map(str, proofs))


def printed(*shown: Formula | Side) -> Proof:
    """How far printed trees are from their statements."""
    return Proof("printed form", max(f.error for f in shown), OF_TREES, len(shown))


def added(rows: list[dict], wanted: bool, *shown: Formula | Side) -> list[dict]:
    """The rows with the printed form of the first one among its proofs, where that is wanted."""
    if wanted and shown:
        rows[0]["proof"] = "; ".join(filter(None, (rows[0]["proof"], str(printed(*shown)))))
    return rows


def entries(c: Claim, group: tuple[Tensor, ...]) -> Iterator[Proof]:
    """Of a Jacobian or a derivative of higher order."""
    if can_expand(c.forward) and len(group) <= MOST_BY_SYMPY:
        yield check_entries(c, group)


def along(before: Claim, whole: Claim, wrt: Tensor, v: Tensor, by_entry: bool = False) -> Iterator[Proof]:
    """Of a product with v: `before` is one derivative away, `whole` starts from what the page says."""
    yield check_direction(before, wrt, v)
    if can_expand(whole.forward):
        yield check_along(whole, wrt, v, by_entry=by_entry)


def pulled(c: Claim, wrt: Tensor, u: Tensor) -> Iterator[Proof]:
    """Of a transposed Jacobian times u."""
    if can_expand(c.forward):
        yield check_pulled(c, wrt, u)


def trace(c: Claim, wrt: Tensor) -> Iterator[Proof]:
    """Of a divergence."""
    if can_expand(c.forward):
        yield check_trace(c, wrt)


def terms(before: Claim, whole: Claim, term: Claim, wrt: Tensor, v: Tensor, order: int) -> Iterator[Proof]:
    """Of the derivative of some order along v, and its Taylor term."""
    yield check_direction(before, wrt, v)
    if can_expand(whole.forward) and order <= MOST_BY_SYMPY:
        yield check_along(whole, wrt, v, order)
    if stopped(whole.forward, (wrt,)) is None:  # differences see what it holds move
        yield check_series(term, wrt, v, order)


def at_kinks(forward: Program, key: str, j: Columns, wrt: Tensor) -> Proof | None:
    """<u, J> against mpmath's slopes of <u, f> where branches meet; None without a kink."""
    y = forward.outputs[key]
    names = Names(t.name for p in (forward, j.program) for t in p.tensors())
    u = Tensor(names.claim("u"), y.shape, kind="data")
    own, more = fresh_indices(y.shape), fresh_indices(wrt.shape, "pqrs")
    paired, slope = Tensor(names.claim("paired")), Tensor(names.claim("slope"), wrt.shape)
    total = Statement(paired, (), "=", "sum" if own else "none", own, Access(u, own) * Access(y, own))
    body = Access(u, own) * Access(j.full, (*own, *more))
    back = Statement(slope, more, "=", "sum" if own else "none", (*more, *own), body)
    inputs = dict.fromkeys((*forward.inputs, wrt, u))
    scalar = replace(forward, inputs=tuple(inputs), statements=(*forward.statements, total), outputs={"paired": paired})
    derived = replace(
        j.program,
        inputs=tuple(dict.fromkeys((*j.program.inputs, *inputs))),
        statements=(*j.program.statements, back),
        outputs={f"d_{wrt.name}": slope},
    )
    return check_kinks(scalar, derived, "paired", wrt)

"""Partial adjoints against the complex step: the derivative of a scalar by an intermediate, or by one reading of it.

An intermediate T gets an input e of its shape, T' = T + e, and the derivative of the scalar by e at e = 0 is the adjoint
of T. Where only one reading is perturbed, it is what that reading sends back: one term of the adjoint.

    check_adjoint(forward, "loss", Z, derivative, d_Z)          ->  Proof("complex step", error=2e-16, ok=True)
"""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np

from symml.calculus.stopped import stopped
from symml.ir.evaluate import evaluate, extent
from symml.ir.program import (
    Access,
    Iterate,
    Library,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    fresh_indices,
    outs,
    read_instead,
)
from symml.names import number
from symml.proof.complex_step import BOUND, STEP, Proof, chosen_entries, least_scale, relative
from symml.proof.high_precision import arithmetic, high_precision
from symml.proof.samples import sample, sizes

DIGITS = 80
MOST_EXACT = 6
ROUNDING = 1e-4  # an error below it may be that of ill-conditioned inputs, and is looked at in mpmath
MOST_ENTRIES = 24
MOST_OF_ITERATIONS = 4


def check_adjoint(
    forward: Program,
    output: str,
    t: Tensor,
    derivative: Program,
    adjoint: Tensor,
    reading: tuple[Node, Access | None] | None = None,
    seed: int = 5,
) -> Proof:
    """Compare `adjoint` of the derivative program with the complex step of the scalar by t, or by one `reading` of t.

    reading: the node that reads t and, where it is a statement, the access; without it, t as a whole.
    """
    moved, e = perturbed(forward, t) if reading is None else reading_perturbed(forward, t, *reading)
    rng = np.random.default_rng(seed)
    dims = sizes(derivative, forward)
    values = sample(derivative, rng, dims)[0]
    with np.errstate(all="ignore"):
        found = np.asarray(evaluate(derivative, values, dims)[adjoint])
        loss = float(np.real(evaluate(forward, values, dims)[forward.outputs[output]]))
    most = MOST_OF_ITERATIONS if any(isinstance(n, Iterate) for n in forward.statements) else MOST_ENTRIES
    entries = chosen_entries(tuple(extent(n, dims) for n in t.shape), rng, most)
    truth = np.array([_slope(moved, values, dims, output, e, at) for at in entries])
    error = relative(np.array([found[at] for at in entries]), truth, least_scale(truth, loss))
    if BOUND < error < ROUNDING and most is not MOST_OF_ITERATIONS and stopped(moved, (e,)) is None:
        return _exactly(moved, output, e, derivative, adjoint, values, dims)
    return Proof("complex step", error, BOUND, len(entries))


def _exactly(
    moved: Program, output: str, e: Tensor, derivative: Program, adjoint: Tensor, values: dict, dims: dict
) -> Proof:
    """The same in mpmath, by central differences at 80 digits: what rounding there is does not count."""
    found = high_precision(derivative, values, dims, DIGITS)[adjoint]
    entries = chosen_entries(np.shape(found), np.random.default_rng(0), MOST_EXACT)
    with mpmath.workdps(DIGITS):
        step = mpmath.mpf(10) ** -25

        def at(place: tuple[int, ...], sign: int) -> mpmath.mpf:
            x = np.full(np.shape(found), mpmath.mpf(0), object)
            x[place] += sign * step
            exact = {t: v if t.integer else np.asarray(_EXACT(v), object) for t, v in values.items()}
            env = evaluate(moved, {**exact, e: x}, dims, arithmetic(DIGITS))
            return np.asarray(env[moved.outputs[output]], object).item()

        truth = [(at(place, 1) - at(place, -1)) / (2 * step) for place in entries]
        ours = [np.asarray(found, object)[place] for place in entries]
        errors = [abs(a - b) / max(abs(a), abs(b), mpmath.mpf(10) ** -20) for a, b in zip(ours, truth, strict=True)]
    return Proof("differences in mpmath", float(max(errors)), BOUND, len(entries))


_EXACT = np.frompyfunc(lambda v: mpmath.mpf(float(v)), 1, 1)


def _slope(program: Program, values: dict, dims: dict, output: str, e: Tensor, at: tuple[int, ...]) -> float:
    x = np.zeros(tuple(extent(n, dims) for n in e.shape), complex)
    x[at] += 1j * STEP
    with np.errstate(all="ignore"):
        moved = evaluate(program, {**values, e: x}, dims)[program.outputs[output]]
    return float(np.imag(moved) / STEP) if np.isfinite(moved) else np.inf


def perturbed(program: Program, t: Tensor) -> tuple[Program, Tensor]:
    """The program with t + e in the place of t, and the input e."""
    e = Tensor(f"e_{t.name}", t.shape, "param")
    inside = any(isinstance(n, Scan) and t in outs(n) for n in program.statements)
    nodes = _in_place(program.statements, t, e) if inside else _after(program.statements, t, e)
    moved = replace(program, inputs=(*program.inputs, e), statements=tuple(nodes))
    if t in program.outputs.values() and not inside:
        new = next(n.out for n in nodes if isinstance(n, Statement) and n.body.has(Access(e, n.lhs)))
        moved = replace(moved, outputs={k: new if v is t else v for k, v in program.outputs.items()})
    return moved, e


def _after(nodes: tuple[Node, ...], t: Tensor, e: Tensor) -> list[Node]:
    """The nodes with T' = T + e after the last that defines T, and T' in the place of T from then on."""
    last = max((k for k, n in enumerate(nodes) if t in outs(n)), default=-1)
    new, k = replace(t, name=f"{t.name}_moved", uid=number()), fresh_indices(t.shape)
    plus = Statement(new, k, "=", "none", k, Access(t, k) + Access(e, k))
    return [*nodes[: last + 1], plus, *(_reading(n, {t: new}) for n in nodes[last + 1 :])]


def _reading(node: Node, other: dict[Tensor, Tensor]) -> Node:
    if isinstance(node, Statement):
        return read_instead(node, other)
    if isinstance(node, Library):
        return replace(node, args=tuple(other.get(t, t) for t in node.args))
    node = node.with_statements(_reading(s, other) for s in node.statements)
    if isinstance(node, Iterate):
        return replace(node, states=tuple((x, other.get(start, start), new) for x, start, new in node.states))
    return node


def _in_place(nodes: tuple[Node, ...], t: Tensor, e: Tensor) -> list[Node]:
    """Every statement that defines elements of T, in a recurrence and before it, with e added to them."""
    before = replace(t, name=f"{t.name}_before", uid=number())
    found: list[Node] = []
    for node in nodes:
        if isinstance(node, Scan):
            found.append(node.with_statements(_in_place(node.statements, t, e)))
        elif isinstance(node, Statement) and node.out is t:
            assert node.mode == "=", f"the recurrence of {t} adds up"
            free = tuple(k for k in node.loops if k not in node.reduced)
            found += [
                replace(node, out=before),
                Statement(t, node.lhs, "=", "none", free, Access(before, node.lhs) + Access(e, node.lhs), None),
            ]
        else:
            found.append(node)
    return found


def reading_perturbed(program: Program, t: Tensor, node: Node, access: Access | None) -> tuple[Program, Tensor]:
    """The program in which one node reads t + e (of a statement, one access), and the input e."""
    e = Tensor(f"e_{t.name}", t.shape, "param")
    if isinstance(node, Statement):
        moved = replace(node, body=node.body.xreplace({access: access + Access(e, access.idx)}))
        nodes = [_with(n, node, moved) for n in program.statements]
    else:
        new, k = replace(t, name=f"{t.name}_moved", uid=number()), fresh_indices(t.shape)
        plus = Statement(new, k, "=", "none", k, Access(t, k) + Access(e, k))
        nodes = [x for n in program.statements for x in ((plus, _reading(n, {t: new})) if n is node else (n,))]
    return replace(program, inputs=(*program.inputs, e), statements=tuple(nodes)), e


def _with(node: Node, old: Statement, new: Statement) -> Node:
    """A node with one statement changed, which may stand inside of a scan."""
    if node is old:
        return new
    return node.with_statements(_with(s, old, new) for s in node.statements) if isinstance(node, Scan) else node

"""`--total F`: the total derivative of a quantity of the page, d/dt f(x(t), t), by the chain rule over what it is made of.

    df/dt = ∂f/∂x dx/dt + ∂f/∂t          each factor as a formula, then the sum written out

The parts are the page's own definitions that f reads and that depend on t; a partial derivative holds all of them still. Each
factor and the sum are compared with the complex step, and the sum with the products of the factors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from symml.calculus.columns import Columns
from symml.calculus.second import jacobian
from symml.derivations import second_order, verified
from symml.derivations.lefts import of_quantity
from symml.derivations.naming import naming
from symml.derivations.request import Request
from symml.derivations.second_order import Asked
from symml.derivations.sections import equation, note
from symml.errors import SpecError
from symml.ir.evaluate import evaluate
from symml.ir.program import Node, Program, Scan, Tensor, dependents, outs, reads
from symml.latex.style import Both
from symml.proof.complex_step import BOUND, Proof, check_jacobian, relative
from symml.proof.samples import sample
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise

PARTIAL, TOTAL = (r"\partial", "∂"), (r"\mathrm{d}", "d")


@dataclass(frozen=True)
class Part:
    """A quantity between f and t: the derivatives of f by it (the others held) and of it by t, and their programs."""

    tensor: Tensor
    outer: Columns
    outer_proof: Proof
    inner: Columns
    inner_proof: Proof


@second_order.guarded
def product(request: Request) -> Iterator[dict]:
    """`--total NAME`."""
    if request.is_expression:
        raise SpecError("a total derivative is of a quantity of a page", fix="--jacobian, or a page with definitions")
    q = second_order.quantity(request)
    for t in q.wrt:
        yield from _total(q, t)


def _total(q: Asked, t: Tensor) -> Iterator[dict]:
    f = q.raw.outputs[q.key]
    whole = jacobian(q.forward, q.key, t)
    proof = check_jacobian(q.forward, q.key, whole.program, t)
    between = _between(q.raw, f, t)
    _refuse_higher(f, between, t)
    held = _forward(_held(q.raw, between), q.key, f)
    parts = [_part(q, held, x, t) for x in between]
    direct = jacobian(held, q.key, t) if t in prune(held, q.key).inputs else None
    summed = verified.told([_products(q, t, whole, parts, direct)])
    section, left = f"total derivative of {q.key} in {t.name}", _quotient(f, t, TOTAL)
    if not parts:
        yield note(
            section, f"no quantity of the page stands between {q.key} and {t.name}: it is the partial derivative"
        )
    else:
        terms = [_term(f, p.tensor, t) for p in parts] + [_quotient(f, t, PARTIAL)] * (direct is not None)
        right = tuple(" + ".join(term[k] for term in terms) for k in (0, 1))
        yield equation(section, left, right, f"chain rule; {summed}", ())
    for p in parts:
        yield from _factor(q, p.outer, f, p.tensor, PARTIAL, [p.outer_proof], section)
        yield from _factor(q, p.inner, p.tensor, t, TOTAL, [p.inner_proof], section)
    if parts and direct is not None:
        yield from _factor(q, direct, f, t, PARTIAL, [check_jacobian(held, q.key, direct.program, t)], section)
    yield from _factor(q, whole, f, t, TOTAL, [proof], f"{section}, written out")


# what stands between


def _between(program: Program, f: Tensor, t: Tensor) -> tuple[Tensor, ...]:
    """The definitions of the page that f reads, not through another one of them, and that depend on t."""
    made: dict[Tensor, list[Node]] = {}
    for node in program.statements:
        for out in outs(node):
            made.setdefault(out, []).append(node)
    if any(isinstance(n, Scan) for n in made.get(f, ())):
        raise SpecError(
            f"'{f.name}' is a recurrence: each of its steps stands between", f.span, fix="--steps tells its way"
        )
    moving = dependents(program.statements, (t,))
    found, seen, todo = {}, {f}, [f]
    while todo:
        for u in (u for node in made.get(todo.pop(), ()) for u in reads(node)):
            if u in seen or u not in moving or u is t:
                continue
            seen.add(u)
            if u.kind == "definition":
                found[u] = None
            else:
                todo.append(u)
    return tuple(u for u in program.tensors() if u in found)


def _held(program: Program, parts: Sequence[Tensor]) -> Program:
    """The program with some of its tensors given."""
    kept = tuple(n for n in program.statements if not set(outs(n)) & set(parts))
    return replace(program, inputs=(*program.inputs, *parts), statements=kept)


def _forward(program: Program, key: str, of: Tensor) -> Program:
    return simplify(stabilise(prune(replace(program, outputs={key: of}), key), scaled=False))


def _part(q: Asked, held: Program, x: Tensor, t: Tensor) -> Part:
    way = _forward(q.raw, x.name, x)
    outer, inner = jacobian(held, q.key, x), jacobian(way, x.name, t)
    proofs = check_jacobian(held, q.key, outer.program, x), check_jacobian(way, x.name, inner.program, t)
    return Part(x, outer, proofs[0], inner, proofs[1])


def _refuse_higher(f: Tensor, between: Sequence[Tensor], t: Tensor) -> None:
    high = next((x for x in (f, t, *between) if len(x.shape) > (2 if x in between else 1)), None)
    if high is None and any(len(x.shape) == 2 for x in between) and (f.shape or t.shape):
        high = next(x for x in between if len(x.shape) == 2)
    if high is not None:
        raise SpecError(
            f"the chain rule through '{high.name}' is no product of matrices here",
            high.span,
            fix="--jacobian, or --steps",
        )


def _products(q: Asked, t: Tensor, whole: Columns, parts: Sequence[Part], direct: Columns | None) -> Proof:
    """The sum of the products of the factors against the derivative, at random inputs."""
    rng, worst = np.random.default_rng(3), 0.0
    for _ in range(2):
        values, dims = sample(q.raw, rng)
        env = evaluate(q.raw, values, dims)
        known = {**values, **env}

        def entries(j: Columns, known: dict = known, dims: dict = dims) -> np.ndarray:
            return evaluate(j.program, {u: known[u] for u in j.program.inputs}, dims)[j.program.outputs["jacobian"]]

        found = np.zeros(()) if direct is None else entries(direct)
        for p in parts:
            found = found + np.tensordot(entries(p.outer), entries(p.inner), len(p.tensor.shape))
        worst = max(worst, relative(found, entries(whole)))
    return Proof("the sum of products", worst, BOUND, 2)


# in print


def _quotient(f: Tensor, t: Tensor, mark: Both) -> Both:
    return of_quantity(f.name, f.shape, t, mark).whole


def _term(f: Tensor, x: Tensor, t: Tensor) -> Both:
    """A product of factors: a derivative by a vector is a column where what is differentiated is a number."""
    outer, inner = _quotient(f, x, PARTIAL), _quotient(x, t, TOTAL)
    if len(x.shape) == 2:
        return rf"\left\langle {outer[0]}, {inner[0]} \right\rangle", f"⟨{outer[1]}, {inner[1]}⟩"
    turned = (rf"\left({outer[0]}\right)^{{\top}}", f"({outer[1]})ᵀ")
    if x.shape and not f.shape:
        if not t.shape:
            return f"{turned[0]} {inner[0]}", f"{turned[1]} {inner[1]}"
        return rf"\left({inner[0]}\right)^{{\top}} {outer[0]}", f"({inner[1]})ᵀ {outer[1]}"
    if f.shape and t.shape and not x.shape:
        return rf"{outer[0]} \left({inner[0]}\right)^{{\top}}", f"{outer[1]} ({inner[1]})ᵀ"
    return f"{outer[0]} {inner[0]}", f"{outer[1]} {inner[1]}"


def _factor(
    q: Asked, found: Columns, f: Tensor, x: Tensor, mark: Both, proofs: Sequence[Proof], section: str
) -> Iterator[dict]:
    left = of_quantity(f.name, f.shape, x, mark)
    yield from second_order.lines(q.request, section, left, found, verified.told(proofs), naming(q.forward))

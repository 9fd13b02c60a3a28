"""The record of a derivation: what the reverse pass sent back over the forward program with names for its intermediates.

way = recorded(analysis);   way.adjoints[Z]  ->  the tensor of way.derivative that is the adjoint of Z
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from symml.analysis import Analysis
from symml.calculus.reverse import Sent, gradient_way
from symml.derivations.intermediates import with_intermediates
from symml.derivations.said import with_definitions
from symml.ir.program import Program, Statement, Tensor, accesses, flat, outs
from symml.latex import index_form
from symml.latex.distinct import distinct
from symml.latex.style import Both
from symml.rewrite.simplify import simplify

LOSS: Both = (r"\ell", "ℓ")
MOST_TERMS = 6  # of an adjoint that are shown one by one


@dataclass(frozen=True)
class Way:
    """A derivation that can be told: `forward` with names for its intermediates, `derivative` with their adjoints as outputs.

    sent: the record of the reverse pass; kept: the tensors that stand as names; adjoints: of each of them; terms: of
    what several readings send back, a tensor of the derivative for each; symbol: what is differentiated.
    """

    forward: Program
    derivative: Program
    sent: tuple[Sent, ...]
    kept: frozenset[Tensor]
    adjoints: dict[Tensor, Tensor]
    terms: dict[int, Tensor]
    symbol: Both = LOSS

    @property
    def active(self) -> frozenset[Tensor]:
        """What the gradient passes through."""
        return frozenset(x.to for x in self.sent)


def recorded(a: Analysis) -> Way:
    """The reverse pass once more over the forward program with names, with the adjoints of its intermediates kept."""
    said, forward = with_definitions(a)
    forward = distinct(with_intermediates(forward, a.model.over, {t.name for t in a.raw.tensors()}, said), a.model.over)
    whole, sent = gradient_way(forward, "loss", a.model.over)
    adjoint = {x.to: x.statement.out for x in sent} | {t: whole.outputs[f"d_{t.name}"] for t in a.model.over}
    short = simplify(whole, said)
    left = {t.adjoint_of for node in short.statements for t in outs(node)} - _weighed(short)
    loss = forward.outputs["loss"]
    stations = [
        t
        for t in dict.fromkeys((*forward.tensors(), *a.model.over))
        if t in adjoint and t is not loss and (t in left or t.kind == "definition" or t in a.model.over)
    ]
    asked = {f"adjoint {k}": adjoint[t] for k, t in enumerate(stations)}
    terms = {k: _term(x, k) for k, x in enumerate(sent) if x.to in stations and _splits(sent, x)}
    asked |= {f"term {k}": s.out for k, s in terms.items()}
    derivative = replace(whole, statements=(*whole.statements, *terms.values()), outputs={**whole.outputs, **asked})
    derivative = distinct(index_form.with_numbers(simplify(derivative, said), loss), forward.tensors())
    adjoints = {t: derivative.outputs[f"adjoint {k}"] for k, t in enumerate(stations)}
    definitions = {t for t in forward.tensors() if t.kind == "definition"}
    return Way(
        forward,
        derivative,
        sent,
        frozenset((*definitions, *stations, *adjoints.values())),
        adjoints,
        {k: derivative.outputs[f"term {k}"] for k in terms},
    )


def _weighed(derivative: Program) -> set[Tensor]:
    """The numbers that the loss adds up with a weight: sums that nobody named, and need no name."""
    found = [s for s in flat(derivative.statements) if s.out.adjoint_of is not None and not s.out.shape]
    plain = [s for s in found if all(a.tensor.kind == "hyper" for a in accesses(s.body))]
    return {s.out.adjoint_of for s in plain if s.out.adjoint_of.kind == "temp"}


def _splits(sent: tuple[Sent, ...], x: Sent) -> bool:
    """Is the adjoint of a tensor told term by term? Where several readings send to it, from outside of its recurrence."""
    others = [y for y in sent if y.to is x.to]
    own = any(y.around is not None and x.to in outs(y.around) for y in others)
    return 1 < len(others) <= MOST_TERMS and not own


def _term(x: Sent, k: int) -> Statement:
    """What one reading sends back as a tensor of its own, over all steps of the recurrence it may stand in."""
    s = x.statement
    if x.around is not None:
        s = replace(s, loops=(x.around.step, *s.loops))
    s = replace(s, out=Tensor(f"term{k}", x.to.shape), reduce="none")
    s = replace(s, reduce="sum" if s.reduced else "none")
    return replace(s, mode="=" if s.covers else "+=")


def passed(way: Way, targets: list[Tensor]) -> list[Tensor]:
    """The intermediates whose adjoints the gradients need, from the loss backwards."""
    needed = {u for t in targets for u in index_form.needed(way.derivative, way.adjoints[t])}
    order = {u: k for k, u in enumerate(way.derivative.tensors())}
    found = [t for t, u in way.adjoints.items() if u in needed and t.kind != "param" and t not in targets]
    return sorted(found, key=lambda t: order[way.adjoints[t]])

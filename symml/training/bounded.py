"""What the methods between bounds call: the ends of each parameter as one vector, the residuals of the bounds, and for an
augmented Lagrangian the other conditions and the gradient of the Lagrangian.

    made, program = bounds(boxes, wrt)
    made, programs, facts = augmented(program, wrt, conditions, boxes)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import sympy

from symml.calculus.reverse import gradient
from symml.ir.program import Program, Statement, Tensor, fresh_indices
from symml.loops.plan import Function
from symml.names import Names
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.training.compose import executable
from symml.training.conditions import Condition, lagrangian_of

FAR = 1e300  # an end that is not there


@dataclass(frozen=True)
class Edge:
    """A condition that bounds every entry of a parameter: residual = slope (parameter - bound), its axes those of the
    parameter in the order `axes`."""

    output: str
    param: Tensor
    slope: float
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Boxes:
    """The bounds of the parameters: `program` has outputs `lower NAME`, `upper NAME` where they are; `zero` are parameters that
    have no such output and are at least 0; `open` says of which parameter an end is never taken."""

    program: Program
    edges: tuple[Edge, ...] = ()
    zero: frozenset[Tensor] = frozenset()
    open: Mapping[Tensor, tuple[bool, bool]] = field(default_factory=dict)

    def facts(self, wrt: Iterable[Tensor]) -> dict:
        """What a run must know of the edges, and of ends that are not taken."""
        edges = [
            {"name": e.output.split()[-1], "param": e.param.name, "slope": e.slope, "axes": list(e.axes)}
            for e in self.edges
        ]
        return {"edges": edges, "open": [list(self.open.get(t, (False, False))) for t in wrt]}


def bounds(boxes: Boxes, wrt: tuple[Tensor, ...]) -> tuple[Function, Program]:
    """The function `bounds`: all lower ends, then all upper ends; what has none is at FAR."""
    ends = boxes.program
    names, statements, found = Names(t.name for t in ends.tensors()), list(ends.statements), {}
    for side, far in (("lower", -FAR), ("upper", FAR)):
        for t in wrt:
            key = f"{side} {t.name}"
            out = ends.outputs.get(key)
            if out is None:
                k = fresh_indices(t.shape)
                out = Tensor(names.fresh(side), t.shape)
                value = 0.0 if side == "lower" and t in boxes.zero else far
                statements.append(Statement(out, k, "=", "none", k, sympy.Float(value)))
            found[key] = out
    program = prune(replace(ends, statements=tuple(statements), outputs=found), *found)
    return Function("bounds", "vector", executable(program), outputs=tuple(found)), program


def residuals(
    name: str, program: Program, outputs: tuple[str, ...], wrt: tuple[Tensor, ...]
) -> tuple[Function, Program]:
    """A function of the residuals of some conditions."""
    found = prune(program, *outputs)
    return Function(name, "vector", executable(found), outputs=outputs, params=wrt), found


def augmented(
    program: Program, wrt: tuple[Tensor, ...], conditions: Iterable[Condition], boxes: Boxes
) -> tuple[tuple[Function, ...], tuple[Program, ...], dict]:
    """`lagrangian` with its gradient, `general` and `bounds`; equalities come first, what only bounds is left out."""
    edges = {e.output for e in boxes.edges}
    general = [c for c in conditions if c.output not in edges]
    general = [*(c for c in general if c.equal), *(c for c in general if not c.equal)]
    outputs = tuple(c.output for c in general)
    whole, multipliers = lagrangian_of(program, outputs)
    slopes = simplify(gradient(whole, "lagrangian", wrt))
    ends, of_ends = bounds(boxes, wrt)
    kept, of_kept = residuals("general", program, outputs, wrt)
    made = (Function("lagrangian", "gradient", executable(slopes), "lagrangian", params=wrt), kept, ends)
    facts = {
        "general": [{"name": c.output.split()[-1], "equal": c.equal} for c in general],
        "multipliers": [multipliers[k].name for k in outputs],
        **boxes.facts(wrt),
    }
    return made, (slopes, of_kept, of_ends), facts

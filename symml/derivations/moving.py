"""The maps inside of a page: what an iteration repeats, and what a recurrence does in a step, analysed as systems are.

    movements(program)         ->  (Movement("E", the program of `next E` from E, what drives it), ...)
    analyse(source, given)     ->  facts as those of derivations/system.py, for each of them

What drives a recurrence, x[t] beside s[t-1], is held as at the last step. One that reads several steps back is the map of its
companion form: what lies back is a state of its own, x_1 <- x, x_2 <- x_1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from sympy import Expr

from symml.analysis import load
from symml.derivations.system import Asked, facts
from symml.errors import SpecError, UnsupportedError
from symml.ir.evaluate import evaluate
from symml.ir.program import (
    Access,
    Dim,
    Iterate,
    Library,
    Program,
    Scan,
    Statement,
    Tensor,
    accesses,
    fresh_indices,
    indices,
    outs,
    substitute,
)
from symml.methods.stability import Field, starts_within
from symml.model.model import Model
from symml.names import Names
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise
from symml.source import Source

FARTHEST = 50  # steps back
LARGEST = 100_000  # entries of what moves: more are not analysed
SMALL, FEW = 8, 6  # up to the first many starts are tried, above it the second


@dataclass(frozen=True)
class Movement:
    """A map of `states`: `program` has the outputs `next NAME`; ends: the tensors of the page that hold what is reached, with how
    many steps before their end (0: as a whole)."""

    name: str
    states: tuple[Tensor, ...]
    program: Program
    ends: tuple[tuple[Tensor, int], ...]
    driven: bool = False


def movements(program: Program) -> Iterator[Movement]:
    """Each iteration and each recurrence over one step."""
    for at, node in enumerate(program.statements):
        if isinstance(node, Iterate):
            states, made = tuple(x for x, *_ in node.states), node.statements
            ends, new, driven = tuple((x, 0) for x in states), {x: n for x, _, n in node.states}, False
        elif isinstance(node, Scan):
            states, made, new, ends, driven = _one_step(node)
            if not states:
                continue
        else:
            continue
        outputs = {f"next {x.name}": new[x] for x in states}
        before = [n for n in program.statements[:at] if not set(outs(n)) & set(states)]
        whole = Program((*program.inputs, *states), (*before, *made), outputs, program.requires)
        whole = simplify(stabilise(prune(whole, *outputs)))
        yield Movement(", ".join(x.name for x in states), states, whole, ends, driven)


def _one_step(scan: Scan) -> tuple:
    """The statements of one step over tensors without the step's axis: states, statements, next values, ends, driven."""
    offset: dict[Tensor, Expr] = {}
    for s in scan.statements:
        if isinstance(s, Library) or s.lhs[0] - scan.step != offset.setdefault(s.out, s.lhs[0] - scan.step):
            raise UnsupportedError("this recurrence is no map of one step to the next", scan.span)
    now = {u: Tensor(f"{u.name}_next", u.shape[1:], "temp", u.domain, u.span) for u in offset}
    last, back_to, driven = {scan.step: scan.step.size - 1}, _before(scan, offset), False
    made = []
    for s in scan.statements:
        table: dict[Expr, Expr] = {}
        for a in accesses(s.body):
            back = offset[a.tensor] - (a.idx[0] - scan.step) if a.tensor in offset else None
            if back is not None:
                table[a] = Access(back_to[a.tensor][int(back) - 1] if back else now[a.tensor], a.idx[1:])
            driven |= back is None and scan.step in indices(a)
        body = substitute(s.body.xreplace(table), last)
        guard = None if s.guard is None else substitute(s.guard, last)
        made.append(replace(s, out=now[s.out], lhs=s.lhs[1:], body=body, guard=guard))
    new: dict[Tensor, Tensor] = {}
    for u, group in back_to.items():
        new[group[0]] = now[u]
        for one, later in pairwise(group):
            new[later], k = (
                Tensor(f"{later.name}_next", later.shape, "temp", u.domain, u.span),
                fresh_indices(later.shape),
            )
            made.append(Statement(new[later], k, "=", "none", k, Access(one, k)))
    ends = tuple((u, k + 1) for u, group in back_to.items() for k in range(len(group)))
    return tuple(new), tuple(made), new, ends, driven


def _before(scan: Scan, offset: Mapping[Tensor, Expr]) -> dict[Tensor, tuple[Tensor, ...]]:
    """What is read of each tensor one step back, two steps back and so on, as tensors without the step's axis."""
    farthest: dict[Tensor, int] = {}
    for s in scan.statements:
        for a in (a for a in accesses(s.body) if a.tensor in offset):
            back = offset[a.tensor] - (a.idx[0] - scan.step)
            if not back.is_Integer or not 0 <= back <= FARTHEST:
                raise UnsupportedError(f"'{a.tensor.name}' is read by another step's number", s.span or scan.span)
            farthest[a.tensor] = max(farthest.get(a.tensor, 0), int(back))
    names = Names(t.name for t in offset)
    return {
        u: tuple(
            Tensor(names.claim(f"{u.name}_{k}") if k else u.name, u.shape[1:], "definition", u.domain, u.span)
            for k in range(back)
        )
        for u, back in farthest.items()
        if back
    }


def analyse(source: Source, known: Mapping[str, np.ndarray], dims: Mapping[str, int], asked: Asked) -> list[dict]:
    """The facts of each movement of a page at values of its data, parameters and hyper-parameters, by name."""
    model, program = load(source)
    named = {d for t in program.tensors() for n in t.shape for d in n.atoms(Dim)}
    sizes: dict[Dim, int] = {**model.sizes, **{d: dims[d.name] for d in named if d.name in dims}}
    values = {t: _value(model, t, known) for t in program.inputs}
    env = None
    found = []
    for m in movements(program):
        if env is None:
            with np.errstate(all="ignore"):
                env = evaluate(program, values, sizes)
        held = {t: values[t] for t in m.program.inputs if t in values}
        f = Field.of(m.program, m.states, held, sizes, False, asked.period)
        if f.size > LARGEST:
            found.append({"model": model.name, "states": [m.name], "too_large": f.size})
            continue
        ends = [env[e][-back] if back else env[e] for e, back in m.ends]
        first = np.concatenate([np.ravel(e) for e in ends]).astype(float)
        first = np.where(np.isfinite(first), first, 0.0)
        found.append({**facts(model.name, f, first, asked, _starts(f, first)), "driven": m.driven})
    return found


def _starts(f: Field, first: np.ndarray) -> Sequence[np.ndarray]:
    inside = (np.full(f.size, -np.inf), np.full(f.size, np.inf))
    return starts_within(f, first, inside) if f.size <= SMALL else starts_within(f, first, inside, FEW)


def _value(model: Model, t: Tensor, known: Mapping[str, np.ndarray]) -> np.ndarray:
    """What is given of an input, else the page's own number of a hyper-parameter."""
    own = model.hypers.get(t.name)
    value = known.get(t.name, None if own is None else own.value)
    if value is None:
        raise SpecError(
            f"'{t.name}' has no value here", t.span, fix="give the page an objective, so that it is trained"
        )
    return np.asarray(value, np.int64 if t.integer else np.float64)

"""The maps inside of a page: what an iteration repeats, and what a recurrence does in a step, analysed as systems are.

    movements(program)         ->  (Movement("E", the program of `next E` from E, what drives it), ...)
    analyse(source, given)     ->  facts as those of derivations/system.py, for each of them

What drives a recurrence, x[t] beside s[t-1], is held as at the last step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sympy import Expr

from symml.analysis import load
from symml.derivations.system import Asked, facts
from symml.errors import SpecError, UnsupportedError
from symml.ir.evaluate import evaluate
from symml.ir.program import Access, Dim, Iterate, Library, Program, Scan, Tensor, accesses, indices, outs, substitute
from symml.methods.stability import Field, starts_within
from symml.model.model import Model
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise
from symml.source import Source

LARGEST = 200  # entries of what moves: above it no Jacobian is made
SMALL, FEW = 8, 6  # up to the first many starts are tried, above it the second


@dataclass(frozen=True)
class Movement:
    """A map of `states`: `program` has the outputs `next NAME`; ends: the tensors of the page that hold what is reached."""

    name: str
    states: tuple[Tensor, ...]
    program: Program
    ends: tuple[Tensor, ...]
    driven: bool = False


def movements(program: Program) -> Iterator[Movement]:
    """Each iteration and each recurrence over one step; UnsupportedError where one reaches farther back."""
    for at, node in enumerate(program.statements):
        if isinstance(node, Iterate):
            states, made = tuple(x for x, *_ in node.states), node.statements
            ends, new, driven = states, {x: n for x, _, n in node.states}, False
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
    before = {u: Tensor(u.name, u.shape[1:], "definition", u.domain, u.span) for u in offset}
    last, read, driven = {scan.step: scan.step.size - 1}, {}, False
    made = []
    for s in scan.statements:
        table: dict[Expr, Expr] = {}
        for a in accesses(s.body):
            back = offset[a.tensor] - (a.idx[0] - scan.step) if a.tensor in offset else None
            if back is not None and back not in (0, 1):
                raise UnsupportedError(f"'{a.tensor.name}' reads more than one step back", s.span or scan.span)
            if back is not None:
                table[a] = Access((now, before)[int(back)][a.tensor], a.idx[1:])
                read |= {a.tensor: None} if back == 1 else {}
            driven |= back is None and scan.step in indices(a)
        body = substitute(s.body.xreplace(table), last)
        guard = None if s.guard is None else substitute(s.guard, last)
        made.append(replace(s, out=now[s.out], lhs=s.lhs[1:], body=body, guard=guard))
    states = tuple(before[u] for u in read)
    return states, tuple(made), {before[u]: now[u] for u in read}, tuple(read), driven


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
        ends = [env[e] if e in m.states else env[e][-1] for e in m.ends]
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

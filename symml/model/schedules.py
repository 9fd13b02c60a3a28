"""Schedules: a hyper-parameter of an optimiser as an expression of the step, from the pages of library/schedules.

    scheduled(optimizer("adam"), {"lr": parse("cosine(0.1, 0.001)")}, epochs=20)  ->  Optimizer that computes lr itself

A page reads `t` (the steps done), `T` (the steps of the whole run) and `epochs`; an argument is a number or another
schedule. The expression becomes the first statement of the update, so it is compiled with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from sympy import Expr

from symml.errors import SpecError
from symml.ir.evaluate import NUMPY, run
from symml.ir.functions import canonical
from symml.ir.optimizer import Optimizer
from symml.ir.program import Access, Domain, Program, Statement, Tensor, substitute
from symml.model.constants import FUNCTIONS
from symml.model.library import names, page
from symml.model.lower import Lowering
from symml.model.values import scalar
from symml.names import Names
from symml.syntax import tree
from symml.syntax.words import nearest

SHELF = "schedules"
SAMPLES = 16  # places of a run where a schedule is looked at before anything is trained


def is_schedule(node: tree.Expr) -> bool:
    """Does an option's value call something that is no constant?"""
    return any(isinstance(part, tree.Call) and part.function not in FUNCTIONS for part in tree.walk(node))


def definition(node: tree.Expr) -> tree.Function:
    """The page's function that a call names; SpecError with its place where there is none, or the arguments differ."""
    if not isinstance(node, tree.Call):
        raise SpecError(
            "a schedule stands alone, or as an argument of another schedule",
            node.span,
            fix="such as lr = warmup(cosine(0.1, 0.001), 5)",
        )
    known = names(SHELF)
    if node.function not in known:
        fix = nearest(node.function, known) or f"known are {', '.join(known)}"
        raise SpecError(f"unknown schedule '{node.function}'", node.span, fix=fix)
    found = next(s for s in page(SHELF, node.function).statements if isinstance(s, tree.Function))
    wanted = [p.name.id for p in found.params]
    if len(node.args) != len(wanted):
        raise SpecError(
            f"'{node.function}' takes {len(wanted)} arguments, this has {len(node.args)}",
            node.span,
            fix=f"{node.function}({', '.join(wanted)})",
        )
    for part in node.args:
        if is_schedule(part):
            definition(part)
    return found


def scheduled(o: Optimizer, given: Mapping[str, tree.Expr], epochs: float) -> Optimizer:
    """The optimiser with some hyper-parameters computed at each step; `epochs` is for the check of their values."""
    if not given:
        return o
    claim = Names(t.name for t in o.program.tensors()).claim
    t, after = Tensor(claim("steps_done"), (), "data"), Tensor(claim("steps_after"), ())
    steps, all_epochs = Tensor(claim("steps_of_run"), (), "hyper"), Tensor(claim("epochs_of_run"), (), "hyper")
    clock = {"t": t[()], "T": steps[()], "epochs": all_epochs[()]}
    first: list[Statement] = []
    table: dict[Expr, Expr] = {}
    for old in (h for h in o.hypers if h.name in given):
        node = given[old.name]
        body = canonical(_expanded(node, clock))
        _check(body, clock, old, node, epochs)
        now = Tensor(claim(f"{old.name}_now"), (), span=node.span)
        first.append(Statement(now, (), "=", "none", (), body, span=node.span))
        table[old[()]] = now[()]
    rest = o.program.mapped(lambda s: s.with_body(substitute(s.body, table))).statements
    last = Statement(after, (), "=", "none", (), t[()] + 1)
    kept = {h: v for h, v in o.hypers.items() if h.name not in given}
    inputs = tuple(i for i in o.program.inputs if i.name not in given or i not in o.hypers)
    program = Program((*inputs, steps, all_epochs, t), (*first, *rest, last), {**o.program.outputs, t.name: after})
    return replace(
        o,
        program=program,
        counters=(*o.counters, t),
        starts={**o.starts, t: 0.0},
        hypers={**kept, steps: None, all_epochs: None},
        updates={**o.updates, t: after},
        clock={steps: "steps", all_epochs: "epochs"},
    )


def _expanded(node: tree.Expr, clock: Mapping[str, Access]) -> Expr:
    """A call as the body of its page, over the clock."""
    if not is_schedule(node):
        return Lowering({}, {}, {}).expression(node, {}).scalar
    found = definition(node)
    low = Lowering({}, {}, {})
    low.values.update({name: scalar(access) for name, access in clock.items()})
    arguments = [_expanded(part, clock) for part in node.args]
    low.values.update({p.name.id: scalar(a) for p, a in zip(found.params, arguments, strict=True)})
    return low.expression(found.value, {}).scalar


def _check(body: Expr, clock: Mapping[str, Access], hyper: Tensor, node: tree.Expr, epochs: float) -> None:
    """Refuse a schedule that leaves the numbers, or the hyper-parameter's domain, somewhere in a run."""
    now = Tensor("now")
    statement = Statement(now, (), "=", "none", (), body)
    clock = {name: access.tensor for name, access in clock.items()}
    steps = SAMPLES * int(epochs)
    for k in range(0, steps, int(epochs)):
        env = {clock["t"]: np.float64(k), clock["T"]: np.float64(steps), clock["epochs"]: np.float64(epochs)}
        with np.errstate(all="ignore"):
            run(statement, env, {}, NUMPY)
        value = float(env[now])
        if not (math.isfinite(value) and inside(value, hyper.domain)):
            raise SpecError(
                f"the schedule of '{hyper.name}' is {value:g} at step {k} of {steps}, outside its domain", node.span
            )


def inside(value: float, domain: Domain) -> bool:
    """Is a number in an interval (or in the real numbers)?"""
    low, high = domain.lower, domain.upper
    above = low is None or value > low or (value == low and not domain.open[0])
    return above and (high is None or value < high or (value == high and not domain.open[1]))

"""`stop(u)`: u, held fixed while the rest is differentiated; where it stands, and the program without it.

What is derived then is no slope of the objective: methods that compare values (line searches, closed forms, duals,
certificates) have to refuse it. Once a program is differentiated, the marks have done their work and are left out.

    stopped(forward, (w,))      the first statement that holds something of w fixed, or None
    released(derivative)        the same program with u for stop(u)
"""

from __future__ import annotations

from collections.abc import Iterable

from symml.ir.functions import stop
from symml.ir.program import Program, Statement, Tensor, accesses, dependents, flat


def stopped(program: Program, wrt: Iterable[Tensor]) -> Statement | None:
    """The first statement with a stop(u) whose u depends on `wrt`."""
    held = [s for s in flat(program.statements) if s.body.has(stop)]
    if not held:
        return None
    moving = dependents(program.statements, wrt)
    return next((s for s in held if any(a.tensor in moving for f in s.body.atoms(stop) for a in accesses(f))), None)


def released(program: Program) -> Program:
    """A program that is not differentiated any more, without its marks; the same object where it has none."""
    return program.mapped(_released)


def _released(s: Statement) -> Statement:
    return s.with_body(s.body.replace(stop, lambda u: u)) if s.body.has(stop) else s

"""The update equations of the optimiser that a page is trained with, from its own page in the library.

product(request)  ->  rows of sections.py: the slope it goes along, then its updates in their order, and what it was given
"""

from __future__ import annotations

from symml import names as spelled
from symml.derivations.page_text import written
from symml.derivations.request import Request
from symml.derivations.sections import note
from symml.derivations.shelves import optimizer_row, schedules_in
from symml.errors import SpecError
from symml.model.library import names
from symml.syntax import tree

CLOCK = "in a schedule t is the number of steps done, T that of the whole run, epochs its epochs"


def product(request: Request) -> list[dict]:
    """`symml derive --updates`; SpecError where the page names no optimiser of the library."""
    train = request.analysis.model.train
    known = names("optimizers")
    if train is None or train.method not in known:
        raise SpecError("the page is not trained with an optimiser", fix=f"train with one of {', '.join(known)}")
    found = optimizer_row(train.method)
    trained = ", ".join(spelled.unicode(t.name) for t in request.analysis.model.over)
    given = {**found["hypers"], **{k: v for k, v in train.options.items() if k in found["hypers"]}}
    return [
        *(_formula(f"updates of {train.method}", u) for u in found["updates"]),
        note("where", f"θ is each of {trained}, g its gradient over the rows of a batch"),
        *([note("where", CLOCK)] if train.schedules else []),
        *(row for name, value in given.items() for row in _given(name, value, train.schedules.get(name))),
        note("gives", spelled.unicode(found["gives"])),
        note("paper", found["source"]),
    ]


def _given(name: str, value: float, schedule: tree.Expr | None) -> list[dict]:
    """What an option is: a number, or its schedule with the definitions of what that names."""
    left = (spelled.latex(name), spelled.unicode(name))
    if schedule is None:
        return [note("with", f"{left[1]} = {value:g}")]
    right = written(schedule)
    rows = [{"latex": f"{left[0]} = {right[0]}", "text": f"{left[1]} = {right[1]}"}, *schedules_in(schedule)]
    return [_formula("with", r) for r in rows]


def _formula(section: str, both: dict[str, str]) -> dict:
    return {**note(section, both["text"]), "latex": both["latex"]}

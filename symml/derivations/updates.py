"""The update equations of the optimiser that a page is trained with, from its own page in the library.

product(request)  ->  rows of sections.py: the slope it goes along, then its updates in their order, and what it was given
"""

from __future__ import annotations

from symml.derivations.request import Request
from symml.derivations.sections import note
from symml.derivations.shelves import optimizer_row
from symml.errors import SpecError
from symml.model.library import names


def product(request: Request) -> list[dict]:
    """`symml derive --updates`; SpecError where the page names no optimiser of the library."""
    train = request.analysis.model.train
    known = names("optimizers")
    if train is None or train.method not in known:
        raise SpecError("the page is not trained with an optimiser", fix=f"train with one of {', '.join(known)}")
    found = optimizer_row(train.method)
    head = f"updates of {train.method}"
    given = {**found["hypers"], **{k: v for k, v in train.options.items() if k in found["hypers"]}}
    rows = [{**note(head, u["text"]), "latex": u["latex"]} for u in found["updates"]]
    told = [
        note("with", f"{name} by its schedule" if name in train.schedules else f"{name} = {value:g}")
        for name, value in given.items()
    ]
    return [*rows, *told, note("gives", found["gives"]), note("paper", found["source"])]

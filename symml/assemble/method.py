"""Which method a page names, with its options checked: an algorithm that reads all rows, or a page of library/optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symml.errors import SpecError, UnsupportedError
from symml.ir.optimizer import Optimizer
from symml.ir.program import Domain
from symml.model.library import names, page
from symml.model.model import Model
from symml.model.optimizer import optimizer
from symml.model.schedules import inside, scheduled
from symml.source import Span
from symml.syntax.words import nearest
from symml.training.solvers import SOLVERS

if TYPE_CHECKING:
    pass

FULL_BATCH_OPTIONS = {"lbfgs": {"iterations": 1000, "memory": 10}, **SOLVERS}
BATCH_OPTIONS = {"batch": 32, "epochs": 20, "seed": 0}
LARGEST_COUNT = 2**31 - 1


def method_of(model: Model) -> tuple[str, Optimizer | None]:
    """The method of the page: an algorithm that reads all rows, or a page of library/optimizers."""

    name = model.train.method if model.train else "lbfgs"
    known = {**FULL_BATCH_OPTIONS.get(name, {}), **(BATCH_OPTIONS if name not in FULL_BATCH_OPTIONS else {})}
    if name not in (*FULL_BATCH_OPTIONS, *names("optimizers")):
        every = (*FULL_BATCH_OPTIONS, *names("optimizers"))
        raise SpecError(
            f"unknown method '{name}'", model.train.span, fix=nearest(name, every) or f"known are {', '.join(every)}"
        )
    found = None if name in FULL_BATCH_OPTIONS else optimizer(page("optimizers", name))
    if model.train is None:
        return name, found
    domains = {t.name: t.domain for t in found.hypers} if found else {}
    known |= dict.fromkeys(domains)
    for option, place in model.train.places.items():
        if option not in known:
            raise SpecError(
                f"'{name}' has no option '{option}'",
                place,
                fix=nearest(option, known) or f"its options are {', '.join(known)}",
            )
        if option in model.train.schedules and option not in domains:
            raise SpecError(f"'{option}' is one number for the whole run", place)
    for option, value in model.train.options.items():
        _check_option(option, value, domains.get(option), model.train.places[option])
    if found is not None and model.train.tolerance is not None:
        raise UnsupportedError(
            f"'{name}' goes through its epochs and does not stop by |grad|",
            model.train.span,
            fix="until stalled(PART) >= 5, with a part of the split, or train with lbfgs",
        )
    epochs = model.train.options.get("epochs", BATCH_OPTIONS["epochs"])
    return name, found and scheduled(found, model.train.schedules, epochs)


def _check_option(option: str, value: float, domain: Domain | None, place: Span) -> None:
    """A hyper-parameter lies in its domain; what counts something is a whole number."""
    if domain is not None and not inside(value, domain):
        raise SpecError(f"{option} = {value:g} is outside its domain", place)
    least = {"seed": 0}.get(option, 1)
    if domain is None and (value != int(value) or not least <= value <= LARGEST_COUNT):
        raise SpecError(f"{option} = {value:g} is not a whole number from {least} to {LARGEST_COUNT}", place)

"""A page up to its derivative: the stages that every product begins with.

    text -parse-> Tree -check-> Model -lower-> Program -stabilise, simplify, gradient-> Program

Rooms are imported inside functions, so that a warm run (a cached kernel) loads neither sympy nor lark.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from symml.errors import FileError, SpecError, SymmlError, SymmlErrors
from symml.source import Source

if TYPE_CHECKING:
    from symml.ir.program import Program
    from symml.model.model import Model


@dataclass(frozen=True)
class Analysis:
    """A page up to its derivative: `raw` as lowered, `forward` in stable form, `derivative` with outputs d_NAME."""

    model: Model
    program: Program
    raw: Program
    forward: Program
    derivative: Program


def read(path: str | Path) -> Source:
    """A page's text."""
    try:
        return Source(str(path), Path(path).read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise FileError(f"'{path}' is not UTF-8 text") from None
    except OSError as problem:
        raise FileError(f"cannot read '{path}': {problem.strerror}") from None


def canonical(source: Source) -> str:
    """The text of a page in canonical form."""
    from symml.syntax.format import formatted

    return formatted(source)


def load(source: Source) -> tuple[Model, Program]:
    """Text to checked Model and lowered Program."""
    from symml.model.feasible import regions
    from symml.model.limits import check_limits
    from symml.model.rows import refuse_order
    from symml.rewrite.present import present_only
    from symml.rewrite.roles import stored_only

    try:
        model, program = _lowered(source)
    except RecursionError:  # long flat products too: an element of them is a function of an element of the rest
        raise SpecError(
            "an expression of this page is nested too deeply, or has some hundred factors",
            fix="define parts of it under names of their own",
        ) from None
    check_limits(program)
    if model.split:
        refuse_order(program, model.split.dim)
    if model.masks or model.ragged:
        program = present_only(program, model.masks, model.ragged)
    if model.constraints:
        program, found = regions(program, model)
        model = replace(model, regions=found)
    return model, stored_only(program, model.stored) if model.stored else program


def _lowered(source: Source) -> tuple[Model, Program]:
    """Text to Model and Program as they are written; SymmlErrors holds the mistakes of all three stages, each stage going on
    with the statements that the one before could read."""
    from symml.model.check import read_model
    from symml.model.echoes import heard, lost
    from symml.model.lower import lower
    from symml.syntax.parse import parse_sound

    page, errors = parse_sound(source)
    names = lost(page, errors)
    if names is None:
        raise SymmlErrors(errors)
    try:
        model, found, unread = read_model(page, names)
        errors += found
        if model is not None:
            program = lower(model, unread)
            if not errors:
                return model, program
    except SymmlErrors as several:
        errors += heard(page, unread, several.errors) if errors else several.errors
    except SymmlError:  # no page of a model
        if not errors:
            raise
    raise SymmlErrors(errors)


def analyse(source: Source) -> Analysis:
    """Text to derivative."""
    model, program = load(source)
    if model.objective is None:
        raise SpecError("the page states no objective", fix="write minimize over ... or maximize over ...")
    return differentiate(model, program)


def differentiate(model: Model, program: Program) -> Analysis:
    """The stable forward program and its gradient in the parameters that are trained."""
    from symml.calculus.reverse import gradient
    from symml.rewrite.dead import prune
    from symml.rewrite.roles import weighted
    from symml.rewrite.simplify import simplify
    from symml.rewrite.stable import stabilise

    raw = prune(program, "loss")
    if model.weight is not None:
        raw = weighted(raw, model.row_dim, model.weight)
    forward = simplify(stabilise(raw))
    return Analysis(model, program, raw, forward, simplify(gradient(forward, "loss", model.over)))

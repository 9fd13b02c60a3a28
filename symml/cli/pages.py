"""Commands that read a page and train nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import typer

from symml import faces, pipeline
from symml.cli.options import Debug, Dtype, Json, Spec, Target, fit_options
from symml.errors import SpecError, SymmlErrors
from symml.source import Source, Span

STAGES = ("tree", "model", "program", "derivative", "loops", "source")


def check(spec: Spec, as_json: Json = False, debug: Debug = False) -> None:
    """Check names, shapes, indices and domains of a page; all mistakes at once."""
    model, _ = pipeline.load(pipeline.read(spec))
    facts = {"model": model.name, "ok": True, "data": list(model.data), "parameters": list(model.params)}
    typer.echo(json.dumps(facts) if as_json else f"{model.name}: no mistakes")


def fmt(
    specs: Annotated[list[Path], typer.Argument(help="Pages.", show_default=False)],
    check: Annotated[bool, typer.Option("--check", help="Change nothing; name the pages that would change.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the canonical form back.")] = False,
    debug: Debug = False,
) -> None:
    """Print pages in canonical form: blanks, indentation and empty lines, nothing else."""
    pages = [(spec, source, pipeline.canonical(source)) for spec in specs for source in [pipeline.read(spec)]]
    changed = [(spec, source, text) for spec, source, text in pages if text != source.text]
    if check and changed:
        raise SymmlErrors([_not_canonical(source, text) for _, source, text in changed])
    if write:
        for spec, _, text in changed:
            faces.write(spec, text)
            typer.echo(f"wrote {spec}")
    elif not check:
        typer.echo("".join(text for _, _, text in pages), nl=False)


def _not_canonical(source: Source, text: str) -> SpecError:
    """The first line that differs from the canonical form."""
    pairs = zip_longest(source.text.splitlines(), text.splitlines())
    number = next((k for k, (old, new) in enumerate(pairs, start=1) if old != new), 1)
    return SpecError("not in canonical form", Span(source, number, 1), fix=f"symml fmt --write {source.name}")


def derive(
    spec: Annotated[Path | None, typer.Argument(help="A page.", show_default=False)] = None,
    expression: Annotated[
        str | None, typer.Option("-e", help="An expression: a..g scalars, h..z vectors, A..Z matrices.")
    ] = None,
    wrt: Annotated[str | None, typer.Option(help="The name to differentiate by.")] = None,
    form: Annotated[str, typer.Option(help="matrix, index or sympy.")] = "matrix",
    form_at: Annotated[str, typer.Option("--format", help="text, latex or json.")] = "text",
    scalar: Annotated[list[str], typer.Option(help="Read this name as a scalar.", show_default=False)] = (),
    vector: Annotated[list[str], typer.Option(help="Read this name as a vector.", show_default=False)] = (),
    matrix: Annotated[list[str], typer.Option(help="Read this name as a matrix.", show_default=False)] = (),
    verify: Annotated[bool, typer.Option("--verify", help="Print every proof.")] = False,
    steps: Annotated[
        bool, typer.Option("--steps", help="Print the way, each line with its rule and its check.")
    ] = False,
    dual: Annotated[bool, typer.Option("--dual", help="The dual problem, and the way to it.")] = False,
    kkt: Annotated[bool, typer.Option("--kkt", help="The Lagrangian and the conditions of an optimum.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print the derived formulas, each compared numerically before it is shown."""
    if (spec is None) == (expression is None):
        raise SpecError(
            "give a page or an expression", fix='symml derive page.symml, or symml derive -e "tr(X\' A X)" --wrt X'
        )
    for value, known, what in (
        (form, ("matrix", "index", "sympy"), "form"),
        (form_at, ("text", "latex", "json"), "format"),
    ):
        if value not in known:
            raise SpecError(f"unknown {what} '{value}'", fix=f"one of {', '.join(known)}")
    kinds = {n: kind for names, kind in ((scalar, "scalar"), (vector, "vector"), (matrix, "matrix")) for n in names}
    source = Source("-e", expression) if expression is not None else pipeline.read(spec)
    product = _product({"steps": steps, "kkt": kkt, "dual": dual})
    rows = pipeline.derivations(source, expression is not None, wrt, form, kinds, verify, product)
    if as_json or form_at == "json":
        typer.echo(json.dumps({"steps" if steps else "formulas": rows}))
    elif steps or "section" in rows[0]:
        typer.echo("\n".join(pipeline.told(rows, form_at)))
    else:
        typer.echo("\n".join(faces.formula_lines(rows, form_at)))


def _product(flags: Mapping[str, bool]) -> str:
    """The one product that is asked for."""
    asked = [name for name, given in flags.items() if given]
    if len(asked) > 1:
        raise SpecError(f"--{asked[0]} and --{asked[1]} are two products", fix="ask for one of them")
    return asked[0] if asked else "gradient"


def emit(
    spec: Spec,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The module's file; without it, stdout.")] = None,
    target: Target = "cpu",
    dtype: Dtype = "float64",
    debug: Debug = False,
) -> None:
    """Write a standalone module with value_and_grad, fit and predict."""
    text = pipeline.emit(pipeline.read(spec), fit_options(target, dtype, []))
    if out is None:
        typer.echo(text, nl=False)
    else:
        faces.write(out, text)
        typer.echo(f"wrote {out}")


def show(
    spec: Spec,
    stage: Annotated[str, typer.Option(help=", ".join(STAGES))] = "program",
    dtype: Dtype = "float64",
    debug: Debug = False,
) -> None:
    """Print one stage of the journey from text to source."""
    if stage not in STAGES:
        raise SpecError(f"unknown stage '{stage}'", fix=f"one of {', '.join(STAGES)}")
    typer.echo(pipeline.show(pipeline.read(spec), stage, fit_options("cpu", dtype, [])))


def gallery(
    areas: Annotated[
        list[int] | None, typer.Argument(metavar="[AREA ...]", help="Numbers.", show_default=False)
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train the examples and compare them with independent libraries and on every target; needs symml's own repository."""
    from symml import gallery as shown

    project, known = shown.find(), {}
    rows = [shown.row(project, claim, known) for claim in shown.claims(project, areas or ())]
    typer.echo(json.dumps({"rows": rows}) if as_json else "\n".join(shown.lines(rows)))
    wrong = shown.failing(rows)
    if wrong is not None:
        raise wrong


COMMANDS = (check, fmt, derive, emit, show, gallery)

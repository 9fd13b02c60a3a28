"""`symml analyze`: fixed points of a page whose states move, the sharpness of a page that is trained."""

from __future__ import annotations

from typing import Annotated

import typer

from symml import faces, pipeline
from symml.cli.options import DataFiles, Debug, Hypers, Json, Seed, Spec, Target, data_files, fit_options, number
from symml.errors import SpecError


def analyze(
    spec: Spec,
    given: Hypers = (),
    vary: Annotated[
        str | None, typer.Option(metavar="NAME=A..B", help="Where stability changes along it.", show_default=False)
    ] = None,
    period: Annotated[int, typer.Option(help="Of the orbits of a map.")] = 1,
    form_at: Annotated[str, typer.Option("--format", help="text, latex or json.")] = "text",
    target: Target = "cpu",
    seed: Seed = None,
    data: DataFiles = (),
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fixed points, Jacobian, eigenvalues and verdicts of a map or flow; or train a page and print its sharpness."""
    if form_at not in ("text", "latex", "json"):
        raise SpecError(f"unknown format '{form_at}'", fix="one of text, latex, json")
    source, options = pipeline.read(spec), fit_options(target, "float64", list(given))
    as_json = as_json or form_at == "json"
    if pipeline.is_system(source):
        facts = pipeline.analysed(source, options.hypers, _range(vary), period)
        typer.echo(faces.as_json(facts) if as_json else "\n".join(pipeline.analysis_lines(facts, form_at)))
        return
    if not pipeline.is_trained(source):
        found = pipeline.moving(source, options.hypers, _range(vary), period)
        if not found:
            raise SpecError("nothing moves on this page", fix="such as x <- r x (1 - x), or minimize ... to train it")
        lines = [line for facts in found for line in [*pipeline.analysis_lines(facts, form_at), ""]]
        typer.echo(faces.as_json(found) if as_json else "\n".join(lines[:-1]))
        return
    if vary or period != 1:
        raise SpecError("--vary and --period are for pages whose states move", fix="such as x <- r x (1 - x)")
    result = pipeline.train(source, options, data_files(list(data)), seed)
    found = pipeline.sharpness(result, target)
    moves = pipeline.moving(source, options.hypers, result=result)
    if as_json:
        typer.echo(faces.as_json({**faces.sharpness_facts(result, found), "moving": moves}))
    else:
        lines = [line for facts in moves for line in ["", *pipeline.analysis_lines(facts, form_at)]]
        typer.echo("\n".join([*faces.figures(result), "", *faces.sharpness_lines(result, found), *lines]))


def _range(text: str | None) -> tuple[str, float, float] | None:
    """`r=2.5..4` as (r, 2.5, 4)."""
    if text is None:
        return None
    name, equals, ends = text.partition("=")
    low, dots, high = ends.partition("..")
    if not (equals and dots):
        raise SpecError(f"'{text}' is not of the form NAME=A..B", fix="--vary r=2.5..4")
    return pipeline.spelled(name), number(name, low), number(name, high)


COMMANDS = (analyze,)

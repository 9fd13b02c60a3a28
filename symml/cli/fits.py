"""Commands that train, and those that go on with what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symml import faces, pipeline
from symml.cli.options import (
    Checkpoint,
    DataFiles,
    Debug,
    Dtype,
    Errors,
    Every,
    Hypers,
    Json,
    Resume,
    Seed,
    Spec,
    Target,
    Threads,
    data_files,
    fit_options,
    number,
    pairs,
    progress,
)
from symml.errors import NumericError, SpecError


def _trained(
    spec: Path,
    options: pipeline.Options,
    seed: int | None,
    data: list[str],
    quiet: bool,
    keeping: pipeline.Keeping | None,
) -> pipeline.Result:
    source = pipeline.read(spec)
    try:
        with progress(quiet) as watch:
            return pipeline.train(source, options, data_files(data), seed, watch, keeping)
    except KeyboardInterrupt as stop:
        if str(stop):
            typer.echo(str(stop), err=True)
        raise


def run(
    spec: Spec,
    target: Target = "cpu",
    dtype: Dtype = "float64",
    seed: Seed = None,
    data: DataFiles = (),
    given: Hypers = (),
    threads: Threads = None,
    checkpoint: Checkpoint = None,
    resume: Resume = None,
    every: Every = pipeline.EVERY,
    out: Annotated[Path, typer.Option(help="Where runs are saved.")] = Path("runs"),
    errors: Errors = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Do what the page asks: formulas, training, report, predictions; saved under runs/NAME."""
    keeping = pipeline.keeping_of(checkpoint, resume, every)
    try:
        result = _trained(spec, fit_options(target, dtype, list(given), threads), seed, list(data), as_json, keeping)
    except NumericError as error:
        faces.keep_finite(out, error)
        raise
    folder = faces.save_run(out / result.kernel.manifest["model"], result)
    if not as_json:
        typer.echo("\n".join(faces.screen(result)))
        typer.echo(f"saved to {folder}")
    found = pipeline.errors(result, errors) if errors else None
    if found is not None:
        faces.save_errors(folder, result, found)
    if as_json:
        typer.echo(faces.as_json({**faces.document(result, found), "saved": str(folder)}))
    elif found is not None:
        typer.echo("\n".join(["", *faces.error_lines(result, found)]))


def train(
    spec: Spec,
    target: Target = "cpu",
    dtype: Dtype = "float64",
    seed: Seed = None,
    data: DataFiles = (),
    given: Hypers = (),
    threads: Threads = None,
    checkpoint: Checkpoint = None,
    resume: Resume = None,
    every: Every = pipeline.EVERY,
    errors: Errors = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train and print the figures; nothing is written."""
    keeping = pipeline.keeping_of(checkpoint, resume, every)
    result = _trained(spec, fit_options(target, dtype, list(given), threads), seed, list(data), as_json, keeping)
    found = pipeline.errors(result, errors) if errors else None
    if as_json:
        typer.echo(faces.as_json(faces.document(result, found)))
        return
    typer.echo("\n".join(faces.figures(result)))
    if found is not None:
        typer.echo("\n".join(["", *faces.error_lines(result, found)]))


def predict(
    spec: Spec,
    load: Annotated[Path, typer.Option("--load", metavar="DIR", help="The folder of a run.", show_default=False)],
    data: DataFiles = (),
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A .csv, .json or .npy file; without it, CSV on stdout.")
    ] = None,
    target: Target = "cpu",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Predict with a saved run for new rows; only the data that the prediction reads must be given."""
    options = fit_options(target, "float64", [])
    found = pipeline.restore(pipeline.read(spec), load, options.target).predict(
        {name: Path(file) for name, file in pairs(list(data))}
    )
    told = faces.predicted(found, out)
    facts = {"shape": found.shape, **({"prediction": found.tolist()} if out is None else {"saved": str(out)})}
    typer.echo(faces.as_json(facts) if as_json else told)


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.", show_default=False)],
    form: Annotated[
        str | None, typer.Option("--format", help="csv, json or npz; by default the ending of --out.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file; without it, stdout.")] = None,
    debug: Debug = False,
) -> None:
    """Write the parameters of a saved run for other programs."""
    content = faces.exported(folder, form, out)
    if out is None:
        typer.echo(content.decode(), nl=False)
    else:
        typer.echo(f"wrote {out}")


def bootstrap(
    spec: Spec,
    fits: Annotated[int, typer.Option(help="Resamples of the training rows.")] = 200,
    level: Annotated[float, typer.Option(help="Of the percentile intervals.")] = 0.95,
    target: Target = "cpu",
    dtype: Dtype = "float64",
    seed: Seed = None,
    data: DataFiles = (),
    given: Hypers = (),
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fit resamples of the rows with one kernel: standard errors and percentile intervals of the parameters."""
    if not 0.0 < level < 1.0:
        raise SpecError(f"the level of an interval lies between 0 and 1, not at {level:g}", fix="--level 0.95")
    options = fit_options(target, dtype, list(given), threads)
    with progress(as_json) as watch:
        found = pipeline.bootstrap(pipeline.read(spec), options, data_files(list(data)), seed, fits, watch)
    if as_json:
        typer.echo(faces.as_json(faces.bootstrap_document(found, level)))
    else:
        typer.echo("\n".join(faces.bootstrap_lines(found, level)))


def path(
    spec: Spec,
    hyper: Annotated[str, typer.Option(help="The hyper-parameter.", show_default=False)],
    values: Annotated[str, typer.Option(help="Its values: 1e-3,1e-2,1e-1", show_default=False)],
    cold: Annotated[
        bool, typer.Option("--cold", help="Begin each fit as the page says, not at the one before.")
    ] = False,
    target: Target = "cpu",
    dtype: Dtype = "float64",
    seed: Seed = None,
    data: DataFiles = (),
    given: Hypers = (),
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fit a page for each value of a hyper-parameter with one kernel."""
    hyper = pipeline.spelled(hyper)
    along = [number(hyper, text.strip()) for text in values.split(",")]
    options = fit_options(target, dtype, list(given), threads)
    source, files = pipeline.read(spec), data_files(list(data))
    with progress(as_json) as watch:
        found = pipeline.path(source, options, files, seed, hyper, along, not cold, watch)
    typer.echo(faces.as_json(faces.path_document(found)) if as_json else "\n".join(faces.path_lines(found)))


COMMANDS = (run, train, predict, export, bootstrap, path)

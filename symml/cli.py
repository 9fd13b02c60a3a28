"""The command line: the only file that prints or exits.

Exit codes: 0 done, 2 wrong spec or data, 3 numeric failure, 4 a file or a device cannot be used, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from symml import faces, pipeline
from symml.errors import NumericError, SpecError, SymmlError, SymmlErrors
from symml.source import Source, Span

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A page of mathematics in; derived formulas, their proofs and a trained model out.",
)
Spec = Annotated[Path, typer.Argument(help="A page, NAME.symml.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Target = Annotated[str, typer.Option(help="cpu, cuda or reference.")]
Dtype = Annotated[str, typer.Option(help="float64 or float32.")]
Seed = Annotated[int | None, typer.Option(help="Overrides the page's seed.", show_default=False)]
DataFiles = Annotated[
    list[str], typer.Option("--data", metavar="NAME=FILE", help="Take NAME from another file.", show_default=False)
]
Hypers = Annotated[
    list[str], typer.Option("--set", metavar="NAME=NUMBER", help="Give a hyper-parameter.", show_default=False)
]
Checkpoint = Annotated[
    Path | None, typer.Option(help="Keep the run in this folder while it goes on.", show_default=False)
]
Resume = Annotated[
    Path | None, typer.Option(help="Go on with the run that this folder keeps, to the same bits.", show_default=False)
]
Every = Annotated[float, typer.Option(help="Seconds between two checkpoints.")]
Errors = Annotated[
    str | None,
    typer.Option(
        "--errors", help="Print standard errors; the objective is a likelihood, or squares.", show_default=False
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
USAGE = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")  # of whichever click typer brings
INTERRUPTED = 130
STAGES = ("tree", "model", "program", "derivative", "loops", "source")


def main() -> None:
    """The entry point; a user's mistake ends in one message on stderr and its exit code."""
    debug = "--debug" in sys.argv
    try:
        code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:  # typer has turned the KeyboardInterrupt into its code
            _leave_interrupted()
        raise SystemExit(code)
    except SymmlError as error:
        if debug:
            raise
        typer.echo(str(error), err=True)
        raise SystemExit(error.exit_code) from None
    except (KeyboardInterrupt, typer.Abort):
        _leave_interrupted()
    except USAGE as problem:
        problem.show()
        raise SystemExit(2) from None
    except RecursionError:
        if debug:
            raise
        typer.echo(
            "error: an expression of this page is nested too deeply; define parts under names of their own", err=True
        )
        raise SystemExit(2) from None
    except MemoryError:
        typer.echo("error: there is not enough memory for this page and its data", err=True)
        raise SystemExit(2) from None


def _leave_interrupted() -> NoReturn:
    """End now: what is to be kept is kept, and a Python with a compiler loaded takes up to a second to end by itself."""
    typer.echo("interrupted", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _options(target: str, dtype: str, given: list[str]) -> pipeline.Options:
    for value, known, what in ((target, pipeline.TARGETS, "target"), (dtype, ("float64", "float32"), "dtype")):
        if value not in known:
            raise SpecError(f"unknown {what} '{value}'", fix=f"one of {', '.join(known)}")
    return pipeline.Options(target=target, dtype=dtype, hypers={k: _number(k, v) for k, v in _pairs(given)})


def _pairs(given: list[str]) -> list[tuple[str, str]]:
    wrong = [g for g in given if "=" not in g]
    if wrong:
        raise SpecError(f"'{wrong[0]}' is not of the form NAME=VALUE")
    return [tuple(g.split("=", 1)) for g in given]


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"'{text}' is not a number for '{name}'") from None


@contextmanager
def _progress(quiet: bool) -> Iterator[object]:
    """A progress bar on a terminal; nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.fields[figure]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", figure="compiling", total=None)

        def watch(done: int, total: int, loss: float, gradient: float) -> None:
            slope = f"  |grad| {gradient:.0e}" if gradient == gradient else ""
            bar.update(task, completed=done, total=total, figure=f"loss {loss:.4g}{slope}")

        yield watch


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
        with _progress(quiet) as watch:
            return pipeline.train(source, options, _files(data), seed, watch, keeping)
    except KeyboardInterrupt as stop:
        if str(stop):
            typer.echo(str(stop), err=True)
        raise


def _files(data: list[str]) -> dict[str, object]:
    return {name: Path(file) for name, file in _pairs(data)}


@app.command()
def run(
    spec: Spec,
    target: Target = "cpu",
    dtype: Dtype = "float64",
    seed: Seed = None,
    data: DataFiles = (),
    given: Hypers = (),
    checkpoint: Checkpoint = None,
    resume: Resume = None,
    every: Every = pipeline.EVERY,
    out: Annotated[Path, typer.Option(help="Where runs are saved.")] = Path("runs"),
    errors: Errors = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Do what the page asks: formulas, training, report, predictions; saved under runs/NAME."""
    keeping = pipeline.keeping(checkpoint, resume, every)
    try:
        result = _trained(spec, _options(target, dtype, list(given)), seed, list(data), as_json, keeping)
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
        typer.echo(json.dumps({**faces.document(result, found), "saved": str(folder)}))
    elif found is not None:
        typer.echo("\n".join(["", *faces.error_lines(result, found)]))


@app.command()
def train(
    spec: Spec,
    target: Target = "cpu",
    dtype: Dtype = "float64",
    seed: Seed = None,
    data: DataFiles = (),
    given: Hypers = (),
    checkpoint: Checkpoint = None,
    resume: Resume = None,
    every: Every = pipeline.EVERY,
    errors: Errors = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train and print the figures; nothing is written."""
    keeping = pipeline.keeping(checkpoint, resume, every)
    result = _trained(spec, _options(target, dtype, list(given)), seed, list(data), as_json, keeping)
    found = pipeline.errors(result, errors) if errors else None
    if as_json:
        typer.echo(json.dumps(faces.document(result, found)))
        return
    typer.echo("\n".join(faces.figures(result)))
    if found is not None:
        typer.echo("\n".join(["", *faces.error_lines(result, found)]))


@app.command()
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
    options = _options(target, "float64", [])
    found = pipeline.restore(pipeline.read(spec), load, options.target).predict(
        {name: Path(file) for name, file in _pairs(list(data))}
    )
    told = faces.predicted(found, out)
    facts = {"shape": found.shape, **({"prediction": found.tolist()} if out is None else {"saved": str(out)})}
    typer.echo(json.dumps(facts) if as_json else told)


@app.command()
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


@app.command()
def bootstrap(
    spec: Spec,
    fits: Annotated[int, typer.Option(help="Resamples of the training rows.")] = 200,
    level: Annotated[float, typer.Option(help="Of the percentile intervals.")] = 0.95,
    target: Target = "cpu",
    dtype: Dtype = "float64",
    seed: Seed = None,
    data: DataFiles = (),
    given: Hypers = (),
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fit resamples of the rows with one kernel: standard errors and percentile intervals of the parameters."""
    if not 0.0 < level < 1.0:
        raise SpecError(f"the level of an interval lies between 0 and 1, not at {level:g}", fix="--level 0.95")
    options = _options(target, dtype, list(given))
    with _progress(as_json) as watch:
        found = pipeline.bootstrap(pipeline.read(spec), options, _files(list(data)), seed, fits, watch)
    if as_json:
        typer.echo(json.dumps(faces.bootstrap_document(found, level)))
    else:
        typer.echo("\n".join(faces.bootstrap_lines(found, level)))


@app.command()
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
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fit a page for each value of a hyper-parameter with one kernel."""
    along = [_number(hyper, text.strip()) for text in values.split(",")]
    options = _options(target, dtype, list(given))
    source, files = pipeline.read(spec), _files(list(data))
    with _progress(as_json) as watch:
        found = pipeline.path(source, options, files, seed, hyper, along, not cold, watch)
    typer.echo(json.dumps(faces.path_document(found)) if as_json else "\n".join(faces.path_lines(found)))


@app.command()
def check(spec: Spec, as_json: Json = False, debug: Debug = False) -> None:
    """Check names, shapes, indices and domains of a page; all mistakes at once."""
    model, _ = pipeline.load(pipeline.read(spec))
    facts = {"model": model.name, "ok": True, "data": list(model.data), "parameters": list(model.params)}
    typer.echo(json.dumps(facts) if as_json else f"{model.name}: no mistakes")


@app.command()
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


@app.command()
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
    rows = pipeline.derivations(source, expression is not None, wrt, form, kinds, verify)
    if as_json or form_at == "json":
        typer.echo(json.dumps({"formulas": rows}))
    else:
        typer.echo("\n".join(faces.formula_lines(rows, form_at)))


@app.command()
def emit(
    spec: Spec,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The module's file; without it, stdout.")] = None,
    target: Target = "cpu",
    dtype: Dtype = "float64",
    debug: Debug = False,
) -> None:
    """Write a standalone module with value_and_grad, fit and predict."""
    text = pipeline.emit(pipeline.read(spec), _options(target, dtype, []))
    if out is None:
        typer.echo(text, nl=False)
    else:
        faces.write(out, text)
        typer.echo(f"wrote {out}")


@app.command()
def show(
    spec: Spec,
    stage: Annotated[str, typer.Option(help=", ".join(STAGES))] = "program",
    dtype: Dtype = "float64",
    debug: Debug = False,
) -> None:
    """Print one stage of the journey from text to source."""
    if stage not in STAGES:
        raise SpecError(f"unknown stage '{stage}'", fix=f"one of {', '.join(STAGES)}")
    typer.echo(pipeline.show(pipeline.read(spec), stage, _options("cpu", dtype, [])))


@app.command()
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


if __name__ == "__main__":
    main()

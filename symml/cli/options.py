"""What commands share: their options, and what a user wrote turned into values."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from symml import pipeline
from symml.errors import SpecError

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
        "--errors",
        help="Print standard errors; the objective is a likelihood, squares, or any sum over rows: sandwich.",
        show_default=False,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="Threads that share passes over large data; all usable cores. Any number gives the same bits.",
        show_default=False,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


def fit_options(target: str, dtype: str, given: list[str], threads: int | None = None) -> pipeline.Options:
    """Target, number type, hyper-parameters and threads of a fit; SpecError for a word that is not known."""
    hypers = {k: number(k, v) for k, v in pairs(given)}
    return pipeline.Options(target=target, dtype=dtype, hypers=hypers, threads=threads, plain=True)


def pairs(given: list[str]) -> list[tuple[str, str]]:
    """`NAME=VALUE` as pairs."""
    wrong = [g for g in given if "=" not in g]
    if wrong:
        raise SpecError(f"'{wrong[0]}' is not of the form NAME=VALUE")
    split = [g.split("=", 1) for g in given]
    return [(pipeline.spelled(name), value) for name, value in split]


def number(name: str, text: str) -> float:
    """The number a user gave for a name."""
    try:
        value = float(text)
    except ValueError:
        raise SpecError(f"'{text}' is not a number for '{name}'") from None
    if not math.isfinite(value):
        raise SpecError(f"{text} is no finite number for '{name}'")
    return value


def data_files(data: list[str]) -> dict[str, object]:
    """The files that go before those of the page."""
    return {name: Path(file) for name, file in pairs(data)}


@contextmanager
def progress(quiet: bool) -> Iterator[object]:
    """A progress bar on a terminal; nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.fields[figure]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", figure="compiling", total=None)

        def watch(done: int, total: int, loss: float, gradient: float, gap: float = math.nan) -> None:
            slope = f"  |grad| {gradient:.0e}" if gradient == gradient else ""
            slope += f"  duality gap {gap:.0e}" if gap == gap else ""
            bar.update(task, completed=done, total=total, figure=f"loss {loss:.4g}{slope}")

        yield watch

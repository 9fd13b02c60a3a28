"""The entry point: a user's mistake ends in one message on stderr and its exit code."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from symml.cli.analyses import COMMANDS as ANALYSES
from symml.cli.fits import COMMANDS as FITS
from symml.cli.pages import COMMANDS as PAGES
from symml.cli.pages import shelf
from symml.errors import SymmlError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A page of mathematics in; derived formulas, their proofs and a trained model out.",
)
for command in (*FITS, *PAGES, *ANALYSES):
    app.command()(command)
app.command(name="list")(shelf)
USAGE = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")  # of whichever click typer brings
INTERRUPTED = 130


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

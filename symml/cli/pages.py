"""Commands that read a page and train nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import typer

from symml import faces, pipeline
from symml.cli.options import Debug, Dtype, Json, Spec, Target, fit_options
from symml.errors import SpecError, SymmlErrors
from symml.source import Source, Span

STAGES = ("tree", "model", "program", "derivative", "loops", "source")


def check(
    spec: Annotated[Path | None, typer.Argument(help="A page, NAME.symml.", show_default=False)] = None,
    expression: Annotated[str | None, typer.Option("-e", help="An expression, with --numerics.")] = None,
    numerics: Annotated[
        bool, typer.Option("--numerics", help="Bits of error of what is written and of what is computed.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check names, shapes, indices and domains of a page; all mistakes at once."""
    source = _subject(spec, expression)
    if expression is not None and not numerics:
        raise SpecError("an expression is checked for its numerics", fix="symml check -e EXPR --numerics")
    facts = pipeline.checked(source) if expression is None else {"ok": True}
    if numerics:
        facts = {**facts, "numerics": pipeline.numerics(source, expression is not None)}
    if as_json:
        typer.echo(faces.as_json(facts))
    elif numerics:
        typer.echo("\n".join(faces.numeric_lines(facts["numerics"])))
    else:
        typer.echo(f"{facts['model']}: no mistakes")


def shelf(
    name: Annotated[str, typer.Argument(metavar="SHELF", help="optimizers, methods, schedules or functions.")],
    form_at: Annotated[str, typer.Option("--format", help="text, latex or json.")] = "text",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List what a page may name: optimizers with their updates and sources, methods, schedules, functions."""
    _known((form_at, ("text", "latex", "json"), "format"))
    rows = pipeline.shelf(name)
    if as_json or form_at == "json":
        typer.echo(faces.as_json({name: rows}))
    else:
        typer.echo("\n".join(faces.shelf_lines(rows, form_at)))


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


# the options of `derive`: what is differentiated, how it is shown, and one flag for each product
Page = Annotated[Path | None, typer.Argument(help="A page.", show_default=False)]
Expression = Annotated[str | None, typer.Option("-e", help="An expression: a..g scalars, h..z vectors, A..Z matrices.")]
Wrt = Annotated[str | None, typer.Option(help="The name to differentiate by.")]
Form = Annotated[str, typer.Option(help="matrix, index or sympy.")]
FormAt = Annotated[str, typer.Option("--format", help="text, latex or json.")]
Scalar = Annotated[list[str], typer.Option(help="Read these names, a,b,c, as scalars.", show_default=False)]
Vector = Annotated[list[str], typer.Option(help="Read these names, a,b,c, as vectors.", show_default=False)]
Matrix = Annotated[list[str], typer.Option(help="Read these names, a,b,c, as matrices.", show_default=False)]
Symmetric = Annotated[list[str], typer.Option(help="Read these names as symmetric matrices.", show_default=False)]
Spd = Annotated[list[str], typer.Option(help="Read these names as positive definite matrices.", show_default=False)]
Verify = Annotated[bool, typer.Option("--verify", help="Print every proof.")]
Steps = Annotated[bool, typer.Option("--steps", help="Print the way, each line with its rule and its check.")]
Kkt = Annotated[bool, typer.Option("--kkt", help="The Lagrangian and the conditions of an optimum.")]
Dual = Annotated[bool, typer.Option("--dual", help="The dual problem, and the way to it.")]
Stationary = Annotated[bool, typer.Option("--stationary", help="gradient = 0 solved where it can be.")]
Convexity = Annotated[
    bool, typer.Option("--convexity", help="Is it convex and why, or what stopped that; the step size.")
]
Updates = Annotated[bool, typer.Option("--updates", help="The updates of the optimiser that trains the page.")]
Order = Annotated[
    int | None, typer.Option(help="Hessian (2), or the derivative of a higher order.", show_default=False)
]
Jacobian = Annotated[str | None, typer.Option(help="The Jacobian of a quantity of the page.", show_default=False)]
Hvp = Annotated[bool, typer.Option("--hvp", help="The Hessian times a vector.")]
Jvp = Annotated[str | None, typer.Option(help="The Jacobian of a quantity times a vector.", show_default=False)]
Vjp = Annotated[str | None, typer.Option(help="Its transpose times a vector.", show_default=False)]
Directional = Annotated[bool, typer.Option("--directional", help="The derivative along a vector.")]
Divergence = Annotated[str | None, typer.Option(help="The divergence of a quantity.", show_default=False)]
Total = Annotated[
    str | None, typer.Option(help="The total derivative of a quantity, by the chain rule.", show_default=False)
]
Taylor = Annotated[int | None, typer.Option(help="The Taylor series up to this order.", show_default=False)]


def derive(
    spec: Page = None,
    expression: Expression = None,
    wrt: Wrt = None,
    form: Form = "matrix",
    form_at: FormAt = "text",
    scalar: Scalar = (),
    vector: Vector = (),
    matrix: Matrix = (),
    symmetric: Symmetric = (),
    spd: Spd = (),
    verify: Verify = False,
    steps: Steps = False,
    kkt: Kkt = False,
    dual: Dual = False,
    stationary: Stationary = False,
    convexity: Convexity = False,
    updates: Updates = False,
    order: Order = None,
    jacobian: Jacobian = None,
    hvp: Hvp = False,
    jvp: Jvp = None,
    vjp: Vjp = None,
    directional: Directional = False,
    divergence: Divergence = None,
    total: Total = None,
    taylor: Taylor = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print the derived formulas, each compared numerically before it is shown."""
    source = _subject(spec, expression)
    _known((form, ("matrix", "index", "sympy"), "form"), (form_at, ("text", "latex", "json"), "format"))
    kinds = _kinds({"scalar": scalar, "vector": vector, "matrix": matrix, "symmetric": symmetric, "spd": spd})
    product, argument = _product(
        {
            "steps": steps,
            "kkt": kkt,
            "dual": dual,
            "stationary": stationary,
            "convexity": convexity,
            "updates": updates,
            "order": order,
            "jacobian": jacobian,
            "hvp": hvp,
            "jvp": jvp,
            "vjp": vjp,
            "directional": directional,
            "divergence": divergence,
            "total": total,
            "taylor": taylor,
        }
    )
    rows = pipeline.derivations(source, expression is not None, wrt, form, kinds, verify, product, argument)
    if as_json or form_at == "json":
        typer.echo(faces.as_json({"steps" if steps else "formulas": rows}))
    elif steps or "section" in rows[0]:
        typer.echo("\n".join(pipeline.told(rows, form_at)))
    else:
        typer.echo("\n".join(faces.formula_lines(rows, form_at)))


def _subject(spec: Path | None, expression: str | None) -> Source:
    """The page or the expression, one of them."""
    if (spec is None) == (expression is None):
        raise SpecError(
            "give a page or an expression", fix='symml derive page.symml, or symml derive -e "tr(X\' A X)" --wrt X'
        )
    return Source("-e", expression) if expression is not None else pipeline.read(spec)


def _kinds(given: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The kind of each name that was given one."""
    return {n.strip(): kind for kind, lists in given.items() for names in lists for n in names.split(",")}


def _known(*asked: tuple[str, tuple[str, ...], str]) -> None:
    """Refuse a word that is none of those an option takes."""
    for value, known, what in asked:
        if value not in known:
            raise SpecError(f"unknown {what} '{value}'", fix=f"one of {', '.join(known)}")


def _product(flags: Mapping[str, object]) -> tuple[str, str]:
    """The one product that is asked for, and what its flag was given."""
    asked = [name for name, given in flags.items() if given is not None and given is not False]
    if len(asked) > 1:
        raise SpecError(f"--{asked[0]} and --{asked[1]} are two products", fix="ask for one of them")
    if not asked:
        return "gradient", ""
    given = flags[asked[0]]
    return asked[0], "" if given is True else str(given)


def emit(
    spec: Spec,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The module's file; without it, stdout.")] = None,
    target: Target = "cpu",
    dtype: Dtype = "float64",
    large: Annotated[
        bool, typer.Option("--large", help="The module of large data, which `run` takes for them: the same bits.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write a standalone module with value_and_grad, fit and predict."""
    options = replace(fit_options(target, dtype, []), chunks=large and target == "cpu")
    text = pipeline.emit(pipeline.read(spec), options)
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
    typer.echo(faces.as_json({"rows": rows}) if as_json else "\n".join(shown.lines(rows)))
    wrong = shown.failing(rows)
    if wrong is not None:
        raise wrong


COMMANDS = (check, fmt, derive, emit, show, gallery)

"""The whole journey on one screen: one function for each product, each stage one verb.

    text -parse-> Tree -check-> Model -lower-> Program -stabilise, simplify, gradient-> Program
         -formula-> LaTeX, text          -schedule-> LoopProgram -module_source-> source -> Kernel -> Fit

Rooms are imported inside functions, so that a warm run (a cached kernel) loads neither sympy nor lark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from symml.analysis import Analysis, analyse, canonical, differentiate, load, read  # noqa: F401  the stages are in reach here
from symml.errors import SpecError, UnsupportedError
from symml.kernels import assembled, build, entry, for_sizes, kernel
from symml.results import Result
from symml.runtime.keeping import EVERY, Keeping, keeping_of  # noqa: F401  what a user asks of checkpoints
from symml.source import Source

if TYPE_CHECKING:
    import numpy as np
    from sympy import Expr

    from symml.first import Cold
    from symml.methods.convexity import Certificate
    from symml.runtime.bind import Bound
    from symml.runtime.launch import DivergedError, Kernel, Problem, Watch
    from symml.runtime.many import Fits
    from symml.runtime.sharpness import Sharpness
    from symml.runtime.uncertainty import Uncertainty

LARGEST_SEED = 2**31 - 1
DTYPES = ("float64", "float32")
TARGETS = ("reference", "cpu", "cuda")


@dataclass(frozen=True)
class Options:
    """What a user may choose for a fit; `purpose` says what the kernel holds: a fit, or the Hessian for its errors or for
    its curvature. `threads`: None takes all usable cores; `chunks`: passes over rows are cut, which large data ask for;
    `large`: there are too many unknowns for matrices of second derivatives; `inside`: the closed form leaves the domains.
    With `plain`, a plain kernel may give the result while the tuned one is not compiled (first.py)."""

    target: str = "cpu"
    dtype: str = "float64"
    boundscheck: bool = False
    purpose: str = "fit"
    hypers: Mapping[str, float] = field(default_factory=dict)
    threads: int | None = None
    chunks: bool = False
    plain: bool = False
    large: bool = False
    inside: bool = False

    def __post_init__(self) -> None:
        for value, known, what in ((self.target, TARGETS, "target"), (self.dtype, DTYPES, "dtype")):
            if value not in known:
                raise SpecError(f"unknown {what} '{value}'", fix=f"one of {', '.join(known)}")
        if self.threads is not None and self.threads < 1:
            raise SpecError(f"{self.threads} threads do nothing", fix="give 1 or more")


# formulas; analysis.py has the stages before them


def certificate(a: Analysis) -> Certificate:
    """Is the objective convex in all parameters, and why."""
    from symml.derivations import convexity

    return convexity.certificate(a)


def formulas(a: Analysis, form: str = "matrix", wrt: tuple[str, ...] = ()) -> list[dict]:
    """The loss and each gradient as formulas, each with its proof."""
    from symml.derivations import gradients

    return gradients.formulas(a, form, wrt)


def native(a: Analysis, name: str) -> Expr:
    """The loss ("") or a gradient as native sympy."""
    from symml.derivations import gradients

    return gradients.native(a, name)


def proofs(a: Analysis, name: str) -> tuple:
    """What a gradient was compared with."""
    from symml.derivations import gradients

    return gradients.proofs(a, name)


def derivations(
    source: Source,
    is_expression: bool,
    wrt: str | None,
    form: str,
    kinds: Mapping[str, str],
    verify: bool = False,
    product: str = "gradient",
    argument: str = "",
) -> list[dict]:
    """`symml derive`: a product of derivations/products.py, of a page or of an expression in matrixcalculus.org's letters."""
    from symml.derivations.products import derive

    kinds = {spelled(name): kind for name, kind in kinds.items()}
    return derive(source, is_expression, wrt and spelled(wrt), form, kinds, verify, product, spelled(argument))


def spelled(name: str) -> str:
    """The one spelling of a name that a user gives beside a page: λ is lambda there too."""
    from symml.syntax.words import ascii_name

    return ascii_name(name)


def steps(a: Analysis, name: str) -> list[dict]:
    """The way to the gradient by one parameter, line by line."""
    from symml.derivations.request import Request
    from symml.derivations.steps import product

    return product(Request(a, wrt=name))


def told(rows: Sequence[Mapping], form: str) -> list[str]:
    """The lines of a derivation as text or LaTeX."""
    from symml.latex.layout import section_lines, step_lines

    return section_lines(rows, form) if rows and "section" in rows[0] else step_lines(rows, form)


def analysis_lines(facts: Mapping, form: str) -> list[str]:
    """What `analysed` found as text, or its formulas as LaTeX."""
    from symml.latex.layout import analysis_lines

    return analysis_lines(facts, form)


# the user's runs


def emit(source: Source, options: Options) -> str:
    """A standalone module of a page; with `options.chunks` that of large data."""
    from symml.targets import whitelist
    from symml.targets.module.wrap import standalone

    text, facts = build(source, options)
    if facts["split"] and any(d["sparse"] for d in facts["data"]):
        raise UnsupportedError("a standalone module does not split sparse rows yet", fix="train with symml run")
    module = standalone(text, facts, options.dtype, options.target)
    whitelist.check(module)
    return module


def train(
    source: Source,
    options: Options,
    values: Mapping[str, object],
    seed: int | None,
    watch: Watch | None = None,
    keeping: Keeping | None = None,
) -> Result:
    """A page trained on its data; `values` (arrays, frames, Paths by name) go before the files of the page."""
    import time

    start = time.perf_counter()
    cold = _cold(source, options, keeping)
    if cold is None:
        k, cached, bound, chosen = prepared(source, options, values, seed)
    else:
        bound, chosen = _bound(cold.manifest, source, options, values, seed)
        found = cold.result(
            bound,
            options.hypers,
            chosen,
            lambda k: _fitted(source, options, k, False, bound, chosen, start, watch, None),
        )
        if found is not None:
            return found
        k, cached = for_sizes(source, options, (kernel(source, options)[0], False), bound.dims)
    return _fitted(source, options, k, cached, bound, chosen, start, watch, keeping)


def _cold(source: Source, options: Options, keeping: Keeping | None) -> Cold | None:
    """A page whose first result may be a plain kernel's: no run that is kept, for it goes on to the same bits."""
    asked = options.plain and (options.target, options.dtype, options.purpose) == ("cpu", "float64", "fit")
    if not asked or options.boundscheck or keeping is not None:
        return None
    from symml.first import cold

    return cold(entry(source, options), lambda: assembled(source, options))


def _fitted(
    source: Source,
    options: Options,
    k: Kernel,
    cached: bool,
    bound: Bound,
    chosen: int,
    start: float,
    watch: Watch | None,
    keeping: Keeping | None,
) -> Result:
    """The fit by one kernel, or another where a closed form leaves the domains; `start` is when its preparation began."""
    import time

    from symml.runtime import launch

    asked = options
    try:
        found = _searched(k, bound, options.hypers, chosen, watch)
        if found is not None:
            options = replace(options, hypers={**options.hypers, **found["chosen"]})
        p = launch.problem(k, bound, options.hypers, chosen)
        ready = time.perf_counter()
        x, outcome = launch.train(p, watch) if keeping is None else _kept(source, options, p, bound, keeping, watch)
    except launch.DivergedError as error:
        _explain(source, options, k, error)
        raise
    except launch.OutsideError:
        if options.inside or keeping is not None or not k.manifest["method"]["facts"].get("by_form"):
            raise
        asked = replace(asked, inside=True)
        k, cached = for_sizes(source, asked, kernel(source, asked), bound.dims)
        return _fitted(source, asked, k, cached, bound, chosen, start, watch, keeping)
    stop = time.perf_counter()
    outcome = outcome if found is None else {**outcome, "choice": found}
    report = launch.report(k, x, bound, options.hypers)
    seconds = (ready - start, stop - ready)
    return Result(k, bound, x, outcome, report, dict(options.hypers), cached, *seconds, source.text)


def _searched(k: Kernel, bound: Bound, hypers: Mapping[str, float], seed: int, watch: Watch | None) -> dict | None:
    """What was tried for the hyper-parameters that the page lets be chosen, and what was chosen."""
    choice = k.manifest["choice"]
    if choice is None or all(name in hypers for name in choice["among"]):
        return None
    from symml.runtime.choose import choose

    return choose(k, bound, hypers, seed, watch).facts(choice)


def prepared(
    source: Source, options: Options, values: Mapping[str, object], seed: int | None
) -> tuple[Kernel, bool, Bound, int]:
    """The kernel, whether it was cached, its data and the seed."""
    found = kernel(source, options)
    bound, chosen = _bound(found[0].manifest, source, options, values, seed)
    return *for_sizes(source, options, found, bound.dims), bound, chosen


def _bound(
    m: Mapping, source: Source, options: Options, values: Mapping[str, object], seed: int | None
) -> tuple[Bound, int]:
    """The data of a page and the seed of its run."""
    from symml.runtime.bind import bind

    if seed is not None and not (0 <= seed <= LARGEST_SEED and seed == int(seed)):
        raise SpecError(f"the seed {seed} is not a whole number from 0 to {LARGEST_SEED}")
    bound = bind(m, {spelled(name): value for name, value in values.items()}, Path(source.name).parent, options.dtype)
    return bound, int(seed) if seed is not None else int(m["method"]["options"].get("seed", 0))


def _kept(
    source: Source, options: Options, p: Problem, bound: Bound, keeping: Keeping, watch: Watch | None
) -> tuple[np.ndarray, dict]:
    """A run that writes checkpoints, from its begin or from where an earlier one stood."""
    from symml.runtime import checkpoint, launch

    names_ = [h["name"] for h in p.kernel.manifest["hypers"]]
    hypers = dict(zip(names_, launch.hypers(p.kernel, options.hypers), strict=True))
    facts = checkpoint.fingerprint(source.text, options.target, options.dtype, p.seed, hypers, bound)
    folder, saved = keeping.checkpoint or keeping.resume, None
    if keeping.resume is not None:
        found = checkpoint.newest(keeping.resume)
        checkpoint.refuse_other(keeping.resume, found.facts, facts)
        saved = found.arrays
    if folder != keeping.resume:
        checkpoint.refuse_used(folder)
    with checkpoint.Keeper(folder, keeping.every, facts) as keep:
        return launch.train(p, watch, keep, saved)


def _explain(source: Source, options: Options, k: Kernel, error: DivergedError) -> None:
    """Put the first statement that left the finite numbers, its place and the reason into an error."""
    from symml.assemble.plan import interpreted
    from symml.runtime import launch
    from symml.training.blame import first_non_finite

    a = analyse(source)
    names_ = [h["name"] for h in k.manifest["hypers"]]
    hypers = dict(zip(names_, launch.hypers(k, error.hypers), strict=True))
    values = {**error.arrays, **error.params, **hypers}
    programs = interpreted(a, values, error.dims, error.state, error.scalars, error.x)
    written = first_non_finite(*next(programs), options.dtype)
    for program, given, dims in programs:
        found = first_non_finite(program, given, dims, options.dtype)
        if found is not None:
            # statements of the derivative are merged ones: where the page's own statement fails alike, it is named
            found = written if written is not None and written.event == found.event else found
            error.message = f"training left the finite numbers at step {error.step}: {found.why}"
            error.span = found.span
            break
    error.message = f"{error.which}: {error.message}" if error.which else error.message


def bootstrap(
    source: Source,
    options: Options,
    values: Mapping[str, object],
    seed: int | None,
    fits: int,
    watch: Watch | None = None,
) -> Fits:
    """A page fitted to `fits` resamples of its training rows, with one kernel; what the page lets be chosen is chosen
    once, on all of them."""
    from symml.runtime import launch, many

    k, _, bound, chosen = prepared(source, options, values, seed)
    found = _searched(k, bound, options.hypers, chosen, None)
    hypers = options.hypers if found is None else {**options.hypers, **found["chosen"]}
    try:
        return many.bootstrap(k, bound, hypers, chosen, fits, watch)
    except launch.DivergedError as error:
        _explain(source, options, k, error)
        raise


def path(
    source: Source,
    options: Options,
    values: Mapping[str, object],
    seed: int | None,
    name: str,
    along: Sequence[float],
    warm: bool = True,
    watch: Watch | None = None,
) -> Fits:
    """A page fitted for each value of one hyper-parameter, with one kernel."""
    from symml.runtime import launch, many

    k, _, bound, chosen = prepared(source, options, values, seed)
    try:
        return many.path(k, bound, options.hypers, chosen, name, along, warm, watch)
    except launch.DivergedError as error:
        _explain(source, options, k, error)
        raise


def restore(source: Source | None, folder: Path, target: str = "cpu") -> Result:
    """A saved fit, ready to predict; its page is the given one, which must be that of the fit, or the one in the folder."""
    from symml.runtime import launch, save

    saved = save.restore(folder)
    if source is None:
        source = Source(str(folder / "page.symml"), saved.page)
    save.refuse_other_page(folder, saved.page, source.text)
    facts = saved.facts
    k, cached = kernel(source, Options(target=target, dtype=facts["dtype"], hypers=facts["hyper"]))
    bound = save.fitted(folder, saved, k)
    x = launch.vector(k, saved.params, bound.dims)
    return Result(k, bound, x, facts, facts["report"], facts["hyper"], cached, 0.0, 0.0, source.text)


def errors(result: Result, kind: str, target: str = "cpu") -> Uncertainty:
    """Standard errors of a fit whose objective is a negative log-likelihood ("likelihood"), a sum of "squares", or any sum
    over rows ("sandwich")."""
    from symml.errors import DataError
    from symml.runtime import launch, uncertainty

    held = result.bound.arrays
    missing = [d["name"] for d in result.kernel.manifest["data"] if d["name"] not in held and not d["sparse"]]
    if missing:
        raise DataError(f"the fit does not hold its data '{missing[0]}'", fix="train it, rather than restore it")
    page = Source("page.symml", result.page)
    options = Options(
        target=target, purpose="sandwich" if kind == "sandwich" else "errors", threads=result.kernel.threads
    )
    k, _ = for_sizes(page, options, kernel(page, options), result.bound.dims)
    p = launch.problem(result.kernel, result.bound, result.hypers, 0, start=result.x)
    return uncertainty.uncertainty(k, p, kind)


def sharpness(result: Result, target: str = "cpu") -> Sharpness:
    """The extreme eigenvalues of the Hessian at a fit, over the rows it was trained on."""
    from symml.runtime import launch, sharpness

    page = Source("page.symml", result.page)
    options = Options(target=target, purpose="curvature", threads=result.kernel.threads)
    k, _ = for_sizes(page, options, kernel(page, options), result.bound.dims)
    p = launch.problem(result.kernel, result.bound, result.hypers, 0, start=result.x)
    return sharpness.sharpness(k, p)


def is_system(source: Source) -> bool:
    """Does a page move states, as a map or a flow?"""
    from symml.model.check import is_system
    from symml.syntax.parse import parse_sound

    return is_system(parse_sound(source)[0])


def checked(source: Source) -> dict:
    """The names of a page without mistakes, of a model or of a system."""
    from symml.model.system import system
    from symml.syntax.parse import parse

    if is_system(source):
        found = system(parse(source))
        return {"model": found.name, "ok": True, "states": list(found.states), "hypers": list(found.hypers)}
    from symml.assemble.method import method_of

    model, _ = load(source)
    method_of(model)
    return {"model": model.name, "ok": True, "data": list(model.data), "parameters": list(model.params)}


def numerics(source: Source, is_expression: bool) -> list[dict]:
    """`symml check --numerics`: bits of error of what is written and of what is computed, of each statement they differ in."""
    from symml.derivations.numerics import rows
    from symml.model.letters import problem

    return rows((problem(source, None, {}) if is_expression else load(source))[1])


def shelf(name: str) -> list[dict]:
    """`symml list`: the optimisers, schedules or functions that a page may name."""
    from symml.derivations import shelves

    return shelves.shelf(name)


def analysed(
    source: Source, hypers: Mapping[str, float], vary: tuple[str, float, float] | None = None, period: int = 1
) -> dict:
    """`symml analyze` of a page whose states move: fixed points, Jacobian, eigenvalues, verdicts, bifurcations."""
    from symml.derivations.system import Asked, analyse
    from symml.syntax.parse import parse

    return analyse(parse(source), Asked(hypers, vary, period))


def moving(
    source: Source,
    hypers: Mapping[str, float],
    vary: tuple[str, float, float] | None = None,
    period: int = 1,
    result: Result | None = None,
) -> list[dict]:
    """The same of each iteration and recurrence of a page: of its hyper-parameters alone, or at a fit."""
    from symml.derivations.moving import analyse
    from symml.derivations.system import Asked

    known, dims = dict(hypers), {}
    if result is not None:
        given = {h["name"]: h["value"] for h in result.kernel.manifest["hypers"]}
        known = {**result.bound.arrays, **given, **result.hypers, **result.params}
        dims = result.bound.dims
    return analyse(source, known, dims, Asked(hypers, vary, period))


def is_trained(source: Source) -> bool:
    """Does a page state an objective?"""
    return load(source)[0].objective is not None


def show(source: Source, stage: str, options: Options) -> str:
    """One stage of the journey as text."""
    if stage == "tree":
        from symml.syntax.parse import parse

        return "\n".join(f"{s.span.line:4d}  {s!r}" for s in parse(source).statements)
    if stage == "source":
        return build(source, options)[0]
    from symml.assemble.plan import plan
    from symml.ir import show as programs
    from symml.loops.show import loop_program

    a = analyse(source)
    if stage == "loops":
        return "\n\n".join(f"{f.name}\n{loop_program(f.program)}" for f in plan(a, options).functions)
    if stage == "model":
        return "\n".join(programs.declaration(t) for t in a.model.inputs)
    return programs.program({"program": a.program, "derivative": a.derivative}[stage])

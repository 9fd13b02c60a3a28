"""The trial of a fault: pages prepared without it, judged with it.

trial = Trial(seeds);  trial.verdict()  ->  "" or what an oracle saw
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import mpmath
import numpy as np
import sympy
from sympy.core.cache import clear_cache
from trust import compiled, oracle, second_order
from trust.fault_pages import EXTREME, KINKS, NODES, PAGES
from trust.faults import Fault, tried
from trust.generator import text
from trust.length import Length, length
from trust.lowered import misread

from symml import pipeline
from symml.calculus.reverse import Sent, gradient_way
from symml.errors import SymmlError
from symml.ir import check as legality
from symml.ir.evaluate import evaluate
from symml.ir.functions import FUNCTIONS, Row
from symml.ir.program import Access, Program, Statement, Tensor
from symml.loops.evaluate import evaluate as evaluate_loops
from symml.loops.schedule import schedule
from symml.proof.complex_step import BOUND, least_scale, relative
from symml.proof.expansion import check_expansion
from symml.proof.high_precision import high_precision
from symml.source import Source

EXTREME_DIGITS = 1_600  # exp(-1800) beside 1 needs 782 of them, and a difference of two such as many again
TINY = 1e-300
SECOND = frozenset(f"symml.calculus.{name}" for name in ("second", "columns", "tangent"))
LIBRARY = "symml.calculus.op_rules"  # some of its rules are reached by second derivatives alone


@dataclass(frozen=True)
class Prepared:
    """A page, its points and the truth there, made without the fault."""

    name: str
    cases: tuple[oracle.Case, ...]
    expanded: bool = False
    length: Length | None = None


def analysed(name: str, body: str) -> pipeline.Analysis:
    return pipeline.analyse(Source(name, f"model {name}\n{body}\n"))


def _at(a: pipeline.Analysis, point: tuple[float, ...], slope: tuple[float, ...] | None) -> oracle.Case:
    """A page of one parameter at a given point; the truth is given, or worked out in mpmath."""
    (w,) = a.model.over
    values = {w: np.array(point) if w.shape else np.float64(point[0])}
    entries = tuple((w, at) for at in np.ndindex(np.shape(values[w])))
    c = oracle.Case(a, values, {}, entries, np.zeros(len(entries)), 0.0)
    truth = slope or [float(oracle.central_difference(c, t, at, EXTREME_DIGITS)) for t, at in entries]
    with mpmath.workdps(EXTREME_DIGITS):
        loss = float(oracle.loss_at(values, c, EXTREME_DIGITS))
    return replace(c, truth=np.array(truth), loss=loss)


class Trial:
    """All pages of the trial; `seeds` are generated ones. A page that saw a fault of a module is asked first next time."""

    def __init__(self, seeds: range) -> None:
        self.prepared = list(_hand_written())
        self.second = second_order.prepared()
        self.saw: dict[str, Counter[str]] = {}
        for seed in seeds:
            try:
                a = pipeline.analyse(Source("page.symml", text(seed, short=seed % 5 > 0)))
            except SymmlError:
                continue
            self.prepared.append(_prepared(f"g{seed}", (oracle.case(a, seed),)))

    def verdict(self, module: str = "") -> str:
        """The first disagreement on what reaches the module: pages read anew where it lowers, derived anew elsewhere."""
        clear_cache()
        if module.startswith("symml.model."):
            text = misread()
            return f"numpy's statement on {text}" if text else ""
        if module in SECOND:
            return second_order.disagreeing(self.second)
        if row := disagreeing_row():
            return f"table of functions on {row}"
        saw = self.saw.get(module, Counter())
        for p in sorted(self.prepared, key=lambda p: -saw[p.name]):
            found = seen(p)
            if found:
                return f"{found} on {p.name}"
        return second_order.disagreeing(self.second) if module == LIBRARY else ""

    def tried(self, fault: Fault) -> str:
        """What the child with the fault saw."""
        verdict = tried(fault, self.verdict)
        self.saw.setdefault(fault.module, Counter())[verdict.rsplit(" on ", 1)[-1]] += 1
        return verdict


def _prepared(name: str, cases: tuple[oracle.Case, ...], expanded: bool = False) -> Prepared:
    return Prepared(name, cases, expanded, length(cases[0].analysis.derivative))


def _hand_written() -> Iterator[Prepared]:
    for k, (rows, page) in enumerate(PAGES):
        case = oracle.case(analysed(f"page{k}", page), k, rows=rows)
        yield _prepared(f"page{k}", (case,), expanded=rows < 6)
    for k, (rows, page) in enumerate(NODES):
        yield _prepared(f"node{k}", (oracle.case(analysed(f"node{k}", page), k, rows=rows),))
    for k, (page, points) in enumerate(EXTREME):
        a = analysed(f"extreme{k}", f"param w\nminimize {page}")
        yield _prepared(f"extreme{k}", tuple(_at(a, (point,), None) for point in points))
    for k, (page, point, slope) in enumerate(KINKS):
        a = analysed(f"kink{k}", f"param w[3]\nminimize {page}")
        yield _prepared(f"kink{k}", (_at(a, point, slope),))


def seen(p: Prepared) -> str:
    """Which oracle disagrees, if any."""
    first = p.cases[0].analysis
    a = pipeline.differentiate(first.model, first.program)
    for program in (a.raw, a.forward, a.derivative):
        legality.check(program)
    for c in p.cases:
        if found := _disagreeing(replace(c, analysis=a), 0.0 if p.name.startswith("extreme") else 1.0):
            return found
    c = replace(p.cases[0], analysis=a)
    if p.name[0] in "pg" and not relative(_exact(c), c.loss) <= BOUND:
        return "high precision"
    if p.expanded and not all(check_expansion(a.raw, a.derivative, "loss", t).ok for t in a.model.over):
        return "expansion"
    if (p.expanded or p.name.startswith("node")) and (found := _mistold(c)):
        return f"the way to {found}"
    longer = length(a.derivative).longer_than(p.length)
    return f"longer ({longer})" if longer else ""


def _mistold(c: oracle.Case) -> str:
    """The tensor whose adjoint is not the sum of what the record of the pass says was sent to it, or not the truth."""
    program, way = gradient_way(c.analysis.forward, "loss", c.analysis.model.over)
    with np.errstate(all="ignore"):
        env = evaluate(program, c.values, c.dims)
        named = {name: np.asarray(env[t]) for name, t in program.outputs.items()}
        if not relative(oracle.gradients(named, c), c.truth, least_scale(c.truth, c.loss)) <= BOUND:
            return "the gradient"
        for t in dict.fromkeys(x.to for x in way):
            parts = [_sent(x, env, c.dims) for x in way if x.to is t]
            adjoint = env[next(x.statement.out for x in way if x.to is t)]
            if not relative(sum(parts), adjoint) <= BOUND:
                return t.name
    return ""


def _sent(x: Sent, env: dict[Tensor, np.ndarray], dims: dict) -> np.ndarray:
    """What one step of the way sends, over all steps of the scan around it."""
    loops = x.statement.loops if x.around is None else (x.around.step, *x.statement.loops)
    out = Tensor("sent", x.statement.out.shape)
    s = replace(x.statement, out=out, mode="+=", loops=loops)
    s = replace(s, reduce="sum" if s.reduced else "none")
    return evaluate(Program(tuple(env), (s,), {"sent": out}), env, dims)[out]


def _disagreeing(c: oracle.Case, least: float) -> str:
    """Interpreter against the truth, loops against the interpreter, printed text against the interpreter; `least` is the
    size below which an error of the loss counts as absolute."""
    derivative = c.analysis.derivative
    with np.errstate(all="ignore"):
        env = evaluate(derivative, c.values, c.dims)
        loops = evaluate_loops(schedule(derivative), c.values, c.dims)
    named = {name: np.asarray(env[t]) for name, t in derivative.outputs.items()}
    if not relative(named["loss"], c.loss, max(least, TINY)) <= BOUND:
        return "the loss"
    if not relative(oracle.gradients(named, c), c.truth, least_scale(c.truth, c.loss)) <= BOUND:
        return "complex step"
    if any(not relative(loops[name], value) <= BOUND for name, value in named.items()):
        return "loops"
    return "printed" if compiled.compare([c], compiled.plain_module) else ""


POINTS = (-1.3, -0.4, 0.0, 0.3, 0.4, 1.7)
POSITIVE = ("log", "sqrt", "lgamma", "digamma", "trigamma")
ORDERED = ("polygamma",)  # the first argument is a whole number, by which there is no derivative
ARGUMENTS = {
    **dict.fromkeys(("max", "min", "less", "less_equal", "equal", "lost"), (POINTS, POINTS)),
    "select": ((0.0, 1.0), POINTS, POINTS),
    **dict.fromkeys(ORDERED, ((2.0, 3.0), (1.3, 1.7))),
}


def disagreeing_row() -> str:
    """The first function whose values in numpy, mpmath and sympy, or whose derivative, are not one function's."""
    for name, row in FUNCTIONS.items():
        if name not in ARGUMENTS and name != "step" and not np.isnan(row.numpy(np.float64("nan"))):
            return f"{name} of nan"
        points = [abs(x) + 0.3 if name in POSITIVE else max(x, -0.9) if name == "log1p" else x for x in POINTS]
        for args in itertools.product(*ARGUMENTS.get(name, (points,))):
            value = float(row.numpy(*map(np.float64, args)))
            plain = (row.elementary or row.symbol)(*map(sympy.Float, args))
            others = (float(row.mpmath(*map(mpmath.mpf, args))), float(plain))
            if not all(abs(value - other) < 1e-12 for other in others):
                return name
            smooth = name == "select" or len({*args, 0.0}) == len(args) + 1
            if smooth and not _slopes_agree(row, args, name in ORDERED):
                return name
    return ""


def _slopes_agree(row: Row, args: tuple[float, ...], first: int) -> bool:
    """sympy's derivative by each argument from `first` on, through fdiff, against the complex step of the numpy values."""
    for k in range(first, len(args)):
        letters = sympy.symbols("u v w", real=True)[: len(args)]
        slope = row.symbol(*letters).diff(letters[k])
        t = [Tensor(f"x{j}") for j in range(len(args))]
        body = slope.xreplace({u: Access(s, ()) for u, s in zip(letters, t, strict=True)})
        program = Program(tuple(t), (Statement(out := Tensor("y"), (), "=", "none", (), body),), {"y": out})
        found = evaluate(program, dict(zip(t, map(np.float64, args), strict=True)), {})[out]
        moved = [x + 1e-30j if j == k else complex(x) for j, x in enumerate(args)]
        if not abs(float(found) - float(np.imag(row.numpy(*map(np.complex128, moved))) / 1e-30)) < 1e-12:
            return False
    return True


def _exact(c: oracle.Case) -> float:
    raw = c.analysis.raw
    return float(mpmath.re(np.asarray(high_precision(raw, c.values, c.dims, 30)[raw.outputs["loss"]], object)[()]))

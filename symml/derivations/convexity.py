"""Is the objective convex, and why: composition rules first, then the Hessian; else where it stopped, and what would help.

certificate(analysis)   ->  Certificate("convex", "softplus of an affine map, minus a linear term")
product(request)        ->  rows of derivations/sections.py: the objective, its blocks, the feasible set, the Lipschitz constant
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from symml.analysis import Analysis
from symml.calculus.reverse import gradient
from symml.derivations import rate
from symml.derivations.feasibility import curvatures
from symml.derivations.request import Request
from symml.derivations.sections import equation, note, side
from symml.ir.evaluate import evaluate
from symml.ir.program import Program, Statement, Tensor
from symml.ir.show import BodyPrinter, as_on_a_page, letters
from symml.latex.printing import LATEX, TEXT, Style
from symml.methods.convexity import Certificate, certify
from symml.methods.hessian import Form, NoForm, certify_hessian, form
from symml.methods.lipschitz import Part, bound, majorised
from symml.proof.samples import sample
from symml.rewrite.dead import prune

SEGMENTS = 12
POINTS = 24


def product(request: Request) -> list[dict]:
    """`symml derive --convexity`."""
    a = request.analysis
    with np.errstate(all="ignore"):
        return [*_objective(a), *_blocks(a), *_constraints(a), *_smoothness(a)]


def _objective(a: Analysis) -> Iterator[dict]:
    """The curvature of what is written, jointly."""
    c = certificate(a, hints=True)
    yield note("objective", _sentence(a, c, a.model.over))
    if c.curvature == "unknown":
        if c.stopped_at is not None and c.stopped_at.span is not None:
            yield note("objective", f"stopped at line {c.stopped_at.span.line}, at {_words(c.stopped_at)}")
        if c.hint:
            yield note("objective", f"what would help: {c.hint}")


def _words(s: Statement) -> str:
    """What the page writes there, or the body of the statement where that goes over several lines."""
    line, start = s.span.source.line(s.span.line), s.span.column - 1
    said = " ".join(line[start : start + s.span.width].split("#")[0].split())
    return said or as_on_a_page(BodyPrinter(letters(s.loops)).doprint(s.body))


def _sentence(a: Analysis, c: Certificate, wrt: tuple[Tensor, ...]) -> str:
    names = ", ".join(TEXT.name(t.name) for t in wrt)
    names = f"({names})" if len(wrt) > 1 else names
    if c.curvature == "unknown":
        return f"not certified convex in {names}: {c.reason}"
    flip = {"convex": "concave", "concave": "convex"} if a.model.objective.sense == "maximize" else {}
    return f"{flip.get(c.curvature, c.curvature)} in {names}: {c.reason}"


def _blocks(a: Analysis) -> Iterator[dict]:
    """Each parameter by itself, where all together are not certified."""
    if len(a.model.over) > 1 and certificate(a).curvature == "unknown":
        for t in a.model.over:
            yield note("by blocks", _sentence(a, certificate(a, (t,)), (t,)))


def _constraints(a: Analysis) -> Iterator[dict]:
    """Is the feasible set convex."""
    convex = True
    for c, found in curvatures(a):
        good = found.curvature in (("constant", "affine", "convex") if c.sense == "at_most" else ("constant", "affine"))
        convex &= good
        what = {"equal": "an equality", "at_most": "an inequality", "psd": "a matrix inequality"}[c.sense]
        kind = "" if good else "not certified: "
        yield note(
            "feasible set", f"{c.text}: {kind}{what}, {found.curvature}" + ("" if good else f" ({found.reason})")
        )
    if a.model.constraints:
        yield note("feasible set", "convex" if convex else "not certified convex")


def _smoothness(a: Analysis) -> Iterator[dict]:
    """A Lipschitz constant of the gradient in each parameter, compared with the Hessian before it is shown."""
    told = []
    for t in a.model.over:
        try:
            f = form(a.forward, a.derivative, (t,))
            parts = bound(_majorant(a, f, t))
            nearest = _nearest(a, f, parts)
        except NoForm as stop:
            yield note(
                "gradient",
                f"no Lipschitz constant in {TEXT.name(t.name)} was found: {as_on_a_page(str(stop)).replace('along_', 'v_')}",
            )
            continue
        if not parts or nearest > 1 + 1e-9:
            continue
        name = f"L_{t.name}" if len(a.model.over) > 1 else "L"
        right = tuple(_sum(a, parts, style) for style in (LATEX, TEXT))
        proof = f"vᵀHv ≤ {name}‖v‖² at {POINTS} random points, up to {nearest:.2f} of it"
        told.append(name)
        yield equation("gradient", (LATEX.name(name), name), right, proof, (), t.name)
    if told and len(told) == len(a.model.over):
        step = f"1/{told[0]}" if len(told) == 1 else f"1/({' + '.join(told)})"
        yield note(
            "gradient",
            f"a step of {step} never raises the objective" if len(told) == 1 or certificate(a).convex else "",
        )
    if told and len(a.model.over) == 1 and certificate(a).convex:
        yield from rate.rows(a, f, parts, told[0], tuple(_sum(a, parts, style, least=True) for style in (LATEX, TEXT)))


def _majorant(a: Analysis, f: Form, t: Tensor) -> Form:
    """The form of a loss whose Hessian is nowhere less: the loss itself, or one without log-sum-exp."""
    above = majorised(a.forward, (t,))
    return f if above is a.forward else form(above, gradient(above, "loss", (t,)), (t,))


def _sum(a: Analysis, parts: list[Part], style: Style, least: bool = False) -> str:
    """`1/(4n) λmax(XᵀX) + λ`; least: with the least eigenvalues."""
    which = "min" if least else "max"
    terms = []
    for p in parts:
        out = Tensor("factor")
        program = Program(tuple(a.forward.inputs), (Statement(out, (), "=", "none", (), p.factor),), {"factor": out})
        found = side(program, out, turn=False)
        factor = found.latex if style is LATEX else found.text
        if p.kind == "identity":
            terms.append(factor)
            continue
        x = style.name(p.tensor.name)
        inner = x if p.kind == "matrix" else x + style.transpose + x if not p.across else x + x + style.transpose
        eigenvalue = (rf"\lambda_{{\{which}}}" if style is LATEX else f"λ{which}") + inner.join(style.brackets)
        terms.append(eigenvalue if p.factor == 1 else f"{factor} {eigenvalue}")
    return " + ".join(terms) or "0"


def _nearest(a: Analysis, f: Form, parts: list[Part]) -> float:
    """The largest |v' H v| / (L ||v||^2) at random points."""
    rng, program, worst = np.random.default_rng(4), f.terms.program(), 0.0
    factors = [Tensor(f"factor{k}") for k in range(len(parts))]
    nodes = [Statement(t, (), "=", "none", (), p.factor) for t, p in zip(factors, parts, strict=True)]
    for _ in range(POINTS):
        values, dims = sample(program, rng)
        form_ = abs(float(evaluate(program, values, dims)[program.outputs["L"]]))
        lengths = sum(float(np.sum(np.asarray(values[v]) ** 2)) for v in f.along.values() if v in values)
        total = 0.0
        for t, node, p in zip(factors, nodes, parts, strict=True):
            inputs = tuple(dict.fromkeys((*program.inputs, *a.forward.inputs)))
            env = evaluate(Program(inputs, (*f.terms.definitions, node), {"f": t}), values, dims)
            total += float(env[t]) * (1.0 if p.kind == "identity" else _eigenvalue(np.asarray(env[p.tensor]), p.kind))
        worst = max(worst, form_ / (total * lengths) if total * lengths else np.inf if form_ else 0.0)
    return worst


def _eigenvalue(m: np.ndarray, kind: str) -> float:
    """The largest in size of a symmetric matrix, or the square of the largest singular value."""
    return float(np.linalg.norm(m, 2) ** 2) if kind == "gram" else float(np.max(np.abs(np.linalg.eigvalsh(m))))


def certificate(a: Analysis, wrt: tuple[Tensor, ...] | None = None, hints: bool = False) -> Certificate:
    """Is the objective convex in all parameters (or in some of them), and why; hints: also what would help, at some cost."""
    wrt = a.model.over if wrt is None else wrt
    found = certify(a.forward, "loss", wrt)
    if found.curvature != "unknown" or not (hints or _may_be_convex(a.forward, wrt)):
        return found
    try:
        second = certify_hessian(form(a.forward, a.derivative, wrt))
    except NoForm:
        return found
    if second.curvature != "unknown":
        return second
    return (
        found if found.hint or not second.hint else Certificate("unknown", found.reason, found.stopped_at, second.hint)
    )


def _may_be_convex(forward: Program, wrt: tuple[Tensor, ...]) -> bool:
    """False where a midpoint lies above its chord and another below: neither convex nor concave, so no rule need be tried."""
    rng, above, below = np.random.default_rng(1), False, False
    program = prune(forward, "loss")
    loss = program.outputs["loss"]
    with np.errstate(all="ignore"):
        for _ in range(SEGMENTS):
            values, dims = sample(program, rng)
            other = {t: v for t, v in sample(program, rng, dims)[0].items() if t in wrt}
            middle = {t: (np.asarray(values[t]) + v) / 2 for t, v in other.items()}
            ends = [float(evaluate(program, {**values, **x}, dims)[loss]) for x in ({}, other)]
            m = float(evaluate(program, {**values, **middle}, dims)[loss])
            excess, size = m - sum(ends) / 2, max(1.0, *map(abs, ends))
            above |= bool(excess > 1e-9 * size)
            below |= bool(excess < -1e-9 * size)
            if above and below:
                return False
    return True

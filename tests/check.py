"""The helpers that carry the tests: check_derivative, check_agree, check_error, and small pages to feed them."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy

from symml import pipeline
from symml.calculus.reverse import gradient
from symml.errors import SymmlError
from symml.ir import check as legality
from symml.ir.evaluate import evaluate
from symml.ir.program import Access, Program, Statement, Tensor, fresh_indices
from symml.loops.evaluate import evaluate as evaluate_loops
from symml.loops.schedule import schedule
from symml.proof.complex_step import check_gradient
from symml.proof.report import prove
from symml.proof.samples import sample
from symml.rewrite.simplify import simplify
from symml.source import Source

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = tuple(sorted(p.stem for p in EXAMPLES.glob("*.symml")))
# Their kernels take 10 to 25 seconds to compile: the ordinary run has the interpreter on them (INTERPRETED: on all data).
INTERPRETED = (
    "adam", "curve_fit", "filament", "gauss_newton", "graphical_lasso", "group_lasso", "implicit", "interactions", "mnist",
    "newton", "portfolio", "taylor", "total", "weight_decay",
)  # fmt: skip
LONG = (*INTERPRETED, "svm", "svm_dual")


def page(body: str) -> Source:
    """A page from its lines."""
    return Source("page.symml", f"model m\n{body}")


def analysis(body: str) -> pipeline.Analysis:
    """A page up to its derivative, legal after every pass."""
    a = pipeline.analyse(page(body))
    for program in (a.program, a.raw, a.forward, a.derivative):
        legality.check(program)
    return a


def check_derivative(a: pipeline.Analysis, order: int = 2) -> None:
    """Every gradient against the complex step and plain sympy; with order 2, the gradient of <gradient, v> as well."""
    for t in a.model.over:
        for proof in prove(a.raw, a.derivative, "loss", t):
            assert proof.ok, f"d_{t.name}: {proof}"
        if order > 1:
            first = along(a.derivative, t)
            second = simplify(gradient(first, "slope", (t,)))
            legality.check(second)
            proof = check_gradient(first, second, "slope", t)
            assert proof.ok, f"second derivative in {t.name}: {proof}"


def along(program: Program, t: Tensor) -> Program:
    """The scalar sum d_t * t^2 of a derivative program: its gradient needs second derivatives."""
    k = fresh_indices(t.shape)
    slope = Tensor("slope")
    body = Access(program.outputs[f"d_{t.name}"], k) * Access(t, k) ** 2
    s = Statement(slope, (), "=", "sum" if k else "none", k, body)
    return replace(program, statements=(*program.statements, s), outputs={"slope": slope})


def check_loops(program: Program, rows: int = 150) -> None:
    """The schedule of a program computes what the interpreter computes, over several blocks and a remainder."""
    rng = np.random.default_rng(3)
    _, dims = sample(program, rng)
    wide = {d: rows if d.name == "n" else size for d, size in dims.items()}
    values, dims = sample(program, rng, wide)
    truth = evaluate(program, values, dims)
    found = evaluate_loops(schedule(program), values, dims)
    for name, t in program.outputs.items():
        np.testing.assert_allclose(found[name], truth[t], rtol=1e-11, atol=1e-12, err_msg=name)


def check_agree(source: Source, data: dict, steps: int = 20) -> None:
    """Interpreter, compiled CPU and standalone module: the first steps, the optimum of a convex problem, the same bits."""
    fits = {t: pipeline.train(source, pipeline.Options(target=t), data, 0) for t in ("reference", "cpu")}
    reference, cpu = fits["reference"], fits["cpu"]
    assert len(cpu.outcome["history"]) > 1
    ours, theirs = (fit.outcome["history"][:steps] for fit in (cpu, reference))
    np.testing.assert_allclose(
        ours, theirs, rtol=1e-10, atol=1e-13 * abs(theirs[0])
    )  # one that falls to 0 ends in rounding
    convex = cpu.kernel.manifest["certificate"]["curvature"] == "convex"
    if (
        convex or len(cpu.outcome["history"]) <= steps
    ):  # elsewhere rounding may lead to another optimum after many steps
        np.testing.assert_allclose(cpu.x, reference.x, rtol=1e-6, atol=1e-8)
    module = standalone(pipeline.emit(source, pipeline.Options()))
    fit = module.fit(data)
    assert np.array_equal(fit["x"], cpu.x), "the standalone module trains to other bits"


def standalone(text: str) -> types.ModuleType:
    """Execute a standalone module where symml cannot be imported."""
    module = types.ModuleType("emitted")
    module.__file__ = None
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name == "symml" or name.startswith("symml.")}
    sys.modules["symml"] = None
    try:
        exec(compile(text.replace("cache=True, ", ""), "<emitted>", "exec"), module.__dict__)
    finally:
        del sys.modules["symml"]
        sys.modules.update(hidden)
    return module


def check_error(source: Source, line: int, column: int | None, *words: str) -> None:
    """A page is refused at a place, with words in the message."""
    with pytest.raises(SymmlError) as caught:
        pipeline.load(source)
    errors = getattr(caught.value, "errors", (caught.value,))
    here = [e for e in errors if e.span and e.span.line == line and (column is None or e.span.column == column)]
    assert here, f"no error at {line}:{column}; found\n{caught.value}"
    text = "\n".join(str(e) for e in here)
    for word in words:
        assert word in text, text


def same(a: sympy.Expr, b: sympy.Expr) -> bool:
    """Equal by expansion."""
    return sympy.expand(a - b) == 0

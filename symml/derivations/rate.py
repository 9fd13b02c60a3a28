"""How fast gradient descent must be: the least curvature m beside the largest L, where the Hessian is known exactly.

    rows(a, form, parts, "L")  ->  m = 1/n λmin(XᵀX) + λ;   a step of 1/L leaves at most 1 − m/L of the distance to the optimum

The parts of L are upper bounds; they are the Hessian itself only where v'Hv is their sum at random points, which is compared.
Source: Nesterov, Introductory Lectures on Convex Optimization (2004), theorem 2.1.15.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from symml.analysis import Analysis
from symml.derivations.sections import equation, note
from symml.ir.evaluate import evaluate
from symml.ir.program import Program, Statement, Tensor
from symml.latex.printing import LATEX
from symml.methods.hessian import Form
from symml.methods.lipschitz import Part
from symml.proof.complex_step import BOUND, relative
from symml.proof.samples import sample

POINTS = 8


def rows(a: Analysis, f: Form, parts: list[Part], largest: str, least: tuple[str, str]) -> Iterator[dict]:
    """The least curvature and the rate; nothing where the Hessian is not the sum of the parts. least: its formula as
    (LaTeX, text)."""
    error = _error(a, f, parts)
    if error > BOUND:
        return
    name = largest.replace("L", "m")
    told = f"vᵀHv is that of its parts at {POINTS} random points" + (f", to {error:.0e}" if error else "")
    yield equation("gradient", (LATEX.name(name), name), least, told, ())
    yield note(
        "gradient", f"each step of 1/{largest} leaves at most 1 − {name}/{largest} of the distance to the optimum"
    )
    best = f"({largest} − {name})/({largest} + {name})"
    yield note("gradient", f"each step of 2/({largest} + {name}), the best one, at most {best} of it")


def _error(a: Analysis, f: Form, parts: list[Part]) -> float:
    """The largest difference of v' H v and the sum of the parts' v' P v, relative."""
    rng, program, worst = np.random.default_rng(6), f.terms.program(), 0.0
    inputs = tuple(dict.fromkeys((*program.inputs, *a.forward.inputs)))
    for _ in range(POINTS):
        values, dims = sample(Program(inputs, program.statements, program.outputs), rng)
        truth = float(evaluate(program, {t: values[t] for t in program.inputs}, dims)[program.outputs["L"]])
        total = 0.0
        for p in parts:
            factor = Tensor("factor")
            node = Statement(factor, (), "=", "none", (), p.factor)
            env = evaluate(Program(inputs, (*f.terms.definitions, node), {"f": factor}), values, dims)
            squares = [_form(p, env, np.asarray(values[v])) for v in f.along.values() if v in values]
            total += float(env[factor]) * sum(squares)
        worst = max(worst, relative(np.asarray(total), np.asarray(truth), 1e-12))
    return worst


def _form(p: Part, env: dict, v: np.ndarray) -> float:
    """v' P v of a part without its factor."""
    if p.kind == "identity":
        return float((v**2).sum())
    m = np.asarray(env[p.tensor])
    if p.kind == "matrix":
        return float((v * (m @ v)).sum())
    return float((((m.T if p.across else m) @ v) ** 2).sum())

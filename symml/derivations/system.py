"""`symml analyze` of a page whose states move: fixed points, the Jacobian in print, eigenvalues, verdicts, bifurcations.

analyse(page, Asked(vary=("r", 2.5, 4.0)))  ->  facts for faces and JSON
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from symml import names
from symml.errors import NumericError, SpecError
from symml.latex.derivation import formula
from symml.methods.stability import Bifurcation, Field, Point, bifurcations, fixed_points, starts_within
from symml.model.system import System, system
from symml.proof.complex_step import BOUND, STEP, Proof, relative
from symml.proof.samples import sample
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise
from symml.syntax.words import nearest

if TYPE_CHECKING:
    from symml.ir.program import Program, Tensor
    from symml.syntax import tree

LARGEST = 100_000  # entries of all states together
SEVERAL, MANY, FEW = 60, 60, 6  # starts that are tried, and above so many entries
Bounds = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Asked:
    """hypers: values in the place of the page's; vary: a hyper-parameter and its two ends; period: of a map's orbits."""

    hypers: Mapping[str, float] = field(default_factory=dict)
    vary: tuple[str, float, float] | None = None
    period: int = 1


def analyse(page: tree.Tree, asked: Asked) -> dict:
    """The facts; SpecError for what is asked wrongly, NumericError where the Jacobian disagrees with the complex step."""
    s = system(page)
    _check(s, asked)
    values = {h.tensor: asked.hypers.get(name, h.value) for name, h in s.hypers.items()}
    program = simplify(stabilise(s.program))
    f = Field.of(program, tuple(s.states.values()), values, s.sizes, s.flow, asked.period)
    if f.size > LARGEST:
        raise SpecError(f"the states have {f.size} entries; the limit is {LARGEST}", fix="smaller dims")
    first = np.concatenate(
        [np.full(int(np.prod(a.shape)), s.starts[t.name] or 0.0) for t, a in f.split(np.zeros(f.size)).items()]
    )
    return facts(s.name, f, first, asked, starts_within(f, first, bounds(f), SEVERAL if f.size <= MANY else FEW))


def facts(name: str, f: Field, first: np.ndarray, asked: Asked, starts: Sequence[np.ndarray]) -> dict:
    """What is told of a field: its formulas, fixed points with eigenvalues and verdicts, and where these change."""
    inside = bounds(f)
    proof = _proof(f, list(starts))
    if not proof.ok:
        raise NumericError(f"the derived Jacobian is wrong: {proof}")
    points = fixed_points(f, list(starts), inside)
    found = bifurcations(f, *asked.vary, list(starts), inside) if asked.vary else ()
    return {
        "model": name,
        "kind": "flow" if f.flow else "map",
        "period": asked.period,
        "states": _entries(f),
        "moves": [_move(f.program, t, f.flow) for t in f.states],
        "jacobian": [_block(f, a, b, f.flow) for a in f.states for b in f.states],
        "proof": str(proof),
        "fixed_points": [_point_facts(p) for p in points],
        "leading": f.products is not None,
        "vary": list(asked.vary) if asked.vary else None,
        "bifurcations": [_bifurcation_facts(b) for b in found],
    }


def _check(s: System, asked: Asked) -> None:
    for name in (*asked.hypers, *([asked.vary[0]] if asked.vary else [])):
        if name not in s.hypers:
            raise SpecError(
                f"'{name}' is no hyper-parameter here", fix=nearest(name, s.hypers) or f"declare it: hyper {name} = 1"
            )
    if asked.vary and not asked.vary[1] < asked.vary[2]:
        raise SpecError(
            f"'{asked.vary[0]}' varies from {asked.vary[1]:g} to {asked.vary[2]:g}", fix="from less to more"
        )
    if asked.period < 1 or (asked.period > 1 and s.flow):
        raise SpecError(f"a period of {asked.period} makes no sense here", fix="a whole number from 1 on, of a map")


def bounds(f: Field) -> Bounds:
    """The domains of the states, entry by entry."""
    low, high = [], []
    for t, a in f.split(np.zeros(f.size)).items():
        size = int(np.prod(a.shape))
        low.append(np.full(size, -np.inf if t.domain.lower is None else t.domain.lower))
        high.append(np.full(size, np.inf if t.domain.upper is None else t.domain.upper))
    return np.concatenate(low), np.concatenate(high)


def _proof(f: Field, starts: list[np.ndarray]) -> Proof:
    """The Jacobian against the complex step of the map or flow, at a few starts at random where both are finite."""
    worst, points = 0.0, 0
    if f.products is not None:
        return _proof_of_products(f, starts[1:])
    finite = [z for z in starts[3:] if np.isfinite(f.value(z)).all() and np.isfinite(f.jacobian(z)).all()]
    if not finite:
        raise NumericError(
            "the states move by no finite number from any start", fix="declare where they live, as in state x > 0"
        )
    for z in finite[:4]:
        columns = [f.value(z + 1j * STEP * unit).imag / STEP for unit in np.eye(f.size)]
        worst = max(worst, relative(f.jacobian(z), np.array(columns).T))
        points += f.size**2
    return Proof("complex step", worst, BOUND, points)


def _proof_of_products(f: Field, starts: Sequence[np.ndarray]) -> Proof:
    """The derivative along directions at random against the complex step along them."""
    rng, errors = np.random.default_rng(1), []
    for z in [z for z in starts if np.isfinite(f.value(z)).all()][:3]:
        v = rng.normal(size=f.size)
        errors.append(relative(f.times(z, v), f.value(z + 1j * STEP * v).imag / STEP))
    return Proof("complex step along directions", max(errors, default=np.inf), BOUND, len(errors))


# in print


def _entries(f: Field) -> list[str]:
    """The name of each entry."""
    return [
        f"{names.unicode(t.name)}[{', '.join(map(str, at))}]" if at else names.unicode(t.name)
        for t, a in f.split(np.zeros(f.size)).items()
        for at in np.ndindex(a.shape)
    ]


def _move(program: Program, t: Tensor, flow: bool) -> dict:
    found = formula(program, program.outputs[f"next {t.name}"], sample)
    left = (names.latex(t.name), names.unicode(t.name))
    mark = ("\\dot{" + left[0] + "} =", f"{left[1]}′ =") if flow else (rf"{left[0]} \leftarrow", f"{left[1]} ←")
    return {
        "latex": f"{mark[0]} {found.latex}",
        "text": f"{mark[1]} {found.text}",
        "where": [list(w) for w in found.where],
        "printed_error": found.error,
    }


def _block(f: Field, a: Tensor, b: Tensor, flow: bool) -> dict:
    """d (movement of a) / d b as a formula."""
    program = f.blocks[a.name, b.name]
    found = formula(program, program.outputs["jacobian"], sample)
    (latex_a, text_a), (latex_b, text_b) = ((names.latex(t.name), names.unicode(t.name)) for t in (a, b))
    left = (rf"\frac{{\partial {latex_a}'}}{{\partial {latex_b}}}", f"∂{text_a}′/∂{text_b}")
    return {
        "latex": f"{left[0]} = {found.latex}",
        "text": f"{left[1]} = {found.text}",
        "where": [list(w) for w in found.where],
        "printed_error": found.error,
    }


def _point_facts(p: Point) -> dict:
    return {
        "at": p.z.tolist(),
        "eigenvalues": [[v.real, v.imag] for v in p.eigenvalues.astype(complex)],
        "verdict": p.verdict,
        "period": p.period,
        "residual": p.residual,
    }


def _bifurcation_facts(b: Bifurcation) -> dict:
    return {"at": b.at, "state": b.z.tolist(), "eigenvalue": [b.eigenvalue.real, b.eigenvalue.imag], "kind": b.kind}

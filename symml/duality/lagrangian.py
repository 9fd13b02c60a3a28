"""The Lagrangian of a constrained problem as a Program, one multiplier of the residual's shape for each constraint.

To be minimised:  L = f + <nu, h> + <mu, g> - <Z, A>      for h = 0, g <= 0, A psd; mu >= 0, Z psd
To be maximised:  L = f - <nu, h> - <mu, g> + <Z, A>

    build(model, program)  ->  Lagrangian, whose program has the output `lagrangian` in the page's own sense

An open bound (`> 0`) never holds with equality and has no multiplier; a symmetric matrix varies among symmetric ones, which
symmetrises its gradient instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symml.duality.structure import is_symmetric
from symml.errors import UnsupportedError
from symml.ir.program import Access, Domain, Program, Statement, Tensor, fresh_indices
from symml.model.constraints import Constraint
from symml.model.model import Model
from symml.names import GREEK, Names
from symml.rewrite.dead import prune

# Letters of the multipliers by sense, for scalars and vectors, then for matrices; the first that is free is taken.
LETTERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "equal": (("nu", "kappa", "xi"), ("Lambda", "Gamma", "Theta")),
    "at_most": (("mu", "eta", "zeta"), ("M", "Psi", "Upsilon")),
    "psd": (("Z",), ("Z", "Omega", "Phi")),
}
SIGN = {"equal": 1, "at_most": 1, "psd": -1}


@dataclass(frozen=True)
class Lagrangian:
    """program: outputs `lagrangian` and `constraint NAME`; sign: -1 where the page maximises.

    multipliers: of each constraint that has one, by its name, in order; kept: those constraints.
    """

    program: Program
    multipliers: Mapping[str, Tensor]
    kept: tuple[Constraint, ...]
    sign: int


def build(model: Model, program: Program, closed: bool = False) -> Lagrangian:
    """The Lagrangian of a page; the loss of its program is the one that is minimised. closed: open bounds have multipliers
    too, as an infimum does not tell them from closed ones."""
    if model.weight is not None:
        raise UnsupportedError("the Lagrangian of weighted rows is not supported yet", model.weight.span)
    kept = tuple(c for c in model.constraints if (closed or not c.strict) and not _symmetry(c))
    program = prune(program, "loss", *(c.output for c in kept))
    sign = -1 if model.objective is not None and model.objective.sense == "maximize" else 1
    names = Names((*(t.name for t in program.tensors()), *(d.name for d in model.dims.values())))
    multipliers = _multipliers(kept, program, names)
    total = Tensor(names.claim("L"))
    terms = [Statement(total, (), "=", "none", (), sign * Access(program.outputs["loss"], ()))]
    for c in kept:
        residual, m = program.outputs[c.output], multipliers[c.name]
        k = fresh_indices(residual.shape)
        body = sign * SIGN[c.sense] * Access(m, k) * Access(residual, k)
        terms.append(Statement(total, (), "+=", "sum" if k else "none", k, body))
    whole = Program(
        (*program.inputs, *multipliers.values()),
        (*program.statements, *terms),
        {"lagrangian": total, **{c.output: program.outputs[c.output] for c in kept}},
        program.requires,
    )
    return Lagrangian(whole, multipliers, kept, sign)


def _symmetry(c: Constraint) -> bool:
    return bool(c.param) and c.name.endswith("_symmetric")


def _multipliers(kept: tuple[Constraint, ...], program: Program, names: Names) -> dict[str, Tensor]:
    """A tensor for each constraint; with several of one letter they are numbered."""
    shapes = {c.name: program.outputs[c.output].shape for c in kept}
    kinds = {c.name: (c.sense, len(shapes[c.name]) == 2) for c in kept}
    found = {}
    for sense, is_matrix in dict.fromkeys(kinds.values()):
        same = [c for c in kept if kinds[c.name] == (sense, is_matrix)]
        letter = next((w for w in LETTERS[sense][is_matrix] if _free(names, w)), LETTERS[sense][is_matrix][0])
        for c in same:
            name = names.claim(letter) if len(same) == 1 else names.fresh(letter)
            found[c.name] = Tensor(name, shapes[c.name], "param", _domain(c, program), c.span)
    return {c.name: found[c.name] for c in kept}


def _free(names: Names, word: str) -> bool:
    """Neither the word nor another spelling of the same letter is taken."""
    spelled = {w for w in GREEK if GREEK[w] == GREEK.get(word)} | {word}
    return not any(names.taken(w) or names.taken(f"{w}1") for w in spelled)


def _domain(c: Constraint, program: Program) -> Domain:
    if c.sense == "at_most":
        return Domain("interval", lower=0.0)
    if c.sense == "psd":
        return Domain("psd")
    return Domain("symmetric") if is_symmetric(program, program.outputs[c.output]) else Domain()

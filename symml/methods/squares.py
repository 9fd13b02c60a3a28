"""Sums of squares, recognised by their form: objective = |r|^2 / 2 + constant, with r as a Program.

The objective is a sum of terms; each that depends on the parameters is a factor >= 0 times a reduction of a square (or a
square of scalars). Then its residual is sqrt(2 factor) times what is squared, with an entry for each loop point.

    found = read(program, "loss", (w, b));   found.program.outputs["r0"]   or   found.reason says what is no square
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sympy
from sympy import Expr, Symbol

from symml.ir.program import Program, Statement, Tensor, direct_accesses, outs, reads, refresh
from symml.methods.likelihood import flat_objective, terms
from symml.methods.signs import gathered, nonnegative
from symml.names import Names
from symml.rewrite.dead import prune


@dataclass(frozen=True)
class Squares:
    """`program` has the residuals as outputs r0, r1, ... (None where there are none: `reason` says why).

    constant: the objective holds more than the squares, which does not depend on the parameters.
    """

    program: Program | None
    names: tuple[str, ...] = ()
    constant: bool = False
    reason: str = ""


def read(program: Program, output: str, wrt: tuple[Tensor, ...], plain: bool = False) -> Squares:
    """The residuals of a scalar output that is a sum of squares.

    plain: without the constant factor of the first of them (`y - X w`, not sqrt(2/n) of it), which would round each entry.
    """
    sources = _inputs_of(program)
    atoms: dict[Symbol, Statement] = {}
    definitions: dict[Tensor, list[Statement]] = {}
    for s in program.statements:
        if isinstance(s, Statement):
            definitions.setdefault(s.out, []).append(s)
    names, made, constant = Names(t.name for t in program.tensors()), [], False
    parts = terms(flat_objective(program.outputs[output][()], definitions, atoms))
    for term in gathered(parts, lambda f: not (f.free_symbols & set(atoms) or _depends(f, atoms, set(wrt), sources))):
        if not _depends(term, atoms, set(wrt), sources):
            constant = True
            continue
        found = _residuals(term, atoms, set(wrt), sources)
        if isinstance(found, str):
            return Squares(None, reason=found)
        made += found
    statements = []
    outputs: dict[str, Tensor] = {}
    unit = _constant_factor(made[0][0]) if plain and made else sympy.Integer(1)
    for k, (fixed, moving, like) in enumerate(made):
        body = sympy.sqrt(fixed / unit) * moving
        loops = () if like is None else like.loops
        out = Tensor(names.claim(f"r{k}"), tuple(i.size for i in loops))
        statements.append(refresh(Statement(out, loops, "=", "none", loops, body, span=like and like.span)))
        outputs[f"r{k}"] = out
    if not outputs:
        return Squares(None, reason="the objective does not depend on the parameters")
    whole = replace(program, statements=(*program.statements, *statements), outputs=outputs)
    return Squares(prune(whole, *outputs), tuple(outputs), constant)


def _inputs_of(program: Program) -> dict[Tensor, frozenset[Tensor]]:
    """The inputs that each tensor depends on."""
    found: dict[Tensor, frozenset[Tensor]] = {t: frozenset((t,)) for t in program.inputs}
    for node in program.statements:
        for _ in range(2):  # a scan's tensors read each other
            read = frozenset().union(*(found.get(t, frozenset()) for t in reads(node)))
            found |= {t: found.get(t, frozenset()) | read for t in outs(node)}
    return found


def _depends(term: Expr, atoms: Mapping[Symbol, Statement], wrt: set[Tensor], sources: Mapping) -> bool:
    """Does a term move with the parameters?"""
    read = {a.tensor for a in direct_accesses(term)}
    for k in term.free_symbols & set(atoms):
        read |= {a.tensor for a in direct_accesses(atoms[k].body)}
    return any(sources[t] & wrt for t in read)


def _residuals(
    term: Expr, atoms: Mapping[Symbol, Statement], wrt: set[Tensor], sources: Mapping
) -> list[tuple[Expr, Expr, Statement | None]] | str:
    """A term as half the squares of sqrt(fixed) moving: (fixed, moving, statement whose loops it runs over); or why it is
    none."""
    held = [k for k in sympy.Mul.make_args(term) if k in atoms]
    factor, inner, like = sympy.Integer(1), term, None
    if held:
        if len(held) > 1 or (term / held[0]).free_symbols & set(atoms):
            return "a product of sums is no square"
        like = atoms[held[0]]
        factor, inner = term / held[0], like.body
        if like.reduce not in ("sum", "none") or like.guard is not None:
            return (
                f"{like.reduce} of a term is no sum of squares" if like.guard is None else "some entries are left out"
            )
    elif term.free_symbols & set(atoms):
        return "a function of a sum is no square"
    found = []
    for part in inner.args if inner.is_Add else (inner,):
        root = _root(factor * part, wrt, sources)
        if isinstance(root, str):
            return root
        found.append((*root, like))
    return found


def _constant_factor(fixed: Expr) -> Expr:
    """What of a factor is the same for every residual."""
    return sympy.Mul(*(f for f in sympy.Mul.make_args(fixed) if not any(a.idx for a in direct_accesses(f))))


def _root(part: Expr, wrt: set[Tensor], sources: Mapping) -> tuple[Expr, Expr] | str:
    """(fixed, moving) of sqrt(2 part), where part is squares of what moves times what does not and is never negative."""
    moving, fixed = sympy.Integer(1), sympy.Integer(2)
    for f in sympy.Mul.make_args(part):
        if not any(sources[a.tensor] & wrt for a in direct_accesses(f)):
            fixed *= f
        elif f.is_Pow and f.exp.is_Integer and int(f.exp) % 2 == 0 and int(f.exp) > 0:
            moving *= f.base ** (f.exp / 2)
        else:
            return "a term is no square"
    if not nonnegative(fixed):
        return "the factor of a square may be negative"
    return fixed, moving

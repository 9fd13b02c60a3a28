"""Kinks made smooth: |u|, relu(u), max(a, b), max over an index, ||u||, -min become new unknowns t with conditions t >= ...

At a minimum t equals what it stands for, where the objective and every condition `at most 0` rise with it; that is proved
from the signs of the derivative. Source: Boyd & Vandenberghe, Convex Optimization (2004), section 4.1.3.

    found = smooth(program, "loss", {"constraint c1": False})   found.unknowns, found.conditions, found.program
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sympy
from sympy import Expr

from symml.calculus.reverse import gradient
from symml.ir.functions import KINKED, absolute, maximum, minimum, relu
from symml.ir.program import (
    Access,
    Domain,
    Index,
    Program,
    Statement,
    Tensor,
    accesses,
    dependents,
    direct_accesses,
    fresh_indices,
    indices,
    outs,
    reads,
    refresh,
)
from symml.names import Names
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify

NONNEGATIVE = Domain("interval", lower=0.0)


@dataclass(frozen=True)
class Smooth:
    """The smooth program with its new unknowns (all of them 1 or more at the start) and the outputs of new conditions, each at
    most 0; with `reason` where the kinks cannot be taken out, program None."""

    program: Program | None
    unknowns: tuple[Tensor, ...] = ()
    conditions: tuple[str, ...] = ()
    what: tuple[str, ...] = ()
    reason: str = ""


def smooth(program: Program, output: str, conditions: Mapping[str, bool], wrt: tuple[Tensor, ...]) -> Smooth:
    """Take every kink out of a program whose `conditions` are its outputs by name: True for equalities. Outer kinks go
    first; those inside are then kinks of the conditions that came of it."""
    found = _outermost(program, output, conditions, wrt)
    if found.program is None or not has_kinks(found.program, whole := (*wrt, *found.unknowns)):
        return found
    inner = smooth(found.program, output, {**conditions, **dict.fromkeys(found.conditions, False)}, whole)
    if inner.program is None:
        return inner
    what = tuple(dict.fromkeys((*found.what, *inner.what)))
    return Smooth(inner.program, (*found.unknowns, *inner.unknowns), (*found.conditions, *inner.conditions), what)


def _outermost(program: Program, output: str, conditions: Mapping[str, bool], wrt: tuple[Tensor, ...]) -> Smooth:
    """The program without the kinks that stand in no other."""
    moving = dependents(program.statements, wrt)
    names, statements, made, what = Names(t.name for t in program.tensors()), [], [], []
    unknowns: list[Tensor] = []
    roots = _sums_of_squares(program)
    for node in program.statements:
        if not isinstance(node, Statement):
            statements.append(node)
            continue
        if node.reduce in ("max", "min", "argmax", "argmin") and moving & set(reads(node)):
            if node.reduce not in ("max", "min") or node.guard is not None:
                return Smooth(None, reason=f"{node.reduce} of unknowns has no smooth form")
            sign = 1 if node.reduce == "max" else -1  # min u = -max -u
            t = Tensor(names.fresh("t"), node.out.shape, "param")
            unknowns.append(t)
            what.append(f"{node.reduce} over an index")
            made.append(_condition(names, node.loops, sign * node.body - Access(t, node.lhs)))
            statements.append(_same(node, t, sign))
            continue
        body = node.body
        kinks = _kinks(body, roots, moving)
        for atom in sorted((a for a in kinks if not any(b is not a and b.has(a) for b in kinks)), key=str):
            if not _taken_out(body, atom):
                return Smooth(None, reason=f"{atom} stands inside of another function")
            loops = tuple(k for k in node.loops if k in indices(atom))
            above = atom.func is maximum and any(a.is_nonnegative for a in atom.args)
            lowest = Domain() if atom.func in (maximum, minimum) and not above else NONNEGATIVE
            t = Tensor(names.fresh("t"), tuple(k.size for k in loops), "param", lowest)
            unknowns.append(t)
            at = Access(t, loops)
            bounds, told = _bounds(atom, at)
            what.append(told)
            made += [_condition(names, loops, b) for b in bounds]
            body = body.xreplace({atom: -at if atom.func is minimum else at})
        statements.append(node.with_body(body))
    if not unknowns:
        return Smooth(None, reason="there is no kink")
    outputs = {**program.outputs, **{s.out.name: s.out for s in made}}
    whole = Program((*program.inputs, *unknowns), (*statements, *made), outputs, program.requires)
    whole = prune(whole, output, *conditions, *(s.out.name for s in made))
    if not rises(whole, output, conditions, tuple(unknowns)):
        return Smooth(None, reason="the objective does not rise with each of its kinks")
    return Smooth(whole, tuple(unknowns), tuple(s.out.name for s in made), tuple(dict.fromkeys(what)))


def has_kinks(program: Program, wrt: tuple[Tensor, ...]) -> bool:
    """Does the program hold a kink of what depends on the unknowns?"""
    moving, roots = dependents(program.statements, wrt), _sums_of_squares(program)
    for s in (s for s in program.statements if isinstance(s, Statement)):
        if (s.reduce in ("max", "min") and moving & set(reads(s))) or _kinks(s.body, roots, moving):
            return True
    return False


def has_kinked_functions(program: Program, wrt: tuple[Tensor, ...]) -> bool:
    """Does a body hold |u|, relu, max, min or the norm of what depends on the unknowns? Its derivative is no equation there."""
    moving, roots = dependents(program.statements, wrt), _sums_of_squares(program)
    return any(_kinks(s.body, roots, moving) for s in program.statements if isinstance(s, Statement))


def _kinks(body: Expr, roots: set[Tensor], moving: set[Tensor]) -> set[Expr]:
    """The innermost kinks of a body: of functions, and roots of sums of squares."""
    found = {f for f in body.atoms(*KINKED) if any(a.tensor in moving for a in accesses(f))}
    for p in body.atoms(sympy.Pow):
        whole = isinstance(p.base, Access) and p.base.tensor in roots & moving
        if p.exp == sympy.Rational(1, 2) and (whole or _adds_squares(p.base, moving)):
            found.add(p)
    smooth_ = {f for f in found if f.func is absolute and _is_raised(body, f)}
    return found - smooth_


def _adds_squares(e: Expr, moving: set[Tensor]) -> bool:
    """Is it a sum of squares that all move, as of two differences? With what does not move its root has no kink."""

    def square(term: Expr) -> bool:
        number, rest = term.as_coeff_Mul()
        whole = number.is_positive and rest.is_Pow and rest.exp == 2
        return bool(whole) and any(a.tensor in moving for a in accesses(rest))

    return e.is_Add and all(map(square, e.args))


def _is_raised(body: Expr, f: Expr) -> bool:
    """Does |u| stand only as a power above 1, which has a derivative at 0?"""
    powers = [p for p in body.atoms(sympy.Pow) if p.base == f and (p.exp - 1).is_positive]
    return bool(powers) and not body.xreplace({p: sympy.Dummy() for p in powers}).has(f)


def _taken_out(body: Expr, atom: Expr) -> bool:
    """Does a number stand for all of the kink? It may be raised to a power above 1, as a squared positive part is."""
    t = sympy.Dummy()
    replaced = body.xreplace({atom: t})
    powers = {p: sympy.Dummy() for p in replaced.atoms(sympy.Pow) if p.base == t and (p.exp - 1).is_positive}
    rest = replaced.xreplace(powers)
    return not rest.diff(t).has(t) and not (powers and rest.has(t)) and not replaced.has(atom)


def _sums_of_squares(program: Program) -> set[Tensor]:
    """Tensors that one statement defines as a sum of squares."""
    defined = [t for node in program.statements for t in outs(node)]
    return {
        s.out
        for s in program.statements
        if isinstance(s, Statement)
        and s.reduce == "sum"
        and s.body.is_Pow
        and s.body.exp == 2
        and defined.count(s.out) == 1
    }


def _bounds(atom: Expr, t: Access) -> tuple[list[Expr], str]:
    """What is at most 0 where t is at least the kink."""
    if atom.is_Pow:
        return [atom.base / t - t, -t], "a norm"
    if atom.func is absolute:
        (u,) = atom.args
        return [u - t, -u - t], "absolute values"
    if atom.func is relu:
        (u,) = atom.args
        return [u - t, -t], "positive parts"
    if atom.func is minimum:  # t is at least -min(a, b) = max(-a, -b)
        return [-a - t for a in atom.args], "minima"
    return [a - t for a in atom.args], "maxima"


def _condition(names: Names, loops: tuple[Index, ...], body: Expr) -> Statement:
    out = Tensor(names.fresh("above"), tuple(k.size for k in loops))
    return refresh(Statement(out, loops, "=", "none", loops, body))


def _same(node: Statement, t: Tensor, sign: int) -> Statement:
    """The statement that copies t, or -t, into what the reduction defined."""
    k = fresh_indices(t.shape)
    return Statement(node.out, k, "=", "none", k, sign * Access(t, k), span=node.span)


def rises(program: Program, output: str, conditions: Mapping[str, bool], unknowns: tuple[Tensor, ...]) -> bool:
    """Is the derivative of the objective plus multipliers >= 0 times conditions nowhere negative in the new unknowns?"""
    names = Names(t.name for t in program.tensors())
    out, loss = Tensor(names.fresh("rising")), program.outputs[output]
    statements, inputs = [Statement(out, (), "=", "none", (), loss[()])], []
    for key, equal in conditions.items():
        r = program.outputs[key]
        m = Tensor(names.fresh("multiplier"), r.shape, "data", Domain() if equal else NONNEGATIVE)
        inputs.append(m)
        k = fresh_indices(r.shape)
        statements.append(Statement(out, (), "+=", "sum" if k else "none", k, Access(m, k) * Access(r, k)))
    whole = replace(
        program,
        inputs=(*program.inputs, *inputs),
        statements=(*program.statements, *statements),
        outputs={"rising": out},
    )
    found = simplify(gradient(prune(whole, "rising"), "rising", unknowns))
    good = _nonnegative(found)
    return all(found.outputs[f"d_{t.name}"] in good for t in unknowns)


def _nonnegative(program: Program) -> set[Tensor]:
    """Tensors that are nowhere negative, by the signs of what they are made of."""
    found = {t for t in program.inputs if t.domain.nonnegative}
    bad: set[Tensor] = set()
    for node in program.statements:
        if not isinstance(node, Statement):
            bad.update(outs(node))
            continue
        table = {a: sympy.Dummy(nonnegative=True) for a in direct_accesses(node.body) if a.tensor in found}
        good = node.reduce in ("none", "sum", "max", "min") and node.body.xreplace(table).is_nonnegative
        (found if good and node.out not in bad else bad).add(node.out)
        if node.out in bad:
            found.discard(node.out)
    return found

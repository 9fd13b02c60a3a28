"""Objectives as a smooth part plus penalties that have a proximal operator, recognised by their form.

    split(program, "loss", (w, b))  ->  Split(program, (Penalty(w, "absolute"),))     outputs `smooth`, `weight w`

absolute  weight sum |w_j|            prox: sign(v) max(|v| - s weight, 0), entry by entry
groups    weight sum_g ||w_g||        prox: max(1 - s weight / ||v_g||, 0) v_g, for each row g (one group where w has one axis)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sympy
from sympy import Expr, Symbol

from symml.ir.functions import absolute
from symml.ir.program import Access, Index, Program, Statement, Tensor, direct_accesses
from symml.methods import signs
from symml.methods.epigraph import has_kinks
from symml.methods.likelihood import flat_objective, terms
from symml.names import Names
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify


@dataclass(frozen=True)
class Penalty:
    """The kind of one parameter's penalty; its weight, a number >= 0, is the output `weight NAME`."""

    param: Tensor
    kind: str


@dataclass(frozen=True)
class Split:
    """The program with the outputs `smooth` and the weights, or None and the reason."""

    program: Program | None
    penalties: tuple[Penalty, ...] = ()
    reason: str = ""


def split(program: Program, output: str, wrt: tuple[Tensor, ...]) -> Split:
    """Take the penalties out of a scalar output."""
    definitions: dict[Tensor, list[Statement]] = {}
    for s in (s for s in program.statements if isinstance(s, Statement)):
        definitions.setdefault(s.out, []).append(s)
    atoms: dict[Symbol, Statement] = {}
    found: dict[Tensor, tuple[str, Expr]] = {}
    rest = sympy.Integer(0)
    for term in terms(flat_objective(program.outputs[output][()], definitions, atoms)):
        p = _penalty(term, atoms, definitions, wrt)
        if p is None:
            rest += term
            continue
        t, kind, weight = p
        known, before = found.get(t, (kind, sympy.Integer(0)))
        found[t] = (kind, weight if before == 0 else signs.weight((before, weight)))
        if known != kind:
            return Split(None, reason=f"'{t.name}' has two penalties")
    wrong = next((t for t, (_, weight) in found.items() if not signs.nonnegative(weight)), None)
    if wrong is not None:
        return Split(None, reason=f"'{wrong.name}' has a penalty whose weight may be negative")
    if not found:
        return Split(None, reason="no term is a sum of absolute values or of norms of a parameter")
    names, statements, table = Names(t.name for t in program.tensors()), list(program.statements), {}
    for k in sorted(rest.free_symbols & set(atoms), key=lambda k: atoms[k].out.name):
        part = Tensor(names.fresh("part"))
        statements.append(replace(atoms[k], out=part, lhs=(), mode="="))
        table[k] = part[()]
    smooth = Tensor(names.claim("smooth"))
    statements.append(Statement(smooth, (), "=", "none", (), rest.xreplace(table)))
    outputs = {"smooth": smooth}
    for t, (_, weight) in found.items():
        out = Tensor(names.claim(f"weight_{t.name}"))
        statements.append(Statement(out, (), "=", "none", (), weight))
        outputs[f"weight {t.name}"] = out
    whole = simplify(prune(replace(program, statements=tuple(statements), outputs=outputs), *outputs))
    if has_kinks(prune(whole, "smooth"), wrt):
        return Split(None, reason="what is left beside the penalties has kinks")
    return Split(whole, tuple(Penalty(t, kind) for t, (kind, _) in found.items()))


def _penalty(
    term: Expr,
    atoms: Mapping[Symbol, Statement],
    definitions: Mapping[Tensor, list[Statement]],
    wrt: tuple[Tensor, ...],
) -> tuple[Tensor, str, Expr] | None:
    """The parameter, the kind and the weight of a term that is a penalty."""
    held = term.free_symbols & set(atoms)
    if len(held) != 1:
        return None
    (k,) = held
    s = atoms[k]
    if s.reduce != "sum" or s.guard is not None:
        return None
    for root in (k, sympy.sqrt(k)):
        weight = term / root
        if weight.has(k) or any(a.tensor.kind not in ("hyper",) for a in direct_accesses(weight)):
            continue
        if root is k:
            return _summed(s, weight, definitions, wrt)
        x = _square_of(s, wrt)
        return (x, "groups", weight) if x is not None and len(x.shape) == 1 else None
    return None


def _summed(
    s: Statement, weight: Expr, definitions: Mapping[Tensor, list[Statement]], wrt: tuple[Tensor, ...]
) -> tuple[Tensor, str, Expr] | None:
    """sum |w_j| or sum_g ||w_g||, with numbers in front."""
    number, body = s.body.as_coeff_Mul()
    if body.func is absolute and _whole(body.args[0], s.loops, wrt):
        return body.args[0].tensor, "absolute", weight * number
    if body.is_Pow and body.exp == sympy.Rational(1, 2) and isinstance(body.base, Access):
        inner = definitions.get(body.base.tensor, [])
        x = _square_of(inner[0], wrt) if len(inner) == 1 else None
        rows = (
            x is not None
            and len(x.shape) == 2
            and len(inner[0].lhs) == 1
            and inner[0].body.base.idx[0] is inner[0].lhs[0]
        )
        if rows and body.base.idx == s.loops:
            return x, "groups", weight * number
    return None


def _square_of(s: Statement, wrt: tuple[Tensor, ...]) -> Tensor | None:
    """The parameter whose squares a statement adds up."""
    if (
        s.reduce == "sum"
        and s.guard is None
        and s.body.is_Pow
        and s.body.exp == 2
        and _whole(s.body.base, s.loops, wrt)
    ):
        return s.body.base.tensor
    return None


def _whole(e: Expr, loops: tuple[Index, ...], wrt: tuple[Tensor, ...]) -> bool:
    """Is this every entry of a parameter, each once?"""
    if not (isinstance(e, Access) and e.tensor in wrt and set(e.idx) == set(loops) and len(e.idx) == len(loops)):
        return False
    return all(k.size == n for k, n in zip(e.idx, e.tensor.shape, strict=True))

"""How an objective can be a negative log-likelihood: which multiple of it, with or without a penalty, of squares or not.

The objective is a sum of terms. Those that read data are its fit to the data: each must be a reduction with a factor in
front, and the sizes that the factor divides by say that it is a mean. Those that read parameters alone are a penalty.

    read(program, "loss", (w, b))  ->  Reading(times=(n,), penalty=True, squares=None)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sympy
from sympy import Expr, Symbol

from symml.errors import UnsupportedError
from symml.ir.program import Access, Dim, Program, Statement, Tensor, direct_accesses, reads, refresh
from symml.source import Span

FIX = "write it as a sum or mean over the rows, plus penalties"


@dataclass(frozen=True)
class Reading:
    """`times` these sizes the objective is a negative log-likelihood; `penalty` says that it holds more than that.

    `squares` are the sizes whose product counts the residuals where the whole objective is one sum of squares.
    """

    times: tuple[Dim, ...]
    penalty: bool
    squares: tuple[Expr, ...] | None


def read(program: Program, output: str, wrt: tuple[Tensor, ...], place: Span | None = None) -> Reading:
    """Read a scalar output; UnsupportedError where it is no multiple of a sum over the data."""
    definitions: dict[Tensor, list[Statement]] = {}
    for s in program.statements:
        definitions.setdefault(s.out, []).append(s)
    sources = _sources(program)
    atoms: dict[Symbol, Statement] = {}
    parts = terms(flat_objective(Access(program.outputs[output], ()), definitions, atoms))
    times: set[tuple[Dim, ...]] = set()
    penalty, fitted = False, []
    for term in parts:
        found = set().union(*(_reach(s, sources) for s in _atoms_of(term, atoms)), *_direct(term, sources))
        if not found & set(wrt):
            continue  # a constant
        if not any(t.kind == "data" for t in found):
            penalty = True
            continue
        factor, atom = _split(term, atoms, wrt, sources)
        if atom is None:
            raise UnsupportedError("the objective is not a sum over the data: its scale has no meaning", place, fix=FIX)
        times.add(_divisor(factor, place))
        fitted.append(atoms[atom])
    if len(times) != 1:
        why = "the objective reads no data" if not times else "the objective adds sums over the data of different scale"
        raise UnsupportedError(why, place, fix=FIX)
    alone = len(parts) == 1 and len(fitted) == 1 and _is_square(fitted[0], wrt, sources)
    return Reading(times.pop(), penalty, tuple(k.size for k in fitted[0].loops) if alone else None)


def rows(program: Program, output: str, wrt: tuple[Tensor, ...], row: Dim, place: Span | None = None) -> Program:
    """What each row adds to a scalar output, as the output `rows` with an entry for each; penalties belong to none."""
    definitions: dict[Tensor, list[Statement]] = {}
    for s in program.statements:
        definitions.setdefault(s.out, []).append(s)
    sources = _sources(program)
    atoms: dict[Symbol, Statement] = {}
    out, made = Tensor("rows", (row,)), []
    for term in terms(flat_objective(Access(program.outputs[output], ()), definitions, atoms)):
        found = set().union(*(_reach(s, sources) for s in _atoms_of(term, atoms)), *_direct(term, sources))
        if not found & set(wrt) or not any(t.kind == "data" for t in found):
            continue
        held = [k for k in sympy.Mul.make_args(term) if k in atoms]
        s = atoms[held[0]] if len(held) == 1 else None
        axes = [k for k in s.loops if k.size == row] if s is not None else []
        if len(axes) != 1 or s.reduce != "sum" or (term / held[0]).free_symbols & set(atoms):
            raise UnsupportedError("the objective is not a sum over the rows", place, fix=FIX)
        made.append(replace(s, out=out, lhs=(axes[0],), body=term / held[0] * s.body, mode="+=" if made else "="))
    made = [replace(s, reduce="sum" if s.reduced else "none") for s in made]
    if not made:
        raise UnsupportedError("the objective reads no data", place, fix=FIX)
    if made[0].guard is not None:
        made[0] = replace(made[0], mode="+=")
    return replace(program, statements=(*program.statements, *map(refresh, made)), outputs={"rows": out})


def _sources(program: Program) -> dict[Tensor, frozenset[Tensor]]:
    """The inputs that each tensor depends on."""
    found: dict[Tensor, frozenset[Tensor]] = {t: frozenset((t,)) for t in program.inputs}
    for s in program.statements:
        found[s.out] = found.get(s.out, frozenset()) | _reach(s, found)
    return found


def _reach(s: Statement, sources: Mapping[Tensor, frozenset[Tensor]]) -> frozenset[Tensor]:
    return frozenset().union(*(sources.get(t, frozenset()) for t in reads(s)))


def flat_objective(expr: Expr, definitions: Mapping[Tensor, list[Statement]], atoms: dict[Symbol, Statement]) -> Expr:
    """A scalar expression with scalar definitions put in; each reduction becomes a symbol of `atoms`."""
    for _ in range(len(definitions) + 1):
        table = {}
        for a in direct_accesses(expr):
            if a.idx or a.tensor not in definitions:
                continue
            parts = []
            for s in definitions[a.tensor]:
                if s.loops or s.guard is not None:
                    atom = next((k for k, other in atoms.items() if other is s), None) or sympy.Dummy(real=True)
                    atoms[atom] = s
                    parts.append(atom)
                else:
                    parts.append(s.body)
            table[a] = sympy.Add(*parts)
        if not table:
            return expr
        expr = expr.xreplace(table)
    raise AssertionError("a scalar defines itself")


def terms(expr: Expr) -> list[Expr]:
    """The terms of a sum, a factor in front of a bracket multiplied in."""
    if expr.is_Add:
        return [t for a in expr.args for t in terms(a)]
    sums = [a for a in expr.args if a.is_Add] if expr.is_Mul else []
    if len(sums) != 1:
        return [expr]
    rest = sympy.Mul(*(a for a in expr.args if a is not sums[0]))
    return [t for a in sums[0].args for t in terms(rest * a)]


def _atoms_of(term: Expr, atoms: Mapping[Symbol, Statement]) -> list[Statement]:
    return [atoms[k] for k in term.free_symbols if k in atoms]


def _direct(term: Expr, sources: Mapping[Tensor, frozenset[Tensor]]) -> list[frozenset[Tensor]]:
    return [sources[a.tensor] for a in direct_accesses(term)]


def _split(
    term: Expr, atoms: Mapping[Symbol, Statement], wrt: tuple[Tensor, ...], sources: Mapping[Tensor, frozenset[Tensor]]
) -> tuple[Expr, Symbol | None]:
    """A term as factor times reduction, the factor free of parameters and data; None where it is no such product."""
    found = [k for k in sympy.Mul.make_args(term) if k in atoms]
    if len(found) != 1:
        return term, None
    factor = term / found[0]
    s = atoms[found[0]]
    bound = any(t.kind != "hyper" for part in _direct(factor, sources) for t in part)
    if bound or factor.free_symbols & set(atoms) or s.reduce not in ("sum", "none", "logsumexp"):
        return term, None
    inner = [a for a in sympy.Mul.make_args(s.body) if not direct_accesses(a) and not a.free_symbols & set(s.loops)]
    return factor * sympy.Mul(*inner), found[0]


def _divisor(factor: Expr, place: Span | None) -> tuple[Dim, ...]:
    """The sizes that a factor divides by."""
    dims = []
    for part, power in factor.as_powers_dict().items():
        if not part.atoms(Dim):
            continue
        if not isinstance(part, Dim) or power != -1:
            raise UnsupportedError(f"the objective scales its sum over the data by {factor}", place, fix=FIX)
        dims.append(part)
    return tuple(sorted(dims, key=lambda d: d.name))


def _is_square(s: Statement, wrt: tuple[Tensor, ...], sources: Mapping[Tensor, frozenset[Tensor]]) -> bool:
    """Is the body a square of what depends on the parameters, times what does not?"""
    squares = 0
    for part in sympy.Mul.make_args(s.body):
        if not any(sources[a.tensor] & set(wrt) for a in direct_accesses(part)):
            continue
        if not (part.is_Pow and part.exp == 2):
            return False
        squares += 1
    return s.reduce == "sum" and s.guard is None and squares == 1

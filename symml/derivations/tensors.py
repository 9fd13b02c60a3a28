"""A tensor of any rank as lines: in matrix form where it has one, as a Kronecker product, else term by term in index form.

shown(program, "hessian", naming, Left(...))  ->  Shown(lines, where, form, error)

Terms are multiplied out up to what the page names (`naming`), softmax and whole-matrix operations; every form is compared
with the program at random inputs before it is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import sympy

from symml.derivations.kronecker import kronecker
from symml.derivations.lefts import Left
from symml.derivations.naming import Naming
from symml.errors import NumericError
from symml.ir.evaluate import evaluate
from symml.ir.program import Access, Iterate, Program, Tensor, flat, outs, read_once, reads
from symml.latex import index_form
from symml.latex.compared import drawn_once, lines_differ
from symml.latex.definitions import definitions, read_by
from symml.latex.derivation import BOUND, Formula, formula
from symml.latex.distinct import distinct
from symml.latex.style import Both
from symml.latex.terms import Line, letters_of, lines
from symml.proof.complex_step import Proof, relative
from symml.proof.samples import sample
from symml.rewrite.dead import eliminate_dead, prune
from symml.rewrite.folded import folded
from symml.rewrite.for_print import for_print, without_copies
from symml.rewrite.softmax import named_softmax
from symml.rewrite.written_out import TooLongError, written_out

DRAWS = 2
ADDS = r"\mathrel{+}="
FEW_TERMS, FEW_OPERATIONS = 8, 120
MOST_PATTERNS = 16  # terms without sums: the patterns of four equal indices are 15
Where = tuple[Both, ...]


@dataclass(frozen=True)
class Shown:
    """What is printed of a tensor; error: how far it is from the program; nodes: the length of a matrix form, 0 of another."""

    lines: tuple[Line, ...]
    where: Where
    form: str
    error: float
    nodes: int = 0


def shown(program: Program, key: str, names: Naming, left: Left, form: str = "matrix") -> Shown:
    """An output as lines; form: matrix or index. What `names` knows may stand by its name.

    Whatever is printed is written from a program that was compared with the given one.
    """
    truth = prune(program, key)
    program, soft = named_softmax(_uncopied(truth, key))
    program = without_copies(program, names.known)
    t = program.outputs[key]
    named = names.known | {u for u in soft if u in names.known or u.kind == "temp"}
    small = _in_terms(truth, program, key, named)
    if small is None:
        return _by_terms(truth, program, key, named, names, left)
    if form == "matrix" and len(t.shape) <= 2:
        best = _as_matrix(truth, [small, program], key, names, named)
        if best is not None:
            line = Line("=", left.whole, (best.latex, best.text))
            return Shown((line,), best.where, "matrix", best.error, best.nodes)
    terms = [s for s in small.statements if t in outs(s)]
    if form == "matrix" and len(t.shape) == 4:
        product = kronecker(small, terms)
        if product is not None:
            error = max(_difference(truth, small, key), product.error)
            return Shown((Line("=", left.whole, product.right),), product.where, "kronecker", error)
    return _by_terms(truth, small, key, named, names, left)


def _uncopied(program: Program, key: str) -> Program:
    """The program whose output is not the copy of another tensor but that tensor."""
    t = program.outputs[key]
    places = [s for s in flat(program.statements) if s.out is t]
    body = places[0].body if len(places) == 1 and places[0].is_map else None
    stated = {s.out for s in flat(program.statements)}  # without inputs and operations on whole matrices
    if not isinstance(body, Access) or body.idx != places[0].lhs or body.tensor not in stated:
        return program
    return _uncopied(eliminate_dead(replace(program, outputs={**program.outputs, key: body.tensor})), key)


def _as_matrix(
    truth: Program, programs: Iterable[Program], key: str, names: Naming, named: frozenset[Tensor]
) -> Formula | None:
    """The shortest matrix form; what it repeats has the name that is given to it on the page."""
    t = next(iter(programs)).outputs[key]
    found = [(formula(p, t, sample, given=names.given), p) for p in programs]
    found = [(f, p) for f, p in found if f.form == "matrix"]
    if not found:
        return None
    best, program = min(found, key=lambda x: (x[0].nodes, len(x[0].text)))
    if best.read:
        program = _with_names(for_print(program, named), t, named, names)
        best = formula(program, t, sample, given=names.given)
    error = max(best.error, _difference(truth, program, key))
    return replace(best, error=error) if best.form == "matrix" and error <= BOUND else None


def _in_terms(truth: Program, program: Program, key: str, named: frozenset[Tensor]) -> Program | None:
    """The program with the output as a sum of terms; None where that is too long."""
    t = program.outputs[key]
    read_often, several = _shared(program, t)
    for keep, few in ((named, True), (named | read_often, False), (named | read_often | several, False)):
        try:
            terms = written_out(program, t, lambda u, keep=keep: u in keep)
        except TooLongError:
            continue
        if (
            few
            and (
                len(terms) > (FEW_TERMS if any(s.reduced for s in terms) else MOST_PATTERNS)
                or sum(sympy.count_ops(s.body) for s in terms) > FEW_OPERATIONS
            )
            and read_often
        ):
            continue
        if not terms:
            continue
        terms, numbers = folded(program, terms)
        first = replace(terms[0], mode="=") if terms[0].covers else terms[0]
        rest = [n for n in program.statements if t not in outs(n)]
        small = eliminate_dead(replace(program, statements=(*rest, *numbers, first, *terms[1:])))
        if _difference(truth, small, key) <= BOUND:
            return small
    return None


def _shared(program: Program, t: Tensor) -> tuple[frozenset[Tensor], frozenset[Tensor]]:
    """What is read in several places, and what is a sum of several terms; without what the tensor is a copy of."""
    uses = Counter(u for s in flat(program.statements) for u in reads(s))
    terms = Counter(s.out for s in flat(program.statements))
    copied = {a.tensor for s in flat(program.statements) if s.out is t for a in s.body.atoms(Access) if s.body == a}
    inner = [u for u in uses if u not in program.inputs and u.shape]
    return frozenset(u for u in inner if uses[u] > 1), frozenset(u for u in inner if terms[u] > 1 and u not in copied)


def _difference(program: Program, other: Program, key: str) -> float:
    """How far an output of one program is from that of another, at random inputs, relative."""
    rng, worst = np.random.default_rng(11), 0.0
    draws = 1 if any(isinstance(n, Iterate) for n in program.statements) else DRAWS  # each costs hundreds of rounds
    with np.errstate(all="ignore"):
        for _ in range(draws):
            values, dims = sample(program, rng)
            a, b = (evaluate(p, {u: values[u] for u in p.inputs}, dims)[p.outputs[key]] for p in (program, other))
            worst = max(worst, relative(a, b))
    return worst


def rows(section: str, found: Shown, proof: str) -> list[dict]:
    """The lines as rows of a section; the proof stands beside the first, the definitions below the last."""
    made = []
    for k, line in enumerate(found.lines):
        sign = {"=": "=", "+=": ADDS}[line.mode]
        made.append(
            {
                "section": section,
                "name": section,
                "latex": f"{line.left[0]} {sign} {line.right[0]}",
                "text": f"{line.left[1]} {line.mode} {line.right[1]}",
                "where": [list(w) for w in found.where] if k == len(found.lines) - 1 else [],
                "proof": f"{proof}; {Proof('printed form', found.error, BOUND, 1)}" if k == 0 else "",
                "form": found.form,
                "nodes": found.nodes,
                "printed_error": found.error,
            }
        )
    return made


# term by term


def _by_terms(truth: Program, program: Program, key: str, named: frozenset[Tensor], names: Naming, left: Left) -> Shown:
    """Lines, with what they read named and defined below them."""
    t = program.outputs[key]
    program = _with_names(for_print(program, named | frozenset(names.table)), t, named, names)
    error = _difference(truth, program, key)
    if error > BOUND:
        raise NumericError(f"what is to be printed of '{key}' is off by {error:.0e}")
    t = program.outputs[key]
    terms = [s for s in program.statements if t in outs(s)]
    where = definitions(program, read_by(program, t), sample, named)
    told = tuple(lines(terms, left.entry))
    entries = [(f"H[{', '.join(line.at)}]" if line.at else "H", line.mode, line.right[1]) for line in told]
    again = lines_differ(t, entries, drawn_once(program, sample), letters_of(terms))
    if not again <= BOUND:
        raise NumericError(f"what is to be printed of '{key}', read again, is off by {again:.0e}")
    return Shown(told, tuple(dict.fromkeys(where)), "index", max(error, again))


def _with_names(program: Program, t: Tensor, named: frozenset[Tensor], names: Naming) -> Program:
    """The intermediates that are shown with their names."""
    program = index_form.with_numbers(program, t)
    read = set(read_by(program, t))
    needed = {v for u in read for v in (u, *index_form.needed(program, u))}
    inside = set(read_once(program, named)) - read
    made = [u for u in program.tensors() if u in needed and u not in program.inputs and not u.integer]
    soft = named - names.known
    program = names.named(program, (u for u in made if u in soft or not (u in named or u in inside)), soft)
    return distinct(program, {*named, *names.table.values()})

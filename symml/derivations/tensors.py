"""A tensor of any rank as lines: in matrix form where it has one, as a Kronecker product, else term by term in index form.

shown(program, "hessian", naming, Left(...))  ->  Shown(lines, where, form, error)

Terms are multiplied out up to what the page names (`naming`), softmax and whole-matrix operations; every form is compared
with the program at random inputs before it is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import sympy

from symml.derivations.kronecker import kronecker
from symml.derivations.lefts import Left
from symml.ir.evaluate import evaluate
from symml.ir.program import Access, Iterate, Program, Tensor, flat, outs, reads, renamed
from symml.latex import index_form
from symml.latex.derivation import BOUND, Formula, formula
from symml.latex.printing import LATEX, TEXT, tensor_name
from symml.latex.terms import Both, Line, lines
from symml.latex.tree import Leaf, Node
from symml.names import Names, number
from symml.proof.complex_step import Proof, relative
from symml.proof.samples import sample
from symml.rewrite.dead import eliminate_dead, prune
from symml.rewrite.softmax import named_softmax
from symml.rewrite.written_out import TooLongError, written_out

DRAWS = 2
ADDS = r"\mathrel{+}="
FEW_TERMS, FEW_OPERATIONS = 8, 120
Where = tuple[Both, ...]


@dataclass
class Naming:
    """Names for intermediates that nobody named, T1, T2 ...: the same tensor has the same name on a whole page."""

    known: frozenset[Tensor]
    taken: Names
    table: dict[Tensor, Tensor] = field(default_factory=dict)
    given: dict[Node, Leaf] = field(default_factory=dict)

    def named(self, tensors: Iterable[Tensor]) -> dict[Tensor, Tensor]:
        """A table for `renamed`."""
        for u in tensors:
            if u not in self.table:
                self.table[u] = replace(u, name=self.taken.fresh("T"), adjoint_of=None, uid=number())
        return self.table


def known(program: Program) -> frozenset[Tensor]:
    """What the page names, and the adjoints of it."""
    own = (t for t in program.tensors() if t.kind != "temp")
    bars = (t for t in program.tensors() if t.adjoint_of is not None and t.adjoint_of.kind == "definition")
    return frozenset((*own, *bars))


def naming(program: Program) -> Naming:
    """Nothing named yet; what the page names stands by its own name."""
    own = known(program)
    return Naming(own, Names(u.name for u in program.tensors() if u in own or u in program.inputs))


@dataclass(frozen=True)
class Shown:
    """What is printed of a tensor; error: how far it is from the program; nodes: the length of a matrix form, 0 of another."""

    lines: tuple[Line, ...]
    where: Where
    form: str
    error: float
    nodes: int = 0


def shown(program: Program, key: str, names: Naming, left: Left, form: str = "matrix") -> Shown:
    """An output as lines; form: matrix or index. What `names` knows may stand by its name."""
    program, soft = named_softmax(prune(program, key))
    t = program.outputs[key]
    named = names.known | frozenset(soft)
    found = _in_terms(program, t, named)
    if found is None:
        return _by_terms(program, t, named, names, left, 0.0)
    small, error = found
    if form == "matrix" and len(t.shape) <= 2:
        best = _as_matrix([small, program], t, names.given)
        if best is not None:
            line = Line("=", left.whole, (best.latex, best.text))
            return Shown((line,), best.where, "matrix", max(error, best.error), best.nodes)
    terms = [s for s in small.statements if t in outs(s)]
    if form == "matrix" and len(t.shape) == 4:
        product = kronecker(small, terms)
        if product is not None:
            return Shown((Line("=", left.whole, product.right),), product.where, "kronecker", max(error, product.error))
    return _by_terms(small, t, named, names, left, error)


def _as_matrix(programs: Iterable[Program], t: Tensor, given: dict[Node, Leaf]) -> Formula | None:
    """The shortest matrix form; what it repeats has the name that is given to it on the page."""
    found = [formula(p, t, sample, given=given) for p in programs]
    found = [f for f in found if f.form == "matrix"]
    return min(found, key=lambda f: (f.nodes, len(f.text)), default=None)


def _in_terms(program: Program, t: Tensor, named: frozenset[Tensor]) -> tuple[Program, float] | None:
    """The program with the tensor as a sum of terms, and how far it is from the other; None where that is too long."""
    read_often, several = _shared(program, t)
    for keep, few in ((named, True), (named | read_often, False), (named | read_often | several, False)):
        try:
            terms = written_out(program, t, lambda u, keep=keep: u in keep)
        except TooLongError:
            continue
        if (
            few
            and (len(terms) > FEW_TERMS or sum(sympy.count_ops(s.body) for s in terms) > FEW_OPERATIONS)
            and read_often
        ):
            continue
        if not terms:
            continue
        first = replace(terms[0], mode="=") if terms[0].covers else terms[0]
        rest = [n for n in program.statements if t not in outs(n)]
        small = eliminate_dead(replace(program, statements=(*rest, first, *terms[1:])))
        error = _difference(program, small, t)
        if error <= BOUND:
            return small, error
    return None


def _shared(program: Program, t: Tensor) -> tuple[frozenset[Tensor], frozenset[Tensor]]:
    """What is read in several places, and what is a sum of several terms; without what the tensor is a copy of."""
    uses = Counter(u for s in flat(program.statements) for u in reads(s))
    terms = Counter(s.out for s in flat(program.statements))
    copied = {a.tensor for s in flat(program.statements) if s.out is t for a in s.body.atoms(Access) if s.body == a}
    inner = [u for u in uses if u not in program.inputs and u.shape]
    return frozenset(u for u in inner if uses[u] > 1), frozenset(u for u in inner if terms[u] > 1 and u not in copied)


def _difference(program: Program, other: Program, t: Tensor) -> float:
    rng, worst = np.random.default_rng(11), 0.0
    draws = 1 if any(isinstance(n, Iterate) for n in program.statements) else DRAWS  # each costs hundreds of rounds
    with np.errstate(all="ignore"):
        for _ in range(draws):
            values, dims = sample(program, rng)
            a, b = (evaluate(p, {u: values[u] for u in p.inputs}, dims)[t] for p in (program, other))
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


def _by_terms(program: Program, t: Tensor, named: frozenset[Tensor], names: Naming, left: Left, error: float) -> Shown:
    """Lines, with what they read named and defined below them."""
    program = _with_names(program, t, named, names)
    terms = [s for s in program.statements if t in outs(s)]
    read = dict.fromkeys(u for s in terms for u in reads(s) if u not in program.inputs)
    where = [line for u in read for line in _definition(program, u)]
    return Shown(tuple(lines(terms, left.entry)), tuple(dict.fromkeys(where)), "index", error)


def _with_names(program: Program, t: Tensor, named: frozenset[Tensor], names: Naming) -> Program:
    """The intermediates that are shown with their names; softmaxes keep theirs, with a number where it is taken."""
    read = {u for s in program.statements if t in outs(s) for u in reads(s)}
    needed = {v for u in read for v in (u, *index_form.needed(program, u))}
    made = [u for u in program.tensors() if u in needed and u not in program.inputs and not u.integer]
    table = names.named(u for u in made if u not in named)
    return renamed(program, table)


def _definition(program: Program, u: Tensor) -> list[Both]:
    """A tensor that a formula names, with what its own formula names."""
    f = formula(eliminate_dead(replace(program, outputs={"shown": u})), u, sample, named=True)
    if f.form == "matrix":
        return [(f"{tensor_name(u, LATEX)} = {f.latex}", f"{tensor_name(u, TEXT)} = {f.text}"), *f.where]
    return [*index_form.lines(program, u), *f.where]

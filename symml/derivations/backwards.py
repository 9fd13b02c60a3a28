"""The lines of a derivation from the loss backwards: adjoints term by term, recurrences, gradients.

An adjoint is compared with the complex step of the loss by that intermediate, each of its terms with the complex step
by that one reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from symml.analysis import Analysis
from symml.calculus.reverse import Sent
from symml.derivations.gradients import formulas
from symml.derivations.line import Line, by_tree, name_of, several
from symml.derivations.opening import in_order
from symml.derivations.rules import IMPLICIT, LINEAR, RECURRENCE, SUM, plain, rule_names
from symml.derivations.way import Way
from symml.ir.program import Iterate, Program, Scan, Tensor, accesses, outs
from symml.latex import index_form
from symml.latex.compared import drawn_once
from symml.latex.definitions import checked
from symml.latex.derivation import formula
from symml.latex.matrix_form import opaque
from symml.latex.named import named, written_out
from symml.latex.printing import LATEX, TEXT, tensor_name
from symml.latex.style import Both
from symml.proof.complex_step import Proof, check_gradient
from symml.proof.perturbed import check_adjoint
from symml.proof.samples import sample

NOTHING: Both = ("", "")
CONSTANT = plain("it does not depend on it")


def adjoint_lines(way: Way, passed: list[Tensor]) -> Iterator[Line]:
    """The adjoints of the intermediates in the order of the derivative; inside of a recurrence line by line."""
    stepped, of = opaque(way.derivative), {u: t for t, u in way.adjoints.items() if t in passed}
    told: set[Tensor] = set()
    before = set(way.forward.tensors()) | set(way.adjoints.values())
    states = [x for n in way.derivative.statements if isinstance(n, Iterate) for x, _, _ in n.states]
    rounds = stepped & {v for x in states for v in (x, *index_form.needed(way.derivative, x))}
    in_lines = (rounds - before) | (stepped & of.keys())
    drawn = drawn_once(way.derivative, sample) if in_lines else []
    for u in in_lines:
        checked(way.derivative, u, drawn)
    for u, rest, node in in_order(way.derivative):
        if u in rounds and u not in before:
            own = index_form.sides(way.derivative, u)
            left, mode, right = own[len(own) - 1 - rest]
            yield Line(left, mode, right, IMPLICIT, by_tree(0.0))
        if u not in of or u in told:
            continue
        t = of[u]
        mine = [(k, x) for k, x in enumerate(way.sent) if x.to is t]
        if u in stepped:
            at = len(index_form.sides(way.derivative, u)) - 1 - rest
            left, mode, right = index_form.sides(way.derivative, u)[at]
            outer = [r for _, x in mine if x.around is None for r in rule_names(x, way.active)]
            rule = RECURRENCE if isinstance(node, Scan) else several(outer or [SUM])
            yield Line(left, mode, right, rule, check_adjoint(way.forward, "loss", t, way.derivative, u))
        elif not rest:
            told.add(u)
            yield from _adjoint(way, t, u, mine)


def _adjoint(way: Way, t: Tensor, u: Tensor, mine: list[tuple[int, Sent]]) -> Iterator[Line]:
    """The adjoint of an intermediate: its terms and their sum."""
    proof = check_adjoint(way.forward, "loss", t, way.derivative, u)
    name, bar = name_of(t), (LATEX.bar(tensor_name(t, LATEX)), TEXT.bar(tensor_name(t, TEXT)))
    left = (rf"{bar[0]} = {_by(way, name)[0]}", f"{bar[1]} = {_by(way, name)[1]}")
    yield from _told(way, left, u, mine, proof)


def _told(way: Way, left: Both, u: Tensor, mine: list[tuple[int, Sent]], proof: Proof) -> Iterator[Line]:
    formula = named(way.derivative, u, way.kept - {u}, sample)
    if formula is None:
        rules = [several([r for _, x in mine for r in rule_names(x, way.active)][:2])]
        for line in index_lines(way.derivative, u, rules, proof):
            yield (
                replace(line, left=_of_parameter(way, line.left, mine[0][1].to))
                if mine[0][1].to.kind == "param"
                else line
            )
        return
    terms = [line for k, x in mine if k in way.terms for line in _term_line(way, k, x)]
    terms.sort(key=lambda line: (_place(line.right[1], formula.text), line.relation != "+"))
    if len(terms) > 1:
        terms[0] = replace(terms[0], left=left, relation="=" if terms[0].relation == "+" else "= −")
        yield from terms
        if "".join(f" {line.relation} {line.right[1]}" for line in terms).removeprefix(" = ") == formula.text:
            return
        left, rule = NOTHING, plain("added up")
    else:
        rule = several([r for _, x in mine for r in _reasons(way, x)]) if mine else CONSTANT
    yield Line(left, "=", (formula.latex, formula.text), rule, proof)


def index_lines(program: Program, t: Tensor, rules: list[Both], proof: Proof) -> Iterator[Line]:
    """The definition of a tensor in index form, one line a statement; the last rule holds for all that remain."""
    checked(program, t, drawn_once(program, sample))
    for k, (left, mode, right) in enumerate(index_form.sides(program, t)):
        yield Line(left, mode, right, rules[min(k, len(rules) - 1)], proof)


def _of_parameter(way: Way, left: Both, t: Tensor) -> Both:
    """The left side of a line of an adjoint as a partial derivative: d l / d W[j, k]."""
    plainly = [
        side.replace(style.bar(tensor_name(t, style)), tensor_name(t, style))
        for side, style in zip(left, (LATEX, TEXT), strict=True)
    ]
    return _by(way, plainly)


def _by(way: Way, name: Both | list[str]) -> Both:
    """The partial derivative by a name."""
    return rf"\frac{{\partial {way.symbol[0]}}}{{\partial {name[0]}}}", f"∂{way.symbol[1]}/∂{name[1]}"


def _place(term: str, whole: str) -> int:
    """Where a term stands in the sum; the end where it is not to be found there."""
    return whole.find(term) if term in whole else len(whole)


def _term_line(way: Way, k: int, x: Sent) -> Iterator[Line]:
    """One term of an adjoint, compared with the complex step by that reading alone."""
    proof = check_adjoint(way.forward, "loss", x.to, way.derivative, way.terms[k], (x.node, x.access))
    formula = named(way.derivative, way.terms[k], way.kept - {way.adjoints[x.to]}, sample)
    both = (formula.latex, formula.text) if formula else written_out(way.derivative, way.terms[k], way.kept)
    if both is None:
        return
    minus = both[1].startswith(("−", "-"))
    both = tuple(text[1:].lstrip() for text in both) if minus else both
    yield Line(NOTHING, "−" if minus else "+", both, several(_reasons(way, x)), proof)


def _reasons(way: Way, x: Sent) -> list[Both]:
    """The rules by which a reading goes back, up to the next name, and what it was that read it."""
    found, node = list(rule_names(x, way.active)), x.node
    seen = outs(node)[-1]
    while seen not in way.adjoints and seen is not way.forward.outputs["loss"]:
        readers = [y for y in way.sent if y.to is seen]
        if len({id(y.node) for y in readers}) != 1:
            break
        found += [r for r in rule_names(readers[0], way.active) if r not in LINEAR and r not in found]
        node = readers[0].node
        seen = outs(node)[-1]
    if seen in way.adjoints:
        formula = named(way.forward, seen, way.kept - {seen}, sample)
        if formula is None:
            (latex, text), mode, right = index_form.sides(way.forward, seen)[-1]
            return [*found, (f"{latex} {mode} {right[0]}", f"{text} {mode} {right[1]}")]
        name = name_of(seen)
        return [*found, (f"{name[0]} = {formula.latex}", f"{name[1]} = {formula.text}")]
    if x.access is not None and any(accesses(k) for k in x.access.idx):
        latex, text = index_form.formula_text(x.access)
        return [*found, (rf"\text{{from }} {latex}", f"from {text}")]
    own = outs(x.node)[-1]
    formula = named(way.forward, own, way.kept, sample) if own is not way.forward.outputs["loss"] else None
    return [*found, (rf"\text{{from }} {formula.latex}", f"from {formula.text}")] if formula else found


def _introduced(way: Way, where: Iterable[Iterable[str]]) -> bool:
    """Are all names that a formula explains names of the way, or labels as rows?"""
    names = {name_of(u)[1] for u in way.kept}
    names |= {TEXT.bar(name) for name in names}
    lefts = [text.split(" = ")[0].split("[")[0] for _, text in where if " = onehot(" not in text]
    return names.issuperset(lefts)


def parameter_lines(a: Analysis, way: Way, t: Tensor) -> Iterator[Line]:
    """The gradient by a parameter: its terms, their sum, and the formula that `symml derive` prints."""
    u, mine = way.adjoints[t], [(k, x) for k, x in enumerate(way.sent) if x.to is t]
    proof = check_adjoint(way.forward, "loss", t, way.derivative, u)
    name = name_of(t)
    left = _by(way, name)
    told = list(_told(way, left, u, mine, proof))
    yield from told
    if a.model.constraints:
        return
    (row,) = formulas(a, "matrix", (t.name,))
    if not _introduced(way, row["where"]):  # what it repeats had no name on the way
        found = formula(a.derivative, a.derivative.outputs[f"d_{t.name}"], sample)
        if not _introduced(way, found.where):
            return
        row = {"form": found.form, "latex": found.latex, "text": found.text}
    if row["form"] == "matrix" and row["text"] != told[-1].right[1]:
        final = check_gradient(a.raw, a.derivative, "loss", t)
        yield Line(NOTHING, "=", (row["latex"], row["text"]), plain("written out"), final)

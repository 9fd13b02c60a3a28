"""`symml derive --steps`: the way to each gradient, line by line, each line with its rule and its numeric check.

The record is the reverse pass's own (calculus/reverse.py): what each reading of a tensor sent back. A line states the
loss, a name, or an adjoint. An adjoint is compared with the complex step of the loss by that intermediate, each of its
terms with the complex step of the loss by that one reading (proof/perturbed.py), an equality at random inputs.

    lines(analysis)  ->  (Line(left=("\\bar{Z} = ...", "Z̄ = ∂ℓ/∂Z"), relation="=", right=..., rule=..., proof=...), ...)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from symml.analysis import Analysis
from symml.calculus.reverse import Sent, gradient_way
from symml.derivations.gradients import formulas
from symml.derivations.intermediates import with_intermediates
from symml.derivations.lagrangian_steps import of_lagrangian
from symml.derivations.line import Line, at_random
from symml.derivations.page_text import written as page_text
from symml.derivations.request import Request
from symml.derivations.rules import IMPLICIT, LINEAR, RECURRENCE, RECURRING, SUM, Both, identity, plain, rule_names
from symml.errors import NumericError
from symml.ir.evaluate import evaluate
from symml.ir.program import Iterate, Library, Node, Program, Scan, Statement, Tensor, accesses, outs, reads
from symml.latex import index_form
from symml.latex.derivation import BOUND
from symml.latex.matrix_form import opaque
from symml.latex.named import as_written, named, one_hots, written_out
from symml.latex.printing import LATEX, TEXT, tensor_name
from symml.proof.complex_step import Proof, check_gradient, relative
from symml.proof.perturbed import check_adjoint
from symml.proof.samples import sample
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import OF_SOFTMAX, stabilise_way
from symml.syntax import tree

NOTHING: Both = ("", "")
LOSS: Both = (r"\ell", "ℓ")
MOST_TERMS = 6  # of an adjoint that are shown one by one


@dataclass(frozen=True)
class Way:
    """A derivation that can be told: `forward` with names for its intermediates, `derivative` with their adjoints as outputs.

    sent: the record of the reverse pass; kept: the tensors that stand as names; adjoints: of each of them; terms: of
    what several readings send back, a tensor of the derivative for each; symbol: what is differentiated.
    """

    forward: Program
    derivative: Program
    sent: tuple[Sent, ...]
    kept: frozenset[Tensor]
    adjoints: dict[Tensor, Tensor]
    terms: dict[int, Tensor]
    symbol: Both = LOSS

    @property
    def active(self) -> frozenset[Tensor]:
        """What the gradient passes through."""
        return frozenset(x.to for x in self.sent)


def product(request: Request) -> list[dict]:
    """The lines as rows: latex, text, left, relation, rule, what was compared and the error."""
    with np.errstate(all="ignore"):  # what is not finite is reported, not warned of
        found = lines(request.analysis, request.chosen)
    return [
        {
            "left": _pretty(line.left[1]),
            "left_latex": line.left[0],
            "relation": line.relation,
            "text": _pretty(line.right[1]),
            "latex": line.right[0],
            "rule": _pretty(line.rule[1]),
            "rule_latex": line.rule[0],
            "method": line.proof.method,
            "error": line.proof.error,
        }
        for line in found
    ]


def _pretty(text: str) -> str:
    """Text of index form with the marks of matrix form."""
    text = re.sub(r"\*\*(\d)", lambda m: "⁰¹²³⁴⁵⁶⁷⁸⁹"[int(m[1])], text)
    return re.sub(r"(?<=[\w\])])\*(?=\S)", " ", re.sub(r"(?<![A-Za-z])-", "−", text))


def lines(a: Analysis, wrt: tuple[str, ...]) -> tuple[Line, ...]:
    """The whole way to the gradients by the parameters named; NumericError where a line does not hold.

    Under constraints it is the Lagrangian that is differentiated.
    """
    if a.model.constraints:
        a, ends = of_lagrangian(a)
        return (*_lines(a, replace(recorded(a), symbol=("L", "L")), wrt, "the Lagrangian"), *map(_checked, ends))
    sense = "the objective" if a.model.objective.sense == "minimize" else "minus the objective, to be minimised"
    return _lines(a, recorded(a), wrt, sense)


def _lines(a: Analysis, way: Way, wrt: tuple[str, ...], what: str) -> tuple[Line, ...]:
    targets = [t for t in a.model.over if t.name in wrt]
    passed = _passed(way, targets)
    told = (_loss(a, way, what), _names(way, passed), _adjoints(way, passed), *(_parameter(a, way, t) for t in targets))
    return tuple(map(_checked, chain(*told)))  # each before the next is begun


def _checked(line: Line) -> Line:
    if not line.proof.ok:
        text = f"{line.left[1]} {line.relation} {line.right[1]}".strip()
        raise NumericError(f"a line of the derivation does not hold: {text}: {line.proof}")
    return line


# the record


def recorded(a: Analysis) -> Way:
    """The reverse pass once more over the forward program with names, with the adjoints of its intermediates kept."""
    forward = with_intermediates(a.forward, a.model.over, {t.name for t in a.raw.tensors()})
    whole, sent = gradient_way(forward, "loss", a.model.over)
    adjoint = {x.to: x.statement.out for x in sent} | {t: whole.outputs[f"d_{t.name}"] for t in a.model.over}
    short = simplify(whole)
    left = {t.adjoint_of for node in short.statements for t in outs(node)}
    loss = forward.outputs["loss"]
    stations = [
        t for t in forward.tensors() if t in adjoint and t is not loss and (t in left or t.kind == "definition")
    ]
    asked = {f"adjoint {k}": adjoint[t] for k, t in enumerate(stations)}
    terms = {k: _term(x, k) for k, x in enumerate(sent) if x.to in stations and _splits(sent, x)}
    asked |= {f"term {k}": s.out for k, s in terms.items()}
    derivative = replace(whole, statements=(*whole.statements, *terms.values()), outputs={**whole.outputs, **asked})
    derivative = simplify(derivative)
    adjoints = {t: derivative.outputs[f"adjoint {k}"] for k, t in enumerate(stations)}
    definitions = {t for t in forward.tensors() if t.kind == "definition"}
    return Way(
        forward,
        derivative,
        sent,
        frozenset((*definitions, *stations, *adjoints.values())),
        adjoints,
        {k: derivative.outputs[f"term {k}"] for k in terms},
    )


def _splits(sent: tuple[Sent, ...], x: Sent) -> bool:
    """Is the adjoint of a tensor told term by term? Where several readings send to it, from outside of its recurrence."""
    others = [y for y in sent if y.to is x.to]
    own = any(y.around is not None and x.to in outs(y.around) for y in others)
    return 1 < len(others) <= MOST_TERMS and not own


def _term(x: Sent, k: int) -> Statement:
    """What one reading sends back as a tensor of its own, over all steps of the recurrence it may stand in."""
    s = x.statement
    if x.around is not None:
        s = replace(s, loops=(x.around.step, *s.loops))
    s = replace(s, out=Tensor(f"term{k}", x.to.shape), reduce="none")
    s = replace(s, reduce="sum" if s.reduced else "none")
    return replace(s, mode="=" if s.covers else "+=")


def _passed(way: Way, targets: list[Tensor]) -> list[Tensor]:
    """The intermediates whose adjoints the gradients need, from the loss backwards."""
    needed = {u for t in targets for u in index_form.needed(way.derivative, way.adjoints[t])}
    order = {u: k for k, u in enumerate(way.derivative.tensors())}
    found = [t for t, u in way.adjoints.items() if u in needed and t.kind != "param" and t not in targets]
    return sorted(found, key=lambda t: order[way.adjoints[t]])


# the loss and the names


def _loss(a: Analysis, way: Way, what: str) -> Iterator[Line]:
    """The objective as the page writes it, its parts, and its stable form."""
    loss, raw = way.forward.outputs["loss"], a.raw.outputs["loss"]
    definitions = frozenset(t for t in a.raw.tensors() if t.kind == "definition")
    written = _of_page(a) or as_written(a.raw, raw, definitions, sample)
    yield Line(way.symbol, "=", written, plain(what), _equal(a, a.raw, way.forward))
    lost = {t for t in definitions if t not in way.forward.tensors()}
    scans = [set(outs(n)) for n in a.raw.statements if isinstance(n, Scan) and not lost.isdisjoint(outs(n))]
    yield from _definitions(a.raw, lost.union(*scans), definitions)
    stable = as_written(way.forward, loss, way.kept, sample)
    rules = (*_lowered_by(a), *(rule for _, rule in stabilise_way(a.raw)[1]))
    if _bare(stable) != _bare(written):
        rule = [identity(r) for r in dict.fromkeys(rules)] or [plain("with names for its parts")]
        yield Line(way.symbol, "=", stable, _several(rule), _equal(a, a.raw, way.forward))


def _of_page(a: Analysis) -> Both | None:
    """The objective as the page has it; of a Lagrangian or an expression there is no such text."""
    if a.model.constraints or a.model.source.name == "-e":
        return None
    value = a.model.objective.value
    return page_text(value if a.model.objective.sense == "minimize" else tree.Negate(value, span=value.span))


def _lowered_by(a: Analysis) -> tuple[str, ...]:
    """The identity that the language itself uses where a page writes logsoftmax."""
    parts = (a.model.objective.value, *(d for nodes in a.model.definitions.values() for d in nodes))
    calls = {n.function for part in parts for n in tree.walk(part) if isinstance(n, tree.Call)}
    return (OF_SOFTMAX,) if "logsoftmax" in calls else ()


def _bare(both: Both) -> str:
    """The text of a formula without what only sets it."""
    return both[1].replace(" ", "").replace("_F", "")


def _equal(a: Analysis, one: Program, other: Program) -> Proof:
    """Both losses at random inputs."""
    rng, worst = np.random.default_rng(11), 0.0
    for _ in range(2):
        values, dims = sample(a.derivative, rng)
        left, right = (evaluate(p, values, dims)[p.outputs["loss"]] for p in (one, other))
        worst = max(worst, relative(left, right))
    return at_random(worst)


def _tree(error: float) -> Proof:
    return Proof("formula and statement at random inputs", error, BOUND, 2)


def _names(way: Way, passed: list[Tensor]) -> Iterator[Line]:
    """The intermediates, each by its definition; recurrences step by step; matrices of labels last."""
    loss = way.forward.outputs["loss"]
    needed = {u for t in (*passed, loss) for u in (t, *index_form.needed(way.forward, t))} - {loss}
    yield from _definitions(way.forward, needed, way.kept | _read_by_name(way) & needed)
    labels: dict[str, tuple[Both, Both]] = {}
    for t in (loss, *(t for t in way.forward.tensors() if t in needed & way.kept)):
        labels |= one_hots(way.forward, t, way.kept) if named(way.forward, t, way.kept - {t}, sample) else {}
    for left, right in labels.values():
        yield Line(left, "=", right, plain("labels as rows of 0 and 1"), _tree(0.0))


def _read_by_name(way: Way) -> frozenset[Tensor]:
    """The tensors of the forward program that adjoints in index form read: nothing stands in their place there."""
    without = [u for u in way.adjoints.values() if named(way.derivative, u, way.kept - {u}, sample) is None]
    places = [s for n in way.derivative.statements for s in _inner(n) if not set(without).isdisjoint(outs(s))]
    return frozenset(t for s in places for t in reads(s)) & frozenset(way.forward.tensors())


def _definitions(program: Program, wanted: set[Tensor], kept: frozenset[Tensor]) -> Iterator[Line]:
    """Lines for the kept tensors and the recurrences among those wanted, in the order of the program.

    What a line in index form reads by name gets its own line.
    """
    stepped = opaque(program)
    shown = {t for t in wanted if t in kept or t in stepped}
    formulas = {t: None if t in stepped else named(program, t, kept - {t}, sample) for t in shown}
    todo = [t for t in shown if formulas[t] is None]
    while todo:
        t = todo.pop()
        places = [s for n in program.statements for s in _inner(n) if t in outs(s)]
        for u in (u for s in places for u in reads(s) if u not in formulas and u in wanted):
            formulas[u] = None if u in stepped else named(program, u, kept - {u}, sample)
            todo += [u] if formulas[u] is None else []
    for t, rest, node in _in_order(program):
        if t not in formulas:
            continue
        if formulas[t] is not None:
            if not rest:
                rule = plain("definition" if t.kind == "definition" and t.span is not None else "named")
                yield Line(_name(t), "=", (formulas[t].latex, formulas[t].text), rule, _tree(formulas[t].error))
            continue
        own = index_form.sides(program, t)
        left, mode, right = own[len(own) - 1 - rest]
        rule = RECURRING if isinstance(node, Scan | Iterate) else plain("definition")
        yield Line(left, mode, right, rule, _tree(0.0))


def _inner(node: Node) -> tuple[Node, ...]:
    return (node,) if isinstance(node, Statement | Library) else node.statements


def _in_order(program: Program) -> list[tuple[Tensor, int, Node]]:
    """What each line of a program defines, in order, how many more lines there are of that tensor, and the node."""
    found = [(t, n) for n in program.statements for t in _defines(n)]
    names_ = [t for t, _ in found]
    return [(t, names_[k + 1 :].count(t), n) for k, (t, n) in enumerate(found)]


def _defines(node: Node) -> list[Tensor]:
    if isinstance(node, Statement | Library):
        return list(outs(node))
    inside = [t for s in node.statements for t in _defines(s)]
    return [*(x for x, _, _ in node.states), *inside] if isinstance(node, Iterate) else inside


def _name(t: Tensor) -> Both:
    return tensor_name(t, LATEX), tensor_name(t, TEXT)


def _index_lines(program: Program, t: Tensor, rules: list[Both], proof: Proof) -> Iterator[Line]:
    """The definition of a tensor in index form, one line a statement; the last rule holds for all that remain."""
    for k, (left, mode, right) in enumerate(index_form.sides(program, t)):
        yield Line(left, mode, right, rules[min(k, len(rules) - 1)], proof)


# adjoints


def _adjoints(way: Way, passed: list[Tensor]) -> Iterator[Line]:
    """The adjoints of the intermediates in the order of the derivative; inside of a recurrence line by line."""
    stepped, of = opaque(way.derivative), {u: t for t, u in way.adjoints.items() if t in passed}
    told: set[Tensor] = set()
    before = set(way.forward.tensors()) | set(way.adjoints.values())
    states = [x for n in way.derivative.statements if isinstance(n, Iterate) for x, _, _ in n.states]
    rounds = stepped & {v for x in states for v in (x, *index_form.needed(way.derivative, x))}
    for u, rest, node in _in_order(way.derivative):
        if u in rounds and u not in before:
            own = index_form.sides(way.derivative, u)
            left, mode, right = own[len(own) - 1 - rest]
            yield Line(left, mode, right, IMPLICIT, _tree(0.0))
        if u not in of or u in told:
            continue
        t = of[u]
        mine = [(k, x) for k, x in enumerate(way.sent) if x.to is t]
        if u in stepped:
            at = len(index_form.sides(way.derivative, u)) - 1 - rest
            left, mode, right = index_form.sides(way.derivative, u)[at]
            outer = [r for _, x in mine if x.around is None for r in rule_names(x, way.active)]
            rule = RECURRENCE if isinstance(node, Scan) else _several(outer or [SUM])
            yield Line(left, mode, right, rule, check_adjoint(way.forward, "loss", t, way.derivative, u))
        elif not rest:
            told.add(u)
            yield from _adjoint(way, t, u, mine)


def _adjoint(way: Way, t: Tensor, u: Tensor, mine: list[tuple[int, Sent]]) -> Iterator[Line]:
    """The adjoint of an intermediate: its terms and their sum."""
    proof = check_adjoint(way.forward, "loss", t, way.derivative, u)
    name, bar = _name(t), (LATEX.bar(tensor_name(t, LATEX)), TEXT.bar(tensor_name(t, TEXT)))
    left = (rf"{bar[0]} = {_by(way, name)[0]}", f"{bar[1]} = {_by(way, name)[1]}")
    yield from _told(way, left, u, mine, proof)


def _told(way: Way, left: Both, u: Tensor, mine: list[tuple[int, Sent]], proof: Proof) -> Iterator[Line]:
    formula = named(way.derivative, u, way.kept - {u}, sample)
    if formula is None:
        rules = [_several([r for _, x in mine for r in rule_names(x, way.active)][:2])]
        for line in _index_lines(way.derivative, u, rules, proof):
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
        rule = _several([r for _, x in mine for r in _reasons(way, x)])
    yield Line(left, "=", (formula.latex, formula.text), rule, proof)


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
    yield Line(NOTHING, "−" if minus else "+", both, _several(_reasons(way, x)), proof)


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
        name = _name(seen)
        return [*found, (f"{name[0]} = {formula.latex}", f"{name[1]} = {formula.text}")]
    if x.access is not None and any(accesses(k) for k in x.access.idx):
        latex, text = index_form.formula_text(x.access)
        return [*found, (rf"\text{{from }} {latex}", f"from {text}")]
    own = outs(x.node)[-1]
    formula = named(way.forward, own, way.kept, sample) if own is not way.forward.outputs["loss"] else None
    return [*found, (rf"\text{{from }} {formula.latex}", f"from {formula.text}")] if formula else found


def _several(rules: list[Both]) -> Both:
    """Rules as one."""
    rules = list(dict.fromkeys(rules))
    return r",\; ".join(r[0] for r in rules), ", ".join(r[1] for r in rules)


def _parameter(a: Analysis, way: Way, t: Tensor) -> Iterator[Line]:
    """The gradient by a parameter: its terms, their sum, and the formula that `symml derive` prints."""
    u, mine = way.adjoints[t], [(k, x) for k, x in enumerate(way.sent) if x.to is t]
    proof = check_adjoint(way.forward, "loss", t, way.derivative, u)
    name = _name(t)
    left = _by(way, name)
    told = list(_told(way, left, u, mine, proof))
    yield from told
    if a.model.constraints:
        return
    (row,) = formulas(a, "matrix", (t.name,))
    if row["form"] == "matrix" and row["text"] != told[-1].right[1]:
        final = check_gradient(a.raw, a.derivative, "loss", t)
        yield Line(NOTHING, "=", (row["latex"], row["text"]), plain("written out"), final)

"""Jacobians, Hessians and higher derivatives, products with them, divergence and Taylor terms, as formulas.

    --order 2        each block d^2 f / da db; --order N the N-th derivative, axis by axis
    --jacobian p     d p_i / d w_j of a quantity of the page, or of an expression that is no number
    --hvp            H v;  --jvp p   J v;   --vjp p   J' u;   --directional   <grad f, v>;   --divergence F   tr(J)
    --taylor N       the terms of f(x + v) up to the N-th order in v

A block whose axes are tied is shown by what it stores: I (x) A, diag(a), each compared with the complex step before that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np
import sympy

from symml import names
from symml.analysis import Analysis, differentiate
from symml.calculus.columns import Columns
from symml.calculus.reverse import gradient
from symml.calculus.second import hessian, hessian_times, jacobian, slope_along, transposed_times
from symml.calculus.tangent import tangent
from symml.derivations import verified
from symml.derivations.lefts import Left, by_parameters, of_quantity, written
from symml.derivations.naming import Naming, naming
from symml.derivations.request import Request
from symml.derivations.sections import equation
from symml.derivations.tensors import rows, shown
from symml.duality.structure import with_symmetries
from symml.errors import SpecError
from symml.ir.evaluate import evaluate
from symml.ir.program import Access, Program, Statement, Tensor, fresh_indices, read_instead
from symml.latex.derivation import formula
from symml.latex.style import Both
from symml.proof.complex_step import BOUND, Proof, check_gradient, check_jacobian, relative
from symml.proof.higher import Claim
from symml.proof.kinks import check_kinks
from symml.proof.samples import sample
from symml.rewrite.dead import prune
from symml.rewrite.scaling import scale_recurrences
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise
from symml.syntax.words import nearest

MOST_ORDER = 8
SUPERSCRIPT, SUBSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"), str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True)
class Asked:
    """What a Request is about: `forward` with the output `key`, which is the loss or a quantity of the page; `raw` as written."""

    request: Request
    raw: Program
    forward: Program
    key: str

    @property
    def wrt(self) -> tuple[Tensor, ...]:
        return tuple(t for t in self.request.analysis.model.over if t.name in self.request.chosen)


def guarded(make: Callable[[Request], Iterator[dict]]) -> Callable[[Request], list[dict]]:
    """A product that evaluates at random inputs, where what is not finite is reported, not warned of."""

    def call(request: Request) -> list[dict]:
        with np.errstate(all="ignore"):
            return list(make(replace(request, analysis=_as_written(_symmetric(request.analysis)))))

    call.__doc__ = make.__doc__
    return call


@guarded
def order(request: Request) -> Iterator[dict]:
    """`--order N`: a block for each pair, triple ... of the chosen parameters; those that differ in the order are one."""
    n = _whole(request.argument, 1, MOST_ORDER)
    if n == 1:
        raise SpecError("the first derivative is what symml derive prints", fix="--order 2")
    chosen = [t for t in request.analysis.model.over if t.name in request.chosen]
    yield from _blocks(request, combinations_with_replacement(chosen, n))


@guarded
def block(request: Request) -> Iterator[dict]:
    """One block of a derivative of higher order; the argument names its parameters, as in "w b"."""
    known = {t.name: t for t in request.analysis.model.over}
    wrong = [name for name in request.argument.split() if name not in known]
    if wrong:
        raise SpecError(
            f"'{wrong[0]}' is not trained here", fix=nearest(wrong[0], known) or f"one of {', '.join(known)}"
        )
    yield from _blocks(request, [tuple(known[name] for name in request.argument.split())])


def _blocks(request: Request, groups: Iterable[Sequence[Tensor]]) -> Iterator[dict]:
    names_ = naming(request.analysis.derivative)
    for group in groups:
        found, proof = _derivative(request.analysis.derivative, group)
        what = "Hessian" if len(group) == 2 else f"derivative of order {len(group)}"
        section = f"{what} in {', '.join(t.name for t in group)}"
        (key,) = found.program.outputs
        more = verified.entries(Claim(request.analysis.raw, "loss", found.program, key), tuple(group))
        yield from lines(request, section, by_parameters(group), found, _told(request, [proof], more), names_)


def _derivative(derivative: Program, group: Sequence[Tensor]) -> tuple[Columns, Proof]:
    """The derivative of the loss by all of a group, from Jacobians of Jacobians, and the proof of the last of them."""
    first, second, *more = group
    before, key, found = derivative, f"d_{first.name}", hessian(derivative, first, second)
    found_key, last = "hessian", second
    for t in more:
        verified.told([check_jacobian(before, key, found.program, last, found_key)])
        before, key, found_key, last = found.program, found_key, "jacobian", t
        found = jacobian(before, key, t)
    return found, check_jacobian(before, key, found.program, last, found_key)


@guarded
def jacobians(request: Request) -> Iterator[dict]:
    """`--jacobian NAME`."""
    q = quantity(request)
    names_ = naming(q.forward)
    for t in q.wrt:
        found = jacobian(q.forward, q.key, t)
        proof = check_jacobian(q.forward, q.key, found.program, t)
        left = of_quantity(q.key, q.forward.outputs[q.key].shape, t)
        more = _of_jacobian(q, found, t)
        yield from lines(
            request, f"Jacobian of {q.key} in {t.name}", left, found, _told(request, [proof], more), names_
        )


def _of_jacobian(q: Asked, j: Columns, t: Tensor) -> Iterator[Proof | None]:
    yield from verified.entries(Claim(q.raw, q.key, j.program, "jacobian"), (t,))
    yield verified.at_kinks(q.raw, q.key, j, t)


@guarded
def hvp(request: Request) -> Iterator[dict]:
    """`--hvp`: the Hessian times v, without the Hessian."""
    a = request.analysis
    for t in (t for t in a.model.over if t.name in request.chosen):
        _, program, (v,) = hessian_times(a.derivative, (t,))
        program, v = _called(prune(program, f"d_{t.name}"), v, "v")
        h, key = hessian(a.derivative, t, t), f"d_{t.name}"
        by_step = check_jacobian(a.derivative, key, h.program, t, "hessian")
        proof = _product(program, key, v, h.program, "hessian", leading=False)
        before, whole = Claim(a.derivative, key, program, key), Claim(a.raw, "loss", program, key)
        told = _told(request, [proof], verified.along(before, whole, t, v, by_entry=True), [by_step])
        yield from _row(
            request,
            f"Hessian in {t.name} times v",
            (rf"\nabla^2_{{{names.latex(t.name)}}} \ell\; v", f"∇²_{t.name} v"),
            program,
            key,
            told,
        )


@guarded
def jvp(request: Request) -> Iterator[dict]:
    """`--jvp NAME`: J v."""
    q = quantity(request)
    for t in q.wrt:
        program, (v,) = tangent(q.forward, (q.key,), (t,))
        program, v = _called(program, v, "v")
        j, key = jacobian(q.forward, q.key, t), f"t_{q.key}"
        by_step = check_jacobian(q.forward, q.key, j.program, t)
        proof, c = _product(program, key, v, j.program, "jacobian", leading=False), Claim(q.raw, q.key, program, key)
        at_kinks = (verified.at_kinks(q.raw, q.key, j, t) for _ in "J")
        told = _told(request, [proof], (*verified.along(c, c, t, v), *at_kinks) if request.verify else (), [by_step])
        yield from _row(request, f"Jacobian of {q.key} in {t.name} times v", ("J v", "J v"), program, key, told)


@guarded
def vjp(request: Request) -> Iterator[dict]:
    """`--vjp NAME`: J' u."""
    q = quantity(request)
    for t in q.wrt:
        program, u = transposed_times(q.forward, q.key, (t,))
        program, u = _called(program, u, "u")
        j, key = jacobian(q.forward, q.key, t), f"d_{t.name}"
        by_step = check_jacobian(q.forward, q.key, j.program, t)
        proof = _product(program, key, u, j.program, "jacobian", leading=True)
        more = _of_transposed(q, program, j, t, u)
        yield from _row(
            request,
            f"Jacobian of {q.key} in {t.name}, transposed, times u",
            (r"J^{\top} u", "Jᵀu"),
            program,
            key,
            _told(request, [proof], more, [by_step]),
        )


def _of_transposed(q: Asked, program: Program, j: Columns, t: Tensor, u: Tensor) -> Iterator[Proof | None]:
    yield from verified.pulled(Claim(q.raw, q.key, program, f"d_{t.name}"), t, u)
    yield verified.at_kinks(q.raw, q.key, j, t)


@guarded
def directional(request: Request) -> Iterator[dict]:
    """`--directional`: the derivative of the objective along v."""
    a = request.analysis
    for term in _along(request, 1):
        t = term.wrt
        at_kinks = (check_kinks(a.raw, a.derivative, "loss", t) for _ in "v")
        more = (p for part in (_of_term(a, term, term.program), at_kinks) for p in part)
        told = _told(request, [term.proof], more)
        yield from _row(request, f"derivative along v in {t.name}", _along_v(t), term.program, "slope", told)


@guarded
def taylor(request: Request) -> Iterator[dict]:
    """`--taylor N`: the terms 1/k! D^k f(x) [v, ..., v] of f(x + v)."""
    n = _whole(request.argument, 1, MOST_ORDER)
    a = request.analysis
    f = formula(a.forward, a.forward.outputs["loss"], sample)
    proof = str(verified.printed(f)) if request.verify else ""
    yield equation("term of order 0", ("T_0", "T₀"), (f.latex, f.text), proof, f.where)
    for term in _along(request, n):
        t, k, program = term.wrt, term.order, term.program
        s = program.outputs["slope"]
        scaled = Tensor("term")
        body = Access(s, ()) / sympy.factorial(k)
        whole = replace(program, statements=(*program.statements, Statement(scaled, (), "=", "none", (), body)))
        whole = simplify(replace(whole, outputs={"slope": scaled}))
        told = _told(request, [term.proof], _of_term(a, term, whole))
        left = (f"T_{{{k}}}", f"T{str(k).translate(SUBSCRIPT)}")
        yield from _row(request, f"term of order {k} in {t.name}", left, whole, "slope", told)


@guarded
def divergence(request: Request) -> Iterator[dict]:
    """`--divergence NAME`: the trace of the Jacobian of a field of the shape of its argument."""
    q = quantity(request)
    for t in q.wrt:
        j = jacobian(q.forward, q.key, t)
        y = q.forward.outputs[q.key]
        if y.shape != t.shape:
            raise SpecError(
                f"'{q.key}' has the shape [{', '.join(map(str, y.shape))}], '{t.name}' [{', '.join(map(str, t.shape))}]: "
                "a divergence is of a field of the shape of its argument"
            )
        proof = check_jacobian(q.forward, q.key, j.program, t)
        k, out, d = fresh_indices(t.shape), Tensor("divergence"), j.program.outputs["jacobian"]
        s = Statement(out, (), "=", "sum" if k else "none", k, Access(d, (*k, *k)))
        program = simplify(replace(j.program, statements=(*j.program.statements, s), outputs={"divergence": out}))
        more = verified.trace(Claim(q.raw, q.key, program, "divergence"), t)
        left = (rf"\nabla \cdot {names.latex(q.key)}", f"∇·{q.key}")
        told = _told(request, [proof], more)
        yield from _row(request, f"divergence of {q.key}", left, program, "divergence", told)


# what is differentiated


def _symmetric(a: Analysis) -> Analysis:
    """The analysis with what is symmetric marked as such."""
    marked = with_symmetries(a.program)
    if marked is a.program or "loss" not in marked.outputs:
        return a
    return differentiate(a.model, marked)


def _as_written(a: Analysis) -> Analysis:
    """The analysis without the scaling of recurrences: code needs it, and a formula of second order is twice as long with it."""
    if scale_recurrences(a.raw) is a.raw:
        return a
    forward = simplify(stabilise(a.raw, scaled=False))
    return replace(a, forward=forward, derivative=simplify(gradient(forward, "loss", a.model.over)))


def quantity(request: Request) -> Asked:
    """The quantity of the page that the argument names; an expression is its own."""
    a = request.analysis
    if request.is_expression:
        key = "value" if "value" in a.forward.outputs else "loss"
        program = a.forward if key == "value" else a.raw
        raw, forward = (replace(p, outputs={"f": p.outputs[key]}) for p in (a.raw, program))
        return Asked(request, raw, forward, "f")
    known = {t.name: t for t in a.program.tensors() if t.kind == "definition"}
    if request.argument not in known:
        raise SpecError(
            f"'{request.argument}' is not defined on this page" if request.argument else "name a quantity of the page",
            fix=nearest(request.argument, known)
            or (f"its definitions are {', '.join(known)}" if known else "define it: q = ..."),
        )
    whole = replace(a.program, outputs={request.argument: known[request.argument]})
    raw = prune(whole, request.argument)
    return Asked(request, raw, simplify(stabilise(raw, scaled=False)), request.argument)


def _whole(text: str, low: int, high: int) -> int:
    if not text.isdigit() or not low <= int(text) <= high:
        raise SpecError(f"'{text}' is no order from {low} to {high}")
    return int(text)


@dataclass(frozen=True)
class Term:
    """`program` has D^k f [v, ..., v] as its output `slope`; it is the derivative along v of `key` of `before`."""

    wrt: Tensor
    v: Tensor
    order: int
    before: Program
    key: str
    program: Program
    proof: Proof


def _of_term(a: Analysis, term: Term, scaled: Program) -> Iterator[Proof]:
    """What a Taylor term (`scaled`) and the derivative along v that it is made of are compared with besides."""
    before, whole = (Claim(p, key, term.program, "slope") for p, key in ((term.before, term.key), (a.raw, "loss")))
    yield from verified.terms(before, whole, Claim(a.raw, "loss", scaled, "slope"), term.wrt, term.v, term.order)


def _along(request: Request, n: int) -> Iterator[Term]:
    """D^k f [v, ..., v] of each parameter, for k = 1..n, each checked by the one before it."""
    a = request.analysis
    for t in (t for t in a.model.over if t.name in request.chosen):
        program, (v,) = slope_along(a.derivative, (t,))
        program, v = _called(simplify(program), v, "v")
        before = None
        for k in range(1, n + 1):
            if before is not None:
                derivative = simplify(gradient(before, "slope", (t,)))
                k_loop, out = fresh_indices(t.shape), Tensor("slope")
                d = derivative.outputs[f"d_{t.name}"]
                body = Access(d, k_loop) * Access(v, k_loop)
                s = Statement(out, (), "=", "sum" if k_loop else "none", k_loop, body)
                inputs = tuple(dict.fromkeys((*derivative.inputs, v)))
                program = Program(inputs, (*derivative.statements, s), {"slope": out}, derivative.requires)
                program = simplify(prune(program, "slope"))
            proof = (
                check_gradient(a.raw, a.derivative, "loss", t)
                if before is None
                else check_gradient(before, derivative, "slope", t)
            )
            verified.told([proof])
            yield Term(t, v, k, before or a.raw, "slope" if before else "loss", program, proof)
            before = program


# proofs


def _told(
    request: Request, proofs: Iterable[Proof], more: Iterable[Proof | None], unshown: Iterable[Proof] = ()
) -> str:
    """The proofs that always stand beside a formula, and with --verify all others; `unshown` ones have to hold as well."""
    first, rest = list(proofs), list(unshown)
    verified.told(rest)
    return verified.told((*rest, *first, *more) if request.verify else first)


def _product(program: Program, key: str, v: Tensor, matrix: Program, matrix_key: str, leading: bool) -> Proof:
    """The product as derived against the checked matrix times the same vector."""
    rng, worst = np.random.default_rng(5), 0.0
    for _ in range(2):
        values, dims = sample(replace(program, inputs=tuple(dict.fromkeys((*program.inputs, *matrix.inputs)))), rng)
        shown = evaluate(program, {t: values[t] for t in program.inputs}, dims)[program.outputs[key]]
        m = evaluate(matrix, {t: values[t] for t in matrix.inputs}, dims)[matrix.outputs[matrix_key]]
        x = np.asarray(values[v]) if v in values else np.zeros(())
        truth = np.tensordot(x, m, x.ndim) if leading else np.tensordot(m, x, x.ndim)
        worst = max(worst, relative(shown, truth))
    return Proof("the matrix times it", worst, BOUND, 2)


# rows


def _called(program: Program, v: Tensor, wish: str) -> tuple[Program, Tensor]:
    """The program with its direction under a short name, where that is free."""
    if any(t.name == wish for t in program.tensors()):
        return program, v
    new = replace(v, name=wish)
    table = {v: new}
    inputs = tuple(table.get(t, t) for t in program.inputs)
    return replace(program.mapped(lambda s: read_instead(s, table)), inputs=inputs), new


def _row(request: Request, section: str, left: Both, program: Program, key: str, proof: str) -> list[dict]:
    found = formula(program, program.outputs[key], sample)
    if found.form == "matrix":
        proof = f"{proof}; {verified.printed(found)}" if request.verify else proof
        return [equation(section, left, (found.latex, found.text), proof, found.where)]
    return rows(section, shown(program, key, naming(program), written(left), "index"), proof)


def lines(request: Request, section: str, left: Left, block: Columns, told: str, names_: Naming) -> list[dict]:
    """A Jacobian or a block of a Hessian: in matrix form, by what it stores, or term by term."""
    if block.diagonal and block.rank == 2 and request.form == "matrix" and block.stored in block.program.tensors():
        f = formula(block.program, block.stored, sample)
        if f.form == "matrix":
            latex = rf"\operatorname{{diag}}\left(\operatorname{{vec}}\left({f.latex}\right)\right)"
            told = f"{told}; {verified.printed(f)}" if request.verify else told
            return [equation(section, left.whole, (latex, f"diag(vec({f.text}))"), told, f.where)]
    (key,) = block.program.outputs
    return rows(section, shown(block.program, key, names_, left, request.form), told)


def _along_v(t: Tensor) -> Both:
    x = names.latex(t.name)
    return rf"\left\langle \frac{{\partial \ell}}{{\partial {x}}}, v \right\rangle", f"⟨∂/∂{names.unicode(t.name)}, v⟩"

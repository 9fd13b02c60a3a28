"""Jacobians, Hessians and higher derivatives, products with them, divergence and Taylor terms, as formulas.

    --order 2        each block d^2 f / da db; --order N the N-th derivative, axis by axis
    --jacobian p     d p_i / d w_j of a quantity of the page, or of an expression that is no number
    --hvp            H v;  --jvp p   J v;   --vjp p   J' u;   --directional   <grad f, v>;   --divergence F   tr(J)
    --taylor N       the terms of f(x + v) up to the N-th order in v

A block whose axes are tied is shown by what it stores: I (x) A, diag(a), each compared with the complex step before that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import sympy

from symml import names
from symml.calculus.columns import Columns, shared
from symml.calculus.reverse import gradient
from symml.calculus.second import hessian, hessian_times, jacobian, slope_along, times, transposed_times
from symml.derivations.request import Request
from symml.derivations.sections import equation
from symml.errors import NumericError, SpecError
from symml.ir.evaluate import evaluate
from symml.ir.program import Access, Program, Statement, Tensor, fresh_indices, read_instead
from symml.latex import index_form
from symml.latex.derivation import Formula, formula
from symml.proof.complex_step import BOUND, Proof, check_gradient, check_jacobian, relative
from symml.proof.samples import sample
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise
from symml.syntax.words import nearest

MOST_ORDER = 8
SUPERSCRIPT, SUBSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"), str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
Both = tuple[str, str]  # LaTeX, text


@dataclass(frozen=True)
class Asked:
    """What a Request is about: `forward` with the output `key`, which is the loss or a quantity of the page."""

    request: Request
    forward: Program
    key: str

    @property
    def wrt(self) -> tuple[Tensor, ...]:
        return tuple(t for t in self.request.analysis.model.over if t.name in self.request.chosen)


def _guarded(make: Callable[[Request], Iterator[dict]]) -> Callable[[Request], list[dict]]:
    """A product that evaluates at random inputs, where what is not finite is reported, not warned of."""

    def call(request: Request) -> list[dict]:
        with np.errstate(all="ignore"):
            return list(make(request))

    call.__doc__ = make.__doc__
    return call


@_guarded
def order(request: Request) -> Iterator[dict]:
    """`--order N`."""
    n = _whole(request.argument, 1, MOST_ORDER)
    a = request.analysis
    chosen = [t for t in a.model.over if t.name in request.chosen]
    if n == 1:
        raise SpecError("the first derivative is what symml derive prints", fix="--order 2")
    for p, one in enumerate(chosen):
        for other in chosen[p:]:
            block = hessian(a.derivative, one, other)
            proof = check_jacobian(a.derivative, f"d_{one.name}", block.program, other, "hessian")
            if n == 2:
                yield _block(f"Hessian in {one.name}, {other.name}", _second(one, other), block, proof)
            elif one is other:
                yield _higher(block, one, n)


def _higher(block: Columns, t: Tensor, n: int) -> dict:
    """The n-th derivative by one parameter, from the Jacobians of Jacobians."""
    found, key = block, "hessian"
    for _ in range(n - 2):
        before, before_key = found.program, key
        found, key = jacobian(before, before_key, t), "jacobian"
    proof = check_jacobian(before, before_key, found.program, t, key)
    return _block(f"derivative of order {n} in {t.name}", _power_of(t, n), found, proof)


@_guarded
def jacobians(request: Request) -> Iterator[dict]:
    """`--jacobian NAME`."""
    q = _quantity(request)
    for t in q.wrt:
        found = jacobian(q.forward, q.key, t)
        proof = check_jacobian(q.forward, q.key, found.program, t)
        yield _block(f"Jacobian of {q.key} in {t.name}", _first(q.key, t), found, proof)


@_guarded
def hvp(request: Request) -> Iterator[dict]:
    """`--hvp`: the Hessian times v, without the Hessian."""
    a = request.analysis
    for t in (t for t in a.model.over if t.name in request.chosen):
        _, program, (v,) = hessian_times(a.derivative, (t,))
        program, v = _called(prune(program, f"d_{t.name}"), v, "v")
        h = hessian(a.derivative, t, t)
        _checked(check_jacobian(a.derivative, f"d_{t.name}", h.program, t, "hessian"))
        proof = _product(program, f"d_{t.name}", v, h.program, "hessian", leading=False)
        yield _row(
            f"Hessian in {t.name} times v",
            (rf"\nabla^2_{{{names.latex(t.name)}}} \ell\; v", f"∇²_{t.name} v"),
            program,
            f"d_{t.name}",
            proof,
        )


@_guarded
def jvp(request: Request) -> Iterator[dict]:
    """`--jvp NAME`: J v."""
    q = _quantity(request)
    for t in q.wrt:
        program, (v,) = times(q.forward, q.key, (t,))
        program, v = _called(program, v, "v")
        j = jacobian(q.forward, q.key, t)
        _checked(check_jacobian(q.forward, q.key, j.program, t))
        proof = _product(program, "jvp", v, j.program, "jacobian", leading=False)
        yield _row(f"Jacobian of {q.key} in {t.name} times v", ("J v", "J v"), program, "jvp", proof)


@_guarded
def vjp(request: Request) -> Iterator[dict]:
    """`--vjp NAME`: J' u."""
    q = _quantity(request)
    for t in q.wrt:
        program, u = transposed_times(q.forward, q.key, (t,))
        program, u = _called(program, u, "u")
        j = jacobian(q.forward, q.key, t)
        _checked(check_jacobian(q.forward, q.key, j.program, t))
        proof = _product(program, f"d_{t.name}", u, j.program, "jacobian", leading=True)
        yield _row(
            f"Jacobian of {q.key} in {t.name}, transposed, times u",
            (r"J^{\top} u", "Jᵀu"),
            program,
            f"d_{t.name}",
            proof,
        )


@_guarded
def directional(request: Request) -> Iterator[dict]:
    """`--directional`: the derivative of the objective along v."""
    for t, _, program, proof in _along(request, 1):
        yield _row(f"derivative along v in {t.name}", _along_v(t), program, "slope", proof)


@_guarded
def taylor(request: Request) -> Iterator[dict]:
    """`--taylor N`: the terms 1/k! D^k f(x) [v, ..., v] of f(x + v)."""
    n = _whole(request.argument, 1, MOST_ORDER)
    a = request.analysis
    f = formula(a.forward, a.forward.outputs["loss"], sample)
    yield equation("term of order 0", ("T_0", "T₀"), (f.latex, f.text), "", f.where)
    for t, k, program, proof in _along(request, n):
        s = program.outputs["slope"]
        scaled = Tensor("term")
        body = Access(s, ()) / sympy.factorial(k)
        whole = replace(program, statements=(*program.statements, Statement(scaled, (), "=", "none", (), body)))
        whole = simplify(replace(whole, outputs={"slope": scaled}))
        yield _row(
            f"term of order {k} in {t.name}", (f"T_{{{k}}}", f"T{str(k).translate(SUBSCRIPT)}"), whole, "slope", proof
        )


@_guarded
def divergence(request: Request) -> Iterator[dict]:
    """`--divergence NAME`: the trace of the Jacobian of a field of the shape of its argument."""
    q = _quantity(request)
    for t in q.wrt:
        j = jacobian(q.forward, q.key, t)
        y = q.forward.outputs[q.key]
        if y.shape != t.shape:
            raise SpecError(
                f"'{q.key}' has the shape [{', '.join(map(str, y.shape))}], '{t.name}' [{', '.join(map(str, t.shape))}]: "
                "a divergence is of a field of the shape of its argument"
            )
        proof = _checked(check_jacobian(q.forward, q.key, j.program, t))
        k, out, d = fresh_indices(t.shape), Tensor("divergence"), j.program.outputs["jacobian"]
        s = Statement(out, (), "=", "sum" if k else "none", k, Access(d, (*k, *k)))
        program = simplify(replace(j.program, statements=(*j.program.statements, s), outputs={"divergence": out}))
        yield _row(
            f"divergence of {q.key}",
            (rf"\nabla \cdot {names.latex(q.key)}", f"∇·{q.key}"),
            program,
            "divergence",
            proof,
        )


# what is differentiated


def _quantity(request: Request) -> Asked:
    """The quantity of the page that the argument names; an expression is its own."""
    a = request.analysis
    if request.is_expression:
        key = "value" if "value" in a.forward.outputs else "loss"
        program = a.forward if key == "value" else a.raw
        return Asked(request, replace(program, outputs={"f": program.outputs[key]}), "f")
    known = {t.name: t for t in a.program.tensors() if t.kind == "definition"}
    if request.argument not in known:
        raise SpecError(
            f"'{request.argument}' is not defined on this page" if request.argument else "name a quantity of the page",
            fix=nearest(request.argument, known) or f"its definitions are {', '.join(known) or 'none'}",
        )
    whole = replace(a.program, outputs={request.argument: known[request.argument]})
    return Asked(request, simplify(stabilise(prune(whole, request.argument))), request.argument)


def _whole(text: str, low: int, high: int) -> int:
    if not text.isdigit() or not low <= int(text) <= high:
        raise SpecError(f"'{text}' is no order from {low} to {high}")
    return int(text)


def _along(request: Request, n: int) -> Iterator[tuple[Tensor, int, Program, str]]:
    """D^k f [v, ..., v] of each parameter as the output `slope`, for k = 1..n, each checked by the one before it."""
    a = request.analysis
    for t in (t for t in a.model.over if t.name in request.chosen):
        program, (v,) = slope_along(a.derivative, (t,))
        program, v = _called(simplify(program), v, "v")
        before = None
        for k in range(1, n + 1):
            if before is not None:
                derivative = simplify(gradient(before, "slope", (t,)))
                _checked(check_gradient(before, derivative, "slope", t))
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
            yield t, k, program, _checked(proof)
            before = program


# proofs


def _checked(proof: Proof) -> str:
    if not proof.ok:
        raise NumericError(f"a derived formula is wrong or not finite at random inputs: {proof}")
    return str(proof)


def _product(program: Program, key: str, v: Tensor, matrix: Program, matrix_key: str, leading: bool) -> str:
    """The product as derived against the checked matrix times the same vector."""
    rng, worst = np.random.default_rng(5), 0.0
    for _ in range(2):
        values, dims = sample(replace(program, inputs=tuple(dict.fromkeys((*program.inputs, *matrix.inputs)))), rng)
        shown = evaluate(program, {t: values[t] for t in program.inputs}, dims)[program.outputs[key]]
        m = evaluate(matrix, {t: values[t] for t in matrix.inputs}, dims)[matrix.outputs[matrix_key]]
        x = np.asarray(values[v]) if v in values else np.zeros(())
        truth = np.tensordot(x, m, x.ndim) if leading else np.tensordot(m, x, x.ndim)
        worst = max(worst, relative(shown, truth))
    return _checked(Proof("the matrix times it", worst, BOUND, 2))


# rows


def _called(program: Program, v: Tensor, wish: str) -> tuple[Program, Tensor]:
    """The program with its direction under a short name, where that is free."""
    if any(t.name == wish for t in program.tensors()):
        return program, v
    new = replace(v, name=wish)
    table = {v: new}
    inputs = tuple(table.get(t, t) for t in program.inputs)
    return replace(program.mapped(lambda s: read_instead(s, table)), inputs=inputs), new


def _row(section: str, left: Both, program: Program, key: str, proof: str) -> dict:
    found = formula(program, program.outputs[key], sample)
    return equation(section, left, (found.latex, found.text), proof, found.where)


def _block(section: str, left: Both, block: Columns, proof: Proof) -> dict:
    """A Jacobian or a Hessian block by what it stores."""
    told = _checked(proof)
    kept = _stored(block) if block.ties else None
    if kept is not None:
        program, t, (latex, text), bracketed = kept
        found = formula(program, t, sample)
        if found.form == "matrix":
            shown = _bracketed(found) if bracketed and found.nodes > 1 else found
            return equation(section, left, (latex.format(shown.latex), text.format(shown.text)), told, found.where)
    found = formula(block.program, block.full, sample)
    if found.form == "matrix":
        return equation(section, left, (found.latex, found.text), told, found.where)
    return _by_entries(section, block, told)


def _bracketed(f: Formula) -> Formula:
    return replace(f, latex=rf"\left({f.latex}\right)", text=f"({f.text})")


def _stored(block: Columns) -> tuple[Program, Tensor, Both, bool] | None:
    """What I (x) A, A (x) I (the rows of a matrix are stacked) or a diagonal is made of: where it is computed, the array,
    how it is written around it, and whether in brackets of its own. None where the axes are tied otherwise."""
    if block.diagonal:
        vec = block.rank == 2
        latex, text = (r"\operatorname{{vec}}\left({0}\right)", "vec({0})") if vec else ("{0}", "{0}")
        return block.program, block.stored, (rf"\operatorname{{{{diag}}}}\left({latex}\right)", f"diag({text})"), False
    found = shared(block)
    if found is None:
        return None
    program, t, axis = found
    return program, t, ((r"I \otimes {0}", "I ⊗ {0}") if axis == 0 else (r"{0} \otimes I", "{0} ⊗ I")), True


def _by_entries(section: str, block: Columns, proof: str) -> dict:
    """Index form, what it needs before it."""
    needed = index_form.needed(block.program, block.full)
    *where, (latex, text) = [x for t in (*needed, block.full) for x in index_form.lines(block.program, t)]
    return equation(section, ("", ""), (latex, text), proof, where)


def _second(a: Tensor, b: Tensor) -> Both:
    x, y = names.latex(a.name), names.latex(b.name)
    if a is b:
        return _power_of(a, 2)
    text = f"∂²/∂{names.unicode(a.name)}∂{names.unicode(b.name)}"
    return rf"\frac{{\partial^2 \ell}}{{\partial {x} \, \partial {y}}}", text


def _power_of(t: Tensor, n: int) -> Both:
    x, raised = names.unicode(t.name), str(n).translate(SUPERSCRIPT)
    return rf"\frac{{\partial^{{{n}}} \ell}}{{\partial {names.latex(t.name)}^{{{n}}}}}", f"∂{raised}/∂{x}{raised}"


def _first(key: str, t: Tensor) -> Both:
    latex = rf"\frac{{\partial {names.latex(key)}}}{{\partial {names.latex(t.name)}}}"
    return latex, f"∂{names.unicode(key)}/∂{names.unicode(t.name)}"


def _along_v(t: Tensor) -> Both:
    x = names.latex(t.name)
    return rf"\left\langle \frac{{\partial \ell}}{{\partial {x}}}, v \right\rangle", f"⟨∂/∂{names.unicode(t.name)}, v⟩"

"""Jacobians and Hessians of every kind of node against the complex step, and what stays compressed in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy

from symml import pipeline
from symml.calculus.second import hessian, jacobian
from symml.calculus.tangent import tangent
from symml.ir.evaluate import evaluate
from symml.ir.program import Program, Statement, flat
from symml.proof.complex_step import check_jacobian
from symml.proof.samples import sample
from symml.source import Source

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PAGES = sorted(p.stem for p in EXAMPLES.glob("*.symml"))


def analysis(name):
    return pipeline.analyse(pipeline.read(EXAMPLES / f"{name}.symml"))


def parsed(text):
    return pipeline.analyse(Source("p", text))


@pytest.mark.parametrize("name", PAGES)
def test_hessians_of_the_examples(name):
    a = analysis(name)
    for one in a.model.over:
        for other in a.model.over:
            proof = check_jacobian(
                a.derivative, f"d_{one.name}", hessian(a.derivative, one, other).program, other, "hessian", draws=1
            )
            assert proof.ok, f"{name} {one.name} {other.name}: {proof}"


def test_a_wrong_hessian_is_seen():
    a = analysis("ridge")
    (w,) = a.model.over
    h = hessian(a.derivative, w, w).program
    wrong = h.mapped(lambda s: s.with_body(s.body * sympy.Rational(1001, 1000)))
    assert not check_jacobian(a.derivative, "d_w", wrong, w, "hessian").ok


def definition(a, name):
    """The forward program with a defined quantity as its output."""
    t = next(t for t in a.program.tensors() if t.name == name)
    return Program(a.program.inputs, a.program.statements, {name: t}, a.program.requires)


@pytest.mark.parametrize(
    ("page", "name", "wrt"),
    [("logistic_regression", "p", "w"), ("rnn", "s", "W"), ("hmm", "pi", "a"), ("gcn", "Z", "W1")],
)
def test_jacobians_of_definitions(page, name, wrt):
    a = analysis(page)
    forward, t = definition(a, name), next(t for t in a.model.over if t.name == wrt)
    found = jacobian(forward, name, t)
    assert check_jacobian(forward, name, found.program, t).ok
    product, along = tangent(forward, (name,), (t,))
    values, dims = sample(product, np.random.default_rng(2))
    j = evaluate(found.program, {k: values.get(k) for k in found.program.inputs}, dims)[
        found.program.outputs["jacobian"]
    ]
    v = values[along[0]]
    np.testing.assert_allclose(
        evaluate(product, values, dims)[product.outputs[f"t_{name}"]], np.tensordot(j, v, v.ndim), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    ("loss", "ties"),
    [
        ("||X - U V'||^2", {0: 0}),  # I (x) 2 V' V
        ("sum[i, k] exp(U[i, k])", {0: 0, 1: 1}),  # a diagonal
        ("||X' U||^2", {1: 1}),  # 2 X X' (x) I
        ("(sum[i, k] U[i, k])^2", {}),
    ],
)
def test_what_is_zero_is_not_stored(loss, ties):
    a = parsed(f"model m\ndims n, d, k\ndata X[n, d], V[d, k]\nparam U[n, k] init 0\nminimize over U  {loss}")
    (u,) = a.model.over
    found = hessian(a.derivative, u, u)
    assert dict(found.ties) == ties
    free = [size for axis, size in enumerate(u.shape) if axis not in ties]
    assert found.stored.shape == (*u.shape, *free)
    largest = max((len(s.out.shape) for s in found.program.statements if isinstance(s, Statement)), default=0)
    assert largest == 4 and check_jacobian(a.derivative, "d_U", found.program, u, "hessian").ok
    inner = [s for s in flat(found.program.statements) if len(s.out.shape) == 4]
    assert not ties or all(len(set(s.lhs)) == 4 - len(ties) for s in inner)  # only the output, along its diagonal


def test_a_third_derivative_is_the_jacobian_of_the_second():
    a = parsed("model m\ndims n, d\ndata X[n, d]\nparam w[d] init 0\nminimize over w  sum[i] exp(X[i]' w)")
    (w,) = a.model.over
    second = hessian(a.derivative, w, w).program
    third = jacobian(second, "hessian", w).program
    assert check_jacobian(second, "hessian", third, w).ok
    values, dims = sample(third, np.random.default_rng(0))
    (x,) = [values[t] for t in third.inputs if t.name == "X"]
    truth = np.einsum("i,ij,ik,il->jkl", np.exp(x @ values[w]), x, x, x)
    np.testing.assert_allclose(evaluate(third, values, dims)[third.outputs["jacobian"]], truth, rtol=1e-12)
    *kept, last = third.statements
    broken = replace(third, statements=(*kept, last.with_body(last.body * 2)))
    assert not check_jacobian(second, "hessian", broken, w).ok

"""`stop(u)`: what it holds has no derivative of any order; the oracle is the page in which data take its place."""

import numpy as np
import pytest

from symml import pipeline
from symml.assemble.plan import plan
from symml.calculus.stopped import released, stopped
from symml.derivations.products import derive
from symml.errors import SymmlError, UnsupportedError
from symml.ir.evaluate import evaluate
from symml.ir.functions import stop
from symml.ir.program import flat
from symml.model.system import system
from symml.proof.samples import sample
from symml.syntax.parse import parse
from tests.check import analysis, check_agree, check_derivative, page

HEAD = "dims n = 4, d = 3\ndata X[n, d], y[n], k[n] in d\nparam w[d], A[d, d]\n"
# a page, and the same with what is held as data: (lines, lines, held: what `c` is)
HELD = [
    ("minimize over w\n  ||y - X stop(w)||^2 + w' stop(w)", "c[d]", "minimize over w\n  ||y - X c||^2 + w' c", "w"),
    ("minimize over w\n  sum[i] exp(w[k[i]] stop(w[k[i]]))", "c[d]", "minimize over w\n  sum[i] exp(w[k[i]] c[k[i]])", "w"),
    ("minimize over w\n  logsumexp[i] X[i]' w stop(w[0])", "c[d]", "minimize over w\n  logsumexp[i] X[i]' w c[0]", "w"),
    ("minimize over w\n  max[j] (w[j]^2 + stop(3 w[j]))", "c[d]", "minimize over w\n  max[j] (w[j]^2 + 3 c[j])", "w"),
    ("minimize over A\n  tr(inv(A A' + stop(A) A'))", "c[d, d]", "minimize over A\n  tr(inv(A A' + c A'))", "A"),
]  # fmt: skip


def declared(name):
    return HEAD + f"data {name}\n" if name else HEAD


def gradient_at(a, values):
    """The gradient of a page at inputs by name."""
    (t,) = a.model.over
    by_name = {u: values[u.name] for u in a.derivative.inputs}
    dims = {d: n for u, v in by_name.items() for d, n in zip(u.shape, v.shape, strict=True)}
    return evaluate(a.derivative, by_name, dims)[a.derivative.outputs[f"d_{t.name}"]]


def inputs(a):
    return {t.name: v for t, v in sample(a.derivative, np.random.default_rng(2))[0].items()}


@pytest.mark.parametrize(("held", "data", "plain", "name"), HELD)
def test_what_is_held_is_data(held, data, plain, name):
    a, b = analysis(HEAD + held), analysis(declared(data) + plain)
    check_derivative(a)
    values = inputs(a)
    told = gradient_at(a, values)
    np.testing.assert_allclose(told, gradient_at(b, {**values, "c": values[name]}), rtol=1e-12, atol=1e-14)
    moved = analysis(HEAD + held.replace("stop(", "1 ("))  # without it the gradient is another
    assert np.max(np.abs(told - gradient_at(moved, values))) > 1e-3


RECURRENCE = """dims T = 5, d = 3
data x[T, d]
param A[d, d]
h[0] = x[0]
h[t] = tanh(A stop(h[t-1]) + x[t])  for t in 1..T-1
minimize over A
  ||h[T-1]||^2
"""


def test_a_recurrence_is_cut():
    """Backpropagation of one step: A meets the last state only."""
    a = analysis(RECURRENCE)
    check_derivative(a)
    values = inputs(a)
    x, A = values["x"], values["A"]
    before, h = None, x[0]
    for row in x[1:]:
        before, h = h, np.tanh(A @ h + row)
    one_step = np.outer(2 * h * (1 - h**2), before)
    np.testing.assert_allclose(gradient_at(a, values), one_step, rtol=1e-12)
    whole = analysis(RECURRENCE.replace("stop(h[t-1])", "h[t-1]"))
    assert np.max(np.abs(gradient_at(whole, values) - one_step)) > 1e-3


def test_an_iteration_is_cut():
    moves = "iterate x <- stop(w)/2 + sin(w)/4 .* x from 0 w until |change| < 1e-12"
    a = analysis(f"dims d = 2\nparam w[d]\n{moves}\nminimize over w\n  ||x||^2\n")
    check_derivative(a)
    (held,) = [s for s in flat(a.forward.statements) if s.body.has(stop)]
    assert stopped(a.forward, a.model.over) is held
    assert stopped(released(a.forward), a.model.over) is None


def test_second_order_products_hold_it_too():
    source = page("dims n\ndata x[n]\nparam w\nminimize over w\n  sum[i] w^3 stop(exp(w x[i]))\n")
    texts = [
        derive(source, False, None, "matrix", {}, False, p, n)[-1]["text"] for p, n in (("order", "2"), ("hvp", ""))
    ]
    assert texts == ["∂²/∂w² = 6w 1ᵀstop(exp(wx))", "∇²_w v = 6vw 1ᵀstop(exp(wx))"]
    (*_, last) = derive(source, False, None, "matrix", {}, False, "steps")
    assert "stop" in last["text"] and "\\operatorname{stop}" in last["latex"]


SEMI = "dims n\ndata X[n, 2], y[n]\nparam w[2] init 0\nminimize over w\n  1/n sum[i] (X[i]' w - y[i] - 1/2 stop(X[i]' w))^2\n"


@pytest.mark.parametrize(
    "method", ["", "train with lbfgs\n", "train with levenberg_marquardt\n", "train with closed_form\n"]
)
def test_methods_that_compare_values_are_refused(method):
    with pytest.raises(UnsupportedError) as caught:
        plan(pipeline.analyse(page(SEMI + method)))
    assert caught.value.span.line == 6
    assert "adam" in caught.value.fix


def test_no_closed_form_no_dual_no_certificate():
    source = page(SEMI)
    assert "stop" in derive(source, False, None, "matrix", {}, False, "stationary")[0]["text"]
    assert "stop" in derive(source, False, None, "matrix", {}, False, "dual")[0]["text"]
    assert "not certified" in derive(source, False, None, "matrix", {}, False, "convexity")[0]["text"]
    fixed = page(SEMI.replace("stop(X[i]' w)", "stop(y[i])"))  # what is held is no unknown: an ordinary page
    assert "w = " in derive(fixed, False, None, "matrix", {}, False, "stationary")[-1]["text"]


def test_a_system_has_none():
    with pytest.raises(SymmlError, match="no gradient to stop"):
        system(parse(page("state x = 1\nx <- stop(x)/2\n")))


def test_training_goes_where_the_semigradient_is_zero():
    """X'(X w - 2 y) = 0: the fixed point of temporal differences, not the least point of the objective."""
    rng = np.random.default_rng(0)
    data = {"X": rng.normal(size=(20, 2)), "y": rng.normal(size=20)}
    source = page(SEMI + "train with sgd(lr = 0.3, epochs = 300, batch = 20)\n")
    fit = pipeline.train(source, pipeline.Options(target="reference"), data, 0)
    np.testing.assert_allclose(fit.x, np.linalg.lstsq(data["X"], 2 * data["y"], rcond=None)[0], rtol=1e-8)


@pytest.mark.full
def test_targets_agree():
    rng = np.random.default_rng(0)
    data = {"X": rng.normal(size=(20, 2)), "y": rng.normal(size=20)}
    check_agree(page(SEMI + "train with adam(lr = 0.1, epochs = 5)\n"), data)

"""grad, jacobian and hessian inside a page: values by differences, the derivative through them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from check import analysis, check_agree, check_derivative, check_error, page

from symml.ir.evaluate import evaluate
from symml.proof.samples import sample

HEAD = "dims n, d\ndata X[n, d]\nparam w[d] init normal(0, 1)\n"
VALUE = "f = 1/n sum[i] softplus(X[i]' w) + 1/4 sum[j] w[j]^4\n"


def value_of(body: str, name: str):
    """The value of a definition at random inputs, and the inputs."""
    a = analysis(f"{HEAD}{body}")
    values, dims = sample(a.program, np.random.default_rng(1))
    env = evaluate(a.program, values, dims)
    by_name = {t.name: env[t] for t in a.program.tensors()}
    return by_name[name], by_name["X"], by_name["w"]


def gradient(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return x.T @ (1 / (1 + np.exp(-x @ w))) / len(x) + w**3


def test_values_are_those_of_the_mathematics():
    g, x, w = value_of(f"{VALUE}g = grad(f, w)\nminimize ||g||^2", "g")
    np.testing.assert_allclose(g, gradient(x, w), rtol=1e-12)
    assert not np.allclose(g, gradient(x, 1.001 * w), rtol=1e-6)
    h, x, w = value_of(f"{VALUE}H = hessian(f, w)\nminimize ||H||^2", "H")
    s = 1 / (1 + np.exp(-x @ w))
    np.testing.assert_allclose(h, (x.T * s * (1 - s)) @ x / len(x) + np.diag(3 * w**2), rtol=1e-12, atol=1e-14)
    j, x, w = value_of("p = tanh(X w)\nJ = jacobian(p, w)\nminimize ||J||^2", "J")
    np.testing.assert_allclose(j, (1 - np.tanh(x @ w) ** 2)[:, None] * x, rtol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        f"{VALUE}minimize ||grad(f, w)||^2 + ||w||^2",
        f"{VALUE}minimize tr(hessian(f, w)) + w' hessian(f, w) w",
        "p = softmax(X w)\nminimize ||jacobian(p, w)||^2 + ||w||^2",
        "z = X w\nf = sum[i] exp(z[i]/9)\nminimize ||grad(f, z)||^2",
        "f = det(X' X + w w')\nminimize sum[j] grad(f, w)[j]^2",
    ],
)
def test_the_derivative_passes_through_them(text):
    check_derivative(analysis(f"{HEAD}{text}"))


def test_a_derivative_by_a_definition_holds_it_for_itself():
    a = analysis(f"{HEAD}z = X w\nf = sum[i] z[i]^3\ng = grad(f, z)\nminimize sum[i] g[i]^2")
    values, dims = sample(a.program, np.random.default_rng(2))
    env = {t.name: v for t, v in evaluate(a.program, values, dims).items()}
    np.testing.assert_allclose(env["g"], 3 * env["z"] ** 2, rtol=1e-12)


@pytest.mark.full
def test_targets_agree():
    data = {"X": np.random.default_rng(0).normal(size=(8, 3))}
    check_agree(page(f"{HEAD}{VALUE}minimize ||grad(f, w)||^2 + ||w||^2\ntrain with lbfgs until |grad| < 1e-9"), data)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("minimize grad(w, w)' w", "grad of a column"),
        ("minimize ||grad(w' w)||^2", "by what"),
        ("minimize ||grad(w' w, 2 w)||^2", "by a name"),
    ],
)
def test_what_is_refused(line, words):
    check_error(page(f"{HEAD}{line}"), 5, None, words)

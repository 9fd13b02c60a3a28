"""Both oracles accept the derived gradients and see every seeded fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sympy
from hand_models import FAULTS, MODELS, derived, mutate

from symml.calculus.reverse import gradient
from symml.ir.functions import FUNCTIONS, absolute, less, maximum, relu, sigmoid, softplus
from symml.ir.program import Dim, Index, Program, Statement, Tensor
from symml.proof.complex_step import Proof, check_gradient, chosen_entries, relative
from symml.proof.expansion import check_expansion
from symml.proof.report import prove, summary

ORACLES = (check_gradient, check_expansion)
N, K = Dim("n"), Dim("k")
ROW, J = Index("i", N), Index("j", K)
X, A, V, LOSS = Tensor("x", (N,), "data"), Tensor("a", (), "param"), Tensor("v", (K,), "param"), Tensor("loss")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("oracle", ORACLES)
def test_right_gradients_pass(oracle, name):
    forward, derivative, wrt = derived(name)
    proof = oracle(forward, derivative, "loss", wrt)
    assert proof.ok and proof.error < 1e-13 and proof.points >= 3, proof


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("oracle", ORACLES)
def test_seeded_faults_are_seen(oracle, name, fault):
    forward, derivative, wrt = derived(name)
    proof = oracle(forward, mutate(derivative, forward, fault), "loss", wrt)
    assert not proof.ok and proof.error > 1e-4, f"{fault.__name__} is not seen: {proof}"
    assert "DISAGREES" in str(proof)


def scalar(body: sympy.Expr, guard: sympy.Expr | None = None) -> Program:
    """sum[i where guard] body, over data x and a parameter a."""
    return Program((X, A), (Statement(LOSS, (), "=", "sum", (ROW,), body, guard),), {"loss": LOSS})


ONE_ARGUMENT = [
    name
    for name, row in FUNCTIONS.items()
    if name not in ("max", "min", "less", "less_equal", "equal", "select", "polygamma", "lost")
]


@pytest.mark.parametrize("name", ONE_ARGUMENT)
@pytest.mark.parametrize("oracle", ORACLES)
def test_every_function_of_the_table(oracle, name):
    forward = scalar(FUNCTIONS[name].symbol(A[()] * X[ROW]) * A[()])
    assert oracle(forward, gradient(forward, "loss", (A,)), "loss", A).ok


@pytest.mark.parametrize("name", ["max", "min", "less", "less_equal", "equal"])
@pytest.mark.parametrize("oracle", ORACLES)
def test_every_function_of_two_arguments(oracle, name):
    forward = scalar(FUNCTIONS[name].symbol(A[()] * X[ROW], 1 - A[()]) * A[()] ** 2)
    assert oracle(forward, gradient(forward, "loss", (A,)), "loss", A).ok


@pytest.mark.parametrize("reduce", ["sum", "prod", "max", "min", "logsumexp"])
@pytest.mark.parametrize("oracle", ORACLES)
def test_every_reduction(oracle, reduce):
    m = Tensor("m", (N,))
    statements = (
        Statement(m, (ROW,), "=", reduce, (ROW, J), (X[ROW] - V[J]) ** 2),
        Statement(LOSS, (), "=", "sum", (ROW,), m[ROW]),
    )
    forward = Program((X, V), statements, {"loss": LOSS})
    derivative = gradient(forward, "loss", (V,))
    assert oracle(forward, derivative, "loss", V).ok
    wrong = Program((X, V), (replace(statements[0], body=(X[ROW] + V[J]) ** 2), statements[1]), {"loss": LOSS})
    assert not oracle(wrong, derivative, "loss", V).ok


@pytest.mark.parametrize("oracle", ORACLES)
def test_what_a_guard_leaves_out_may_be_infinite_or_complex(oracle):
    forward = scalar(relu(sympy.log(X[ROW])) * A[()] ** 2, less(0, X[ROW]))
    derivative = gradient(forward, "loss", (A,))
    assert oracle(forward, derivative, "loss", A).ok
    without = replace(derivative, statements=tuple(replace(s, guard=None) for s in derivative.statements))
    assert oracle(scalar(A[()] ** 2, less(0, X[ROW])), without, "loss", A).ok is False


@pytest.mark.parametrize("oracle", ORACLES)
def test_indices_and_dims_in_bodies(oracle):
    forward = scalar((ROW + 1) * A[()] ** 2 * X[ROW] / (ROW + 2) / N)
    assert oracle(forward, gradient(forward, "loss", (A,)), "loss", A).ok


@pytest.mark.parametrize("oracle", ORACLES)
def test_a_gradient_that_is_not_finite_is_no_proof(oracle):
    forward = scalar(A[()] * X[ROW])
    derivative = gradient(forward, "loss", (A,))
    s = derivative.statements[-1]
    broken = replace(derivative, statements=(*derivative.statements[:-1], replace(s, body=s.body * sympy.exp(10**6))))
    assert not oracle(forward, broken, "loss", A).ok


def test_a_piece_of_kinks_agrees_with_plain_sympy():
    body = absolute(A[()] - X[ROW]) + maximum(A[()] * X[ROW], X[ROW]) + softplus(A[()]) * sigmoid(-A[()])
    forward = scalar(body)
    proofs = prove(forward, gradient(forward, "loss", (A,)), "loss", A)
    assert len(proofs) == 2 and all(p.ok for p in proofs)
    assert summary(proofs).startswith("complex step agrees ") and "; expansion by sympy agrees " in summary(proofs)


def test_proofs_are_repeatable():
    forward, derivative, wrt = derived("softmax")
    assert prove(forward, derivative, "loss", wrt) == prove(forward, derivative, "loss", wrt)


def test_a_proof_of_nothing_is_none():
    assert not Proof("complex step", 0.0, 1e-9, 0).ok
    assert str(Proof("complex step", 3.2e-15, 1e-9, 6)) == "complex step agrees to 3e-15"
    assert str(Proof("complex step", 0.0, 1e-9, 6)) == "complex step agrees exactly"
    assert "DISAGREES by 2.0e-03" in str(Proof("complex step", 2e-3, 1e-9, 6))


def test_relative_error():
    assert relative(np.array([1.0, 1e-3]), np.array([1.0, 2e-3])) == pytest.approx(1e-3)
    assert relative(np.array([100.0]), np.array([101.0])) == pytest.approx(1 / 101)
    assert relative(np.nan, 1.0) == relative(1.0, np.inf) == np.inf


def test_many_entries_are_thinned():
    rng = np.random.default_rng(0)
    chosen = chosen_entries((20, 20), rng, 64)
    assert len(chosen) == len(set(chosen)) == 64 and chosen == sorted(chosen)
    assert chosen_entries((), rng, 64) == [()] and len(chosen_entries((3, 2), rng, 64)) == 6


@pytest.mark.parametrize("factor", [1e-10, 1e10])
def test_the_size_of_a_loss_hides_nothing(factor):
    """A wrong sign is seen in a loss of any scale; the right gradient passes."""
    from dataclasses import replace

    from check import analysis

    a = analysis(
        f"dims n, d\ndata X[n, d], y[n] in {{0, 1}}\nparam w[d]\nz = X w\nminimize {factor:g} sum[i] (softplus(z[i]) - y[i] z[i])"
    )
    (w,) = a.model.over
    assert check_gradient(a.raw, a.derivative, "loss", w).ok
    last = a.derivative.statements[-1]
    wrong = replace(a.derivative, statements=(*a.derivative.statements[:-1], replace(last, body=-last.body)))
    assert not check_gradient(a.raw, wrong, "loss", w).ok

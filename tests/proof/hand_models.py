"""Two models by hand, a logistic and a softmax regression, and faults that are seeded into their gradients.

The weights of the softmax are square and the penalty of the logistic is w'Aw, so that a swapped index stays in range:
the fault is silent, and only an oracle can see it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import sympy

from symml.calculus.reverse import gradient
from symml.ir import check
from symml.ir.functions import sigmoid
from symml.ir.program import Access, Dim, Domain, Index, Program, Statement, Tensor, accesses, substitute


def logistic() -> tuple[Program, Tensor]:
    """-1/n sum (y log p + (1 - y) log(1 - p)) + 1/2 w'Aw with p = sigmoid(X w)."""
    n, d = Dim("n"), Dim("d")
    i, j, k = Index("i", n), Index("j", d), Index("k", d)
    X, A = Tensor("X", (n, d), "data"), Tensor("A", (d, d), "data")
    y, w = Tensor("y", (n,), "data", Domain("set", values=(0, 1))), Tensor("w", (d,), "param")
    z, p, fit, penalty, loss = Tensor("z", (n,)), Tensor("p", (n,)), Tensor("fit"), Tensor("penalty"), Tensor("loss")
    statements = (
        Statement(z, (i,), "=", "sum", (i, j), X[i, j] * w[j]),
        Statement(p, (i,), "=", "none", (i,), sigmoid(z[i])),
        Statement(fit, (), "=", "sum", (i,), -(y[i] * sympy.log(p[i]) + (1 - y[i]) * sympy.log(1 - p[i])) / n),
        Statement(penalty, (), "=", "sum", (j, k), A[j, k] * w[j] * w[k] / 2),
        Statement(loss, (), "=", "none", (), fit[()] + penalty[()]),
    )
    return Program((X, A, y, w), statements, {"loss": loss}), w


def softmax() -> tuple[Program, Tensor]:
    """1/n sum (logsumexp Z_i - Z_i,y_i) + 1/2 ||W||^2 with Z = X W and W square."""
    n, d = Dim("n"), Dim("d")
    i, j, k = Index("i", n), Index("j", d), Index("k", d)
    X, W = Tensor("X", (n, d), "data"), Tensor("W", (d, d), "param")
    y = Tensor("y", (n,), "data", Domain("label", size=d))
    Z, L, fit, penalty, loss = Tensor("Z", (n, d)), Tensor("L", (n,)), Tensor("fit"), Tensor("penalty"), Tensor("loss")
    statements = (
        Statement(Z, (i, k), "=", "sum", (i, j, k), X[i, j] * W[j, k]),
        Statement(L, (i,), "=", "logsumexp", (i, k), Z[i, k]),
        Statement(fit, (), "=", "sum", (i,), (L[i] - Z[i, y[i]]) / n),
        Statement(penalty, (), "=", "sum", (j, k), W[j, k] ** 2 / 2),
        Statement(loss, (), "=", "none", (), fit[()] + penalty[()]),
    )
    return Program((X, y, W), statements, {"loss": loss}), W


MODELS = {"logistic": logistic, "softmax": softmax}


def derived(name: str) -> tuple[Program, Program, Tensor]:
    """Forward program, derivative program, parameter."""
    forward, wrt = MODELS[name]()
    derivative = gradient(forward, "loss", (wrt,))
    check.check(derivative)
    return forward, derivative, wrt


Change = Callable[[Statement], Statement | None]


def mutate(derivative: Program, forward: Program, change: Change) -> Program:
    """The derivative with the first statement of the reverse pass changed that `change` applies to."""
    statements = list(derivative.statements)
    for at in range(len(forward.statements), len(statements)):
        changed = change(statements[at])
        if changed is not None and changed != statements[at]:
            return replace(derivative, statements=(*statements[:at], changed, *statements[at + 1 :]))
    raise AssertionError("the fault applies nowhere")


def wrong_sign(s: Statement) -> Statement | None:
    return replace(s, body=-s.body) if s.reduced else None


def missing_mean(s: Statement) -> Statement | None:
    """1/n becomes 1."""
    inverse = [e for e in s.body.atoms(sympy.Pow) if isinstance(e.base, Dim) and e.exp == -1]
    return replace(s, body=s.body.xreplace({inverse[0]: sympy.Integer(1)})) if inverse else None


def transposed(s: Statement) -> Statement | None:
    """T[j, k] becomes T[k, j] in one access of a square tensor."""
    for a in accesses(s.body):
        if len(a.idx) == 2 and len(set(a.tensor.shape)) == 1 and a.tensor.kind != "temp":
            return replace(s, body=substitute(s.body, {a: Access(a.tensor, a.idx[::-1])}))
    return None


def dropped_contribution(s: Statement) -> Statement | None:
    """A `+=` that adds nothing."""
    return replace(s, body=sympy.Integer(0) * s.body) if s.mode == "+=" else None


def squared_activation(s: Statement) -> Statement | None:
    """s(1 - s) becomes s^2 (logistic), the softmax weight its square."""

    def swap(u: sympy.Expr) -> sympy.Expr:
        return sigmoid(-u if u.could_extract_minus_sign() else u)

    if s.body.has(sigmoid):
        return replace(s, body=s.body.replace(sigmoid, swap))
    weights = sorted(s.body.atoms(sympy.exp), key=str)
    return replace(s, body=s.body.xreplace({weights[0]: weights[0] ** 2})) if weights else None


FAULTS = (wrong_sign, missing_mean, transposed, dropped_contribution, squared_activation)

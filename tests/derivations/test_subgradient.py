"""Kinks in an objective: conditions by subgradients, proximal operators against their definition and the solvers' own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from check import EXAMPLES, page

from symml import pipeline
from symml.algorithms.proximal import prox
from symml.analysis import analyse
from symml.derivations import subgradient
from symml.ir.evaluate import evaluate
from symml.ir.program import Tensor
from symml.proof.proximal import check_prox


def told(source, form="text", product="kkt"):
    return pipeline.told(pipeline.derivations(source, False, None, "matrix", {}, product=product), form)


def test_lasso():
    lines = [line.strip() for line in told(pipeline.read(EXAMPLES / "lasso.symml"))]
    for wanted in (
        "∂L/∂w = 1/n Xᵀ(Xw − y) + λ sign(w) ∋ 0",
        "where u = 0, sign(u) is any number of [−1, 1]",
        "g[j] = −λ sign(w[j])   where w[j] ≠ 0",
        "|g[j]| ≤ λ   where w[j] = 0",
        "v − u = s λ sign(u)   where u ≠ 0",
        "u = sign(v) ⊙ max(0, |v| − λs)",
        "convex: where 0 is a subgradient is an optimum, and nowhere else",
    ):
        assert any(line.startswith(wanted) for line in lines), wanted
    assert not any("gradient vanishes" in line for line in lines)
    latex = "\n".join(told(pipeline.read(EXAMPLES / "lasso.symml"), "latex"))
    assert r"+ \lambda \operatorname{sign}\left(w\right) \ni 0" in latex
    assert r"\left|g_{j}\right| \le \lambda \quad \text{where } w_{j} = 0" in latex


BODIES = {
    "groups": ("dims n, d\ndata X[n, d], y[n]\nparam W[d, 2]\nhyper lam > 0 = 2\np = X W\n"
               "minimize sum[i] (p[i, 0] - p[i, 1] - y[i])^2 + lam sum[j] ||W[j]||", "‖V[j]‖ ≤ s λ   where U[j] = 0"),
    "one group": ("dims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize ||X w - y||^2 + 3 ||w||", "‖v‖ ≤ s 3   where u = 0"),
    "absolute": ("dims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize sum[i] |X[i]' w - y[i]|", "|v| ≤ s   where u = 0"),
    "hinge": ("dims n, d\ndata X[n, d]\nparam w[d]\nminimize ||w||^2 + 2 sum[i] max(0, 1 - X[i]' w)",
              "0 ≤ v ≤ s 2   where u = 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_each_non_smooth_term_has_its_operator(name):
    body, zero = BODIES[name]
    lines = told(page(body))
    assert zero in [line.strip() for line in lines] and sum("its objective rises" in line for line in lines) == 1


def operators(body):
    a = analyse(page(body))
    for term in subgradient._non_smooth(a):
        v, s = Tensor("v", term.shape, "data"), Tensor("s", (), "hyper", subgradient.POSITIVE)
        yield term, subgradient._operator(a, term, v, s), v, s


@pytest.mark.parametrize("name", BODIES)
def test_a_wrong_operator_is_caught(name):
    ((term, program, v, s),) = operators(BODIES[name][0])
    assert check_prox(program, v, s, term.kind).ok
    out = program.outputs["prox"]
    wrong = [replace(x, body=x.body * 1.001) if x.out is out else x for x in program.statements]
    assert not check_prox(replace(program, statements=tuple(wrong)), v, s, term.kind).ok


@pytest.mark.parametrize("name, code, row", [("groups", 2, 2), ("one group", 2, 5), ("absolute", 1, 1)])
def test_the_solvers_take_the_same_operator(name, code, row):
    ((_, program, v, s),) = operators(BODIES[name][0])
    rng = np.random.default_rng(3)
    x = rng.normal(size=(5, 2) if name == "groups" else 5)
    dims = {d: 5 for n in v.shape for d in n.free_symbols}
    given = {t: np.asarray(2.0) for t in program.inputs if t not in (v, s)}
    env = evaluate(program, {v: x, s: np.asarray(0.3), **given}, dims)
    flat = x.ravel().copy()
    weight, ends = np.array([float(env[program.outputs["weight"]])]), np.full(flat.size, np.inf)
    prox(flat, (np.array([[0, flat.size, code, row, 1, 0]]), weight, -ends, ends, np.ones(flat.size)), 0.3)
    np.testing.assert_allclose(flat.reshape(x.shape), env[program.outputs["prox"]], rtol=1e-14, atol=1e-15)


def test_no_closed_form_at_kinks():
    (line,) = [x for x in told(pipeline.read(EXAMPLES / "lasso.symml"), product="stationary") if "no closed form" in x]
    assert "kinks" in line

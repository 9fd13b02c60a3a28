"""The conditions of an optimum: what is printed, and that it holds where the optimum is known and nowhere else."""

import numpy as np
import pytest
from check import page
from problems import PAGES, analysed, cases, optimum, run
from scipy.optimize import nnls

import symml
from symml import pipeline
from symml.calculus.reverse import gradient
from symml.duality import lagrangian
from symml.errors import UnsupportedError
from symml.rewrite.dead import prune


def told(text, product="kkt"):
    rows = pipeline.derivations(page(text), False, None, "matrix", {}, product=product)
    return {s: [r["text"] for r in rows if r["section"] == s] for s in dict.fromkeys(r["section"] for r in rows)}


def test_pca_is_an_eigenproblem():
    found = told(
        "dims n, d, k = 2\ndata X[n, d]\nparam W[d, k]\nS = 1/n X' X\nmaximize tr(W' S W)  subject to  W' W = I"
    )
    assert found["Lagrangian"] == ["L = tr(WᵀSW) − ⟨Λ, WᵀW − I⟩"]
    assert found["stationarity"] == ["∂L/∂W = 2(SW − WΛ) = 0"]
    assert found["structure"][0] == "SW = WΛ"
    assert "k largest eigenvalues" in found["structure"][1]


def test_a_condition_of_elements_has_its_index_everywhere():
    body = "dims n\ndata y[n]\nparam x[n]\nminimize sum[i] i x[i]^4  subject to  x[t] <= x[t+1]"
    found = told(body)
    assert "sum[t] μ[t] (x[t] − x[t + 1])" in found["Lagrangian"][0]
    assert found["complementary slackness"] == ["μ[t] (x[t] − x[t + 1]) = 0"]
    assert told("param x[3] > 0\nminimize sum[i] (i + 1) x[i]^4")["stationarity"][0].startswith("∂L/∂x[i] = ")


def test_smallest_eigenvectors_of_a_minimum_and_none_where_the_trace_is_bent():
    head = "dims d, k\ndata A[d, d] in symmetric\nparam W[d, k]\nminimize {}  subject to  W' W = I"
    assert "k smallest" in told(head.format("tr(W' A W)"))["structure"][1]
    assert "structure" not in told(head.format("tr(W' A W)^2"))
    assert "structure" not in told(head.format("tr(W' A W) + sum[i, j] W[i, j]^4"))


def test_support_vectors():
    found = told(
        "dims n, d\ndata X[n, d], y[n]\nparam w[d], b, s[n]\nhyper C > 0 = 1\n"
        "minimize 1/2 ||w||^2 + C sum[i] s[i]\nsubject to  y[i] (X[i]' w + b) >= 1 - s[i]; s >= 0"
    )
    assert found == {
        "Lagrangian": ["L = 1/2 ‖w‖² + C 1ᵀs − μ₁ᵀ(y ⊙ (Xw + b) + s − 1) − μ₂ᵀs"],
        "stationarity": ["∂L/∂w = w − Xᵀ(μ₁ ⊙ y) = 0", "∂L/∂b = −μ₁ᵀy = 0", "∂L/∂s = C − μ₁ − μ₂ = 0"],
        "primal feasibility": ["y ⊙ (Xw + b) + s − 1 ≥ 0", "s ≥ 0"],
        "dual feasibility": ["μ₁ ≥ 0", "μ₂ ≥ 0"],
        "complementary slackness": ["μ₁ ⊙ (y ⊙ (Xw + b) + s − 1) = 0", "μ₂ ⊙ s = 0"],
        "verdict": [
            "convex, and so is the feasible set: these conditions suffice for an optimum, and are necessary: "
            "every constraint is affine"
        ],
    }


def test_a_maximum_subtracts_its_constraints():
    found = told("dims n\ndata c[n]\nparam x[n]\nmaximize c' x  subject to  ||x||^2 <= 1")
    assert found["Lagrangian"] == ["L = cᵀx − μ(‖x‖² − 1)"]
    assert found["verdict"][0].startswith("concave, and so is the feasible set")
    assert found["verdict"][0].endswith("necessary where a point is strictly inside")


def test_least_norm_is_one_linear_system():
    found = told("dims m, n\ndata A[m, n], b[m]\nparam x[n]\nminimize 1/2 ||x||^2  subject to  A x = b")
    assert found["stationarity"] == ["∂L/∂x = Aᵀν + x = 0"]
    assert found["structure"] == ["stationarity and feasibility are one linear system in x and ν"]


def test_matrices_that_are_positive_semidefinite():
    found = told("dims n\ndata C[n, n] in symmetric\nparam A[n, n] in psd\nminimize tr(C A)  subject to  tr(A) = 1")
    assert found["Lagrangian"] == ["L = tr(CA) − ⟨Z, A⟩ + ν(tr(A) − 1)"]
    assert "A ⪰ 0" in found["primal feasibility"] and "Z ⪰ 0" in found["dual feasibility"]
    assert "ZA = 0" in found["complementary slackness"]


def test_names_of_multipliers_avoid_those_of_the_page():
    found = told("dims n\ndata mu[n], nu\nparam x[n]\nminimize ||x||^2  subject to  mu' x = nu; x >= 0")
    assert "κ" in found["Lagrangian"][0] and "η" in found["Lagrangian"][0]


def test_without_constraints_the_gradient_vanishes():
    found = told("dims n\ndata c[n]\nparam x[n]\nminimize ||x - c||^2")
    assert found["verdict"] == ["convex: where the gradient vanishes is an optimum, and nowhere else"]
    assert found["stationarity"] == ["∂L/∂x = 2(x − c) = 0"]


def test_weighted_rows_are_refused():
    with pytest.raises(UnsupportedError, match="weighted rows"):
        told("dims n\ndata y[n], weight v[n]\nparam m\nminimize sum[i] (y[i] - m)^2  subject to  m >= 0")


# the conditions hold where the optimum is known


def multipliers(text, arrays):
    """The multipliers of the active constraints that come nearest to stationarity: (their names, values, what is left)."""
    a = analysed(text)
    lag = lagrangian.build(a.model, a.program)
    derivative = gradient(prune(lag.program, "lagrangian"), "lagrangian", a.model.over)
    zero = {m.name: np.zeros_like(run_residual(lag, c, arrays)) for c in lag.kept for m in [lag.multipliers[c.name]]}

    def slope(**of):
        out = run(derivative, {**arrays, **zero, **of})
        return np.concatenate([np.ravel(out[f"d_{t.name}"]) for t in a.model.over])

    start, columns, names = slope(), [], []
    for c in lag.kept:
        residual = run_residual(lag, c, arrays)
        m = lag.multipliers[c.name].name
        for at in np.ndindex(residual.shape):
            if c.sense == "equal" or abs(residual[at]) < 1e-6:
                one = np.zeros_like(residual)
                one[at] = 1.0
                columns += [slope(**{m: one}) - start] * (2 if c.sense == "equal" else 1)
                names += [(c.name, at, 1), (c.name, at, -1)] if c.sense == "equal" else [(c.name, at, 1)]
                if c.sense == "equal":
                    columns[-1] = -columns[-1]
    values, left = nnls(np.array(columns).T.reshape(len(start), -1), -start) if columns else ([], np.linalg.norm(start))
    found = {}
    for (name, at, sign), v in zip(names, values, strict=True):
        found[name, at] = found.get((name, at), 0.0) + sign * v
    return found, float(left) / max(1.0, float(np.linalg.norm(start)))


def run_residual(lag, c, arrays):
    small = prune(lag.program, c.output)
    return np.asarray(run(small, arrays)[c.output], float)


@pytest.mark.parametrize("name", [n for n in PAGES if n != "svm_dual"])
def test_conditions_hold_at_the_optimum(name):
    case = cases()[name]
    x = optimum(case)
    found, left = multipliers(PAGES[name], {**case["data"], **x})
    assert left < 2e-4, left  # the optimum is given to 8 digits, the active set to 6
    aside = {k: v + 0.05 * (1 + np.arange(np.size(v)).reshape(np.shape(v))) for k, v in x.items()}
    assert multipliers(PAGES[name], {**case["data"], **aside})[1] > 1e-3
    for key, value in case["duals"].items():
        if key.startswith("c") and name != "lp_2":
            assert found[key if name != "qp_0" else "c1", ()] == pytest.approx(np.ravel(value)[0], abs=2e-4)
        if key == "eq":
            assert found["c1", ()] == pytest.approx(value, abs=2e-4)


def test_a_wrong_sign_in_the_lagrangian_is_found(monkeypatch):
    """Negative control: with mu subtracted, no multiplier >= 0 makes the optimum stationary."""
    monkeypatch.setitem(lagrangian.SIGN, "at_most", -1)
    case = cases()["lp_1"]
    assert multipliers(PAGES["lp_1"], {**case["data"], **optimum(case)})[1] > 0.1


def test_the_model_tells_its_conditions_and_its_dual():
    model = symml.parse("model m\ndims m, n\ndata A[m, n], b[m]\nparam x[n]\nminimize 1/2 ||x||^2  subject to  A x = b")
    assert model.kkt().section("stationarity") == ("∂L/∂x = Aᵀν + x = 0",)
    assert "maximise over ν" in model.dual().text()
    assert r"\frac{\partial L}{\partial x} = A^{\top} \nu + x = 0" in model.kkt().latex()

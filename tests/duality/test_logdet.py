"""Duals of log determinants: what is printed, that other pages have the rule too, and strong duality at the solution."""

import numpy as np
import pytest
from problems import analysed
from test_kkt import told

from symml import pipeline
from symml.duality import dual, logdet
from symml.duality.check import check, value_of
from symml.ir.evaluate import evaluate
from symml.methods.terms import NoClosedForm
from symml.source import Source

REFERENCE = pipeline.Options(target="reference")
X = np.random.default_rng(2).normal(size=(9, 3)) @ np.array([[1, 0.6, 0], [0, 1, 0.3], [0, 0, 1]])
S = np.cov(X.T)
HEAD = "dims d\ndata S[d, d] in psd\nparam P[d, d] in psd\nhyper lam > 0 = 0.2\nminimize over P  "
# page, data, what is printed, and the multipliers by name from the solution x and the fit's own multipliers
PAGES = {
    "graphical lasso": (
        "dims n, d\ndata X[n, d]\nparam P[d, d] in psd\nhyper lam > 0 = 0.2\nQ = 1/n X' X\n"
        "minimize over P  tr(Q P) - logdet(P) + lam sum[i, j where i != j] |P[i, j]|",
        {"X": X},
        (
            "maximise over Λ   log det(Λ) + d",
            ["Λ ≻ 0", "λ − |Q − Λ| ≥ 0   off the diagonal", "Q − Λ = 0   on the diagonal"],
        ),
        lambda P, m: {"Lambda": np.linalg.inv(P)},
    ),
    "every entry": (
        HEAD + "tr(S P) - logdet(P) + lam sum[i, j] |P[i, j]|",
        {"S": S},
        ("maximise over Λ   log det(Λ) + d", ["Λ ≻ 0", "λ − |S − Λ| ≥ 0"]),
        lambda P, m: {"Lambda": np.linalg.inv(P)},
    ),
    "a bounded trace": (
        HEAD + "tr(S P) - logdet(P)  subject to  tr(P) <= 1",
        {"S": S},
        ("maximise over μ   log det(S + μI) + d − μ", ["S + μI ≻ 0", "μ ≥ 0"]),
        lambda P, m: {"mu": m["c1"]},
    ),
    "a ridge": (
        HEAD + "tr(S P) - logdet(P) + lam ||P||^2",
        {"S": S},
        ("maximise over Λ   log det(Λ) + d − 1/(4λ) ‖S − Λ‖²_F", ["Λ ≻ 0"]),
        lambda P, m: {"Lambda": np.linalg.inv(P)},
    ),
    "an ellipsoid": (
        "dims m, n\ndata a[m, n]\nparam B[n, n] in psd\n"
        "minimize over B  -logdet(B)  subject to  sum[j, k] a[i, j] B[j, k] a[i, k] <= 1 for i in m",
        {"a": X},
        ("maximise over μ   log det(aᵀdiag(μ)a) + n − 1ᵀμ", ["aᵀdiag(μ)a ≻ 0", "μ ≥ 0"]),
        lambda B, m: {"mu": m["c1"]},
    ),
    "a largest determinant below a trace": (
        HEAD + "tr(S P)  subject to  logdet(P) >= 1",
        {"S": S},
        ("maximise over μ   μ(log det(S) + d + 1 − d log(μ))", ["μ > 0", "S ≻ 0", "μ ≥ 0"]),
        lambda P, m: {"mu": m["c1"]},
    ),
}


@pytest.mark.parametrize("name", list(PAGES))
def test_printed(name):
    text, _, (goal, conditions), _ = PAGES[name]
    found = told(text, "dual")
    assert found["dual"] == [goal] and found["subject to"] == conditions


def test_a_design_of_experiments():
    """The dual of D-optimal design is the least ellipsoid around the rows (Titterington 1975)."""
    text = (
        "dims n, d\ndata X[n, d]\nparam w[n] >= 0\nminimize over w  -logdet(X' diag(w) X)  subject to  sum[i] w[i] = 1"
    )
    found = told(text, "dual")
    assert found["named parts"] == ["Y = Xᵀdiag(w)X   with the multiplier Λ"]
    assert found["dual"] == ["maximise over ν, Λ   log det(Λ) + d − ν"]
    assert found["subject to"] == ["Λ ≻ 0", "ν − diag(XΛXᵀ) ≥ 0"]


@pytest.mark.parametrize("name", list(PAGES))
def test_strong_duality_at_the_solution(name):
    text, data, _, multipliers = PAGES[name]
    fit = pipeline.train(Source("p.symml", f"model m\n{text}\n"), REFERENCE, data, 0)
    a = analysed(text)
    d = dual.dual(a.model, a.program)
    size = round(fit.x.size**0.5)
    arrays = {**data, "lam": 0.2, **multipliers(fit.x.reshape(size, size), fit.outcome["multipliers"])}
    inputs = dict.fromkeys((*d.value.inputs, *d.lagrangian.inputs))
    values = {t: np.asarray(arrays[t.name], float) for t in inputs if t.name in arrays}
    dims = {n: s for t, v in values.items() for n, s in zip(t.shape, v.shape, strict=True)}
    program = d.value.program()
    best = float(evaluate(program, values, dims)[program.outputs["L"]])
    assert fit.outcome["status"] == "converged"
    assert best == pytest.approx(fit.outcome["loss"], abs=1e-7)
    for c in d.conditions:
        met = np.asarray(value_of(d.value, c.loops, c.body, values, dims), float)
        assert (np.linalg.eigvalsh(met).min() > 0) if c.sense == "definite" else np.min(met) >= -1e-7
    worse = {t: v * (1.1 if t.name in ("Lambda", "mu") else 1.0) for t, v in values.items()}
    assert float(evaluate(program, worse, dims)[program.outputs["L"]]) != pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize("wrong", ["value", "at"])
@pytest.mark.parametrize("name", ["a bounded trace", "graphical lasso", "an ellipsoid"])
def test_a_wrong_rule_is_found(monkeypatch, name, wrong):
    a, right = analysed(PAGES[name][0]), logdet.minimised
    assert check(dual.dual(a.model, a.program)).ok

    def twice(*args):
        found = right(*args)
        return dual.replace(found, **{wrong: 2 * getattr(found, wrong)})

    monkeypatch.setattr(logdet, "minimised", twice)
    assert not check(dual.dual(a.model, a.program)).ok


STOPS = {
    HEAD + "tr(S P) + logdet(P)  subject to  tr(P) = 1": "not known to be negative",
    "dims d\ndata A[d, d]\nparam w[d] >= 0\nminimize over w  -logdet(A diag(w))  subject to  sum[i] w[i] = 1": "not symmetric",
    HEAD + "-logdet(P P)  subject to  tr(P) = 1": "not affine",
}


@pytest.mark.parametrize("text", list(STOPS))
def test_stops_with_the_reason(text):
    a = analysed(text)
    with pytest.raises(NoClosedForm, match=STOPS[text]):
        dual.dual(a.model, a.program)

"""Dual problems: what is printed, that it is the least value of the Lagrangian, and that its optimum is the problem's."""

import numpy as np
import pytest
import sympy
from problems import PAGES, analysed, cases
from scipy.optimize import minimize, minimize_scalar
from test_kkt import told

from symml.calculus.reverse import gradient
from symml.cli.pages import _product
from symml.duality import conjugates, dual
from symml.duality.check import check, value_of
from symml.errors import SpecError
from symml.ir.evaluate import evaluate
from symml.ir.functions import absolute
from symml.rewrite.dead import prune

REGRESSION = "dims n, d\ndata X[n, d], y[n]\nparam w[d]{more}\nhyper lam > 0 = 1\nminimize {goal}"
MARGINS = "dims n, d\ndata X[n, d], y[n]\nparam w[d], b, s[n]\nhyper C > 0 = 1\n"

# (page, the dual, its conditions, what is said of the unknowns)
DUALS = {
    "linear program, standard form": (
        "dims m, n\ndata A[m, n], b[m], c[n]\nparam x[n]\nminimize c' x  subject to  A x = b; x >= 0",
        "maximise over ν   −bᵀν", ["Aᵀν + c ≥ 0"], "x: affine, so its slope gives a condition",
    ),
    "linear program, inequalities": (
        "dims m, n\ndata A[m, n], b[m], c[n]\nparam x[n]\nminimize c' x  subject to  A x <= b",
        "maximise over μ   −bᵀμ", ["Aᵀμ + c = 0", "μ ≥ 0"], "x: affine, so its slope gives a condition",
    ),
    "least norm": (
        "dims m, n\ndata A[m, n], b[m]\nparam x[n]\nminimize 1/2 ||x||^2  subject to  A x = b",
        "maximise over ν   −(1/2 ‖Aᵀν‖² + bᵀν)", None, "x = −Aᵀν",
    ),
    "quadratic program": (
        "dims m, n\ndata Q[n, n] in psd, A[m, n], b[m], c[n]\nparam x[n]\n"
        "minimize 1/2 x' Q x + c' x  subject to  A x <= b",
        "maximise over μ   −(1/2 (Aᵀμ + c)ᵀQ⁻¹(Aᵀμ + c) + bᵀμ)", ["μ ≥ 0"], "x = −Q⁻¹(Aᵀμ + c)",
    ),
    "support vectors": (
        f"{MARGINS}minimize 1/2 ||w||^2 + C sum[i] s[i]\nsubject to  y[i] (X[i]' w + b) >= 1 - s[i]; s >= 0",
        "maximise over μ₁   1ᵀμ₁ − 1/2 ‖Xᵀ(μ₁ ⊙ y)‖²", ["μ₁ᵀy = 0", "C − μ₁ ≥ 0", "μ₁ ≥ 0"], "w = Xᵀ(μ₁ ⊙ y)",
    ),
    "hinge loss": (
        REGRESSION.format(more=", b", goal="sum[i] max(0, 1 - y[i] (X[i]' w + b)) + lam/2 ||w||^2"),
        "maximise over α   1ᵀα − 1/(2λ) ‖Xᵀ(α ⊙ y)‖²", ["α ≥ 0", "1 − α ≥ 0", "αᵀy = 0"], "w = 1/λ Xᵀ(α ⊙ y)",
    ),
    "ridge": (
        REGRESSION.format(more="", goal="||X w - y||^2 + lam ||w||^2"),
        "maximise over α   −(1/4 (1/λ ‖Xᵀα‖² + ‖α‖²) + αᵀy)", None, "w = −1/(2λ) Xᵀα",
    ),
    "lasso": (
        REGRESSION.format(more="", goal="1/2 ||X w - y||^2 + lam ||w||_1"),
        "maximise over α   −(αᵀy + 1/2 ‖α‖²)", ["λ − |Xᵀα| ≥ 0"], "z = α",
    ),
    "elastic net": (
        REGRESSION.format(more="", goal="1/2 ||X w - y||^2 + lam ||w||_1 + lam/2 ||w||^2"),
        "maximise over α   −(1/2 (1/λ ‖relu(|Xᵀα| − λ)‖² + ‖α‖²) + αᵀy)", None,
        "w = −1/λ sign(Xᵀα) ⊙ relu(|Xᵀα| − λ)",
    ),
    "elastic net by its share": (
        REGRESSION.format(more="", goal="1/2 ||X w - y||^2 + lam r ||w||_1 + lam (1 - r)/2 ||w||^2").replace(
            "hyper lam > 0", "hyper r in (0, 1), lam > 0"
        ),
        "maximise over α   −(1/(2λ(1 − r)) ‖relu(|Xᵀα| − λr)‖² + αᵀy + 1/2 ‖α‖²)", None,
        "w = −1/(λ(1 − r)) sign(Xᵀα) ⊙ relu(|Xᵀα| − λr)",
    ),
    "logistic": (
        REGRESSION.format(more=", b", goal="sum[i] (log(1 + exp(X[i]' w + b)) - y[i] (X[i]' w + b)) + lam/2 ||w||^2"),
        "maximise over α   log(1 − α)ᵀα − 1/(2λ) ‖Xᵀ(α − y)‖² − log(α)ᵀα − 1ᵀlog(1 − α)",
        ["α > 0", "1 − α > 0", "1ᵀα − 1ᵀy = 0"], "w = 1/λ Xᵀ(y − α)",
    ),
    "largest entropy": (
        "dims n, m\ndata F[m, n], c[m]\nparam p[n] >= 0\n"
        "maximize -sum[i] p[i] log p[i]  subject to  sum[i] p[i] = 1; F p = c",
        "minimise over ν₂   lse(−Fᵀν₂) + cᵀν₂", None, "p = softmax(−Fᵀν₂)",
    ),
    "analytic centre": (
        "dims m, n\ndata A[m, n], b[m]\nparam x[n] > 0\nminimize -sum[i] log x[i]  subject to  A x = b",
        "maximise over ν   log(νᵀA)1 + n − bᵀν", ["Aᵀν > 0"], "x = 1 ⊘ (Aᵀν)",
    ),
    "ball": (
        "dims n\ndata c[n]\nparam x[n]\nhyper r > 0 = 2\nminimize c' x  subject to  ||x|| <= r",
        "maximise over μ   −μr", ["μ − ‖c‖ ≥ 0", "μ ≥ 0"], "x = 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(DUALS))
def test_printed(name):
    text, goal, conditions, way = DUALS[name]
    found = told(text, "dual")
    assert found["dual"] == [goal]
    assert found.get("subject to") == conditions
    assert way in found["inner minimisation"]


STOPS = [
    ("dims n\nparam x[n]\nminimize sum[i] sin(x[i])  subject to  sum[i] x[i] = 1", "x: sum[i] sin(x[i])"),
    ("dims d, k\ndata S[d, d]\nparam W[d, k]\nmaximize tr(W' S W)  subject to  W' W = I", "W:"),
    (
        "dims n\ndata v[n]\nparam x[n]\nminimize sum[i] v[i] x[i]^2  subject to  sum[i] x[i] = 1",
        "not known to be positive",
    ),
    ("dims n\nparam x[n], y[n]\nminimize ||x||^2 + ||y||^2  subject to  sum[i] x[i] y[i] = 1", "y:"),
    ("dims n\ndata c[n]\nparam x[n]\nminimize ||x - c||^2", "nothing: the problem has no constraint"),
    ("dims n, k\ndata A[n, n]\nparam x[n]\nminimize logdet(A) + sum[i] x[i]^4  subject to  sum[i] x[i] = 1", "x[i]**4"),
]


@pytest.mark.parametrize(("text", "words"), STOPS)
def test_stops_with_the_reason(text, words):
    (line,) = told(text, "dual")["dual"]
    assert line.startswith("the inner minimisation has no closed form: stopped at") and words in line


# Faults: each makes some dual differ from the least value of its Lagrangian.
def _twice(row):
    return lambda *args: conjugates.Minimum(2 * row(*args).value, row(*args).at, "", row(*args).conditions)


def _elsewhere(row):
    return lambda *args: conjugates.Minimum(row(*args).value, row(*args).at + 1, "", row(*args).conditions)


FAULTS = [
    ("least norm", ("square",)), ("logistic", ("softplus",)), ("analytic centre", ("log",)), ("elastic net", ("abs", "square")),
]  # fmt: skip


@pytest.mark.parametrize("wrong", [_twice, _elsewhere])
@pytest.mark.parametrize(("name", "kind"), FAULTS)
def test_a_wrong_row_of_the_table_is_found(monkeypatch, name, kind, wrong):
    text = DUALS[name][0]
    a = analysed(text)
    assert check(dual.dual(a.model, a.program)).ok
    monkeypatch.setattr(conjugates, "ROWS", {**conjugates.ROWS, kind: wrong(conjugates.ROWS[kind])})
    assert not check(dual.dual(a.model, a.program)).ok


def test_a_maximum_in_the_place_of_a_minimum_is_found():
    """A value that is the Lagrangian's at a stationary point which is no minimum: other points lie below."""
    a = analysed("dims n\ndata c[n]\nparam x[n]\nminimize 1/2 ||x||^2  subject to  sum[i] x[i] = 1")
    d = dual.dual(a.model, a.program)
    upside_down = dual.replace(d.lagrangian, terms=tuple(dual.Term(t.loops, -t.body) for t in d.lagrangian.terms))
    value = dual.replace(d.value, terms=tuple(dual.Term(t.loops, -t.body) for t in d.value.terms))
    found = check(dual.replace(d, lagrangian=upside_down, value=value))
    assert found.error < 1e-9 and found.below > 1e-3


# strong duality, where the optimum is known


EQUAL = {
    **{
        k: PAGES[k]
        for k in ("lp_1", "lp_2", "qp_0", "socp_1", "geno_free", "geno_lb-.2", "geno_ub.5", "nnls", "svm_dual")
    },
    "lasso": "dims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize 1/(2 n) ||X w - y||^2 + 1/10 ||w||_1",
    "svm_primal": "dims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize 1/2 ||w||^2 + sum[i] max(0, 1 - y[i] X[i]' w)",
    "l2_logistic": "dims n, d\ndata X[n, d], y[n]\nparam w[d]\n"
    "minimize 1/2 ||w||^2 + sum[i] log(1 + exp(-y[i] X[i]' w))",
}


@pytest.mark.parametrize("name", list(EQUAL))
def test_the_optimum_of_the_dual_is_the_problem_s(name):
    case = cases()[name]
    a = analysed(EQUAL[name])
    d = dual.dual(a.model, a.program)
    best = solved(d, case["data"])
    assert best == pytest.approx(case["cvxpy_value"], rel=2e-5, abs=1e-5)


def solved(d, data):
    """The optimum of a dual by a general solver."""
    program = d.value.program()
    derivative = prune(gradient(program, "L", d.multipliers), "L", *(f"d_{m.name}" for m in d.multipliers))
    arrays = {k: np.array(v, float) for k, v in data.items()}
    zero = {t.name: np.zeros([len_of(n, d, arrays) for n in t.shape]) for t in d.multipliers}
    sizes = [np.size(v) for v in zero.values()]

    def spread(x):
        parts = np.split(x, np.cumsum(sizes)[:-1])
        return {k: p.reshape(np.shape(v)) for (k, v), p in zip(zero.items(), parts, strict=True)}

    def negative(x):
        values, dims = given_all(d, {**arrays, **spread(x)})
        with np.errstate(all="ignore"):
            env = evaluate(derivative, values, dims)
        slope = np.concatenate([np.ravel(env[derivative.outputs[f"d_{m.name}"]]) for m in d.multipliers])
        return -float(env[derivative.outputs["L"]]), -slope

    def condition(c):
        def of(x):
            values, dims = given_all(d, {**arrays, **spread(x)})
            return np.ravel(value_of(d.value, c.loops, c.body, values, dims))

        return {"type": "eq" if c.sense == "equal" else "ineq", "fun": of}

    signs = {m.name: (0, None) if m.domain.kind == "interval" else (None, None) for m in d.multipliers}
    bounds = [signs[name] for name, v in zero.items() for _ in range(np.size(v))]
    inside = 0.5 if any(c.sense == "above" for c in d.conditions) else 0.01
    found = minimize(negative, np.full(sum(sizes), inside), jac=True, method="SLSQP", bounds=bounds,
                     constraints=[condition(c) for c in d.conditions], options={"maxiter": 500, "ftol": 1e-12})  # fmt: skip
    return -d.sign * found.fun


def len_of(size, d, arrays):
    if size.is_Integer:
        return int(size)
    for t in d.value.inputs:
        if t.name in arrays and size in t.shape:
            return arrays[t.name].shape[t.shape.index(size)]
    raise AssertionError(size)


def given_all(d, arrays):
    values = {t: np.asarray(arrays[t.name], float) for t in d.value.inputs if t.name in arrays}
    dims = {n: len_of(n, d, arrays) for t in d.value.inputs for n in t.shape if not n.is_Integer}
    return values, dims


OF = {
    "square": lambda v: v**2, "abs": np.abs, "relu": lambda v: np.maximum(v, 0), "exp": np.exp,
    "softplus": lambda v: np.logaddexp(0, v),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "b", "c"), [("square", 2, 1), ("abs", 1, -2), ("relu", 1, 3), ("softplus", 2, 1), ("exp", 1, 1)]
)
def test_the_table_against_a_general_minimiser(kind, b, c):
    piece = conjugates.Piece(kind, sympy.Rational(7, 10), sympy.Integer(b), sympy.Integer(c))
    found = conjugates.minimised([piece], sympy.Rational(-3, 10))
    lowest = minimize_scalar(
        lambda u: 0.7 * OF[kind](b * u + c) - 0.3 * u, bounds=(-30, 30), method="bounded", options={"xatol": 1e-10}
    )
    assert float(found.value) == pytest.approx(lowest.fun, abs=1e-6)
    assert all(condition.replace(absolute, sympy.Abs) > 0 for condition, _ in found.conditions)


def test_what_is_asked_for_is_one_product():
    assert _product({"kkt": False, "dual": True}) == ("dual", "")
    with pytest.raises(SpecError, match="two products"):
        _product({"kkt": True, "dual": True})

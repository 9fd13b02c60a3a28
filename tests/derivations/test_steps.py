"""The way to a gradient: lines with rules, each of them checked; a wrong line is caught."""

from __future__ import annotations

import json

import numpy as np
import pytest
from check import EXAMPLES, NAMES, analysis, page
from sympy import Float, Integer
from trust.generator import text

from symml import load, pipeline
from symml.analysis import analyse
from symml.calculus import reverse
from symml.derivations import steps
from symml.derivations.way import recorded
from symml.errors import NumericError
from symml.proof.perturbed import check_adjoint
from symml.rewrite import stable
from symml.source import Source

HEAVY = ("appnp",)  # their fixed points cost hundreds of rounds at each place
WRITTEN = "tr(W' S W) - tr(L' (W' W))"
PCA_BODY = "dims n, d, k = 2\ndata X[n, d]\nparam W[d, k]\nS = 1/n X' X\nmaximize tr(W' S W)  subject to  W' W = I"
PCA = page(PCA_BODY)


def told(rows: list[dict]) -> str:
    """The lines without the errors, which differ between machines."""
    return "\n".join(f"{r['left']} {r['relation']} {r['text']}   | {r['rule']}".strip() for r in rows)


def example(name: str) -> list[dict]:
    return pipeline.derivations(pipeline.read(EXAMPLES / f"{name}.symml"), False, None, "matrix", {}, product="steps")


def test_softmax_regression(golden):
    golden(told(example("softmax_regression")))


def test_backpropagation(golden):
    golden(told(example("mlp")))


def test_pca(golden):
    golden(told(pipeline.derivations(PCA, False, None, "matrix", {}, product="steps")))


def test_pca_of_the_smallest_eigenvalues_changes_the_sign():
    rows = pipeline.derivations(
        page(PCA_BODY.replace("maximize", "minimize")), False, None, "matrix", {}, product="steps"
    )
    assert [(r["left"], r["text"]) for r in rows[-2:]] == [("", "2(SW + WΛ)"), ("SW", "−WΛ")]
    rows = pipeline.derivations(
        page(PCA_BODY.replace("maximize", "minimize")), False, None, "matrix", {}, product="kkt"
    )
    assert "SW = −WΛ" in [r["text"] for r in rows]


def test_a_written_lagrangian():
    rows = pipeline.derivations(Source("-e", WRITTEN), True, "W", "matrix", {}, product="steps")
    assert [r["text"] for r in rows[1:5]] == ["SᵀW", "SW", "WLᵀ", "WL"]


@pytest.mark.parametrize("seed", [98, 202, 258])
def test_generated_pages(seed):
    """Their parameters have the names that symml itself gives."""
    a = analyse(Source("page.symml", text(seed)))
    with np.errstate(all="ignore"):
        assert steps.lines(a, tuple(t.name for t in a.model.over))


def defined_twice(lines: list[tuple[str, str]]) -> set[str]:
    """Names that several lines define, each for all elements or for the same ones; lines: (left, what stands there)."""
    found: dict[str, set[str]] = {}
    for left, right in lines:
        found.setdefault(left, set()).add(right)
    whole = {left for left in found if "[" not in left}
    parts = {left.split("[")[0] for left in found if "[" in left}
    return {left for left, rights in found.items() if len(rights) > 1} | (whole & parts)


@pytest.mark.parametrize("name", [n if n not in HEAVY else pytest.param(n, marks=pytest.mark.full) for n in NAMES])
def test_every_line_is_checked(name):
    rows = example(name)
    assert rows[0]["left"] in ("ℓ", "L") and all(r["rule"] and r["method"] and r["error"] <= 1e-9 for r in rows)
    assert any(r["method"] == "complex step" for r in rows)
    assert not defined_twice(
        [(r["left"], r["text"]) for r in rows[1:] if r["relation"] == "=" and r["left"] not in ("", "ℓ", "L")]
    )
    assert json.loads(json.dumps(rows)) == rows and all(len(line) > 2 for line in pipeline.told(rows, "text") if line)
    balanced("\n".join(pipeline.told(rows, "latex")))


def balanced(latex: str) -> None:
    assert latex.startswith(r"\begin{aligned}") and latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right") - latex.count(r"\rightarrow")
    assert latex.count(r"\begin") == latex.count(r"\end")


@pytest.mark.parametrize("name", ["hmm", "rnn", "gcn", *(pytest.param(n, marks=pytest.mark.full) for n in NAMES)])
def test_no_name_of_a_formula_is_defined_twice(name):
    rows = pipeline.derivations(pipeline.read(EXAMPLES / f"{name}.symml"), False, None, "matrix", {})
    lines = {text for row in rows for _, text in row["where"] if " += " not in text}
    assert not defined_twice([tuple(text.split(" = ", 1)) for text in lines])


def test_formulas_keep_the_names_of_a_normalised_layer():
    body = "dims n, d, k\ndata X[n, d], Y[n, k]\nparam W[d, k], g[d]\nm[i] = mean[j] X[i, j]\n"
    body += "s[i] = sqrt(mean[j] (X[i, j] - m[i])^2 + 1)\nH[i, j] = (X[i, j] - m[i]) / s[i]\n"
    body += "O[i, j] = g[j] H[i, j]\nminimize ||O W - Y||^2"
    rows = pipeline.derivations(page(body), False, None, "matrix", {})
    lines = {text for row in rows for _, text in row["where"]}
    assert [row["text"] for row in rows] == ["‖OW − Y‖²_F", "2Oᵀ(OW − Y)", "diag(HᵀO\u0304)"]
    assert "H = diag(1 ⊘ s)(X − m1ᵀ)" in lines and not defined_twice([tuple(x.split(" = ", 1)) for x in lines])


def test_a_name_that_is_defined_twice_is_found():
    """Negative control."""
    assert defined_twice([("t", "Xw"), ("t", "Xw + b")]) == {"t"} == defined_twice([("t", "Xw"), ("t[i]", "x[i]")])
    assert not defined_twice([("a[0]", "1"), ("a[t + 1]", "a[t]"), ("t", "Xw")])


@pytest.mark.full
@pytest.mark.parametrize("product, argument", [("kkt", ""), ("dual", ""), ("convexity", ""), ("order", "2")])
@pytest.mark.parametrize("name", NAMES)
def test_every_other_derivation_of_an_example(name, product, argument):
    source = pipeline.read(EXAMPLES / f"{name}.symml")
    rows = pipeline.derivations(source, False, None, "matrix", {}, product == "order", product, argument)
    assert rows and json.loads(json.dumps(rows)) == rows
    latex = "\n".join(row["latex"] for row in rows)
    assert latex.count("{") == latex.count("}") and latex.count(r"\left(") == latex.count(r"\right)")


@pytest.mark.parametrize("name, parameter", [("softmax_regression", "W"), ("ridge", "w"), ("mlp", "W1")])
def test_the_last_line_is_what_derive_prints(name, parameter):
    model = load(EXAMPLES / f"{name}.symml")
    way = model.steps(parameter)
    assert way.rows[-1]["text"] == model.gradient(parameter).text()
    assert way.rows[-1]["latex"] == model.gradient(parameter).latex() and way.rows[-1]["latex"] in way.latex()


def test_a_wrong_derivative_is_caught(monkeypatch):
    """Without the softmax as weight the adjoint of Z is wrong: the line that says so must not be shown."""
    a = analysis(
        "dims n, d, c = 4\ndata X[n, d], t[n] in c\nparam W[d, c]\nP = softmax(X W)\nminimize -1/n sum[i] log P[i, t[i]]"
    )
    assert steps.lines(a, ("W",))
    monkeypatch.setattr(reverse, "ADJOINTS", {**reverse.ADJOINTS, "logsumexp": lambda s: Integer(1)})
    with pytest.raises(NumericError, match="a line of the derivation does not hold: Z̄"):
        steps.lines(a, ("W",))


def test_a_wrong_rewrite_is_caught(monkeypatch):
    def wrong(e):
        """log sigmoid(u) = -softplus(u)"""
        return (
            -stable.softplus(e.args[0].args[0])
            if isinstance(e, stable.log) and isinstance(e.args[0], stable.sigmoid)
            else None
        )

    monkeypatch.setattr(stable, "RULES", (wrong, *stable.RULES[1:]))
    a = analysis("dims n\ndata x[n]\nparam w\nminimize -sum[i] log(sigmoid(w x[i] + 1))")
    with pytest.raises(NumericError, match="a line of the derivation does not hold: ℓ"):
        steps.lines(a, ("w",))


def test_an_adjoint_is_that_of_its_own_tensor():
    """The adjoint of one intermediate does not pass for that of another, nor one term for the whole."""
    a = analysis(
        "dims n\ndata A[n, n]\nparam x[n]\nu = A x\nv = tanh(u)\nminimize sum[i] v[i]^2 + sum[i] u[i] + prod[i] v[i]"
    )
    way = recorded(a)
    u, v = (next(t for t in way.adjoints if t.name == name) for name in "uv")
    assert check_adjoint(way.forward, "loss", u, way.derivative, way.adjoints[u]).ok
    assert not check_adjoint(way.forward, "loss", u, way.derivative, way.adjoints[v]).ok
    terms = [(x, way.terms[k]) for k, x in enumerate(way.sent) if x.to is u]
    assert len(terms) == 2
    for x, term in terms:
        assert check_adjoint(way.forward, "loss", u, way.derivative, term, (x.node, x.access)).ok
        assert not check_adjoint(way.forward, "loss", u, way.derivative, term).ok


def test_rounding_is_told_from_a_wrong_line():
    """Ill-conditioned inputs are looked at again in mpmath; a line that is wrong by little is wrong there too."""
    body = "dims n = 5, m = 3\ndata p[n], w[n], V[n, n]\nparam B[n, m]\nM = V B\nr = V p - w\nminimize ||r - M inv(M' M) M' r||^2"
    a = analysis(body)
    assert all(line.proof.ok for line in steps.lines(a, ("B",)))
    way = recorded(a)
    t = next(t for t in way.adjoints if t.name == "M")
    off = way.derivative.mapped(lambda s: s.with_body(s.body * (1 + Float(1e-7))) if s.out is way.adjoints[t] else s)
    proof = check_adjoint(way.forward, "loss", t, off, way.adjoints[t])
    assert proof.method == "differences in mpmath" and not proof.ok and 1e-8 < proof.error < 1e-6


def test_rules_are_named():
    a = analysis(
        "dims n\ndata A[n, n], y[n]\nparam x[n]\nS = A A' + diag(x)\nz = solve(S, y)\nminimize logdet(S) + ||z||"
    )
    rules = " ".join(line.rule[1] for line in steps.lines(a, ("x",)))
    for word in ("log det", "power rule", "X = A⁻¹B"):
        assert word in rules, rules


def test_the_lagrangian_is_written_once_and_in_full():
    """A sum without matrix form stands in its place; what is only another order of terms is no line."""
    text = [row["text"] for row in example("max_entropy") if row["left"] == "L"]
    assert text == ["−log(p)ᵀp + μᵀp − ν₁(1ᵀp − 1) − ν₂(sum[i] p[i] (i + 1) − m)"]


GMM = """dims n, d, K = 3
data X[n, d]
param a[K], m[K, d]
w = softmax(a)
maximize sum[i] log sum[k] w[k] exp(-1/2 sum[j] (X[i, j] - m[k, j])^2)"""
LAYERS = "dims n, d, h, k\ndata X[n, d], Y[n, k]\nparam U[d, h], V[h, k]\nH = sigmoid(X U)\nminimize 1/2 ||H V - Y||^2"
RISK = """dims n, k
data R[n, k]
param p[k]
m[j] = mean[i] R[i, j]
D[i, j] = R[i, j] - m[j]
minimize 1/n ||D p||^2"""
MEAN = """dims n, d
data X[n, d]
param m[d], S[d, d] in psd
minimize 1/2 sum[i] (X[i] - m)' inv(S) (X[i] - m) + n/2 logdet(S)"""


@pytest.mark.parametrize(
    ("body", "left", "right"),
    [
        (GMM, "t̄₁ = ∂ℓ/∂t₁", "n"),  # each row of a softmax adds up to 1
        (LAYERS, "", "Xᵀ(H ⊙ (1 − H) ⊙ (HV − Y)Vᵀ)"),  # by the page's own name
        (MEAN, "", "−S⁻¹(X − 1mᵀ)ᵀ1"),  # a domain that is open makes no Lagrangian
        ("dims n, k\ndata X[n, n]\nparam W[n, k]\nminimize ||X - X W W'||^2", "", "2(WWᵀXᵀX + XᵀXWWᵀ − 2XᵀX)W"),
        (RISK, "∂ℓ/∂p", "2/n DᵀDp"),  # entry by entry, and the page's own name all the same
        ("dims n\nparam t\nx = 2 cos t\nT = x^2 - 3 x t\nminimize T", "x̄ = ∂ℓ/∂x", "2x − 3t"),
        ("dims n\nparam s[n]\nminimize 1/2 sum[i] (exp(s[i]) - s[i])", "∂ℓ/∂s", "1/2 (exp(s) − 1)"),
    ],
)
def test_lines_of_textbooks(body, left, right):
    rows = pipeline.derivations(page(body), False, None, "matrix", {}, product="steps")
    assert any(row["left"] == left and row["text"] == right for row in rows), told(rows)

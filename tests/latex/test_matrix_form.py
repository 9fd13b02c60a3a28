"""Formulas as a person writes them, each compared with its statement; stable over hash seeds; wrong rules are caught."""

from __future__ import annotations

import subprocess
import sys

import pytest
import sympy
from check import EXAMPLES, analysis

from symml import load, pipeline
from symml.ir.program import REAL, Dim, Domain, Tensor
from symml.latex import derivation
from symml.latex.expand import is_zero
from symml.latex.naming import shared
from symml.latex.printing import TEXT, write
from symml.latex.shorten import product, scale, transpose
from symml.latex.sums import add
from symml.latex.tree import Diagonal, Leaf, Rowwise, Whole
from symml.proof.samples import sample
from symml.source import Source

EXPRESSIONS = [
    ("tr(X' A X)", "X", "(A + Aᵀ)X", ()),
    ("x'*A*x", "x", "(A + Aᵀ)x", ()),
    ("norm2(A*x-b)^2", "x", "2Aᵀ(Ax − b)", "b"),
    ("tr(A*X*B)", "X", "AᵀBᵀ", ()),
    ("tr(X*X*B)", "X", "(BX + XB)ᵀ", ()),
    ("a'*X*b", "X", "abᵀ", "ab"),
    ("norm2(x-a)", "x", "(x − a)/‖x − a‖", "a"),
    ("y'*log(X*theta)", "theta", "Xᵀ(y ⊘ (Xθ))", ()),
    ("norm2(V*W*z-q)^2", "W", "2Vᵀ(VWz − q)zᵀ", ()),
    ("(B*x+b)'*C*(D*x+c)", "x", "DᵀCᵀ(Bx + b) + BᵀC(Dx + c)", "bc"),
    ("tr((A*X*B+C)*(A*X*B+C)')", "X", "2Aᵀ(AXB + C)Bᵀ", ()),
    ("sum(log(exp(-y.*(X*w))+vector(1)))", "w", "−Xᵀ(y ⊙ σ(−y ⊙ Xw))", ()),
    ("0.5*w'*w+c*sum(log(exp((-y).*(X*w))+vector(1)))", "w", "w − cXᵀ(y ⊙ σ(−y ⊙ Xw))", ()),
    ("0.5*tr((A-U*V')'*(A-U*V'))+0.5*tr(U'*U)", "U", "(UVᵀ − A)V + U", ()),
    ("sum((-T).*(W'*X))+sum(log(exp(X'*W)*vector(1)))", "W", "X(softmax(XᵀW) − Tᵀ)", ()),
    ("log(abs(det(X)))", "X", "X⁻ᵀ", ()),
    ("a'*inv(X)*b", "X", "−X⁻ᵀabᵀX⁻ᵀ", ()),
    ("det(A*X*B)", "X", "det(AXB) (B(AXB)⁻¹A)ᵀ", ()),
    ("tr(inv(X'*S*X)*(X'*K*X)), S, K symmetric", "X", "2(K − SXMXᵀK)XM", ()),
    ("max(0, w'*x+b)", "w", "[wᵀx + b > 0] x", ()),
    ("sum_i (y_i - w'*x_i)^2", "w", "2xᵀ(xw − y)", ()),
    ("norm2(X'*X-eye)^2", "X", "4X(XᵀX − I)", ()),
    ("a'*X'*X*b", "X", "X(abᵀ + baᵀ)", ()),
    ("tr(A'*diag(x)*B)", "x", "(A ⊙ B)1", ()),
    ("vector(1)'*X*vector(1)", "X", "11ᵀ", ()),
    ("log(x'*A*x)", "x", "1/(xᵀAx)(A + Aᵀ)x", ()),
    ("sqrt(1+x'*x)", "x", "x/√(‖x‖² + 1)", ()),
    ("det(X)^c", "X", "cdet(X)^cX⁻ᵀ", ()),
    ("logdet(X'*X)", "X", "2X(XᵀX)⁻¹", ()),
    ("sum((A*x).^3)", "x", "3Aᵀ(Ax)^⊙2", ()),
    ("tr(A*diag(x)*B*C)", "x", "diag(BCA)", ()),
    ("vector(1)'*((A*X).*B')*y", "y", "diag(BAX)", ()),
    ("tr(A*inv(Z))", "Z", "−(Z⁻¹AZ⁻¹)ᵀ", ()),
    ("tr(X*X*X*X*X)", "X", "5(X⁴)ᵀ", ()),
    ("tr(inv(A+c*eye)*y*z')", "c", "−zᵀ(A + cI)⁻²y", ()),
    ("sum(log(cosh(A*x)))", "x", "Aᵀtanh(Ax)", ()),
    ("sum(max(0, A*x).^3)", "x", "3Aᵀmax(0, Ax)^⊙2", ()),
    ("sum(log(1+x.^2/c))", "x", "2x ⊘ (x^⊙2 + c)", ()),
    ("logdet(X*X'+A) - tr(inv(X*X'+A)), A symmetric", "X", "2M(I + M)X", ()),
    ("log(sum(exp(A*x/c)))", "x", "1/cAᵀsoftmax(1/cAx)", ()),
    ("logdet(A*inv(X))", "X", "−X⁻ᵀ", ()),
    ("logdet(diag(x))", "x", "1⊘x", ()),
    ("sum(x.^2./(1+x.^2))", "x", "2x⊘(x^⊙2+1)^⊙2", ()),
    ("sum((A*x-y).^2./((A*x-y).^2+c))", "x", "2Aᵀ((c⊙s)⊘(s^⊙2+c)^⊙2)", ()),
    ("sum(x.^2./(1+abs(x)))", "x", "(x⊙(|x|+2))⊘(|x|+1)^⊙2", ()),
    ("sum(sqrt(diag(X)))", "X", "1/2diag(1 ⊘ √(diag(X)))", ()),
]


@pytest.mark.parametrize("text, wrt, answer, vectors", EXPRESSIONS, ids=[e[0] for e in EXPRESSIONS])
def test_expressions(text, wrt, answer, vectors):
    (row,) = pipeline.derivations(Source("-e", text), True, wrt, "matrix", {v: "vector" for v in vectors})
    assert row["text"].replace(" ", "") == answer.replace(" ", "")
    assert row["printed_error"] < 1e-9 and "agrees" in row["proof"]


def test_what_a_projection_leaves_is_orthogonal():
    """Terms with M'(r - M (M'M)^-1 M' r) in them are proved to be zero and left out; what is repeated has a name."""
    text = "norm2(A*x - A*B*inv(B'*A'*A*B)*B'*A'*A*x)^2"
    (row,) = pipeline.derivations(Source("-e", text), True, "B", "matrix", {})
    assert row["nodes"] < 45 and row["where"] and "agrees" in row["proof"]


def leaf(name, *shape, domain=REAL):
    return Leaf((*shape, sympy.Integer(1))[:2], Tensor(name, shape, domain=domain))


def test_zero_is_proved_not_seen():
    """A projector's complement is orthogonal to it; without the inverse beside its matrix nothing is proved."""
    n, k = Dim("n"), Dim("k")
    M, r = leaf("M", n, k), leaf("r", n)
    gram = product((transpose(M), M))
    residual = add((r, scale(-1, product((M, Whole(gram.shape, "inv", (gram,)), transpose(M), r)))), r.shape)
    assert is_zero(product((transpose(M), residual)))
    assert not is_zero(residual)
    assert not is_zero(product((transpose(M), add((r, scale(-1, product((M, transpose(M), r)))), r.shape))))


@pytest.mark.parametrize("written, text", [("log(a/(1-a))", "1/(a(1 − a))"), ("log(a-1)-log(a)", "1/(a(a − 1))")])
def test_signs_go_into_differences(written, text):
    (row,) = pipeline.derivations(Source("e", written), True, "a", "matrix", {})
    assert row["text"] == text


def test_symmetric_matrices_are_their_own_transposes():
    n = Dim("n")
    S, A = leaf("S", n, n, domain=Domain("symmetric")), leaf("A", n, n)
    assert transpose(product((transpose(A), S, A))) == product((transpose(A), S, A))
    assert transpose(product((S, A))) != product((S, A))
    assert product((S, Whole(S.shape, "inv", (S,)), A)) == A


def test_names_for_what_is_repeated():
    n = Dim("n")
    x = leaf("x", n)
    s = Rowwise(x.shape, "softmax", x)
    tree = add((Diagonal((n, n), s), scale(-1, product((s, transpose(s))))), (n, n))
    found = shared(tree, {"x", "n"})
    assert write(found.main, TEXT) == "diag(s) − ssᵀ"
    assert [write(d, TEXT) for d in found.defined.values()] == ["softmax(x)"]
    again = shared(tree, {"x", "n"}, found.targets)
    assert again.main == found.main, "beside the first formula the same thing has the same name"
    y = leaf("y", n)
    other = shared(add((x, product((y, transpose(y), x))), x.shape), {"x", "y", "s"}, found.targets)
    assert not {u.name for u in other.defined} & {"s"} and shared(x, {"x"}).main == x


PAGES = {
    "linear": ("param w[d]\nminimize 1/n ||X w - y||^2", {"w": "2/n Xᵀ(Xw − y)"}),
    "index form": ("param w[d]\nminimize 1/n sum[i] (sum[j] X[i, j] w[j] - y[i])^2", {"w": "2/n Xᵀ(Xw − y)"}),
    "naive logistic": (
        "param w[d]\nminimize 1/n sum[i] log(1 + exp(-y[i] sum[j] X[i, j] w[j]))",
        {"w": "−1/n Xᵀ(y ⊙ σ(−y ⊙ Xw))"},
    ),
    "one-hot": (
        "param W[d, c]\nE = exp(X W)\ns[i] = sum[k] E[i, k]\nP[i, k] = E[i, k]/s[i]\n"
        "minimize -1/n sum[i] log P[i, t[i]]",
        {"W": "1/n Xᵀ(softmax(XW) − T)"},
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages(name):
    body, answers = PAGES[name]
    a = analysis(f"dims n, d, c = 4\ndata X[n, d], y[n], t[n] in c\n{body}")
    for row in pipeline.formulas(a)[1:]:
        assert row["text"] == answers[row["name"]]
        assert row["form"] == "matrix"


def test_mlp_prints_all_matrices(golden):
    rows = pipeline.formulas(pipeline.analyse(pipeline.read(EXAMPLES / "mlp.symml")))
    lines = [f"{r['name']} = {r['latex']}" for r in rows] + sorted({latex for r in rows for latex, _ in r["where"]})
    golden("\n".join(lines))


def test_index_form(golden):
    rows = pipeline.formulas(pipeline.analyse(pipeline.read(EXAMPLES / "softmax_regression.symml")), "index")
    golden("\n".join(f"{r['name']} = {r['latex']}\n  {r['text']}" for r in rows))


def test_sympy_form():
    expr = load(EXAMPLES / "ridge.symml").gradient("w").sympy()
    assert str(expr) == "Eq(d_w[j], 2*lam*w[j] + Sum(X[i, j]*d_t1[i], (i, 0, n - 1)))"


def test_the_check_catches_a_wrong_rule(monkeypatch):
    """Without its transposes the printer must fall back to index form, not show a wrong formula."""
    a = analysis("dims n\ndata A[n, n]\nparam x[n]\nminimize x' A x")
    t = a.derivative.outputs["d_x"]
    assert derivation.formula(a.derivative, t, sample).form == "matrix"
    monkeypatch.setattr("symml.latex.matrix_form.transpose", lambda node: node)
    assert derivation.formula(a.derivative, t, sample).form == "index"


def test_stable_over_hash_seeds():
    code = (
        "from symml import pipeline; import json;"
        f"a = pipeline.analyse(pipeline.read({str(EXAMPLES / 'mlp.symml')!r}));"
        "print(json.dumps([r['latex'] for r in pipeline.formulas(a)]));"
        "print(pipeline.show(a.model.source, 'source', pipeline.Options()))"
    )
    outputs = set()
    for seed in ("0", "1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONHASHSEED": seed, "PATH": ""}
        )
        assert run.returncode == 0, run.stderr
        outputs.add(run.stdout)
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("text", "wrt", "shown"),
    [
        ("norm2(X-diag(diag(X)))^2", "X", "2(X − diag(diag(X)))"),
        ("sum(max(c*(y-X*w),(c-1)*(y-X*w)))", "w", "Xᵀ([Xw − y > 0] − c)"),
        ("x^2/(1+x)^2, x scalar", "x", "2x/(1 + x)³"),
        ("a*b^2/(c+b)", "b", "ab(2c + b)/(b + c)²"),
        ("sum(log(p./(1-p)))", "p", "1 ⊘ (p ⊙ (1 − p))"),
        ("c*log(sum(exp(x/c)))", "x", "softmax(x/c)"),
        ("norm2(x/norm2(x)-y)^2", "x", "2(((xᵀy) x)/‖x‖² − y)/‖x‖"),
        ("-sum(softmax(x).*log(softmax(x)))", "x", "softmax(x) ⊙ (softmax(x)ᵀx − x)"),
    ],
)
def test_sums_of_weights_tests_and_deltas(text, wrt, shown):
    (row,) = pipeline.derivations(Source("-e", text), True, wrt, "matrix", {})
    assert "agrees" in row["proof"]
    assert row["text"] == shown

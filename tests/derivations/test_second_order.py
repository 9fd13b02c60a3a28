"""What derive prints beyond the gradient: short forms, every product of every kind of page, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from check import page

import symml
from symml import pipeline
from symml.derivations import tensors
from symml.errors import NumericError, SymmlError
from symml.proof import complex_step
from symml.source import Source

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def told(text, product, argument="", wrt=None, **kinds):
    rows = pipeline.derivations(Source("-e", text), True, wrt, "matrix", kinds, False, product, argument)
    return [row["text"] for row in rows]


def of_page(name, product, argument="", wrt=None):
    source = pipeline.read(EXAMPLES / f"{name}.symml")
    return pipeline.derivations(source, False, wrt, "matrix", {}, False, product, argument)


@pytest.mark.parametrize(
    ("text", "wrt", "product", "argument", "shown"),
    [
        ("x'*A*x", "x", "order", "2", ["∂²/∂x² = A + Aᵀ"]),
        ("1/2*||X-U*V'||^2", "U", "order", "2", ["∂²/∂U² = I ⊗ (VᵀV)"]),
        ("1/2*||X'*U||^2", "U", "order", "2", ["∂²/∂U² = (XXᵀ) ⊗ I"]),
        ("log(det(S+x*x')), S symmetric", "x", "order", "2", ["∂²/∂x² = 2M((1 − xᵀMx) I − xxᵀM)"]),
        ("exp(-norm2(x-y)^2/(2*c^2))", "x", "order", "2", ["∂²/∂x² = 1/c² exp(−1/(2c²) ‖s‖²) (1/c² ssᵀ − I)"]),
        ("w'*sin(U*x)", "U", "order", "2", ["∂²/∂U² = −(diag(w ⊙ sin(Ux))) ⊗ (xxᵀ)"]),
        ("sigmoid(w'*tanh(U*x))", "x", "order", "2", ["∂²/∂x² = c (1 − c) Uᵀdiag(q)((1 − 2c) 1qᵀ + 2 diag(s))U"]),
        ("sum(exp(x))", "x", "order", "2", ["∂²/∂x² = diag(exp(x))"]),
        ("softmax(z)", "z", "gradient", "", ["∂f/∂z = diag(s) − ssᵀ"]),
        ("A*x", "x", "jacobian", "f", ["∂f/∂x = A"]),
        ("A*x", "x", "jvp", "f", ["J v = Av"]),
        ("A*x", "x", "vjp", "f", ["Jᵀu = Aᵀu"]),
        ("x'*A*x", "x", "hvp", "", ["∇²_x v = (A + Aᵀ)v"]),
        ("x'*y", "x", "directional", "", ["⟨∂/∂x, v⟩ = vᵀy"]),
        ("exp(a)", "a", "taylor", "2", ["T₀ = exp(a)", "T₁ = v exp(a)", "T₂ = v²/2 exp(a)"]),
    ],
)
def test_short_forms(text, wrt, product, argument, shown):
    assert told(text, product, argument, wrt) == shown


@pytest.mark.parametrize("name", sorted(p.stem for p in EXAMPLES.glob("*.symml")))
def test_every_page_has_a_hessian_and_a_product_with_it(name):
    first = symml.load(EXAMPLES / f"{name}.symml").parameters[0]  # tests/calculus/test_columns.py compares every block
    for rows in (of_page(name, "order", "2", first), of_page(name, "hvp", "", first)):
        heads = {row["section"]: row for row in reversed(rows)}  # other rows of a section go on with its sum
        assert rows and all("agrees" in row["proof"] for row in heads.values())


def test_third_order_in_index_form():
    (row,) = pipeline.derivations(Source("-e", "sum(exp(X*w))"), True, "w", "matrix", {}, False, "order", "3")
    assert row["text"] == "∂³/∂w[j]∂w[k]∂w[l] = sum[i] X[i, j] X[i, k] X[i, l] exp(T₁[i])" and "agrees" in row["proof"]


def test_terms_are_written_up_to_what_the_page_names():
    rows = of_page("softmax_regression", "order", "2")
    assert [row["text"] for row in rows] == [
        "∂²/∂W[j, k]∂W[l, m] = −1/n sum[i] P[i, k] P[i, m] X[i, j] X[i, l]",
        "∂²/∂W[j, k]∂W[l, k] += 1/n sum[i] P[i, k] X[i, j] X[i, l]",
        "∂²/∂W[j, k]∂W[j, k] += λ",
    ]
    assert [text for row in rows for _, text in row["where"]] == ["P = softmax(XW)"]
    assert "printed form agrees" in rows[0]["proof"]


def test_a_wrong_hessian_is_not_shown(monkeypatch):
    monkeypatch.setattr(complex_step, "STEP", 1.0)  # no derivative any more
    with pytest.raises(NumericError, match="wrong"):
        told("sum(exp(x))", "order", "2", "x")


@pytest.mark.parametrize(
    ("text", "product", "argument", "words"),
    [
        ("A*x", "order", "2", "scalar expression"),
        ("x'*x", "order", "0", "no order"),
        ("x'*x", "order", "1", "first derivative"),
        ("A*x", "divergence", "f", "has the shape"),
    ],
)
def test_what_is_refused(text, product, argument, words):
    with pytest.raises(SymmlError, match=words):
        told(text, product, argument, "x")


def test_a_quantity_is_one_of_the_page():
    with pytest.raises(SymmlError, match="not defined") as caught:
        of_page("logistic_regression", "jacobian", "q")
    assert "p" in str(caught.value)


def test_methods_of_the_model():
    model = symml.load(EXAMPLES / "logistic_regression.symml")
    assert "∂²/∂w∂b = 1/n Xᵀ(s ⊙ (1 − s))" in model.hessian("w", "b").text()
    assert "∂³/∂b³" in model.derivative("b", "b", "b").text()
    assert "∂p/∂w = diag(" in model.jacobian("p", "w").text()
    assert model.vjp("p", "b").rows and model.jvp("p", "b").rows and model.hvp("b").rows and model.taylor(1, "b").rows
    assert model.directional("w").rows
    with pytest.raises(SymmlError, match="not trained"):
        model.hessian("w", "c")
    with pytest.raises(SymmlError, match="two parameters"):
        model.derivative("w")


@pytest.mark.parametrize("name", ["rnn", "gcn", "appnp"])
def test_a_name_has_one_meaning_on_a_page(name):
    """Blocks are programs of their own: what one block calls T3 is T3 in all, and no line says that a name is itself."""
    said: dict[str, set[str]] = {}
    read: set[str] = set()
    for row in of_page(name, "order", "2"):
        read |= {t for text in (row["text"], *(w for _, w in row["where"])) for t in re.findall(r"\bT[₀-₉]+", text)}
        for _, text in row["where"]:
            left, right = text.replace(" += ", " = ").split(" = ", 1)
            assert left != right
            said.setdefault(left.split("[")[0], set()).add(row["section"])
            assert not (left.startswith("D") or left.startswith("t")), f"{text} has a name of its block alone"
    assert read and read <= set(said)


def test_recurrences_of_second_order_are_short():
    """The hidden Markov model by what starts it: the forward and the backward recurrence and the derivatives of both."""
    rows = of_page("hmm", "order", "2", "a")
    texts = [text for row in rows for _, text in row["where"]]
    assert "P = softmax(A)" in texts and len(texts) + len(rows) <= 17
    assert "α[t + 1, k] = Q[k, obs[t + 1]] sum[j] P[j, k] α[t, j]   for t = 0..T − 2" in texts


@pytest.mark.parametrize("text", ["sum(eigvals(X))", "sum(eigvals(X)), X symmetric"])
def test_the_sum_of_eigenvalues_has_no_second_derivative(text):
    """V V' = I stands in the program, not in rounding errors."""
    assert told(text, "gradient", "", "X") == ["I"]
    assert told(text, "order", "2", "X") == ["∂²/∂X[j, k]∂X[l, m] = 0"]


def test_terms_of_a_pattern_are_one_line_and_numbers_have_names():
    shown = told("(x'*A*x)/(x'*x), A symmetric", "order", "3", "x")
    assert len(shown) == 4 and "∂³/∂x[j]∂x[k]∂x[k] += 4/T₃² (2 T₂ x[j]/T₃ − T₁[j])" in shown


@pytest.mark.parametrize(
    ("text", "wrt", "order", "shown"),
    [
        ("norm2(X*w-y)^2", "X", "4", "∂⁴/∂X[j, k]∂X[l, m]∂X[p, q]∂X[r, s] = 0"),  # the third does not hold X
        (
            "log(det(X))",
            "X",
            "3",
            "∂³/∂X[j, k]∂X[l, m]∂X[p, q] = T₁[k, l] T₁[m, p] T₁[q, j] + T₁[k, p] T₁[m, j] T₁[q, l]",
        ),
    ],
)
def test_higher_orders(text, wrt, order, shown):
    assert told(text, "order", order, wrt)[0] == shown


def test_what_is_rewritten_for_print_is_compared(monkeypatch):
    """The control: a rewriting that changes a value is told, never printed."""

    def wrong(program, keep):
        return program.mapped(lambda s: s.with_body(s.body * 1.001))

    body = "dims T\ndata x[T]\nparam a\ns[0] = x[0]\ns[t] = tanh(a s[t-1]) + x[t] for t in 1..T-1\nminimize s[T-1]^2"
    rows = pipeline.derivations(page(body), False, None, "matrix", {}, product="order", argument="2")
    assert "printed form agrees" in str(rows)
    monkeypatch.setattr(tensors, "for_print", wrong)
    with pytest.raises(NumericError, match="is to be printed"):
        pipeline.derivations(page(body), False, None, "matrix", {}, product="order", argument="2")

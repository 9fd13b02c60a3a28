"""Whole pages to Trees."""

from pathlib import Path

import pytest

from symml.source import Source, Span
from symml.syntax import tree
from symml.syntax.parse import parse, parse_expression

PAGES = sorted((Path(__file__).parent / "pages").glob("*.symml"))
NOWHERE = Span(Source("", ""), 1, 1)


def page(name):
    path = Path(__file__).parent / "pages" / f"{name}.symml"
    return parse(Source(path.name, path.read_text()))


def one(text):
    (statement,) = parse(Source("m", text)).statements
    return statement


def expr(text):
    return parse_expression(Source("-e", text))


def name(text):
    return tree.Name(text, span=NOWHERE)


def number(value):
    return tree.Number(value, span=NOWHERE)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_every_page_parses(path):
    assert parse(Source(path.name, path.read_text())).statements


def test_logistic_regression():
    head, dims, data, param, hyper, split, p, objective, train, predict, report = page("logistic_regression").statements
    assert (head.kind, head.name.id) == ("model", "logistic_regression")
    assert [i.name.id for i in dims.items] == ["n", "d"]
    x, y = data.items
    assert (x.shape, x.flags, x.bound) == ((name("n"), name("d")), ("standardised",), None)
    assert y.bound == ("in", tree.SetLiteral((number(0), number(1)), span=NOWHERE))
    assert data.sources == (((x, y), tree.From("data/breast_cancer.csv", "benign", span=NOWHERE)),)
    assert [i.name.id for i in param.items] == ["w", "b"]
    (lam,) = hyper.items
    assert (lam.bound, lam.value) == ((">", number(0)), number(1e-2))
    assert [(n.id, v.value) for n, v in split.parts] == [("train", 0.8), ("test", 0.2)]
    assert (split.dim.id, split.seed, split.stratified_by) == ("n", number(0), name("y"))
    assert p == tree.Define(name("p"), (), expr("sigmoid(X w + b)"), span=NOWHERE)
    assert (objective.sense, objective.over) == ("minimize", (name("w"), name("b")))
    assert objective.value == expr("-1/n sum[i] (y[i] log p[i] + (1 - y[i]) log(1 - p[i])) + lam/2 ||w||^2")
    assert (train.method.name.id, train.until.first) == ("lbfgs", expr("|grad|"))
    assert predict == tree.Predict(name("p"), span=NOWHERE)
    assert (report.name.id, report.part, report.value) == (
        "accuracy",
        name("test"),
        expr("mean[i] [[p[i] > 1/2] = y[i]]"),
    )


def test_adam():
    head, hyper, state, *updates = page("adam").statements
    assert head.kind == "optimizer"
    assert [(i.name.id, i.value.value) for i in hyper.items] == [
        ("lr", 1e-3),
        ("beta1", 0.9),
        ("beta2", 0.999),
        ("eps", 1e-8),
    ]
    assert [i.name.id for i in state.items] == ["m", "v", "t"]
    assert [u.target.id for u in updates] == ["t", "m", "v", "theta"]
    assert updates[3].value == expr("theta - ((lr (m / (1 - beta1^t))) / (sqrt(v / (1 - beta2^t)) + eps))")


def test_statements_of_the_other_pages():
    assert [type(s).__name__ for s in page("gcn").statements[2:4]] == ["Graph", "Declare"]
    graph = page("gcn").statements[2]
    assert (graph.name.id, graph.over.id, graph.source.path, graph.flags) == (
        "G", "n", "data/karate_edges.csv", ("undirected", "self_loops"),
    )  # fmt: skip
    assert page("gcn").statements[3].items[2].bound == ("subset", name("n"))
    grown = page("decision_tree").statements[-1]
    assert [d.target.id for d in grown.body] == ["p", "impurity"]
    assert grown.body[0].value == tree.Binary("/", grown.body[0].value.left, name("count"), span=NOWHERE)
    solve = page("value_iteration").statements[-1]
    assert (solve.over, solve.equations[0].first) == ((name("V"),), expr("V[s]"))
    drawn = page("eight_schools").statements[-2]
    assert (drawn.target, drawn.indices, drawn.distribution) == (
        name("y"),
        (name("j"),),
        expr("Normal(theta[j], s[j])"),
    )
    head, density, sample = page("normal").statements
    assert (head.kind, head.name.id, head.support) == ("distribution", "Normal", name("real"))
    assert [(p.name.id, p.bound) for p in head.params] == [("mu", None), ("sigma", (">", number(0)))]
    assert density.name.id == "logpdf"
    assert sample.params[0].bound == ("~", name("StandardNormal"))
    recurrence = page("hmm").statements[5]
    assert recurrence.ranges == (
        tree.Binder((name("t"),), tree.Range(number(1), expr("T-1"), span=NOWHERE), span=NOWHERE),
    )
    assert page("pca").statements[-1].constraints[0].rest == (("=", name("I")),)


def test_distribution_lines_may_be_indented():
    assert [type(s).__name__ for s in parse(Source("d", "distribution D(a) on real\n  logpdf(x) = x\n  b = 2\n")).statements] == [
        "Head", "Function", "Define",
    ]  # fmt: skip


def test_use_define_iterate_infer_cases():
    assert one('use "layers.symml"').path == "layers.symml"
    function = one("define f(x[d], k) = k ||x||")
    assert [p.name.id for p in function.params] == ["x", "k"]
    assert one("iterate x <- x - x/2 until |x| < 1").until.rest[0] == ("<", number(1))
    assert one("infer with nuts(chains = 4)").method.options[0].name == "chains"
    rows = one("h[i] = cases\n  -r[i]^2/2  if |r[i]| <= 1\n  |r[i]| - 1/2  otherwise").value.rows
    assert (rows[0][0], rows[1][1]) == (expr("-r[i]^2/2"), None)


def test_roles_choices_sets_and_starts():
    data = one('data X[n] missing allowed, weight w[n] > 0, lengths L[N] in 1..T  from "a" columns {"x", "y"}')
    assert [i.flags for i in data.items] == [("missing", "allowed"), ("weight",), ("lengths",)]
    assert data.sources[0][1].columns.items[1].value == "y"
    choice = one("hyper lam in {1, 2} chosen by smallest rmse on valid").items[0].choice
    assert (choice.sense, choice.name, choice.part) == ("smallest", name("rmse"), name("valid"))
    chosen = one("S = {i in n, j in m where i < j}").value
    assert ([b.names[0].id for b in chosen.binders], chosen.where.rest) == (["i", "j"], (("<", name("j")),))
    assert one("S = {1, 2}").value == tree.SetLiteral((number(1), number(2)), span=NOWHERE)
    iterate = one("iterate x[i] <- x[i]/2 from y until ||x|| < 1")
    assert (iterate.indices, iterate.start, iterate.until) == ((name("i"),), name("y"), expr("[||x|| < 1]").test)
    assert one("define h(r) = cases\n  r  if r > 0\n  0  otherwise").value.rows[1] == (number(0), None)


def test_a_from_serves_the_names_before_it():
    data = one('data X[n, d], y[n] from "a.csv" label "y"\n  Z[n] from "b.csv" columns 1..30\n  q[n]')
    assert [([i.name.id for i in group], origin and origin.path) for group, origin in data.sources] == [
        (["X", "y"], "a.csv"), (["Z"], "b.csv"), (["q"], None),
    ]  # fmt: skip
    assert data.sources[1][1].columns == tree.Range(number(1), number(30), span=NOWHERE)


def test_a_from_on_its_own_line():
    for text in ('data X[n]\nfrom "a.csv"', 'data X[n]\n  from "a.csv"', 'data\n  X[n]\n     from "a.csv"'):
        assert one(text).sources[0][1].path == "a.csv"


def test_lines():
    assert one("p = a +\n  b") == one("p = a + b")
    assert one("p = a\n  + b") == one("p = a + b")
    assert one("p = (a\n  b)") == one("p = (a b)")
    assert one("p = sum[i]\n  x[i]") == one("p = sum[i] x[i]")
    assert one("minimize over w, b\n  -w") == one("minimize over w, b  -w")
    assert one("minimize f\nsubject to x = 1;\n  y = 2") == one("minimize f subject to x = 1; y = 2")
    assert one("param\n  w[d]\n  b").items == one("param w[d], b").items
    assert one("param w[d]   # the weights\n\n  # and\n  b\n").items == one("param w[d], b").items
    assert one("train with adam(lr = 1,\n  seed = 0)\n  until x < 1") == one(
        "train with adam(lr = 1, seed = 0) until x < 1"
    )


def test_places_count_from_the_top_of_the_page():
    page = parse(Source("m", "model m\n\n# more\np = a +\n  b c\n"))
    product = page.statements[1].value.right
    assert (product.span.line, product.span.column, product.span.width) == (5, 3, 3)


def test_expected_output():
    assert parse(Source("m", "model m\n#> loss = 1\n#>\np = 1\n#>  x")).expected == (
        (2, "loss = 1"),
        (3, ""),
        (5, " x"),
    )


def test_windows_line_ends():
    assert parse(Source("m", "model m\r\np = a +\r\n  b\r\n")) == parse(Source("m", "model m\np = a +\n  b\n"))


def test_soft_words_may_be_names():
    assert one("param label, seed[n], columns, of").items[0].name.id == "label"
    assert one("p = 2 label seed columns of") == tree.Define(
        name("p"), (), expr("2 label seed columns of"), span=NOWHERE
    )
    assert one("predict label = argmax[c] Z[c]").name.id == "label"
    assert one("train with lbfgs(step = 1)").method.options[0].name == "step"


def test_greek_is_one_spelling():
    assert one("param λ, Σ_x1").items == one("param lambda, Sigma_x1").items
    assert expr("‖x‖ ⊙ Aᵀ − ∑[i ∈ S] x[i]") == expr("||x|| .* A' - sum[i in S] x[i]")

"""Expressions: what binds to what. Each text is compared with the same written out in brackets."""

import pytest

from symml.errors import SymmlErrors
from symml.source import Source
from symml.syntax import tree
from symml.syntax.parse import parse_expression


def expr(text):
    return parse_expression(Source("-e", text))


SAME = [
    # one level of products, left to right
    ("1/n sum[i] x[i]", "(1/n) (sum[i] x[i])"),
    ("lam/2 ||w||^2", "(lam/2) (||w||^2)"),
    ("a b/c d", "((a b)/c) d"),
    ("a .* b @ c", "(a .* b) @ c"),
    ("a/b c", "(a/b) c"),
    ("a / b / c", "(a / b) / c"),
    ("a / b * c", "(a / b) * c"),
    ("a /b c", "(a/b) c"),
    # powers, signs, transposes
    ("-a b", "-(a b)"),
    ("-x^2", "-(x^2)"),
    ("a^b^c", "a^(b^c)"),
    ("2^-x", "2^(-x)"),
    ("A'^2", "(A')^2"),
    ("x[i]'", "(x[i])'"),
    ("w -1", "w - 1"),
    ("w - 1 - 2", "(w - 1) - 2"),
    ("--x", "-(-x)"),
    # reductions take the rest of the product
    ("sum[i] a[i] b[i] + c", "(sum[i] (a[i] b[i])) + c"),
    ("sum[i] a[i]/n", "sum[i] (a[i]/n)"),
    ("sum[i] -a[i] b", "sum[i] (-(a[i] b))"),
    ("a sum[i] b sum[j] c", "a (sum[i] (b (sum[j] c)))"),
    ("2 * sum[i] x[i] / n", "2 * (sum[i] (x[i] / n))"),
    ("[sum[i] a = b]", "[(sum[i] a) = b]"),
    ("mean[i] [argmax[k] Z[i, k] = y[i]]", "mean[i] [(argmax[k] Z[i, k]) = y[i]]"),
    # touching
    ("f(x)(y)", "f(x) (y)"),
    ("2(a + b)", "2 (a + b)"),
    ("x[i](a)", "x[i] (a)"),
    ("x'y", "x' y"),
    ("2[a = b]", "2 [a = b]"),
    ("[a = b][c = d]", "[a = b] [c = d]"),
    ("|a| |b|", "(|a|) (|b|)"),
    ("| |a| - b |", "|(|a|) - b|"),
    # tests
    ("[a = b and c < d or not e = f]", "[((a = b) and (c < d)) or (not (e = f))]"),
    ("[-2 <= x <= 5]", "[ -2 <= x <= 5 ]"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "written_out"), SAME)
def test_same(text, written_out):
    assert expr(text) == expr(written_out)


def shown(node):
    """A tree on one line, for what brackets cannot say."""
    match node:
        case tree.Name(id=text):
            return text
        case tree.Number(value=value):
            return str(value)
        case tree.Call(function=function, args=args, bare=bare):
            return f"{function}{'~' if bare else ''}({', '.join(map(shown, args))})"
        case tree.Index(base=base, indices=indices):
            return f"{shown(base)}[{', '.join(map(shown, indices))}]"
        case tree.Transpose(arg=arg):
            return f"{shown(arg)}'"
        case tree.Negate(arg=arg):
            return f"(-{shown(arg)})"
        case tree.Binary(op=op, left=left, right=right):
            return f"({shown(left)} {op} {shown(right)})"
        case tree.Norm(arg=arg, order=order):
            return f"norm{order}({shown(arg)})"
        case tree.Reduction(kind=kind, binders=binders, where=where, body=body):
            over = "; ".join(
                " ".join(n.id for n in b.names) + (f" in {shown(b.domain)}" if b.domain else "") for b in binders
            )
            test = f" where {shown(where)}" if where else ""
            return f"{kind}<{over}{test}>{'' if body is None else shown(body)}"
        case tree.Compare(first=first, rest=rest):
            return shown(first) + "".join(f" {op} {shown(e)}" for op, e in rest)
        case tree.Iverson(test=test):
            return f"[{shown(test)}]"
        case tree.Range(low=low, high=high):
            return f"{shown(low)}..{shown(high)}"
        case tree.SetLiteral(items=items):
            return "{" + ", ".join(map(shown, items)) + "}"
        case tree.Interval(low=low, high=high, closed=closed):
            return f"{'(['[closed[0]]}{shown(low)}, {shown(high)}{')]'[closed[1]]}"
    raise AssertionError(node)


SHOWN = [
    # matrixcalculus.org's input
    ("x'*A*x", "((x' * A) * x)"),
    ("norm2(x)^2", "(norm2(x) ^ 2)"),
    ("sum(log(exp(v)+vector(1)))", "sum(log((exp(v) + vector(1))))"),
    ("X'*X", "(X' * X)"),
    ("a.*b", "(a .* b)"),
    ("inv(X)", "inv(X)"),
    ("tr(X' A X)", "tr(((X' product A) product X))"),
    # functions without brackets
    ("log p[i]", "log~(p[i])"),
    ("log x^2", "log~((x ^ 2))"),
    ("log (x)", "log~(x)"),
    ("log(x)", "log(x)"),
    ("log ||x||", "log~(norm2(x))"),
    ("n log n / 2", "((n product log~(n)) / 2)"),
    ("sin x cos x", "(sin~(x) product cos~(x))"),
    ("log 2 * pi", "(log~(2) * pi)"),
    ("log sum[k] a[k] b", "log~(sum<k>(a[k] product b))"),
    ("y[i] log p[i] + z", "((y[i] product log~(p[i])) + z)"),
    # touching
    ("f(x)", "f(x)"),
    ("f (x)", "(f product x)"),
    ("(X w)[i]", "(X product w)[i]"),
    ("X [a = b]", "(X product [a = b])"),
    ("x[i][j]'", "x[i][j]'"),
    # binders
    ("sum[i, j in S where i < j] x", "sum<i j in S where i < j>x"),
    ("sum[i in S, j] x", "sum<i in S; j>x"),
    ("sum[t in 1..T-1] x", "sum<t in 1..(T - 1)>x"),
    ("sum[k in {1, 2}] x", "sum<k in {1, 2}>x"),
    ("sum[j in G(i)] x", "sum<j in G(i)>x"),
    ("count[i where y[i] = c]", "count<i where y[i] = c>"),
    ("count[i] / 2", "(count<i> / 2)"),
    # domains in tests
    ("[x in [0, 1)]", "[x in [0, 1)]"),
    ("[x in (0, 1]]", "[x in (0, 1]]"),
    ("[i in 1..n]", "[i in 1..n]"),
    # norms
    ("||x||_1", "norm1(x)"),
    ("||x||_inf", "norminf(x)"),
    ("||W||_F", "norm2(W)"),
    # numbers
    ("1e-3 + 2.5 + 7", "((0.001 + 2.5) + 7)"),
    ("2x", "(2 product x)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "want"), SHOWN)
def test_shown(text, want):
    assert shown(expr(text)) == want


def test_whole_numbers_stay_whole():
    assert type(expr("7").value) is int
    assert type(expr("7.0").value) is float
    assert type(expr("7e0").value) is float


@pytest.mark.parametrize(
    "text",
    [
        "log a b",
        "log 2 pi",
        "log log x",
        "a / b c",
        "A^2'",
        "A^k'",
        "x**2",
        "a * -b",
        "_x",
        "p(",
        "a b)",
        "log a sum[i] x",
    ],
)
def test_refused(text):
    with pytest.raises(SymmlErrors):
        expr(text)


@pytest.mark.parametrize(("text", "allowed"), [
    ("max[i] x[i]/n", False), ("max[i] x[i]/n y", False), ("prod[i] -x[i] / 2", False), ("logsumexp[i] a x[i] / b", False),
    ("max[i] 1/n x[i]", True), ("(max[i] x[i])/n", True), ("max[i] (x[i]/n)", True), ("sum[i] x[i]/n", True),
])  # fmt: skip
def test_division_after_the_body_of_max(text, allowed):
    if allowed:
        expr(text)
    else:
        with pytest.raises(SymmlErrors, match="may belong inside or outside"):
            expr(text)


def test_an_expression_may_run_over_lines():
    assert expr("x' A\n   x  # quadratic") == expr("x' A x")


def test_walk_visits_every_node():
    names = [n.id for n in tree.walk(expr("a + f(b, sum[i in S] c[i])")) if isinstance(n, tree.Name)]
    assert names == ["a", "b", "i", "S", "c", "i"]

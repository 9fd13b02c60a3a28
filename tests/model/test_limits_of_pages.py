"""Limits of a lowered page: numbers that are not real, not finite or not of float64; too many loops or axes."""

from __future__ import annotations

import pytest
import sympy
from check import page

from symml import pipeline
from symml.cli.options import number
from symml.errors import NumericError, SpecError, SymmlError
from symml.ir.expand import expand, expand_products, expand_sums
from symml.source import Source


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("w + 1/0", "infinite"),
        ("w + 0^(-1)", "infinite"),
        ("w + log 0", "infinite"),
        ("w + tan(pi/2)", "infinite"),
        ("w [1/0 < w]", "infinite"),
        ("w + sum[i in 3 where [1/0 < i] > 0] w", "infinite"),
        ("w + 0/0", "undefined"),
        ("w + (-1)^(1/2)", "not real"),
        ("w + (-8)^(1/3)", "not real"),
        ("w + sqrt(1 - pi)", "not real"),
        ("w + log(-1)", "not real"),
        ("w + 10^300 * 10^300", "float64"),
        ("w + 10^(-300) * 10^(-300)", "float64"),
    ],
)
def test_a_number_that_is_none_is_refused(text, word):
    with pytest.raises(SpecError, match=word) as caught:
        pipeline.load(page(f"param w\nminimize {text}"))
    error = getattr(caught.value, "errors", (caught.value,))[0]
    assert error.span.line == 3


def test_expressions_without_a_page_too():
    with pytest.raises(SpecError, match="infinite"):
        pipeline.derivations(Source("-e", "x' * x / 0"), True, None, "matrix", {})


def test_large_numbers_that_float64_holds_are_numbers():
    a = pipeline.analyse(page("param w\nminimize w + sin(10^300) + 2^1000 w"))
    assert [row["proof"] for row in pipeline.formulas(a)] == ["", "complex step agrees exactly"]


def test_an_overflow_is_told_from_a_wrong_gradient(recwarn):
    a = pipeline.analyse(page("param w\nminimize w exp(1000)"))
    with pytest.raises(NumericError, match="not finite"):
        pipeline.formulas(a)
    assert not recwarn.list


def test_a_byte_order_mark_is_no_letter(tmp_path):
    (tmp_path / "m.symml").write_bytes(b"\xef\xbb\xbfmodel m\nparam w\nminimize w^2\n")
    assert pipeline.read(tmp_path / "m.symml").text.startswith("model")


LETTERS = "abcdfghjk"


@pytest.mark.parametrize(
    ("declared", "text", "word"),
    [
        ("", f"sum[{', '.join(f'{k} in 3' for k in LETTERS)}] w", "9 loops"),
        ("", "sum[i in 1000000000] w i", "1000000000 rounds"),
        ("", "sum[i in 5000, j in 5000] w i", "25000000 rounds"),
        (
            f"dims {', '.join(LETTERS)}\ndata x[{', '.join(LETTERS)}]",
            "w^2 + x[0, 0, 0, 0, 0, 0, 0, 0, 0]",
            "'x' has 9 axes",
        ),
    ],
)
def test_loops_and_axes_have_limits(declared, text, word):
    with pytest.raises(SpecError, match=word) as caught:
        pipeline.load(page(f"param w\n{declared}\nminimize {text}"))
    assert getattr(caught.value, "errors", (caught.value,))[0].span


def test_a_large_dim_is_no_large_loop():
    pipeline.load(page("dims n = 1000000000\nparam w[n]\nminimize sum[i] w[i]^2"))


@pytest.mark.parametrize(
    "text",
    [
        "((((w + 1)^99 + 1)^99 + 1)^99 + 1)^99",
        "(w + v + u + t)^50 - (w - v + u - t)^50",
        " ".join(f"(w + {k} v)" for k in range(1, 40)),
    ],
)
def test_what_would_have_millions_of_terms_is_not_multiplied_out(text):
    a = pipeline.analyse(page(f"param w, v, u, t\nminimize {text}"))
    assert a.derivative.outputs["d_w"].shape == ()
    assert expand_sums(next(s.body for s in a.forward.statements)).count_ops() < 100_000


def test_a_few_terms_are():
    x, y = sympy.symbols("x y")
    assert expand((x + y) ** 3) == x**3 + 3 * x**2 * y + 3 * x * y**2 + y**3
    assert expand_products((x + y) * (x - y)) == x**2 - y**2
    assert (
        expand((x + y) ** 4000) == (x + y) ** 4000
        and expand(sympy.sin((x + y) ** 4000) + x * (x + 1)).has(x**2) is False
    )


def test_definitions_that_double_each_time_keep_their_names():
    """2^14 terms, were each written in place of its name."""
    lines = "".join(f"a{k} = a{k - 1} a{k - 1} + a{k - 1}\n" for k in range(1, 15))
    a = pipeline.analyse(page(f"param w init 1\na0 = w\n{lines}minimize a14"))
    assert all(len(row["text"]) < 5000 for row in pipeline.formulas(a))


@pytest.mark.parametrize("text", ["exp(exp(exp(exp(10))))", "cosh(10^9)", "exp(-10^400)"])
def test_exponentials_that_no_machine_could_work_out(text):
    with pytest.raises(SymmlError, match="float64"):
        pipeline.load(page(f"param w\nminimize w + {text}"))


@pytest.mark.parametrize("end", ["\u2028", "\v", "\x85"])
def test_an_end_of_line_that_no_editor_shows_is_refused(end):
    with pytest.raises(SymmlError, match=f"U.{ord(end):04X}") as caught:
        pipeline.load(page(f"param w\nminimize w^2  # {end}minimize w"))
    assert caught.value.span.line == 3


def test_no_more_mistakes_than_one_reads():
    lines = "".join(f"a{k} = q{k}\n" for k in range(300))
    with pytest.raises(SymmlError) as caught:
        pipeline.load(page(f"param w\n{lines}minimize w^2"))
    assert len(str(caught.value)) < 4000 and "more mistakes" in str(caught.value)


def test_numbers_for_hyper_parameters_are_finite():
    for text in ("nan", "1e400", "-inf"):
        with pytest.raises(SymmlError, match="finite"):
            number("lam", text)


def test_a_gradient_is_never_below_0():
    with pytest.raises(SymmlError, match="never below 0"):
        pipeline.load(page("param w init 1\nminimize w^2\ntrain with lbfgs until |grad| < -1"))

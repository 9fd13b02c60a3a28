"""Limits of a lowered page: numbers that are not real, not finite or not of float64; too many loops or axes."""

from __future__ import annotations

import pytest
from check import page

from symml import pipeline
from symml.errors import NumericError, SpecError
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

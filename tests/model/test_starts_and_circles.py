"""Mistakes that `check` finds although nothing else would read them: starts of parameters, definitions in a circle."""

from __future__ import annotations

import pytest
from check import check_error, page

from symml import pipeline
from symml.errors import SymmlErrors

REST = "\nminimize ||w||^2"


@pytest.mark.parametrize(
    ("start", "column", "word"),
    [
        ("zeros(d)", 17, "unknown function 'zeros'"),
        ("normal(0, 1/sqrt(q))", 34, "unknown name 'q'"),
        ("w", 17, "unknown name 'w'"),
    ],
)
def test_a_start_is_checked(start, column, word):
    check_error(page(f"dims d\nparam w[d] init {start}{REST}"), 3, column, word)


@pytest.mark.parametrize("start", ["0", "normal(0, 1/sqrt(d))", "s", "2 s + 1/d"])
def test_numbers_of_dims_and_hypers_are_starts(start):
    pipeline.load(page(f"dims d\nhyper s = 2\nparam w[d] init {start}{REST}"))


def test_an_unused_circle_is_refused_once():
    text = f"dims d\nparam w[d]\na = b + 1\nb = c\nc = a - 1{REST}"
    check_error(page(text), 4, 1, "definitions in a circle", "a -> b -> c -> a")
    with pytest.raises(SymmlErrors) as caught:
        pipeline.load(page(text))
    assert str(caught.value).count("circle") == 1

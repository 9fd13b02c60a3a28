"""The first line of a derivation says what the page says: its text reads as the page's own expression."""

from __future__ import annotations

import pytest
from check import EXAMPLES, NAMES, page

from symml import pipeline
from symml.derivations import page_text
from symml.derivations.page_text import written
from symml.latex.printing import LATEX, TEXT, side_by_side


def objective(source):
    return pipeline.load(source)[0].objective.value


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_written(name):
    latex, text = written(objective(pipeline.read(EXAMPLES / f"{name}.symml")))
    assert text and latex.count("{") == latex.count("}") and latex.count(r"\left") == latex.count(r"\right")


BODIES = {
    "(a + b) c": "(a + b) c",
    "-(a - (b - c))^2/(2 a)": "−(a − (b − c))²/(2 a)",
    "log(a b) / (c / b)": "log(a b)/(c/b)",
    "a exp(-b c) - |a - b|^3": "a exp(−b c) − |a − b|³",
    "||x||_1 + ||x||_inf - a": "‖x‖₁ + ‖x‖_∞ − a",
}


@pytest.mark.parametrize("body", BODIES)
def test_brackets_stand_where_they_must(body):
    assert written(objective(page(f"dims n\ndata x[n]\nparam a, b, c\nminimize {body}")))[1] == BODIES[body]


def test_a_text_that_says_something_else_is_not_shown(monkeypatch):
    e = objective(page("param a, b, c\nminimize (a + b) c"))
    at = page_text._at
    monkeypatch.setattr(page_text, "_at", lambda e, level: at(e, page_text.SUM))
    assert written(e) is None


FACTORS = {("μ₂", "wanted"): "μ₂ wanted", ("λ", "share"): "λ share", ("2", "rise"): "2rise", ("a", "b²"): "ab²"}


@pytest.mark.parametrize("factors", FACTORS)
def test_names_of_several_letters_stand_apart(factors):
    assert side_by_side(factors, TEXT) == FACTORS[factors]


def test_upright_names_stand_apart_in_latex():
    assert side_by_side((r"\mathrm{lr}", "m"), LATEX) == r"\mathrm{lr} \, m"
    assert side_by_side(("2", r"\mathrm{lr}", r"\left(a\right)"), LATEX) == r"2 \mathrm{lr} \left(a\right)"

"""A number that only a sum gives stands where it is read, in the tree that is compared; a wrong one stands by its name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from check import page

from symml import pipeline
from symml.latex import derivation

BODY = "dims n\nparam p[n] > 0\nhyper m = 1/2\nminimize (sum[i] (i + 1) p[i] - m)^2 + {more}"


def loss(more: str) -> dict:
    return pipeline.derivations(page(BODY.format(more=more)), False, None, "matrix", {})[0]


@pytest.mark.parametrize(
    "more, text",
    [
        ("1", "(sum[i] p[i] (i + 1) − m)² + 1"),
        ("log(sum[i] (i + 1)^2 p[i])", "log(sum[i] p[i] (i + 1)²) + (sum[i] p[i] (i + 1) − m)²"),
    ],
)
def test_a_sum_stands_where_it_is_a_term(more, text):
    row = loss(more)
    assert row["text"] == text and not row["where"]


def test_below_a_bar_it_has_its_name():
    row = loss("1/(sum[i] (i + 1)^2 p[i])")
    assert "1/t₂" in row["text"] and "t₂ = sum[i] p[i] (i + 1)²" in [text for _, text in row["where"]]


def test_a_wrong_sum_is_not_shown(monkeypatch):
    """Negative control: the sum with the other sign is no other way to write the formula."""
    right = derivation.in_place

    def wrong(node, sum_):
        s = sum_.statement
        return right(node, replace(sum_, statement=s.with_body(-s.body)))

    monkeypatch.setattr(derivation, "in_place", wrong)
    assert "sum" not in loss("log(sum[i] (i + 1)^2 p[i])")["text"]

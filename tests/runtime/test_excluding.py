"""Affine conditions that exclude each other are told, and those that do not are not."""

import numpy as np
import pytest

from symml import pipeline
from symml.errors import NumericError
from symml.runtime.excluding import missed
from tests.check import page

SIMPLEX = (
    "param a[3] in simplex\nminimize over a  ||a||^2\nsubject to a[0] + a[1] >= {}\n"
    "train with interior_point(iterations = {})"
)


@pytest.mark.parametrize(
    "rows, sides, equal, least",
    [
        ([[1, 0], [-1, 0]], [-1, 3], 0, 1.0),  # x <= 1, x >= 3
        ([[1, 1], [1, 1]], [-1, -2], 2, 0.5),  # x + y = 1 = 2
        ([[1, 1], [1, 1]], [-1, -1], 2, 0.0),  # the same twice
        ([[1, 0], [-1, 0]], [-1e9, 1e9 - 1], 0, 0.0),
        ([[0, 0]], [1], 1, 1.0),
    ],
)
def test_by_how_much_a_condition_is_missed(rows, sides, equal, least):
    assert missed(np.array(rows, float), np.array(sides, float), equal) == pytest.approx(least, abs=1e-9)


def run(least: float, steps: int) -> pipeline.Result:
    return pipeline.train(page(SIMPLEX.format(least, steps)), pipeline.Options(target="reference"), {}, 0)


def test_a_run_that_only_stops_asks():
    with pytest.raises(NumericError, match=r"no point satisfies(.|\n)*misses them by 0.33"):
        run(2, 8)
    assert run(0.5, 1).outcome["status"] == "stopped"

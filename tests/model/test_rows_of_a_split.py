"""A split takes rows of the data: pages in which rows belong together are refused, before anything is bound."""

import pytest

from symml import pipeline
from symml.errors import SymmlError
from symml.source import Source

HEAD = "dims n, d, c\ndata X[n, d], y[n], k[n] in c\nparam w[d], v[c]\nsplit n into train 0.8, test 0.2\n"
ALONE = [
    "minimize over w, v  sum[i] (y[i] - X[i]' w - v[k[i]])^2",
    "minimize over w, v  sum[i, j] (y[i] - y[j] - X[i]' w)^2 + ||v||^2 + max[i] y[i]",
    "q = sort(y)\nminimize over w, v  ||q - X w||^2 + ||v||^2",
    "minimize over w, v  sum[i where k[i] = 1] (y[i] - X[i]' w)^2 + ||v||^2",
]
TOGETHER = [  # (declarations, objective, words)
    ("", "sum[i in 1..n-1] (y[i] - y[i-1] - X[i]' w)^2", "meet their neighbours"),
    ("z[0] = y[0]\nz[i] = z[i-1]/2 + y[i] for i in 1..n-1\n", "||z - X w||^2", "meet their neighbours"),
    ('graph G over n   from "e.csv"\n', "sum[i] (y[i] - sum[j in G(i)] X[j]' w)^2", "beside 'G'"),
    ("data A[n, n]\n", "||y - A X w||^2", "beside 'A'"),
    ("data next[n] in n\n", "sum[i] (y[i] - X[next[i]]' w)^2", "beside 'next'"),
    ("param u[n]\n", "||y - u - X w||^2", "beside 'u'"),
]


def load(text):
    return pipeline.load(Source("m", HEAD + text + "\n"))


@pytest.mark.parametrize("text", ALONE)
def test_rows_that_stand_alone(text):
    load(text)


@pytest.mark.parametrize(("lines", "objective", "words"), TOGETHER)
def test_rows_that_belong_together(lines, objective, words):
    text = f"{lines}minimize over w, v  {objective} + ||v||^2"
    with pytest.raises(SymmlError, match=words) as caught:
        load(text)
    assert caught.value.span is not None
    pipeline.load(Source("m", HEAD.replace("split n into train 0.8, test 0.2\n", "") + text + "\n"))  # without a split


@pytest.mark.parametrize(
    ("split", "words"),
    [("split d into train 0.8, test 0.2", "no data have rows of 'd'"), ("split n into a 0.5, a 0.5", "two parts")],
)
def test_wrong_splits(split, words):
    with pytest.raises(SymmlError, match=words):
        pipeline.load(Source("m", HEAD.replace("split n into train 0.8, test 0.2", split) + ALONE[0] + "\n"))


def test_check_knows_the_methods():
    page = HEAD + ALONE[0] + "\ntrain with adamm(lr = 1e-3)\n"
    with pytest.raises(SymmlError, match="unknown method 'adamm'"):
        pipeline.checked(Source("m", page))

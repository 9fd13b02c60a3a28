"""Sets that a page defines, tests with `in`, columns by their titles."""

from __future__ import annotations

import numpy as np
import pytest

import symml
from symml import pipeline
from symml.errors import DataError, SymmlErrors
from symml.ir.evaluate import evaluate
from symml.proof.samples import sizes
from tests.check import analysis, check_derivative, page

HEAD = "dims n\ndata y[n]\nparam a init 1\n"
Y = np.array([-1.0, 0.0, 1.0, 2.0, 2.5, 3.0])


@pytest.mark.parametrize(
    ("lines", "truth"),
    [
        ("S = {i in n where y[i] > 0}\nminimize over a  a sum[i in S] y[i] + a |S|", 12.5),
        ("S = {i in n where y[i] > 0}\nminimize over a  a sum[i where i in S and y[i] < 3] y[i]", 5.5),
        ("S = {i in n where not y[i] in {0, 2, 3}}\nminimize over a  a count[i in S]", 3.0),
        ("minimize over a  a count[i where y[i] in 0..2]", 3.0),
        ("minimize over a  a count[i where y[i] in (0, 2]]", 2.0),
        ("minimize over a  a sum[i] [y[i] in [0, 2)]", 2.0),
    ],
)
def test_values(lines, truth):
    program = pipeline.analyse(page(HEAD + lines)).program
    given = {t: Y if t.shape else np.float64(1) for t in program.inputs}
    dims = {d: len(Y) for d in sizes(program)}
    assert evaluate(program, given, dims)[program.outputs["loss"]] == truth


def test_derivative():
    check_derivative(analysis(HEAD + "S = {i in n where y[i] > 0}\nminimize over a  sum[i in S] (y[i] - a)^2"))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("S = {i in n where y[i] > b}\nminimize over a  a |S|", "unknown name 'b'"),
        ("minimize over a  a count[i where y[i] in y]", "wants {1, 2}, a..b, an interval or a subset"),
    ],
)
def test_refused(lines, words):
    with pytest.raises(SymmlErrors) as caught:
        pipeline.analyse(page(HEAD + lines))
    assert words in str(caught.value.errors[0])


TABLE = "a,b,c,y\n1,2,3,4\n2,3,5,8\n7,1,0,2\n1,1,1,1\n"


@pytest.mark.parametrize(
    ("columns", "truth"), [('"a".."b"', [1, 2]), ('{"c", "a"}', [3, 1]), ('"c".."c"', [3]), ("2..3", [2, 3])]
)
def test_columns_by_title(tmp_path, columns, truth):
    assert _first_row(tmp_path, columns) == truth


@pytest.mark.parametrize(("columns", "words"), [('"a".."z"', "no column 'z'"), ('"c".."a"', "columns c..a")])
def test_columns_that_are_not_there(tmp_path, columns, words):
    with pytest.raises(DataError, match=words):
        _first_row(tmp_path, columns)


def _first_row(folder, columns):
    (folder / "t.csv").write_text(TABLE)
    body = f'dims n, d\ndata X[n, d] from "t.csv" columns {columns}\nparam w[d] init 0\n'
    (folder / "p.symml").write_text("model m\n" + body + "minimize over w  sum[j] (w[j] - X[0, j])^2\n")
    return np.round(symml.load(folder / "p.symml").train(target="reference").params["w"], 8).tolist()

"""Parquet files: the same columns as the CSV of the same table; wrong ones end in one sentence; pyarrow is an extra."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pyarrow
import pytest
from check import EXAMPLES
from pyarrow import parquet

import symml
from symml.errors import DataError
from symml.runtime.tables import read_table


def written(tmp_path, columns, name="t.parquet"):
    parquet.write_table(pyarrow.table(columns), tmp_path / name)
    return tmp_path / name


def test_columns_of_every_kind(tmp_path):
    text = pyarrow.array(["b", "a", "b"])
    columns = {
        "x": pyarrow.array([1.5, -2.0, 1e300]),
        "k": pyarrow.array([1, 2, 3], pyarrow.int16()),
        "flag": pyarrow.array([True, False, True]),
        "t": text,
        "code": text.dictionary_encode(),
    }
    table = read_table(written(tmp_path, columns), tmp_path)
    assert table.titled and list(table.columns) == list(columns)
    assert table.columns["x"].tolist() == [1.5, -2.0, 1e300] and table.columns["k"].tolist() == [1, 2, 3]
    assert table.columns["flag"].tolist() == [1, 0, 1] and table.columns["code"].tolist() == ["b", "a", "b"]
    assert table.columns["t"].dtype.kind == "U" and table.columns["code"].dtype.kind == "U"


@pytest.mark.parametrize(
    "columns, words",
    [
        ({"a": [1.0, None]}, "row 1 column 'a': empty"),
        ({"a": [1.0, float("nan")]}, "row 1 column 'a': nan"),
        ({"a": [[1.0], [2.0]]}, "the type list"),
        ({"a": [b"x"]}, "the type binary"),
        ({"a": pyarrow.array([], pyarrow.float64())}, "no data rows"),
    ],
)
def test_wrong_columns_are_named(tmp_path, columns, words):
    with pytest.raises(DataError, match=words):
        table = read_table(written(tmp_path, columns), tmp_path)
        table.refuse(table.columns)


def test_damaged_files_are_refused(tmp_path):
    good = written(tmp_path, {"a": np.arange(1000.0)}).read_bytes()
    rng = np.random.default_rng(0)
    spoilt = [b"", b"PAR1PAR1", good[:-1], good[len(good) // 2 :]]
    for _ in range(60):
        content = bytearray(good)
        content[rng.integers(len(good) - 400, len(good))] ^= 1 << rng.integers(8)
        spoilt.append(bytes(content))
    refused = 0
    for content in spoilt:
        (tmp_path / "s.parquet").write_bytes(content)
        try:
            read_table(tmp_path / "s.parquet", tmp_path)
        except DataError:
            refused += 1
    assert refused >= 10


def test_a_page_trains_on_parquet_as_on_csv(tmp_path):
    table = read_table(EXAMPLES / "data" / "diabetes.csv", EXAMPLES)
    path = written(tmp_path, table.columns)
    model = symml.load(EXAMPLES / "ridge.symml")
    fit = model.train(X=path, y=path, target="reference")
    assert np.array_equal(fit.params["w"], model.train(target="reference").params["w"])


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = written(tmp_path, {"a": [1.0]})
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else known(name))
    with pytest.raises(DataError, match=r"symml\[data\]"):
        read_table(path, tmp_path)


def test_pyarrow_is_loaded_only_when_used():
    code = "import sys, symml, symml.runtime.bind; assert 'pyarrow' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

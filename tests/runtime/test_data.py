"""Readers and binding: what is accepted, and that each wrong file ends in one clear sentence."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from symml import pipeline
from symml.errors import DataError, FileError, SymmlError
from symml.runtime.prepare import column_statistics, split_rows
from symml.runtime.tables import read_table
from symml.source import Source

CASES = os.environ.get("SYMML_CASES", "")


def wrong(tmp_path, name, content, *words):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        table = read_table(path, tmp_path)
        table.refuse(table.columns)
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "content, words",
    [
        ("a,b\n1,nan\n2,3\n", ("row 2", "'b'", "nan")),
        ("a,b\n1,2\ninf,3\n1e400,4\n", ("row 3", "row 4", "1e400", "overflows")),
        ("a,b\n1,\n", ("row 2", "empty")),
        ("a,b\n1,x\n2,3\n", ("row 2", "'x'")),
        ("a,b\n1,2,3\n", ("row 2", "3 cells")),
        ("a,b\n", ("no data rows",)),
        ("", ("header",)),
        ("a,a\n1,2\n", ("twice",)),
        ("a,b\n1,2\n\n3,x\n", ("row 4 column 'b'",)),
        (",a\n0,1\n", ("no title for column 1", "index=False")),
        ("1.5,2\n1,2\n", ("first line", "holds numbers")),
        ("a b\n1 2\n", ("separates its cells by ' '",)),
        ('a,b\n"1,2\n3,4\n', ("row 2 has 1 cells", "never closed")),
        ("a,b\n1,2\n".encode("utf-16"), ("UTF-16",)),
        (b"a,b\n1,2\n\xff,1\n", ("line 3",)),
    ],
)
def test_csv_mistakes_are_named(tmp_path, content, words):
    wrong(tmp_path, "t.csv", content, *words)


def read(tmp_path, text):
    (tmp_path / "t.csv").write_text(text, newline="")
    return read_table(tmp_path / "t.csv", tmp_path)


def test_csv_as_spreadsheets_write_it(tmp_path):
    table = read(tmp_path, '\ufeff"x\nunit",k,y\r\n1,"a, b",2\r\n\r\n3,"c\nd",4\r\n')
    assert {k: v.tolist() for k, v in table.columns.items()} == {"x\nunit": [1, 3], "k": ["a, b", "c\nd"], "y": [2, 4]}
    assert read(tmp_path, "1990,1991\n1,2\n").notes  # years are titles, and that is told


def test_columns_that_are_not_read_may_hold_anything(tmp_path):
    text = "id,age,k,z,y\n,1,7,9007199254740993,2\nb,NA,A2,9007199254740992,3\nc,3,7,9007199254740993,5\n"
    (tmp_path / "t.csv").write_text(text)
    lines = 'model m\ndims n, c\ndata y[n], k[n] in c   from "t.csv"\nparam v[c]\nminimize sum[i] (y[i] - v[k[i]])^2\n'
    page = tmp_path / "p.symml"

    def fit(text):
        return pipeline.train(Source(str(page), text), pipeline.Options(target="reference"), {}, 0)

    assert fit(lines).bound.labels["k"] == ["7", "A2"]
    assert fit(lines.replace("k", "z")).bound.labels["z"] == ["9007199254740992", "9007199254740993"]  # not one float
    with pytest.raises(DataError, match="row 3 column 'age': 'NA'"):
        fit(lines.replace("y[n], ", "y[n], age[n], "))
    with pytest.raises(DataError, match="row 3 column 'age': 'NA'"):
        fit(lines.replace("data ", "data X[n, d], ").replace("n, c", "n, c, d"))
    with pytest.raises(DataError, match=r"label id\[0\] is missing"):
        fit(lines.replace("k", "id"))


def npy(array, **kwargs):
    buffer = io.BytesIO()
    np.save(buffer, array, **kwargs)
    return buffer.getvalue()


def test_npy(tmp_path):
    wrong(tmp_path, "o.npy", npy(np.array([{}]), allow_pickle=True), "pickle")
    wrong(tmp_path, "h.npy", npy(np.zeros(10)).replace(b"(10,)", b"(9999999,)".ljust(5)[:10]), "npy")
    wrong(tmp_path, "n.npy", npy(np.array([1.0, np.nan])), "non-finite", "(1,)")
    (tmp_path / "big.npy").write_bytes(npy(np.asfortranarray(np.arange(6).reshape(2, 3).astype(">i2"))))
    table = read_table(tmp_path / "big.npy", tmp_path)
    assert table.columns[""].tolist() == [[0, 1, 2], [3, 4, 5]] and table.notes


def test_npz(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.eye(2), y=np.arange(2))
    assert set(read_table(tmp_path / "a.npz", tmp_path).columns) == {"X", "y"}
    (tmp_path / "k.npy").write_bytes(npy(np.array(["ä", "b"])))
    assert read_table(tmp_path / "k.npy", tmp_path).columns[""].tolist() == ["ä", "b"]
    wrong(
        tmp_path, "k.npy", npy(np.array(["ä", "b"])).replace("b".encode("utf-32-le"), b"\x00\xd8\x00\x00"), "no Unicode"
    )
    wrong(tmp_path, "b.npz", b"PK nonsense", "npz")


def test_only_regular_files_inside_the_folder(tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (inside / "link.csv").symlink_to(tmp_path / "secret.csv")
    os.mkfifo(inside / "pipe.csv")
    for path in (inside / "link.csv", inside / ".." / "secret.csv", Path("/dev/zero")):
        with pytest.raises(DataError, match="outside"):
            read_table(path, inside)
    with pytest.raises(DataError, match="regular"):
        read_table(inside / "pipe.csv", inside)
    with pytest.raises(FileError):
        read_table(inside / "none.csv", inside)


PAGE = (
    "model m\ndims n, d, c\ndata X[n, d] standardised, y[n] in c\nparam W[d, c]\n"
    "minimize -1/n sum[i] logsoftmax(X[i] W)[y[i]]\npredict softmax(X W)"
)
GOOD = {"X": np.random.default_rng(0).normal(size=(20, 2)), "y": np.array(["a", "b"] * 10)}


def train(**changes):
    return pipeline.train(
        Source("p.symml", changes.pop("page", PAGE)), pipeline.Options(target="reference"), {**GOOD, **changes}, 0
    )


def test_text_labels_come_back():
    page = PAGE.replace("predict softmax(X W)", "k[i] = argmax[j] sum[m] X[i, m] W[m, j]\npredict k")
    fit = train(page=page)
    assert set(fit.predict()) <= {"a", "b"} and fit.bound.dims["c"] == 2


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"X": np.ones((19, 2))}, ("'y'", "20", "19")),
        ({"X": np.ones(20)}, ("'X'", "[n, d]")),
        ({"X": np.full((20, 2), np.nan)}, ("non-finite", "(0, 0)")),
        ({"X": np.zeros((0, 2)), "y": []}, ("no rows",)),
        ({"Z": np.ones(3)}, ("'Z'", "is not data of this page")),
        ({"X": "a.csv"}, ("'X' was given a text", "Path")),
        ({"X": [[10**400, 1]] * 20}, ("'X' mixes",)),
        ({"y": [1.0, np.inf] * 10}, ("y[1] is infinite",)),
        ({"y": ["a", ""] * 10}, ("y[1] is missing",)),
        ({"page": PAGE.replace("c\ndata", "c = 3\ndata"), "y": np.array([0, 1, 2, 3] * 5)}, ("y[3] = 3", "0..2")),
        ({"page": PAGE.replace("c\ndata", "c = 3\ndata"), "y": np.array([0, -1] * 10)}, ("y[1] = -1",)),
    ],
)
def test_binding_mistakes_are_named(changes, words):
    with pytest.raises(SymmlError) as caught:
        train(**changes)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_a_data_frame_is_an_array():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(GOOD["X"])
    assert np.array_equal(train(X=frame, y=pandas.Series(GOOD["y"])).x, train().x)


def test_prediction_needs_the_sizes_of_the_fit():
    fit = train()
    assert fit.predict({"X": np.ones((3, 2))}).shape == (3, 2)
    with pytest.raises(DataError, match="'X' has size 5 where d is 2, as bound by the fit"):
        fit.predict({"X": np.ones((3, 5))})


@pytest.mark.parametrize("wrong", [{"target": "gpu"}, {"dtype": "float16"}])
def test_options_are_known_words(wrong):
    with pytest.raises(SymmlError, match="unknown"):
        pipeline.Options(**wrong)


def test_split_is_exact_and_stratified():
    y = np.repeat([0, 1, 2], [212, 300, 57])
    train_rows, test_rows = split_rows(569, [0.8, 0.2], 0, y)
    assert (len(train_rows), len(test_rows)) == (455, 114)
    assert sorted([*train_rows, *test_rows]) == list(range(569))
    assert np.abs(np.bincount(y[test_rows]) - 0.2 * np.bincount(y)).max() <= 1
    assert not np.array_equal(test_rows, split_rows(569, [0.8, 0.2], 1, y)[1])


def test_constant_columns_are_centred_only():
    mean, deviation = column_statistics(np.array([[1.0, 5], [3, 5]]), "standardised")
    assert mean.tolist() == [2, 5] and deviation.tolist() == [1, 1]


@pytest.mark.skipif(not CASES, reason="$SYMML_CASES is not set")
@pytest.mark.parametrize(
    "name, word",
    [
        ("32_nan_inf.csv", "nan"),
        ("34_empty.csv", "no data rows"),
        ("36_huge_header.npy", "claims"),
        ("37_object_pickle.npy", "pickle"),
    ],
)
def test_hostile_files(name, word):
    folder = Path(CASES) / "hostile"
    with pytest.raises(DataError, match=word):
        table = read_table(folder / name, folder)
        table.refuse(table.columns)


def archive(*members: tuple[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", packing) as z:
        for name, content in members:
            z.writestr(name, content)
    return held.getvalue()


def saved(array: np.ndarray) -> bytes:
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


def headed(header: str, body: bytes = b"") -> bytes:
    """An npy file with this header."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + body


def damaged(whole: bytes, at: int, bits: int = 0xFF) -> bytes:
    return whole[:at] + bytes([whole[at] ^ bits]) + whole[at + 1 :]


NOISE = saved(np.random.default_rng(0).normal(size=(300, 2)))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("t.npz", archive(("X.npy", headed("{}") + bytes(2**27))), "grows from"),
        ("t.npz", archive(*((f"{k}.npy", bytes(2**25)) for k in range(5))), "grows from"),
        ("t.npz", archive(("X.npy", NOISE), ("X.npy", NOISE)), "two members 'X'"),
        ("t.npz", damaged(archive(("X.npy", NOISE)), 400), "cannot be unpacked"),
        ("t.npz", damaged(archive(("X.npy", NOISE), packing=zipfile.ZIP_STORED), 400), "cannot be unpacked"),
        ("t.npz", archive(("X.npy", NOISE), packing=zipfile.ZIP_LZMA), "packing"),
        ("t.npz", archive(("X.npy", NOISE))[:300], "not a readable npz"),
        (
            "t.npz",
            archive(("X.npy", headed("{'descr': '<f8', 'fortran_order': False, 'shape': (9,)}", bytes(8)))),
            "claims 72",
        ),
        (
            "t.npy",
            headed("{'descr': '<f8', 'fortran_order': False, 'shape': (%s)}" % ("1," * 99), bytes(8)),
            "readable",
        ),
        ("t.npy", headed("{'descr': '<f8', 'fortran_order': 3, 'shape': (1,)}", bytes(8)), "readable"),
        ("t.npy", headed("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 9)}"), "no data rows"),
        ("t.npy", headed("[" * 9000), "readable"),
        ("t.npy", saved(np.array([2**63], np.uint64)), "2\\^63"),
        ("t.csv", b"x,y\n1," + b"9" * 200_000 + b"\n", "cannot be read as CSV"),
        ("t.csv", b"x;y\n1;2\n", "';'"),
        ("t.csv", b"x\ty\n1\t2\n", "save it with commas"),
    ],
)
def test_damaged_and_huge_files_are_refused(tmp_path, name, content, word):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=word):
        read_table(tmp_path / name, tmp_path)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings_of_all_systems(tmp_path, ending):
    (tmp_path / "t.csv").write_bytes(ending.join(["x,y", "1,2", "3,4", ""]).encode())
    assert read_table(tmp_path / "t.csv", tmp_path).columns["y"].tolist() == [2, 4]


def test_digits_of_other_scripts_are_text(tmp_path):
    (tmp_path / "t.csv").write_text("x\n\uff11\uff12\n", encoding="utf-8")
    assert read_table(tmp_path / "t.csv", tmp_path).columns["x"].dtype.kind == "U"


def test_names_of_files_cannot_steer_the_terminal(tmp_path):
    (tmp_path / "t.csv").write_text("\x1b[31mx,\x1b[31mx\n1,2\n")
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "t.csv", tmp_path)
    assert "\x1b" not in str(caught.value) and "\ufffd[31mx" in str(caught.value)


def test_a_label_is_one_vectors(tmp_path):
    (tmp_path / "t.csv").write_text("t,ppm\n1,2\n2,4\n3,6\n")
    page = "model m\ndims n\n{}\nparam a\nminimize sum[i] (y[i] - a t[i])^2\n"
    both = Source(str(tmp_path / "p.symml"), page.format('data t[n], y[n] from "t.csv" label "ppm"'))
    with pytest.raises(DataError, match="'t' and 'y' are both labelled"):
        pipeline.train(both, pipeline.Options(target="reference"), {}, 0)
    each = Source(str(tmp_path / "p.symml"), page.format('data t[n] from "t.csv"\n  y[n] from "t.csv" label "ppm"'))
    assert pipeline.train(each, pipeline.Options(target="reference"), {}, 0).params["a"] == pytest.approx(2)

"""Hostile inputs through the command line, each in a child process with limits: what the manifest of the cases promises.

$SYMML_CASES/hostile holds MANIFEST.tsv (verdict, limits, what the user must see), pages in a pseudo-syntax and data
files. Each pseudo page runs as it stands, and again in this language (PAGES). A child has an empty HOME, its own
folder, RLIMIT_AS and RLIMIT_CPU; nothing may appear in its folder, no traceback on its screen.
"""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest

HOSTILE = Path(os.environ["SYMML_CASES"]) / "hostile" if os.environ.get("SYMML_CASES") else None
pytestmark = pytest.mark.skipif(
    HOSTILE is None or not (HOSTILE / "MANIFEST.tsv").is_file(),
    reason="SYMML_CASES names no folder with hostile/MANIFEST.tsv",
)
CODES = {"reject": {2}, "accept": {0}, "warn": {0, 3}, "runtime-stop": {3}, "accept-or-reject": {0, 2}}
ADDRESS_SPACE = 8 * 2**30
CPU_SECONDS = 30
HANGING = 60
LONGEST_MESSAGE = 4000


def rows() -> list[dict]:
    if HOSTILE is None or not (HOSTILE / "MANIFEST.tsv").is_file():
        return []
    with (HOSTILE / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


ROWS = {row["case"]: row for row in rows()}


@dataclass(frozen=True)
class Page:
    """One page of this language for a case: the command, words that the user must see, files made beside it."""

    text: str
    words: tuple[str, ...] = ()
    command: tuple[str, ...] = ("check",)
    files: dict = field(default_factory=dict)
    name: str = "case.symml"
    codes: frozenset[int] | None = None


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str
    cpu: float
    wall: float
    mib: float


def resident(pid: int) -> float:
    """The most memory that a process has held so far, in MiB. (ru_maxrss counts what it was forked from as well.)"""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", text, re.M)
    return int(found[1]) / 1024 if found else 0.0


def child(arguments: list[str], folder: Path) -> Ended:
    """The command line in a process of its own, with limits."""

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    home = folder.parent / f"{folder.name}-home"
    home.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "SYMML_CACHE": str(home / "cache"),
        "PYTHONHASHSEED": "0",
    }
    out, err = home / "out", home / "err"
    start = time.perf_counter()
    with out.open("wb") as o, err.open("wb") as e:
        process = subprocess.Popen(
            [sys.executable, "-m", "symml.cli", *arguments],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(Path(__file__).parent.parent)},
            stdin=subprocess.DEVNULL,
            stdout=o,
            stderr=e,
            preexec_fn=limits,
        )
        most = 0.0
        while True:
            most = max(most, resident(process.pid))
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.perf_counter() - start > HANGING:
                process.kill()
            time.sleep(0.01)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(
        process.returncode,
        out.read_text(errors="replace"),
        err.read_text(errors="replace"),
        used.ru_utime + used.ru_stime,
        time.perf_counter() - start,
        most,
    )


@cache
def nothing(folder: str) -> Ended:
    """What a correct page of one line costs: the start of Python and the imports."""
    place = Path(folder) / "baseline"
    place.mkdir(exist_ok=True)
    (place / "a.symml").write_text("model a\nparam w\nminimize w^2\n")
    return min((child(["check", "a.symml"], place) for _ in range(2)), key=lambda e: e.cpu)


def run(page: Page, tmp_path: Path) -> Ended:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / page.name).write_text(page.text, encoding="utf-8")
    for name, content in page.files.items():
        content(folder / name)
    before = {p.name for p in folder.iterdir()}
    command, *rest = page.command
    ended = child([command, page.name, *rest], folder)
    assert {p.name for p in folder.iterdir()} == before, "a file was written"
    assert not list(tmp_path.rglob("PWNED"))
    return ended


def check(ended: Ended, row: dict, codes: set[int], tmp_path: Path) -> None:
    """Exit code, one message, no traceback, time (without the interpreter's start) and memory under the row's limits."""
    seen = ended.out + ended.err
    assert ended.code in codes, f"exit code {ended.code}\n{seen[-3000:]}"
    assert "Traceback" not in seen, seen[-3000:]
    assert len(ended.err) < LONGEST_MESSAGE, len(ended.err)
    if ended.code:
        assert "error" in ended.err
    seconds, memory = row["limits"].split(", ")
    amount, unit = memory.split()
    assert ended.cpu - nothing(str(tmp_path)).cpu < float(seconds.split()[0]), ended
    assert ended.mib < float(amount) * {"MiB": 1, "GiB": 1024}[unit], ended


# what the pseudo pages say, in this language


def copied(name: str):
    return lambda path: path.write_bytes((HOSTILE / name).read_bytes())


def saved(array: np.ndarray):
    return lambda path: np.save(path, array)


def table(source: str, declared: str) -> str:
    return f'dims n, d\ndata {declared} from "{source}"\nparam w\nminimize (w - 1)^2\n'


LABELS = np.array([0, 1, 2, 0, 1, 2])
OUTSIDE = """dims n, d, c = 3
data X[n, d], y[n] in c
param V[d, c]
minimize sum[i] (logsumexp((X V)[i]) - (X V)[i, y[i]])
"""
NAMES = ["lambda", "None", "import", "exec", "np", "math", "nb", "self"]
KEYWORDS = """dims N
data {0}[N], {1}[N]
param {2}[N], {3}[N], {4}[N], {5}[N], {6}[N], {7}[N]
minimize sum[i] (({2}[i]*{0}[i] - {1}[i])^2 + {3}[i]^2 + {4}[i]^2 + {5}[i]^2)
"""
TRAIN = ("train", "--target", "reference")


def hostile_pages() -> dict[str, list[Page]]:
    head = "dims N, D\ndata X[N, D], y[N]\nparam w[D]\n"
    return {
        "01": [
            Page(head + 'loss = sum[i] __import__("os").system("touch PWNED")\nminimize loss\n', (":4:15", "'_'")),
            Page(head + "minimize sum[i] eval(y[i])\n", ("eval",)),
            Page(head + 'minimize sum[i] y[i] "touch PWNED"\n'),
        ],
        "02": [
            Page(head + "minimize sum[i] ().__class__.__base__.__subclasses__()\n", (":4:",)),
            Page(head + "minimize w.__class__\n", (":4:",)),
            Page(head + "minimize w[0].real\n", (":4:",)),
        ],
        "04": [
            Page(KEYWORDS.format(*NAMES), ("complex step agrees",), ("derive",)),
            Page(KEYWORDS.format(*"abcdefgh"), ("complex step agrees",), ("derive",)),
            Page(
                KEYWORDS.format(*["a", "b", "real", "start", "rows", "work", "out", "sizes"]),
                ("complex step agrees",),
                ("derive",),
            ),
        ],
        "05": [
            Page("dims N\nparam \u0430[N]\nparam a[N]\nminimize sum[i] (a[i] - \u0430[i])^2\n", (":2:7", "U+0430")),
            Page("dims N\nparam \uff41[N]\nparam a[N]\nminimize sum[i] a[i]^2\n", ("U+FF41",)),
            Page("dims N\nparam a\u0301[N]\nminimize sum[i] a[i]^2\n", ("U+0301",)),
            Page("dims N\nparam a[N]\nminimize \u202e sum[i] a[i]^2\n", ("U+202E",)),
        ],
        "08": [
            Page(
                "dims N\nparam beta[N], gamma[N], S[N], E[N], I[N], N1[N], Q[N], pi1[N], zeta[N], lambda1[N]\n"
                "minimize sum[i] (beta[i]+gamma[i]+S[i]+E[i]+I[i]+Q[i]+zeta[i]+N1[i]+pi1[i]+lambda1[i])^2\n",
                ("complex step agrees",),
                ("derive",),
            )
        ],
        "09": [
            Page(head + "minimize " + "(" * n + "w[0]" + ")" * n + "\n", ("nested deeper than 256",))
            for n in (300, 100_000)
        ]
        + [
            Page(head + "minimize " + "[" * 2000 + "\n", ()),
            Page(head + "minimize " + "sin(" * 5000 + "w[0]" + ")" * 5000 + "\n", ("nested deeper than 256",)),
            Page(head + "minimize " + "sum[i] " * 5000 + "y[i]\n", ()),
            Page(head + "minimize " + "||" * 3001 + "\n", ()),
        ],
        "10": [Page(head + "minimize " + "-" * n + "w[0]\n", ("nested deeper than 256",)) for n in (300, 100_000)]
        + [
            Page(head + "minimize w[0]" + "^2" * 3000 + "\n", ()),
            Page(head + "minimize " + "sin " * 3000 + "w[0]\n", ()),
            Page(head + "minimize w[0]" + "'" * 3000 + "\n", ()),
            Page(head + "minimize [" + "not " * 3000 + "w[0] > 1] w[0]\n", ()),
        ],
        "11": [
            Page("param w[4]\nminimize " + " + ".join(["w[0]*w[1]"] * 20_000) + "\n", ("10000 operations",)),
            Page("param w[4]\nminimize " + " + ".join(["w[0]*w[1]"] * 3_000) + "\n"),
            Page("param w[4]\nminimize " + " * ".join(["w[0]"] * 3_000) + "\n"),
            Page(
                "param w\n"
                + "".join(f"a{k} = {'a' + str(k - 1) if k else 'w'} + 1\n" for k in range(400))
                + "minimize a399^2\n"
            ),
            Page("param w\nminimize w" + " " * 2_000_000 + "\n", codes=frozenset({2})),
        ],
        "13": [
            Page(
                "param a[1], b[1], c[1], d[1]\nminimize (a[0]+b[0]+c[0]+d[0])^1000\n",
                ("⁹⁹⁹", "complex step agrees"),
                ("derive", "--form", "index"),
            )
        ],
        "15": [
            Page("param w[1]\nminimize w[0]*1e1000000000\n", (":2:15", "not representable in float64")),
            Page("param w[1]\nminimize w[0]*" + "9" * 5000 + "\n", ("below 2^63",)),
            Page("param w[1]\nminimize w[0]^1e400\n"),
            Page("param w[1]\nminimize w[0] + 10^10^10^10\n"),
        ],
        "17": [
            Page("param W[4000000000, 4000000000]\nminimize sum[i, j] W[i, j]^2\n", ("W", "1.28e+20 bytes", ":1:")),
            Page(
                "dims n = 4000000000\nparam W[n, n] init 0\nminimize sum[i, j] W[i, j]^2\n", ("1.28e+20 bytes",), TRAIN
            ),
            Page(
                "dims n = 99999999999999999999999\nparam W[n] init 0\nminimize sum[i] W[i]^2\n", ("below 2^63",), TRAIN
            ),
        ],
        "18": [
            Page("param w[1]\nminimize w[0]*factorial(10000000)\n", (":2:", "factorial")),
            Page("param w[1]\nminimize w[0]*binomial(10^9, 10^8)\n", (":2:", "binomial")),
            Page("param w[1]\nminimize w[0]*9^9^9^9\n", (":2:",)),
            Page("param w[1]\nminimize w[0]*(2^100000)^100000\n", (":2:",)),
        ],
        "19": [Page('use "case.symml"\nparam w\nminimize w^2\n', ("case.symml",))],
        "21": [
            Page(table(name, "X[n, d]"), words, TRAIN, files)
            for name, words, files in (
                ("/dev/zero", (), {}),
                ("/dev/stdin", (), {}),
                ("/etc/passwd", (), {}),
                ("../secret.csv", ("outside",), {"../secret.csv": lambda path: path.write_text("a\n1\n")}),
                ("fifo.csv", ("regular file",), {"fifo.csv": os.mkfifo}),
                ("folder.csv", (), {"folder.csv": os.mkdir}),
                ("link.csv", ("outside",), {"link.csv": lambda path: path.symlink_to("/etc/passwd")}),
            )
        ],
        "23": [
            Page(
                OUTSIDE,
                ("y",),
                (*TRAIN, "--data", "X=X.npy", "--data", "y=y.npy"),
                {"X.npy": saved(np.ones((6, 2))), "y.npy": saved(np.where(np.arange(6) == 3, bad, LABELS))},
            )
            for bad in (3, -1, 2**40)
        ],
        "24": [
            Page(
                "dims N, D, E\ndata X[N, D], y[N]\nparam b[E]\nminimize sum[i] (sum[k] X[i,k]*b[k] - y[i])^2\n",
                (":4:", "D", "E", "line 2", "line 3"),
            )
        ],
        "27": [
            Page("param w[1]\na = b + w[0]\nb = a * 2\nminimize a\n", ("a -> b -> a", "line 2", "line 3")),
            Page("param w\na = a + w\nminimize a\n", ("a -> a",)),
        ],
        "28": [
            Page(
                "param w[2] init 0\nminimize log(w[0]) + sqrt(w[1]) + 1/w[0] + abs(w[1]) + max(w[0], w[1])\n",
                ("at step 0", "log"),
                TRAIN,
            )
        ],
        "31": [
            Page('model "<img src=x onerror=alert(1)>"\nparam w\nminimize w^2\n', (":1:7",)),
            Page('model m\nparam "</script><script>alert(1)</script>"[N]\nminimize 1\n', (":2:7",)),
            Page('model m\nparam theta label "\\href{javascript:alert(1)}{x}"\nminimize theta^2\n', (":2:",)),
            Page("model m\nparam \\href{a}{b}\nminimize 1\n", (":2:7",)),
        ],
        "32": [
            Page(
                table("t.csv", "x1[n], x2[n], y[n]"),
                ("t.csv", "row 3 column 'x2'", "row 4 column 'x1'", "1e400", "overflows"),
                TRAIN,
                {"t.csv": copied("32_nan_inf.csv")},
            )
        ],
        "34": [Page(table("t.csv", "x1[n], x2[n]"), ("no data rows",), TRAIN, {"t.csv": copied("34_empty.csv")})],
        "35": [
            Page(table("t.csv", f"{names}"), ("name",), TRAIN, {"t.csv": copied("35_formula_injection.csv")})
            for names in ("name[n]", "name[n] in {0, 1}")
        ],
        "36": [Page(table("t.npy", "X[n]"), ("t.npy", "bytes"), TRAIN, {"t.npy": copied("36_huge_header.npy")})],
        "37": [Page(table("t.npy", "X[n]"), ("object",), TRAIN, {"t.npy": copied("37_object_pickle.npy")})],
        "39": [Page(table("t.npy", "X[n, d]"), (), TRAIN, {"t.npy": copied("39_wrong_dtype_shape.npy")})],
    }


PAGES = [(case, k, page) for case, pages in (hostile_pages() if ROWS else {}).items() for k, page in enumerate(pages)]
SHORT = 2  # of each case in every run; all of them with -m full


def marked(case: str, number: int, page: Page) -> pytest.param:
    marks = [pytest.mark.full] if number >= SHORT else []
    return pytest.param(case, page, marks=marks, id=f"{case}-{number}")


@pytest.mark.parametrize(("case", "page"), [marked(*p) for p in PAGES])
def test_pages(case, page, tmp_path):
    ended = run(page, tmp_path)
    row = ROWS[case]
    check(ended, row, set(page.codes or CODES[row["verdict"]]), tmp_path)
    if ended.code or row["verdict"] == "accept":
        for word in page.words:
            assert word in ended.out + ended.err, ended.out + ended.err


@pytest.mark.parametrize("case", [c for c, row in ROWS.items() if row["file"].endswith(".spec.txt")])
def test_the_files_as_they_stand(case, tmp_path):
    """Not one of the pseudo pages is of this language: each ends in messages, in time."""
    row = ROWS[case]
    page = Page(
        (HOSTILE / row["file"]).read_text(encoding="utf-8"), (), ("run", "--target", "reference"), name=row["file"]
    )
    check(run(page, tmp_path), row, {2}, tmp_path)


def test_every_case_is_tried():
    tried = {case for case, _, _ in PAGES}
    assert tried == set(ROWS)


@pytest.mark.full
def test_names_of_python_give_the_same_formulas(tmp_path):
    """Case 04: the answer is that of the names a, b, c."""
    table = dict(zip(sorted(NAMES), "abcdefgh", strict=True))  # terms are ordered by name, so the order is kept
    found = []
    for names in (NAMES, [table[name] for name in NAMES]):
        place = tmp_path / names[0]
        place.mkdir()
        ended = run(Page(KEYWORDS.format(*names), (), ("derive", "--form", "sympy", "--json")), place)
        found.append([row["text"] for row in json.loads(ended.out)["formulas"]])
    for old, new in table.items():
        found[0] = [re.sub(rf"(?<![^\W_]){old}(?![^\W_])", new, text) for text in found[0]]
    assert found[0] == found[1]


def test_a_limit_that_is_passed_is_seen(tmp_path):
    """The negative control: the same child, a page that costs nothing, a limit of nothing."""
    ended = run(Page("param w\nminimize w^2\n"), tmp_path)
    with pytest.raises(AssertionError):
        check(ended, {"limits": "2 s, 1 MiB"}, {0}, tmp_path)
    with pytest.raises(AssertionError):
        check(ended, {"limits": "2 s, 500 MiB"}, {2}, tmp_path)

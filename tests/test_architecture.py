"""The import table of ARCHITECTURE.md, no cycles, no strings to sympy, sizes that a reader can bear."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "symml"
FREE = {"source", "names", "errors"}
FILES = sorted(PACKAGE.rglob("*.py"))


def table() -> dict[str, set[str]]:
    """room -> rooms it may import, from the project's own ARCHITECTURE.md."""
    rows = re.findall(r"^\| ([a-z_, `]+) \| ([^|]*) \|", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
    found: dict[str, set[str]] = {}
    for rooms, allowed in rows:
        for room in re.findall(r"\w+", rooms):
            found[room] = set(re.findall(r"[a-z_]+", allowed))
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """All modules of symml that a file names, inside functions and under TYPE_CHECKING too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "symml":
            parts = node.module.split(".")
            names |= {node.module} if len(parts) > 1 else {f"symml.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name for a in node.names if a.name.startswith("symml.")}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_table(path):
    own = room(path)
    if own in ("analysis", "pipeline", "kernels", "assemble"):
        return
    allowed = table()[own] | FREE | {own}
    found = {name.split(".")[1] for name in imports(path)}
    assert found <= allowed, f"{own} imports {sorted(found - allowed)}"


def test_the_table_can_fail():
    assert "numba" not in table()
    assert "syntax" not in table()["ir"] and "pipeline" not in table()["latex"]


def test_no_cycles_between_modules():
    graph = {}
    for path in FILES:
        name = ".".join(("symml", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        tree = ast.parse(path.read_text())
        graph[name] = {
            n.module for n in tree.body if isinstance(n, ast.ImportFrom) and n.module and n.module.startswith("symml.")
        }
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"cycle {path} -> {name}"
        if name not in done:
            for other in graph.get(name, ()):
                walk(other, (*path, name))
            done.add(name)

    for name in graph:
        walk(name, ())


OUTSIDE = {"lark": {"syntax"}, "numba": {"targets", "runtime"}, "typer": {"cli"}, "rich": {"cli"}}


@pytest.mark.parametrize("package", OUTSIDE)
def test_packages_stay_in_their_rooms(package):
    for path in FILES:
        text = path.read_text()
        if re.search(rf"^\s*(from|import) {package}\b", text, re.M):
            assert room(path) in OUTSIDE[package], f"{path} imports {package}"


def test_no_sympy_where_a_warm_run_goes():
    for path in FILES:
        if room(path) in ("syntax", "runtime", "cli", "faces", "api"):
            tree = ast.parse(path.read_text())
            loaded = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not any("sympy" in ast.unparse(n) for n in loaded), path


def test_no_string_reaches_sympy():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).split(".")[-1]
                assert name not in ("sympify", "parse_expr", "lambdify", "S", "Matrix", "symbols", "eval"), (
                    f"{path}:{node.lineno}"
                )
                if name in ("sin", "cos", "exp", "log", "subs", "solve"):
                    assert not any(isinstance(a, ast.Constant) and isinstance(a.value, str) for a in node.args), path


def test_sizes_of_files_and_functions():
    for path in FILES:
        text = path.read_text()
        assert text.count("\n") < 520, f"{path} is long"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 62, f"{path}:{node.lineno} {node.name}"
            if isinstance(node, ast.ExceptHandler):
                numba_only = path.name == "linalg.py"  # numba knows no narrower handler
                assert node.type is not None, f"{path}:{node.lineno}"
                assert numba_only or ast.unparse(node.type) != "Exception", f"{path}:{node.lineno}"


def test_public_functions_have_docstrings():
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}:{node.lineno} {node.name}"


def test_help_is_quick_and_light():
    code = "import sys; import symml, symml.cli; print([m for m in ('sympy', 'lark', 'numba', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_files_of_tests_have_names_of_their_own():
    names = [p.name for p in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)

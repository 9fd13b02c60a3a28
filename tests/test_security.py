"""What must never happen: text run by sympy or Python, unchecked source executed, endless recursion."""

from __future__ import annotations

import os
import sys

import pytest
import sympy
from check import EXAMPLES, NAMES, page

from symml import pipeline
from symml.assemble.plan import plan
from symml.errors import SymmlError
from symml.targets import whitelist


@pytest.mark.parametrize("name", NAMES)
def test_sympy_never_sees_a_string(name, monkeypatch):
    original = sys.modules["sympy.core.sympify"].sympify

    def guarded(a, *args, **kwargs):
        assert not isinstance(a, str), f"sympify({a!r})"
        return original(a, *args, **kwargs)

    for module in [
        m for n, m in sys.modules.items() if n.startswith("sympy") and getattr(m, "sympify", None) is original
    ]:
        monkeypatch.setattr(module, "sympify", guarded)
    a = pipeline.analyse(pipeline.read(EXAMPLES / f"{name}.symml"))
    pipeline.formulas(a)
    plan(a)
    with pytest.raises(AssertionError):
        sympy.sympify("1 + 1")


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "from subprocess import run",
        "eval('1')",
        "x.__class__",
        "lambda: 0",
        "def f():\n    global x",
        "class A:\n    pass",
        "with open('f') as g:\n    pass",
        "getattr(x, 'y')",
    ],
)
def test_the_whitelist_refuses(text):
    with pytest.raises(AssertionError):
        whitelist.check(text)


@pytest.mark.parametrize("name", NAMES)
def test_emitted_source_passes_the_whitelist(name):
    whitelist.check(pipeline.emit(pipeline.read(EXAMPLES / f"{name}.symml"), pipeline.Options()))


HOSTILE = {
    "import call": 'loss = __import__("os").system("touch PWNED")',
    "attributes": "loss = ().__class__.__base__",
    "homoglyph": "param \u0430[n]",
    "parentheses": "loss = " + "(" * 3000 + "b" + ")" * 3000,
    "unary": "loss = " + "-" * 5000 + "b",
    "powers": "loss = " + "^".join(["b"] * 2000),
    "literal": "loss = b*1e1000000000",
    "factorial": "loss = b*factorial(10000000)",
    "shape": "param W[4000000000, 4000000000]",
    "latex": "param \\href{x}{y}",
    "strings": 'model "<img src=x onerror=alert(1)>"',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_end_in_one_message(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SymmlError) as caught:
        pipeline.analyse(page(f"dims n\nparam b\n{HOSTILE[name]}\nminimize b^2"))
    assert "page.symml:" in str(caught.value) and len(str(caught.value)) < 2000
    assert not os.listdir(tmp_path)


def test_a_sum_of_thousands_of_terms_is_only_long():
    a = pipeline.analyse(page("param w[4]\nloss = " + " + ".join(["w[0] w[1]"] * 4000) + "\nminimize loss"))
    assert a.derivative.outputs["d_w"].shape == (4,)


def test_a_power_is_kept():
    a = pipeline.analyse(page("param a[1], b[1], c[1]\nminimize (a[0] + b[0] + c[0])^1000"))
    assert "⁹⁹⁹" in pipeline.formulas(a, "index")[1]["text"]

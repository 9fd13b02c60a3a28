"""An expression of a page as it is written there, in LaTeX and in text: the first line of a derivation.

written(tree of "-1/n sum[i] log p[i]")  ->  ("-\\\\frac{1}{n} \\\\sum_{i} \\\\log p_{i}", "−1/n sum[i] log p[i]")

Nothing is rewritten: the text is read again, and only where it gives the page's own tree it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType

from symml import names
from symml.errors import SymmlError
from symml.ir.functions import FUNCTIONS
from symml.latex.printing import LATEX, gap
from symml.latex.style import Both
from symml.source import Source
from symml.syntax import tree
from symml.syntax.parse import parse_expression

SUM, PRODUCT, FACTOR, ATOM = range(4)  # how tightly a text binds
MARKS: Mapping[str, str] = MappingProxyType({"sum": r"\sum", "prod": r"\prod"})
RELATIONS: Mapping[str, Both] = MappingProxyType(
    {"<=": (r"\le", "≤"), ">=": (r"\ge", "≥"), "!=": (r"\ne", "≠"), "in": (r"\in", "∈")}
)


class Unwritten(Exception):
    """A form of the language that stands in no objective."""


TYPED = (("²", "^2"), ("³", "^3"), ("√(", "sqrt("), ("‖₁", "‖_1"), ("‖_∞", "‖_inf"))
DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")  # of names; a page types them plainly


def written(e: tree.Expr) -> Both | None:
    """The expression as (LaTeX, text); None where its text does not read as the same expression again."""
    try:
        latex, text = _at(e, SUM)
        again = parse_expression(Source("page", _typed(text)))
    except (Unwritten, SymmlError):
        return None
    return (latex, text) if _same(again, e) else None


def _typed(text: str) -> str:
    """Signs that are printed as the page may type them."""
    for shown, typed in TYPED:
        text = text.replace(shown, typed)
    return text.translate(DIGITS)


def _same(a: object, b: object) -> bool:
    """Are two trees the same, whatever the spelling of a Greek letter?"""
    if isinstance(a, tree.Name) and isinstance(b, tree.Name):
        return names.unicode(a.id) == names.unicode(b.id)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if not isinstance(a, tree.Node) or type(a) is not type(b):
        return a == b
    return all(_same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if f.name != "span")


def _at(e: tree.Expr, level: int) -> Both:
    """Text where something that binds as `level` is wanted; brackets where it binds less."""
    if type(e) not in _FORMS:
        raise Unwritten(type(e).__name__)
    (latex, text), own = _FORMS[type(e)](e)
    if own >= level:
        return latex, text
    whole = isinstance(e, tree.Binary) and e.op == "/" and level < ATOM  # a fraction's bar is a bracket
    return latex if whole else rf"\left({latex}\right)", f"({text})"


def _number(e: tree.Number) -> tuple[Both, int]:
    text = str(e.value) if isinstance(e.value, int) else f"{e.value:g}"
    return (text, text), ATOM


def _name(e: tree.Name) -> tuple[Both, int]:
    return (names.latex(e.id), names.unicode(e.id)), ATOM


def _call(e: tree.Call) -> tuple[Both, int]:
    row = FUNCTIONS.get(e.function)
    latex, text = (row.latex, row.text) if row else (rf"\operatorname{{{e.function}}}", e.function)
    if e.function == "sqrt":
        inner = _at(e.args[0], SUM)
        return (rf"\sqrt{{{inner[0]}}}", f"√({inner[1]})"), ATOM
    if e.bare:
        inner = _at(e.args[0], PRODUCT if isinstance(e.args[0], tree.Reduction) else FACTOR)
        return (f"{latex} {inner[0]}", f"{text} {inner[1]}"), PRODUCT
    args = [_at(a, SUM) for a in e.args]
    inside = tuple(", ".join(a[k] for a in args) for k in (0, 1))
    return (rf"{latex}\left({inside[0]}\right)", f"{text}({inside[1]})"), ATOM


def _index(e: tree.Index) -> tuple[Both, int]:
    base, idx = _at(e.base, ATOM), [_at(k, SUM) for k in e.indices]
    latex = base[0] if "_" not in base[0] and isinstance(e.base, tree.Name) else rf"\left[{base[0]}\right]"
    inside = tuple(mark.join(k[n] for k in idx) for n, mark in ((0, " "), (1, ", ")))
    return (f"{latex}_{{{inside[0]}}}", f"{base[1]}[{inside[1]}]"), ATOM


def _transpose(e: tree.Transpose) -> tuple[Both, int]:
    latex, text = _at(e.arg, ATOM)
    return (rf"{latex}^{{\top}}", f"{text}ᵀ"), ATOM


def _negate(e: tree.Negate) -> tuple[Both, int]:
    latex, text = _at(e.arg, PRODUCT)
    return (f"-{latex}", f"−{text}"), SUM


def _binary(e: tree.Binary) -> tuple[Both, int]:
    if e.op in ("+", "-"):
        left, right = _at(e.left, SUM), _at(e.right, PRODUCT)
        signs = {"+": ("+", "+"), "-": ("-", "−")}[e.op]
        return (f"{left[0]} {signs[0]} {right[0]}", f"{left[1]} {signs[1]} {right[1]}"), SUM
    if e.op == "^":
        base, k = _at(e.left, ATOM), _at(e.right, SUM)
        closed = isinstance(e.right, tree.Call) and not e.right.bare
        short = {"2": "²", "3": "³"}.get(k[1], f"^{k[1]}" if k[1].isalnum() or closed else f"^({k[1]})")
        return (f"{base[0]}^{{{k[0]}}}", base[1] + short), FACTOR
    if e.op == "/":
        left, right = _at(e.left, SUM), _at(e.right, SUM)
        over, under = _at(e.left, PRODUCT), _at(e.right, FACTOR)
        return (rf"\frac{{{left[0]}}}{{{right[0]}}}", f"{over[1]}/{under[1]}"), PRODUCT
    left, right = _at(e.left, PRODUCT), _at(e.right, PRODUCT if _ends_a_product(e.right) else FACTOR)
    mark = {".*": (r" \odot ", " ⊙ "), "./": (r" \oslash ", " ⊘ ")}.get(e.op, (gap(left[0], right[0], LATEX), " "))
    return (left[0] + mark[0] + right[0], left[1] + mark[1] + right[1]), PRODUCT


def _ends_a_product(e: tree.Expr) -> bool:
    """A reduction, or a function without brackets: it may stand last in a product as it is."""
    return isinstance(e, tree.Reduction) or (isinstance(e, tree.Call) and e.bare)


def _reduction(e: tree.Reduction) -> tuple[Both, int]:
    if e.body is None:
        raise Unwritten(e.kind)
    over = [_binder(b) for b in e.binders]
    where = _at(e.where, SUM) if e.where is not None else None
    latex, text = (", ".join(b[k] for b in over) for k in (0, 1))
    if where is not None:
        latex, text = rf"{latex} : {where[0]}", f"{text} where {where[1]}"
    body = _at(e.body, PRODUCT)
    mark = MARKS.get(e.kind, rf"\operatorname{{{e.kind}}}" if e.kind not in ("max", "min") else rf"\{e.kind}")
    return (rf"{mark}_{{{latex}}} {body[0]}", f"{e.kind}[{text}] {body[1]}"), PRODUCT


def _binder(b: tree.Binder) -> Both:
    found = [_at(n, ATOM) for n in b.names]
    latex, text = (", ".join(f[k] for f in found) for k in (0, 1))
    if b.domain is None:
        return latex, text
    domain = _at(b.domain, SUM)
    return rf"{latex} \in {domain[0]}", f"{text} in {domain[1]}"


def _range(e: tree.Range) -> tuple[Both, int]:
    low, high = _at(e.low, SUM), _at(e.high, SUM)
    return (rf"{low[0]}, \ldots, {high[0]}", f"{low[1]}..{high[1]}"), SUM


def _norm(e: tree.Norm) -> tuple[Both, int]:
    latex, text = _at(e.arg, SUM)
    order = {"2": ("", ""), "1": ("_1", "₁"), "inf": (r"_\infty", "_∞")}[e.order]
    return (rf"\left\|{latex}\right\|{order[0]}", f"‖{text}‖{order[1]}"), ATOM


def _bars(e: tree.Bars) -> tuple[Both, int]:
    latex, text = _at(e.arg, SUM)
    return (rf"\left|{latex}\right|", f"|{text}|"), ATOM


def _iverson(e: tree.Iverson) -> tuple[Both, int]:
    latex, text = _at(e.test, SUM)
    return (rf"\left[{latex}\right]", f"[{text}]"), ATOM


def _compare(e: tree.Compare) -> tuple[Both, int]:
    latex, text = _at(e.first, SUM)
    for op, operand in e.rest:
        mark, right = RELATIONS.get(op, (op, op)), _at(operand, SUM)
        latex, text = f"{latex} {mark[0]} {right[0]}", f"{text} {mark[1]} {right[1]}"
    return (latex, text), SUM


_FORMS: Mapping[type, Callable[..., tuple[Both, int]]] = MappingProxyType(
    {
        tree.Number: _number,
        tree.Name: _name,
        tree.Call: _call,
        tree.Index: _index,
        tree.Transpose: _transpose,
        tree.Negate: _negate,
        tree.Binary: _binary,
        tree.Reduction: _reduction,
        tree.Range: _range,
        tree.Norm: _norm,
        tree.Bars: _bars,
        tree.Iverson: _iverson,
        tree.Compare: _compare,
    }
)

"""The tree as text: one printer, two styles (LaTeX and Unicode), so the two cannot drift.

write(tree, TEXT)  ->  "1/n Xᵀ(σ(Xw + b) − y) + λw"
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence

import sympy
from sympy import Expr

from symml.ir.functions import BY_CLASS, FUNCTIONS
from symml.ir.ops import OPS
from symml.ir.program import Access, Dim, Tensor
from symml.latex import index_form
from symml.latex.order import minus, negative, upright
from symml.latex.shorten import scale
from symml.latex.style import LATEX, TEXT, Style, called, cases, tensor_name
from symml.latex.tree import (
    ONE,
    AbsoluteNorm,
    Add,
    Diagonal,
    DiagonalOf,
    Hadamard,
    Inner,
    Leaf,
    Map,
    MatrixPower,
    Node,
    OneHot,
    Ones,
    Power,
    Product,
    Quotient,
    Rowwise,
    Scale,
    SquaredNorm,
    Stated,
    Trace,
    Transpose,
    Whole,
    over_alone,
)

_SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉"
_LETTER = "[A-Za-zα-ωΑ-Ω]"
_WORD_AT_END = re.compile(rf"{_LETTER}{{2,}}[{_SUBSCRIPTS}]*$|_\w+$")
_WORD_AT_START = re.compile(rf"{_LETTER}{{2,}}|{_LETTER}\d*_\w")
_EXPONENT_AT_END = re.compile(r"\^⊙-?\d+$")
_CARET_AT_END = re.compile(r"\^[\w.]+$")  # what follows would join the exponent
_UPRIGHT_AT_END = re.compile(r"\\mathrm{\w+}(_\S+)?$")
SUM, PRODUCT, FACTOR, ATOM = range(4)  # how tightly a text binds
TESTS = ("less", "less_equal", "equal")
MIRRORED = {"less": (">", ">"), "less_equal": ("≥", r"\ge")}  # a test with a number on its left, as (text, LaTeX)


def side_by_side(factors: Sequence[str], style: Style) -> str:
    """A product of factors that are written already: names of several letters stand apart from their neighbours."""
    text = factors[0]
    for before, after in itertools.pairwise(factors):
        text += gap(before, after, style) + after
    return text


def gap(before: str, after: str, style: Style) -> str:
    """What stands between two factors: `2x`, `μ share`, `\\mathrm{lr} \\, m`."""
    if style is LATEX:
        upright = _UPRIGHT_AT_END.search(before) or after.startswith(r"\mathrm")
        return r" \, " if upright and not before[-1].isdigit() and after[:6] != r"\left(" else " "
    word = _WORD_AT_END.search(before) or (before[-1:] not in ")ᵀ" and _WORD_AT_START.match(after))
    exponent = _CARET_AT_END.search(before) or (after[:1].isdigit() and _EXPONENT_AT_END.search(before))
    return " " if exponent or (word and before[-1:] not in "0123456789ᵀ") else style.joined


def write(node: Node, style: Style) -> str:
    """The tree as text."""
    return _Writer(style).at(node, SUM)


class _Writer:
    def __init__(self, style: Style) -> None:
        self.style = style

    def at(self, node: Node, level: int) -> str:
        """The text of a node where something that binds as `level` is wanted; brackets where it binds less."""
        text, own = _WRITERS[type(node)](self, node)
        return text if own >= level else text.join(self.style.brackets)

    def coefficient(self, e: Expr) -> str:
        """A scalar factor such as 2/n or λ/2, without its sign."""
        over, under = sympy.fraction(sympy.together(upright(e)))
        top = self.scalars(over)
        if under == 1:
            return top
        bottom = self.scalars(under)
        several = len(sympy.Mul.make_args(under)) > 1 and self.style is TEXT
        return self.style.fraction(top, f"({bottom})" if several else bottom)

    def scalar_sum(self, e: Expr) -> str:
        """A sum of scalars that stands by itself, the positive terms first."""
        text = ""
        for t in sorted(e.args, key=lambda t: (t.could_extract_minus_sign(), t.is_number, str(t))):
            minus = t.could_extract_minus_sign()
            body = self.coefficient(-t if minus else t)
            text += (
                f" {self.style.minus if minus else '+'} {body}" if text else (self.style.minus if minus else "") + body
            )
        return text

    def scalars(self, e: Expr) -> str:
        """A product or sum of scalars."""
        if e.is_Add:
            terms = sorted(e.args, key=lambda t: (t.could_extract_minus_sign(), str(t)))
            text = self.scalars(terms[0])
            for t in terms[1:]:
                minus = t.could_extract_minus_sign()
                text += f" {self.style.minus if minus else '+'} {self.scalars(-t if minus else t)}"
            return text.join(self.style.brackets)
        parts = sorted(sympy.Mul.make_args(e), key=lambda f: (not f.is_Number, f.as_base_exp()[0].is_Add, str(f)))
        return side_by_side([self._scalar(f) for f in parts if f != 1 or len(parts) == 1], self.style)

    def _scalar(self, f: Expr) -> str:
        if isinstance(f, Access):
            return tensor_name(f.tensor, self.style)
        if isinstance(f, Dim):
            return self.style.name(f.name)
        if f.is_Pow and f.exp == sympy.Rational(1, 2):
            return self.style.root(self.scalars(f.base))
        if f.is_Pow:
            bare = f.base.is_Atom or f.base.is_Add  # a sum has brackets of its own
            base = self._scalar(f.base) if bare else self.scalars(f.base).join(self.style.brackets)
            exponent = self.scalar_sum(f.exp) if f.exp.is_Add else self.scalars(f.exp)
            return base + self.style.power(str(f.exp) if f.exp.is_Number else exponent)
        if f.is_Add:
            return self.scalars(f)
        if f.is_Function:
            return called(BY_CLASS[f.func], ", ".join(map(self.scalars, f.args)), self.style)
        return {"pi": self.style.name("pi")}.get(str(f), f"{float(f):g}" if f.is_Float else str(f))


def _add(w: _Writer, n: Add) -> tuple[str, int]:
    text = ""
    for t in n.terms:
        minus = negative(t)
        body = w.at(scale(sympy.Integer(-1), t) if minus else t, PRODUCT)
        text += (
            (f" {w.style.minus} {body}" if minus else f" + {body}")
            if text
            else (w.style.minus + body if minus else body)
        )
    return text, SUM


def _scale(w: _Writer, n: Scale) -> tuple[str, int]:
    sign = w.style.minus if minus(n.factor) else ""
    factor = -n.factor if sign else n.factor
    if n.arg is None and n.factor.is_Add:
        return w.scalar_sum(n.factor), SUM
    if n.arg is None:
        return sign + w.coefficient(factor), SUM if sign or factor.is_Add else PRODUCT if not factor.is_Atom else ATOM
    if isinstance(n.arg, Quotient):
        if n.arg.over == Scale((ONE, ONE), ONE, None):
            return sign + _divided(w, factor, n.arg.under), SUM if sign else PRODUCT
        if n.arg.under.shape == (ONE, ONE) and _goes_behind(n.arg.over):
            return f"{sign}{_divided(w, factor, n.arg.under)} {w.at(n.arg.over, PRODUCT)}", SUM if sign else PRODUCT
    body = w.at(n.arg, PRODUCT)
    if over_alone(n):
        return sign + _share(w, factor, body), SUM if sign else PRODUCT
    if factor == 1:
        return sign + body, SUM
    c = w.coefficient(factor)
    first = w.at(n.arg.factors[0], FACTOR) if isinstance(n.arg, Product) else body
    word = re.match(f"{_LETTER}{{2,}}", first) or re.search(f"{_LETTER}{{2,}}$", c)
    between = " " if "/" in c or c[-1].isdigit() is body[:1].isdigit() is True or body[:1] in "1‖⟨√|" or word else ""
    if w.style is LATEX:
        between = gap(c, first, LATEX)
    return f"{sign}{c}{between}{body}", SUM if sign else PRODUCT


def _goes_behind(over: Node) -> bool:
    """Is it read better behind a fraction than above its bar?"""
    return over.shape != (ONE, ONE) and (
        isinstance(over, Product | Diagonal)
        or (
            isinstance(over, Hadamard)
            and all(f.shape == (ONE, ONE) or isinstance(f, Product | Diagonal) for f in over.factors)
        )
    )


def _share(w: _Writer, factor: Expr, name: str) -> str:
    """A name over a number: x/c."""
    bottom = w.coefficient(1 / factor)
    several = len(sympy.Mul.make_args(1 / factor)) > 1 and w.style is TEXT
    return w.style.fraction(name, bottom.join(w.style.brackets) if several else bottom)


def _divided(w: _Writer, factor: Expr, under: Node) -> str:
    """A coefficient over an expression."""
    over, below = sympy.fraction(sympy.together(factor))
    top = Scale((ONE, ONE), over, None)
    bottom = under if below == 1 else Scale(under.shape, below, under)
    return w.at(Quotient(under.shape, top, bottom), PRODUCT)


def _product(w: _Writer, n: Product) -> tuple[str, int]:
    parts = [w.at(f, FACTOR) for f in n.factors]
    return side_by_side(parts, w.style), PRODUCT


def _hadamard(w: _Writer, n: Hadamard) -> tuple[str, int]:
    scalars = [f for f in n.factors if f.shape == (ONE, ONE)]
    others = [f for f in n.factors if f.shape != (ONE, ONE)]
    parts = [w.at(f, FACTOR) for f in scalars]
    if others:
        parts.append(w.style.dot.join(w.at(f, FACTOR if not isinstance(f, Product) else PRODUCT) for f in others))
    return " ".join(parts), PRODUCT


def _quotient(w: _Writer, n: Quotient) -> tuple[str, int]:
    if n.under.shape == (ONE, ONE) and _goes_behind(n.over):
        return f"{_divided(w, ONE, n.under)} {w.at(n.over, PRODUCT)}", PRODUCT
    if w.style is LATEX:
        return w.style.fraction(w.at(n.over, SUM), w.at(n.under, SUM)), PRODUCT
    entry = n.under.shape != (ONE, ONE)
    single = isinstance(n.under, Power) and isinstance(n.under.base, SquaredNorm | Leaf | Scale | Map)
    top, bottom = w.at(n.over, FACTOR), w.at(n.under, ATOM if not entry and not single else FACTOR)
    return (w.style.divided if entry else w.style.fraction)(top, bottom), PRODUCT


def _power(w: _Writer, n: Power) -> tuple[str, int]:
    if isinstance(n.base, SquaredNorm) and (2 * n.exponent).is_Integer:
        k = int(2 * n.exponent)
        frobenius = "_F" if ONE not in n.base.arg.shape else ""
        return w.at(n.base.arg, SUM).join(w.style.norm) + frobenius + (
            w.style.power(str(k)) if k != 1 else ""
        ), ATOM if k == 1 else FACTOR
    if n.exponent == sympy.Rational(1, 2):
        return w.style.root(w.at(n.base, SUM)), ATOM
    k = w.coefficient(abs(n.exponent) if n.exponent.is_number else n.exponent)
    sign = "-" if n.exponent.is_number and n.exponent < 0 else ""
    entry = r"\circ " if w.style is LATEX and n.shape != (ONE, ONE) else ""
    base = w.at(n.base, ATOM)
    if w.style is TEXT and n.shape != (ONE, ONE):
        return f"{base}^⊙{sign}{k}", FACTOR
    return base + w.style.power(entry + sign + k), FACTOR


def _matrix_power(w: _Writer, n: MatrixPower) -> tuple[str, int]:
    inverse = isinstance(n.base, Whole) and n.base.op == "inv"
    base = n.base.args[0] if inverse else n.base
    return w.at(base, ATOM) + w.style.power(f"{'-' * inverse}{n.times}"), FACTOR


def _map(w: _Writer, n: Map) -> tuple[str, int]:
    if n.function in TESTS:
        return _test(w, n), ATOM
    if n.function == "select":
        return _cases(w, n), ATOM
    inner = ", ".join(w.at(a, SUM) for a in n.args)
    if n.function == "sqrt":
        return w.style.root(inner), ATOM
    return called(n.function, inner, w.style), ATOM


def _cases(w: _Writer, n: Node) -> str:
    """A choice by tests, and the choices that are made where they fail."""
    found = []
    while isinstance(n, Map) and n.function == "select":
        test, value, n = n.args
        bare = isinstance(test, Map) and test.function in TESTS
        found.append((w.at(value, SUM), _compared(w, test) if bare else w.at(test, SUM)))
    return cases(found, w.at(n, SUM), w.style)


def _test(w: _Writer, n: Map) -> str:
    """A comparison in square brackets: 1 where it holds."""
    return _compared(w, n).join(w.style.tests)


def _compared(w: _Writer, n: Map) -> str:
    left, right = (w.at(a, SUM) for a in n.args)
    row = FUNCTIONS[n.function]
    mark = row.latex if w.style is LATEX else row.text
    if n.function in MIRRORED and isinstance(n.args[0], Scale) and n.args[0].arg is None:
        left, right, mark = right, left, MIRRORED[n.function][w.style is LATEX]
    return f"{left} {mark} {right}"


def _transpose(w: _Writer, n: Transpose) -> tuple[str, int]:
    if isinstance(n.arg, Whole) and n.arg.op == "inv":
        return w.at(n.arg.args[0], ATOM) + w.style.inverse_transpose, FACTOR
    return w.at(n.arg, ATOM) + w.style.transpose, FACTOR


def _call(name: str) -> Callable[[_Writer, Node], tuple[str, int]]:
    return lambda w, n: (w.style.function(name) + w.at(n.arg, SUM).join(w.style.brackets), ATOM)


def _squared_norm(w: _Writer, n: SquaredNorm) -> tuple[str, int]:
    frobenius = n.arg.shape[1] != ONE and n.arg.shape[0] != ONE
    text = w.at(n.arg, SUM).join(w.style.norm)
    if w.style is TEXT:
        return text + ("²" if not frobenius else "²_F"), ATOM
    return text + ("^2" if not frobenius else "_F^2"), ATOM


def _absolute_norm(w: _Writer, n: AbsoluteNorm) -> tuple[str, int]:
    return w.at(n.arg, SUM).join(w.style.norm) + ("₁" if w.style is TEXT else "_1"), ATOM


def _one_hot(w: _Writer, n: OneHot) -> tuple[str, int]:
    return w.style.name(one_hot_name(n.labels)), ATOM


def one_hot_name(labels: Tensor) -> str:
    """The matrix of a vector of labels is written with the capital letter."""
    return labels.name[0].upper() + labels.name[1:]


def _stated(w: _Writer, n: Stated) -> tuple[str, int]:
    inside = {s.out: s for s in n.inside}
    return index_form.contribution(n.statement, w.style, inside=inside), PRODUCT if n.statement.reduced else SUM


def _whole(w: _Writer, n: Whole) -> tuple[str, int]:
    row = OPS[n.op]
    level = SUM if "(" in row.text else ATOM  # what stands in brackets already needs no others
    text = (row.text if w.style is TEXT else row.latex).format(*(w.at(a, level) for a in n.args))
    return text, PRODUCT if len(n.args) > 1 else ATOM if text.endswith(w.style.brackets[1]) else FACTOR


_WRITERS: Mapping[type, Callable[[_Writer, Node], tuple[str, int]]] = {
    Leaf: lambda w, n: (tensor_name(n.tensor, w.style), ATOM),
    Ones: lambda w, n: (w.style.ones, ATOM),
    OneHot: _one_hot,
    Scale: _scale,
    Add: _add,
    Product: _product,
    Hadamard: _hadamard,
    Quotient: _quotient,
    Power: _power,
    MatrixPower: _matrix_power,
    Map: _map,
    Transpose: _transpose,
    Diagonal: lambda w, n: ("I", ATOM) if isinstance(n.arg, Ones) else _call("diag")(w, n),
    DiagonalOf: _call("diag"),
    Rowwise: lambda w, n: _call("lse" if n.function == "logsumexp" else n.function)(w, n),
    SquaredNorm: _squared_norm,
    AbsoluteNorm: _absolute_norm,
    Inner: lambda w, n: (f"{w.at(n.left, SUM)}, {w.at(n.right, SUM)}".join(w.style.inner), ATOM),
    Trace: _call("tr"),
    Stated: _stated,
    Whole: _whole,
}

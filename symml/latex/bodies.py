"""Bodies of statements in index form: the printers of expressions, sums and norms, in LaTeX and as text.

contribution's text  ->  "1/n sum[i] X[i, j] (p[i] − y[i])"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import sympy
from sympy import Expr
from sympy.printing.latex import LatexPrinter

from symml import names
from symml.ir.functions import BY_CLASS, FUNCTIONS, canonical, equal, less, less_equal, select
from symml.ir.program import Access, Dim, Index, Statement, Tensor, accesses, direct_accesses, substitute
from symml.ir.reducers import REDUCERS
from symml.ir.show import LETTERS, BodyPrinter, numbers_in
from symml.latex import row_norms
from symml.latex.row_norms import TWO
from symml.latex.style import LATEX, TEXT, Style, called, cases, tensor_name

Inside = Mapping[Tensor, Statement]  # what is written where it is read
NOTHING: Inside = MappingProxyType({})


class Latex(LatexPrinter):
    """sympy's LaTeX with the letters of a statement and the functions of the table."""

    def __init__(self, chosen: dict[Index, str], inside: Inside = NOTHING) -> None:
        super().__init__({"order": None})
        self.chosen, self.inside = chosen, inside
        self.held, self.along = inside, ()  # what norms are taken of, and the indices along one

    def _print_Index(self, e: Index) -> str:
        return self.chosen.get(e, e.name)

    def _print_Dim(self, e: Dim) -> str:
        return names.latex(e.name)

    def _print_Add(self, e: Expr, order: str | None = None) -> str:
        return _added_up(self, e, LATEX)

    def _print_Pow(self, e: Expr) -> str:
        norm = row_norms.written(self, e.base, 2 * e.exp, LATEX)
        if norm is None and e.exp == sympy.Rational(1, 2):
            return LATEX.root(_unbracketed(self, e.base))
        return norm or super()._print_Pow(e)

    def _print_Access(self, e: Access) -> str:
        if e.tensor in self.inside:
            return row_norms.written(self, e, TWO, LATEX) or rf"\left({_inner(self, e, LATEX)}\right)"
        inner = " ".join(self._print(k) for k in e.idx if k not in self.along)
        name = tensor_name(e.tensor, LATEX)
        if not inner:
            return name
        return f"{name}_{{{inner}}}" if "_" not in name else rf"\left[{name}\right]_{{{inner}}}"

    def _print_Mul(self, e: Expr) -> str:
        return _multiplied(self, e, LATEX)

    def _print_Function(self, e: Expr, exp: str | None = None) -> str:
        if isinstance(e, select):
            return _cases(self, e, LATEX) if exp is None else rf"{_cases(self, e, LATEX)}^{{{exp}}}"
        if isinstance(e, less | less_equal | equal):
            left, right = map(self._print, e.args)
            return rf"\left[{left} {FUNCTIONS[BY_CLASS[e.func]].latex} {right}\right]"
        text = called(BY_CLASS[e.func], ", ".join(_unbracketed(self, a) for a in e.args), LATEX)
        return text if exp is None else rf"{text}^{{{exp}}}"


class Text(BodyPrinter):
    """The text of show as one reads it: Greek letters, bars, powers, roots, minus signs, factors side by side."""

    def __init__(self, chosen: dict[Index, str], inside: Inside = NOTHING) -> None:
        super().__init__(chosen)
        self.inside = inside
        self.held, self.along = inside, ()  # what norms are taken of, and the indices along one

    def _print_Dim(self, e: Expr) -> str:
        return TEXT.name(e.name)

    def _print_Function(self, e: Expr) -> str:
        if isinstance(e, select):
            return _cases(self, e, TEXT)
        if isinstance(e, less | less_equal | equal):
            return super()._print_Function(e)
        return called(BY_CLASS[e.func], ", ".join(_unbracketed(self, a) for a in e.args), TEXT)

    def _print_Pow(self, e: Expr, rational: bool = False) -> str:
        norm = row_norms.written(self, e.base, 2 * e.exp, TEXT)
        if norm is not None:
            return norm
        if e.exp == sympy.Rational(1, 2):
            return TEXT.root(_unbracketed(self, e.base))
        if e.exp.is_Integer and e.exp > 0:
            base = self._print(e.base)
            return (base if e.base.is_Atom or e.base.is_Function else f"({base})") + TEXT.power(str(e.exp))
        if e.exp.is_Rational and e.exp > 0:
            base = self._print(e.base)
            return f"{base if e.base.is_Atom or e.base.is_Function else f'({base})'}^({e.exp})"
        return self._print_Mul(e) if e.exp.could_extract_minus_sign() else super()._print_Pow(e, rational)

    def _print_Add(self, e: Expr, order: str | None = None) -> str:
        return _added_up(self, e, TEXT)

    def _print_Mul(self, e: Expr) -> str:
        return _multiplied(self, e, TEXT)

    def _print_Access(self, e: Access) -> str:
        if e.tensor in self.inside:
            return row_norms.written(self, e, TWO, TEXT) or f"({_inner(self, e, TEXT)})"
        inner = ", ".join(self._print(k) for k in e.idx if k not in self.along)
        return f"{tensor_name(e.tensor, TEXT)}[{inner}]" if inner else tensor_name(e.tensor, TEXT)


def _added_up(printer: Latex | Text, e: Expr, style: Style) -> str:
    """A sum, what is added before what is taken away, numbers last."""
    text, open_ = "", style.brackets[0]
    for t in sorted(e.args, key=lambda t: (t.could_extract_minus_sign(), bool(t.is_number), str(t))):
        minus = t.could_extract_minus_sign()
        body = printer._print(-t if minus else t)
        inner = isinstance(t, Access) and t.tensor in printer.held and body.startswith(open_ + style.minus)
        if inner and body.removeprefix(open_ + style.minus).startswith(("sum[", r"\sum")):
            minus, body = True, open_ + body.removeprefix(open_ + style.minus)
        elif body.startswith(style.minus):
            minus, body = not minus, body.removeprefix(style.minus).lstrip()
        text += f" {style.minus if minus else '+'} {body}" if text else style.minus * minus + body
    return text


def _multiplied(printer: Latex | Text, e: Expr, style: Style) -> str:
    """Factors in the order in which one reads them: numbers, names, entries, functions, sums."""
    minus = e.could_extract_minus_sign()
    over, under = sympy.fraction(-e if minus else e, exact=True)
    parts = [_factor(printer, f, style) for f in sorted(sympy.Mul.make_args(over), key=lambda f: _place(printer, f))]
    behind, begin, end = "", *style.brackets
    if parts[-1][0] and under.is_Atom | under.is_Mul:  # a sum behind all else needs no brackets
        behind = parts.pop()[2]
        behind = behind.removeprefix(begin).removesuffix(end) if behind.startswith(begin) else behind
        minus = minus is not behind.startswith(style.minus)
        behind = behind.removeprefix(style.minus)
    alone = len(parts) == 1 and ((under == 1 and not minus and not behind) or (style is LATEX and under != 1))
    factors = [text.join(style.brackets) if added and not alone else text for *_, added, text in parts if text != "1"]
    text = _spaced(factors) or ("1" if under != 1 or not behind else "")
    if under != 1:
        below = printer._print(under)
        several = style is TEXT and (under.is_Mul or under.is_Add)
        text = style.fraction(text, below.join(style.brackets) if several else below)
    return style.minus * minus + f"{text} {behind}".strip()


def _spaced(factors: Sequence[str]) -> str:
    """Factors side by side; two numbers with a dot between them."""
    text = ""
    for f in factors:
        text += (r" \cdot " if text[-1:].isdigit() and f[:1].isdigit() else " ") * bool(text) + f
    return text


def _factor(printer: Latex | Text, f: Expr, style: Style) -> tuple[bool, bool, str]:
    """A factor as written: whether it goes behind all others, whether it is a sum that needs brackets, its text."""
    return _goes_behind(f, printer.held), f.is_Add, printer._print(f)


def _place(printer: Latex | Text, f: Expr) -> tuple[int, bool, str]:
    """The order of factors: numbers, sizes and hyper-parameters, other scalars, entries, functions, sums."""
    base = f.base if f.is_Pow else f
    if _goes_behind(f, printer.held):
        place = 5
    elif isinstance(base, Access):
        place = 3 if base.idx else 1 if base.tensor.kind == "hyper" else 2
    else:
        place = 0 if f.is_number else 1 if base.is_Symbol else 4
    name = tensor_name(base.tensor, TEXT) if isinstance(base, Access) else ""
    return place, f.is_Add, name + ("[" + ", ".join(map(printer._print, base.idx)) if name else str(f))


def _cases(printer: Latex | Text, e: Expr, style: Style) -> str:
    """A choice by tests, and the choices that are made where they fail."""
    found = []
    while isinstance(e, select):
        test, value, e = e.args
        found.append((printer.doprint(value), condition(printer, test, style)))
    return cases(found, printer.doprint(e), style)


def _is_one(a: Access, inside: Inside) -> bool:
    """Is what stands for an element one sum, which needs no brackets behind other factors?"""
    s = inside[a.tensor]
    if row_norms.alone(s, inside) is not None:
        return False
    return bool(s.reduced) or (isinstance(s.body, Access) and s.body.tensor in inside and _is_one(s.body, inside))


def _goes_behind(a: Expr, inside: Inside) -> bool:
    """Is what stands for an element a sum or a squared norm, which is read best behind all other factors?"""
    if not isinstance(a, Access) or a.tensor not in inside:
        return False
    return _is_one(a, inside) or row_norms.alone(inside[a.tensor], inside) is not None


def _inner(printer: Latex | Text, a: Access, style: Style) -> str:
    """The definition of an element, in the letters of the line in which it stands."""
    s = printer.inside[a.tensor]
    chosen, numbers = dict(printer.chosen), numbers_in((s,))
    for k in s.reduced:
        chosen[k] = next(c for c in (k.name, *LETTERS) if c not in chosen.values() and c not in numbers)
    inner = type(printer)(chosen, printer.inside)
    body = substitute(s.body, dict(zip(s.lhs, a.idx, strict=True)))
    return reduction(inner, s, body, style)


def _opened(body: Expr, inside: Inside) -> Expr:
    """A body with the maps that are written where it reads them put in, common numbers in front."""
    for a in direct_accesses(body):
        s = inside.get(a.tensor)
        if s is not None and s.reduce == "none" and s.body != 1:
            body = canonical(
                body.xreplace({a: substitute(_opened(s.body, inside), dict(zip(s.lhs, a.idx, strict=True)))})
            )
    shorter = canonical(sympy.factor_terms(body))
    return shorter if _nodes(shorter) < _nodes(body) else body


def _nodes(e: Expr) -> int:
    return sum(1 for _ in sympy.preorder_traversal(e))


def reduction(printer: Latex | Text, s: Statement, body: Expr, style: Style) -> str:
    """The right side of a statement: its body below the sum, or whatever it is, over its reduced loops."""
    body = _opened(body, printer.inside)
    if s.reduce == "none" or not s.reduced:
        text = _unbracketed(printer, body)
        if s.guard is not None:
            text += (r"\; \text{where } " if style is LATEX else " where ") + condition(printer, s.guard, style)
        return text
    number, rest = body.as_coeff_Mul()
    if number != 1 and rest.is_Add:
        body = sympy.Add(*(number * term for term in rest.args))  # 2 (a - b) is printed as 2 a - 2 b: a sum
    squares = row_norms.squares(printer, replace(s, body=body), style)
    if squares is not None:
        return squares
    minus = s.reduce == "sum" and not body.is_Add and body.could_extract_minus_sign()
    single = isinstance(body, Access) and body.tensor in printer.inside and _is_one(body, printer.inside)
    text = _inner(printer, body, style) if single else printer.doprint(-body if minus else body)
    if body.is_Add:
        text = rf"\left({text}\right)" if style is LATEX else f"({text})"
    return style.minus * minus + over(printer, s, style) + " " + text


def over(printer: Latex | Text, s: Statement, style: Style) -> str:
    """sum[i, j where seen[i, j] = 1]: the sign of a reduction, with the letters it runs over."""
    mark, letters_ = REDUCERS[s.reduce], ", ".join(_range(printer, s, k, style) for k in s.reduced)
    if s.guard is not None:
        letters_ += (r" \,:\, " if style is LATEX else " where ") + condition(printer, s.guard, style)
    return rf"{mark.latex}_{{{letters_}}}" if style is LATEX else f"{mark.text}[{letters_}]"


def _range(printer: Latex | Text, s: Statement, k: Index, style: Style) -> str:
    """The letter of a reduction, with its range where that is not the whole of an axis that it is an index of."""
    letter = printer.doprint(k)
    if is_told(k, s, printer.inside):
        return letter
    last = printer.doprint(k.size - 1)
    return rf"{letter} = 0, \ldots, {last}" if style is LATEX else f"{letter} in 0..{last}"


def is_told(k: Index, s: Statement, inside: Inside) -> bool:
    """Does what a statement reads say how far an index runs?"""
    return any(k.size == n for n in _ends(k, (*s.lhs, s.body, s.guard), inside))


def _ends(k: Index, read: Iterable[Expr | None], inside: Inside) -> Iterator[Expr]:
    """How far an index may run at most, by each axis it is an index of."""
    for a in (a for e in read if e is not None for a in accesses(e)):
        if a.tensor in inside:
            s = inside[a.tensor]
            body = substitute(s.body, dict(zip(s.lhs, a.idx, strict=True)))
            yield from _ends(k, (body,), inside)
            continue
        for e, n in zip(a.idx, a.tensor.shape, strict=True):
            if e.has(k) and (e - k).is_Integer:
                yield n - (e - k)


def condition(printer: Latex | Text, guard: Expr, style: Style) -> str:
    """A test without its brackets, several joined by `and`."""
    found = []
    for test in sympy.Mul.make_args(guard):
        text = printer.doprint(test)
        bare = isinstance(test, less | less_equal | equal)
        begin, end = (r"\left[", r"\right]") if style is LATEX else "[]"
        found.append(text.removeprefix(begin).removesuffix(end) if bare else text)
    return (r",\; " if style is LATEX else " and ").join(found)


def _unbracketed(printer: Latex | Text, body: Expr) -> str:
    """A body; what alone stands for another line needs no brackets."""
    if isinstance(body, Access) and body.tensor in printer.inside:
        style = LATEX if isinstance(printer, Latex) else TEXT
        return row_norms.written(printer, body, TWO, style) or _inner(printer, body, style)
    return printer.doprint(body)

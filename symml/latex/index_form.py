"""Statements in index form, as LaTeX, as text and as native sympy.

write(program, d_w, LATEX)  ->  "\\sum_{i} X_{i j} \\bar{t}_{i} + \\lambda w_{j}"
to_sympy(program, d_w)      ->  Eq(d_w[j], Sum(X[i, j]*d_t1[i], (i, 0, n - 1)) + lam*w[j])
"""

from __future__ import annotations

import sympy
from sympy import Expr
from sympy.printing.latex import LatexPrinter

from symml import names
from symml.ir.functions import BY_CLASS, FUNCTIONS
from symml.ir.program import Access, Dim, Index, Program, Statement, Tensor, accesses
from symml.ir.reducers import REDUCERS
from symml.ir.show import BodyPrinter, letters
from symml.latex.printing import LATEX, TEXT, Style, tensor_name


class _Latex(LatexPrinter):
    """sympy's LaTeX with the letters of a statement and the functions of the table."""

    def __init__(self, chosen: dict[Index, str]) -> None:
        super().__init__({"order": None})
        self.chosen = chosen

    def _print_Index(self, e: Index) -> str:
        return self.chosen.get(e, e.name)

    def _print_Dim(self, e: Dim) -> str:
        return names.latex(e.name)

    def _print_Access(self, e: Access) -> str:
        inner = " ".join(self._print(k) for k in e.idx)
        name = tensor_name(e.tensor, LATEX)
        if not inner:
            return name
        return f"{name}_{{{inner}}}" if "_" not in name else rf"\left[{name}\right]_{{{inner}}}"

    def _print_Function(self, e: Expr, exp: str | None = None) -> str:
        row = FUNCTIONS[BY_CLASS[e.func]]
        args = [self._print(a) for a in e.args]
        if row.text in ("<", "≤", "="):
            return rf"\left[{args[0]} {row.latex} {args[1]}\right]"
        text = row.latex + r"\left(" + ", ".join(args) + r"\right)"
        return text if exp is None else rf"{text}^{{{exp}}}"


class _Text(BodyPrinter):
    """The text of show, with Greek letters and bars."""

    def _print_Access(self, e: Access) -> str:
        inner = ", ".join(self._print(k) for k in e.idx)
        return f"{tensor_name(e.tensor, TEXT)}[{inner}]" if inner else tensor_name(e.tensor, TEXT)


def contribution(s: Statement, style: Style) -> str:
    """The right side of one statement."""
    chosen = letters(s.loops)
    printer = _Latex(chosen) if style is LATEX else _Text(chosen)
    body = printer.doprint(s.body)
    if s.guard is not None:
        body += (r"\; \text{where } " if style is LATEX else " where ") + printer.doprint(s.guard)
    if s.reduce == "none" or not s.reduced:
        return body
    over = ", ".join(printer.doprint(k) for k in s.reduced)
    mark = REDUCERS[s.reduce]
    if s.body.is_Add:
        body = rf"\left({body}\right)" if style is LATEX else f"({body})"
    return rf"{mark.latex}_{{{over}}} {body}" if style is LATEX else f"{mark.text}[{over}] {body}"


def definition(program: Program, t: Tensor, style: Style) -> tuple[str, str]:
    """Left side with its indices and right side of a tensor's statements; `+=` is written where elements are added."""
    own = [s for s in program.statements if s.out is t]
    parts = []
    for s in own:
        chosen = letters(s.loops)
        printer = _Latex(chosen) if style is LATEX else _Text(chosen)
        parts.append((printer._print_Access(Access(t, s.lhs)), contribution(s, style)))
    left = parts[0][0]
    plus = r" \mathrel{+}= " if style is LATEX else " += "
    joined = "; ".join(f"{lhs}{plus}{rhs}" for lhs, rhs in parts[1:])
    first = f"{left}{plus}{parts[0][1]}" if own[0].mode == "+=" else parts[0][1]
    return left, first + (r";\; " if style is LATEX else "; ") * bool(joined) + joined


def write(program: Program, t: Tensor, style: Style) -> str:
    """The right side of a tensor's definition."""
    return definition(program, t, style)[1]


def needed(program: Program, t: Tensor) -> list[Tensor]:
    """The tensors that a definition reads and that the page did not give, in order of definition."""
    defined = {s.out for s in program.statements}
    found: set[Tensor] = set()
    todo = [t]
    while todo:
        for s in (s for s in program.statements if s.out is todo[0]):
            for a in (x for part in (s.body, *s.lhs) for x in accesses(part)):
                if a.tensor in defined and a.tensor not in found and a.tensor is not t:
                    found.add(a.tensor)
                    todo.append(a.tensor)
        todo.pop(0)
    return [u for u in dict.fromkeys(s.out for s in program.statements) if u in found]


def to_sympy(program: Program, t: Tensor) -> Expr:
    """The definition as native sympy: Eq(out[i, j], Sum(...)) over Indexed objects; other tensors stay as names."""
    own = [s for s in program.statements if s.out is t]
    first = own[0]
    left = _native(Access(t, first.lhs))
    right = sympy.Add(*(_native_statement(s, first) for s in own))
    return sympy.Eq(left, right, evaluate=False)


def _native_statement(s: Statement, first: Statement) -> Expr:
    from symml.ir.program import reindex

    if s.lhs != first.lhs and all(isinstance(k, Index) for k in (*s.lhs, *first.lhs)):
        s = reindex(s, dict(zip(s.lhs, first.lhs, strict=True)))
    body = _native(s.body)
    bounds = [(_index(k), 0, _native(k.size) - 1) for k in s.reduced]
    if s.lhs != first.lhs:  # a scatter: 1 where the element is meant
        body = body * sympy.Mul(
            *(sympy.KroneckerDelta(_native(a), _native(b)) for a, b in zip(first.lhs, s.lhs, strict=True))
        )
    if s.reduce == "none" or not bounds:
        return body
    if s.reduce == "sum":
        return sympy.Sum(body, *bounds)
    if s.reduce == "prod":
        return sympy.Product(body, *bounds)
    if s.reduce == "logsumexp":
        return sympy.log(sympy.Sum(sympy.exp(body), *bounds))
    return sympy.Function(s.reduce)(body, *(b[0] for b in bounds))


def _index(k: Index) -> Expr:
    return sympy.Symbol(k.name, integer=True)


def _native(e: Expr) -> Expr:
    """Accesses as Indexed, own functions by their elementary forms."""
    if isinstance(e, Access):
        if not e.idx:
            return sympy.Symbol(e.tensor.name, real=True)
        return sympy.Indexed(sympy.IndexedBase(sympy.Symbol(e.tensor.name)), *(_native(k) for k in e.idx))
    if isinstance(e, Index):
        return _index(e)
    if isinstance(e, Dim):
        return sympy.Symbol(e.name, integer=True, positive=True)
    if e.is_Atom:
        return e
    args = [_native(a) for a in e.args]
    row = FUNCTIONS.get(BY_CLASS.get(e.func, ""))
    return row.elementary(*args) if row is not None and row.elementary is not None else e.func(*args)

"""Statements in index form as LaTeX and as text.

write(program, d_w, LATEX)  ->  "\\sum_{i} X_{i j} \\bar{t}_{i} + \\lambda w_{j}"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import sympy
from sympy import Expr
from sympy.printing.latex import LatexPrinter

from symml import names
from symml.ir.functions import BY_CLASS, FUNCTIONS, equal, less, less_equal, select
from symml.ir.ops import OPS
from symml.ir.program import (
    Access,
    Dim,
    Index,
    Iterate,
    Library,
    Program,
    Scan,
    Statement,
    Tensor,
    accesses,
    indices,
    mapped,
    outs,
    reads,
    reindex,
    substitute,
)
from symml.ir.reducers import REDUCERS
from symml.ir.show import LETTERS, BodyPrinter, letters, numbers_in
from symml.latex.style import LATEX, TEXT, Style, cases, tensor_name

Inside = Mapping[Tensor, Statement]  # what is written where it is read
NOTHING: Inside = MappingProxyType({})
BY_ELEMENT = {  # operations by their elements: left and right side, each as LaTeX and text
    "gaps": (
        (r"\left[{0}\right]_{{i j}}", "{0}[i, j]"),
        (
            r"\frac{{1}}{{\left[{1}\right]_{{j}} - \left[{1}\right]_{{i}}}} \quad \left(0 \text{{ where they are equal}}\right)",
            "1/({1}[j] − {1}[i])   (0 where they are equal)",
        ),
    )
}
LAST = 5  # the place of a sum among factors


class _Latex(LatexPrinter):
    """sympy's LaTeX with the letters of a statement and the functions of the table."""

    def __init__(self, chosen: dict[Index, str], inside: Inside = NOTHING) -> None:
        super().__init__({"order": None})
        self.chosen, self.inside = chosen, inside

    def _print_Index(self, e: Index) -> str:
        return self.chosen.get(e, e.name)

    def _print_Dim(self, e: Dim) -> str:
        return names.latex(e.name)

    def _print_Access(self, e: Access) -> str:
        if e.tensor in self.inside:
            return rf"\left({_inner(self, e, LATEX)}\right)"
        inner = " ".join(self._print(k) for k in e.idx)
        name = tensor_name(e.tensor, LATEX)
        if not inner:
            return name
        return f"{name}_{{{inner}}}" if "_" not in name else rf"\left[{name}\right]_{{{inner}}}"

    def _print_Mul(self, e: Expr) -> str:
        """A sum that is written where it is read stands behind all other factors."""
        sums = [f for f in sympy.Mul.make_args(e) if isinstance(f, Access) and f.tensor in self.inside]
        rest = e / sums[0] if len(sums) == 1 else e
        if rest is e or sums[0] in rest.free_symbols or rest.is_Add or not _is_one(sums[0], self.inside):
            return super()._print_Mul(e)
        minus = rest.could_extract_minus_sign()
        front = "" if rest in (1, -1) else self._print(-rest if minus else rest) + " "
        inner = _inner(self, sums[0], LATEX)
        turned = inner.startswith("-")
        return "- " * (minus is not turned) + front + inner[turned:].lstrip()

    def _print_Function(self, e: Expr, exp: str | None = None) -> str:
        if isinstance(e, select):
            return _cases(self, e, LATEX) if exp is None else rf"{_cases(self, e, LATEX)}^{{{exp}}}"
        row = FUNCTIONS[BY_CLASS[e.func]]
        args = [self._print(a) for a in e.args]
        if row.text in ("<", "≤", "="):
            return rf"\left[{args[0]} {row.latex} {args[1]}\right]"
        text = row.latex + r"\left(" + ", ".join(args) + r"\right)"
        return text if exp is None else rf"{text}^{{{exp}}}"


class _Text(BodyPrinter):
    """The text of show as one reads it: Greek letters, bars, powers, roots, minus signs, factors side by side."""

    def __init__(self, chosen: dict[Index, str], inside: Inside = NOTHING) -> None:
        super().__init__(chosen)
        self.inside = inside

    def _print_Dim(self, e: Expr) -> str:
        return TEXT.name(e.name)

    def _print_Function(self, e: Expr) -> str:
        return _cases(self, e, TEXT) if isinstance(e, select) else super()._print_Function(e)

    def _print_Pow(self, e: Expr, rational: bool = False) -> str:
        if e.exp == sympy.Rational(1, 2):
            return TEXT.root(self._print(e.base))
        if e.exp.is_Integer and e.exp > 0:
            base = self._print(e.base)
            return (base if e.base.is_Atom or e.base.is_Function else f"({base})") + TEXT.power(str(e.exp))
        if e.exp.is_Rational and e.exp > 0:
            base = self._print(e.base)
            return f"{base if e.base.is_Atom or e.base.is_Function else f'({base})'}^({e.exp})"
        return self._print_Mul(e) if e.exp.could_extract_minus_sign() else super()._print_Pow(e, rational)

    def _print_Add(self, e: Expr, order: str | None = None) -> str:
        text = ""
        for t in sorted(e.args, key=lambda t: (t.could_extract_minus_sign(), bool(t.is_number), str(t))):
            minus = t.could_extract_minus_sign()
            body = self._print(-t if minus else t)
            if body.startswith("(−sum[") and isinstance(t, Access) and t.tensor in self.inside:
                minus, body = True, f"({body[2:]}"
            elif body.startswith("−"):
                minus, body = not minus, body[1:]
            text += f" {'−' if minus else '+'} {body}" if text else ("−" if minus else "") + body
        return text

    def _print_Mul(self, e: Expr) -> str:
        minus = e.could_extract_minus_sign()
        over, under = sympy.fraction(-e if minus else e)
        parts = sorted(map(self._factor, sympy.Mul.make_args(over)))
        behind = ""
        if parts[-1][0] == LAST and under.is_Atom | under.is_Mul:  # a sum behind all else needs no brackets
            behind = parts.pop()[2][1:-1]
            minus = minus is not behind.startswith("−")
            behind = behind.removeprefix("−")
        alone = len(parts) == 1 and under == 1 and not minus and not behind
        text = " ".join(f"({p})" if added and not alone else p for *_, added, p in parts) or ("1" if under != 1 else "")
        if under != 1:
            below = self._print(under)
            text += f"/({below})" if under.is_Mul or under.is_Add else f"/{below}"
        return "−" * minus + f"{text} {behind}".strip()

    def _factor(self, f: Expr) -> tuple[int, bool, str]:
        """A factor with its place: numbers, sizes and hyper-parameters, other scalars, entries, functions, sums."""
        base = f.base if f.is_Pow else f
        if isinstance(f, Access) and f.tensor in self.inside and _is_one(f, self.inside):
            place = LAST
        elif isinstance(base, Access):
            place = 3 if base.idx else 1 if base.tensor.kind == "hyper" else 2
        else:
            place = 0 if f.is_number else 1 if base.is_Symbol else 4
        return place, f.is_Add, self._print(f)

    def _print_Access(self, e: Access) -> str:
        if e.tensor in self.inside:
            return f"({_inner(self, e, TEXT)})"
        inner = ", ".join(self._print(k) for k in e.idx)
        return f"{tensor_name(e.tensor, TEXT)}[{inner}]" if inner else tensor_name(e.tensor, TEXT)


def _cases(printer: _Latex | _Text, e: Expr, style: Style) -> str:
    """A choice by tests, and the choices that are made where they fail."""
    found = []
    while isinstance(e, select):
        test, value, e = e.args
        found.append((printer.doprint(value), condition(printer, test, style)))
    return cases(found, printer.doprint(e), style)


def _is_one(a: Access, inside: Inside) -> bool:
    """Is what stands for an element one sum, which needs no brackets behind other factors?"""
    s = inside[a.tensor]
    return bool(s.reduced) or (isinstance(s.body, Access) and s.body.tensor in inside and _is_one(s.body, inside))


def _inner(printer: _Latex | _Text, a: Access, style: Style) -> str:
    """The definition of an element, in the letters of the line in which it stands."""
    s = printer.inside[a.tensor]
    chosen, numbers = dict(printer.chosen), numbers_in((s,))
    for k in s.reduced:
        chosen[k] = next(c for c in (k.name, *LETTERS) if c not in chosen.values() and c not in numbers)
    inner = type(printer)(chosen, printer.inside)
    body = substitute(s.body, dict(zip(s.lhs, a.idx, strict=True)))
    return _reduction(inner, s, body, style)


def _reduction(printer: _Latex | _Text, s: Statement, body: Expr, style: Style) -> str:
    """The right side of a statement: its body below the sum, or whatever it is, over its reduced loops."""
    if s.reduce == "none" or not s.reduced:
        text = _unbracketed(printer, body)
        if s.guard is not None:
            text += (r"\; \text{where } " if style is LATEX else " where ") + condition(printer, s.guard, style)
        return text
    number, rest = body.as_coeff_Mul()
    if number != 1 and rest.is_Add:
        body = sympy.Add(*(number * term for term in rest.args))  # 2 (a - b) is printed as 2 a - 2 b: a sum
    minus = s.reduce == "sum" and not body.is_Add and body.could_extract_minus_sign()
    single = isinstance(body, Access) and body.tensor in printer.inside and _is_one(body, printer.inside)
    text = _inner(printer, body, style) if single else printer.doprint(-body if minus else body)
    if body.is_Add:
        text = rf"\left({text}\right)" if style is LATEX else f"({text})"
    return style.minus * minus + over(printer, s, style) + " " + text


def over(printer: _Latex | _Text, s: Statement, style: Style) -> str:
    """sum[i, j where seen[i, j] = 1]: the sign of a reduction, with the letters it runs over."""
    mark, letters_ = REDUCERS[s.reduce], ", ".join(_range(printer, s, k, style) for k in s.reduced)
    if s.guard is not None:
        letters_ += (r" \,:\, " if style is LATEX else " where ") + condition(printer, s.guard, style)
    return rf"{mark.latex}_{{{letters_}}}" if style is LATEX else f"{mark.text}[{letters_}]"


def _range(printer: _Latex | _Text, s: Statement, k: Index, style: Style) -> str:
    """The letter of a reduction, with its range where that is not the whole of an axis that it is an index of."""
    letter = printer.doprint(k)
    if _is_told(k, s, printer.inside):
        return letter
    last = printer.doprint(k.size - 1)
    return rf"{letter} = 0, \ldots, {last}" if style is LATEX else f"{letter} in 0..{last}"


def _is_told(k: Index, s: Statement, inside: Inside) -> bool:
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


def condition(printer: _Latex | _Text, guard: Expr, style: Style) -> str:
    """A test without its brackets, several joined by `and`."""
    found = []
    for test in sympy.Mul.make_args(guard):
        text = printer.doprint(test)
        bare = isinstance(test, less | less_equal | equal)
        begin, end = (r"\left[", r"\right]") if style is LATEX else "[]"
        found.append(text.removeprefix(begin).removesuffix(end) if bare else text)
    return (r",\; " if style is LATEX else " and ").join(found)


def _unbracketed(printer: _Latex | _Text, body: Expr) -> str:
    """A body; what alone stands for another line needs no brackets."""
    if isinstance(body, Access) and body.tensor in printer.inside:
        return _inner(printer, body, LATEX if isinstance(printer, _Latex) else TEXT)
    return printer.doprint(body)


FIXED = ("   the fixed point", r" \quad \text{the fixed point}")


def places(program: Program, t: Tensor) -> list[tuple[Statement | Library, Scan | Iterate | None]]:
    """What defines a tensor, each with the recurrence or iteration around it."""
    found: list[tuple[Statement | Library, Scan | Iterate | None]] = []
    for node in program.statements:
        inner = (node,) if isinstance(node, Statement | Library) else node.statements
        found += [(s, None if s is node else node) for s in inner if t in outs(s)]
    return found


def _in_order(s: Statement, around: Scan | Iterate | None) -> list[Index]:
    """The indices of a statement, those of the left side first: what is added to it has the same letters there."""
    steps = [around.step] if isinstance(around, Scan) else []
    return list(dict.fromkeys((*steps, *(k for k in s.lhs if k in s.loops), *s.loops)))


def _chosen(s: Statement, around: Scan | Iterate | None, inside: Inside) -> dict[Index, str]:
    return letters(_in_order(s, around), numbers_in((s, *inside.values())))


def _printer(s: Statement, around: Scan | Iterate | None, style: Style, inside: Inside = NOTHING) -> _Latex | _Text:
    chosen = _chosen(s, around, inside)
    return _Latex(chosen, inside) if style is LATEX else _Text(chosen, inside)


def contribution(
    s: Statement | Library, style: Style, around: Scan | Iterate | None = None, inside: Inside = NOTHING
) -> str:
    """The right side of one statement or operation; `inside` stand as what they are."""
    if isinstance(s, Library):
        template = OPS[s.op].latex if style is LATEX else OPS[s.op].text
        return template.format(*(tensor_name(t, style) for t in s.args))
    return _reduction(_printer(s, around, style, inside), s, s.body, style)


def _steps(s: Statement, around: Scan | Iterate | None, style: Style, inside: Inside) -> str:
    """For which steps, in their order, a line holds: of a recurrence, or of indices that leave out a part of an axis."""
    if isinstance(around, Iterate):
        return r" \quad \text{at the fixed point}" if style is LATEX else "   at the fixed point"
    ranges = [(around.step, around.reverse)] if around is not None else []
    plain = dict(zip(s.lhs, s.out.shape, strict=True))
    for k in (k for k in s.loops if any(k in indices(e) for e in s.lhs)):
        if plain[k] != k.size if k in plain else not _is_told(k, s, inside):
            ranges.append((k, False))
    if not ranges:
        return ""
    printer = _printer(s, around, style)
    told = []
    for k, reverse in ranges:
        letter, last = printer.doprint(k), printer.doprint(k.size - 1)
        ends = ("0", last)[:: -1 if reverse else 1]
        told.append(
            rf"{letter} = {ends[0]}, \ldots, {ends[1]}" if style is LATEX else f"{letter} = {ends[0]}..{ends[1]}"
        )
    return r" \quad " + r",\; ".join(told) if style is LATEX else "   for " + ", ".join(told)


def at_once(node: Iterate, new: Tensor) -> Statement | None:
    """The one statement that gives the next value of what is iterated."""
    (first, *more) = [s for s in node.statements if new in outs(s)] or (None,)
    return first if not more and isinstance(first, Statement) and first.mode == "=" else None


def _sides(program: Program, t: Tensor, style: Style, inside: Inside = NOTHING) -> list[tuple[str, str, str]]:
    """(left side, sign, right side) of each thing that defines a tensor."""
    found = []
    for around in (n for n in program.statements if isinstance(n, Iterate)):
        for new in (new for x, _, new in around.states if x is t):
            s = at_once(around, new)
            if s is None:
                found.append((tensor_name(t, style), "=", tensor_name(new, style) + FIXED[style is LATEX]))
                continue
            left = _printer(s, around, style)._print_Access(Access(t, s.lhs))
            found.append((left, "=", contribution(s, style, around) + FIXED[style is LATEX]))
    found_at = places(program, t)
    for s, around in found_at:
        if isinstance(s, Library) and s.op in BY_ELEMENT:
            found.append((*_by_element(s, t, style),))
            continue
        if isinstance(s, Library):
            found.append((tensor_name(t, style), "=", contribution(s, style)))
            continue
        first = found_at[0][0]
        added = bool(found) and around is None and found_at[0][1] is None and isinstance(first, Statement)
        if added and s.mode == "+=" and all(x.covers and (x.guard is None or x.reduced) for x in (s, first)):
            s = reindex(s, dict(zip(s.lhs, first.lhs, strict=True)))
            left, mode, right = found[0]
            found[0] = (left, mode, _added(right, contribution(s, style, inside=inside), style))
            continue
        left = _printer(s, around, style)._print_Access(Access(t, s.lhs))
        mode = "=" if _apart((s, around), [p for p in found_at if p[0] is not s]) else s.mode
        found.append((left, mode, contribution(s, style, around, inside) + _steps(s, around, style, inside)))
    return found


def _by_element(s: Library, t: Tensor, style: Style) -> tuple[str, str, str]:
    """An operation that is easier to read by its elements."""
    names_ = [tensor_name(u, style) for u in (t, *s.args)]
    k = 0 if style is LATEX else 1
    left, right = BY_ELEMENT[s.op]
    return left[k].format(*names_), "=", right[k].format(*names_)


def _apart(place: tuple[Statement, Scan | Iterate | None], others: list[tuple[Statement, object]]) -> bool:
    """Does a statement write whole slices of the first axis that no other one writes? Then `+=` to 0 is `=`."""
    s, around = place
    if isinstance(around, Iterate) or s.guard is not None or not s.lhs:
        return s.mode == "="
    rest = list(zip(s.lhs[1:], s.out.shape[1:], strict=True))
    whole = all(isinstance(k, Index) and k in s.loops and k.size == n for k, n in rest)
    if not whole or len({k for k, _ in rest}) < len(rest) or s.lhs[0] in s.lhs[1:]:
        return s.mode == "="
    own = _reach(s.lhs[0])
    ends = [_reach(o.lhs[0]) if isinstance(o, Statement) and o.lhs else None for o, _ in others]
    return own is not None and all(
        (e is not None and _before(own, e)) or (e is not None and _before(e, own)) for e in ends
    )


def _reach(e: Expr) -> tuple[Expr, Expr] | None:
    """The least and the largest value of an index that is an index and a number, or a size."""
    if any(a for a in e.atoms(Access)):
        return None
    held = sorted(e.atoms(Index), key=lambda k: k.uid)
    if len(held) > 1 or (held and sympy.diff(e, held[0]) != 1):
        return None
    return (e.subs(held[0], 0), e.subs(held[0], held[0].size - 1)) if held else (e, e)


def _before(one: tuple[Expr, Expr], other: tuple[Expr, Expr]) -> bool:
    return (other[0] - one[1]).is_positive is True


def _added(left: str, right: str, style: Style) -> str:
    """left + right, with the sign of the right one between them."""
    minus = right.startswith(("-", "−"))
    return f"{left} {style.minus} {right[1:].lstrip()}" if minus else f"{left} + {right}"


def with_numbers(program: Program, t: Tensor) -> Program:
    """The program with each scalar that is made of sizes and hyper-parameters alone written where it is read."""
    table: dict[Expr, Expr] = {}
    new = []
    for node in program.statements:
        node = mapped(node, lambda s: replace(s, body=s.body.xreplace(table)) if table else s)
        new.append(node)
        plain = isinstance(node, Statement) and node.is_map and not node.out.shape and node.out is not t
        if plain and all(a.tensor.kind == "hyper" for a in accesses(node.body)):
            table[Access(node.out, ())] = node.body
    return program.with_statements(new)


def lines(program: Program, t: Tensor, inside: Inside = NOTHING) -> list[tuple[str, str]]:
    """The definition of a tensor as lines of (LaTeX, text); `inside` stand as what they are."""
    sign = {"=": "=", "+=": r"\mathrel{+}="}
    latex = [f"{left} {sign[mode]} {right}" for left, mode, right in _sides(program, t, LATEX, inside)]
    text = [f"{left} {mode} {right}" for left, mode, right in _sides(program, t, TEXT, inside)]
    return list(zip(latex, text, strict=True))


def letters_of(program: Program, t: Tensor, inside: Inside = NOTHING) -> frozenset[str]:
    """The letters on the left sides of a tensor's lines."""
    statements = [(s, around) for s, around in places(program, t) if isinstance(s, Statement)]
    return frozenset(x for s, around in statements for x in _chosen(s, around, inside).values())


def sides(program: Program, t: Tensor, inside: Inside = NOTHING) -> list[tuple[tuple[str, str], str, tuple[str, str]]]:
    """The definition of a tensor as (left, = or +=, right), both sides as (LaTeX, text)."""
    pairs = zip(_sides(program, t, LATEX, inside), _sides(program, t, TEXT, inside), strict=True)
    return [((a[0], b[0]), b[1], (a[2], b[2])) for a, b in pairs]


def write(program: Program, t: Tensor, style: Style, inside: Inside = NOTHING) -> str:
    """The right side of a tensor's definition; where elements are added to, the whole statement."""
    (left, mode, right), *more = _sides(program, t, style, inside)
    plus = r" \mathrel{+}= " if style is LATEX else " += "
    first = right if mode == "=" else f"{left}{plus}{right}"
    rest = [f"{left}{plus if sign == '+=' else ' = '}{value}" for left, sign, value in more]
    return (r";\; " if style is LATEX else "; ").join([first, *rest])


def needed(program: Program, t: Tensor) -> list[Tensor]:
    """The tensors that a definition reads and that the page did not give, in order of definition."""
    defined = {u for node in program.statements for u in outs(node)}
    found: set[Tensor] = set()
    todo = [t]
    while todo:
        u = todo.pop(0)
        turned = [new for n in program.statements if isinstance(n, Iterate) for x, _, new in n.states if x is u]
        todo += [new for new in turned if new not in found]
        found.update(turned)
        for s, around in places(program, u):
            moving = [x for x, *_ in around.states] if isinstance(around, Iterate) else []
            read = (*reads(s), *moving)  # where it starts does not matter
            fresh = [u for u in read if u in defined and u not in found and u is not t]
            found.update(fresh)
            todo += fresh
    shown = {new for n in program.statements if isinstance(n, Iterate) for *_, new in n.states if at_once(n, new)}
    return [u for u in program.tensors() if u in found and u not in shown]


def formula_text(e: Expr | type) -> tuple[str, str]:
    """An expression in plain symbols, or the name of a function of the language, as (LaTeX, text)."""
    if isinstance(e, type):
        row = FUNCTIONS[BY_CLASS[e]]
        return row.latex, row.text
    text = _Text({}).doprint(e).replace("**2", "²").replace("*", " ")
    return _Latex({}).doprint(e), text

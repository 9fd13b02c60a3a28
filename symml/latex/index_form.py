"""Statements in index form as LaTeX and as text.

write(program, d_w, LATEX)  ->  "\\sum_{i} X_{i j} \\bar{t}_{i} + \\lambda w_{j}"
"""

from __future__ import annotations

from dataclasses import replace

import sympy
from sympy import Expr

from symml.ir.functions import BY_CLASS, FUNCTIONS
from symml.ir.ops import OPS
from symml.ir.program import (
    Access,
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
)
from symml.ir.show import letters, numbers_in
from symml.latex.bodies import NOTHING, Inside, Latex, Text, is_told, reduction
from symml.latex.style import LATEX, TEXT, Style, tensor_name

BY_ELEMENT = {  # operations by their elements: left and right side, each as LaTeX and text
    "gaps": (
        (r"\left[{0}\right]_{{i j}}", "{0}[i, j]"),
        (
            r"\frac{{1}}{{\left[{1}\right]_{{j}} - \left[{1}\right]_{{i}}}} \quad \left(0 \text{{ where they are equal}}\right)",
            "1/({1}[j] − {1}[i])   (0 where they are equal)",
        ),
    )
}


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


def _printer(s: Statement, around: Scan | Iterate | None, style: Style, inside: Inside = NOTHING) -> Latex | Text:
    chosen = _chosen(s, around, inside)
    return Latex(chosen, inside) if style is LATEX else Text(chosen, inside)


def contribution(
    s: Statement | Library, style: Style, around: Scan | Iterate | None = None, inside: Inside = NOTHING
) -> str:
    """The right side of one statement or operation; `inside` stand as what they are."""
    if isinstance(s, Library):
        template = OPS[s.op].latex if style is LATEX else OPS[s.op].text
        return template.format(*(tensor_name(t, style) for t in s.args))
    return reduction(_printer(s, around, style, inside), s, s.body, style)


def _steps(s: Statement, around: Scan | Iterate | None, style: Style, inside: Inside) -> str:
    """For which steps, in their order, a line holds: of a recurrence, or of indices that leave out a part of an axis."""
    if isinstance(around, Iterate):
        return r" \quad \text{at the fixed point}" if style is LATEX else "   at the fixed point"
    ranges = [(around.step, around.reverse)] if around is not None else []
    plain = dict(zip(s.lhs, s.out.shape, strict=True))
    for k in (k for k in s.loops if any(k in indices(e) for e in s.lhs)):
        if plain[k] != k.size if k in plain else not is_told(k, s, inside):
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


def at(program: Program, t: Tensor) -> tuple[str, ...]:
    """The letters of the element that the first line of a tensor is of; none where its indices are more than letters."""
    s, around = places(program, t)[0]
    if not isinstance(s, Statement) or not all(isinstance(k, Index) for k in s.lhs):
        return ()
    return tuple(map(_printer(s, around, TEXT).doprint, s.lhs))


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
    text = Text({}).doprint(e).replace("**2", "²").replace("*", " ")
    return Latex({}).doprint(e), text

"""A tensor as a formula in which chosen tensors stand by their names: the lines of a derivation.

named(program, d_Z, {Z, H}, sample)  ->  Formula(text="1/n (softmax(Z) − Y)", error=2e-16, ...)
written_out(program, loss, {P})      ->  ("... \\\\sum_{i} \\\\log ...", "−1/n sum[i] log(P[i, y[i]]) + ...")
"""

from __future__ import annotations

import re
from collections import Counter

import sympy

from symml.ir.program import Access, Index, Program, Statement, Tensor, flat, indices, outs, reads, reindex
from symml.ir.show import LETTERS
from symml.latex import bodies, index_form, row_norms
from symml.latex.compared import BOUND, Sample
from symml.latex.derivation import Formula, disagreement
from symml.latex.finish import finished
from symml.latex.matrix_form import NoForm, Recogniser
from symml.latex.naming import by_complements
from symml.latex.printing import LATEX, TEXT, Style, one_hot_name, tensor_name, write
from symml.latex.shorten import SCALAR
from symml.latex.style import Both
from symml.latex.tree import Leaf, Node, OneHot, Scale, children, count, leaves


def tree(program: Program, t: Tensor, keep: frozenset[Tensor], sample: Sample) -> tuple[Node, float] | None:
    """The tree of a tensor with `keep` as names and how far it is from its statement; None without a matrix form."""
    try:
        recogniser = Recogniser(program, keep - {t})
        if t in recogniser.opaque:
            return None
        found = recogniser.node(t, top=True)
    except NoForm:
        return None
    found = finished(by_complements(found, _named_in(found, recogniser)))
    error = disagreement(program, t, found, sample)
    return (found, error) if error <= BOUND else None


def _named_in(node: Node, recogniser: Recogniser) -> dict[Node, Leaf]:
    """What the names in a tree stand for, by their own trees."""
    found: dict[Node, Leaf] = {}
    for u in leaves(node):
        try:
            leaf, tree = recogniser.node(u), recogniser.node(u, top=True) if u in recogniser.definitions else None
        except NoForm:
            continue
        if tree is not None and isinstance(leaf, Leaf):
            found[tree] = leaf
    return found


def named(program: Program, t: Tensor, keep: frozenset[Tensor], sample: Sample) -> Formula | None:
    """The matrix form of a tensor with `keep` as names, compared with its statement; None where there is none."""
    if t in keep or not any(t in outs(node) for node in program.statements):
        return Formula(t.name, tensor_name(t, LATEX), tensor_name(t, TEXT), (), "matrix", 1, 0.0)
    found = tree(program, t, keep, sample)
    if found is None:
        return None
    node, error = found
    return Formula(t.name, write(node, LATEX), write(node, TEXT), (), "matrix", count(node), error)


def one_hots(program: Program, t: Tensor, keep: frozenset[Tensor]) -> dict[str, tuple[Both, Both]]:
    """The matrices of labels that the formula of a tensor reads: name and definition of each, by name."""
    try:
        todo, found = [Recogniser(program, keep - {t}).node(t, top=True)], {}
    except NoForm:
        return {}
    while todo:
        node = todo.pop(0)
        todo += children(node)
        if isinstance(node, OneHot):
            name, labels = one_hot_name(node.labels), (LATEX.name(node.labels.name), TEXT.name(node.labels.name))
            right = (rf"\operatorname{{onehot}}\left({labels[0]}\right)", f"onehot({labels[1]})")
            found[name] = ((LATEX.name(name), TEXT.name(name)), right)
    return found


def said(program: Program, t: Tensor, keep: frozenset[Tensor], sample: Sample) -> frozenset[Tensor]:
    """The tensors that `as_written` names."""
    found = tree(program, t, keep, sample)
    if found is not None:
        return frozenset(leaves(found[0]))
    definitions = _plain(program)
    if t not in definitions:
        return frozenset(v for s in flat(program.statements) if s.out is t for v in reads(s))
    read = [v for v in reads(definitions[t]) if v not in keep and v in definitions and not v.shape]
    names = {v for v in reads(definitions[t]) if v not in read}
    for v in read:
        found = tree(program, v, keep, sample)
        names |= frozenset(leaves(found[0])) if found is not None else _said(definitions[v], definitions, keep)
    return frozenset(names)


def _said(s: Statement, definitions: dict[Tensor, Statement], keep: frozenset[Tensor]) -> frozenset[Tensor]:
    """The tensors that `written_out` names."""
    names: set[Tensor] = set()
    for v in reads(s):
        names |= _said(definitions[v], definitions, keep) if _stands_inside(v, definitions, keep) else {v}
    return frozenset(names)


def as_written(program: Program, t: Tensor, keep: frozenset[Tensor], sample: Sample) -> Both:
    """A scalar as a page writes it, (LaTeX, text): each term in matrix form or, where it has none, in index form."""
    whole = named(program, t, keep, sample)
    if whole is not None:
        return whole.latex, whole.text
    definitions = _plain(program)
    if t not in definitions:
        return index_form.write(program, t, LATEX), index_form.write(program, t, TEXT)
    terms = [_term(e, program, definitions, keep, sample) for e in sympy.Add.make_args(definitions[t].body)]
    if None in terms:
        return written_out(program, t, keep)
    terms.sort(key=lambda term: (-len(term[1][1]), term[1][1]))
    return tuple(_joined([(sign, both[k]) for sign, both in terms], minus) for k, minus in ((0, "-"), (1, "−")))


def _term(
    e: sympy.Expr, program: Program, definitions: dict[Tensor, Statement], keep: frozenset[Tensor], sample: Sample
) -> tuple[bool, Both] | None:
    """A coefficient times a scalar that a statement defines, and whether it is negative; None for anything else."""
    read = [a for a in sympy.Mul.make_args(e) if isinstance(a, Access) and a.tensor in definitions]
    if len(read) != 1 or read[0].tensor in keep:
        return None
    (a,) = read
    formula = named(program, a.tensor, keep, sample)
    inner = (formula.latex, formula.text) if formula else written_out(program, a.tensor, keep)
    if inner is None:
        return None
    factor = e / a
    if any(b.tensor in definitions for b in factor.atoms(Access)):
        return None
    negative = factor.could_extract_minus_sign()
    factor = -factor if negative else factor
    if factor == 1:
        return negative, inner
    front = [write(Scale(SCALAR, factor, None), style) for style in (LATEX, TEXT)]
    return negative, tuple(f"{f} {i}" for f, i in zip(front, inner, strict=True))


def _joined(terms: list[tuple[bool, str]], minus: str) -> str:
    (negative, first), *rest = terms
    return (minus if negative else "") + first + "".join(f" {minus if n else '+'} {text}" for n, text in rest)


def written_out(program: Program, t: Tensor, keep: frozenset[Tensor]) -> Both | None:
    """The right side of a tensor in index form, sums of the page written where they are read.

    None where the definition is more than one plain statement. A number that a sum gives stands as that sum.
    """
    definitions = _plain(program)
    s = definitions.get(t)
    if s is None:
        return None
    return tuple(_tidy(_right(s, definitions, keep, style, ())) for style in (LATEX, TEXT))


BRACKET = re.compile(r"\\left\(|\\right\)|\(|\)")


def _tidy(text: str) -> str:
    """Brackets that stand directly inside of brackets are left out."""
    stack, pairs = [], []
    for mark in BRACKET.finditer(text):
        if mark[0].endswith("("):
            stack.append(mark)
        else:
            pairs.append((stack.pop(), mark))
    gaps = {(opened.end(), closed.start()) for opened, closed in pairs}
    inner = [
        (opened, closed)
        for opened, closed in pairs
        if any(
            begin <= opened.start()
            and closed.end() <= end
            and not (text[begin : opened.start()] + text[closed.end() : end]).strip()
            for begin, end in gaps
        )
    ]
    for mark in sorted((m for pair in inner for m in pair), key=lambda m: m.start(), reverse=True):
        text = text[: mark.start()] + text[mark.end() :]
    return text


def _plain(program: Program) -> dict[Tensor, Statement]:
    """The tensors that one covering assignment outside of recurrences defines."""
    often = Counter(s.out for s in flat(program.statements))
    found = [s for s in program.statements if isinstance(s, Statement)]
    return {s.out: s for s in found if often[s.out] == 1 and s.mode == "=" and s.covers}


def _right(
    s: Statement, definitions: dict[Tensor, Statement], keep: frozenset[Tensor], style: Style, outer: tuple[str, ...]
) -> str:
    """The right side of a statement below the letters that are bound already."""
    letters: dict[Index, str] = {}
    for k in s.loops:
        taken = {*outer, *letters.values()}
        letters[k] = k.name if k.name not in taken else next(c for c in LETTERS if c not in taken)
    fresh = {k: Index(letters[k], k.size) for k in s.loops}
    s = reindex(s, fresh)
    bound = (*outer, *letters.values())
    printer = _Latex(definitions, keep, bound) if style is LATEX else _Text(definitions, keep, bound)
    squares = row_norms.squares(printer, s, style)
    if squares is not None:
        return squares
    body = printer.doprint(s.body)
    if s.reduce == "none" or not s.reduced:
        where = r"\; \text{where } " if style is LATEX else " where "
        return body if s.guard is None else body + where + bodies.condition(printer, s.guard, style)
    if s.body.is_Add:
        body = rf"\left({body}\right)" if style is LATEX else f"({body})"
    return f"{bodies.over(printer, s, style)} {body}"


def _stands_inside(t: Tensor, definitions: dict[Tensor, Statement], keep: frozenset[Tensor]) -> bool:
    """Was a tensor only made to hold what its statement says, which can stand where it is read?"""
    s = definitions.get(t)
    if s is None or t in keep or t.kind == "definition" or t.integer:
        return False
    return all(isinstance(k, Index) for k in s.lhs) and s.reduce in ("none", "sum", "logsumexp", "prod")


def _inner(printer: _Latex | _Text, a: Access, style: Style) -> str | None:
    """The definition in the place of an element that only was made to hold it; None where the name stays."""
    if not _stands_inside(a.tensor, printer.definitions, printer.keep):
        return None
    s = printer.definitions[a.tensor]
    free = tuple(k for k in s.loops if k not in s.lhs)
    inside = reindex(
        Statement(Tensor(a.name), (), "=", s.reduce, free, s.body, s.guard), dict(zip(s.lhs, a.idx, strict=True))
    )
    used = tuple(k.name for k in set().union(*(indices(e) for e in a.idx)))
    text = _right(inside, printer.definitions, printer.keep, style, tuple(dict.fromkeys((*printer.bound, *used))))
    if row_norms.alone(inside, printer.held) is not None:
        return text
    if s.reduce == "none" and not s.body.is_Add:
        return text
    return rf"\left({text}\right)" if style is LATEX else f"({text})"


class _Latex(bodies.Latex):
    def __init__(self, definitions: dict[Tensor, Statement], keep: frozenset[Tensor], bound: tuple[str, ...]) -> None:
        super().__init__({})
        self.definitions, self.keep, self.bound = definitions, keep, bound
        self.held = {t: s for t, s in definitions.items() if _stands_inside(t, definitions, keep)}

    def _print_Access(self, e: Access) -> str:
        return _inner(self, e, LATEX) or super()._print_Access(e)


class _Text(bodies.Text):
    def __init__(self, definitions: dict[Tensor, Statement], keep: frozenset[Tensor], bound: tuple[str, ...]) -> None:
        super().__init__({})
        self.definitions, self.keep, self.bound = definitions, keep, bound
        self.held = {t: s for t, s in definitions.items() if _stands_inside(t, definitions, keep)}

    def _print_Access(self, e: Access) -> str:
        return _inner(self, e, TEXT) or super()._print_Access(e)

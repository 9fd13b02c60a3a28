"""Where an objective has kinks: what stands for its slopes there, the conditions entry by entry, and proximal operators.

    told(analysis)   ->  rows: what sign(u), [u > 0], u/||u|| stand for where u = 0
    rows(analysis)   ->  rows: each penalty's conditions, and the proximal operator of each non-smooth term with its proof

Source: Parikh & Boyd, Proximal Algorithms (2014), sections 2 and 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import sympy
from sympy import Expr, Symbol

from symml.analysis import Analysis
from symml.calculus.reverse import gradient
from symml.derivations.sections import SIGNS, Side, equation, note, side
from symml.errors import NumericError
from symml.ir.functions import absolute, maximum, minimum, relu, signum
from symml.ir.program import Access, Domain, Program, Statement, Tensor, accesses, fresh_indices, reads
from symml.latex.printing import LATEX, TEXT, Style
from symml.methods.epigraph import has_kinks
from symml.methods.likelihood import flat_objective, terms
from symml.methods.proximal import Penalty, Split, split
from symml.names import Names
from symml.proof.complex_step import check_gradient
from symml.proof.proximal import check_prox
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify

POSITIVE = Domain("interval", lower=0.0, open=(True, False))


def kinked(a: Analysis) -> bool:
    """Does the objective have kinks in what is trained?"""
    return has_kinks(a.forward, a.model.over)


def told(a: Analysis) -> Iterator[dict]:
    """What stands for the slope of each kind of kink, one choice for all lines."""
    moving = [s for s in a.forward.statements if isinstance(s, Statement)]
    bodies = [s.body for s in moving]
    head = "subgradient optimality"
    if any(b.has(absolute) for b in bodies):
        yield note(head, "where u = 0, sign(u) is any number of [−1, 1]")
    pairs = [m for b in bodies for m in b.atoms(maximum, minimum)]
    if any(b.has(relu) for b in bodies) or any(0 in m.args for m in pairs):
        yield note(head, "where u = 0, [u > 0] is any number of [0, 1], the same one on every line")
    if any(0 not in m.args for m in pairs):
        yield note(head, "where a = b, [a > b] is any number of [0, 1], the same one on every line")
    if any(s.reduce in ("max", "min") for s in moving):
        yield note(head, "where several entries are the largest, any shares of theirs that sum to 1")
    if any(p.is_Pow and p.exp == sympy.Rational(1, 2) for b in bodies for p in b.atoms(sympy.Pow)):
        yield note(head, "where u = 0, u/‖u‖ is any vector that is no longer than 1")


def rows(a: Analysis) -> Iterator[dict]:
    """Conditions of each penalty on a whole parameter, and the proximal operator of each non-smooth term."""
    found = split(a.forward, "loss", a.model.over)
    if found.program is not None:
        for p in found.penalties:
            yield from _conditions(a, found, p)
    for term in _non_smooth(a):
        yield from _proximal(a, term)


# conditions


def _conditions(a: Analysis, found: Split, p: Penalty) -> Iterator[dict]:
    """The slope of the smooth part against the weight: equal where an entry is not 0, at most so where it is."""
    smooth = prune(found.program, "smooth")
    derivative = simplify(gradient(smooth, "smooth", (p.param,)))
    proof = check_gradient(smooth, derivative, "smooth", p.param)
    if not proof.ok:
        raise NumericError(f"the slope of the smooth part in '{p.param.name}' is wrong: {proof}")
    weight = _weight(found.program, p)
    name = Names(t.name for t in a.forward.tensors()).claim("g" if len(p.param.shape) < 2 else "G")
    head = f"conditions on {TEXT.name(p.param.name)}"
    slope = side(*_called(derivative, f"d_{p.param.name}", name), False)
    if slope.text == TEXT.name(name):  # several statements: they say what it is
        for k, line in enumerate(slope.where):
            yield equation(head, ("", ""), line, str(proof) if k == len(slope.where) - 1 else "", ())
    else:
        yield equation(head, slope.of(name), (slope.latex, slope.text), str(proof), slope.where)
    for latex, text in _cases(p, name, weight):
        yield equation(head, ("", ""), (latex, text), "", ())


def _called(program: Program, output: str, name: str) -> tuple[Program, Tensor]:
    """The program with an output under another name, and that."""
    old = program.outputs[output]
    new = Tensor(name, old.shape)
    statements = tuple(
        replace(s, out=new) if isinstance(s, Statement) and s.out is old else s for s in program.statements
    )
    return replace(program, statements=statements, outputs={output: new}), new


def _weight(program: Program, p: Penalty) -> tuple[str, str]:
    return _factor(side(program, program.outputs[f"weight {p.param.name}"], False))


def _factor(w: Side) -> tuple[str, str]:
    """A weight in front of something else, with a blank behind: nothing for 1, in brackets where it is a sum."""
    if w.text == "1":
        return "", ""
    sides = (w.bracketed(LATEX), w.bracketed(TEXT)) if any(sign in w.text for sign in SIGNS) else (w.latex, w.text)
    return f"{sides[0]} ", f"{sides[1]} "


def _cases(p: Penalty, name: str, weight: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """The two cases as (LaTeX, text)."""
    if p.kind == "absolute":
        at = "j" if len(p.param.shape) == 1 else "j, k"
        one, w = (f"{TEXT.name(n)}[{at}]" if p.param.shape else TEXT.name(n) for n in (name, p.param.name))
        one_, w_ = (f"{LATEX.name(n)}_{{{at}}}" if p.param.shape else LATEX.name(n) for n in (name, p.param.name))
        slope = (rf"\operatorname{{sign}}\left({w_}\right)", f"sign({w})")
        size = (rf"\left|{one_}\right|", f"|{one}|")
    else:
        row = len(p.param.shape) == 2
        one, w = (TEXT.name(n) + "[j]" * row for n in (name, p.param.name))
        one_, w_ = (LATEX.name(n) + "_{j}" * row for n in (name, p.param.name))
        slope = (rf"\frac{{{w_}}}{{\left\|{w_}\right\|}}", f"{w}/‖{w}‖")
        size = (rf"\left\|{one_}\right\|", f"‖{one}‖")
    yield (
        rf"{one_} = -{weight[0]}{slope[0]} \quad \text{{where }} {w_} \ne 0",
        f"{one} = −{weight[1]}{slope[1]}   where {w} ≠ 0",
    )
    weight = tuple(w.strip() or "1" for w in weight)
    yield rf"{size[0]} \le {weight[0]} \quad \text{{where }} {w_} = 0", f"{size[1]} ≤ {weight[1]}   where {w} = 0"


# proximal operators


@dataclass(frozen=True)
class _Term:
    """weight times the sum of F(u) over all entries of u, of a shape."""

    kind: str
    weight: Expr
    shape: tuple[Expr, ...]


def _non_smooth(a: Analysis) -> list[_Term]:
    """The terms of the objective that are a weight, free of parameters, times a sum of absolute values, norms or hinges."""
    definitions: dict[Tensor, list[Statement]] = {}
    for s in (s for s in a.forward.statements if isinstance(s, Statement)):
        definitions.setdefault(s.out, []).append(s)
    atoms: dict[Symbol, Statement] = {}
    found = []
    for term in terms(flat_objective(a.forward.outputs["loss"][()], definitions, atoms)):
        held = term.free_symbols & set(atoms)
        if len(held) != 1:
            continue
        (k,) = held
        for root in (k, sympy.sqrt(k)):
            weight = term / root
            if not weight.has(k) and all(x.tensor.kind == "hyper" for x in accesses(weight)):
                found += _of_sum(atoms[k], weight, definitions, root is not k)
    return [t for t in dict.fromkeys(found) if t.weight.is_nonnegative]


def _of_sum(s: Statement, weight: Expr, definitions: dict[Tensor, list[Statement]], rooted: bool) -> list[_Term]:
    """A sum over all its loops of c F(u), or the root of a sum of squares."""
    if s.reduce not in ("sum", "none") or s.guard is not None:
        return []
    number, body = s.body.as_independent(relu, absolute, maximum, sympy.Pow, as_Add=False)
    if any(x.tensor.kind != "hyper" for x in accesses(number)):
        return []
    shape = tuple(k.size for k in s.loops)
    if rooted:
        square = s.body.is_Pow and s.body.exp == 2 and isinstance(s.body.base, Access)
        return [_Term("groups", weight, shape)] if square else []
    if body.func is absolute:
        return [_Term("absolute", weight * number, shape)]
    if body.func is relu or (body.func is maximum and 0 in body.args):
        return [_Term("hinge", weight * number, shape)]
    if body.is_Pow and body.exp == sympy.Rational(1, 2) and isinstance(body.base, Access):
        inner = definitions.get(body.base.tensor, [])
        rows_ = len(inner) == 1 and inner[0].reduce == "sum" and inner[0].body.is_Pow and inner[0].body.exp == 2
        if rows_ and len(inner[0].loops) == 2 and isinstance(inner[0].body.base, Access):
            return [_Term("groups", weight * number, inner[0].body.base.tensor.shape)]
    return []


def _proximal(a: Analysis, term: _Term) -> Iterator[dict]:
    """argmin over u of s F(u) + |u - v|^2 / 2, from 0 in its subdifferential; compared with that definition."""
    names = Names(t.name for t in a.forward.tensors() if t.kind in ("hyper", "data", "param"))
    u, wish = ("U", "V") if len(term.shape) == 2 else ("u", "v")
    v = Tensor(names.claim(wish), term.shape, "data")
    s = Tensor(names.claim("s"), (), "hyper", POSITIVE)
    program = _operator(a, term, v, s)
    proof = check_prox(program, v, s, term.kind)
    if not proof.ok:
        raise NumericError(f"the proximal operator of a term is wrong: {proof}")
    shown, weight = (side(program, program.outputs[k], False) for k in ("prox", "weight"))
    way = [_way(term, u, style.name(v.name), style.name(s.name), w, style) for w, style in _styled(weight)]
    head = f"proximal operator of {way[1][0]}"
    for latex, text in zip(way[0][1:], way[1][1:], strict=True):
        yield equation(head, ("", ""), (latex, text), "", ())
    rises = f"its objective rises by |d|²/2 or more along {proof.points} steps d"
    yield equation(head, (u, u), (shown.latex, shown.text), rises, shown.where)


def _styled(weight: Side) -> tuple[tuple[str, Style], tuple[str, Style]]:
    latex, text = _factor(weight)
    return (latex, LATEX), (text, TEXT)


def _way(term: _Term, u: str, v: str, s: str, w: str, style: Style) -> list[str]:
    """What the operator is of, its definition, and 0 in the subdifferential of that: in one case each, u = 0 and not."""
    latex = style is LATEX
    each = "_{j}" if latex and len(term.shape) == 2 else "[j]" if len(term.shape) == 2 else ""
    bars, size = ((r"\left|", r"\right|"), ("|", "|"))[not latex], style.norm
    where = r" \quad \text{where } " if latex else "   where "
    at_most, other, least = (r" \le ", r" \ne ", r"\arg\min_{" + u + "} ") if latex else (" ≤ ", " ≠ ", f"argmin[{u}] ")
    if term.kind == "groups":
        sums = (r"\sum_{j} " if latex else "sum[j] ") if each else ""
        of, slope = sums + (u + each).join(size), style.fraction(u + each, (u + each).join(size))
        zero = f"{(v + each).join(size)}{at_most}{s} {w}".rstrip()
    elif term.kind == "absolute":
        each = ""
        of, slope = u.join(size) + ("_1" if latex else "₁"), style.function("sign") + u.join(style.brackets)
        zero = f"{v.join(bars)}{at_most}{s} {w}".rstrip()
    else:
        of = rf"\mathbf{{1}}^{{\top}} \max\left(0, {u}\right)" if latex else f"1ᵀmax(0, {u})"
        slope, zero = f"[{u} > 0]", f"0{at_most}{v}{at_most}{s} {w}".rstrip()
    half = r"\tfrac{1}{2}" if latex else "1/2"
    definition = f"{least}{s} {w}{of} + {half} {f'{u} {style.minus} {v}'.join(size)}{style.power('2')}"
    away = f"{v}{each} {style.minus} {u}{each} = {s} {w}{slope}{where}{u}{each}{other}0"
    return [f"{w}{of}", definition, away, f"{zero}{where}{u}{each} = 0"]


def _operator(a: Analysis, term: _Term, v: Tensor, s: Tensor) -> Program:
    """The operator as statements: outputs `prox` of the shape of v, and `weight`."""
    k, out, weight = fresh_indices(term.shape), Tensor("prox", term.shape), Tensor("weight")
    most, at = s[()] * weight[()], Access(v, k)
    statements = [Statement(weight, (), "=", "none", (), term.weight)]
    if term.kind == "absolute":
        body = signum(at) * maximum(0, absolute(at) - most)
    elif term.kind == "hinge":
        body = at - minimum(maximum(0, at), most)
    else:
        row = k[:-1] if len(k) == 2 else ()
        square, other = Tensor("square", tuple(i.size for i in row)), fresh_indices(term.shape)
        statements.append(Statement(square, other[: len(row)], "=", "sum", other, Access(v, other) ** 2))
        body = maximum(0, 1 - most / sympy.sqrt(Access(square, row))) * at
    statements.append(Statement(out, k, "=", "none", k, body))
    hypers = [t for t in a.forward.inputs if t.kind == "hyper" and any(t in reads(x) for x in statements)]
    whole = Program((v, s, *hypers), tuple(statements), {"prox": out, "weight": weight})
    return replace(whole, requires=())

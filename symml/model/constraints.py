"""What a solution must satisfy, read from the Tree: `subject to`, and the domains of the parameters that are optimised.

For each page, `model.constraints` holds one Constraint for each relation (a chain or `and` gives several), and the lowered
Program has its residual as the output `constraint NAME`, a tensor with an entry for each single condition:

    sense "equal"     residual = 0          left - right
    sense "at_most"   residual <= 0         left - right of `<=`, right - left of `>=`
    sense "psd"       residual is symmetric and positive semidefinite

`model.regions` holds the sets among them that have a projection of their own, at most one for each parameter, with their
figures as further outputs of the Program; `absorbs` names the constraints that such a set is made of. What no region absorbs
is general. (feasible.py lowers and recognises them.)

    box          `lower NAME`, `upper NAME` (either may be absent), of the parameter's shape; equal where it is fixed
    simplex      entries >= 0 whose sums along `axis` are `total NAME` (shape: the parameter's without that axis)
    level        sums along `axis` are `total NAME`, entries times `normal NAME` where that is there; bounds as of a box
    ball         ||x|| <= `radius NAME`, a scalar
    orthonormal  W' W = I, or rows: W W' = I with axis 1
    psd, symmetric

An open end (`> 0`) is `strict` in a constraint and `open` in a region: the value there is never taken, only approached.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from symml.errors import SpecError, UnsupportedError
from symml.ir.program import Domain, Tensor
from symml.model.constants import number
from symml.model.domains import STRUCTURED, check_shape, domain_of
from symml.source import Span
from symml.syntax import tree

SENSES = {"=": "equal", "<=": "at_most", "<": "at_most", ">=": "at_most", ">": "at_most"}
CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class Constraint:
    """One relation; `text` as the page says it, `param` the parameter whose declaration says it ("": subject to); `ranges`:
    what its indices run over, where the page says it."""

    name: str
    sense: str
    text: str
    span: Span
    left: tree.Expr
    right: tree.Expr | None
    strict: bool = False
    param: str = ""
    ranges: tuple[tree.Binder, ...] = ()

    @property
    def output(self) -> str:
        """The key of the residual among the outputs of the Program."""
        return f"constraint {self.name}"


@dataclass(frozen=True)
class End:
    """A constraint that bounds every entry of a parameter: its residual[...] = slope (parameter - bound), the axes of the
    residual being those of the parameter in the order `axes`."""

    name: str
    slope: float
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Whole:
    """A constraint of all entries: its residual is slope times the sum, or the norm, less what it may be; of their squares
    where `squared`."""

    name: str
    slope: float
    squared: bool = False


@dataclass(frozen=True)
class Region:
    """A set of one parameter that has a projection; kind: box, simplex, level, ball, orthonormal, psd, symmetric. `ends`: its
    bounds among `absorbs`, of a box, a simplex or a level; `whole`: its sum or norm."""

    param: Tensor
    kind: str
    absorbs: tuple[str, ...]
    axis: int = -1
    open: tuple[bool, bool] = (False, False)
    ends: tuple[End, ...] = ()
    whole: Whole | None = None


@dataclass(frozen=True)
class _Said:
    """Where relations stand: the stem of their names, their text and place."""

    stem: str
    text: str
    span: Span
    param: str = ""


def read(
    objective: tree.Objective | None, over: tuple[Tensor, ...], dims: Iterable[str], taken: Iterable[str]
) -> tuple[Constraint, ...]:
    """Every constraint of a page: of the parameters' domains first, then of `subject to`."""
    if objective is None:
        return ()
    letters = [k for k in "ijklmpqr" if k not in set(taken)]
    known = {t.name: t for t in over}
    found: list[Constraint] = []
    for t in over:
        subject = tree.Name(t.name, span=t.span)
        said = _Said(t.name, f"{t.name} {domain_text(t.domain)}", t.span, t.name)
        found += _members(subject, t, t.domain, said, letters)
    for k, node in enumerate(objective.constraints, start=1):
        relation, ranges = (node.relation, node.ranges) if isinstance(node, tree.Each) else (node, ())
        text, atoms = _text(relation) + _ranged(ranges), []
        for part in _conjuncts(relation):
            atoms += _relations(part, known, dims, _Said(f"c{k}", text, relation.span), letters)
        atoms = [replace(a, ranges=ranges) for a in atoms]
        if len(atoms) > 1:
            atoms = [
                replace(a, name=f"{a.name}{_letter(j)}", text=_part(a) + _ranged(ranges)) for j, a in enumerate(atoms)
            ]
        found += atoms
    return tuple(found)


def _letter(k: int) -> str:
    return chr(ord("a") + k) if k < 26 else f"_{k}"


def _conjuncts(node: tree.Expr) -> Iterator[tree.Compare]:
    """`a and b` as its parts; all constraints hold together, so `or` and `not` have no meaning."""
    if isinstance(node, tree.Logic) and node.op == "and":
        for part in node.args:
            yield from _conjuncts(part)
    elif isinstance(node, tree.Compare):
        yield node
    else:
        what = f"'{node.op}' has no meaning between constraints" if isinstance(node, tree.Logic) else "no constraint"
        raise SpecError(what, node.span, fix="constraints are comparisons that all hold: subject to  g <= 0; h = 0")


def _relations(
    node: tree.Compare, known: Mapping[str, Tensor], dims: Iterable[str], said: _Said, letters: list[str]
) -> list[Constraint]:
    """The relations of a chain, in order."""
    found, left = [], node.first
    for op, right in node.rest:
        if op == "in":
            found += _within(left, right, known, dims, said, letters)
        elif op not in SENSES:
            raise SpecError(
                f"'{op}' does not constrain: almost every point satisfies it", right.span, fix="write =, <= or >="
            )
        else:
            sides = (right, left) if op in (">=", ">") else (left, right)
            found.append(Constraint(said.stem, SENSES[op], said.text, said.span, *sides, op in ("<", ">"), said.param))
        left = right
    return found


def _within(
    left: tree.Expr, node: tree.Expr, known: Mapping[str, Tensor], dims: Iterable[str], said: _Said, letters: list[str]
) -> list[Constraint]:
    """`x in [0, 1]`, `w in simplex`."""
    domain = domain_of(node, {name: None for name in dims})
    tensor = known.get(left.id) if isinstance(left, tree.Name) else None
    if domain.kind in STRUCTURED and domain.kind != "psd" and tensor is None:
        raise SpecError(
            f"'{domain.kind}' is a set of a whole parameter",
            left.span,
            fix="name the parameter, or write out what holds",
        )
    return _members(left, tensor, domain, said, letters)


def _members(
    subject: tree.Expr, tensor: Tensor | None, domain: Domain, said: _Said, letters: list[str]
) -> list[Constraint]:
    """What membership in a domain means, as relations."""
    if domain.kind == "real":
        return []
    if domain.kind not in ("interval", *STRUCTURED):
        raise UnsupportedError(
            f"'{said.text}': a choice among separate values is not supported yet",
            said.span,
            fix="relax it to an interval, such as in [0, 1]",
        )
    if tensor is not None:
        check_shape(tensor.name, tensor.shape, domain, said.span)

    def relation(sense: str, left: tree.Expr, right: tree.Expr | None, end: str, strict: bool = False) -> Constraint:
        name = f"{said.stem}_{end}" if said.param else said.stem
        return Constraint(name, sense, said.text, said.span, left, right, strict, said.param)

    found: list[Constraint] = []
    if domain.kind in ("interval", "simplex", "stochastic"):
        if domain.lower is not None:
            found.append(relation("at_most", _number(domain.lower, said.span), subject, "lower", domain.open[0]))
        if domain.upper is not None and domain.kind == "interval":
            found.append(relation("at_most", subject, _number(domain.upper, said.span), "upper", domain.open[1]))
    if domain.kind in ("simplex", "stochastic"):
        one = _number(1, said.span)
        found.append(relation("equal", _sums(subject, len(tensor.shape), letters, said.span), one, "sum"))
    if domain.kind == "ball":
        two = _number(2, said.span)
        square = tree.Binary("^", tree.Norm(subject, span=said.span), two, span=said.span)
        found.append(relation("at_most", square, _number(domain.upper**2, said.span), "ball"))
    if domain.kind == "symmetric":
        found.append(relation("equal", subject, tree.Transpose(subject, span=said.span), "symmetric"))
    if domain.kind == "psd":
        found.append(relation("psd", subject, None, "psd"))
    return found


def _sums(subject: tree.Expr, rank: int, letters: list[str], span: Span) -> tree.Expr:
    """`sum[j] A[i, j]`: the sums along the last axis."""
    names = tuple(tree.Name(k, span=span) for k in letters[:rank])
    element = tree.Index(subject, names, span=span)
    return tree.Reduction("sum", (tree.Binder((names[-1],), None, span=span),), None, element, span=span)


def _number(value: float, span: Span) -> tree.Expr:
    whole = int(value) if float(value).is_integer() and abs(value) < 2**53 else value
    return tree.Number(whole, span=span) if value >= 0 else tree.Negate(tree.Number(-whole, span=span), span=span)


# text


def domain_text(d: Domain) -> str:
    """A domain as a declaration says it."""
    if d.kind == "ball":
        return "in ball" if d.upper == 1 else f"in ball({d.upper:g})"
    if d.kind in STRUCTURED:
        return f"in {d.kind}"
    if d.lower is None or d.upper is None:
        op = (">" if d.open[0] else ">=") if d.upper is None else ("<" if d.open[1] else "<=")
        end = d.lower if d.upper is None else d.upper
        return "" if end is None else f"{op} {end:g}"
    left, right = ("(" if d.open[0] else "["), (")" if d.open[1] else "]")
    return f"in {left}{d.lower:g}, {d.upper:g}{right}"


def _part(c: Constraint) -> str:
    """One relation of a chain, from its sides; the whole text where a side has no text of its own."""
    if c.right is None or c.left.span == c.right.span or c.span in (c.left.span, c.right.span):
        return c.text
    first, second = sorted((c.left, c.right), key=lambda e: (e.span.line, e.span.column))
    return _between(first.span, second.span)


def _text(node: tree.Expr) -> str:
    """The source of a comparison, on one line."""
    if isinstance(node, tree.Logic):
        return _between(_first(node).span, _last(node).span)
    return _between(node.first.span, node.rest[-1][1].span) if isinstance(node, tree.Compare) else ""


def _ranged(ranges: tuple[tree.Binder, ...]) -> str:
    """`for` and what follows it."""
    return f" for {_between(ranges[0].span, ranges[-1].span)}" if ranges else ""


def _first(node: tree.Expr) -> tree.Expr:
    while isinstance(node, tree.Logic | tree.Compare):
        node = node.args[0] if isinstance(node, tree.Logic) else node.first
    return node


def _last(node: tree.Expr) -> tree.Expr:
    while isinstance(node, tree.Logic | tree.Compare):
        node = node.args[-1] if isinstance(node, tree.Logic) else node.rest[-1][1]
    return node


def _between(first: Span, last: Span) -> str:
    """The source from one place to the end of another, brackets around the ends included, blanks evened."""
    lines = first.source.text.splitlines()[first.line - 1 : last.line]
    start, stop = first.column - 1, last.column - 1 + last.width
    whole = "\n".join(lines)
    stop += len(whole) - len(lines[-1])
    while (opened := _open(whole[start:stop])) and stop < len(whole) and opened > 0:
        stop += 1
    while _open(whole[start:stop]) < 0 and start > 0:
        start -= 1
    return " ".join(whole[start:stop].split())


def _open(text: str) -> int:
    """How many brackets of a text stay open; negative where it closes more than it opens."""
    return sum((c in "([") - (c in ")]") for c in text)


# bounds that a page writes as constraints


def tightened(
    params: tuple[Tensor, ...], constraints: Iterable[Constraint], taken: Iterable[str]
) -> dict[Tensor, Tensor]:
    """Parameters whose every entry `subject to` bounds by a number, with that interval as their domain."""
    found: dict[str, Domain] = {}
    known = {t.name: t for t in params}
    for c in constraints:
        if c.sense != "at_most" or c.param or c.ranges:
            continue
        for node, other, is_upper in ((c.left, c.right, True), (c.right, c.left, False)):
            t = _whole(node, known, taken)
            value = _literal(other)
            if t is None or value is None:
                continue
            d = found.get(t.name, t.domain)
            if d.kind not in ("real", "interval"):
                continue
            found[t.name] = _cut(d, value, is_upper, c.strict)
    return {known[name]: replace(known[name], domain=d) for name, d in found.items()}


def _cut(d: Domain, value: float, is_upper: bool, strict: bool) -> Domain:
    """A domain within a further bound."""
    low, high = d.lower, d.upper
    if is_upper and (high is None or value < high):
        return Domain("interval", low, value, (d.open[0], strict))
    if not is_upper and (low is None or value > low):
        return Domain("interval", value, high, (strict, d.open[1]))
    return d


def _whole(node: tree.Expr, known: Mapping[str, Tensor], taken: Iterable[str]) -> Tensor | None:
    """The parameter that an expression is, whole or by its free indices."""
    if isinstance(node, tree.Name):
        return known.get(node.id)
    if not (isinstance(node, tree.Index) and isinstance(node.base, tree.Name) and node.base.id in known):
        return None
    t, letters = known[node.base.id], [k.id for k in node.indices if isinstance(k, tree.Name) and k.id not in taken]
    return t if len(letters) == len(node.indices) == len(t.shape) == len(set(letters)) else None


def _literal(node: tree.Expr) -> float | None:
    try:
        value = number(node)
    except SpecError:
        return None
    return float(value) if math.isfinite(value) else None

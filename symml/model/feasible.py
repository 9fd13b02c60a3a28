"""Constraints as outputs of the Program, and the sets among them that have a projection of their own.

    residual(lowering, constraint)  ->  Tensor          left - right, with an entry for each single condition
    regions(program, model)         ->  (Program, (Region(w, "simplex", ("c1", "c2")),))

Recognition reads the lowered statements alone, so `sum[i] w[i] = 1`, `1 = sum[i] w[i]` and `in simplex` are one set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sympy
from sympy import Expr

from symml.errors import SpecError, UnsupportedError
from symml.ir.expand import expand
from symml.ir.functions import canonical, equal, maximum, minimum
from symml.ir.program import (
    Access,
    Index,
    Program,
    Statement,
    Tensor,
    dependents,
    direct_accesses,
    fresh_indices,
    indices,
    outs,
    substitute,
)
from symml.model.constraints import Constraint, End, Region, Whole
from symml.model.expressions import IDENTITY, is_meant
from symml.model.infer import index_range, shape_of
from symml.model.left import free_letters
from symml.model.sets import ranges
from symml.model.values import Value, broadcast, elementwise
from symml.names import Names
from symml.syntax import tree

if TYPE_CHECKING:
    from symml.model.lower import Lowering
    from symml.model.model import Model

SQUARED = (2,)


def residual(low: Lowering, c: Constraint) -> Tensor:
    """The tensor that is 0, at most 0, or positive semidefinite at a feasible point."""
    sides = [side for side in (c.left, c.right) if side is not None]
    over, env = _ranges(low, c, sides)
    value = _difference(low, c, env)
    rest = fresh_indices(value.shape, "pqrijklm" if env else "ijklmpqr")
    loops = (*over, *rest)
    body = canonical(value.at(rest))
    assert not indices(body) - set(loops)
    tensor = Tensor(low.names.claim(c.name), tuple(k.size for k in loops), span=c.span)
    low.statements.append(Statement(tensor, loops, "=", "none", loops, body, span=c.span))
    return tensor


def _ranges(low: Lowering, c: Constraint, sides: list[tree.Expr]) -> tuple[tuple[Index, ...], Mapping[str, Expr]]:
    """The indices of a relation and what its letters mean: as `for` says, else as far as the entries exist."""
    said = tree.Reduction("sum", c.ranges, None, sides[0], span=c.span)
    over, env, guard = (r := ranges(low, said, {})).over, dict(r.env), r.guard
    if guard is not None:
        raise UnsupportedError("a constraint for a subset is not supported yet", c.ranges[0].span)
    for name in (n for binder in c.ranges for n in binder.names):
        if not any(isinstance(part, tree.Name) and part.id == name.id for side in sides for part in tree.walk(side)):
            raise SpecError(f"nothing in the constraint depends on '{name.id}'", name.span)
    for name in free_letters(low, sides):
        if name.id in env:
            continue
        steps = _steps(low, name.id, sides)
        size = index_range(name, sides, low) if not steps else steps[0][0]
        before, after = (max([0, *(sign * step for _, step in steps)]) for sign in (-1, 1))
        k = Index(name.id, size - before - after)
        if before or after:
            if any(other != size for other, _ in steps) or not low.require(k.size - 1, name.span):
                raise SpecError(f"no values of index '{name.id}' are in range", name.span)
            low.parts.add(k)
        over, env[name.id] = (*over, k), k + before
    return over, env


def _steps(low: Lowering, name: str, sides: Iterable[tree.Expr]) -> list[tuple[Expr, int]]:
    """(size of the axis, steps from the index) of each `x[k - 1]`, `x[k + 2]`; none where the index stands alone everywhere."""
    found = []
    for node in (part for side in sides for part in tree.walk(side) if isinstance(part, tree.Index)):
        for k, size in zip(node.indices, shape_of(node.base, low) or (), strict=False):
            step = _step(k, name)
            if step is not None:
                found.append((size, step))
    return found if any(step for _, step in found) else []


def _step(k: tree.Expr, name: str) -> int | None:
    """How far `t + 1` is from t; None where it is no such sum."""
    if isinstance(k, tree.Name):
        return 0 if k.id == name else None
    if not (isinstance(k, tree.Binary) and k.op in ("+", "-") and isinstance(k.right, tree.Number)):
        return None
    whole = isinstance(k.left, tree.Name) and k.left.id == name and isinstance(k.right.value, int)
    return (k.right.value if k.op == "+" else -k.right.value) if whole else None


def _difference(low: Lowering, c: Constraint, env: Mapping[str, Index]) -> Value:
    """left - right; an undeclared I beside a square matrix is the identity."""
    if c.right is None:
        return low.expression(c.left, env)
    for node, other, sign in ((c.right, c.left, 1), (c.left, c.right, -1)):
        if isinstance(node, tree.Name) and node.id == IDENTITY and not is_meant(low, IDENTITY):
            value = low.expression(other, env)
            if value.rank != 2 or value.shape[0] != value.shape[1]:
                raise SpecError(f"I is an identity matrix, beside it stands a {value.described()}", node.span)
            return elementwise(lambda x, sign=sign: sign * x, _less_identity(value))
    left, right = low.expression(c.left, env), low.expression(c.right, env)
    a, b = broadcast(left, right, c.right.span, "the comparison")
    if not a.rank < b.rank:
        return elementwise(lambda x, y: x - y, a, b)
    return elementwise(lambda y, x: x - y, b, a)


def _less_identity(value: Value) -> Value:
    return Value(value.shape, lambda idx: value.at(idx) - equal(*idx))


# regions


@dataclass(frozen=True)
class _Found:
    """What one residual says of one parameter: kind box end `lower`, `upper` or `fixed`, or sum (of its entries times those of
    `normal`, over the same indices), ball, orthonormal."""

    kind: str
    param: Tensor
    figure: Expr
    loops: tuple[Index, ...]
    axis: int = -1
    slope: float = 0.0
    axes: tuple[int, ...] = ()
    normal: tuple[tuple[Index, ...], Expr] = ((), sympy.Integer(1))

    @property
    def plain(self) -> bool:
        """Is a sum one of the entries themselves?"""
        return self.normal[1] == 1

    def end(self, name: str) -> End:
        """A bound by the name of its constraint."""
        return End(name, self.slope, self.axes)

    def whole(self, name: str) -> Whole:
        """A sum or a norm by the name of its constraint; of a norm the axes say whether squares are compared."""
        return Whole(name, self.slope, self.axes == SQUARED)


@dataclass(frozen=True)
class _Reading:
    """The definitions of a program, and which tensors depend on the unknowns."""

    definitions: Mapping[Tensor, Statement]
    moving: frozenset[Tensor]
    over: frozenset[Tensor]

    def still(self, e: Expr) -> bool:
        return not any(a.tensor in self.moving for a in direct_accesses(e))


def regions(program: Program, model: Model) -> tuple[Program, tuple[Region, ...]]:
    """The program with the figures of each recognised set as outputs, and the sets; SpecError for a constraint that
    no parameter can meet or miss."""
    r = _reading(program, model.over)
    found: dict[Tensor, dict[str, _Found]] = {}
    for c in model.constraints:
        t = program.outputs[c.output]
        if t not in r.moving:
            raise SpecError(f"'{c.text}' holds nothing that is optimised", c.span)
        if (f := _recognised(r, c, t)) is not None:
            found.setdefault(f.param, {})[c.name] = f
    named = {c.name: c for c in model.constraints}
    regions_, figures = [], {}
    for t in model.over:
        region, more = _region(t, found.get(t, {}), named)
        if region is not None:
            regions_.append(region)
            figures.update(more)
    names = Names(t.name for t in program.tensors())
    statements, outputs = list(program.statements), dict(program.outputs)
    for key, (loops, body) in figures.items():
        out = Tensor(names.claim(key.replace(" ", "_")), tuple(k.size for k in loops))
        statements.append(Statement(out, loops, "=", "none", loops, canonical(body)))
        outputs[key] = out
    return replace(program, statements=tuple(statements), outputs=outputs), tuple(regions_)


def _reading(program: Program, over: tuple[Tensor, ...]) -> _Reading:
    written = [t for node in program.statements for t in outs(node)]
    once = {
        s.out: s
        for s in program.statements
        if isinstance(s, Statement) and s.covers and s.guard is None and written.count(s.out) == 1
    }
    return _Reading(once, dependents(program.statements, over), frozenset(over))


def _recognised(r: _Reading, c: Constraint, t: Tensor) -> _Found | None:
    """What a residual says, where it says it of one parameter alone."""
    s = r.definitions[t]
    if c.sense == "psd":
        whole = isinstance(s.body, Access) and s.body.tensor in r.over and s.body.idx == s.loops
        return _Found("psd", s.body.tensor, sympy.Integer(0), s.loops) if whole else None
    moving = [a for a in direct_accesses(s.body) if a.tensor in r.moving]
    if c.sense == "equal" and len(moving) == 2 and (found := _symmetry(r, s, moving)) is not None:
        return found
    if len(moving) != 1:
        return None
    (a,) = moving
    if c.sense == "equal" and (found := _orthonormal(r, s, a)) is not None:
        return found
    if c.sense == "at_most" and (found := _ball(r, s, a)) is not None:
        return found
    slope = s.body.diff(a)
    if not slope.is_number or slope == 0 or set(a.idx) != set(s.loops) or len(a.idx) != len(s.loops):
        return None
    if any(k.size != size for k, size in zip(a.idx, a.tensor.shape, strict=True)):
        return None  # of a part of its entries
    figure = expand(a - s.body / slope)
    if a.tensor in r.over:
        kind = "fixed" if c.sense == "equal" else "upper" if slope > 0 else "lower"
        return _Found(kind, a.tensor, figure, a.idx, -1, float(slope), tuple(a.idx.index(k) for k in s.loops))
    return _sum(r, a, figure, float(slope)) if c.sense == "equal" else None


def _sum(r: _Reading, a: Access, figure: Expr, slope: float) -> _Found | None:
    """`sum over one axis of the parameter = figure`, each entry times what does not move."""
    s = r.definitions.get(a.tensor)
    if s is None or s.reduce != "sum" or len(s.reduced) != 1:
        return None
    moving, (k,) = [x for x in direct_accesses(s.body) if x.tensor in r.moving], s.reduced
    if len(moving) != 1:
        return None
    (x,), normal = moving, s.body.diff(moving[0])
    if x.tensor not in r.over or len(set(x.idx)) != len(x.tensor.shape) or k not in x.idx:
        return None
    if tuple(i for i in x.idx if i is not k) != s.lhs or normal.has(x) or expand(s.body - normal * x) != 0:
        return None
    return _Found("sum", x.tensor, figure, a.idx, x.idx.index(k), slope, normal=(tuple(x.idx), normal))


def _square(r: _Reading, a: Access) -> Access | None:
    """The parameter whose squares the scalar `a` adds up."""
    s = r.definitions.get(a.tensor)
    if s is None or a.idx or s.reduce != "sum" or not (s.body.is_Pow and s.body.exp == 2):
        return None
    x = s.body.base
    whole = isinstance(x, Access) and x.tensor in r.over and set(x.idx) == set(s.loops)
    return x if whole and len(set(x.idx)) == len(x.tensor.shape) else None


def _ball(r: _Reading, s: Statement, a: Access) -> _Found | None:
    """`||x|| <= figure` or `||x||^2 <= figure^2`, the figure a positive number or a tensor that is one."""
    if s.loops or (x := _square(r, a)) is None:
        return None
    for norm in (a, sympy.sqrt(a)):
        rest = expand(norm - s.body / s.body.coeff(norm)) if s.body.coeff(norm).is_positive else None
        if rest is None or not r.still(rest) or not rest.is_positive:
            continue
        slope = s.body.coeff(norm)
        if slope.is_number:
            figure, squared = (sympy.sqrt(rest), SQUARED) if norm is a else (rest, ())
            return _Found("ball", x.tensor, figure, (), -1, float(slope), squared)
    return None


def _symmetry(r: _Reading, s: Statement, moving: list[Access]) -> _Found | None:
    """`A = A'`."""
    a, b = moving
    same = a.tensor is b.tensor and a.tensor in r.over and len(a.idx) == 2 and a.idx == b.idx[::-1]
    whole = same and set(a.idx) == set(s.loops) and expand(s.body - (a - b)) * expand(s.body + a - b) == 0
    return _Found("symmetric", a.tensor, sympy.Integer(0), a.idx) if whole else None


def _orthonormal(r: _Reading, s: Statement, a: Access) -> _Found | None:
    """`W' W = I`, or `W W' = I` with axis 1."""
    if len(s.loops) != 2 or set(a.idx) != set(s.loops) or s.body not in (a - equal(*s.loops), equal(*s.loops) - a):
        return None
    product = r.definitions.get(a.tensor)
    if product is None or product.reduce != "sum" or len(product.reduced) != 1:
        return None
    (k,), read = product.reduced, direct_accesses(product.body)
    if len(read) != 2 or product.body != read[0] * read[1] or read[0].tensor is not read[1].tensor:
        return None
    w, axis = read[0].tensor, read[0].idx.index(k) if k in read[0].idx else None
    if w not in r.over or axis is None or read[1].idx[axis] is not k:
        return None
    return _Found("orthonormal", w, sympy.Integer(0), (), axis)


def _region(
    t: Tensor, found: Mapping[str, _Found], named: Mapping[str, Constraint]
) -> tuple[Region | None, dict[str, tuple[tuple[Index, ...], Expr]]]:
    """The set of one parameter, and its figures as (loops, body) by output key: the first kind that has all it needs."""
    of = {kind: [n for n, f in found.items() if f.kind == kind] for kind in {f.kind for f in found.values()}}
    ends = {kind: of.get(kind, []) for kind in ("lower", "upper", "fixed")}
    for kind in ("psd", "orthonormal", "symmetric"):
        if kind in of:
            absorbed = of[kind] + (of.get("symmetric", []) if kind == "psd" else [])
            return Region(t, kind, tuple(absorbed), found[of[kind][0]].axis), {}
    zero = [n for n in ends["lower"] if found[n].figure == 0 and not named[n].strict]
    positive = [n for n in of.get("sum", []) if found[n].figure.is_positive and found[n].plain]
    loose = all(_implied(found[n].figure, found[m].figure) for n in ends["upper"] for m in positive[:1])
    if zero and positive and not ends["fixed"] and loose:
        first = found[positive[0]]
        absorbed = (positive[0], *zero, *ends["upper"])
        figures = {f"total {t.name}": (first.loops, first.figure)}
        bounds = tuple(found[n].end(n) for n in (*zero, *ends["upper"]))
        return Region(t, "simplex", absorbed, first.axis, ends=bounds, whole=first.whole(positive[0])), figures
    if "ball" in of and not any(ends.values()):
        name = of["ball"][0]
        return Region(t, "ball", (name,), whole=found[name].whole(name)), {f"radius {t.name}": ((), found[name].figure)}
    if len(of.get("sum", [])) == 1:
        return _level(t, found, of["sum"][0], ends, named)
    if not any(ends.values()):
        return None, {}
    return _box(t, found, ends, named)


def _level(
    t: Tensor, found: Mapping[str, _Found], name: str, ends: Mapping[str, list[str]], named: Mapping[str, Constraint]
) -> tuple[Region, dict[str, tuple[tuple[Index, ...], Expr]]]:
    """One sum of the entries, with or without bounds of each."""
    box, figures = _box(t, found, ends, named)
    first = found[name]
    figures = {**figures, f"total {t.name}": (first.loops, first.figure)}
    if not first.plain:
        figures[f"normal {t.name}"] = first.normal
    absorbed = (name, *box.absorbs)
    return replace(box, kind="level", absorbs=absorbed, axis=first.axis, whole=first.whole(name)), figures


def _implied(upper: Expr, total: Expr) -> bool:
    """No entry of a simplex exceeds its total."""
    return bool((upper - total).is_nonnegative)


def _box(
    t: Tensor, found: Mapping[str, _Found], ends: Mapping[str, list[str]], named: Mapping[str, Constraint]
) -> tuple[Region, dict[str, tuple[tuple[Index, ...], Expr]]]:
    """The bounds of every entry, the tightest where there are several."""
    figures, open_ = {}, []
    for side, choose in (("lower", maximum), ("upper", minimum)):
        names = [*ends[side], *ends["fixed"]]
        open_.append(any(named[n].strict for n in ends[side]))
        if not names:
            continue
        loops = fresh_indices(t.shape)
        bodies = [substitute(found[n].figure, dict(zip(found[n].loops, loops, strict=True))) for n in names]
        numbers = [b for b in bodies if b.is_number]
        if numbers:
            tightest = (sympy.Max if side == "lower" else sympy.Min)(*numbers)
            bodies = [tightest, *(b for b in bodies if not b.is_number)]
        body = bodies[0]
        for b in bodies[1:]:
            body = choose(body, b)
        figures[f"{side} {t.name}"] = (loops, body)
    absorbed = tuple(n for n in found if n in (*ends["lower"], *ends["upper"], *ends["fixed"]))
    return Region(t, "box", absorbed, open=tuple(open_), ends=tuple(found[n].end(n) for n in absorbed)), figures


def own_sets(model: Model) -> dict[Tensor, str] | None:
    """The kind of set that each parameter lies in; "" where it has no boundary to stop at. None where a constraint is none
    of a single parameter's set."""
    absorbed = {name for r in model.regions for name in r.absorbs if r.kind != "level"}
    strict = {c.name for c in model.constraints if c.strict}
    if any(c.name not in absorbed for c in model.constraints):
        return None
    return {r.param: "" if r.kind == "box" and strict.issuperset(r.absorbs) else r.kind for r in model.regions}

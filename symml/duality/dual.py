"""The dual of a problem: every unknown taken out of the Lagrangian by the rule that its terms allow.

    log det     an inverse, where the slope is positive definite (logdet.py)
    affine      the slope must vanish (or be >= 0 for an unknown that is): a condition
    separable   entry by entry, from the table of conjugates
    quadratic   a linear solve, for a quadratic form in a vector
    else        NoClosedForm, naming the term

A problem whose terms hide the unknowns in an affine map, F(X w + b), is split first: z = X w + b with a multiplier of its own.

    dual(model, program)  ->  Dual, compared with the Lagrangian at its minimiser (see check.py)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import sympy
from sympy import Expr

from symml.calculus.reverse import gradient
from symml.calculus.stopped import stopped
from symml.duality import logdet, quadratic
from symml.duality.conjugates import Minimum, minimised, piece
from symml.duality.lagrangian import Lagrangian, build
from symml.duality.split import Split, expanded, read, split
from symml.ir.expand import expand, expand_products
from symml.ir.program import (
    Access,
    Index,
    Library,
    Node,
    Program,
    Statement,
    Tensor,
    direct_accesses,
    fresh_indices,
    outs,
    reads,
    substitute,
)
from symml.methods.terms import NoClosedForm, Term, Terms, renamed, terms_of, unknowns, zeroed
from symml.model.constraints import Constraint
from symml.model.model import Model
from symml.names import Names
from symml.rewrite.dead import eliminate_dead, prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise


@dataclass(frozen=True)
class Condition:
    """An expression over loops that must be 0 (equal), not negative (at_least), positive (above) or, as a matrix, positive
    definite (definite); affine: it is the slope of `unknown`, which has no minimum otherwise."""

    loops: tuple[Index, ...]
    body: Expr
    sense: str
    unknown: Tensor
    affine: bool


@dataclass(frozen=True)
class Step:
    """One unknown taken out: by which rule, and where the minimum is (loops, body over `definitions`), None if anywhere."""

    unknown: Tensor
    how: str
    terms: Terms
    loops: tuple[Index, ...] = ()
    at: Expr | None = None


@dataclass(frozen=True)
class Scale:
    """A scalar multiplier at its best value, which normalises an exponential: log sum exp takes its place."""

    multiplier: Tensor
    best: Expr


@dataclass(frozen=True)
class Dual:
    """value: terms in the multipliers, to be maximised (sign 1), or whose negative is to be minimised (sign -1)."""

    value: Terms
    conditions: tuple[Condition, ...]
    multipliers: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    splits: tuple[Split, ...]
    lagrangian: Terms
    sign: int
    assumes: tuple[str, ...] = ()
    scale: Scale | None = None


@dataclass
class _State:
    """What is left to take out."""

    terms: Terms
    left: list[Tensor]
    names: Names
    bounds: dict[Tensor, Tensor]  # unknowns >= 0 whose multipliers have not been needed so far
    multipliers: list[Tensor]
    conditions: list[Condition] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    assumes: list[str] = field(default_factory=list)
    added: list[Term] = field(default_factory=list)


def dual(model: Model, program: Program) -> Dual:
    """The dual of a page's problem; NoClosedForm says where it stops."""
    if stopped(program, model.over) is not None:
        raise NoClosedForm("stop( ): what it holds fixed depends on an unknown")
    lag = build(model, program, closed=True)
    bounds = {p: lag.multipliers[c.name] for c in lag.kept if (p := _bounded(lag, c, model.over)) is not None}
    barred = {lag.multipliers[c.name] for c in lag.kept if _barred(lag, c, model.over)}
    terms = _start(lag, model, {*bounds.values(), *barred})
    names = Names((*(t.name for t in lag.program.tensors()), *(d.name for d in model.dims.values())))
    multipliers = [m for m in lag.multipliers.values() if m not in bounds.values() and m not in barred]
    terms, logs = logdet.named(terms, model.over, names)
    terms, splits = split(terms, model.over, names)
    splits = [*logs, *splits]
    left = [*(s.unknown for s in splits), *model.over]
    state = _State(terms, left, names, dict(bounds), [*multipliers, *(s.multiplier for s in splits)])
    start = terms
    while state.left:
        _take_out_one(state)
    scale = _without_scale(state, [lag.multipliers[c.name] for c in lag.kept if c.sense == "equal"])
    kept = [m for m in state.multipliers if _reads(state, m)]
    if not kept:
        raise NoClosedForm("nothing: the problem has no constraint and no part that could be split off")
    return Dual(
        state.terms,
        tuple(state.conditions),
        tuple(kept),
        tuple(state.steps),
        tuple(splits),
        replace(start, inputs=state.terms.inputs, terms=(*start.terms, *state.added)),
        lag.sign,
        tuple(state.assumes),
        scale,
    )


def _bounded(lag: Lagrangian, c: Constraint, over: tuple[Tensor, ...]) -> Tensor | None:
    """The unknown of a constraint that says that it is not negative."""
    residual = lag.program.outputs[c.output]
    (s,) = [s for s in lag.program.statements if isinstance(s, Statement) and s.out is residual]
    minus = -s.body
    whole = isinstance(minus, Access) and minus.tensor in over and minus.idx == s.loops == s.lhs
    return minus.tensor if whole and c.sense == "at_most" else None


def _barred(lag: Lagrangian, c: Constraint, over: tuple[Tensor, ...]) -> bool:
    """Does a constraint say that an unknown is semidefinite whose log determinant, where it is one, says more?"""
    residual, whole = lag.program.outputs[c.output], [n for n in lag.program.statements if isinstance(n, Library)]
    own = [s for s in lag.program.statements if isinstance(s, Statement) and s.out is residual]
    if c.sense != "psd" or len(own) != 1 or not isinstance(a := own[0].body, Access) or a.tensor not in over:
        return False
    return a.idx == own[0].loops == own[0].lhs and any(n.op == logdet.OP and n.args == (a.tensor,) for n in whole)


def _start(lag: Lagrangian, model: Model, dropped: set[Tensor]) -> Terms:
    """The Lagrangian to be minimised as terms, without the multipliers of plain signs."""
    total = lag.program.outputs["lagrangian"]
    statements = [
        replace(s, body=lag.sign * s.body) if isinstance(s, Statement) and s.out is total else s
        for s in lag.program.statements
        if not (
            isinstance(s, Statement) and s.out is total and any(a.tensor in dropped for a in direct_accesses(s.body))
        )
    ]
    whole = prune(replace(lag.program, statements=tuple(statements), outputs={"L": total}), "L")
    return terms_of(simplify(stabilise(whole)), model.over, (logdet.OP,), tests=True)


# one multiplier


def _without_scale(state: _State, equalities: list[Tensor]) -> Scale | None:
    """max over nu of c nu + w sum exp(s nu + r) = c/s (log(-c/(w s)) - 1 - log sum exp r), where that is all nu does."""
    for nu in equalities:
        if nu.shape or nu in state.terms.moving(()) or any(nu in read(c.body) for c in state.conditions):
            continue
        a = Access(nu, ())
        held = [t for t in state.terms.terms if nu in read(t.body)]
        linear = [t for t in held if not t.loops and t.body.diff(a).is_number]
        bent = [t for t in held if t not in linear]
        if len(bent) != 1 or not linear or nu in {x for n in state.terms.definitions for x in reads(n)}:
            continue
        (t,), c = bent, sympy.Add(*(u.body.diff(a) for u in linear))
        exps = [f for f in sympy.Mul.make_args(t.body) if isinstance(f, sympy.exp)]
        w = sympy.Mul(*(f for f in sympy.Mul.make_args(t.body) if f not in exps)) if len(exps) == 1 else None
        if (
            w is None
            or not w.is_number
            or not (s := exps[0].args[0].diff(a)).is_number
            or not (-c / (w * s)).is_positive
        ):
            continue
        r = expand(exps[0].args[0] - s * a)
        shift, inner = r.as_coeff_Add()
        lse = Tensor(state.names.fresh("t"))
        node = Statement(lse, (), "=", "logsumexp", t.loops, inner)
        log = sympy.log(-c / (w * s)) - shift - Access(lse, ())
        rest = [u for u in state.terms.terms if u not in held]
        value = Term((), expand(c / s * (log - 1)))
        state.terms = replace(state.terms, definitions=(*state.terms.definitions, node), terms=(*rest, value))
        state.multipliers.remove(nu)
        best = expand(log / s)
        state.steps[:] = [_at_best(step, a, best, node) for step in state.steps]
        return Scale(nu, best)
    return None


def _at_best(step: Step, nu: Access, best: Expr, node: Statement) -> Step:
    """A minimiser with the multiplier at its best value."""
    if step.at is None or nu not in step.at.free_symbols:
        return step
    terms = replace(step.terms, definitions=(*step.terms.definitions, node))
    return replace(
        step, terms=terms, at=step.at.xreplace({nu: best}).replace(sympy.exp, lambda e: sympy.exp(expand(e)))
    )


# one unknown


@dataclass(frozen=True)
class _Sorted:
    """The terms by how they hold one unknown."""

    rest: list[Term]
    linear: list[Term]
    own: list[Term]
    deep: list[Term]


def _sorted(terms: Terms, p: Tensor) -> _Sorted:
    moving, found = terms.moving((p,)), _Sorted([], [], [], [])
    for t in terms.terms:
        held = [a for a in direct_accesses(t.body) if a.tensor in moving]
        if not held:
            found.rest.append(t)
        elif _is_linear(terms, t, held, p):
            found.linear.append(t)
        elif len(held) == 1 and held[0].tensor is p and _entry_by_entry(held[0], t.loops):
            found.own.append(t)
        else:
            found.deep.append(t)
    return found


def _entry_by_entry(a: Access, loops: tuple[Index, ...]) -> bool:
    """Whether the loops run once over every entry of the tensor."""
    once = set(a.idx) == set(loops) and len(set(a.idx)) == len(loops) == len(a.tensor.shape)
    return once and all(k.size == size for k, size in zip(a.idx, a.tensor.shape, strict=True))


def _is_linear(terms: Terms, t: Term, held: list[Access], p: Tensor) -> bool:
    """One factor that depends on p, and linearly."""
    if len(held) != 1 or held[0] in t.body.diff(held[0]).free_symbols:
        return False
    return terms.linear(held[0].tensor, p)


def _take_out_one(state: _State) -> None:
    """The first unknown that a rule covers; the reason of the first that none does."""
    reasons = []
    for p in state.left:
        try:
            _take_out(state, p)
        except NoClosedForm as stop:
            reasons.append((p, str(stop)))
            continue
        state.left.remove(p)
        return
    p, why = reasons[0]
    raise NoClosedForm(f"{p.name}: {why}")


def _take_out(state: _State, p: Tensor) -> None:
    parts = _sorted(state.terms, p)
    if not parts.own and not parts.deep:
        _affine(state, p, parts)
        return
    if not parts.deep:
        _separable(state, p, parts)
        return
    if len(parts.deep) == 1 and not parts.own and _under_log(state, p, parts):
        return
    if p in state.bounds:
        _with_bound(state, p)
        parts = _sorted(state.terms, p)
    if len(parts.deep) == 1 and not parts.own and (root := _norm(state, p, parts.deep[0])) is not None:
        _under_norm(state, p, parts, *root)
        return
    others = state.terms.moving(q for q in state.left if q is not p)
    found = quadratic.minimised(state.terms, p, parts.deep + parts.own, parts.linear, state.names, others)
    loops = found.loops
    state.steps.append(Step(p, "a quadratic form", found.definitions, loops, found.at))
    state.assumes.append(found.assumes)
    state.terms = _joined(state, found.definitions, [*parts.rest, *found.value])


def _under_log(state: _State, p: Tensor, parts: _Sorted) -> bool:
    """A log determinant and what is linear, if this is all there is."""
    k = fresh_indices(p.shape)
    terms, slope = _slope(state, p, parts.linear, k)
    found = logdet.minimised(terms, p, parts.deep[0], slope, k, state.names)
    if found is None:
        return False
    state.steps.append(Step(p, "a log determinant: gradient = 0 is solved by an inverse", found.terms, k, found.at))
    state.conditions += [Condition((), w, "above", p, False) for w in found.above]
    state.conditions.append(Condition(k, found.slope, "definite", p, False))
    new = [*parts.rest, *_at_zero(terms, parts.linear, p), *expanded((), found.value)]
    state.terms = _joined(state, found.terms, new)
    return True


def _slope(state: _State, p: Tensor, linear: list[Term], k: tuple[Index, ...]) -> tuple[Terms, Expr]:
    """The gradient of the terms that are linear in p, as an expression over k and the definitions it needs."""
    direct, through = sympy.Integer(0), []
    for t in linear:
        (a,) = [a for a in direct_accesses(t.body) if a.tensor in state.terms.moving((p,))]
        if a.tensor is p and _entry_by_entry(a, t.loops):
            direct += substitute(t.body.diff(a), dict(zip(a.idx, k, strict=True)))
        else:
            through.append(t)
    if not through:
        return state.terms, expand_products(direct)
    found = [_gradient(state, p, through, sign) for sign in (1, -1)]
    sign = 1 if _minuses(found[0]) <= _minuses(found[1]) else -1
    chosen, known = found[0 if sign > 0 else 1], state.terms.definitions
    same = {t for n in chosen.statements for t in outs(n) if _nodes(known, t) == _nodes(chosen.statements, t)}
    small = renamed(chosen, state.names, lambda t: t in state.terms.inputs or t in same)
    out = small.outputs[f"d_{p.name}"]
    more = (n for n in small.statements if not same.intersection(outs(n)))
    terms = replace(state.terms, definitions=(*known, *more))
    return terms, expand_products(direct + sign * Access(out, k))


def _nodes(definitions: Iterable[Node], t: Tensor) -> list[Node]:
    return [n for n in definitions if t in outs(n)]


def _gradient(state: _State, p: Tensor, terms: list[Term], sign: int) -> Program:
    signed = [Term(t.loops, sign * t.body) for t in terms]
    program = gradient(state.terms.program(signed), "L", (p,))
    return simplify(prune(program, f"d_{p.name}"))


def _minuses(program: Program) -> int:
    return sum(s.body.could_extract_minus_sign() for s in program.statements if isinstance(s, Statement))


def _affine(state: _State, p: Tensor, parts: _Sorted) -> None:
    """No minimum unless the slope is 0, or not negative where p is not."""
    k = fresh_indices(p.shape)
    terms, slope = _slope(state, p, parts.linear, k)
    others = terms.moving(q for q in state.left if q is not p)
    if any(a.tensor in others for a in direct_accesses(slope)):
        raise NoClosedForm("a product with another unknown")
    sense = "at_least" if p in state.bounds else "equal"
    state.steps.append(Step(p, "affine", terms))
    if parts.linear:
        state.conditions.append(Condition(k, slope, sense, p, True))
    state.bounds.pop(p, None)
    state.terms = _joined(state, terms, [*parts.rest, *_at_zero(terms, parts.linear, p)])


def _separable(state: _State, p: Tensor, parts: _Sorted) -> None:
    """Entry by entry."""
    found, k, terms = _minimum(state, p, parts)
    if p in state.bounds and not found.nonnegative:
        _with_bound(state, p)
        parts = _sorted(state.terms, p)
        found, k, terms = _minimum(state, p, parts)
    state.bounds.pop(p, None)
    state.steps.append(Step(p, found.how, terms, k, found.at))
    state.conditions += [Condition(k, body, sense, p, False) for body, sense in found.conditions]
    state.terms = _joined(state, terms, [*parts.rest, *_at_zero(terms, parts.linear, p), *expanded(k, found.value)])


def _minimum(state: _State, p: Tensor, parts: _Sorted) -> tuple[Minimum, tuple[Index, ...], Terms]:
    k = fresh_indices(p.shape)
    u, others = Access(p, k), state.terms.moving(q for q in state.left if q is not p)
    pieces = []
    for t in parts.own:
        (a,) = [a for a in direct_accesses(t.body) if a.tensor is p]
        body = substitute(t.body, dict(zip(a.idx, k, strict=True)))
        one = piece(body, u)
        if one is None or any(b.tensor in others for b in direct_accesses(one.w * one.b)):
            raise NoClosedForm(str(t))
        pieces.append(one)
    terms, slope = _slope(state, p, parts.linear, k)
    if logdet.varies_symmetrically(p):
        slope = logdet.symmetrised(terms, p, slope, k)
        pieces = [logdet.even(terms, one, k) for one in pieces]
    return minimised(pieces, slope), k, terms


def _norm(state: _State, p: Tensor, t: Term) -> tuple[Expr, Access] | None:
    """A term w sqrt(sum p^2) over all of p, or over its last axis for each of the others: w and the sum."""
    moving = state.terms.moving((p,))
    held = [a for a in direct_accesses(t.body) if a.tensor in moving]
    if len(held) != 1 or sympy.sqrt(held[0]) not in sympy.Mul.make_args(t.body) or set(held[0].idx) != set(t.loops):
        return None
    (a,) = held
    own = [s for s in state.terms.definitions if isinstance(s, Statement) and s.out is a.tensor]
    if len(own) != 1 or own[0].reduce != "sum" or own[0].guard is not None:
        return None
    (s,) = own
    square = s.body.base if s.body.is_Pow and s.body.exp == 2 else None
    whole = isinstance(square, Access) and square.tensor is p and square.idx == (*s.lhs, *s.reduced)
    return (t.body / sympy.sqrt(a), a) if whole else None


def _under_norm(state: _State, p: Tensor, parts: _Sorted, w: Expr, a: Access) -> None:
    """w ||p|| + <slope, p> is least at 0 where ||slope|| <= w, and has no minimum elsewhere."""
    k = fresh_indices(p.shape)
    terms, slope = _slope(state, p, parts.linear, k)
    rank = len(a.idx)
    square = Tensor(state.names.fresh("t"), a.tensor.shape)
    statement = Statement(square, k[:rank], "=", "sum", k, slope**2)
    terms = replace(terms, definitions=(*terms.definitions, statement))
    weight = substitute(w, dict(zip(a.idx, k[:rank], strict=True)))
    body = weight - sympy.sqrt(Access(square, k[:rank]))
    state.steps.append(Step(p, "a norm, inside its condition", terms, k, sympy.Integer(0)))
    state.conditions.append(Condition(k[:rank], body, "at_least", p, False))
    state.terms = _joined(state, terms, [*parts.rest, *_at_zero(terms, parts.linear, p)])


def _with_bound(state: _State, p: Tensor) -> None:
    """The sign of an unknown gets a multiplier after all."""
    m, k = state.bounds.pop(p), fresh_indices(p.shape)
    state.multipliers.append(m)
    term = Term(k, -Access(m, k) * Access(p, k))
    state.added.append(term)
    state.terms = replace(state.terms, inputs=(*state.terms.inputs, m), terms=(*state.terms.terms, term))


def _at_zero(terms: Terms, linear: list[Term], p: Tensor) -> list[Term]:
    """What is left of the linear terms where p is 0."""
    if not linear:
        return []
    program = zeroed(prune(terms.program(linear), "L"), p)
    return list(terms_of(program, unknowns(terms.inputs)).terms) if program.statements else []


def _joined(state: _State, terms: Terms, new: Iterable[Term]) -> Terms:
    """The terms that are left, over the definitions that they and the conditions need."""
    new = [t for t in new if t.body != 0]
    flat = [t for one in new for t in expanded(one.loops, one.body)]
    bodies = [*(t.body for t in flat), *(c.body for c in state.conditions)]
    needed = dict.fromkeys(a.tensor for b in bodies for a in direct_accesses(b))
    live = eliminate_dead(Program(terms.inputs, terms.definitions, {str(t.uid): t for t in needed}))
    return replace(terms, definitions=live.statements, terms=tuple(flat))


def _reads(state: _State, m: Tensor) -> bool:
    """Whether the dual says anything of a multiplier."""
    moving = state.terms.moving((m,))
    bodies = [*(t.body for t in state.terms.terms), *(c.body for c in state.conditions)]
    return any(a.tensor in moving for b in bodies for a in direct_accesses(b))

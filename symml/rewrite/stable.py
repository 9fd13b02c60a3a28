"""Stable forms, written to before differentiation so that derivatives inherit them.

Rules on one body run outermost first: an inner rule must not destroy an outer pattern (1 - sigmoid(u) inside a log).
Across statements: a log sees through the maps that define its argument, and a sum of exponentials S is read as
exp(L) with L = logsumexp, so that log S becomes L and exp(f)/S becomes exp(f - L), the softmax.

    log(sigmoid(z))  ->  -softplus(-z)          log(exp(a) + exp(b))  ->  b + softplus(a - b)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from sympy import Add, Expr, Integer, Mul, exp, log

from symml.ir.expand import expand_products
from symml.ir.functions import canonical, expm1, log1p, sigmoid, softplus
from symml.ir.program import (
    Access,
    Node,
    Program,
    Statement,
    Tensor,
    direct_accesses,
    mapped,
    outs,
    refresh,
    substitute,
)
from symml.names import Names
from symml.rewrite.cancel import hyperbolic_ratio, maximum_alone
from symml.rewrite.moments import centre_moments
from symml.rewrite.scaling import scale_recurrences

ONE = Integer(1)
LOOK_THROUGH_OPERATIONS = 200
LOOK_THROUGH_DEPTH = 8


def _exponent(term: Expr) -> tuple[Expr, Expr] | None:
    """(c, u) of a positive term c exp(u)."""
    coefficient, rest = term.as_coeff_Mul()
    if isinstance(rest, exp) and coefficient > 0:
        return coefficient, rest.args[0]
    return None


def _shifted(c: Expr, u: Expr) -> Expr:
    return u if c == 1 else u + log(c)


def _log_of_sigmoid(e: Expr) -> Expr | None:
    """log sigmoid(u) = -softplus(-u)"""
    if isinstance(e, log) and isinstance(e.args[0], sigmoid):
        return -softplus(-e.args[0].args[0])
    return None


def _log_of_complement(e: Expr) -> Expr | None:
    """log(1 - sigmoid(u)) = -softplus(u)"""
    if isinstance(e, log) and e.args[0].is_Add and len(e.args[0].args) == 2:
        one, rest = e.args[0].as_two_terms()
        if one == 1 and isinstance(-rest, sigmoid):
            return -softplus((-rest).args[0])
    return None


def _log_of_exponentials(e: Expr) -> Expr | None:
    """log(c1 exp(a) + c2 exp(b) + ...) = b + softplus(a - b), pairwise; a number c counts as c exp(0)."""
    if not (isinstance(e, log) and e.args[0].is_Add):
        return None
    terms = [(t, Integer(0)) if t.is_number and t.is_positive else _exponent(t) for t in e.args[0].args]
    if None in terms or all(t.is_number for t in e.args[0].args):
        return None
    total = _shifted(*terms[0])
    for term in terms[1:]:
        u = _shifted(*term)
        total = total + softplus(u - total) if total == 0 else u + softplus(total - u)
    return total


def _log_of_one_plus(e: Expr) -> Expr | None:
    """log(1 + u) = log1p(u)"""
    if isinstance(e, log) and e.args[0].is_Add and e.args[0].as_coeff_Add()[0] == 1:
        return log1p(e.args[0].as_coeff_Add()[1])
    return None


def _log_of_product(e: Expr) -> Expr | None:
    """log(exp(a) b / c) = a + log b - log c, for positive factors one of which is an exponential or a sigmoid"""
    if not (isinstance(e, log) and (e.args[0].is_Mul or e.args[0].is_Pow)):
        return None
    factors = Mul.make_args(e.args[0])
    bases = [f.base if f.is_Pow else f for f in factors]
    if all(f.is_positive for f in factors) and any(isinstance(b, exp | sigmoid) for b in bases):
        return Add(*(f.exp * log(f.base) if f.is_Pow else log(f) for f in factors))
    return None


POWERS = (-1, -2, -3, -4)  # of a sum of two exponentials below


def _logistic(e: Expr) -> Expr | None:
    """exp(u)/(exp(u) + exp(v)) = sigmoid(u - v), with 1 = exp(0) in either place; exp(u) exp(v)/(exp(u) + exp(v))^2 and other
    powers are products of both sigmoids"""
    if not (e.is_Mul or e.is_Pow):
        return None
    for f in Mul.make_args(e):
        if not (f.is_Pow and f.exp in POWERS and f.base.is_Add and len(f.base.args) == 2):
            continue
        terms = [(t, Integer(0)) if t == 1 else _exponent(t) for t in f.base.args]
        if None in terms or any(c != 1 for c, _ in terms):
            continue
        (_, u), (_, v) = terms
        rest, k = e / f, -f.exp
        others = [x for x in Mul.make_args(rest) if not isinstance(x, exp)]
        exponent = Add(*(x.args[0] for x in Mul.make_args(rest) if isinstance(x, exp)))
        for p in (k, *range(k)):
            if exponent == p * u + (k - p) * v:
                return Mul(*others) * sigmoid(u - v) ** p * sigmoid(v - u) ** (k - p)
    return None


def _complement(e: Expr) -> Expr | None:
    """1 - sigmoid(u) = sigmoid(-u)"""
    if e.is_Add and len(e.args) == 2 and e.args[0] == 1 and isinstance(-e.args[1], sigmoid):
        return sigmoid(-(-e.args[1]).args[0])
    return None


def _log1p_of_known(e: Expr) -> Expr | None:
    """log1p(exp(u)) = softplus(u), log1p(-sigmoid(u)) = -softplus(u)"""
    if not isinstance(e, log1p):
        return None
    coefficient, rest = e.args[0].as_coeff_Mul()
    if coefficient == 1 and isinstance(rest, exp):
        return softplus(rest.args[0])
    return -softplus(rest.args[0]) if coefficient == -1 and isinstance(rest, sigmoid) else None


def _exp_minus_one(e: Expr) -> Expr | None:
    """exp(u) - 1 = expm1(u)"""
    if e.is_Add and len(e.args) == 2 and e.args[0] == -1 and isinstance(e.args[1], exp):
        return expm1(e.args[1].args[0])
    return None


def _two_softplus(e: Expr) -> Expr | None:
    """a softplus(u) + b softplus(-u) + c = (a + b) softplus(u) - b u + c, where a + b is a number: one exponential"""
    if not (e.is_Add or e.is_Mul):
        return None
    found = sorted(e.atoms(softplus), key=str)
    for s, mirror in itertools.permutations(found, 2):
        u = expand_products(s.args[0])
        if u.could_extract_minus_sign() or expand_products(u + mirror.args[0]) != 0:
            continue
        flat = expand_products(e)
        a, b = flat.coeff(s), flat.coeff(mirror)
        rest = expand_products(flat - a * s - b * mirror)
        total = expand_products(a + b)
        if total.is_number and not rest.has(s, mirror):
            return total * softplus(u) - b * u + rest
    return None


RULES: tuple[Callable[[Expr], Expr | None], ...] = (
    _log_of_sigmoid,
    _log_of_complement,
    _log_of_exponentials,
    _log_of_product,
    _log_of_one_plus,
    _log1p_of_known,
    _logistic,
    _complement,
    _exp_minus_one,
    hyperbolic_ratio,
    maximum_alone,
)
TIDY: tuple[Callable[[Expr], Expr | None], ...] = (_two_softplus,)


def stable_body(body: Expr) -> Expr:
    """The stable form of one body."""
    return stable_way(body)[0]


def stable_way(body: Expr) -> tuple[Expr, tuple[str, ...]]:
    """The stable form of one body, and the identities that were used for it."""
    used: dict[str, None] = {}
    new = _outermost_first(body, {}, used)
    for rule in TIDY:
        found = rule(new)
        if found is not None:
            new = found
            used[rule.__doc__] = None
    return (body, ()) if new == body else (canonical(new), tuple(used))


def _outermost_first(e: Expr, known: dict[Expr, Expr], used: dict[str, None]) -> Expr:
    if e.is_Atom:
        return e
    if e not in known:
        new = e
        for rule in RULES:
            found = rule(new)
            if found is not None:
                new = found
                used[rule.__doc__] = None
                break
        if new is not e:
            known[e] = _outermost_first(new, known, used)
        else:
            args = [_outermost_first(a, known, used) for a in e.args]
            rebuilt = e if all(a is b for a, b in zip(args, e.args, strict=True)) else e.func(*args)
            known[e] = rebuilt
    return known[e]


@dataclass
class _Known:
    """What the pass has seen: maps, sums of exponentials (as the log of their body), and the logsumexps it made."""

    names: Names
    maps: dict[Tensor, Statement] = field(default_factory=dict)
    sums: dict[Tensor, Statement] = field(default_factory=dict)
    made: dict[Tensor, Tensor] = field(default_factory=dict)
    logsumexps: set[Tensor] = field(default_factory=set)
    way: list[tuple[Tensor, str]] = field(default_factory=list)

    def learn(self, s: Statement) -> None:
        if s.reduce == "logsumexp":
            self.logsumexps.add(s.out)
        if s.is_map:
            self.maps[s.out] = s
        elif s.mode == "=" and s.reduce == "sum" and s.guard is None and s.covers:
            exponent = _log_of_positive(_written_out(s.body, direct_accesses(s.body), self.maps))
            if exponent is not None:
                self.sums[s.out] = replace(s, reduce="logsumexp", body=exponent)


def stabilise(program: Program, scaled: bool = True) -> Program:
    """Every body in its stable form, seeing through the definitions of what logs and quotients read; recurrences scaled."""
    return stabilise_way(program, scaled)[0]


SCALED = "a recurrence of probabilities is divided by its sum at every step, whose logarithms add up"
CENTRED = "sum f g - (sum f)(sum g)/n = sum (f - mean f)(g - mean g)"
OF_SOFTMAX = "log softmax(u) = u - lse(u)"
OF_SUM = "log sum exp(u) = lse(u)"
OF_DEFINITION = "log exp(u) = u, with the definitions written out"


def stabilise_way(program: Program, scaled: bool = True) -> tuple[Program, tuple[tuple[Tensor, str], ...]]:
    """The program of `stabilise`, and what was rewritten by which identity."""
    start = scale_recurrences(program) if scaled else program
    known = _Known(Names(t.name for t in start.tensors()))
    if start is not program:
        known.way.append((program.outputs.get("loss"), SCALED))
    program = centre_moments(start)
    if program is not start:
        known.way += [
            (t, CENTRED) for t in program.tensors() if t.name.startswith("moment") and t not in start.tensors()
        ]
    new: list[Node] = []
    for node in program.statements:
        if isinstance(node, Statement):
            node = _seen_through(node, known, new)
        node = mapped(node, lambda s: _stable(s, known))
        new.append(node)
        if isinstance(node, Statement):
            known.learn(node)
    return program.with_statements(new), tuple(known.way)


def _stable(s: Statement, known: _Known) -> Statement:
    body, used = stable_way(s.body)
    known.way += [(s.out, rule) for rule in used]
    return s.with_body(body)


def _log_of_positive(body: Expr) -> Expr | None:
    """log of a body c exp(f) with positive c."""
    factors = Mul.make_args(body)
    if any(isinstance(f, exp) for f in factors) and all(isinstance(f, exp) or f.is_positive for f in factors):
        return Add(*(f.args[0] if isinstance(f, exp) else log(f) for f in factors))
    return None


def _seen_through(s: Statement, known: _Known, new: list[Node]) -> Statement:
    """The statement in terms of what its arguments stand for, if that removes a hazard."""
    before = _hazards(s.body, known)
    if not before:
        return s
    opened = _open(s.body, known)
    sums = [a for a in direct_accesses(opened) if a.tensor in known.sums]
    table = {a: exp(Access(known.made.get(a.tensor) or _logsumexp(a.tensor, known), a.idx)) for a in sums}
    candidate, used = stable_way(canonical(opened.xreplace(table)))
    logs = set(known.made.values())
    bare = any(isinstance(e.args[0], Access) and e.args[0].tensor in logs for e in candidate.atoms(exp))
    if bare or _hazards(candidate, known) >= before:
        return s
    defined = {t for n in new for t in outs(n)}
    for source, tensor in known.made.items():
        if tensor not in defined and any(a.tensor is tensor for a in direct_accesses(candidate)):
            new.append(refresh(replace(known.sums[source], out=tensor)))
    known.way += [(s.out, rule) for rule in used or _seen(opened, bool(table), known)]
    return s.with_body(candidate)


def _seen(opened: Expr, summed: bool, known: _Known) -> tuple[str, ...]:
    """The identity by which a logarithm went away, where no rule on one body says it."""
    if summed:
        return (OF_SUM,)
    read = {a.tensor for a in direct_accesses(opened)}
    return (OF_SOFTMAX if read & known.logsumexps else OF_DEFINITION,)


def _logsumexp(source: Tensor, known: _Known) -> Tensor:
    known.made[source] = Tensor(known.names.fresh("lse"), source.shape)
    return known.made[source]


def _hazards(body: Expr, known: _Known) -> int:
    """How many logs of computed values and how many sums of exponentials a body reads."""

    def computed(u: Expr) -> bool:
        read = direct_accesses(u)
        return any(a.tensor in known.maps or a.tensor in known.sums for a in read) or (bool(read) and not u.is_Atom)

    logs = sum(computed(e.args[0]) for e in body.atoms(log, log1p))
    return logs + sum(a.tensor in known.sums for a in direct_accesses(body))


def _open(body: Expr, known: _Known) -> Expr:
    """The body with the maps that logs and quotients read written out."""
    for _ in range(LOOK_THROUGH_DEPTH):
        opened = _written_out(body, [a for a in direct_accesses(body) if _is_hazardous(a, body, known)], known.maps)
        if opened is body:
            return body
        body = opened
    return body


def _written_out(body: Expr, targets: Iterable[Access], maps: dict[Tensor, Statement]) -> Expr:
    """Maps replaced by their bodies, within a bound of operations; `body` itself where nothing can be."""
    table = {
        a: substitute(maps[a.tensor].body, dict(zip(maps[a.tensor].lhs, a.idx, strict=True)))
        for a in targets
        if a.tensor in maps and not a.tensor.integer
    }
    opened = body.xreplace(table)
    return opened if table and opened.count_ops() <= LOOK_THROUGH_OPERATIONS else body


def _is_hazardous(a: Access, body: Expr, known: _Known) -> bool:
    """Does the element stand inside a log, or is it exponential in a body that reads a sum of exponentials?"""
    if a.tensor not in known.maps:
        return False
    if any(a in e.free_symbols for e in body.atoms(log, log1p)):
        return True
    return known.maps[a.tensor].body.has(exp) and any(x.tensor in known.sums for x in direct_accesses(body))

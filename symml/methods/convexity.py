"""A convexity certificate by composition rules over the statements.

Source: Grant, Boyd, Ye, "Disciplined convex programming" (2006). Each tensor gets a curvature with respect to the
unknowns and an interval of its values. The knowledge about functions is the `shape` of their rows in ir/functions.py;
signs come from the declared domains. What no rule covers is `unknown`, with the statement that stopped it. The
claim is sound, never complete: convex over the declared domains, for all data in theirs, where the body is real.

    certify(program, "loss", (w, b))  ->  Certificate("convex", "softplus of an affine map, minus a linear term", None)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType

import sympy
from sympy import Expr

from symml.ir.functions import BY_CLASS, FUNCTIONS
from symml.ir.program import (
    Access,
    Dim,
    Index,
    Library,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    accesses,
    direct_accesses,
    outs,
    reads,
)
from symml.ir.show import BodyPrinter, as_on_a_page, letters
from symml.methods import definite, intervals, spectral
from symml.methods.intervals import EVERYTHING, NONNEGATIVE, Interval

FLIP = MappingProxyType({"convex": "concave", "concave": "convex"})
REDUCED = MappingProxyType(
    {"logsumexp": ("convex", "increasing"), "max": ("convex", "increasing"), "min": ("concave", "increasing")}
)
WORDS = MappingProxyType(
    {
        "logsumexp": "log-sum-exp",
        "max": "the largest",
        "min": "the smallest",
        "abs": "the absolute value",
        "relu": "the positive part",
    }
)
EVEN = ("abs", "cosh")  # increasing where the argument is nonnegative, decreasing where it is not positive
LINEAR = "a linear term"
NO_POWER, ONE = sympy.Integer(0), sympy.Integer(1)


@dataclass(frozen=True)
class Certificate:
    """curvature: constant, affine, convex, concave, unknown; `reason` is one line for a person, `hint` what would help."""

    curvature: str
    reason: str
    stopped_at: Statement | None = None
    hint: str = ""

    @property
    def convex(self) -> bool:
        """Whether every minimum is a global one."""
        return self.curvature in ("constant", "affine", "convex")


@dataclass(frozen=True)
class Fact:
    """What is known of an expression.

    terms: (is subtracted, how a person names it) of what moves; power p: a sum of p-th powers of nonnegative convex
    functions, so that its root of that order is convex (0: none); why, stopped_at, hint: what made it unknown, and what
    would help; kind: what it holds that has a curvature only together, such as eigenvalues.
    """

    curvature: str
    interval: Interval = EVERYTHING
    terms: tuple[tuple[bool, str], ...] = ()
    power: Expr = NO_POWER
    why: str = ""
    stopped_at: Statement | None = None
    hint: str = ""
    kind: spectral.Kind | None = None

    @property
    def text(self) -> str:
        """What an outer function is of."""
        if self.curvature == "affine":
            return "an affine map"
        return _sentence(self.terms) if len(self.terms) == 1 else f"a sum of {self.curvature} terms"


def certify(program: Program, output: str, wrt: tuple[Tensor, ...]) -> Certificate:
    """The curvature of an output's entries in all of `wrt` jointly; other inputs are constants."""
    final = facts_of(program, wrt)[program.outputs[output]]
    if final.curvature == "constant":
        return Certificate("constant", "the unknowns have no part in it")
    return Certificate(final.curvature, final.why or _sentence(final.terms), final.stopped_at, final.hint)


def facts_of(program: Program, wrt: tuple[Tensor, ...]) -> dict[Tensor, Fact]:
    """What is known of every tensor's entries; with no unknowns, the intervals of all."""
    facts: dict[Tensor, Fact] = {}
    for t in program.inputs:
        interval = intervals.of_domain(t.domain)
        facts[t] = Fact("affine", interval, ((False, LINEAR),)) if t in wrt else _constant(interval)
    made: dict[Tensor, list[Statement]] = {}
    for s in program.statements:
        if not isinstance(s, Statement):
            facts.update(_whole(s, facts, made))
            continue
        made.setdefault(s.out, []).append(s)
        fact = _statement(s, facts)
        if s.out in facts:
            fact = replace(_sum([facts[s.out], fact]), kind=None)
            fact = fact if s.mode == "+=" else replace(fact, interval=EVERYTHING)
        if fact.curvature == "unknown" and fact.stopped_at is None:
            fact = replace(fact, stopped_at=s)
        facts[s.out] = fact
    return facts


def interval_of(facts: Mapping[Tensor, Fact], e: Expr) -> Interval:
    """The values of an expression."""
    return _Body(facts, BodyPrinter({}))(e).interval


def curvature_of(facts: Mapping[Tensor, Fact], e: Expr) -> str:
    """The curvature of an expression."""
    return _Body(facts, BodyPrinter({}))(e).curvature


def _whole(node: Node, facts: Mapping[Tensor, Fact], made: Mapping[Tensor, list[Statement]]) -> dict[Tensor, Fact]:
    """A recurrence, a fixed point or an operation on whole tensors: constant where all it reads is, else unknown."""
    own = set(outs(node))
    moving = [t.name for t in (*reads(node), *own) if t in facts and facts[t].curvature != "constant"]
    if not moving:
        return dict.fromkeys(own, _constant(EVERYTHING))
    if isinstance(node, Library) and node.op == "logdet" and facts[node.args[0]].curvature == "affine":
        (t,) = node.args
        if _definite(t, facts, made):
            return dict.fromkeys(own, Fact("concave", EVERYTHING, ((False, "log det of an affine map"),)))
        return dict.fromkeys(own, replace(_unknown(f"logdet {t.name}"), hint=f"declare {t.name} in psd"))
    if isinstance(node, Library) and node.op in spectral.KINDS and facts[node.args[0]].curvature == "affine":
        kind = (spectral.KINDS[node.op], None)
        if node.op != "inv" or _definite(node.args[0], facts, made):
            return dict.fromkeys(own, replace(_unknown(f"{node.op} {moving[0]}"), kind=kind))
    what = "a recurrence in" if isinstance(node, Scan) else "a fixed point in"
    return dict.fromkeys(own, _unknown(f"{node.op if isinstance(node, Library) else what} {moving[0]}"))


def _definite(t: Tensor, facts: Mapping[Tensor, Fact], made: Mapping[Tensor, list[Statement]]) -> bool:
    body = _Body(facts, BodyPrinter({}))
    return definite.semidefinite(t, made, lambda e: body(e).interval[0] >= 0)


def _statement(s: Statement, facts: Mapping[Tensor, Fact]) -> Fact:
    """The fact of what one statement writes."""
    body = _Body(facts, BodyPrinter(letters(s.loops)))
    chosen = [a.tensor.name for k in s.lhs for a in accesses(k) if facts[a.tensor].curvature != "constant"]
    if chosen:
        return _unknown(f"a place chosen by {chosen[0]}, which depends on the unknowns")
    if s.guard is not None and body(s.guard).curvature != "constant":
        return _unknown("a condition that depends on the unknowns")
    kinds = {a.tensor: k for a in direct_accesses(s.body) if (k := facts[a.tensor].kind) is not None}
    atom = spectral.atom(s, kinds, body.moves) if kinds else None
    if atom is not None and atom.kind is not None:
        return replace(_unknown("an inverse times a constant"), kind=atom.kind)
    if atom is not None:
        interval = NONNEGATIVE if atom.curvature == "convex" and atom.text not in spectral.SIGNLESS else EVERYTHING
        made = Fact(atom.curvature, interval, ((False, atom.text),))
        return body.signed([atom.factor], body(atom.factor).interval, made)
    fact = body(s.body)
    if fact.curvature == "unknown":
        return replace(fact, kind=None)
    if s.reduce == "none" and s.is_map:
        return fact
    if s.reduce in ("none", "sum"):  # entries may be left at 0, or be added to more than once
        return replace(fact, interval=intervals.many(fact.interval))
    if fact.curvature == "constant":
        return _constant(NONNEGATIVE if s.reduce.startswith("arg") or fact.interval[0] >= 0 else EVERYTHING)
    if s.reduce not in REDUCED:
        return _unknown(f"{s.reduce} of {fact.text}")
    found = _composed(*REDUCED[s.reduce], fact, s.reduce)
    low, high = fact.interval
    return replace(found, interval=(low, math.inf) if s.reduce == "logsumexp" else (low, high))


@dataclass(frozen=True)
class _Body:
    """The facts of one body's expressions; equal ones are looked at once."""

    facts: Mapping[Tensor, Fact]
    printer: BodyPrinter
    known: dict[Expr, Fact] = field(default_factory=dict)

    def __call__(self, e: Expr) -> Fact:
        if e not in self.known:
            self.known[e] = self._fact(e)
        return self.known[e]

    def _fact(self, e: Expr) -> Fact:
        if isinstance(e, Access):
            return self._element(e)
        if isinstance(e, Dim | Index):
            return _constant((Fraction(isinstance(e, Dim)), math.inf))
        if e.is_Number or e.is_NumberSymbol:
            return _constant(intervals.of_number(e))
        if e.is_Add:
            return self._added(e)
        if e.is_Mul:
            return self._scaled([a for a in e.args if not self.moves(a)], list(filter(self.moves, e.args)))
        if e.is_Pow:
            p = sympy.Rational(Fraction(float(e.exp))) if e.exp.is_Float else e.exp
            return _powered(self(e.base), self(e.exp), p, self.printer.doprint(e))
        return self._function(e)

    def moves(self, e: Expr) -> bool:
        """Does it depend on the unknowns?"""
        return self(e).curvature != "constant"

    def _element(self, e: Access) -> Fact:
        for k in e.idx:
            for a in accesses(k):
                if self.moves(a):
                    return _unknown(f"an element chosen by {a.tensor.name}, which depends on the unknowns")
        fact = self.facts[e.tensor]
        if fact.kind is not None and (found := spectral.end(e, fact.kind)) is not None:
            interval = NONNEGATIVE if fact.kind[0] == spectral.SINGULAR else EVERYTHING
            return Fact(found[0], interval, ((False, found[1]),))
        return fact

    def _added(self, e: Expr) -> Fact:
        """Terms of one moving factor are collected first: y*f + f - y*f has no sign, f*(1 - y) may have one."""
        groups: dict[tuple[Expr, ...], list[Expr]] = {}
        for a in e.args:
            groups.setdefault(tuple(x for x in sympy.Mul.make_args(a) if self.moves(x)), []).append(a)
        parts = []
        for moving, terms in groups.items():
            if len(terms) == 1 or not moving:
                parts += map(self, terms)
            else:
                weights = (sympy.Mul(*(x for x in sympy.Mul.make_args(a) if x not in moving)) for a in terms)
                parts.append(self._scaled([sympy.Add(*weights)], list(moving)))
        return _sum(parts)

    def _scaled(self, fixed: list[Expr], moving: list[Expr]) -> Fact:
        """A product of constants and of what moves; at most one factor may move."""
        factor = intervals.point(1)
        for a in fixed:
            factor = intervals.times(factor, self(a).interval)
        if not moving:
            return _constant(factor)
        if len(moving) > 1 and (found := self._together(moving)) is not None:
            return self.signed(fixed, factor, found)
        unknown = next((self(m) for m in moving if self(m).curvature == "unknown"), None)
        if unknown:
            return unknown
        if len(moving) > 1:
            return _unknown(f"a product of two unknowns, {self._name(moving[0])} and {self._name(moving[1])}")
        return self.signed(fixed, factor, self(moving[0]))

    def _together(self, moving: list[Expr]) -> Fact | None:
        """Products of two that move and are convex all the same: u log(c u), u^2 / v."""
        if len(moving) != 2:
            return None
        for u, other in (moving, moving[::-1]):
            fact = self(u)
            if isinstance(other, sympy.log) and fact.curvature == "affine":
                ratio = sympy.cancel(other.args[0] / u)
                if not self.moves(ratio) and self(ratio).interval[0] > 0:
                    return Fact("convex", EVERYTHING, ((False, "an entropy"),))
                if fact.interval[0] >= 0 and (found := self._relative(u, other.args[0])) is not None:
                    return found
            if other.is_Pow and other.exp == -1 and fact.curvature == "convex" and fact.power >= 2:
                below = self(other.base)
                if below.curvature in ("affine", "concave") and below.interval[0] >= 0:
                    return Fact("convex", NONNEGATIVE, ((False, "a square over a linear term"),))
        return None

    def _relative(self, u: Expr, ratio: Expr) -> Fact | None:
        """u log(c u/v) is convex, and u log(c v/u) concave, in (u, v) for u >= 0, v > 0 affine and c > 0."""
        rules = ((u / ratio, "convex", "a relative entropy"), (u * ratio, "concave", "a perspective of log"))
        for v, curvature, text in rules:
            below = self(sympy.cancel(v))
            if below.curvature == "affine" and below.interval[0] >= 0:
                return Fact(curvature, EVERYTHING, ((False, text),))
        return None

    def signed(self, fixed: list[Expr], factor: Interval, fact: Fact) -> Fact:
        """A fact times constants."""
        interval = intervals.times(factor, fact.interval)
        if factor[0] >= 0:
            return replace(fact, interval=interval)
        minus = tuple((not subtracted, text) for subtracted, text in fact.terms)
        if factor[1] <= 0:
            return Fact(FLIP.get(fact.curvature, fact.curvature), interval, minus)
        if fact.curvature == "affine":
            return Fact("affine", interval, fact.terms)
        loose = next((a for a in fixed if self(a).interval[0] < 0 < self(a).interval[1]), fixed[0])
        name = self._name(loose)
        hint = f"declare {name} >= 0" if name.isidentifier() else ""
        return replace(_unknown(f"{fact.text} times {name}, whose sign is not known"), hint=hint)

    def _function(self, e: Expr) -> Fact:
        name = BY_CLASS.get(e.func)
        if name is None:
            return _unknown(f"{e}, which no rule covers")
        if isinstance(e, sympy.log) and (opened := self._logs(e.args[0])) is not None:
            return self(opened)
        args = [self(a) for a in e.args]
        unknown = next((a for a in args if a.curvature == "unknown"), None)
        interval = intervals.of_function(name, [a.interval for a in args])
        if all(a.curvature == "constant" for a in args):
            return _constant(interval)
        if unknown:
            return unknown
        curvature, monotony = FUNCTIONS[name].shape
        if len(args) == 1:
            return replace(_composed(curvature, monotony, args[0], name), interval=interval)
        if monotony == "increasing" and all(a.curvature in ("constant", "affine", curvature) for a in args):
            kind = "affine" if all(a.curvature in ("constant", "affine") for a in args) else curvature
            return Fact(curvature, interval, ((False, f"{WORDS.get(name, name)} of {kind} terms"),))
        return _unknown(f"{name} of what depends on the unknowns, which is neither convex nor concave")

    def _logs(self, e: Expr) -> Expr | None:
        """log(x/y) as log x - log y, where both are not negative and move."""
        factors = [f.as_base_exp() for f in sympy.Mul.make_args(e) if self.moves(f)]
        if e.is_Atom or all(p == 1 for _, p in factors) or not all(p.is_Rational for _, p in factors):
            return None
        fixed = sympy.Mul(*(f for f in sympy.Mul.make_args(e) if not self.moves(f)))
        if self(fixed).interval[0] < 0 or any(self(x).interval[0] < 0 for x, _ in factors):
            return None
        return sympy.Add(sympy.log(fixed, evaluate=False), *(p * sympy.log(x) for x, p in factors))

    def _name(self, e: Expr) -> str:
        """The tensor of an element, where the page names it; else the text of an expression."""
        found = direct_accesses(e)
        if len(found) != 1:
            return self.printer.doprint(e)
        return found[0].tensor.name if found[0].tensor.kind != "temp" else "a map of the unknowns"


def _powered(base: Fact, exponent: Fact, p: Expr, text: str) -> Fact:
    """base^p for a number p; c^u for a positive constant c."""
    if base.curvature == exponent.curvature == "constant":
        signed = NONNEGATIVE if base.interval[0] >= 0 else EVERYTHING
        return _constant(intervals.power(base.interval, p) if p.is_Rational else signed)
    if "unknown" in (base.curvature, exponent.curvature):
        return base if base.curvature == "unknown" else exponent
    if base.curvature == "constant" and exponent.curvature == "affine" and base.interval[0] > 0:
        return Fact("convex", NONNEGATIVE, ((False, "an exponential of an affine map"),))
    if not p.is_Rational or p == 0:
        return _unknown(f"{text}, which no rule covers")
    interval, even = intervals.power(base.interval, p), bool(p.is_Integer and int(p) % 2 == 0)
    affine, nonnegative = base.curvature == "affine", base.interval[0] >= 0
    upper = affine or (base.curvature == "convex" and nonnegative)
    if p > 0 and even and (upper or (base.curvature == "concave" and base.interval[1] <= 0)):
        return Fact("convex", interval, ((False, _even(base, p)),), _order(base, p))
    if p >= 1 and upper and nonnegative:
        return Fact("convex", interval, ((False, f"a power of {base.text}"),), _order(base, p))
    if 0 < p < 1 and p * base.power >= 1:
        return Fact(
            "convex", interval, ((False, "a norm" if base.power * p == 1 else "a power of a norm"),), base.power * p
        )
    if 0 < p < 1 and base.curvature in ("affine", "concave"):
        return Fact("concave", interval, ((False, f"a root of {base.text}"),))
    if p < 0 and nonnegative and base.curvature in ("affine", "concave"):
        return Fact("convex", interval, ((False, f"a reciprocal of {base.text}"),))
    return _unknown(f"{text}, which no rule covers")


def _even(base: Fact, p: Expr) -> str:
    """In words: what is affine has a quadratic, anything else is named."""
    if base.curvature == "affine":
        return "a quadratic" if p == 2 else "an even power"
    return f"{'a square' if p == 2 else 'an even power'} of {base.text}"


def _order(base: Fact, p: Expr) -> Expr:
    """base^p as a power of a nonnegative convex function."""
    return p if base.curvature == "affine" else p * max(base.power, ONE) if base.power < sympy.oo else p


def _composed(curvature: str, monotony: str, inner: Fact, name: str) -> Fact:
    """f(inner): convex where f is convex and inner affine, or f monotone the right way; and the mirror images."""
    word = f"{WORDS.get(name, name)} of {inner.text}"
    if curvature == "unknown":
        return _unknown(f"{word}, which is neither convex nor concave")
    if name in EVEN:
        low, high = inner.interval
        monotony = "increasing" if low >= 0 else "decreasing" if high <= 0 else monotony
    wanted = {"increasing": curvature, "decreasing": FLIP[curvature]}.get(monotony)
    if inner.curvature in ("affine", wanted):
        return Fact(curvature, terms=((False, word),), power=ONE if name == "abs" else NO_POWER)
    return _unknown(f"{word}: {curvature} of {inner.curvature}, which no rule covers")


def _sum(parts: list[Fact]) -> Fact:
    """The fact of a sum."""
    interval = intervals.ZERO
    for p in parts:
        interval = intervals.plus(interval, p.interval)
    moving = [p for p in parts if p.curvature != "constant"]
    if not moving:
        return _constant(interval)
    unknown = next((p for p in moving if p.curvature == "unknown"), None)
    if unknown:
        return unknown
    kinds = {p.curvature for p in moving} - {"affine"}
    if len(kinds) > 1:
        first, second = (next(p for p in moving if p.curvature == kind) for kind in ("convex", "concave"))
        return _unknown(f"a convex term plus a concave one: {_sentence(first.terms)}, and {_sentence(second.terms)}")
    return Fact(kinds.pop() if kinds else "affine", interval, _terms(moving), min(p.power for p in parts))


def _terms(parts: list[Fact]) -> tuple[tuple[bool, str], ...]:
    """The names of all parts, each once, what is linear last."""
    found: dict[str, bool] = {}
    for subtracted, text in (term for p in parts for term in p.terms):
        found[text] = subtracted and found.get(text, True)
    return tuple(sorted(((minus, text) for text, minus in found.items()), key=lambda t: (t[1] == LINEAR, t)))


def _constant(interval: Interval) -> Fact:
    """A nonnegative constant is a power of any order."""
    return Fact("constant", interval, power=sympy.oo if interval[0] >= 0 else NO_POWER)


def _unknown(why: str) -> Fact:
    return Fact("unknown", why=as_on_a_page(why))


def _sentence(terms: tuple[tuple[bool, str], ...]) -> str:
    """`a quadratic, plus a norm, minus a linear term`."""
    words = [f"{'minus' if subtracted else 'plus'} {text}" for subtracted, text in terms]
    return ", ".join(words).removeprefix("plus ")

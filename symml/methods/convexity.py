"""A convexity certificate by composition rules over the statements (Grant, Boyd, Ye, "Disciplined convex programming").

Each tensor gets a curvature with respect to the unknowns; the knowledge about functions is the `shape` of their rows in
ir/functions.py. Signs of constants come from the domains of data and hyper-parameters by interval arithmetic. What no
rule covers is `unknown`, with the place that stopped it: never a false "convex".

    certify(program, "loss", (w, b))  ->  Certificate("convex", "softplus of an affine map, minus a linear term, ...")
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sympy import Expr

from symml.ir.functions import BY_CLASS, FUNCTIONS
from symml.ir.program import Access, Dim, Index, Program, Statement, Tensor

FLIP = {"constant": "constant", "affine": "affine", "convex": "concave", "concave": "convex", "unknown": "unknown"}
REDUCED = {
    "sum": ("affine", "increasing"),
    "none": ("affine", "increasing"),
    "logsumexp": ("convex", "increasing"),
    "max": ("convex", "increasing"),
    "min": ("concave", "increasing"),
}


@dataclass(frozen=True)
class Certificate:
    """curvature: constant, affine, convex, concave, unknown; `reason` is one line for a person."""

    curvature: str
    reason: str
    stopped_at: Statement | None = None

    @property
    def convex(self) -> bool:
        return self.curvature in ("constant", "affine", "convex")


@dataclass(frozen=True)
class Fact:
    """What is known of an expression: curvature, whether it is nonnegative, how a person would name it."""

    curvature: str
    nonnegative: bool = False
    text: str = ""
    square: bool = False  # a sum of squares of affine terms: its root is a norm


def certify(program: Program, output: str, wrt: tuple[Tensor, ...]) -> Certificate:
    """The curvature of a scalar output in all of `wrt` jointly."""
    facts: dict[Tensor, Fact] = {
        t: Fact("affine", text="a linear term") if t in wrt else Fact("constant") for t in program.inputs
    }
    stopped: tuple[Statement, str] | None = None
    for s in program.statements:
        fact = _statement(s, facts)
        if s.mode == "+=" and s.out in facts:
            fact = _added([facts[s.out], fact])
        if fact.curvature == "unknown" and stopped is None:
            stopped = (s, fact.text)
        facts[s.out] = fact
    final = facts[program.outputs[output]]
    if final.curvature == "unknown":
        return Certificate("unknown", stopped[1] if stopped else final.text, stopped[0] if stopped else None)
    return Certificate(final.curvature, final.text)


def _statement(s: Statement, facts: Mapping[Tensor, Fact]) -> Fact:
    fact = _fact(s.body, facts)
    if fact.curvature == "constant":
        return fact
    if s.reduce not in REDUCED:
        return Fact("unknown", text=f"{s.reduce} of an unknown")
    if s.reduce in ("sum", "none"):
        return fact
    return _composed(*REDUCED[s.reduce], fact, {"logsumexp": "log-sum-exp"}.get(s.reduce, s.reduce))


def _composed(curvature: str, monotony: str, inner: Fact, name: str) -> Fact:
    """f(inner): convex where f is convex and inner affine, or f increasing and inner convex (and the mirror images)."""
    text = f"{name} of {'an affine map' if inner.curvature == 'affine' else inner.text or 'a map'}"
    if inner.curvature == "affine":
        return (
            Fact(curvature, text=text)
            if curvature != "unknown"
            else Fact("unknown", text=f"{text}, which is neither convex nor concave")
        )
    if monotony == "increasing" and curvature in (inner.curvature, "affine"):
        return Fact(inner.curvature, text=text)
    return Fact("unknown", text=f"{name} of a {inner.curvature} term")


def _fact(e: Expr, facts: Mapping[Tensor, Fact]) -> Fact:
    if isinstance(e, Access):
        return facts[e.tensor] if not e.tensor.integer else Fact("constant", True)
    if e.is_Number or e.is_NumberSymbol or isinstance(e, Dim | Index):
        return Fact("constant", bool(e.is_nonnegative))
    if e.is_Add:
        return _added([_fact(a, facts) for a in e.args])
    if e.is_Mul:
        return _scaled(e, facts)
    if e.is_Pow:
        return _powered(e, facts)
    args = [_fact(a, facts) for a in e.args]
    if all(a.curvature == "constant" for a in args):
        return Fact("constant", bool(e.is_nonnegative))
    name = BY_CLASS[e.func]
    if len(args) == 1:
        fact = _composed(*FUNCTIONS[name].shape, args[0], name)
        return Fact(fact.curvature, name in ("exp", "softplus", "relu", "abs", "cosh"), fact.text)
    want = FUNCTIONS[name].shape[0]
    if want in ("convex", "concave") and all(a.curvature in ("constant", "affine", want) for a in args):
        return Fact(want, text=f"{name} of affine maps")
    return Fact("unknown", text=f"{name} of unknowns")


def _added(parts: list[Fact]) -> Fact:
    moving = [p for p in parts if p.curvature != "constant"]
    if not moving:
        return Fact("constant", all(p.nonnegative for p in parts))
    kinds = {p.curvature for p in moving} - {"affine"}
    if len(kinds) > 1 or "unknown" in kinds:
        bad = next((p for p in moving if p.curvature == "unknown"), None)
        return Fact("unknown", text=bad.text if bad else "a convex term plus a concave one")
    texts = list(
        dict.fromkeys(p.text for p in sorted(moving, key=lambda p: (p.curvature == "affine", p.text)) if p.text)
    )
    square = all(p.square for p in parts)
    return Fact(kinds.pop() if kinds else "affine", all(p.nonnegative for p in parts), ", plus ".join(texts), square)


def _scaled(e: Expr, facts: Mapping[Tensor, Fact]) -> Fact:
    moving = [a for a in e.args if _fact(a, facts).curvature != "constant"]
    fixed = [a for a in e.args if a not in moving]
    low, high = bounds(e.func(*fixed)) if fixed else (1.0, 1.0)
    if not moving:
        return Fact("constant", low >= 0)
    if len(moving) > 1:
        return Fact("unknown", text=f"a product of unknowns, {' and '.join(str(m)[:40] for m in moving[:2])}")
    fact = _fact(moving[0], facts)
    if low >= 0:
        return Fact(fact.curvature, fact.nonnegative, fact.text, fact.square)
    if high <= 0:
        return Fact(FLIP[fact.curvature], text=fact.text)
    if fact.curvature == "affine":
        return Fact("affine", text=fact.text)
    return Fact("unknown", text=f"{fact.text} times a factor of unknown sign")


def _powered(e: Expr, facts: Mapping[Tensor, Fact]) -> Fact:
    base, exponent = _fact(e.base, facts), e.exp
    if base.curvature == "constant" and _fact(exponent, facts).curvature == "constant":
        return Fact("constant", bounds(e)[0] >= 0)
    if (
        exponent.is_Integer
        and exponent > 0
        and int(exponent) % 2 == 0
        and (base.curvature == "affine" or (base.curvature == "convex" and base.nonnegative))
    ):
        return Fact(
            "convex",
            True,
            "a quadratic" if exponent == 2 else "an even power",
            exponent == 2 and base.curvature == "affine",
        )
    if exponent.is_Rational and 0 < exponent < 1:
        if exponent * 2 == 1 and base.square:
            return Fact("convex", True, "a norm")
        return _composed("concave", "increasing", base, "a root")
    if exponent.is_number and exponent > 1 and base.curvature == "convex" and base.nonnegative:
        return Fact("convex", True, "a power")
    return Fact("unknown", text=f"{str(e)[:40]}, which no rule covers")


def bounds(e: Expr) -> tuple[float, float]:
    """An interval that holds a constant expression, from the domains of what it reads."""
    if e.is_number:
        return float(e), float(e)
    if isinstance(e, Dim):
        return 1.0, math.inf
    if isinstance(e, Access):
        d = e.tensor.domain
        if d.kind == "set":
            return min(d.values), max(d.values)
        if d.kind in ("label", "integer"):
            return 0.0, math.inf
        return (-math.inf if d.lower is None else d.lower), (math.inf if d.upper is None else d.upper)
    if e.is_Add:
        parts = [bounds(a) for a in e.args]
        return sum(p[0] for p in parts), sum(p[1] for p in parts)
    if e.is_Mul:
        low, high = 1.0, 1.0
        for a in e.args:
            p = bounds(a)
            corners = [_times(x, y) for x in (low, high) for y in p]
            low, high = min(corners), max(corners)
        return low, high
    if e.is_Pow and e.exp.is_Integer:
        low, high = bounds(e.base)
        if int(e.exp) % 2 == 0 or low >= 0:
            return 0.0, math.inf
        return -math.inf, math.inf
    return (0.0, math.inf) if e.is_nonnegative else (-math.inf, math.inf)


def _times(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y

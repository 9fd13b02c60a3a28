"""The names of the rules of calculus: which of them a statement's reading of a tensor goes back by.

rule_names(sent)  ->  (("product rule", ...),)        sent: a record of calculus/reverse.py

A rule is a pair (LaTeX, text). LINEAR ones are not told again where a longer way passes through them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import sympy
from sympy import Expr, Symbol

from symml.calculus.reverse import Sent
from symml.ir.functions import BY_CLASS, NO_SLOPE, select
from symml.ir.program import Access, Index, Iterate, Library, Statement, Tensor, accesses, indices
from symml.latex.index_form import formula_text
from symml.latex.style import Both


def plain(text: str) -> Both:
    """A rule in words alone."""
    return rf"\text{{{text}}}", text


WORDS = MappingProxyType({"log": r"\log ", "exp": r"\exp", "sum": r"\textstyle\sum ", "sigmoid": r"\sigma"})
SHORT = MappingProxyType({"sigmoid": "σ", "sum": "Σ"})


def identity(text: str) -> Both:
    """An identity of rewrite/stable.py as a rule; what follows it in words is left out."""
    text = text.strip().rstrip(".")
    if "=" not in text:
        return plain(text)
    text = re.split(", (?=[a-z])", text)[0]
    latex = re.sub("[a-z][a-z0-9]+", lambda m: WORDS.get(m[0], rf"\operatorname{{{m[0]}}}"), text)
    return latex, re.sub("[a-z]+", lambda m: SHORT.get(m[0], m[0]), text).replace("-", "−")


SUM, CONSTANT, PRODUCT, QUOTIENT = map(plain, ("sum rule", "constant factor", "product rule", "quotient rule"))
HADAMARD = plain("product rule, entry by entry (Hadamard)")
POWER, TRACE = plain("power rule"), plain("trace: the derivative of tr M by M is I")
BROADCAST = plain("what was repeated is summed")
GATHER = plain("what was gathered is scattered back")
SHIFT = plain("each shift goes back to its place")
RECURRING, SETTLED = plain("recurrence"), plain("where the iteration settles")
RECURRENCE = plain("adjoint recurrence: the steps backwards")
IMPLICIT = plain("implicit differentiation of the fixed point")
OF_LIBRARY = plain("derivative of an operation on whole matrices")
REDUCED: Mapping[str, Both] = MappingProxyType(
    {
        "logsumexp": plain("the derivative of log-sum-exp is softmax"),
        "prod": plain("the derivative of a product by a factor is the product of the others"),
        "max": plain("the derivative of a maximum is that of the element that attains it (Danskin)"),
        "min": plain("the derivative of a minimum is that of the element that attains it (Danskin)"),
    }
)
LIBRARY: Mapping[str, Both] = MappingProxyType(
    {
        "inv": (r"Y = A^{-1}: \; \bar{A} = -Y^{\top} \bar{Y} Y^{\top}", "Y = A⁻¹: Ā = −YᵀȲYᵀ"),
        "det": (r"y = \det A: \; \bar{A} = \bar{y} \, y A^{-\top}", "y = det A: Ā = ȳ y A⁻ᵀ"),
        "logdet": (r"y = \log\det A: \; \bar{A} = \bar{y} A^{-\top}", "y = log det A: Ā = ȳ A⁻ᵀ"),
        "logabsdet": (r"y = \log|\det A|: \; \bar{A} = \bar{y} A^{-\top}", "y = log |det A|: Ā = ȳ A⁻ᵀ"),
        "eigvals": (
            r"A = V \operatorname{diag}(w) V^{\top}: \; \bar{A} = V \operatorname{diag}(\bar{w}) V^{\top}",
            "A = V diag(w) Vᵀ: Ā = V diag(w̄) Vᵀ",
        ),
        "svdvals": (
            r"A = U \operatorname{diag}(s) V^{\top}: \; \bar{A} = U \operatorname{diag}(\bar{s}) V^{\top}",
            "A = U diag(s) Vᵀ: Ā = U diag(s̄) Vᵀ",
        ),
        "solve": (
            r"X = A^{-1} B: \; \bar{B} = A^{-\top} \bar{X}, \; \bar{A} = -\bar{B} X^{\top}",
            "X = A⁻¹B: B̄ = A⁻ᵀX̄, Ā = −B̄Xᵀ",
        ),
        "chol": (r"A = L L^{\top}: \text{ differentiation of the Cholesky factor}", "A = LLᵀ: Cholesky differentiated"),
    }
)
LINEAR = frozenset((SUM, CONSTANT, BROADCAST, GATHER, SHIFT))


def rule_names(sent: Sent, active: frozenset[Tensor]) -> tuple[Both, ...]:
    """The rules by which one reading goes back, outermost first; active: the tensors that the derivative passes through."""
    node = sent.node
    if isinstance(node, Library):
        return (LIBRARY.get(node.op, OF_LIBRARY),)
    if isinstance(node, Iterate):
        return (IMPLICIT,)
    found = [REDUCED[node.reduce]] if node.reduce in REDUCED else []
    found += _of_place(node, sent.access)
    found += [rule for rule in _of_body(node.body, sent.access, node, active) if rule not in found]
    if not found:
        found = [SUM] if node.reduced or node.body.is_Add else [CONSTANT] if node.body != sent.access else []
    return tuple(dict.fromkeys(found))


def _of_place(node: Statement, a: Access) -> list[Both]:
    """What the indices of a reading tell."""
    if any(accesses(k) for k in a.idx):
        return [GATHER]
    if len(a.idx) == 2 and a.idx[0] == a.idx[1]:
        return [TRACE]
    if any(not isinstance(k, Index) and indices(k) for k in a.idx):
        return [SHIFT]
    held = set().union(*map(indices, a.idx))
    return [BROADCAST] if set(node.loops) - held and node.body.is_Add and node.reduce == "none" else []


def _of_body(e: Expr, a: Access, node: Statement, active: frozenset[Tensor]) -> list[Both]:
    """The rules on the way from a body down to the reading."""
    if e == a or a not in e.free_symbols:
        return []
    if e.is_Mul:
        held = [f for f in e.args if a in f.free_symbols]
        below = [r for f in held for r in _of_body(f, a, node, active)]
        others = [f for f in e.args if a not in f.free_symbols]
        if len(held) > 1:
            return [PRODUCT, *below]
        return [*_of_factors(others, a, node, active), *below]
    if e.is_Pow and not isinstance(e, sympy.exp):
        below = _of_body(e.base, a, node, active)
        if a in e.exp.free_symbols:
            return [plain("derivative of a power by its exponent"), *_of_body(e.exp, a, node, active)]
        return [POWER if not (e.exp.is_number and e.exp < 0) else QUOTIENT, *below]
    if e.is_Add:
        return list(dict.fromkeys(r for t in e.args for r in _of_body(t, a, node, active)))
    if e.func in BY_CLASS and not isinstance(e, NO_SLOPE):
        below = [r for t in e.args for r in _of_body(t, a, node, active)]
        return [chain(e), *below]
    return []


def _of_factors(others: list[Expr], a: Access, node: Statement, active: frozenset[Tensor]) -> list[Both]:
    """What one factor of a product is multiplied by."""
    mine = set().union(*map(indices, a.idx))
    under = [f for f in others if f.is_Pow and f.exp.is_number and f.exp < 0]
    if any(b.tensor in active for f in under for b in accesses(f.base)):
        return [QUOTIENT]
    read = [b for f in others if f not in under for b in accesses(f) if b.idx]
    if not read:
        return []
    return (
        [HADAMARD] if not node.reduced and all(set().union(*map(indices, b.idx)) == mine for b in read) else [PRODUCT]
    )


def chain(e: Expr) -> Both:
    """The chain rule through a function, with the function's derivative."""
    if isinstance(e, select):
        return plain("each case by itself")
    if len(e.args) != 1:
        return (
            rf"\text{{chain rule through }} {formula_text(e.func)[0]}",
            f"chain rule through {formula_text(e.func)[1]}",
        )
    u = Symbol("u", real=True)
    (name, text), (slope, text_slope) = formula_text(e.func), formula_text(e.func(u).diff(u))
    return rf"\text{{chain rule, }} {name}'(u) = {slope}", f"chain rule, {text}′(u) = {text_slope}"

"""Four-index arrays that are Kronecker products: H[j, k, l, m] = A[j, l] B[k, m] is A ⊗ B over the rows of a matrix.

    2 sum[i] V[i, k] V[i, m] where j = l     ->     I ⊗ 2VᵀV        neither factor holds the size of the whole

The rows of both matrices are stacked: entry (j, k) stands at place j c + k of c columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sympy
from sympy import Expr

from symml.ir.program import Index, Program, Statement, Tensor, indices
from symml.latex.derivation import BOUND, formula
from symml.latex.style import Both
from symml.proof.samples import sample
from symml.rewrite.dead import eliminate_dead

ONE = sympy.Integer(1)
SIGNS = (" + ", " − ", " - ")


STACKED = (r"\left[A \otimes B\right]_{(j k) (l m)} = A_{j l} B_{k m}", "(A ⊗ B)[(j, k), (l, m)] = A[j, l] B[k, m]")


@dataclass(frozen=True)
class Kronecker:
    """The right side, the definitions that it uses, and how far it is from the array; atom: it is one name."""

    right: Both
    where: tuple[Both, ...]
    error: float
    atom: bool = False


IDENTITY = Kronecker(("I", "I"), (), 0.0, atom=True)


def kronecker(program: Program, terms: Sequence[Statement]) -> Kronecker | None:
    """The sum of terms as Kronecker products; None where a term is none."""
    halves = [_halves(s) for s in terms]
    if any(h is None for h in halves):
        return None
    found, where = [], []
    error = 0.0
    for c, left, right in halves:
        if left is None and right is None:
            found.append(_scaled(c, program))
        else:
            found.append(_pair(program, c, left, right))
    if any(f is None for f in found):
        return None
    texts = []
    for k in (0, 1):
        text = found[0].right[k]
        for f in found[1:]:
            minus = f.right[k].startswith(("−", "-"))
            text += f" {f.right[k][0]} {f.right[k][1:].lstrip()}" if minus else f" + {f.right[k]}"
        texts.append(text)
    for f in found:
        where += f.where
        error = max(error, f.error)
    return Kronecker((texts[0], texts[1]), tuple(dict.fromkeys(where)), error)


def _halves(s: Statement) -> tuple[Expr, Statement | None, Statement | None] | None:
    """A number, and the matrices over the first and third and over the second and fourth index; None for an identity."""
    if s.guard is not None or not all(isinstance(k, Index) for k in s.lhs):
        return None
    j, k, p, q = s.lhs
    if {j, p} & {k, q}:
        return None
    sides: tuple[set[Index], set[Index]] = ({j, p}, {k, q})
    number, factors = ONE, ([], [])
    todo = list(sympy.Mul.make_args(s.body))
    moved = True
    while todo and moved:
        moved = False
        for f in list(todo):
            held = indices(f)
            if not held:
                number, moved = number * f, True
                todo.remove(f)
                continue
            touched = [side for side in (0, 1) if held & sides[side]]
            if len(touched) > 1:
                return None
            if touched:
                sides[touched[0]].update(held)
                factors[touched[0]].append(f)
                todo.remove(f)
                moved = True
    if todo or sides[0] & sides[1]:
        return None
    return number, _half(s, (j, p), sides[0], factors[0]), _half(s, (k, q), sides[1], factors[1])


def _half(s: Statement, lhs: tuple[Index, Index], held: set[Index], factors: list[Expr]) -> Statement | None:
    if not factors:
        return None if lhs[0] is lhs[1] else _ones(lhs)
    out = Tensor("half", (lhs[0].size, lhs[1].size))
    loops = tuple(k for k in s.loops if k in held)
    made = Statement(out, lhs, "=" if lhs[0] is not lhs[1] else "+=", "none", loops, sympy.Mul(*factors))
    return replace(made, reduce="sum" if made.reduced else "none")


def _ones(lhs: tuple[Index, Index]) -> Statement:
    return Statement(Tensor("half", (lhs[0].size, lhs[1].size)), lhs, "=", "none", lhs, ONE)


def _formula(program: Program, s: Statement) -> Kronecker | None:
    """One factor as a matrix."""
    whole = replace(program, statements=(*program.statements, s), outputs={"half": s.out})
    f = formula(eliminate_dead(whole), s.out, sample)
    return (
        Kronecker((f.latex, f.text), f.where, f.error, f.nodes == 1)
        if f.form == "matrix" and f.error <= BOUND
        else None
    )


def _scaled(c: Expr, program: Program) -> Kronecker | None:
    """c I, over all entries."""
    number = Statement(Tensor("half"), (), "=", "none", (), c)
    f = _formula(program, number)
    if f is None:
        return None
    return replace(f, right=(_times(f.right[0], "I", " "), _times(f.right[1], "I", "")))


def _times(c: str, matrix: str, gap: str) -> str:
    if c in ("1", "−1", "-1"):
        return c[:-1] + matrix
    return f"({c}){gap}{matrix}" if any(x in c for x in SIGNS) else f"{c}{gap}{matrix}"


def _pair(program: Program, c: Expr, left: Statement | None, right: Statement | None) -> Kronecker | None:
    """A ⊗ B with the number in the last factor that is no identity."""
    if right is not None:
        right = replace(right, body=c * right.body)
    else:
        left = replace(left, body=c * left.body)
    halves = [_formula(program, s) if s is not None else IDENTITY for s in (left, right)]
    if None in halves:
        return None
    (one, a), (other, b) = map(_unsigned, halves)
    front = ("-", "−") if one is not other else ("", "")
    latex = rf"{front[0]}{_bracketed(a, 0)} \otimes {_bracketed(b, 0)}"
    text = f"{front[1]}{_bracketed(a, 1)} ⊗ {_bracketed(b, 1)}"
    return Kronecker((latex, text), (*a.where, *b.where, STACKED), max(a.error, b.error))


def _unsigned(half: Kronecker) -> tuple[bool, Kronecker]:
    """Whether a product begins with a minus, and it without that."""
    latex, text = half.right
    if not text.startswith("−") or not latex.startswith("-") or any(sign in text for sign in SIGNS):
        return False, half
    return True, replace(half, right=(latex[1:].lstrip(), text[1:]))


def _bracketed(half: Kronecker, style: int) -> str:
    text = half.right[style]
    if half.atom:
        return text
    return rf"\left({text}\right)" if style == 0 else f"({text})"

"""Operations on whole tensors, one row each: value, value written out in elementary arithmetic, shape of the result.

OPS["inv"].numpy(A)  ->  (A^-1,)          every operation returns a tuple of arrays

`written` computes with +, *, / and a given root only, so the same text is the complex extension of an operation that
LAPACK has for real matrices alone, and its expansion in plain sympy or mpmath at small sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from sympy import Expr

from symml.ir import spectral

Shape = tuple[Expr, ...]
Root = Callable[[object], object]


def _solved(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """A^-1 B by elimination without pivoting: generic matrices at small sizes."""
    n = A.shape[0]
    rows = np.concatenate([A, B.reshape(n, -1)], axis=1)
    for k in range(n):
        rows[k] = rows[k] / rows[k, k]
        for i in range(n):
            if i != k:
                rows[i] = rows[i] - rows[i, k] * rows[k]
    return rows[:, n:].reshape(B.shape)


def _determinant(A: np.ndarray) -> object:
    """By expansion along the first row."""
    if A.shape[0] == 1:
        return A[0, 0]
    minors = (np.delete(A[1:], j, axis=1) for j in range(A.shape[0]))
    return sum((-1) ** j * A[0, j] * _determinant(m) for j, m in enumerate(minors))


def _cholesky(A: np.ndarray, root: Root) -> np.ndarray:
    """L with L L' = A, by columns; of A its lower triangle is read."""
    n, L = A.shape[0], A * 0
    for j in range(n):
        L[j, j] = root(A[j, j] - sum((L[j, k] ** 2 for k in range(j)), A[j, j] * 0))
        for i in range(j + 1, n):
            L[i, j] = (A[i, j] - sum((L[i, k] * L[j, k] for k in range(j)), A[j, j] * 0)) / L[j, j]
    return L


def _factored(A: np.ndarray) -> np.ndarray:
    """L by LAPACK; NaN, as in compiled code, where the matrix is not positive definite."""
    try:
        return np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        return np.full_like(A, np.nan)


def _identity(A: np.ndarray) -> np.ndarray:
    return A * 0 + np.eye(A.shape[0], dtype=int)


def _logdet(A: np.ndarray) -> np.ndarray:
    """log det A; NaN where the determinant of a real matrix is negative."""
    sign, log = np.linalg.slogdet(A)
    with np.errstate(invalid="ignore"):
        return log + np.log(sign)


def _logabsdet(A: np.ndarray) -> np.ndarray:
    """log |det A|; of a complex matrix near a real one its extension, log det up to a constant."""
    sign, log = np.linalg.slogdet(A)
    return log if A.dtype.kind == "f" else log + np.log(sign * np.sign(sign.real))


@dataclass(frozen=True)
class Op:
    """`takes` are the ranks of the arguments, `shape` the shape of the result from theirs, `integer` what it holds.

    square: matrices must be; inverts: the first one must have an inverse; fails: why a result is not finite, for messages;
    written is None where there is no such text.
    """

    numpy: Callable[..., tuple[np.ndarray, ...]]
    written: Callable[..., tuple[np.ndarray, ...]] | None
    takes: tuple[tuple[int, ...], ...]
    shape: Callable[..., Shape]
    latex: str
    text: str
    integer: bool = False
    square: bool = True
    fails: str = ""
    inverts: bool = False


def _inverse(A: np.ndarray) -> np.ndarray:
    """A^-1; NaN where there is none, as in compiled code."""
    try:
        return np.linalg.inv(A)
    except np.linalg.LinAlgError:
        return np.full_like(A, np.nan)


def _solution(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """A^-1 B; NaN where there is none."""
    try:
        return np.linalg.solve(A, B)
    except np.linalg.LinAlgError:
        return np.full(B.shape, np.nan)


def _square(a: Shape) -> Shape:
    return a


def _spectral(name: str, shape: Callable[..., Shape], latex: str, text: str, square: bool = True) -> Op:
    """Eigenvalues and singular values have no text in elementary arithmetic."""
    call = spectral.OPERATIONS[name]
    return Op(lambda A: (call(np.asarray(A)),), None, ((2,),), shape, latex, text, square=square)


OPS: Mapping[str, Op] = MappingProxyType(
    {
        "inv": Op(
            lambda A: (_inverse(A),),
            lambda A, log, root: (_solved(A, _identity(A)),),
            ((2,),),
            _square,
            "{0}^{{-1}}",
            "{0}⁻¹",
            inverts=True,
        ),
        "det": Op(
            lambda A: (np.asarray(np.linalg.det(A)),),
            lambda A, log, root: (np.asarray(_determinant(A)),),
            ((2,),),
            lambda a: (),
            r"\det\left({0}\right)",
            "det({0})",
        ),
        "logdet": Op(
            lambda A: (np.asarray(_logdet(A)),),
            lambda A, log, root: (np.asarray(log(_determinant(A))),),
            ((2,),),
            lambda a: (),
            r"\log\det\left({0}\right)",
            "log det({0})",
            inverts=True,
        ),
        "logabsdet": Op(
            lambda A: (np.asarray(_logabsdet(A)),),
            lambda A, log, root: (np.asarray(log(root(_determinant(A) ** 2))),),
            ((2,),),
            lambda a: (),
            r"\log\left|\det {0}\right|",
            "log |det({0})|",
            fails="the matrix is singular",
            inverts=True,
        ),
        "solve": Op(
            lambda A, B: (_solution(A, B.reshape(A.shape[0], -1)).reshape(B.shape),),
            lambda A, B, log, root: (_solved(A, B),),
            ((2,), (1, 2)),
            lambda a, b: b,
            "{0}^{{-1}} {1}",
            "{0}⁻¹ {1}",
            inverts=True,
        ),
        "solve_each": Op(
            lambda A, B: (np.linalg.solve(A, B.reshape(*A.shape[:2], -1)).reshape(B.shape),),
            lambda A, B, log, root: (np.stack([_solved(a, b) for a, b in zip(A, B, strict=True)]),),
            ((3,), (2, 3)),
            lambda a, b: b,
            "{0}_i^{{-1}} {1}_i",
            "{0}[i]⁻¹ {1}[i]",
            inverts=True,
        ),
        "chol": Op(
            lambda A: (_factored(A) if A.dtype.kind == "f" else _cholesky(A, np.sqrt),),
            lambda A, log, root: (_cholesky(A, root),),
            ((2,),),
            _square,
            r"\operatorname{{chol}}\left({0}\right)",
            "chol({0})",
        ),
        "eigvals": _spectral("eigvals", lambda a: a[:1], r"\lambda\left({0}\right)", "eigvals({0})"),
        "eigvecs": _spectral("eigvecs", _square, r"\operatorname{{eigvecs}}\left({0}\right)", "eigvecs({0})"),
        "svdvals": _spectral("svdvals", lambda a: a[1:], r"\sigma\left({0}\right)", "svdvals({0})", False),
        "svdu": _spectral("svdu", _square, r"\operatorname{{svdu}}\left({0}\right)", "svdu({0})", False),
        "svdv": _spectral("svdv", lambda a: (a[1], a[1]), r"\operatorname{{svdv}}\left({0}\right)", "svdv({0})", False),
        "gaps": Op(
            lambda w: (spectral.gaps(w),),
            lambda w, log, root: (spectral.gaps(w),),
            ((1,),),
            lambda w: (w[0], w[0]),
            r"\operatorname{{gaps}}\left({0}\right)",
            "gaps({0})",
            fails="two eigenvalues or singular values coincide, where their vectors have no derivative",
        ),
        "argsort": Op(
            lambda x: (np.argsort(np.real(x), kind="stable"),),
            None,
            ((1,),),
            _square,
            r"\operatorname{{argsort}}\left({0}\right)",
            "argsort({0})",
            integer=True,
        ),
    }
)

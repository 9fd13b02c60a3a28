"""Second derivatives in the trial of a fault: Hessians, Jacobians and products with them, made anew with the fault.

disagreeing(prepared)    what an oracle saw: the complex step of the gradient (of the quantity), the tied axes that
                         are stored no more, the products J v, J'u, H v against their matrices, the length
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from trust.length import Length, length

from symml import pipeline
from symml.calculus.columns import Columns, shared
from symml.calculus.second import hessian, hessian_times, jacobian, slope_along, transposed_times
from symml.calculus.tangent import tangent
from symml.ir import check as legality
from symml.ir.evaluate import evaluate
from symml.ir.program import Program, Tensor
from symml.proof.complex_step import BOUND, check_jacobian, relative
from symml.proof.samples import sample, sizes
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise
from symml.source import Source

# The page, and the quantity (`predict`) whose Jacobian is made beside the blocks of the Hessian.
PAGES = (
    # rows and columns that nothing connects: X'DX, I (x) A, A (x) I, a diagonal
    "dims n, d\ndata X[n, d], y[n]\nparam w[d], b\np = sigmoid(X w + b)\n"
    "minimize sum[i] (p[i] - y[i])^2 + sum[j] w[j]^4\npredict p",
    "dims n, m, r\ndata X[n, m]\nparam U[n, r], V[m, r]\nR = U V'\nminimize ||X - R||^2 + sum[i, k] U[i, k]^4\npredict R",
    "dims n, d, c\ndata X[n, d], y[n] in c\nparam W[d, c]\nZ = X W\nminimize -1/n sum[i] logsoftmax(Z[i])[y[i]] + ||W||^2\n"
    "predict Z",
    "dims n, c\ndata X[n, n], Y[n, c]\nparam W[n, c]\nQ = X W\nminimize 1/2 ||Q - Y||^2\npredict Q",
    # an index read twice, shifted, gathered and guarded; a constant slope; a sum that reads no index
    "dims n, m\ndata A[n] in m, x[n]\nparam w[m], v[n]\ng[i] = w[A[i]] v[i]\n"
    "minimize sum[i] sin(g[i]) x[i] + sum[i in 1..n-1] (v[i] - v[i - 1])^2 x[i] + sum[i where x[i] > 0] v[i]^3 + w[0] v[1]\n"
    "predict g",
    "dims n\ndata x[n]\nparam w[n], a\ns = sum[i] w[i]^2\nf[i] = a s x[i] + w[i]\n"
    "minimize sum[i] f[i]^2 + a w[0] + sum[i in n, j in n] w[i]^2 a^2\npredict f",
    # statements that are written in parts, an axis at a fixed place
    "dims n, k\nparam w[n], C[n, k]\nz[0] = w[0]^2\nz[i] = w[i] w[i-1]   for i in 1..n-1\n"
    "minimize sum[i] z[i]^2 + sum[i, j] C[i, j]^2 w[i] + C[0, 1]^3\npredict z",
    "dims n, k\ndata x[n]\nparam w[n], C[n, k]\nq[i] = w[i]^3 x[i]\n"
    "minimize sum[i] x[i] log(2 + w[i]^2) + sum[i, j] C[i, j]^4 x[i]\npredict q",
    # recurrences, fixed points, operations on whole arrays
    "dims T, H = 2\ndata x[T]\nparam W[H, H], u[H], a\nh[0, k] = u[k]\n"
    "h[t, k] = tanh(sum[j] h[t-1, j] W[j, k] + x[t] u[k])   for t in 1..T-1\nminimize sum[t, k] (h[t, k] - a)^2\npredict h",
    "dims n\ndata A[n, n], y[n]\nparam a[n], b\niterate x[i] <- tanh(a[i] + b/9 sum[j] A[i, j] x[j]) from 0 "
    "until |change| < 1e-13\nminimize sum[i] (x[i] - y[i])^2 + b^2\npredict x",
    "dims n\ndata A[n, n]\nparam L[n, n], w[n]\nS = A A' + L L'\n"
    "iterate x[i] <- tanh(w[i]/9 + solve(S, x)[i]/9) from w until |change| < 1e-13\n"
    "minimize sum[i] x[i]^2 + sum[i] w[i]^2\npredict x",
    "dims n, r = 2\ndata A[n, n], B[n, r]\nparam M[n, n], W[n, r]\nS = A A' + M M'\nZ = solve(S, W + B)\n"
    "minimize ||Z||^2 + logdet(S)\npredict Z",
    "dims n, d\ndata A[n, d, d], b[n, d]\nparam W[n, d]\nZ = solve_each(A, W)\nminimize sum[i, j] (Z[i, j] - b[i, j])^4\n"
    "predict Z",
    "dims d\ndata u[d]\nparam A[d, d]\nv = eigvecs(A) u\nminimize sum[i] exp(eigvals(A)[i]/4) + sum[i] u[i] v[i]^2 + ||A||^2\n"
    "predict v",
    "dims n, d\ndata X[n, d]\nparam B[n, d]\nQ = svdu(B) svdv(B)'\nminimize sum[i, j] X[i, j] Q[i, j]^2 + nuclear(B)\npredict Q",
)


@dataclass(frozen=True)
class Form:
    """How long a program is; of a block also how many axes are stored, whether an array of its own has them, and whether
    that is a diagonal or I (x) A."""

    length: Length
    stored: int = 0
    kept: bool = False
    diagonal: bool = False
    shared: bool = False

    def longer_than(self, other: Form) -> str:
        """What there is more of, or what is seen no more."""
        if self.stored > other.stored:
            return f"{self.stored} axes instead of {other.stored}"
        if replace(self, length=other.length, stored=other.stored) != other:
            return f"{self} instead of {other}"
        return self.length.longer_than(other.length)


@dataclass(frozen=True)
class Made:
    """A page up to its derivative, and the form of each thing that is made from it, by name."""

    name: str
    analysis: pipeline.Analysis
    forms: dict[str, Form]


def prepared() -> list[Made]:
    """The pages, without the fault."""
    found = []
    for k, page in enumerate(PAGES):
        a = pipeline.analyse(Source("page.symml", f"model second{k}\n{page}\n"))
        forms = {name: _form(block) for name, _, _, _, block in _blocks(a)}
        forms |= {name: Form(length(program)) for name, program in _products(a)}
        found.append(Made(f"second{k}", a, forms))
    return found


def disagreeing(pages: list[Made]) -> str:
    """What is wrong, with the page; "" where nothing is."""
    for p in pages:
        if found := _wrong(p):
            return f"{found} on {p.name}"
    return ""


def _quantity(a: pipeline.Analysis) -> Program:
    return simplify(stabilise(prune(a.program, "predict")))


def _form(block: Columns) -> Form:
    kept = block.stored in block.program.tensors()
    return Form(length(block.program), len(block.stored.shape), kept, block.diagonal, shared(block) is not None)


def _blocks(a: pipeline.Analysis) -> Iterator[tuple[str, Program, str, Tensor, Columns]]:
    """(name, the program of what is differentiated, its output, in what, the block) of the Hessian and of the Jacobian."""
    for s in a.model.over:
        for t in a.model.over:
            yield f"hessian {s.name} {t.name}", a.derivative, f"d_{s.name}", t, hessian(a.derivative, s, t)
        yield f"jacobian {s.name}", _quantity(a), "predict", s, jacobian(_quantity(a), "predict", s)


def _products(a: pipeline.Analysis) -> Iterator[tuple[str, Program]]:
    over = a.model.over
    yield "hvp", hessian_times(a.derivative, over)[1]
    yield "vjp", transposed_times(_quantity(a), "predict", over)[0]
    yield "jvp", tangent(_quantity(a), ("predict",), over)[0]


def _wrong(p: Made) -> str:
    a, arrays = p.analysis, {}
    rng = np.random.default_rng(0)
    dims = sizes(a.derivative, a.program)
    values = sample(
        replace(a.derivative, inputs=tuple(dict.fromkeys((*a.derivative.inputs, *a.program.inputs)))), rng, dims
    )[0]
    for name, whole, output, wrt, block in _blocks(a):
        legality.check(block.program)
        (key,) = block.program.outputs
        if not check_jacobian(whole, output, block.program, wrt, key, draws=1).ok:
            return name
        env = evaluate(block.program, values, dims)
        arrays[name] = full = np.asarray(env[block.full])
        if not _agrees(_unfolded(block, env), full) or not _alike(block, full, values, dims):
            return f"what is stored of {name}"
        if longer := _form(block).longer_than(p.forms[name]):
            return f"longer ({name}: {longer})"
    return _wrong_products(p, arrays, values, dims, rng)


def _unfolded(block: Columns, env: dict) -> np.ndarray | None:
    """The whole array from what is stored and its ties, by numpy; of a Jacobian the axes of the quantity go first."""
    if not block.ties or block.stored not in env:
        return None
    stored = np.asarray(env[block.stored])
    rank = len(block.full.shape) - block.rank
    leading = block.program.outputs.get("jacobian") is not None
    shape = np.shape(env[block.full])
    out = np.zeros(shape)
    for at in np.ndindex(stored.shape):
        own, more = at[: block.rank], list(at[block.rank :])
        v = tuple(own[block.ties[k]] if k in block.ties else more.pop(0) for k in range(rank))
        out[(*v, *own) if leading else (*own, *v)] += stored[at]
    return out


def _alike(block: Columns, full: np.ndarray, values: dict, dims: dict) -> bool:
    """I (x) A and A (x) I, where that is said of a matrix."""
    found = shared(block)
    if found is None:
        return True
    program, t, gone = found
    A = np.asarray(evaluate(program, values, dims)[t])
    eye = np.eye(full.shape[gone])
    if "jacobian" in block.program.outputs:
        full = np.moveaxis(full, (0, 1), (2, 3))
    return _agrees(np.einsum("ik,jl->ijkl", eye, A) if gone == 0 else np.einsum("ik,jl->ijkl", A, eye), full)


def _wrong_products(p: Made, arrays: dict, values: dict, dims: dict, rng: np.random.Generator) -> str:
    """H v, J'u and J v against the matrices."""
    over = p.analysis.model.over
    for t in over:
        legality.check(slope_along(p.analysis.derivative, (t,))[0])
    for name, program in _products(p.analysis):
        legality.check(program)
        along = [t for t in program.inputs if t not in values]
        drawn = {t: rng.normal(size=[dims.get(n, n) for n in map(_size, t.shape)]) for t in along}
        env = evaluate(program, {**values, **drawn}, dims)
        v = {t.name.removeprefix("along_"): x for t, x in drawn.items()}
        for key, t in program.outputs.items():
            if key in ("slope", "loss"):
                continue
            if not _agrees(np.asarray(env[t]), _by_matrix(name, key, v, arrays, over)):
                return f"{name} {key}"
        if longer := Form(length(program)).longer_than(p.forms[name]):
            return f"longer ({name}: {longer})"
    return ""


def _size(n: object) -> object:
    return int(n) if getattr(n, "is_Integer", False) else n


def _by_matrix(name: str, key: str, v: dict, arrays: dict, over: tuple[Tensor, ...]) -> np.ndarray:
    if name == "hvp":
        s = key.removeprefix("d_")
        return sum(_times(arrays[f"hessian {s} {t.name}"], v[t.name]) for t in over if t.name in v)
    if name == "jvp":
        return sum(_times(arrays[f"jacobian {t.name}"], v[t.name]) for t in over if t.name in v)
    J = arrays[f"jacobian {key.removeprefix('d_')}"]
    (u,) = v.values()
    return np.tensordot(u, J, axes=np.ndim(u))


def _times(A: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.tensordot(A, v, axes=np.ndim(v))


def _agrees(found: np.ndarray | None, truth: np.ndarray) -> bool:
    return found is None or bool(relative(np.asarray(found), np.asarray(truth), 1.0) <= BOUND)

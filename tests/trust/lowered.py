"""What pages mean, said a second time in numpy: an oracle of lowering that does not go through it.

STATED holds an expression (definitions before it, if any) and its value; REFUSED holds wrong expressions and words of
the message; LETTERS the same for expressions without a page. All share the declarations of HEAD.

misread()  ->  "" or the first expression whose value, or refusal, is another
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from symml import pipeline
from symml.errors import SymmlError
from symml.ir import check as legality
from symml.ir.evaluate import evaluate
from symml.model.letters import problem
from symml.source import Source

HEAD = """model lowered
dims n, d, m
data X[n, d], A[n, n], B[n, m], x[n], u[d], y[n] in d, z[n] in {0, 1}, s[n] > 0, T3[n, d, m]
param w[d], v[n], W[d, m], V[n, n], c, b[m]
"""
SIZES = {"n": 5, "d": 3, "m": 4}
SHAPES = {
    "X": "nd", "A": "nn", "B": "nm", "x": "n", "u": "d", "y": "n", "z": "n", "s": "n", "T3": "ndm",
    "w": "d", "v": "n", "W": "dm", "V": "nn", "c": "", "b": "m",
}  # fmt: skip


def _values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    found = {name: rng.normal(size=[SIZES[k] for k in dims]) for name, dims in SHAPES.items()}
    return {**found, "y": np.array([0, 2, 1, 1, 0]), "z": np.array([0.0, 1, 1, 0, 1]), "s": np.exp(found["s"])}


def soft(a: np.ndarray) -> np.ndarray:
    return np.exp(a) / np.exp(a).sum(-1, keepdims=True)


def lse(a: np.ndarray) -> np.ndarray:
    return np.log(np.exp(a).sum(-1))


n, d, m = (SIZES[k] for k in "ndm")
i, j = np.arange(n), np.arange(d)
STATED = (
    # numbers, sums, products, quotients, powers
    ("c + 0.1", lambda a: a.c + 0.1),
    ("c + 3e-13 * 1e13", lambda a: a.c + 3),
    ("c + 2e12/1e12 + 0 + 0.0", lambda a: a.c + 2),
    ("c * 1000000000000.5 / 1e12", lambda a: a.c * 1.0000000000005),
    ("c - 2 - 3 + 7", lambda a: a.c + 2),
    ("-c/2/4 * 3", lambda a: -a.c / 8 * 3),
    ("2 c / (1 + c^2)", lambda a: 2 * a.c / (1 + a.c**2)),
    ("c^3 + 2^(1/2) + (1/2)^10 + 2^(-3)", lambda a: a.c**3 + 2**0.5 + 2**-10 + 1 / 8),
    ("(2 + c^2)^(1/2)", lambda a: np.sqrt(2 + a.c**2)),
    ("c + 2^1000/2^999", lambda a: a.c + 2),
    ("2^c + (1/2)^c", lambda a: 2**a.c + 2**-a.c),
    ("c + sum[n in 3] |n - 1| + sum[n in 3] |n|", lambda a: a.c + 2 + 3),
    ("c + pi + e", lambda a: a.c + np.pi + np.e),
    ("c n / d", lambda a: a.c * n / d),
    ("|c| + |n| + |x[0]|", lambda a: abs(a.c) + n + abs(a.x[0])),
    # elements
    ("x[0] + x[4] v[1] + X[2, 1] + T3[1, 2, 3]", lambda a: a.x[0] + a.x[4] * a.v[1] + a.X[2, 1] + a.T3[1, 2, 3]),
    ("(X w)[3] + (X')[1, 4] + (X')[2][0]", lambda a: (a.X @ a.w)[3] + a.X[4, 1] + a.X[0, 2]),
    ("sum[i] w[y[i]] x[i]", lambda a: a.w[a.y] @ a.x),
    ("sum[i] X[i, y[i]] v[i]", lambda a: a.X[i, a.y] @ a.v),
    ("sum[i] X[i]' w", lambda a: (a.X @ a.w).sum()),
    ("sum[i in n] (i + 1) v[i]", lambda a: (i + 1) @ a.v),
    ("sum[i, j] T3[i, j, 2] W[j, 1]", lambda a: np.sum(a.T3[:, :, 2] * a.W[:, 1])),
    # matrix form
    ("x' v", lambda a: a.x @ a.v),
    ("v' A v", lambda a: a.v @ a.A @ a.v),
    ("sum[i] (A v)[i] x[i]", lambda a: a.A @ a.v @ a.x),
    ("sum[i] (A' v)[i] x[i]", lambda a: a.A.T @ a.v @ a.x),
    ("sum[k] (v' B)[k] b[k]", lambda a: a.v @ a.B @ a.b),
    ("sum[k] (v' A V B)[k] b[k]", lambda a: a.v @ a.A @ a.V @ a.B @ a.b),
    ("sum[i, k] (x b')[i, k] B[i, k]", lambda a: a.x @ a.B @ a.b),
    ("sum[i, k] (X W)[i, k] B[i, k]", lambda a: np.sum((a.X @ a.W) * a.B)),
    ("sum[i, k] (X @ W)[i, k] B[i, k]", lambda a: np.sum((a.X @ a.W) * a.B)),
    ("sum[i, k] (X W .* B ./ (2 + B .* B))[i, k]", lambda a: np.sum((a.X @ a.W) * a.B / (2 + a.B**2))),
    ("tr(A V)", lambda a: np.trace(a.A @ a.V)),
    ("tr((V/2)^13)", lambda a: np.trace(np.linalg.matrix_power(a.V / 2, 13))),
    ("tr(V^3) + trace(V^1) + tr(c)", lambda a: np.trace(np.linalg.matrix_power(a.V, 3)) + np.trace(a.V) + a.c),
    ("||W' X' - B'||^2", lambda a: np.sum((a.X @ a.W - a.B) ** 2)),
    ("tr(A V')", lambda a: np.sum(a.A * a.V)),
    ("||X W + b||^2", lambda a: np.sum((a.X @ a.W + a.b) ** 2)),
    ("||b + X W||^2", lambda a: np.sum((a.X @ a.W + a.b) ** 2)),
    ("||2 X W - B - 1||^2", lambda a: np.sum((2 * a.X @ a.W - a.B - 1) ** 2)),
    ("v' (A - c I + 2 I) x", lambda a: a.v @ a.A @ a.x + (2 - a.c) * (a.v @ a.x)),
    ("v' (I + A) (V - I) x", lambda a: a.v @ (a.A + np.eye(n)) @ (a.V - np.eye(n)) @ a.x),
    ("||1 - v||^2", lambda a: np.sum((1 - a.v) ** 2)),
    ("||(x')' + v||^2", lambda a: np.sum((a.x + a.v) ** 2)),
    ("x' (2 v)", lambda a: 2 * a.x @ a.v),
    ("(x .* s)' v", lambda a: (a.x * a.s) @ a.v),
    ("(2 x' + s') v", lambda a: (2 * a.x + a.s) @ a.v),
    ("||c W||^2", lambda a: np.sum((a.c * a.W) ** 2)),
    ("||W/2||_F^2", lambda a: np.sum(a.W**2) / 4),
    ("tr(V^-1)", lambda a: np.trace(np.linalg.inv(a.V))),
    ("x' inv(V) v + det(A)", lambda a: a.x @ np.linalg.solve(a.V, a.v) + np.linalg.det(a.A)),
    ("logdet(A A') + x' v", lambda a: np.linalg.slogdet(a.A)[1] * 2 + a.x @ a.v),
    ("sum[i] chol(A A')[i, 0] x[i]", lambda a: np.linalg.cholesky(a.A @ a.A.T)[:, 0] @ a.x),
    ("sum[i in n] (i + 1) sort(v)[i]", lambda a: (i + 1) @ np.sort(a.v)),
    ("sum[k in 2] (k + 1) top(v, 2)[k]", lambda a: np.sort(a.v)[::-1][:2] @ [1, 2]),
    # norms
    ("||v|| + ||v||_2", lambda a: 2 * np.linalg.norm(a.v)),
    ("||v||_1 + ||W||_1", lambda a: abs(a.v).sum() + abs(a.W).sum()),
    ("||v||_inf + ||W||_F", lambda a: abs(a.v).max() + np.linalg.norm(a.W)),
    ("norm1(v) + norm2(W)^2", lambda a: abs(a.v).sum() + np.sum(a.W**2)),
    # functions of whole values
    ("sum[i, k] softmax(B)[i, k] (x b')[i, k]", lambda a: a.x @ soft(a.B) @ a.b),
    ("softmax(v)' x", lambda a: soft(a.v) @ a.x),
    ("softmax(v') x", lambda a: soft(a.v) @ a.x),
    ("logsoftmax(v') x", lambda a: np.log(soft(a.v)) @ a.x),
    ("sum[i] logsoftmax(X)[i, y[i]]", lambda a: np.log(soft(a.X))[i, a.y].sum()),
    ("sum[i] logsoftmax(X[i] .* w)[y[i]]", lambda a: np.log(soft(a.X * a.w))[i, a.y].sum()),
    ("logsumexp(v) + logsumexp(X)' x", lambda a: lse(a.v) + lse(a.X) @ a.x),
    ("sum[i, j] logsumexp(T3)[i, j] X[i, j]", lambda a: np.sum(lse(a.T3) * a.X)),
    ("diag(A)' v", lambda a: np.diag(a.A) @ a.v),
    ("sum[i, j] diag(v)[i, j] A[i, j]", lambda a: a.v @ np.diag(a.A)),
    ("tr(diag(v) A)", lambda a: a.v @ np.diag(a.A)),
    ("transpose(x) v + tr(transpose(A) V)", lambda a: a.x @ a.v + np.sum(a.A * a.V)),
    ("||tanh(X W + b) - 1/2||^2", lambda a: np.sum((np.tanh(a.X @ a.W + a.b) - 0.5) ** 2)),
    ("||max(x, v)||^2 + ||min(x, 0)||^2", lambda a: np.sum(np.maximum(a.x, a.v) ** 2 + np.minimum(a.x, 0) ** 2)),
    ("||max(X W, b)||^2 + max(c, 2 c)", lambda a: np.sum(np.maximum(a.X @ a.W, a.b) ** 2) + max(a.c, 2 * a.c)),
    # reductions
    ("mean[i] x[i] v[i] + mean[i, j] X[i, j]", lambda a: np.mean(a.x * a.v) + np.mean(a.X)),
    ("prod[i] s[i] + max[i] v[i] - min[i, j] X[i, j]", lambda a: a.s.prod() + a.v.max() - a.X.min()),
    ("logsumexp[i] v[i]", lambda a: lse(a.v)),
    ("sum[i, j in n] A[i, j] V[j, i]", lambda a: np.trace(a.A @ a.V)),
    ("sum[i] sum[j] X[i, j] w[j] / s[i]", lambda a: (a.X @ a.w / a.s).sum()),
    ("c sum[k in 3] (k + 1) + sum[k in d] w[k] k", lambda a: 6 * a.c + a.w @ j),
    ("x[argmax[i] v[i]] + X[argmin[i] x[i], 1]", lambda a: a.x[a.v.argmax()] + a.X[a.x.argmin(), 1]),
    ("sum[i] w[argmax[j] X[i, j]]", lambda a: a.w[a.X.argmax(1)].sum()),
    ("c sum[i where v[i] > 0] x[i]", lambda a: a.c * a.x[a.v > 0].sum()),
    ("c + count[i in n where v[i] > 0] + count[i in n]", lambda a: a.c + (a.v > 0).sum() + n),
    ("mean[i where z[i] = 1] v[i]", lambda a: a.v[a.z == 1].mean()),
    ("prod[i where z[i] = 1] s[i]", lambda a: a.s[a.z == 1].prod()),
    ("max[i where z[i] = 1] v[i] - min[i where z[i] = 1] x[i]", lambda a: a.v[a.z == 1].max() - a.x[a.z == 1].min()),
    ("logsumexp[i where z[i] = 1] v[i]", lambda a: lse(a.v[a.z == 1])),
    ("sum[i in 1..n-1] v[i] x[i - 1] + sum[i in 0..n-2] v[i + 1]", lambda a: a.v[1:] @ a.x[:-1] + a.v[1:].sum()),
    ("sum[i, j where y[i] = j] X[i, j]", lambda a: a.X[i, a.y].sum()),
    ("sum[i, j] [y[i] = j] X[i, j]", lambda a: a.X[i, a.y].sum()),
    ("sum[i] (sum[i] x[i]) v[i]", lambda a: a.x.sum() * a.v.sum()),
    # tests
    ("sum[i] [v[i] < x[i]] s[i]", lambda a: a.s[a.v < a.x].sum()),
    ("sum[i] ([v[i] >= x[i]] + 2 [x[i] > v[i]]) s[i]", lambda a: a.s[a.v >= a.x].sum() + 2 * a.s[a.x > a.v].sum()),
    ("sum[i] [z[i] <= 0] v[i] + sum[i] 3 [z[i] >= 1] v[i]", lambda a: a.v[a.z <= 0].sum() + 3 * a.v[a.z >= 1].sum()),
    ("sum[i] ([z[i] < 1] + 5 [z[i] > 0]) v[i]", lambda a: a.v[a.z < 1].sum() + 5 * a.v[a.z > 0].sum()),
    ("sum[i] ([z[i] != 1] + 7 [z[i] = 1]) v[i]", lambda a: a.v[a.z != 1].sum() + 7 * a.v[a.z == 1].sum()),
    ("sum[i] [-1 < v[i] <= 1/2 < s[i]] x[i]", lambda a: a.x[(a.v > -1) & (a.v <= 0.5) & (a.s > 0.5)].sum()),
    ("sum[i] [v[i] > 0 and x[i] > 0] s[i]", lambda a: a.s[(a.v > 0) & (a.x > 0)].sum()),
    ("sum[i] [v[i] > 0 or x[i] > 0 or z[i] = 1] s[i]", lambda a: a.s[(a.v > 0) | (a.x > 0) | (a.z == 1)].sum()),
    ("c + sum[i] [v[i] > 9 or x[i] > 9] s[i]", lambda a: a.c),
    ("sum[i] [not (v[i] > 0)] s[i]", lambda a: a.s[a.v <= 0].sum()),
    ("sum[i, j in n] [i < j] A[i, j]", lambda a: np.triu(a.A, 1).sum()),
    # definitions, in any order
    ("q' v\nq = X w + r\nr[i] = x[i] s[i]", lambda a: (a.X @ a.w + a.x * a.s) @ a.v),
    ("q v\nq = x'", lambda a: a.x @ a.v),
    ("sum[i, k] q[k, i] B[i, k]\nq[k, i] = B[i, k] b[k]", lambda a: np.sum(a.B**2 * a.b)),
    ("sum[i] w[q[i]]\nq[i] = argmin[j] X[i, j]", lambda a: a.w[a.X.argmin(1)].sum()),
    ("sum[i] s[q[i]] v[i]\nq[i] = i   for i in n", lambda a: a.s @ a.v),
    # operations on whole arrays
    ("x' solve(A, v) + b[0]", lambda a: a.x @ np.linalg.solve(a.A, a.v) + a.b[0]),
    ("sum[k in 2] (k + 1) top(v, 2)[k]", lambda a: np.sort(a.v)[::-1][:2] @ [1, 2]),
    # a definition whose axis begins above 0
    ("sum[i in 1..n-1] q[i] x[i]\nq[i] = x[i] - v[i-1]   for i in 1..n-1", lambda a: (a.x[1:] - a.v[:-1]) @ a.x[1:]),
)  # fmt: skip
REFUSED = tuple(
    tuple(part.strip() for part in line.split("  =>"))
    for line in """
x[5, 1]  =>  x is a column of n and takes 1 indices
(X w)[1, 2]  =>  this is a column
x[v]  =>  an index is a number
sum[i in n] w[i]  =>  'i' ranges over n
sum[i] w[z[i]]  =>  an index is
w[-1]  =>  outside
w[c]  =>  an index is
sum[k in 3] sum[j in 2] w[j] w[k] + sum[i in 4] x[i]  =>
sum[i] X[i, y[i]] + sum[i] v[y[i]]  =>  'y[i]' ranges over d
x v  =>  column of n times
v A  =>
A v'  =>
x * v  =>  no meaning
A * v  =>  '*' between
A * V  =>  '*' between
w' x  =>  inner dims
X X  =>  inner dims
T3 W  =>  more than two dims
W T3  =>  more than two dims
x / v  =>  division by a column
||x + w||  =>  shapes differ
||A + v||  =>  shapes differ
||V + X||  =>  shapes differ
||B + x||  =>  shapes differ
||A .* v||  =>  shapes differ
||x .* w||  =>  entrywise
||x + v + w||  =>  the sum
||X + T3||  =>  shapes differ
c + ||x||^v  =>  an exponent is a number
X^2  =>  the power of a matrix
tr(A^65)  =>  the power of a
tr(A^0)  =>  power
tr(A^(1/2))  =>  power
tr(A^c)  =>  the power of a
tr(A^T)  =>  '^T' is a power
c + 2^2000  =>  this power
c + (1/2)^2000  =>  this power
c + 2^(-2000)  =>  this power
c + (2^40)^30  =>  this power
logdet(X)  =>  logdet
inv(x)' x  =>  inv
tr(inv(A, A))  =>  inv
sum[i, j] (X^-1)[i, j]  =>
sum[k in 2] top(v, 2.5)[k]  =>  how many
sum[k in 2] top(v, v)[k]  =>  how many
sum[i] X[i]  =>  one number
sum[q] c  =>  range of index 'q'
c argmax[i, j] X[i, j]  =>  one index
tanh(c, c)  =>  takes 1 argument
max(c)  =>  takes 2 arguments
less(c, 1)  =>  less
unheard(c)  =>  unknown function
sum(x)  =>  not a call
c softmax(c)  =>  of a scalar
softmax(x, v)  =>  takes one argument
tr(X)  =>  trace of
tr(x)  =>  trace of
diag(X)' x  =>  diag of
diag(c)  =>  diag of
sum[x] A[x, x]  =>  cannot be an index
[c] x[0]  =>  test
[x > w] c  =>  comparison
sum[i in x] v[i]  =>  an index ranges over
sum[i] [v[i] ~ 1] c  =>
x  =>  one number
vector(1)' x  =>  'vector' is not supported
sum[k in 2.5] c  =>  ranges over
""".strip().splitlines()
)
# In a recurrence: definitions without cases are written out, and an index letter of the same name is none of them.
REFUSED = (
    *REFUSED,
    ("c + exp(10000000)", "leaves what float64 has"),
    ("sum[i] q[i]\nr[i] = sum[r in d] w[r[0]] q[i - 1]\nq[0] = c\nq[i] = x[i] r[i]   for i in 1..n-1", "takes 0"),
)
# Letters' own products and calls; the parameters are the vector x and the matrix A, sizes are equal.
LETTERS = (
    ("x' * A * x", lambda a: a.x @ a.A @ a.x),
    ("sum(x) + sum(A)", lambda a: a.x.sum() + a.A.sum()),
    ("norm1(x) + norm2(x)^2", lambda a: abs(a.x).sum() + a.x @ a.x),
    ("x' * vector(2)", lambda a: 2 * a.x.sum()),
    ("tr(A * matrix(3))", lambda a: 3 * a.A.sum()),
    ("x' * diag(x) * x", lambda a: (a.x**3).sum()),
)


def misread() -> str:
    """The first expression whose value or refusal is another."""
    values = _values()
    given = SimpleNamespace(**values)
    for text, truth in STATED:
        if not abs(_loss(text, values) - truth(given)) < 1e-11 * max(1, abs(truth(given))):
            return text
    for text, words in REFUSED:
        if (message := _refusal(text)) is None or words not in message:
            return text
    for text, truth in LETTERS:
        _, program = problem(Source("-e", text), "x" if "x" in text.replace("matrix", "") else "A", {})
        legality.check(program)
        dims = {size: 5 for t in program.inputs for size in t.shape}
        found = evaluate(program, {t: values[t.name] for t in program.inputs}, dims)
        if not abs(found[program.outputs["loss"]] - truth(given)) < 1e-11 * max(1, abs(truth(given))):
            return text
    return ""


def _page(text: str) -> Source:
    expression, *definitions = text.split("\n")
    return Source("lowered.symml", "\n".join([HEAD, *definitions, f"minimize {expression}"]))


def _loss(text: str, values: dict) -> float:
    _, program = pipeline.load(_page(text))
    legality.check(program)
    dims = {size: SIZES[size.name] for t in program.inputs for size in t.shape}
    return float(evaluate(program, {t: values[t.name] for t in program.inputs}, dims)[program.outputs["loss"]])


def _refusal(text: str) -> str | None:
    try:
        pipeline.load(_page(text))
    except SymmlError as refusal:
        return str(refusal)
    return None

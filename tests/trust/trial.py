"""The trial of a fault: pages prepared without it, judged with it.

trial = Trial(seeds);  trial.verdict()  ->  "" or what an oracle saw
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import mpmath
import numpy as np
import sympy
from sympy.core.cache import clear_cache
from trust import compiled, oracle
from trust.faults import Fault, tried
from trust.generator import text
from trust.lowered import misread

from symml import pipeline
from symml.errors import SymmlError
from symml.ir import check as legality
from symml.ir.evaluate import evaluate
from symml.ir.functions import FUNCTIONS, Row
from symml.ir.program import Access, Program, Statement, Tensor
from symml.loops.evaluate import evaluate as evaluate_loops
from symml.loops.schedule import schedule
from symml.proof.complex_step import BOUND, least_scale, relative
from symml.proof.expansion import check_expansion
from symml.proof.high_precision import high_precision
from symml.source import Source

# Pages that reach rules the generator seldom reaches; the number is the size of the first dim (blocks hold 64 rows).
PAGES = (
    (70, "dims n, d\ndata X[n, d], y[n] in {0, 1}\nparam w[d], b\np = sigmoid(X w + b)\n"
     "minimize -1/n sum[i] (y[i] log p[i] + (1 - y[i]) log(1 - p[i])) + 1/2 ||w||^2"),
    (70, "dims n, d, c\ndata X[n, d], y[n] in c\nparam W[d, c], b[c]\nZ = X W + b\n"
     "minimize -1/n sum[i] logsoftmax(Z[i])[y[i]]"),
    (70, "dims n\ndata X[n, 3]\nparam w[3]\nminimize sum[i] 1/(i + 1) (sum[k] X[i, k] w[k])^2"),
    (70, "dims n\ndata X[n, 2]\nparam w\nminimize sum[i] sin(w X[i, 1])/(i + 1)"),
    (5, "dims n\nparam w[n]\na[i] = exp(w[i])\nb[i] = a[i]/(2 + a[i]^2)\n"
     "minimize sum[i, j in n] sin(a[i] b[j]) + sum[i] b[i]^3 a[i]"),
    (9, "dims n, d, h = 9, c = 8\ndata X[n, d], Y[n, c]\nparam W[d, h], V[h, c]\n"
     "minimize 1/n ||tanh(X W) V - Y||_F^2 + tr(W' W)"),
    (9, "dims n, h = 9, c = 8\ndata X[n, h]\nparam V[h, c], w[n]\nM = 3 X V\n"
     "minimize sum[i, j] M[i, j]^3 + sum[i, j] sin(M[i, j] + w[i])"),
    (5, "dims n, m\ndata A[n, n], B[n, m]\nparam W[n, m], v[n]\n"
     "minimize tr(W' A W) + sum[i, j] diag(v)[i, j] (B B')[i, j] + ||diag(v) B||_F^2"),
    (5, "dims n, m\ndata A[n, n]\nparam W[n, n]\nM[i, j] = sum[k in n, l in n] A[i, k] W[k, l]^2 A[l, j]\n"
     "minimize sum[i, j] exp(M[i, j]/9)"),
    (5, "dims n, k\ndata X[n, 3]\nparam C[k, 3]\nminimize sum[i] min[q in k] ||X[i] - C[q]||^2 + max[q in k] C[q, 0]"),
    (4, "dims n, d\ndata X[n, d]\nparam w[d], v[n]\ns[i] = prod[j] (2 + sin(w[j] X[i, j]))\nminimize sum[i] log(s[i]) v[i]^2"),
    (4, "dims n\nparam w[n], u[n], v[n]\nminimize sum[i] (relu(w[i]) + |u[i]| + max(w[i], v[i]) + min(u[i], v[i]) "
     "+ [w[i] < u[i]] v[i]^3 + [w[i] <= v[i]] u[i]^3 + [w[i] = v[i]] u[i]) + max(w[0], u[0]) v[1]"),
    (4, "dims n\nparam w[n]\nminimize sum[i] (step(w[i]) w[i]^2 + sign(w[i]) w[i]^3 + tan(w[i]/2) + sinh(w[i]) + cosh(w[i]) "
     "+ arctan(w[i]) + cos(w[i]) + sqrt(2 + w[i]) + log(3 + w[i]) + log1p(w[i]^2) + expm1(w[i]) + exp(w[i]) "
     "+ softplus(w[i]))"),
    (5, "dims n, m\ndata x[m], A[n] in m\nparam w[m]\nE[i] = exp(w[i] x[i])\nP[i] = E[i] / (sum[j] E[j])\n"
     "minimize -sum[k in n] log P[A[k]]"),
    (4, "dims n\nparam w[n]\nS = sum[i] exp(w[i])\nminimize log(S) + sum[i] (exp(w[i]) / S)^2 + log(sum[i] 3 exp(2 w[i]))"),
    (4, "dims n\ndata x[n]\nparam w[n]\nE[i] = exp(w[i])\nS = 30 + sum[j] x[j] E[j]\nminimize sum[i] E[i] / S"),
    (5, "dims n\ndata x[n]\nparam w[n], u[n]\nminimize sum[i where x[i] > 0] w[i]^2 x[i] + sum[i where x[i] < 1] exp(u[i]) w[i]"),
    (5, "dims r, n, m\ndata x[r]\nparam w[n], v[m]\na[i] = exp(w[i])\nb[j] = exp(v[j])\n"
     "minimize sum[k] x[k] a[0] + sum[i, j] sin(a[i] b[j]) + sum[i] a[i]^3 + sum[j] b[j]^3 + sum[i, j] (a[i] + b[j])^2 a[i]"),
    (6, "dims n\ndata x[n]\nparam w[n], u[n]\n"
     "minimize sum[i in 1..n-1] (w[i] - x[i - 1] u[i - 1])^2 + sum[i in 0..n-2] sin(u[i + 1] w[i])"),
    (5, "dims n, m\ndata A[n] in m, B[m] in n, x[n]\nparam w[n]\nminimize sum[i] exp(w[B[A[i]]] x[i]) + w[B[A[0]]] w[B[1]]"),
)  # fmt: skip

# Nodes beside statements: scans up and down, operations on whole arrays. (No page reaches a fixed point yet.)
NODES = (
    (6, "dims T, K = 3, V = 4\ndata obs[T] in V\nparam a0[K], A[K, K], B[K, V]\npi = softmax(a0)\nP = softmax(A)\n"
     "Q = softmax(B)\nalpha[0, s] = pi[s] Q[s, obs[0]]\n"
     "alpha[t, s] = (sum[r] alpha[t-1, r] P[r, s]) Q[s, obs[t]]   for t in 1..T-1\n"
     "minimize -log sum[s] alpha[T-1, s] + 1/2 (||A||^2 + ||B||^2 + ||a0||^2)"),
    (6, "dims T\ndata x[T]\nparam a, b\nv[T-1] = b x[T-1]\nv[t] = x[t] + a tanh(v[t+1])   for t in 0..T-2\n"
     "minimize v[0]^2 + (a - 1)^2 + b^2 + sum[t] v[t]^3/9"),
    (6, "dims T, H = 3, d\ndata x[T, d], y[T]\nparam Wf[H, H], Wg[H, H], U[d, H], v[H]\n"
     "f[t] = sigmoid(Wf' h[t-1] + U' x[t])\ng[t] = tanh(Wg' h[t-1])\nc[0, k] = 1\n"
     "c[t, k] = f[t, k] c[t-1, k] + (1 - f[t, k]) g[t, k]   for t in 1..T-1, k in H\nh[0, k] = 0\n"
     "h[t, k] = tanh(c[t, k])   for t in 1..T-1, k in H\nminimize 1/T sum[t] (h[t]' v - y[t])^2"),
    (6, "dims n, d\ndata X[n, d]\nparam mu[d], L[d, d]\nS[i, j] = sum[k] L[i, k] L[j, k] + [i = j]\n"
     "minimize 1/2 logdet(S) + 1/(2 n) sum[i] (X[i] - mu)' inv(S) (X[i] - mu)"),
    (4, "dims d\ndata y[d]\nparam A[d, d]\nS[i, j] = sum[k] A[i, k] A[j, k] + 2 [i = j]\n"
     "minimize det(S) + y' S^-1 y + sum[i, j] chol(S)[i, j]^2 + tr(S^-1)"),
    (7, "dims n, k = 2\ndata y[n]\nparam x[n]\nminimize sum[i] (sort(x)[i] - i)^2 y[i]^2 + sum[i in k] top(x, k)[i]^2"),
)  # fmt: skip

EXTREME_DIGITS = 1_600  # exp(-1800) beside 1 needs 782 of them, and a difference of two such as many again
# At points where only the stable form is right: the page, and the entries of w in turn.
EXTREME = (
    ("log(sigmoid(w))", (-800.0, 800.0)),
    ("log(1 - sigmoid(w))", (-800.0, 800.0)),
    ("log(1 + exp(w))", (800.0, -800.0)),
    ("log(2 exp(w) + 3 exp(2 w))", (800.0, -900.0)),
    ("log(exp(w) + exp(2 w) + exp(-w))", (800.0, -900.0)),
    ("log(1 + w)", (1e-17, 3.0)),
    ("exp(w) / (1 + exp(w))", (800.0, -800.0)),
    ("3 exp(2 w) / (exp(2 w) + exp(w))", (800.0, -800.0)),
    ("(1 - sigmoid(w)) * exp(w)", (40.0, -2.0)),
    ("exp(w) - 1", (1e-17, 2.0)),
    ("log(exp(w) sigmoid(w) / 2)", (-800.0, 5.0)),
    ("log(exp(w) softplus(w)^2)", (800.0, 5.0)),
    ("log(2 exp(w) - exp(-w))", (1.0, 30.0)),
    ("log1p(exp(w))", (800.0, -800.0)),
    ("log1p(-sigmoid(w))", (800.0, -800.0)),
    ("log1p(2 exp(w)) + log1p(-sigmoid(w)/2) + log(2 - sigmoid(w)) + 2 - exp(w) + exp(w)/3 - 1/3", (1.5, -3.0)),
    ("log(1/(1 + exp(-w)))", (-800.0, 5.0)),
    ("softplus(w) - log(1 + exp(-w)) / 2 + sigmoid(w)", (800.0, -800.0)),
    ("-(1/3 log(sigmoid(w)) + 2/3 log(1 - sigmoid(w)))", (700.0, -700.0)),
)


# What the documentation of functions says at ties and kinks: the page of w, the point, the gradient.
KINKS = (
    ("relu(w[0]) + |w[1]| + 3 w[2]", (0.0, 0.0, 0.0), (0.0, 0.0, 3.0)),
    ("max(2 w[0], w[1]) + min(5 w[1], w[2])", (0.0, 0.0, 0.0), (2.0, 5.0, 0.0)),
    ("max[i in 3] (w[i] - 1)", (1.0, 2.0, 2.0), (0.0, 1.0, 0.0)),
    ("min[i in 3] w[i]", (1.0, 1.0, 2.0), (1.0, 0.0, 0.0)),
    ("[w[0] < w[1]] w[2] + [w[0] <= w[1]] 2 w[2] + [w[0] = w[1]] 4 w[2]", (1.0, 1.0, 2.0), (0.0, 0.0, 6.0)),
    ("step(w[0]) w[1] + sign(w[0]) w[2] + w[1]", (0.0, 1.0, 2.0), (0.0, 1.0, 0.0)),
)


@dataclass(frozen=True)
class Prepared:
    """A page, its points and the truth there, made without the fault."""

    name: str
    cases: tuple[oracle.Case, ...]
    expanded: bool = False


def _analysed(name: str, body: str) -> pipeline.Analysis:
    return pipeline.analyse(Source(name, f"model {name}\n{body}\n"))


def _at(a: pipeline.Analysis, point: tuple[float, ...], slope: tuple[float, ...] | None) -> oracle.Case:
    """A page of one parameter at a given point; the truth is given, or worked out in mpmath."""
    (w,) = a.model.over
    values = {w: np.array(point) if w.shape else np.float64(point[0])}
    entries = tuple((w, at) for at in np.ndindex(np.shape(values[w])))
    c = oracle.Case(a, values, {}, entries, np.zeros(len(entries)), 0.0)
    truth = slope or [float(oracle.central_difference(c, t, at, EXTREME_DIGITS)) for t, at in entries]
    with mpmath.workdps(EXTREME_DIGITS):
        loss = float(oracle.loss_at(values, c, EXTREME_DIGITS))
    return replace(c, truth=np.array(truth), loss=loss)


class Trial:
    """All pages of the trial; `seeds` are generated ones. A page that saw a fault of a module is asked first next time."""

    def __init__(self, seeds: range) -> None:
        self.prepared = list(_hand_written())
        self.saw: dict[str, Counter[str]] = {}
        for seed in seeds:
            try:
                a = pipeline.analyse(Source("page.symml", text(seed, short=seed % 5 > 0)))
            except SymmlError:
                continue
            self.prepared.append(Prepared(f"g{seed}", (oracle.case(a, seed),)))

    def verdict(self, module: str = "") -> str:
        """The first disagreement on what reaches the module: pages read anew where it lowers, derived anew elsewhere."""
        clear_cache()
        if module.startswith("symml.model."):
            text = misread()
            return f"numpy's statement on {text}" if text else ""
        if row := disagreeing_row():
            return f"table of functions on {row}"
        saw = self.saw.get(module, Counter())
        for p in sorted(self.prepared, key=lambda p: -saw[p.name]):
            found = seen(p)
            if found:
                return f"{found} on {p.name}"
        return ""

    def tried(self, fault: Fault) -> str:
        """What the child with the fault saw."""
        verdict = tried(fault, self.verdict)
        self.saw.setdefault(fault.module, Counter())[verdict.rsplit(" on ", 1)[-1]] += 1
        return verdict


def _hand_written() -> Iterator[Prepared]:
    for k, (rows, page) in enumerate(PAGES):
        case = oracle.case(_analysed(f"page{k}", page), k, rows=rows)
        yield Prepared(f"page{k}", (case,), expanded=rows < 6)
    for k, (rows, page) in enumerate(NODES):
        yield Prepared(f"node{k}", (oracle.case(_analysed(f"node{k}", page), k, rows=rows),))
    for k, (page, points) in enumerate(EXTREME):
        a = _analysed(f"extreme{k}", f"param w\nminimize {page}")
        yield Prepared(f"extreme{k}", tuple(_at(a, (point,), None) for point in points))
    for k, (page, point, slope) in enumerate(KINKS):
        a = _analysed(f"kink{k}", f"param w[3]\nminimize {page}")
        yield Prepared(f"kink{k}", (_at(a, point, slope),))


def seen(p: Prepared) -> str:
    """Which oracle disagrees, if any."""
    first = p.cases[0].analysis
    a = pipeline.differentiate(first.model, first.program)
    for program in (a.raw, a.forward, a.derivative):
        legality.check(program)
    for c in p.cases:
        if found := _disagreeing(replace(c, analysis=a)):
            return found
    c = replace(p.cases[0], analysis=a)
    if p.name[0] in "pg" and not relative(_exact(c), c.loss) <= BOUND:
        return "high precision"
    if p.expanded and not all(check_expansion(a.raw, a.derivative, "loss", t).ok for t in a.model.over):
        return "expansion"
    return ""


def _disagreeing(c: oracle.Case) -> str:
    """Interpreter against the truth, loops against the interpreter, printed text against the interpreter."""
    derivative = c.analysis.derivative
    with np.errstate(all="ignore"):
        env = evaluate(derivative, c.values, c.dims)
        loops = evaluate_loops(schedule(derivative), c.values, c.dims)
    named = {name: np.asarray(env[t]) for name, t in derivative.outputs.items()}
    if not relative(named["loss"], c.loss) <= BOUND:
        return "the loss"
    if not relative(oracle.gradients(named, c), c.truth, least_scale(c.truth, c.loss)) <= BOUND:
        return "complex step"
    if any(not relative(loops[name], value) <= BOUND for name, value in named.items()):
        return "loops"
    return "printed" if compiled.compare([c], compiled.plain_module) else ""


POINTS = (-1.3, -0.4, 0.0, 0.3, 0.4, 1.7)
POSITIVE = ("log", "sqrt")


def disagreeing_row() -> str:
    """The first function whose values in numpy, mpmath and sympy, or whose derivative, are not one function's."""
    for name, row in FUNCTIONS.items():
        two = name in ("max", "min", "less", "less_equal", "equal")
        points = [abs(x) + 0.1 if name in POSITIVE else max(x, -0.9) if name == "log1p" else x for x in POINTS]
        if not two and name != "step" and not np.isnan(row.numpy(np.float64("nan"))):
            return f"{name} of nan"
        for args in [(x, y) for x in points for y in points] if two else [(x,) for x in points]:
            value = float(row.numpy(*map(np.float64, args)))
            plain = (row.elementary or row.symbol)(*map(sympy.Float, args))
            others = (float(row.mpmath(*map(mpmath.mpf, args))), float(plain))
            if not all(abs(value - other) < 1e-12 for other in others):
                return name
            if len({*args, 0.0}) == len(args) + 1 and not _slopes_agree(row, args):
                return name
    return ""


def _slopes_agree(row: Row, args: tuple[float, ...]) -> bool:
    """sympy's derivative through fdiff, evaluated, against the complex step of the numpy values."""
    for k in range(len(args)):
        letters = sympy.symbols("u v", real=True)[: len(args)]
        slope = row.symbol(*letters).diff(letters[k])
        t = [Tensor(f"x{j}") for j in range(len(args))]
        body = slope.xreplace({u: Access(s, ()) for u, s in zip(letters, t, strict=True)})
        program = Program(tuple(t), (Statement(out := Tensor("y"), (), "=", "none", (), body),), {"y": out})
        found = evaluate(program, dict(zip(t, map(np.float64, args), strict=True)), {})[out]
        moved = [x + 1e-30j if j == k else complex(x) for j, x in enumerate(args)]
        if not abs(float(found) - float(np.imag(row.numpy(*map(np.complex128, moved))) / 1e-30)) < 1e-12:
            return False
    return True


def _exact(c: oracle.Case) -> float:
    raw = c.analysis.raw
    return float(mpmath.re(np.asarray(high_precision(raw, c.values, c.dims, 30)[raw.outputs["loss"]], object)[()]))

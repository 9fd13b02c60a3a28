"""Every kind of node on small pages: legal after each pass, derivatives to second order, loops and compiled code agree."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from check import analysis, check_agree, check_derivative, check_error, check_loops, page

from symml import pipeline
from symml.algorithms.philox import DRAW, fill_normal
from symml.ir.program import Iterate, Library, Scan, flat

RNN = """dims T, H, d
data x[T, d], y[T, H]
param W[H, H] init normal(0, 0.3), U[d, H] init 0, h0[H] init 0
h[0, k] = h0[k]
h[t, k] = tanh(sum[j] h[t-1, j] W[j, k] + sum[j] x[t, j] U[j, k])   for t in 1..T-1
minimize 1/T sum[t, k] (h[t, k] - y[t, k])^2
train with adam(lr = 1e-2, epochs = 25)"""
LSTM = """dims T, H = 3, d
data x[T, d], y[T]
param Wf[H, H] init 0, Wg[H, H] init 0, U[d, H] init normal(0, 1), v[H] init normal(0, 1)
f[t] = sigmoid(Wf' h[t-1] + U' x[t])
g[t] = tanh(Wg' h[t-1])
c[0, k] = 1
c[t, k] = f[t, k] c[t-1, k] + (1 - f[t, k]) g[t, k]   for t in 1..T-1, k in H
h[0, k] = 0
h[t, k] = tanh(c[t, k])   for t in 1..T-1, k in H
minimize 1/T sum[t] (h[t]' v - y[t])^2
train with adam(lr = 1e-2, epochs = 25)"""
HMM = """dims T, K = 3, V = 4
data obs[T] in V
param a0[K] init normal(0, 0.3), A[K, K] init normal(0, 0.3), B[K, V] init normal(0, 0.3)
pi = softmax(a0)
P = softmax(A)
Q = softmax(B)
alpha[0, s] = pi[s] Q[s, obs[0]]
alpha[t, s] = (sum[r] alpha[t-1, r] P[r, s]) Q[s, obs[t]]   for t in 1..T-1
minimize -log sum[s] alpha[T-1, s] + 1/2 (||A||^2 + ||B||^2 + ||a0||^2)
train with lbfgs until |grad| < 1e-8"""
BACKWARD = """dims T
data x[T]
param a init 0.5, b init 1
v[T-1] = b x[T-1]
v[t] = x[t] + a tanh(v[t+1])   for t in 0..T-2
minimize v[0]^2 + (a - 1)^2 + b^2
train with lbfgs"""
GAUSSIAN = """dims n, d
data X[n, d]
param mu[d] init 0, L[d, d] init normal(0, 0.4)
S[i, j] = sum[k] L[i, k] L[j, k] + [i = j]
minimize 1/2 logdet(S) + 1/(2 n) sum[i] (X[i] - mu)' inv(S) (X[i] - mu)
train with lbfgs until |grad| < 1e-9"""
CHOL = """dims d
data y[d]
param A[d, d] init normal(0, 0.4)
S[i, j] = sum[k] A[i, k] A[j, k] + 2 [i = j]
minimize det(S) + y' solve(S, y) + sum[i, j] chol(S)[i, j]^2 + tr(S^-1)
train with lbfgs"""
CONV = """dims n, m, K = 3
data x[n, m]
param w[K] init 1
z[i, p] = sum[k] x[i, p + k] w[k]   for p in 0..m-K
minimize sum[i in n, p in 0..m-K] (z[i, p] - 1)^2
train with lbfgs"""
SORTED = """dims n, k = 2
data y[n]
param x[n] init normal(0, 1)
minimize sum[i] (sort(x)[i] - i)^2 y[i]^2 + sum[i in k] top(x, k)[i]^2
train with adam(lr = 1e-2, epochs = 25)"""
GRAPH = """dims n, f, h = 3, c
graph G over n undirected self_loops
data X[n, f], y[n] in c, seen subset of n
param W[f, h] init normal(0, 1), V[h, c] init normal(0, 1)
a[i, j] = 1 / sqrt(|G(i)| |G(j)|)
H[i] = tanh(sum[j in G(i)] a[i, j] X[j] W)
Z[i] = mean[j in G(i)] H[j] V
minimize -1/|seen| sum[i in seen] logsoftmax(Z[i])[y[i]] + 1/10 ||W||^2
train with adam(lr = 1e-2, epochs = 25)"""
MASKED = """dims n, m, k = 2
data R[n, m], seen[n, m] in {0, 1}
param U[n, k] init normal(0, 1), V[m, k] init normal(0, 1)
minimize sum[i, j where seen[i, j] = 1] (R[i, j] - U[i]' V[j])^2 + 1/10 (||U||^2 + ||V||^2)
train with adam(lr = 1e-2, epochs = 25)"""
GUARDED = """dims n, d
data X[n, d], seen[n, d] in {0, 1}
param w[d] init 1
minimize 1/n sum[i] (max[j where seen[i, j] = 1] X[i, j] w[j]) + sum[i] (logsumexp[j where seen[i, j] = 1] w[j]) + ||w||^2
train with lbfgs"""

FIXED = """dims n
data A[n, n], y[n]
param a[n] init 0.1, b init 0.3
iterate x[i] <- tanh(a[i] + b/4 sum[j] A[i, j] x[j]) from 0 until |change| < 1e-13
z = 2 x
minimize sum[i] (z[i] - y[i])^2 + 1/10 (b^2 + ||a||^2)
train with lbfgs until |grad| < 1e-8"""
SPREAD = """dims n, c = 2
graph G over n undirected self_loops
data H[n, c], y[n] in c
param w[c] init 0
iterate Z[i, k] <- 7/10 sum[j in G(i)] Z[j, k] / sqrt(|G(i)| |G(j)|) + H[i, k] w[k] from 0 until |change| < 1e-13
minimize -1/n sum[i] logsoftmax(Z[i])[y[i]] + 1/10 ||w||^2
train with lbfgs until |grad| < 1e-9"""
NOISE = """dims n, d, S = 3
data X[n, d], y[n]
param m[d] init 0, r[d] init -1
eps[k, j] = draw(Normal(m[j], exp(r[j])))   for k in S, j in d
u[i] = draw(StandardNormal)   for i in n
minimize 1/n sum[k, i] (y[i] + u[i]/10 - sum[j] X[i, j] eps[k, j])^2 + sum[j] (exp(2 r[j]) + m[j]^2 - 2 r[j])
train with adam(lr = 1e-2, batch = 16, epochs = 8)"""
DESCENT_NOISE = NOISE.replace("(y[i] +", "(y[i] + X[0, 0] +").replace("epochs = 8", "epochs = 25")
VALUES = """dims S, A
data P[S, A, S], R[S, A], target[S]
param c[S, A] init 0
hyper gamma in (0, 1) = 0.5

solve for V: V[s] = logsumexp[a] (R[s, a] + c[s, a] + gamma/4 sum[z] P[s, a, z] V[z])
minimize sum[s] (V[s] - target[s])^2 + ||c||^2
train with lbfgs until |grad| < 1e-8"""

rng = np.random.default_rng(0)
EDGES = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [1, 4], [4, 5], [5, 2]])
PAGES = {
    "rnn": (RNN, {"x": rng.normal(size=(9, 2)), "y": rng.normal(size=(9, 3))}),
    "lstm": (LSTM, {"x": rng.normal(size=(9, 2)), "y": rng.normal(size=9)}),
    "hmm": (HMM, {"obs": rng.integers(0, 4, 30)}),
    "backward": (BACKWARD, {"x": rng.normal(size=12)}),
    "gaussian": (GAUSSIAN, {"X": rng.normal(size=(40, 3))}),
    "chol": (CHOL, {"y": rng.normal(size=3)}),
    "conv": (CONV, {"x": rng.normal(size=(6, 10))}),
    "sorted": (SORTED, {"y": rng.normal(size=7)}),
    "graph": (
        GRAPH,
        {"G": EDGES, "X": rng.normal(size=(6, 4)), "y": [0, 1, 0, 1, 0, 1], "seen": np.array([1, 0, 1, 1, 0, 1])},
    ),
    "fixed": (FIXED, {"A": rng.normal(size=(5, 5)), "y": rng.normal(size=5)}),
    "spread": (SPREAD, {"G": EDGES, "H": rng.normal(size=(6, 2)), "y": [0, 1, 0, 1, 0, 1]}),
    "noise": (NOISE, {"X": rng.normal(size=(40, 2)), "y": rng.normal(size=40)}),
    "descent_noise": (DESCENT_NOISE, {"X": rng.normal(size=(40, 2)), "y": rng.normal(size=40)}),
    "values": (VALUES, {"P": rng.uniform(size=(3, 2, 3)), "R": rng.normal(size=(3, 2)), "target": rng.normal(size=3)}),
    "masked": (MASKED, {"R": rng.normal(size=(6, 5)), "seen": rng.integers(0, 2, (6, 5))}),
    "guarded": (GUARDED, {"X": rng.normal(size=(6, 4)), "seen": np.ones((6, 4)) - np.eye(6, 4)}),
}
NODES = {
    "rnn": Scan,
    "lstm": Scan,
    "hmm": Scan,
    "backward": Scan,
    "gaussian": Library,
    "chol": Library,
    "sorted": Library,
}


@pytest.mark.parametrize("name", PAGES)
def test_derivatives(name):
    a = analysis(PAGES[name][0])
    assert name not in NODES or any(isinstance(n, NODES[name]) for n in a.forward.statements)
    check_derivative(a)
    check_loops(a.derivative, rows=20)


# Compiling takes most of the time: the ordinary run has one of each kind, `-m full` all. The examples have the others: rnn and
# hmm (recurrences), gcn (graphs), gaussian_mle (operations on matrices), appnp (fixed points).
ORDINARY = ("backward", "sorted", "noise", "guarded")


@pytest.mark.parametrize("name", [n if n in ORDINARY else pytest.param(n, marks=pytest.mark.full) for n in PAGES])
def test_targets_agree(name):
    body, data = PAGES[name]
    check_agree(page(body), data)


def test_a_recurrence_goes_step_by_step_and_its_weights_do_not():
    """Only what steps hand to each other stays in the scan; the gradient of W is one product over all steps."""
    a = analysis(RNN)
    forward, backward = [n for n in a.derivative.statements if isinstance(n, Scan)]
    assert not forward.reverse and backward.reverse
    (weights,) = [s for s in a.derivative.statements if s in tuple(flat([s])) and s.out.name == "d_W"]
    assert len(weights.reduced) == 1 and weights.reduce == "sum"
    assert "d_W" not in {s.out.name for s in backward.statements}


def test_noise_depends_on_the_seed_and_the_step_alone():
    """Two runs of one seed are the same, another seed differs, and one step's noise is not the next one's."""
    body, data = PAGES["noise"]
    runs = [pipeline.train(page(body), pipeline.Options(target="reference"), data, seed) for seed in (0, 0, 1)]
    assert np.array_equal(runs[0].x, runs[1].x) and not np.array_equal(runs[0].x, runs[2].x)
    drawn = [np.zeros(1000) for _ in range(2)]
    for step, out in enumerate(drawn):
        fill_normal(out, 0.0, 1.0, 0, DRAW, step)
    assert abs(np.corrcoef(*drawn)[0, 1]) < 0.15 and scipy.stats.kstest(drawn[0], "norm").pvalue > 1e-4


def test_no_iteration_where_none_is_written():
    assert not any(isinstance(n, Iterate) for n in analysis(RNN).derivative.statements)


WRONG = (
    ("h[t] = h[t-1] + 1 for t in 1..T-1", 4, ("circle", "x[0] = ...")),
    ("h[0] = 1\nh[t] = 2 h[t-1] for t in 2..T-1", 5, ("no case of 'h' begins at 1",)),
    ("h[0] = 1\nh[t] = 2 h[t] for t in 1..T-1", 5, ("needs itself",)),
    ("h[0] = 1\nh[0] = 2\nh[t] = 2 h[t-1] for t in 1..T-1", 5, ("defined twice",)),
    ("h[0] = 1\nh[t] = h[t-1] + h[t+1] for t in 1..T-1", 5, ("outside 0..T - 1",)),
    ("h[t] = x[t-1] for t in 0..T-1", 4, ("runs over -1..T - 2",)),
    ("h[t] = x[t] - x[t-1]", 4, ("runs over -1..T - 2", "for t in 1..T-1")),
)


@pytest.mark.parametrize("text, line, words", WRONG)
def test_wrong_recurrences(text, line, words):
    check_error(page(f"dims T\ndata x[T]\n{text}\nparam w\nminimize w sum[t] h[t]"), line, None, *words)

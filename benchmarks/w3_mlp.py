"""W3: one epoch of Adam on a network 784-256-10, batch 128, float32, one thread, against JAX, numpy and torch.

The rows are random (12,800 images' worth): time does not depend on what they show. Every contestant shuffles, gathers its
batches, and does the same 100 steps from the same start.
"""

from __future__ import annotations

import importlib.util

import numpy as np

from benchmarks.runs import training

N, D, H, C, BATCH, LR = 12_800, 784, 256, 10, 128, 1e-3
PAGE = f"""model w3
dims n, d, c, h = {H}
data X[n, d], y[n] in c
param W1[d, h] init normal(0, 1/sqrt(d)), b1[h] init 0, W2[h, c] init normal(0, 1/sqrt(h)), b2[c] init 0
H = relu(X W1 + b1)
Z = H W2 + b2
minimize -1/n sum[i] logsoftmax(Z[i])[y[i]]
train with adam(lr = {LR}, batch = {BATCH}, epochs = 1, seed = 0)
"""


def data() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Rows, labels, parameters to start from."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, D)).astype(np.float32), rng.integers(0, C, N)
    start = {
        "W1": rng.normal(size=(D, H)) / D**0.5,
        "b1": np.zeros(H),
        "W2": rng.normal(size=(H, C)) / H**0.5,
        "b2": np.zeros(C),
    }
    return X, y, {k: v.astype(np.float32) for k, v in start.items()}


def with_jax(X, y, start):
    """jit of a scan over the epoch's batches; the permutation and the gathers are in it."""
    import jax
    import jax.numpy as jnp

    def loss(p, X, y):
        Z = jax.nn.relu(X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        return -jnp.mean(jax.nn.log_softmax(Z)[jnp.arange(len(y)), y])

    def step(carry, rows):
        p, m, v, t = carry
        value, g = jax.value_and_grad(loss)(p, X[rows], y[rows])
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        scale = lambda m, v: LR * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)  # noqa: E731
        return (jax.tree.map(lambda p, m, v: p - scale(m, v), p, m, v), m, v, t), value

    X, y = jnp.asarray(X), jnp.asarray(y)

    @jax.jit
    def epoch(key, p):
        zero = jax.tree.map(jnp.zeros_like, p)
        rows = jax.random.permutation(key, N).reshape(-1, BATCH)
        (p, *_), values = jax.lax.scan(step, (p, zero, zero, 0.0), rows)
        return values.mean(), p

    p = {k: jnp.asarray(v) for k, v in start.items()}
    return lambda: (float(epoch(jax.random.key(0), p)[0]), None)


def with_numpy(X, y, start):
    """The steps as numpy statements."""

    def call():
        p = {k: v.copy() for k, v in start.items()}
        m, v = ({k: np.zeros_like(a) for k, a in p.items()} for _ in range(2))
        order, total = np.random.default_rng(0).permutation(N), 0.0
        for t, at in enumerate(range(0, N, BATCH), start=1):
            rows = order[at : at + BATCH]
            A, labels = X[rows], y[rows]
            H1 = np.maximum(A @ p["W1"] + p["b1"], 0)
            Z = H1 @ p["W2"] + p["b2"]
            Z -= Z.max(axis=1, keepdims=True)
            E = np.exp(Z)
            S = E.sum(axis=1, keepdims=True)
            total += float((np.log(S[:, 0]) - Z[np.arange(BATCH), labels]).mean())
            E /= S
            E[np.arange(BATCH), labels] -= 1
            E /= BATCH
            back = (E @ p["W2"].T) * (H1 > 0)
            g = {"W1": A.T @ back, "b1": back.sum(axis=0), "W2": H1.T @ E, "b2": E.sum(axis=0)}
            for k in p:
                m[k] = 0.9 * m[k] + np.float32(0.1) * g[k]
                v[k] = 0.999 * v[k] + np.float32(0.001) * g[k] ** 2
                p[k] -= LR * (m[k] / (1 - 0.9**t)) / (np.sqrt(v[k] / (1 - 0.999**t)) + np.float32(1e-8))
        return total / (N // BATCH), None

    return call


def with_torch(X, y, start):
    """Eager torch with its fused Adam."""
    import torch

    torch.set_num_threads(1)
    X, y = torch.from_numpy(X), torch.from_numpy(y)

    def call():
        p = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
        adam = torch.optim.Adam(p.values(), lr=LR, fused=True)
        order, total = torch.randperm(N), 0.0
        for at in range(0, N, BATCH):
            rows = order[at : at + BATCH]
            Z = torch.relu(X[rows] @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
            value = torch.nn.functional.cross_entropy(Z, y[rows])
            adam.zero_grad()
            value.backward()
            adam.step()
            total += value.item()
        return total / (N // BATCH), None

    return call


def contestants():
    """name -> call; every call returns (mean loss of the epoch, ...)."""
    X, y, start = data()
    calls = {
        "symml": training(PAGE, "float32", {"X": X, "y": y}, N // BATCH),
        "jax": with_jax(X, y, start),
        "numpy": with_numpy(X, y, start),
    }
    if importlib.util.find_spec("torch"):
        calls["torch"] = with_torch(X, y, start)
    return calls


WORKLOADS = {"W3-f32": contestants}

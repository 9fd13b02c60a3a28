"""W8: 100,000 steps of SGD on a logistic loss, d = 20, batch 32, one thread, against JAX, numpy and torch.

JAX samples its batches inside the loop, or has them sampled before; numpy and torch do 2,000 steps and are scaled.
"""

from __future__ import annotations

import importlib.util

import numpy as np

from benchmarks.runs import training

N, D, BATCH, STEPS, FEW, LR = 3_200, 20, 32, 100_000, 2_000, 0.05
PAGE = f"""model w8
dims n, d
data X[n, d], y[n] in {{0, 1}}
param w[d] init 0
z = X w
minimize 1/n sum[i] (softplus(z[i]) - y[i] z[i])
train with sgd(lr = {LR}, batch = {BATCH}, epochs = {STEPS * BATCH // N}, seed = 0)
"""


def data(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and labels."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)).astype(dtype)
    return X, (X[:, 0] + rng.normal(size=N) > 0).astype(dtype)


def with_jax(X, y, presampled: bool):
    """jit of a fori_loop over all steps."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", X.dtype == np.float64)
    X, y = jnp.asarray(X), jnp.asarray(y)

    def loss(w, X, y):
        z = X @ w
        return jnp.mean(jax.nn.softplus(z) - y * z)

    slope = jax.grad(loss)

    @jax.jit
    def run(key, rows):
        def step(k, w):
            chosen = rows[k] if presampled else jax.random.randint(jax.random.fold_in(key, k), (BATCH,), 0, N)
            return w - LR * slope(w, X[chosen], y[chosen])

        return jax.lax.fori_loop(0, STEPS, step, jnp.zeros(D, X.dtype))

    rows = jnp.asarray(np.random.default_rng(0).integers(0, N, (STEPS, BATCH)))

    def call():
        w = run(jax.random.key(0), rows).block_until_ready()
        return float(loss(w, X, y)), w

    return call


def with_numpy(X, y):
    """The steps as numpy statements."""

    def few():
        w, order = np.zeros(D, X.dtype), np.random.default_rng(0).integers(0, N, (FEW, BATCH))
        for rows in order:
            A = X[rows]
            w -= LR / BATCH * (A.T @ (1 / (1 + np.exp(-(A @ w))) - y[rows]))
        z = X @ w
        return float((np.logaddexp(0, z) - y * z).mean()), w

    return scaled(few)


def with_torch(X, y):
    """Eager torch."""
    import torch

    torch.set_num_threads(1)
    A, b = torch.from_numpy(X), torch.from_numpy(y)

    def few():
        w = torch.zeros(D, dtype=A.dtype, requires_grad=True)
        sgd = torch.optim.SGD([w], lr=LR)
        for rows in torch.randint(0, N, (FEW, BATCH)):
            value = torch.nn.functional.binary_cross_entropy_with_logits(A[rows] @ w, b[rows])
            sgd.zero_grad()
            value.backward()
            sgd.step()
        with torch.no_grad():
            return float(torch.nn.functional.binary_cross_entropy_with_logits(A @ w, b)), None

    return scaled(few)


def scaled(few):
    """A call that does few of all steps, and says how many times."""
    return lambda: (*few(), STEPS / FEW)


def contestants(dtype: str):
    """name -> call; every call returns (loss, w) and, where it was scaled, the factor."""
    X, y = data(dtype)
    calls = {
        "symml": training(PAGE, dtype, {"X": X, "y": y}, STEPS),
        "jax": with_jax(X, y, False),
        "jax presampled": with_jax(X, y, True),
        "numpy": with_numpy(X, y),
    }
    if importlib.util.find_spec("torch"):
        calls["torch"] = with_torch(X, y)
    return calls


WORKLOADS = {"W8-f32": lambda: contestants("float32"), "W8-f64": lambda: contestants("float64")}

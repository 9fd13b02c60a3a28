"""W1: logistic loss and gradient, n = 100,000, d = 100, one thread, against numpy, scikit-learn and JAX.

The page is examples/logistic_regression.symml's objective without a split; all contestants get the same arrays.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from symml import pipeline
from symml.runtime import launch
from symml.runtime.bind import bind
from symml.source import Source

PAGE = """model w1
dims n, d
data X[n, d], y[n] in {0, 1}
param w[d], b
hyper lam > 0 = 1e-2
p = sigmoid(X w + b)
minimize over w, b
  -1/n sum[i] (y[i] log p[i] + (1 - y[i]) log(1 - p[i])) + lam/2 ||w||^2
"""


def problem(dtype: str, n: int = 100_000, d: int = 100):
    """Arrays of one random problem."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(dtype)
    y = (X[:, 0] + rng.normal(size=n) > 0).astype(dtype)
    return X, y, (rng.normal(size=d + 1) * 0.1).astype(dtype)


def ours(dtype: str, X, y, x):
    """A call of the compiled value_and_grad."""
    kernel, _ = pipeline.kernel(Source("w1.symml", PAGE), pipeline.Options(dtype=dtype))
    bound = bind(kernel.manifest, {"X": X, "y": y}, Path("."), dtype)
    function = kernel.manifest["functions"]["value_and_grad"]
    data = launch.data_tuple(kernel, function, bound.arrays, bound.dims, {})
    work, g = launch.buffers(function, bound.dims), np.zeros_like(x)
    return lambda: (kernel.module.value_and_grad(x, g, data, work), g)


def with_numpy(X, y, x):
    """The natural numpy form, stable."""
    lam, n = 1e-2, len(y)

    def call():
        w, b = x[:-1], x[-1]
        z = X @ w + b
        e = np.exp(-np.abs(z))
        loss = (np.maximum(z, 0) - y * z + np.log1p(e)).mean() + lam / 2 * w @ w
        r = (np.where(z >= 0, 1, e) / (1 + e) - y) / n
        return loss, np.append(X.T @ r + lam * w, r.sum())

    return call


def with_sklearn(X, y, x):
    """scikit-learn's own loss and gradient (the one its lbfgs solver calls)."""
    from sklearn._loss import HalfBinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss

    loss = LinearModelLoss(base_loss=HalfBinomialLoss(), fit_intercept=True)
    return lambda: loss.loss_gradient(x, X, y, l2_reg_strength=1e-2, n_threads=1)


def with_jax(dtype: str, X, y, x):
    """jit(value_and_grad)."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", dtype == "float64")
    X, y, x = jnp.asarray(X), jnp.asarray(y), jnp.asarray(x)

    def loss(v, X, y):
        z = X @ v[:-1] + v[-1]
        return jnp.mean(jax.nn.softplus(z) - y * z) + 1e-2 / 2 * v[:-1] @ v[:-1]

    f = jax.jit(jax.value_and_grad(loss))
    return lambda: jax.block_until_ready(f(x, X, y))


def contestants(dtype: str):
    """name -> call; every call returns (loss, gradient)."""
    X, y, x = problem(dtype)
    return {
        "symml": ours(dtype, X, y, x),
        "numpy": with_numpy(X, y, x),
        "scikit-learn": with_sklearn(X, y, x),
        "jax": with_jax(dtype, X, y, x),
    }


WORKLOADS = {"W1-f64": lambda: contestants("float64"), "W1-f32": lambda: contestants("float32")}

"""What independent libraries say of the examples: each function takes a fit and gives one figure, which is to be small.

`gallery.toml` names these functions with their bounds; the examples own neither. A figure is a largest difference unless its
docstring says otherwise.
"""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath
import networkx as nx
import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
import statsmodels.api as statsmodels
import sympy
from hmmlearn.hmm import CategoricalHMM
from jax.flatten_util import ravel_pytree
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn import cluster, covariance, decomposition, exceptions, linear_model, neural_network, preprocessing
from sklearn import svm as support
from sympy.parsing import sympy_parser as parsing

from symml import pipeline
from symml.algorithms.philox import SHUFFLE, shuffle
from symml.api import Fit
from symml.ir.evaluate import evaluate
from symml.runtime.bind import bind

jax.config.update("jax_enable_x64", True)
EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SEEDS = 10  # of the networks whose accuracies are compared


def table(name: str) -> np.ndarray:
    """The numbers of a CSV file with a head."""
    return np.loadtxt(EXAMPLES / "data" / f"{name}.csv", delimiter=",", skiprows=1)


def standardised(X: np.ndarray, rows: object = slice(None)) -> np.ndarray:
    """Columns with the mean 0 and the deviation 1 on some rows; a constant column keeps its scale."""
    deviation = X[rows].std(axis=0)
    return (X - X[rows].mean(axis=0)) / np.where(deviation > 1e-12, deviation, 1.0)


def largest(*pairs: tuple[object, object]) -> float:
    """The largest difference within pairs of arrays."""
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)


def gradient(name: str, values: dict) -> tuple[dict, object]:
    """The derived gradient of an example at given parameters, by the interpreter, on the example's data."""
    source = pipeline.read(EXAMPLES / f"{name}.symml")
    a = pipeline.analyse(source)
    manifest = pipeline.kernel(source, pipeline.Options(target="reference"))[0].manifest
    bound = bind(manifest, {}, EXAMPLES, "float64")
    known = {**bound.arrays, **{h["name"]: h["value"] for h in manifest["hypers"]}, **values}
    inputs = {t: np.asarray(known[t.name]) for t in a.derivative.inputs}
    dims = {d: bound.dims[d.name] for t in a.derivative.tensors() for s in t.shape for d in s.free_symbols}
    env = evaluate(a.derivative, inputs, dims)
    return {t.name: env[a.derivative.outputs[f"d_{t.name}"]] for t in a.model.over}, bound


# linear models


def linear_regression(fit: Fit) -> float:
    """scikit-learn's LinearRegression: coefficients and intercept."""
    values = table("diabetes")
    peer = linear_model.LinearRegression().fit(standardised(values[:, :-1]), values[:, -1])
    return largest((fit.params["w"], peer.coef_), (fit.params["b"] / peer.intercept_, 1.0))


def ridge(fit: Fit) -> float:
    """scikit-learn's Ridge: coefficients."""
    values = table("diabetes")
    X, y = standardised(values[:, :-1]), values[:, -1]
    peer = linear_model.Ridge(alpha=0.1 * len(y), fit_intercept=False, tol=1e-12).fit(X, y - y.mean())
    return largest((fit.params["w"], peer.coef_))


LONGLEY = {  # certified, NIST Statistical Reference Datasets: Longley
    "w": [
        15.0618722713733,
        -0.0358191792925910,
        -2.02022980381683,
        -1.03322686717359,
        -0.0511041056535807,
        1829.15146461355,
    ],
    "b": -3482258.63459582,
}


def longley(fit: Fit) -> float:
    """NIST's certified coefficients, 15 digits: the largest relative difference."""
    found, truth = np.append(fit.params["w"], fit.params["b"]), np.append(LONGLEY["w"], LONGLEY["b"])
    return float(np.max(np.abs(found / truth - 1)))


def nnls(fit: Fit) -> float:
    """scipy's active-set method (Lawson, Hanson): coefficients."""
    values = table("diabetes")
    X, y = standardised(values[:, :-1]), values[:, -1]
    return largest((fit.params["w"], scipy.optimize.nnls(X, y - y.mean())[0]))


def max_entropy(fit: Fit) -> float:
    """The exponential family p_k ~ exp(-t k) whose mean is 4.5, t by bisection: probabilities."""
    faces = np.arange(1, 7)

    def tilted(t: float) -> np.ndarray:
        return np.exp(-t * faces) / np.exp(-t * faces).sum()

    best = scipy.optimize.brentq(lambda t: tilted(t) @ faces - 4.5, -5, 5, xtol=1e-14)
    return largest((fit.params["p"], tilted(best)))


def shrunk(fit: Fit, share: float) -> float:
    """scikit-learn's ElasticNet (share 1: Lasso): the relative difference of the objectives."""
    values = table("diabetes")
    X, y = standardised(values[:, :-1]), values[:, -1] - values[:, -1].mean()
    peer = linear_model.ElasticNet(alpha=5, l1_ratio=share, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y)

    def objective(w: np.ndarray) -> float:
        penalty = share * np.abs(w).sum() + (1 - share) / 2 * w @ w
        return float(((X @ w - y) ** 2).sum() / (2 * len(y)) + 5 * penalty)

    return abs(fit.loss / objective(peer.coef_) - 1) + abs(objective(fit.params["w"]) / fit.loss - 1)


def lasso(fit: Fit) -> float:
    """scikit-learn's Lasso: the objective."""
    return shrunk(fit, 1.0)


def elastic_net(fit: Fit) -> float:
    """scikit-learn's ElasticNet: the objective."""
    return shrunk(fit, 0.5)


def interactions(fit: Fit) -> float:
    """scikit-learn's Lasso on its polynomial features: the relative difference of the objectives, and of what is predicted."""
    values, w, V = table("diabetes"), fit.params["w"], fit.params["V"]
    X, y = standardised(values[:, :-1]), values[:, -1] - values[:, -1].mean()
    F = preprocessing.PolynomialFeatures(2, include_bias=False).fit_transform(X)
    F = F - F.mean(axis=0)
    peer = linear_model.Lasso(alpha=3, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(F, y)
    ours = np.concatenate([w, V[np.triu_indices(10)]])
    theirs = ((F @ peer.coef_ - y) ** 2).sum() / (2 * len(y)) + 3 * np.abs(peer.coef_).sum()
    apart = largest((F @ ours, F @ peer.coef_)) / np.abs(y).max() + np.abs(V[np.tril_indices(10, -1)]).max()
    return abs(fit.loss / theirs - 1) + apart


def rosenbrock(fit: Fit) -> float:
    """The least point of the valley is (1, 1)."""
    return max(abs(fit.params["x"] - 1), abs(fit.params["y"] - 1))


def adam(fit: Fit) -> float:
    """Algorithm 1 of Kingma and Ba (2015) in numpy, 100 steps on all rows: parameters."""
    values = table("breast_cancer")
    X, y, x = np.column_stack([standardised(values[:, :-1]), np.ones(len(values))]), values[:, -1], np.zeros(31)
    m, v, shrunk_ones = np.zeros(31), np.zeros(31), np.append(np.ones(30), 0.0)
    for t in range(1, 101):
        g = X.T @ (scipy.special.expit(X @ x) - y) / len(y) + 1e-2 * shrunk_ones * x
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = x - 0.05 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return largest(([*fit.params["w"], fit.params["b"]], x))


def weight_decay(fit: Fit) -> float:
    """Algorithm 2 of Loshchilov and Hutter (2019) in numpy, 100 steps on all rows, lr from 0.1 to 0.01: parameters."""
    values = table("breast_cancer")
    X, y, x = np.column_stack([standardised(values[:, :-1]), np.ones(len(values))]), values[:, -1], np.zeros(31)
    m, v = np.zeros(31), np.zeros(31)
    for t in range(1, 101):
        lr = 0.1 + (0.01 - 0.1) * (t - 1) / 100
        g = X.T @ (scipy.special.expit(X @ x) - y) / len(y)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = x - lr * ((m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8) + 0.1 * x)
    return largest(([*fit.params["w"], fit.params["b"]], x))


def mnist(fit: Fit) -> float:
    """Heavy-ball momentum (Polyak 1964; Sutskever et al. 2013, eq. 1) in numpy, 1,000 steps along the batches of the run,
    lr from 0.1 to 0.001 along half a cosine: parameters."""
    X, y, rows = images(fit)
    wanted, order = np.eye(10)[y], np.zeros(len(rows), np.int64)
    W, b, v, c = np.zeros((784, 10)), np.zeros(10), np.zeros((784, 10)), np.zeros(10)
    for t in range(1000):
        if t % 25 == 0:
            shuffle(order, 0, SHUFFLE, t // 25)
        chosen = rows[order[48 * (t % 25) :][:48]]
        lr = 0.001 + 0.5 * (0.1 - 0.001) * (1 + np.cos(np.pi * t / 1000))
        wrong = (scipy.special.softmax(X[chosen] @ W + b, axis=1) - wanted[chosen]) / len(chosen)
        v, c = 0.9 * v + X[chosen].T @ wrong, 0.9 * c + wrong.sum(axis=0)
        W, b = W - lr * v, b - lr * c
    return largest((fit.params["W"], W), (fit.params["b"], b))


def mnist_accuracy(fit: Fit) -> float:
    """scikit-learn's LogisticRegression of the training rows: how many standard errors it reads the test rows better."""
    X, y, rows = images(fit)
    test = fit._result.bound.parts["test"]
    theirs = linear_model.LogisticRegression(max_iter=200).fit(X[rows], y[rows]).score(X[test], y[test])
    ours = float(np.mean(np.argmax(X[test] @ fit.params["W"] + fit.params["b"], axis=1) == y[test]))
    return (theirs - ours) / math.sqrt(theirs * (1 - theirs) / len(test))


def images(fit: Fit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels in 0..1, digits, and the rows that a fit of `mnist` was trained on."""
    with np.load(EXAMPLES / "data" / "mnist.npz") as data:
        return data["X"] / 255, data["y"].astype(int), fit._result.bound.parts["train"]


def newton(fit: Fit) -> float:
    """statsmodels' Poisson regression: coefficients and intercept."""
    values = table("diabetes")
    X = np.column_stack([standardised(values[:, :-1]), np.ones(len(values))])
    peer = statsmodels.GLM(values[:, -1], X, family=statsmodels.families.Poisson()).fit(tol=1e-14, maxiter=100)
    return largest(([*fit.params["w"], fit.params["b"]], peer.params))


def implicit(fit: Fit) -> float:
    """mpmath: Kepler's equation at our eccentricity by its root, and the eccentricity in closed form."""
    e = mpmath.mpf(float(fit.params["e"]))
    root = mpmath.findroot(lambda E: E - e * mpmath.sin(E) - 1, 1.4)
    return float(max(abs(root - fit.report["anomaly"]), abs(e - mpmath.mpf("0.5") / mpmath.sin(mpmath.mpf("1.5")))))


def taylor(fit: Fit) -> float:
    """mpmath: the terms of the series of order 0 to 5 about our place and about another, as printed, by mpmath's own."""
    source = pipeline.read(EXAMPLES / "taylor.symml")
    rows = pipeline.derivations(source, False, None, "matrix", {}, product="taylor", argument="5")
    terms = [_read(row["text"].split(" = ")[1]) for row in rows]
    step, worst = mpmath.mpf("0.3"), abs(float(fit.params["x"]) - 1)
    for place in (float(fit.params["x"]), 1.7):
        truth = mpmath.taylor(lambda x: (1 - mpmath.exp(1 - x)) ** 2, place, 5)
        for k, term in enumerate(terms):
            found = term.subs({"x": place, "v": 0.3}).evalf(30)
            worst = max(worst, abs(float(found - truth[k] * step**k)))
    return worst


def total(fit: Fit) -> float:
    """mpmath: the total derivative as printed, at three times, and the root of it that is the warmest time."""
    source = pipeline.read(EXAMPLES / "total.symml")
    rows = pipeline.derivations(source, False, None, "matrix", {}, product="total", argument="T")
    printed = _read(rows[-1]["text"].split(" = ")[1])

    def warmth(t: mpmath.mpf) -> mpmath.mpf:
        x, y = 2 * mpmath.cos(t), mpmath.sin(t)
        return 20 - (x - 1) ** 2 - 3 * y**2 + x * y + t / 4

    pairs = [(printed.subs({"t": t}).evalf(30), mpmath.diff(warmth, t)) for t in (0.3, 1.1, 2.5)]
    root = mpmath.findroot(lambda t: mpmath.diff(warmth, t), 0.5)
    return max(*(abs(float(a - b)) for a, b in pairs), abs(float(root - float(fit.params["t"]))))


def _read(text: str) -> sympy.Expr:
    """A printed formula of numbers as sympy reads it."""
    powers = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹−", "0123456789-")
    typed = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: "**" + m[0].translate(powers), text).translate(powers)
    rules = (*parsing.standard_transformations, parsing.implicit_multiplication, parsing.rationalize)
    return parsing.parse_expr(typed, transformations=rules)


def gauss_newton(fit: Fit) -> float:
    """scipy's curve_fit from a start of its own: parameters, relative."""
    income, food = table("engel").T

    def slopes(x: np.ndarray, a: float, b: float) -> np.ndarray:
        return np.column_stack([x**b, a * x**b * np.log(x)])

    close = {"jac": slopes, "ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
    truth, _ = scipy.optimize.curve_fit(lambda x, a, b: a * x**b, income, food, p0=[2, 0.7], **close)
    return float(np.abs(np.array([fit.params["a"], fit.params["b"]]) / truth - 1).max())


def filament(fit: Fit) -> float:
    """NIST's certified parameters of DanWood, 11 digits: the largest relative difference."""
    return max(abs(fit.params["c"] / 0.76886226176 - 1), abs(fit.params["k"] / 3.8604055871 - 1))


def graphical_lasso(fit: Fit) -> float:
    """scikit-learn's graphical lasso by coordinate descent: the precision matrix, entry by entry."""
    X = standardised(table("wine")[:, :5])
    _, theirs = covariance.graphical_lasso(X.T @ X / len(X), 0.2, tol=1e-12, enet_tol=1e-12, max_iter=2000)
    return largest((fit.params["P"], theirs))


def group_lasso(fit: Fit) -> float:
    """The conditions of an optimum, group by group: slope + lam w/|w| = 0 where w is not 0, |slope| <= lam where it is."""
    values, W = table("diabetes"), fit.params["W"]
    X, y = standardised(values[:, :-1]), values[:, -1] - values[:, -1].mean()
    rest = X @ W[:, 0] + (X**2 - 1) @ W[:, 1] - y
    slopes = np.column_stack([X.T @ rest, (X**2 - 1).T @ rest]) / len(y)
    sizes = np.linalg.norm(W, axis=1)
    kept, left = slopes[sizes > 0] + 5 * (W / sizes.clip(1e-300)[:, None])[sizes > 0], slopes[sizes == 0]
    return max(float(np.abs(kept).max(initial=0)), float((np.linalg.norm(left, axis=1) - 5).max(initial=0)))


def portfolio(fit: Fit) -> float:
    """scipy's sequential quadratic programming: the parts."""
    R = table("growth")
    mean, covariance = R.mean(axis=0), np.cov(R.T, ddof=0)
    peer = scipy.optimize.minimize(
        lambda p: p @ covariance @ p,
        np.full(len(mean), 1 / len(mean)),
        jac=lambda p: 2 * covariance @ p,
        bounds=[(0, None)] * len(mean),
        constraints=[{"type": "eq", "fun": lambda p: p.sum() - 1}, {"type": "ineq", "fun": lambda p: p @ mean - 0.12}],
        options={"ftol": 1e-16, "maxiter": 1000},
    )
    return largest((fit.params["p"], peer.x))


def curve_fit(fit: Fit) -> float:
    """scipy's curve_fit from a start of its own: parameters, relative."""
    years, ppm = table("co2").T
    t = years - years.mean()

    def curve(t: np.ndarray, base: float, rise: float, rate: float, season: float, phase: float) -> np.ndarray:
        return base + rise * np.exp(rate * t) + season * np.sin(2 * np.pi * t + phase)

    truth, _ = scipy.optimize.curve_fit(curve, t, ppm, p0=[250, 90, 0.01, 2, 0.5], ftol=1e-15, xtol=1e-15, gtol=1e-15)
    names = ("base", "rise", "rate", "season", "phase")
    return largest(([fit.params[k] for k in names] / truth, 1.0))


def tumours() -> tuple[np.ndarray, np.ndarray, support.SVC]:
    """Standardised measurements, classes as -1 and 1, and libsvm's street between them."""
    values = table("breast_cancer")
    X, side = standardised(values[:, :-1]), 2 * values[:, -1] - 1
    return X, side, support.SVC(C=1e-2, kernel="linear", tol=1e-10).fit(X, side)


def svm(fit: Fit) -> float:
    """libsvm's w and b, by the primal objective: the relative difference, and of ours evaluated here."""
    X, side, peer = tumours()

    def objective(w: np.ndarray, b: float) -> float:
        return float(w @ w / 2 + 1e-2 * np.maximum(0, 1 - side * (X @ w + b)).sum())

    theirs, ours = objective(peer.coef_[0], peer.intercept_[0]), objective(fit.params["w"], fit.params["b"])
    return abs(fit.loss / theirs - 1) + abs(ours / fit.loss - 1)


def svm_dual(fit: Fit) -> float:
    """libsvm's multipliers, by the dual objective: the relative difference; and what ours break of the constraints."""
    X, side, peer = tumours()
    theirs, a = np.zeros(len(side)), fit.params["a"]
    theirs[peer.support_] = np.abs(peer.dual_coef_[0])

    def objective(a: np.ndarray) -> float:
        return float(a.sum() - ((X.T @ (a * side)) ** 2).sum() / 2)

    broken = max(abs(float(a @ side)), float((-a).max()), float((a - 1e-2).max()), 0.0)
    return abs(objective(a) / objective(theirs) - 1) + broken


def gradient_descent(fit: Fit) -> float:
    """The rate that the eigenvalues h of the Hessian predict: of each direction (1 - lr h) is left in a step.

    The largest relative difference of what a step leaves of the objective above its least value, over 50 steps.
    """
    values, lr = table("diabetes"), 0.24
    X, y = standardised(values[:, :-1]), values[:, -1] - values[:, -1].mean()
    h, V = np.linalg.eigh(X.T @ X / len(y) + 0.1 * np.eye(X.shape[1]))
    assert lr <= 1 / h[-1]  # the step that L allows
    best = V @ ((V.T @ X.T @ y / len(y)) / h)
    least = ((X @ best - y) ** 2).sum() / (2 * len(y)) + 0.05 * best @ best
    left = [0.5 * h @ ((V.T @ best) * (1 - lr * h) ** k) ** 2 for k in range(51)]
    measured = np.array(fit.history[:51]) - least
    return float(np.max(np.abs((measured[1:] / measured[:-1]) / (np.array(left[1:]) / left[:-1]) - 1)))


def pca(fit: Fit) -> float:
    """scikit-learn's PCA: the largest sine of an angle between the two planes."""
    X = table("digits")[:, :64]
    peer = decomposition.PCA(2, svd_solver="full").fit(X).components_.T
    W = fit.params["W"]
    return float(np.linalg.norm(W - peer @ (peer.T @ W), 2))


def logistic_regression(fit: Fit) -> float:
    """scikit-learn's LogisticRegression: coefficients and intercept."""
    values, rows = table("breast_cancer"), fit._result.bound.parts["train"]
    X, y = standardised(values[:, :-1], rows)[rows], values[rows, -1]
    peer = linear_model.LogisticRegression(
        C=1 / (1e-2 * len(rows)), tol=1e-12, max_iter=10000, solver="newton-cholesky"
    ).fit(X, y)
    return largest((fit.params["w"], peer.coef_[0]), (fit.params["b"], peer.intercept_[0]))


def softmax_regression(fit: Fit) -> float:
    """scikit-learn's LogisticRegression of ten classes: coefficients."""
    values, rows = table("digits"), fit._result.bound.parts["train"]
    X, y = standardised(values[:, :-1], rows)[rows], values[rows, -1]
    peer = linear_model.LogisticRegression(
        C=1 / (1e-3 * len(rows)), fit_intercept=False, tol=1e-12, max_iter=10000, solver="newton-cholesky"
    ).fit(X, y)
    return largest((fit.params["W"], peer.coef_.T))


def trimmed_regression(fit: Fit) -> float:
    """LAPACK's least squares of the rows that were kept: coefficients."""
    values = table("diabetes")
    X = np.column_stack([standardised(values[:, :-1]), np.ones(len(values))])
    ours = np.array([*fit.params["w"], fit.params["b"]])
    kept = np.argsort((values[:, -1] - X @ ours) ** 2)[:300]
    return largest((ours, np.linalg.lstsq(X[kept], values[kept, -1], rcond=None)[0]))


def conv1d(fit: Fit) -> float:
    """LAPACK's solution of the normal equations of windows: the filter."""
    x = standardised(table("nile"))
    A = np.column_stack([np.array([x[t : t + 10] for t in range(90)]), np.ones(90)])
    truth = np.linalg.solve(A.T @ A / 90 + np.diag([1e-2] * 10 + [0]), A.T @ x[10:] / 90)
    return largest(([*fit.params["w"], fit.params["b"]], truth))


# networks and recurrences


def mlp_gradients(fit: Fit) -> float:
    """JAX: the gradients of the network on the digits at random parameters."""
    rng, shapes = np.random.default_rng(0), {k: np.shape(v) for k, v in fit.params.items()}
    p = {k: rng.normal(size=s) * 0.2 for k, s in shapes.items()}
    ours, bound = gradient("mlp", p)
    X, y = jnp.asarray(bound.arrays["X"]), bound.arrays["y"]

    def loss(p: dict) -> jax.Array:
        z = jnp.tanh(X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        return -jax.nn.log_softmax(z)[jnp.arange(len(y)), y].mean()

    truth = jax.grad(loss)(p)
    return largest(*((ours[k], truth[k]) for k in p))


def mlp_sharpness(fit: Fit) -> float:
    """JAX's products with the Hessian in scipy's eigsh: the largest eigenvalue at the fit, relative."""
    found, arrays = pipeline.sharpness(fit._result, "reference"), fit._result.bound.arrays
    rows = fit._result.bound.parts["train"]
    X, y, p = jnp.asarray(arrays["X"][rows]), arrays["y"][rows], {k: jnp.asarray(v) for k, v in fit.params.items()}
    flat, unflat = ravel_pytree(p)

    def loss(x: jax.Array) -> jax.Array:
        p = unflat(x)
        z = jnp.tanh(X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        return -jax.nn.log_softmax(z)[jnp.arange(len(y)), y].mean()

    times = jax.jit(lambda v: jax.jvp(jax.grad(loss), (flat,), (v,))[1])
    operator = LinearOperator((flat.size, flat.size), matvec=lambda v: np.asarray(times(v)), dtype=float)
    (truth,) = eigsh(operator, k=1, which="LA", tol=1e-10, return_eigenvectors=False)
    return abs(found.largest / truth - 1)


def mlp_accuracy(fit: Fit) -> float:
    """scikit-learn's MLPClassifier on the same split: by how many standard errors its mean accuracy is above ours."""
    values, ours, theirs = table("digits"), [], []
    for seed in range(SEEDS):
        again = pipeline.train(pipeline.read(EXAMPLES / "mlp.symml"), pipeline.Options(), {}, seed)
        ours.append(again.report["accuracy"])
        parts = again.bound.parts
        X, y = standardised(values[:, :-1], parts["train"]), values[:, -1]
        peer = neural_network.MLPClassifier(
            64,
            activation="tanh",
            batch_size=128,
            learning_rate_init=1e-2,
            max_iter=30,
            alpha=0,
            n_iter_no_change=100,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
            peer.fit(X[parts["train"]], y[parts["train"]])
        theirs.append(peer.score(X[parts["test"]], y[parts["test"]]))
    error = np.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / SEEDS)
    return float((np.mean(theirs) - np.mean(ours)) / error)


def rnn(fit: Fit) -> float:
    """JAX: the gradients through time at random parameters."""
    rng = np.random.default_rng(0)
    p = {k: rng.normal(size=np.shape(v)) * (0.3 if k == "W" else 1.0) for k, v in fit.params.items()}
    ours, bound = gradient("rnn", p)
    x = jnp.asarray(bound.arrays["x"])

    def loss(p: dict) -> jax.Array:
        def step(s: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            s = jnp.tanh(s @ p["W"] + p["u"] * x + p["b"])
            return s, s @ p["v"] + p["c"]

        _, y = jax.lax.scan(step, jnp.zeros(8), x)
        return jnp.mean((y[:-1] - x[1:]) ** 2)

    truth = jax.grad(loss)(p)
    return largest(*((ours[k], truth[k]) for k in p))


def hmm(fit: Fit) -> float:
    """hmmlearn's log-likelihood at our parameters, relative."""
    return abs(-fit.loss / hidden_phases(fit).score(observed()) - 1)


def observed() -> np.ndarray:
    """The sunspot classes as hmmlearn wants them."""
    return table("sunspots")[:, 1].astype(int).reshape(-1, 1)


def hidden_phases(fit: Fit) -> CategoricalHMM:
    """hmmlearn's model with the parameters of the fit."""
    p = {k: scipy.special.softmax(v, axis=-1) for k, v in fit.params.items()}
    peer = CategoricalHMM(3, n_features=4)
    peer.startprob_, peer.transmat_, peer.emissionprob_ = p["a"], p["A"], p["B"]
    return peer


# distributions, factors, clusters


def wines() -> np.ndarray:
    """The measurements of the wines, standardised."""
    return standardised(table("wine")[:, :13])


def gaussian_mle(fit: Fit) -> float:
    """numpy's mean and covariance, and scipy's log-density summed (relative)."""
    X, p = wines(), fit.params
    mean, covariance = X.mean(axis=0), np.cov(X.T, ddof=0)
    peer = scipy.stats.multivariate_normal(mean, covariance).logpdf(X).sum()
    return largest((p["mu"], mean), (p["L"] @ p["L"].T, covariance), (fit.report["log_likelihood"] / peer, 1.0))


def exact_posterior() -> tuple[np.ndarray, np.ndarray]:
    """Mean and precision of the normal posterior of regression weights, by LAPACK."""
    values = standardised(table("diabetes"))
    X, y = values[:, :-1], values[:, -1]
    precision = X.T @ X / 0.49 + np.eye(10)
    return np.linalg.solve(precision, X.T @ y / 0.49), precision


def variational(fit: Fit) -> float:
    """The exact posterior: how many of its standard deviations our mean is away."""
    mean, precision = exact_posterior()
    return largest(((fit.params["m"] - mean) / np.sqrt(np.diag(np.linalg.inv(precision))), 0.0))


def matrix_factorisation(fit: Fit) -> float:
    """LAPACK: each row of one factor is the ridge solution for the other."""
    with np.load(EXAMPLES / "data" / "digits_missing.npz") as data:
        R, seen = data["R"], data["seen"] == 1
    U, V = fit.params["U"], fit.params["V"]

    def best(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.linalg.solve(rows.T @ rows + 0.1 * np.eye(8), rows.T @ values)

    users = np.array([best(R[i, seen[i]], V[seen[i]]) for i in range(len(U))])
    return largest((U, users), (V, [best(R[seen[:, j], j], U[seen[:, j]]) for j in range(len(V))]))


def pixels() -> np.ndarray:
    """The colours of the photograph."""
    return np.load(EXAMPLES / "data" / "photo_pixels.npy")


def k_means(fit: Fit) -> float:
    """scikit-learn's KMeans begun at our centres: by which part of its inertia ours is above it."""
    peer = cluster.KMeans(16, init=fit.params["C"], n_init=1, tol=0, max_iter=1000).fit(pixels())
    return fit.report["inertia"] / peer.inertia_ - 1


# graphs


def propagation() -> np.ndarray:
    """D^-1/2 (A + I) D^-1/2 of the karate club, by networkx."""
    A = nx.to_numpy_array(nx.karate_club_graph(), weight=None) + np.eye(34)
    d = A.sum(axis=1)
    return A / np.sqrt(np.outer(d, d))


def cross_entropy(Z: jax.Array, bound: object) -> jax.Array:
    """Of the labelled members."""
    seen = bound.arrays["labelled"]
    return -(seen * jax.nn.log_softmax(Z)[jnp.arange(34), bound.arrays["y"]]).sum() / seen.sum()


def gcn(fit: Fit) -> float:
    """JAX with networkx's matrix of the graph: the gradients at random parameters."""
    rng = np.random.default_rng(1)
    p = {k: rng.normal(size=np.shape(v)) for k, v in fit.params.items()}
    ours, bound = gradient("gcn", p)
    S, X = propagation(), bound.arrays["X"]
    truth = jax.grad(lambda p: cross_entropy(S @ jax.nn.relu(S @ X @ p["W1"]) @ p["W2"], bound))(p)
    return largest(*((ours[k], truth[k]) for k in p))


def appnp(fit: Fit) -> float:
    """JAX through the linear system whose solution is the fixed point, Z = alpha (I - (1 - alpha) S)^-1 X W."""
    W = np.random.default_rng(2).normal(size=np.shape(fit.params["W"]))
    ours, bound = gradient("appnp", {"W": W})
    return largest((ours["W"], solved_gradient(bound)(jnp.asarray(W))))


def solved_gradient(bound: object) -> object:
    """JAX's gradient of appnp's objective as a function of W."""
    system = np.eye(34) - 0.9 * propagation()

    def loss(W: jax.Array) -> jax.Array:
        return cross_entropy(0.1 * jnp.linalg.solve(system, bound.arrays["X"] @ W), bound) + 1e-3 / 2 * (W**2).sum()

    return jax.grad(loss)


# systems: what an analysis found, as facts


def lotka_volterra(facts: dict) -> float:
    """numpy's eigenvalues of the Jacobian written by hand, at the fixed points 0 and (d/c, a/b)."""
    a, b, c, d = 2 / 3, 4 / 3, 1.0, 1.0
    worst = []
    for (x, y), found in zip([(0.0, 0.0), (d / c, a / b)], facts["fixed_points"], strict=True):
        truth = np.sort_complex(np.linalg.eigvals(np.array([[a - b * y, -b * x], [c * y, c * x - d]])))
        ours = np.sort_complex(np.array([complex(*v) for v in found["eigenvalues"]]))
        worst += [(found["at"], (x, y)), (ours.real, truth.real), (ours.imag, truth.imag)]
    return largest(*worst)


def logistic_map(facts: dict) -> float:
    """Closed form: 0 and 1 - 1/r exchange their stability at r = 1, the second doubles its period at r = 3."""
    found = [(b["at"], b["state"][0]) for b in facts["bifurcations"]]
    return largest((found, [(1.0, 0.0), (3.0, 2 / 3)])) if len(found) == 2 else math.inf

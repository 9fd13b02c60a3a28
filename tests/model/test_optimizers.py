"""The optimiser and schedule pages against numpy statements of each source's update: whole trajectories of 1,000 steps.

Batches are real ones (16 of 40 rows, the last of 8), so every step has another gradient.
"""

from __future__ import annotations

import contextlib
import functools
import math

import numpy as np
import pytest
from check import EXAMPLES, page, standalone

from symml import pipeline
from symml.assemble.plan import plan
from symml.errors import SpecError, SymmlErrors, UnsupportedError
from symml.model import library
from symml.runtime import drive, launch
from symml.runtime.bind import bind

RNG = np.random.default_rng(4)
N, BATCH, EPOCHS = 40, 16, 334
IN_EPOCH = -(-N // BATCH)
STEPS = EPOCHS * IN_EPOCH  # 1,002
X = RNG.normal(size=(N, 3))
Y = X @ [1.0, -2, 0.5] + 0.1 * RNG.normal(size=N)
BODY = "dims n, d\ndata X[n, d], y[n]\nparam w[d] init 0.3\nminimize 1/n ||X w - y||^2\ntrain with "


# Each update as its source states it: a generator that is sent the gradient at theta and gives the next theta.


def sgd(theta, lr):
    while True:
        g = yield theta
        theta = theta - lr() * g


def momentum(theta, lr, mu):
    """Polyak's heavy ball: theta_{k+1} = theta_k - lr g_k + mu (theta_k - theta_{k-1})."""
    before = theta
    while True:
        g = yield theta
        theta, before = theta - lr() * g + mu * (theta - before), theta


def nesterov(ahead, lr, mu):
    """Sutskever et al., eq. 3-4, with the paper's own theta; the gradient is taken at theta + mu v, which is shown."""
    theta, v = ahead.copy(), np.zeros_like(ahead)
    while True:
        g = yield theta + mu * v
        v = mu * v - lr() * g
        theta = theta + v


def adagrad(theta, lr, eps):
    squares = np.zeros_like(theta)
    while True:
        g = yield theta
        squares = squares + g * g
        theta = theta - lr() * g / (np.sqrt(squares) + eps)


def rmsprop(theta, lr, rho, eps):
    mean_square = np.zeros_like(theta)
    while True:
        g = yield theta
        mean_square = rho * mean_square + (1 - rho) * g * g
        theta = theta - lr() * g / (np.sqrt(mean_square) + eps)


def adam(theta, lr, beta1, beta2, eps, decay=0.0):
    """Kingma & Ba, algorithm 1; with `decay` Loshchilov & Hutter, algorithm 2, their lambda being lr decay."""
    m, v, t = np.zeros_like(theta), np.zeros_like(theta), 0
    while True:
        g = yield theta
        t, rate = t + 1, lr()
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        theta = theta - rate * m_hat / (np.sqrt(v_hat) + eps) - rate * decay * theta


def adadelta(theta, lr, rho, eps):
    """Zeiler, algorithm 1, with his RMS[x] = sqrt(E[x^2] + eps)."""
    squares, moves = np.zeros_like(theta), np.zeros_like(theta)
    while True:
        g = yield theta
        squares = rho * squares + (1 - rho) * g**2
        move = -np.sqrt(moves + eps) / np.sqrt(squares + eps) * g
        moves = rho * moves + (1 - rho) * move**2
        theta = theta + lr() * move


def amsgrad(theta, lr, beta1, beta2, eps):
    """Reddi, Kale & Kumar, algorithm 2: no correction of the means."""
    m, v, top = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    while True:
        g = yield theta
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        top = np.maximum(top, v)
        theta = theta - lr() * m / (np.sqrt(top) + eps)


def nadam(theta, lr, beta1, beta2, eps, psi):
    """Dozat, algorithm 8, with mu_t = beta1 (1 - 0.96^(t psi)/2)."""
    m, v, steps = np.zeros_like(theta), np.zeros_like(theta), []

    def mu(t):
        return beta1 * (1 - 0.5 * 0.96 ** (t * psi))

    while True:
        g = yield theta
        t = len(steps) + 1
        steps.append(mu(t))
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        done = math.prod(steps)
        m_hat = mu(t + 1) * m / (1 - done * mu(t + 1)) + (1 - mu(t)) * g / (1 - done)
        theta = theta - lr() * m_hat / (np.sqrt(v / (1 - beta2**t)) + eps)


def radam(theta, lr, beta1, beta2, eps):
    """Liu et al., algorithm 2."""
    m, v, t, most = np.zeros_like(theta), np.zeros_like(theta), 0, 2 / (1 - beta2) - 1
    while True:
        g = yield theta
        t += 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, rho = m / (1 - beta1**t), most - 2 * t * beta2**t / (1 - beta2**t)
        if rho > 4:
            r = math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
            theta = theta - lr() * r * m_hat / (np.sqrt(v / (1 - beta2**t)) + eps)
        else:
            theta = theta - lr() * m_hat


def adamax(theta, lr, beta1, beta2, eps):
    """Kingma & Ba, algorithm 2."""
    m, u, t = np.zeros_like(theta), np.zeros_like(theta), 0
    while True:
        g = yield theta
        t += 1
        m = beta1 * m + (1 - beta1) * g
        u = np.maximum(beta2 * u, np.abs(g) + eps)
        theta = theta - lr() / (1 - beta1**t) * m / u


def lion(theta, lr, beta1, beta2, decay):
    """Chen et al., algorithm 2."""
    m = np.zeros_like(theta)
    while True:
        g = yield theta
        c = beta1 * m + (1 - beta1) * g
        assert np.abs(c).min() > 1e-12, "a sign is rounding"
        theta = theta - lr() * (np.sign(c) + decay * theta)
        m = beta2 * m + (1 - beta2) * g


def rprop(theta, lr, up, down, least, most):
    """Igel & Huesken, figure 4 (iRprop-)."""
    before, size = np.zeros_like(theta), np.full_like(theta, lr())
    while True:
        g = (yield theta).copy()
        assert np.abs(g).min() > 1e-12, "a sign is rounding"
        for k in range(len(theta)):
            if before[k] * g[k] > 0:
                size[k] = min(size[k] * up, most)
            elif before[k] * g[k] < 0:
                size[k] = max(size[k] * down, least)
                g[k] = 0.0
        before = g
        theta = theta - np.sign(g) * size


def asgd(theta, lr, decay, power):
    """The iterates of Xu, section 2.2; their mean is tested apart."""
    t = 0
    while True:
        g = yield theta
        theta = theta - lr() * (1 + decay * lr() * t) ** -power * g
        t += 1


def lamb(theta, lr, beta1, beta2, eps, decay):
    """You et al., algorithm 2, for one layer."""
    m, v, t = np.zeros_like(theta), np.zeros_like(theta), 0
    while True:
        g = yield theta
        t += 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        u = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps) + decay * theta
        size, length = np.linalg.norm(theta), np.linalg.norm(u)
        theta = theta - lr() * (size / length if size > 0 and length > 0 else 1.0) * u


UPDATES = {
    "sgd": (sgd, {"lr": 0.03}),
    "momentum": (momentum, {"lr": 0.01, "mu": 0.8}),
    "nesterov": (nesterov, {"lr": 0.01, "mu": 0.9}),
    "adagrad": (adagrad, {"lr": 0.2, "eps": 1e-8}),
    "rmsprop": (rmsprop, {"lr": 0.002, "rho": 0.95, "eps": 1e-6}),
    "adam": (adam, {"lr": 0.01, "beta1": 0.85, "beta2": 0.99, "eps": 1e-8}),
    "adamw": (adam, {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.05}),
    "adadelta": (adadelta, {"lr": 1.0, "rho": 0.9, "eps": 1e-5}),
    "amsgrad": (amsgrad, {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}),
    "nadam": (nadam, {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "psi": 0.004}),
    "radam": (radam, {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}),
    "adamax": (adamax, {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}),
    "lion": (lion, {"lr": 0.003, "beta1": 0.9, "beta2": 0.98, "decay": 0.05}),
    "rprop": (rprop, {"lr": 0.01, "up": 1.2, "down": 0.5, "least": 1e-5, "most": 1.0}),
    "asgd": (asgd, {"lr": 0.03, "decay": 0.5, "power": 0.75}),
    # at lr = 0.005 the paper's own update carries 1e-15 at the start to 1e-8 (numpy beside itself): steps that do not shrink
    "lamb": (lamb, {"lr": 0.002, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "decay": 0.05}),
}


# Schedules as functions of the step, of all steps and of the steps of one epoch.

SCHEDULES = {
    "linear(0.05, 0.001)": lambda t: 0.05 + (0.001 - 0.05) * t / STEPS,
    "exponential(0.05, 0.001)": lambda t: math.exp(math.log(0.05) + t / STEPS * math.log(0.001 / 0.05)),
    "cosine(0.05, 0.001)": lambda t: 0.001 + 0.5 * (0.05 - 0.001) * (1 + math.cos(math.pi * t / STEPS)),
    "step(0.05, 0.5, 60)": lambda t: 0.05 * 0.5 ** (t // IN_EPOCH // 60),
    "warmup(0.05, 100)": lambda t: 0.05 * (t + 1) / (100 * IN_EPOCH) if t < 100 * IN_EPOCH else 0.05,
    "warmup(cosine(0.05, 0.001), 20)": lambda t: (
        (0.001 + 0.5 * (0.05 - 0.001) * (1 + math.cos(math.pi * t / STEPS))) * min(1.0, (t + 1) / (20 * IN_EPOCH))
    ),
}


def problem(method: str, dtype: str = "float64", target: str = "cpu") -> launch.Problem:
    kernel, _ = pipeline.kernel(page(BODY + method), pipeline.Options(target=target, dtype=dtype))
    return launch.problem(kernel, bind(kernel.manifest, {"X": X, "y": Y}, None, dtype), {}, 0)


def trajectory(p: launch.Problem, monkeypatch, steps: int = STEPS) -> np.ndarray:
    """The parameters before the first step and after each, from runs cut into single steps."""
    seen: list[np.ndarray] = []

    def between(run):
        seen.append(run["x"].copy())
        if len(seen) > steps:
            raise StopIteration

    monkeypatch.setattr(drive, "PIECE", 0.0)
    with contextlib.suppress(StopIteration):
        launch.train(p, between=between)
    return np.array(seen[: steps + 1])


def updated(p: launch.Problem, steps: int = STEPS) -> np.ndarray:
    """The same from the compiled update alone, on gradients of numpy: it compiles in a tenth of the whole kernel's time."""
    x, (state, scalars), out = p.x.copy(), launch.optimizer_arrays(p), [p.x.copy()]
    for step in range(steps):
        p.kernel.module.update(x, gradient(out[-1], step).astype(x.dtype), state, scalars)
        out.append(x.copy())
    return np.array(out)


def gradient(theta: np.ndarray, step: int) -> np.ndarray:
    rows = batches()[step]
    x, y = X[rows].astype(theta.dtype), Y[rows].astype(theta.dtype)
    return theta.dtype.type(2 / len(rows)) * x.T @ (x @ theta - y)


def stated(update, values: dict, rate=None, theta=None, slope=gradient, most=STEPS) -> np.ndarray:
    """The same trajectory from numpy; `rate(step)` in the place of a constant lr."""
    step = 0  # the loop sets it anew, `chosen` reads it
    chosen = rate or (lambda t: values["lr"])
    run = update(np.full(3, 0.3) if theta is None else theta, **{**values, "lr": lambda: chosen(step)})
    out = [next(run)]
    for step in range(most):
        g = slope(out[-1], step)
        if theta is not None and np.abs(g).min() < 1e-12:  # from here on a sign is rounding
            break
        out.append(run.send(g))
    return np.array(out)


@functools.cache
def batches() -> list[np.ndarray]:
    """The rows of each step; which they are is Philox's part, and tested there."""
    p = problem(called("sgd"), target="reference")
    return [launch.batch_rows(p, step) for step in range(STEPS)]


def called(name: str, **changed: object) -> str:
    options = {**UPDATES[name][1], **changed, "batch": BATCH, "epochs": EPOCHS}
    return f"{name}({', '.join(f'{k} = {v}' for k, v in options.items())})"


def apart(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape and np.isfinite(a).all()
    return float((np.abs(a - b) / np.maximum(np.abs(b), 1.0)).max())


def test_every_page_is_compared():
    assert set(UPDATES) == set(library.names("optimizers"))
    assert {text.split("(")[0] for text in SCHEDULES} == set(library.names("schedules"))


@pytest.mark.parametrize("name", UPDATES)
def test_update_is_the_papers(name, monkeypatch):
    update, values = UPDATES[name]
    truth = stated(update, values)
    assert apart(trajectory(problem(called(name), target="reference"), monkeypatch), truth) < 1e-10
    assert apart(updated(problem(called(name))), truth) < 1e-10
    assert np.abs(truth[-1] - truth[0]).max() > 0.1, "the run goes nowhere"


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule_is_its_formula(schedule, monkeypatch):
    method, truth = called("sgd", lr=schedule), stated(sgd, {}, SCHEDULES[schedule])
    assert apart(trajectory(problem(method, target="reference"), monkeypatch), truth) < 1e-10
    assert apart(updated(problem(method)), truth) < 1e-10


@pytest.mark.parametrize("name", ["nesterov", "adam"])
def test_whole_compiled_training_is_the_papers(name, monkeypatch):
    """Batches, gradient, schedule and update as one compiled run."""
    schedule = "warmup(cosine(0.05, 0.001), 20)"
    update, values = UPDATES[name]
    found = trajectory(problem(called(name, lr=schedule)), monkeypatch)
    assert len(found) == STEPS + 1
    assert apart(found, stated(update, values, SCHEDULES[schedule])) < 1e-10


with np.load(EXAMPLES / "data" / "mnist.npz") as MNIST:
    IMAGES, DIGIT = MNIST["X"][:N], MNIST["y"][:N].astype(np.int64)
PIXELS = IMAGES[:, (IMAGES > 0).sum(axis=0) >= N // 2] / 128 - 1  # those that are on in every other image
WEIGHTS = 0.1 * np.random.default_rng(5).normal(size=PIXELS.shape[1] * 10)
SOFTMAX = (
    "dims n, d, c\ndata X[n, d], y[n] in c\nparam W[d, c]\nP = softmax(X W)\n"
    "minimize -1/n sum[i] log P[i, y[i]] + 1/200 ||W||^2\ntrain with "
)


def slope_of_softmax(theta: np.ndarray, step: int, penalty: float = 0.01) -> np.ndarray:
    """1/n X'(softmax(X W) - Y) + penalty W on the rows of a step."""
    rows, W = batches()[step], theta.reshape(-1, 10)
    Z = PIXELS[rows] @ W
    P = np.exp(Z - Z.max(axis=1, keepdims=True))
    P = P / P.sum(axis=1, keepdims=True) - np.eye(10)[DIGIT[rows]]
    return (PIXELS[rows].T @ P / len(rows) + penalty * W).ravel()


@pytest.fixture(scope="module")
def compiled_slope():
    """The compiled gradient of the page on the rows of a step: what its own training is about to step along."""
    asked = pipeline.Options()
    kernel, _ = pipeline.kernel(page(SOFTMAX + f"sgd(batch = {BATCH}, epochs = {EPOCHS})"), asked)
    p = launch.problem(kernel, bind(kernel.manifest, {"X": PIXELS, "y": DIGIT}, None, "float64"), {}, 0)
    told: list = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "run_minibatch", lambda *given: told.extend(given) or {})
        with contextlib.suppress(KeyError):
            launch.train(p)
    step_, x, state, scalars, data, batch, work, size, rows, epochs = told[:10]
    run = drive.minibatch_run(x, state, scalars, epochs, False)

    def slope(theta: np.ndarray, step: int) -> np.ndarray:
        x[:], run["counters"][0] = theta, step
        order = np.zeros(rows, np.int64)
        step_(x, run["g"], state, scalars, data, batch, work, order, run["counters"], size, 1, 0, run["trace"])
        return run["g"].copy()

    return slope


@pytest.mark.parametrize("name", UPDATES)
def test_softmax_regression_goes_the_papers_way(name, compiled_slope):
    """Compiled gradient and compiled update on fixed batches of MNIST, against numpy's of both."""
    update, values = UPDATES[name]
    truth = stated(update, values, None, WEIGHTS, slope_of_softmax)
    p = problem(called(name))
    state, scalars = launch.optimizer_arrays(p)
    state, x, found = np.repeat(state[:, :1], WEIGHTS.size, axis=1), WEIGHTS.copy(), [WEIGHTS]
    if p.kernel.manifest["optimizer"]["by_tensor"]:
        scalars[-1] = WEIGHTS.size
    for step in range(len(truth) - 1):
        p.kernel.module.update(x, compiled_slope(x, step), state, scalars)
        found.append(x.copy())
    assert apart(np.array(found), truth) < 1e-10
    assert len(truth) == STEPS + 1 or name in SIGNS, "only signs may end early"
    assert len(truth) > 300 and np.abs(truth[-1] - truth[0]).max() > 0.1
    other = stated(update, values, None, WEIGHTS, functools.partial(slope_of_softmax, penalty=0.0101), 100)
    assert apart(other, truth[: len(other)]) > 1e-8, "another gradient is not seen"


LAYERS = "dims n, d\ndata X[n, d], y[n]\nparam w[d] init 0.3, b init 0\nminimize 1/n ||X w + b - y||^2\ntrain with "


def test_norms_are_of_each_parameter(monkeypatch):
    """LAMB's ratio is that of each tensor by itself: interpreted, compiled and as a standalone module."""
    options = UPDATES["lamb"][1]
    method = f"lamb({', '.join(f'{k} = {v}' for k, v in options.items())}, batch = {BATCH}, epochs = 5)"
    data = {"X": X, "y": Y}
    fits = {t: pipeline.train(page(LAYERS + method), pipeline.Options(target=t), data, 0) for t in ("reference", "cpu")}
    values = {**options, "lr": lambda: options["lr"]}
    runs = {"w": lamb(np.full(3, 0.3), **values), "b": lamb(np.zeros(1), **values)}
    found = {name: next(run) for name, run in runs.items()}
    for rows in batches()[: 5 * IN_EPOCH]:
        rest = X[rows] @ found["w"] + found["b"] - Y[rows]
        slopes = {"w": 2 / len(rows) * X[rows].T @ rest, "b": np.array([2 * rest.mean()])}
        found = {name: run.send(slopes[name]) for name, run in runs.items()}
    truth = np.concatenate([found["w"], found["b"]])
    for fit in fits.values():
        assert apart(fit.x, truth) < 1e-10
    module = standalone(pipeline.emit(page(LAYERS + method), pipeline.Options()))
    assert np.array_equal(module.fit({"X": X, "y": Y})["x"], fits["cpu"].x)


def test_a_run_of_asgd_gives_out_the_mean():
    values = UPDATES["asgd"][1]
    truth = stated(asgd, values)[1:]
    for begin in (0, 900):
        fit = pipeline.train(
            page(BODY + called("asgd", begin=begin)), pipeline.Options(target="reference"), {"X": X, "y": Y}, 0
        )
        assert apart(fit.x, truth[max(begin, 0) :].mean(axis=0)) < 1e-10


def test_lamb_is_refused_on_cuda():
    with pytest.raises(UnsupportedError, match="does not train by 'lamb'"):
        pipeline.build(page(BODY + called("lamb")), pipeline.Options(target="cuda"))


def test_two_schedules_at_once(monkeypatch):
    rate, weight = SCHEDULES["linear(0.05, 0.001)"], 0.05
    method = called("adamw", lr="linear(0.05, 0.001)", decay=f"warmup({weight}, 1)", eps=1e-8)
    found = trajectory(problem(method, target="reference"), monkeypatch, 2)
    b1, b2, eps = 0.9, 0.999, 1e-8
    theta, m, v = np.full(3, 0.3), 0.0, 0.0
    for t in range(2):
        rows = batches()[t]
        g = 2 / len(rows) * X[rows].T @ (X[rows] @ theta - Y[rows])
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        m_hat, v_hat = m / (1 - b1 ** (t + 1)), v / (1 - b2 ** (t + 1))
        decay = weight * min(1.0, (t + 1) / IN_EPOCH)
        theta = theta - rate(t) * (m_hat / (np.sqrt(v_hat) + eps) + decay * theta)
        assert apart(found[t + 1], theta) < 1e-14


SIGNS = ("lion", "rprop")  # a rounding of single precision changes a sign


@pytest.mark.parametrize("name", [n for n in UPDATES if n not in SIGNS][::2])
def test_single_precision_follows_double(name):
    """Over 100 steps rounding alone parts them: about sqrt(steps) roundings of 6e-8 for numbers of order one."""
    half, full = updated(problem(called(name), "float32"), 100), updated(problem(called(name)), 100)
    assert half.dtype == np.float32 and len(half) == 101
    assert 0.0 < apart(half, full) < 3e-6


@pytest.mark.parametrize("name", UPDATES)
def test_the_comparison_can_fail(name):
    """Each number of an update, changed by a hundredth, is seen; those of the wrong update are."""
    update, values = UPDATES[name]
    truth = stated(update, values)
    for option in values:
        if option not in ("eps", "least", "most"):
            assert apart(stated(update, {**values, option: values[option] * 0.99}), truth) > 1e-6, option
    other = sgd if update is not sgd else momentum
    assert apart(stated(other, {"lr": values["lr"], **({"mu": 0.5} if other is momentum else {})}), truth) > 1e-3


def test_schedules_are_told_apart():
    runs = [stated(sgd, {}, rate) for rate in SCHEDULES.values()]
    for k, run in enumerate(runs):
        assert all(apart(run, other) > 1e-4 for other in runs[:k])
    later = stated(sgd, {}, lambda t: SCHEDULES["step(0.05, 0.5, 60)"](t - 1))
    assert apart(later, stated(sgd, {}, SCHEDULES["step(0.05, 0.5, 60)"])) > 1e-10, "a step late is not seen"


WRONG = {
    "sgd(beta = 1)": "no option 'beta'",
    "sgd(lr = 0)": "outside its domain",
    "sgd(lr = -1)": "outside its domain",
    "adamw(decay = -1)": "outside its domain",
    "sgd(epochs = 2.5)": "not a whole number",
    "sgd(epochs = cosine(1, 2))": "one number for the whole run",
    "sgd(lr = cosinus(1, 2))": "unknown schedule 'cosinus'",
    "sgd(lr = cosine(1))": "takes 2 arguments, this has 1",
    "sgd(lr = 1 + cosine(1, 2))": "a schedule stands alone",
    "sgd(lr = linear(1, -1))": "outside its domain",
    "sgd(lr = exponential(1, 0))": "outside its domain",
    "sgd(lr = warmup(step(0.1, 0.5), 5))": "takes 3 arguments, this has 2",
}


@pytest.mark.parametrize("method", WRONG)
def test_wrong_options_are_refused(method):
    with pytest.raises((SpecError, SymmlErrors), match=WRONG[method]) as caught:
        plan(pipeline.analyse(page(BODY + method)))
    assert caught.value.span is not None and caught.value.span.line == 6

"""Early stopping on a part of the split: the best epoch's parameters are kept, and patience ends the run."""

from __future__ import annotations

import numpy as np
import pytest
from check import page, standalone

from symml import pipeline
from symml.errors import SpecError, SymmlErrors, UnsupportedError
from symml.model.check import check
from symml.syntax.parse import parse

RNG = np.random.default_rng(3)
N = 60
X = RNG.normal(size=(N, 12))
Y = X @ np.r_[1.0, -1.0, np.zeros(10)] + RNG.normal(size=N)  # noise enough to overfit
HEAD = "dims n, d\ndata X[n, d], y[n]\nparam w[d] init 0\n"
SPLIT = "split n into train 0.3, valid 0.3, test 0.4 seed 1\n"
LOSS = "minimize 1/n ||X w - y||^2\n"
EPOCHS = 200


def train(until="until stalled(valid) >= 8", split=SPLIT, loss=LOSS, target="cpu", rate=0.05, epochs=EPOCHS, seed=0):
    method = f"train with sgd(lr = {rate}, batch = 7, epochs = {epochs}) {until}"
    return pipeline.train(page(HEAD + split + loss + method), pipeline.Options(target), {"X": X, "y": Y}, seed)


def stated(fit, epochs=EPOCHS, patience=0, rate=0.05, part="valid", sign=1.0):
    """The same training and stopping in numpy, on the batches that were drawn."""
    from symml.runtime import launch

    p = launch.problem(fit.kernel, fit.bound, {}, 0)
    train_rows, held = fit.bound.parts["train"], fit.bound.parts[part]
    x, y, w = X[train_rows], Y[train_rows], np.zeros(12)
    in_epoch = -(-len(y) // 7)
    losses, ends = [], []
    for epoch in range(epochs):
        for step in range(epoch * in_epoch, (epoch + 1) * in_epoch):
            rows = launch.batch_rows(p, step)
            w = w - rate * 2 / len(rows) * x[rows].T @ (x[rows] @ w - y[rows])
        losses.append(sign * np.mean((X[held] @ w - Y[held]) ** 2))
        ends.append(w)
        if patience and epoch - int(np.argmin(losses)) >= patience:
            break
    return np.array(losses), ends


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_the_best_epoch_is_kept_and_patience_ends_the_run(target):
    fit = train(target=target)
    losses, ends = stated(fit, patience=8)
    best = int(np.argmin(losses))
    assert best > 0 and len(losses) == best + 9 < EPOCHS
    o = fit.outcome
    assert o["status"] == "stopped early" and o["best_epoch"] == best + 1 and len(o["history"]) == len(losses)
    np.testing.assert_allclose(o["validation"], losses, rtol=1e-10)
    np.testing.assert_allclose(fit.params["w"], ends[best], rtol=1e-10)
    assert np.abs(fit.params["w"] - ends[-1]).max() > 1e-3, "the control: the last epoch's are others"


def test_another_patience_another_part():
    short = train("until stalled(valid) >= 1", target="reference")
    losses, ends = stated(short, patience=1)
    assert short.outcome["best_epoch"] == len(losses) - 1
    np.testing.assert_allclose(short.params["w"], ends[int(np.argmin(losses))], rtol=1e-10)
    on_test = train("until stalled(test) >= 8", target="reference")
    losses, _ = stated(on_test, patience=8, part="test")
    assert on_test.outcome["best_epoch"] == int(np.argmin(losses)) + 1
    np.testing.assert_allclose(on_test.outcome["validation"], losses, rtol=1e-10)


def test_without_patience_a_part_named_valid_keeps_the_best():
    fit = train("", epochs=40, target="reference")
    losses, ends = stated(fit, epochs=40)
    assert fit.outcome["status"] == "finished" and fit.outcome["best_epoch"] == int(np.argmin(losses)) + 1
    np.testing.assert_allclose(fit.params["w"], ends[int(np.argmin(losses))], rtol=1e-10)
    other = train("", split=SPLIT.replace("valid", "held"), epochs=40, target="reference")
    assert "validation" not in other.outcome
    np.testing.assert_allclose(other.params["w"], ends[-1], rtol=1e-10)


def test_what_is_maximised_stops_at_its_highest():
    fit = train(loss="maximize -1/n ||X w - y||^2\n", target="reference")
    losses, ends = stated(fit, patience=8)
    np.testing.assert_allclose(fit.params["w"], ends[int(np.argmin(losses))], rtol=1e-10)


def test_reports_are_of_the_best():
    fit = train(loss=LOSS + "report mse = mean[i] (y[i] - sum[j] X[i, j] w[j])^2 on valid\n", target="reference")
    assert fit.report["mse"] == pytest.approx(min(fit.outcome["validation"]), rel=1e-12)


def test_a_standalone_module_stops_at_the_same_bits():
    fit = train()
    module = standalone(pipeline.emit(page(fit_page()), pipeline.Options()))
    found = module.fit({"X": X, "y": Y})
    assert found["x"].tobytes() == fit.x.tobytes() and found["best_epoch"] == fit.outcome["best_epoch"]


def fit_page():
    method = f"train with sgd(lr = 0.05, batch = 7, epochs = {EPOCHS}) until stalled(valid) >= 8"
    return HEAD + SPLIT + LOSS + method


def test_the_screen_says_what_was_kept():
    from symml import faces

    fit = train()
    best = fit.outcome["best_epoch"]
    line = f"kept epoch {best}, the best on valid: loss {fit.outcome['validation'][best - 1]:.6g}"
    assert line in faces.figures(fit) and any("stopped early" in text for text in faces.figures(fit))


WRONG = {
    "until stalled(hidden) >= 5": (SpecError, "'hidden' is no part of the split beside the training part"),
    "until stalled(train) >= 5": (SpecError, "'train' is a word of the language"),
    "until stalled(valid) >= 0": (SpecError, "not a whole number of epochs"),
    "until stalled(valid) >= 2.5": (SpecError, "not a whole number of epochs"),
    "until stalled(valid) < 5": (SpecError, "reaches a number"),
    "until stalled(valid, 5) >= 5": (SpecError, "takes one name"),
    "until stalled(2) >= 5": (SpecError, "takes one name"),
    "until |grad| < 1e-3": (UnsupportedError, "does not stop by"),
    "until loss < 1": (UnsupportedError, "this stopping rule is not supported yet"),
}


@pytest.mark.parametrize("until", WRONG)
def test_wrong_rules_are_refused(until):
    kind, words = WRONG[until]
    with pytest.raises((kind, SymmlErrors), match=words) as caught:
        train(until, target="reference")
    errors = getattr(caught.value, "errors", (caught.value,))
    assert isinstance(errors[0], kind) and errors[0].span.line == 7


def test_a_method_of_all_rows_does_not_stop_by_a_part():
    with pytest.raises(UnsupportedError, match="does not stop by the loss on a part"):
        source = page(HEAD + SPLIT + LOSS + "train with lbfgs until stalled(valid) >= 5")
        pipeline.train(source, pipeline.Options("reference"), {"X": X, "y": Y}, 0)


def test_without_a_split_there_is_no_part():
    with pytest.raises(SpecError, match="'valid' is no part") as caught:
        train(split="", target="reference")
    assert "write split n into" in caught.value.fix


def test_the_model_says_it():
    found = check(parse(page(fit_page()))).train
    assert (found.part.id, found.patience, found.tolerance) == ("valid", 8, None)

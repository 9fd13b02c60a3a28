"""torch.optim as a second oracle of the numpy statements in test_optimizers.py, where torch is installed.

Not here are those whose torch version is another algorithm than the paper's: nesterov (torch steps along g + mu v), amsgrad
(torch corrects the means), radam (torch changes over at rho > 5), asgd (torch shrinks the weights), and lion and lamb, which
it does not have.
"""

from __future__ import annotations

import numpy as np
import pytest
from model.test_optimizers import SIGNS, STEPS, UPDATES, WEIGHTS, apart, slope_of_softmax, stated

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def double():
    """NAdam keeps the product of its mu in torch's own precision: single, unless it is told."""
    known = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(known)


PEERS = {
    "sgd": ("SGD", lambda lr: {}),
    "momentum": ("SGD", lambda lr, mu: {"momentum": mu}),
    "adagrad": ("Adagrad", lambda lr, eps: {"eps": eps}),
    "rmsprop": ("RMSprop", lambda lr, rho, eps: {"alpha": rho, "eps": eps}),
    "adam": ("Adam", lambda lr, beta1, beta2, eps: {"betas": (beta1, beta2), "eps": eps}),
    "adamw": (
        "AdamW",
        lambda lr, beta1, beta2, eps, decay: {"betas": (beta1, beta2), "eps": eps, "weight_decay": decay},
    ),
    "adadelta": ("Adadelta", lambda lr, rho, eps: {"rho": rho, "eps": eps}),
    "nadam": ("NAdam", lambda lr, beta1, beta2, eps, psi: {"betas": (beta1, beta2), "eps": eps, "momentum_decay": psi}),
    "adamax": ("Adamax", lambda lr, beta1, beta2, eps: {"betas": (beta1, beta2), "eps": eps}),
    "rprop": ("Rprop", lambda lr, up, down, least, most: {"etas": (down, up), "step_sizes": (least, most)}),
}


def of_torch(name: str, steps: int, **changed: float) -> np.ndarray:
    kind, read = PEERS[name]
    values = {**UPDATES[name][1], **changed}
    theta = torch.tensor(WEIGHTS, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, kind)([theta], lr=values["lr"], **read(**values))
    out = [WEIGHTS]
    for step in range(steps):
        theta.grad = torch.from_numpy(slope_of_softmax(out[-1], step))
        optimizer.step()
        out.append(theta.detach().numpy().copy())
    return np.array(out)


@pytest.mark.parametrize("name", PEERS)
def test_torch_goes_the_same_way(name):
    update, values = UPDATES[name]
    truth = stated(update, values, None, WEIGHTS, slope_of_softmax)
    assert len(truth) == STEPS + 1 or name in SIGNS
    assert apart(of_torch(name, len(truth) - 1), truth) < 1e-10
    assert apart(of_torch(name, 100, lr=values["lr"] * 0.99), truth[:101]) > 1e-6, "another step is not seen"

"""Draws README's picture: the page, its derived gradient and the loss curve of its training.

python examples/picture.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt

import symml

plt.switch_backend("svg")
plt.rcParams["svg.hashsalt"] = "symml"  # the same picture for the same figures

HERE = Path(__file__).parent
PAGE = HERE / "logistic_regression.symml"


def draw(path: Path) -> None:
    """Formula on the left, loss curve on the right."""
    model = symml.load(PAGE)
    fit = model.train()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), width_ratios=[1.5, 1])
    left.axis("off")
    rows = [(r"\ell", model.loss())] + [(rf"\partial \ell / \partial {p}", model.gradient(p)) for p in model.parameters]
    left.text(0, 0.92, "logistic_regression.symml", family="monospace", fontsize=11)
    for k, (name, derivation) in enumerate(rows):
        text = (
            derivation.latex()
            .replace(r"\left", "")
            .replace(r"\right", "")
            .replace(r"\mathbf{1}", "1")
            .replace(r"\|", "‖")
        )
        text = text.replace(r"{\top}", "{T}").replace(r"\operatorname{softplus}", r"\mathrm{softplus}")
        left.text(0.02, 0.68 - 0.27 * k, f"${name} = {text}$", fontsize=13)
    right.plot(fit.history, color="#1f4e79")
    right.set(
        yscale="log",
        xlabel="L-BFGS step",
        ylabel="loss",
        title=f"accuracy {fit.report['accuracy']:.4f} on the test rows",
    )
    right.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "picture.svg")

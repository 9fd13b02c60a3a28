"""The two pages of the CUDA tests at sizes that the simulator can bear, and their data.

Child processes import this too, so that all of them train the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from symml import pipeline
from symml.source import Source

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SMALLER = {
    "logistic_regression": {"|grad| < 1e-8": "|grad| < 1e-3"},
    "mlp": {"h = 64": "h = 5", "epochs = 30": "epochs = 2", "batch = 128": "batch = 12"},
}
NAMES = tuple(SMALLER)
RNG = np.random.default_rng(5)
X = RNG.normal(size=(30, 3))
DATA = {
    "logistic_regression": {"X": X, "y": (X[:, 0] + RNG.normal(size=30) > 0).astype(float)},
    "mlp": {"X": X, "y": RNG.integers(0, 3, 30)},
}


def page(name: str) -> Source:
    """An example with fewer units and steps: 24 rows to train on, in the network's case batches of 12."""
    source = pipeline.read(EXAMPLES / f"{name}.symml")
    text = source.text
    for old, new in SMALLER[name].items():
        assert old in text, f"{name} no longer says {old}"
        text = text.replace(old, new)
    return Source(source.name, text)

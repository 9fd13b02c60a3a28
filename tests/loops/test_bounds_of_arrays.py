"""Compiled code never leaves its arrays: numba's checks of every index, over all examples."""

from __future__ import annotations

import numpy as np
import pytest
from check import EXAMPLES, NAMES, page
from loops.test_agree import DATA

from symml import pipeline
from symml.targets.numba_cpu import wrap

CHECKED = pipeline.Options(boundscheck=True)


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_every_example_stays_inside_of_its_arrays(name):
    source = pipeline.read(EXAMPLES / f"{name}.symml")
    found, plain = (pipeline.train(source, o, DATA[name], 0) for o in (CHECKED, pipeline.Options(plain=False)))
    steps = slice(min(5, len(plain.outcome["history"])))
    np.testing.assert_allclose(found.outcome["history"][steps], plain.outcome["history"][steps], rtol=1e-10, atol=1e-13)


@pytest.mark.full
def test_an_index_outside_of_its_array_is_seen(monkeypatch):
    """The control: loops that go one entry too far."""
    build = wrap.module_source

    def longer(*args: object) -> tuple[str, dict]:
        text, functions = build(*args)
        assert "n_n = sizes[0]" in text
        return text.replace("n_n = sizes[0]", "n_n = sizes[0] + 1"), functions

    monkeypatch.setattr(wrap, "module_source", longer)
    source = page("dims n\ndata x[n]\nparam m\nminimize sum[i] |x[i] - m|^3\ntrain with lbfgs")
    with pytest.raises(IndexError, match="out of bounds"):
        pipeline.train(source, CHECKED, {"x": np.arange(5.0)}, 0)

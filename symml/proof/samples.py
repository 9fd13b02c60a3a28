"""Small random inputs of a Program, inside every domain and away from kinks.

values, dims = sample(program, numpy.random.default_rng(0))
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from symml.ir.evaluate import evaluate, extent
from symml.ir.functions import KINKED, step
from symml.ir.program import Dim, Program, Tensor

KINK_DISTANCE = 1e-4
SIZES = (5, 3, 4, 6, 7, 2, 8)


def sizes(program: Program, fixed: Mapping[Dim, int] | None = None) -> dict[Dim, int]:
    """A different small number for each dim."""
    found = {d: None for t in program.tensors() for size in t.shape for d in size.atoms(Dim)}
    found |= {d: None for s in program.statements for d in s.body.atoms(Dim)}
    found |= {d: None for s in program.statements for k in s.loops for d in k.size.atoms(Dim)}
    found |= {d: None for t in program.inputs if t.domain.size is not None for d in t.domain.size.atoms(Dim)}
    dims = {}
    for k, d in enumerate(found):
        dims[d] = (fixed or {}).get(d) or SIZES[k % len(SIZES)] + len(SIZES) * (k // len(SIZES))
    return dims


def sample(
    program: Program, rng: np.random.Generator, fixed: Mapping[Dim, int] | None = None
) -> tuple[dict[Tensor, np.ndarray], dict[Dim, int]]:
    """Values of every input and dim; drawn again while an output is not finite or a kink is near (20 times at most)."""
    dims = sizes(program, fixed)
    for attempt in range(20):
        values = {t: _draw(t, dims, rng, positive=attempt > 4) for t in program.inputs}
        with np.errstate(all="ignore"):
            env = evaluate(program, values, dims)
            if all(np.isfinite(env[t]).all() for t in program.outputs.values()) and _clear_of_kinks(
                program, values, env, dims
            ):
                break
    return values, dims


def _draw(t: Tensor, dims: Mapping[Dim, int], rng: np.random.Generator, positive: bool) -> np.ndarray:
    """Entries inside the domain; positive ones where a logarithm or a root refused the others."""
    shape = tuple(extent(size, dims) for size in t.shape)
    d = t.domain
    if d.kind == "label":
        return rng.integers(0, extent(d.size, dims), shape)
    if d.kind == "set":
        return rng.choice(np.array(d.values, float), shape)
    if d.lower is not None or d.upper is not None:
        low = d.lower if d.lower is not None else d.upper - 2.0
        high = d.upper if d.upper is not None else low + 2.0
        return low + (high - low) * rng.uniform(0.2, 0.8, shape)
    entries = rng.normal(size=shape) * (0.5 if t.kind == "param" else 1.0)
    return np.abs(entries) + 0.1 if positive else entries


def _clear_of_kinks(
    program: Program, values: Mapping[Tensor, np.ndarray], env: Mapping[Tensor, np.ndarray], dims: Mapping[Dim, int]
) -> bool:
    """Moving every real input a little must not flip a kinked function's side: arguments are far enough from 0."""
    if not any(s.body.has(*KINKED, step) for s in program.statements):
        return True
    nudged = {t: (v if t.integer or t.domain.kind == "set" else v + KINK_DISTANCE) for t, v in values.items()}
    other = evaluate(program, nudged, dims)
    steady = (np.allclose(env[t], other[t], atol=10 * KINK_DISTANCE, rtol=0.1) for t in program.outputs.values())
    return all(steady)

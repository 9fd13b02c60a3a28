"""The reductions of a statement, one row each: value over axes, neutral element, prints.

REDUCERS["logsumexp"].numpy(array, axes=(1,))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np


def _logsumexp(a: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    if a.dtype == object:
        raise TypeError("logsumexp of objects needs their own exp and log")
    top = np.max(np.real(a), axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.sum(np.exp(a - top), axis=axis)) + np.squeeze(top, axis=axis)


def _arg(choose: Callable) -> Callable:
    def value(a: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
        assert len(axis) == 1, "argmax and argmin run over one index"
        return choose(np.real(a), axis=axis[0])

    return value


def _extreme(choose: Callable) -> Callable:
    def value(a: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
        kept = [k for k in range(a.ndim) if k not in axis]
        flat = np.transpose(a, (*kept, *axis)).reshape(*(a.shape[k] for k in kept), -1)
        at = choose(np.real(flat), axis=-1)
        return np.take_along_axis(flat, at[..., None], axis=-1)[
            ..., 0
        ]  # keeps an imaginary part, as the complex step needs

    return value


@dataclass(frozen=True)
class Reducer:
    """One reduction: value over axes, neutral element (what a guard leaves out counts as it), print, integer result."""

    numpy: Callable[[np.ndarray, tuple[int, ...]], np.ndarray]
    neutral: float
    latex: str
    text: str
    integer: bool = False


REDUCERS: Mapping[str, Reducer] = MappingProxyType(
    {
        "none": Reducer(lambda a, axis: a, 0.0, "", ""),
        "sum": Reducer(lambda a, axis: np.sum(a, axis=axis), 0.0, r"\sum", "sum"),
        "prod": Reducer(lambda a, axis: np.prod(a, axis=axis), 1.0, r"\prod", "prod"),
        "max": Reducer(_extreme(np.argmax), -math.inf, r"\max", "max"),
        "min": Reducer(_extreme(np.argmin), math.inf, r"\min", "min"),
        "logsumexp": Reducer(_logsumexp, -math.inf, r"\operatorname{logsumexp}", "logsumexp"),
        "argmax": Reducer(_arg(np.argmax), -math.inf, r"\operatorname{argmax}", "argmax", integer=True),
        "argmin": Reducer(_arg(np.argmin), math.inf, r"\operatorname{argmin}", "argmin", integer=True),
    }
)

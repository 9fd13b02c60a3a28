"""Standard errors from the Hessian at a fit, and the directions that the data do not identify.

found = uncertainty(kernel, problem, "likelihood")      the kernel is one of purpose "errors"
found.deviations["w"], found.notes
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from symml.errors import DataError, NumericError, SpecError
from symml.runtime.crew import Crew
from symml.runtime.launch import Kernel, Problem, arguments, buffers, data_tuple, parameters, shape

KINDS = ("likelihood", "squares", "sandwich")
LARGEST = 5000  # parameters: the Hessian of more is not made
SINGULAR = 1e-12  # an eigenvalue of the scaled Hessian, of the largest, that counts as 0
TOUCHED = 1e-6  # the part of an entry in an unidentified direction from which on its error has no meaning
UNFINISHED = 0.01  # a Newton step, in standard errors, that is worth a note
LARGE = 1e8  # a condition number that is worth a note
SHOWN = 4  # entries of a direction that are told


@dataclass(frozen=True)
class Errors:
    """Standard errors in one vector, NaN where an entry is not identified; `directions` are the rows along which the
    objective is flat; `step` is the largest Newton step that is left, in standard errors; `condition` is the condition
    number of the Hessian in units in which its diagonal is 1, over the directions that are identified."""

    deviation: np.ndarray
    covariance: np.ndarray
    directions: np.ndarray
    step: float
    condition: float = 1.0


@dataclass(frozen=True)
class Uncertainty:
    """Standard errors by parameter, the covariance of all entries in their order, how they were read, and warnings.

    NaN stands where an entry is not identified. `what` is their name: standard errors or posterior deviations; `condition`
    is the condition number of the Hessian in units in which its diagonal is 1.
    """

    kind: str
    what: str
    reading: str
    deviations: Mapping[str, np.ndarray]
    covariance: np.ndarray
    notes: tuple[str, ...]
    condition: float = 1.0


def uncertainty(kernel: Kernel, p: Problem, kind: str) -> Uncertainty:
    """The standard errors of a fit at p.x, over the rows it was trained on."""
    facts, size = kernel.manifest["errors"], p.x.shape[0]
    if kind not in KINDS:
        raise SpecError(f"unknown kind of errors '{kind}'", fix=f"one of {', '.join(KINDS)}")
    if kind == "squares" and (facts["squares"] is None or facts["penalty"]):
        raise SpecError("the objective is not one sum or mean of squares", fix="--errors likelihood, if it is one")
    if size > LARGEST:
        raise DataError(f"the Hessian of {size} parameters is not made; the limit is {LARGEST}")
    with Crew(kernel) as crew:
        hessian, gradient, value = _at(crew, p)
    if kind == "likelihood":
        times = math.prod(shape(p.dims, facts["times"]))
        found = errors(hessian, gradient, lambda rank: 1 / times)
        reading = _likelihood_words(facts)
    elif kind == "sandwich":
        scores = _scores(kernel, p)
        found = errors(hessian, gradient, lambda rank: 1.0, scores.T @ scores)
        reading = f"a sum over {scores.shape[0]} rows: the sandwich H⁻¹ (Σ s s') H⁻¹, right where the likelihood is not"
    else:
        count = math.prod(shape(p.dims, facts["squares"]))
        found = errors(hessian, gradient, lambda rank: _variance(value, count, rank))
        reading = f"a sum of squares; residual variance from {count} residuals less the parameters identified"
    what = "posterior deviations" if facts["penalty"] and kind != "sandwich" else "standard errors"
    every = parameters(kernel, found.deviation, p.dims)
    return Uncertainty(kind, what, reading, every, found.covariance, tuple(_notes(kernel, p, found)), found.condition)


def errors(
    hessian: np.ndarray, gradient: np.ndarray, dispersion: Callable[[int], float], meat: np.ndarray | None = None
) -> Errors:
    """dispersion(rank) times the inverse Hessian over the directions that it identifies; NumericError at no minimum.

    meat: the sum of s s' over the rows, s being what a row adds to the gradient: then the sandwich of Huber (1967) and
    White (1982), inverse meat inverse.
    """
    if not (np.isfinite(hessian).all() and np.isfinite(gradient).all()):
        raise NumericError("the Hessian is not finite at the fit", fix="there are no standard errors here")
    hessian = (hessian + hessian.T) / 2
    unit = 1 / np.sqrt(np.where(np.diag(hessian) > 0, np.diag(hessian), 1.0))
    values, vectors = np.linalg.eigh(hessian * unit * unit[:, None])
    most = max(float(values[-1]), 0.0)
    if values[0] < -math.sqrt(SINGULAR) * most or (values[0] < 0 and most == 0):
        raise NumericError(
            f"the Hessian has a negative eigenvalue ({values[0]:.2g}, scaled): the fit is not a minimum",
            fix="train further, or from another start; there are no standard errors here",
        )
    flat = values <= SINGULAR * most
    good, null = vectors[:, ~flat], vectors[:, flat]
    inverse = (good / values[~flat]) @ good.T * unit * unit[:, None]
    covariance = inverse * dispersion(good.shape[1]) if meat is None else inverse @ meat @ inverse
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    step = np.abs(inverse @ gradient)
    left = float(np.max(step / np.where(deviation > 0, deviation, np.inf), initial=0.0))
    lost = np.linalg.norm(null, axis=1) > TOUCHED
    covariance[lost] = covariance[:, lost] = np.nan
    directions = (null * unit[:, None]).T
    directions = directions / np.max(np.abs(directions), axis=1, keepdims=True, initial=1e-300)
    condition = most / float(values[~flat][0]) if good.shape[1] else 1.0
    return Errors(np.where(lost, np.nan, deviation), covariance, directions, left, condition)


def times_vector(crew: Crew, p: Problem) -> Callable[[np.ndarray], np.ndarray]:
    """v -> (Hessian at p.x) v, on flat vectors, as long as the crew is there."""
    along, call = _product(crew, p)

    def times(v: np.ndarray) -> np.ndarray:
        along[:] = v
        out = np.zeros(v.size)
        call(out)
        return out

    return times


def _product(crew: Crew, p: Problem) -> tuple[np.ndarray, Callable[[np.ndarray], float]]:
    """The vector that is multiplied, and the call that fills its product with the Hessian and returns <gradient, vector>."""
    kernel = crew.kernel
    x, along = p.x.astype(np.float64), np.zeros(p.x.shape[0])
    views, at = {}, 0
    for name, t in zip(kernel.manifest["errors"]["along"], kernel.manifest["params"], strict=True):
        sizes = shape(p.dims, t["shape"])
        views[name] = along[at : at + math.prod(sizes)].reshape(sizes)
        at += math.prod(sizes)
    given = arguments(crew, "hessian_times", {**_doubles(p), **views}, p.dims, p.hypers)
    return along, lambda out: kernel.module.hessian_times(x, out, *given)


def _doubles(p: Problem) -> dict[str, np.ndarray]:
    return {k: a if a.dtype.kind == "i" else a.astype(np.float64) for k, a in p.arrays.items()}


def _at(crew: Crew, p: Problem) -> tuple[np.ndarray, np.ndarray, float]:
    """Hessian, gradient and objective, column by column: the function's value along e_j is the gradient's entry j."""
    size, (along, product) = p.x.shape[0], _product(crew, p)
    hessian, gradient = np.zeros((size, size)), np.zeros(size)
    for k in range(size):
        along[:] = 0.0
        along[k] = 1.0
        gradient[k] = product(hessian[k])
    given = arguments(crew, "objective", _doubles(p), p.dims, p.hypers)
    value = crew.kernel.module.objective(p.x.astype(np.float64), *given)
    return hessian, gradient, float(value)


def _scores(kernel: Kernel, p: Problem) -> np.ndarray:
    """What each row adds to the gradient at p.x: (rows, entries), column by column."""
    f, x, size = kernel.manifest["functions"]["scores"], p.x.astype(np.float64), p.x.shape[0]
    data, work = data_tuple(kernel, f, _doubles(p), p.dims, p.hypers), buffers(f, p.dims)
    scores, v = np.zeros((size, math.prod(shape(p.dims, f["parts"][0])))), np.zeros(size)
    for k in range(size):
        v[k] = 1.0
        kernel.module.scores(x, v, scores[k], data, work)
        v[k] = 0.0
    return scores.T


def _variance(value: float, count: int, rank: int) -> float:
    """What multiplies the inverse Hessian of value = c * (sum of squares): residual variance times 2 c, for any c."""
    if count <= rank:
        raise NumericError(f"{count} residuals leave nothing to estimate their variance with {rank} parameters")
    return 2 * value / (count - rank)


def _likelihood_words(facts: Mapping) -> str:
    times = " ".join(facts["times"])
    text = f"{times} times the objective" if times else "the objective"
    if facts["penalty"]:
        return (
            f"{text} as a negative log-likelihood plus a negative log-prior (its penalty): "
            "those of the Laplace approximation, not sampling errors"
        )
    return f"{text} as a negative log-likelihood: the inverse of the observed information"


def _notes(kernel: Kernel, p: Problem, found: Errors) -> list[str]:
    notes = []
    if found.condition > LARGE:
        notes.append(f"nearly not identified: the condition number of the scaled Hessian is {found.condition:.2g}")
    for direction in found.directions:
        named = _named(kernel, p, direction)
        notes.append(f"not identified: the objective does not change along {named}")
    if found.step > UNFINISHED:
        notes.append(f"the fit is {found.step:.2g} standard errors from the optimum: train further")
    return notes


def _named(kernel: Kernel, p: Problem, direction: np.ndarray) -> str:
    """The largest entries of a direction with their names."""
    names = []
    for t in kernel.manifest["params"]:
        sizes = shape(p.dims, t["shape"])
        names += [f"{t['name']}[{', '.join(map(str, at))}]" if at else t["name"] for at in np.ndindex(sizes)]
    large = [k for k in np.argsort(-np.abs(direction), kind="stable") if abs(direction[k]) > TOUCHED]
    text = " ".join(f"{direction[k]:+.3g} {names[k]}" for k in large[:SHOWN])
    return text + (f" and {len(large) - SHOWN} more entries" if len(large) > SHOWN else "")

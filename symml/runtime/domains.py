"""Whether an array lies in the domain of its declaration.

check_domain("p", array, {"kind": "interval", "lower": 0, ...})     DataError names the first entries that do not
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from symml.errors import DataError
from symml.runtime.tables import OFFENDERS

SLACK = 1e-8  # what sums, symmetry and eigenvalues may be off by


def check_domain(name: str, array: np.ndarray, domain: Mapping) -> None:
    """Refuse entries outside a set or an interval, then arrays that are outside of a set as a whole."""
    if domain["kind"] in ("set", "subset"):
        good, text = np.isin(array, domain["values"]), "{" + ", ".join(f"{v:g}" for v in domain["values"]) + "}"
    else:
        low, high = domain["lower"], domain["upper"]
        good = np.ones(array.shape, bool)
        if low is not None:
            good &= array > low if domain["open"][0] else array >= low
        if high is not None:
            good &= array < high if domain["open"][1] else array <= high
        text = _interval(low, high, domain["open"])
    if not good.all():
        rows = np.argwhere(~good)[:OFFENDERS]
        places = [f"{name}[{', '.join(map(str, r))}]" if len(r) else name for r in rows]
        listed = ", ".join(f"{place} = {array[tuple(r)]:g}" for place, r in zip(places, rows, strict=True))
        raise DataError(f"{listed}: outside {text}")
    if domain["kind"] in WHOLE:
        WHOLE[domain["kind"]](name, array, domain)


def _interval(low: float | None, high: float | None, ends: Sequence[bool]) -> str:
    """`(0, inf)`, `[0, 1]`: a bracket holds its end."""
    left = "(-inf" if low is None else f"{'(' if ends[0] else '['}{low:g}"
    right = "inf)" if high is None else f"{high:g}{')' if ends[1] else ']'}"
    return f"{left}, {right}"


def _sums(name: str, array: np.ndarray, domain: Mapping) -> None:
    """Sums along the last axis are 1."""
    sums = np.asarray(array.sum(-1))
    for at in map(tuple, np.argwhere(np.abs(sums - 1) > SLACK)):
        place = f"{name}[{', '.join(map(str, at))}]" if at else name
        raise DataError(f"the entries of {place} add up to {sums[at]:.9g}, not to 1")


def _symmetric(name: str, array: np.ndarray, domain: Mapping) -> None:
    """A square matrix that is its transpose."""
    gap = np.abs(array - array.T)
    if gap.max(initial=0.0) > SLACK * max(1.0, np.abs(array).max(initial=0.0)):
        i, j = (int(k) for k in np.unravel_index(np.argmax(gap), gap.shape))
        raise DataError(f"{name}[{i}, {j}] = {array[i, j]:g} and {name}[{j}, {i}] = {array[j, i]:g}: not symmetric")


def _psd(name: str, array: np.ndarray, domain: Mapping) -> None:
    """Symmetric, and no eigenvalue below rounding."""
    _symmetric(name, array, domain)
    least = float(np.linalg.eigvalsh(array)[0]) if array.size else 0.0
    if least < -SLACK * max(1.0, np.abs(array).max(initial=0.0)):
        raise DataError(f"{name} has the eigenvalue {least:.3g}: not positive semidefinite")


def _ball(name: str, array: np.ndarray, domain: Mapping) -> None:
    """No longer than the radius."""
    norm = float(np.sqrt(np.sum(array**2)))
    if norm > domain["upper"] * (1 + SLACK):
        raise DataError(f"||{name}|| = {norm:g}: outside the ball of radius {domain['upper']:g}")


WHOLE: Mapping[str, Callable[[str, np.ndarray, Mapping], None]] = {
    "simplex": _sums,
    "stochastic": _sums,
    "symmetric": _symmetric,
    "psd": _psd,
    "ball": _ball,
}

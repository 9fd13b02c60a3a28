"""Many fits with one kernel: resamples of the rows (bootstrap), values of a hyper-parameter (a path).

boot = bootstrap(kernel, bound, hypers, seed=0, fits=200)
boot.params["w"].shape == (200, d);  boot.standard_errors()["w"];  boot.intervals(0.95)["w"]  ->  (low, high)
fits = path(kernel, bound, hypers, seed, "lam", [1e-3, 1e-2])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from symml.errors import DataError
from symml.runtime import launch
from symml.runtime.bind import Bound
from symml.runtime.launch import DivergedError, Kernel, Problem

Watch = Callable[[int, int, float, float], None]


@dataclass(frozen=True)
class Fits:
    """A row of x, an outcome and the reported numbers for each fit; `values` are what the fits differ in.

    `whole` is the fit of all rows, for a bootstrap; its x is None for a path.
    """

    kernel: Kernel
    dims: Mapping[str, int]
    name: str
    values: tuple[float, ...]
    x: np.ndarray
    outcomes: tuple[Mapping, ...]
    reports: tuple[Mapping[str, float], ...]
    whole: np.ndarray | None = None

    @property
    def params(self) -> dict[str, np.ndarray]:
        """Each parameter of all fits, along the first axis."""
        each = [launch.parameters(self.kernel, x, self.dims) for x in self.x]
        return {name: np.array([p[name] for p in each]) for name in each[0]}

    @property
    def estimate(self) -> dict[str, np.ndarray]:
        """The parameters of the fit of all rows."""
        return launch.parameters(self.kernel, self.whole, self.dims)

    def standard_errors(self) -> dict[str, np.ndarray]:
        """The deviation of each parameter over the resamples (ddof 1)."""
        return {name: np.std(p, axis=0, ddof=1, dtype=np.float64) for name, p in self.params.items()}

    def intervals(self, level: float = 0.95) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The percentile interval of each parameter. Efron & Tibshirani, An Introduction to the Bootstrap (1993), 13.3."""
        if not 0.0 < level < 1.0:
            raise DataError(f"the level of an interval lies between 0 and 1, not at {level:g}", fix="such as 0.95")
        ends = (0.5 - level / 2, 0.5 + level / 2)
        found = {name: np.quantile(np.asarray(p, np.float64), ends, axis=0) for name, p in self.params.items()}
        return {name: (low, high) for name, (low, high) in found.items()}


def bootstrap(
    kernel: Kernel, bound: Bound, hypers: Mapping[str, float], seed: int, fits: int, watch: Watch | None = None
) -> Fits:
    """Fits of `fits` resamples of the training rows; row i of resample k is a function of (seed, k, i) alone.

    Transforms of the data stay those of the rows as given. Fits begin at the fit of all rows where the problem is
    certified convex and the method reads all rows, so that the start leaves no trace; elsewhere as the page says.
    """
    if fits < 2:
        raise DataError(f"{fits} resamples have no deviation", fix="give at least 2, such as 200")
    m = kernel.manifest
    row = _drawable(m)
    p = launch.problem(kernel, bound, hypers, seed)
    begin = p.x.copy()
    whole, _ = launch.train(p)
    start = whole if m["certificate"]["curvature"] == "convex" and m["optimizer"] is None else begin
    n = p.dims[row]
    found = []
    for k in range(fits):
        drawn = launch.resample(p, launch.bootstrap_rows(n, seed, k))
        found.append(_fit(replace(drawn, x=start.copy()), f"resample {k}"))
        if watch is not None:
            watch(k + 1, fits, found[-1][1]["loss"], found[-1][1]["gradient"])
    x = np.array([x for x, _ in found])
    reports = tuple(launch.report(kernel, row_, bound, hypers) for row_ in x)
    return Fits(
        kernel, p.dims, "resample", tuple(map(float, range(fits))), x, tuple(o for _, o in found), reports, whole
    )


def _drawable(m: Mapping) -> str:
    """The dim of the rows, where a row may be drawn for itself; DataError where others refer to it by its place."""
    row = m["row"]
    if row is None or not any(d["dims"][:1] == [row] for d in m["data"]):
        raise DataError("the page has no data with rows to draw from")
    if m.get("in_order"):
        raise DataError(
            f"rows of '{row}' cannot be drawn one by one: on line {m['in_order']} of the page they meet their neighbours",
            fix="standard errors come from the Hessian too: --errors",
        )
    bound_to = [g["name"] for g in m.get("graphs", ()) if g["nodes"] == row]
    bound_to += [p["name"] for p in m["params"] if row in p["shape"]]
    bound_to += [d["name"] for d in m["data"] if row in d["dims"][1:] or ((d["domain"] or {}).get("size") == row)]
    if bound_to:
        raise DataError(f"rows of '{row}' cannot be drawn one by one: '{bound_to[0]}' belongs to all of them together")
    return row


def path(
    kernel: Kernel,
    bound: Bound,
    hypers: Mapping[str, float],
    seed: int,
    name: str,
    values: Sequence[float],
    warm: bool = True,
    watch: Watch | None = None,
) -> Fits:
    """A fit for each value of a hyper-parameter, in the order given; `warm`: each begins where the one before ended."""
    if not values:
        raise DataError(f"no values of '{name}' are given", fix="such as 1e-3, 1e-2, 1e-1")
    for value in values:  # all are looked at before the first is trained
        launch.hypers(kernel, {**hypers, name: value})
    found, reports, start = [], [], None
    for value in values:
        given = {**hypers, name: float(value)}
        p = launch.problem(kernel, bound, given, seed, start)
        x, outcome = _fit(p, f"{name} = {value:g}")
        found.append((x, outcome))
        reports.append(launch.report(kernel, x, bound, given))
        start = x if warm else None
        if watch is not None:
            watch(len(found), len(values), outcome["loss"], outcome["gradient"])
    x = np.array([x for x, _ in found])
    return Fits(kernel, p.dims, name, tuple(map(float, values)), x, tuple(o for _, o in found), tuple(reports))


def _fit(p: Problem, which: str) -> tuple[np.ndarray, dict]:
    """One of the fits; an error says which."""
    try:
        return launch.train(p)
    except DivergedError as error:
        error.which = which
        raise

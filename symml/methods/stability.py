"""Fixed points of maps and flows, their eigenvalues and verdicts, and where these change along a hyper-parameter.

field = Field.of(program, states, hypers, sizes, flow=True)
fixed_points(field, starts)       ->  (Point(z, eigenvalues, verdict, residual), ...)       Newton from several starts
bifurcations(field, "r", 2, 4)    ->  (Bifurcation(at, z, kind), ...)      bisection along branches; folds by Moore and Spence
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from symml.calculus.second import jacobian
from symml.calculus.tangent import tangent
from symml.ir.evaluate import evaluate, extent
from symml.ir.program import Dim, Program, Tensor

STEPS, HALVINGS = 60, 12  # of Newton's method, and of one of its steps
RESIDUAL = 1e-11  # of a fixed point, relative to its size
SAME = 1e-6  # two fixed points nearer than this are one
MOST_POINTS = 16
NEUTRAL = 1e-8  # an eigenvalue so near to the border decides nothing
GRID = 120  # values of the hyper-parameter along which branches are followed
COMPLEX_STEP = 1e-30
DENSE = 200  # entries: of more the Jacobian is known by its products with vectors
LEADING, RESTARTS, CLOSE = 6, 30, 1e-9  # eigenvalues that are told then, of Arnoldi's method for them, their accuracy
PRODUCTS = 300  # at most for a step of Newton's method


@dataclass(frozen=True)
class Field:
    """z -> f(z) over all entries of the states, flat; of a map `period` times. `blocks` are the programs of d next / d state.

    products: the derivative along a direction and the inputs that hold it, where there are more than DENSE entries.
    """

    program: Program
    blocks: Mapping[tuple[str, str], Program]
    states: tuple[Tensor, ...]
    hypers: Mapping[Tensor, float]
    dims: Mapping[Dim, int]
    flow: bool
    period: int = 1
    products: tuple[Program, tuple[Tensor, ...]] | None = None

    @classmethod
    def of(
        cls, program: Program, states: tuple[Tensor, ...], hypers: Mapping, dims: Mapping, flow: bool, period: int = 1
    ) -> Field:
        """The field of a program whose outputs are `next NAME` for each state."""
        blocks = {(a.name, b.name): jacobian(program, f"next {a.name}", b).program for a in states for b in states}
        made = cls(program, blocks, states, hypers, dims, flow, period)
        along = tangent(program, [f"next {t.name}" for t in states], states) if made.size > DENSE else None
        return replace(made, products=along)

    @property
    def size(self) -> int:
        return sum(int(np.prod(self._shape(t))) for t in self.states)

    def _shape(self, t: Tensor) -> tuple[int, ...]:
        return tuple(extent(n, self.dims) for n in t.shape)

    def split(self, z: np.ndarray) -> dict[Tensor, np.ndarray]:
        """The entries as the states they are of."""
        found, at = {}, 0
        for t in self.states:
            shape = self._shape(t)
            size = int(np.prod(shape))
            found[t] = z[at : at + size].reshape(shape)
            at += size
        return found

    def at(self, name: str, value: float | complex) -> Field:
        """The field at another value of a hyper-parameter."""
        return replace(self, hypers={t: value if t.name == name else v for t, v in self.hypers.items()})

    def _inputs(self, z: np.ndarray) -> dict[Tensor, np.ndarray]:
        return {**self.split(z), **{t: np.asarray(v) for t, v in self.hypers.items()}}

    def value(self, z: np.ndarray) -> np.ndarray:
        """f(z), flat."""
        for _ in range(self.period):
            with np.errstate(all="ignore"):
                env = evaluate(self.program, self._inputs(z), self.dims)
            z = np.concatenate([np.ravel(env[self.program.outputs[f"next {t.name}"]]) for t in self.states])
        return z

    def jacobian(self, z: np.ndarray) -> np.ndarray:
        """df/dz, of a map over its period by the chain rule."""
        total = np.eye(z.size)
        for _ in range(self.period):
            total = self._rows(z) @ total
            z = replace(self, period=1).value(z)
        return total

    def times(self, z: np.ndarray, v: np.ndarray) -> np.ndarray:
        """df/dz v, by products alone."""
        program, directions = self.products
        for _ in range(self.period):
            along = dict(zip(directions, self.split(v).values(), strict=True))
            with np.errstate(all="ignore"):
                env = evaluate(
                    program, {t: a for t, a in (self._inputs(z) | along).items() if t in program.inputs}, self.dims
                )
            v = np.concatenate([np.ravel(env[program.outputs[f"t_next {t.name}"]]) for t in self.states])
            z = replace(self, period=1).value(z)
        return v

    def step(self, z: np.ndarray, gap: np.ndarray) -> np.ndarray | None:
        """Newton's step to gap = 0; None where the derivative is not finite."""
        if self.products is not None:
            from scipy.sparse.linalg import LinearOperator, gmres

            slope = LinearOperator(
                (z.size, z.size), lambda v: self.times(z, v) - (0.0 if self.flow else v), dtype=float
            )
            found, _ = gmres(slope, -gap, rtol=1e-10, restart=PRODUCTS, maxiter=1)
            return found if np.isfinite(found).all() else None
        slope = self.slope(z)
        return np.linalg.lstsq(slope, -gap, rcond=None)[0] if np.isfinite(slope).all() else None

    def eigenvalues(self, z: np.ndarray) -> np.ndarray:
        """Those of df/dz, of many the leading ones: rightmost of a flow, largest of a map; NaN where they are not found."""
        if self.products is None:
            return np.linalg.eigvals(self.jacobian(z))
        from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigs

        start, found = np.random.default_rng(0).normal(size=z.size), np.full(LEADING, np.nan, complex)
        derivative = LinearOperator((z.size, z.size), lambda v: self.times(z, v), dtype=float)
        which = "LR" if self.flow else "LM"
        try:
            values = eigs(
                derivative, LEADING, which=which, v0=start, maxiter=RESTARTS, tol=CLOSE, return_eigenvectors=False
            )
        except ArpackNoConvergence as some:
            values = some.eigenvalues
        except ArpackError:  # the derivative takes the start to 0
            values = []
        found[: len(values)] = values
        return found

    def _rows(self, z: np.ndarray) -> np.ndarray:
        inputs, rows = self._inputs(z), []
        with np.errstate(all="ignore"):
            for a in self.states:
                row = [evaluate(self.blocks[a.name, b.name], inputs, self.dims) for b in self.states]
                found = [
                    env[self.blocks[a.name, b.name].outputs["jacobian"]]
                    for env, b in zip(row, self.states, strict=True)
                ]
                sizes = [int(np.prod(self._shape(b))) for b in self.states]
                rows.append(np.concatenate([np.reshape(f, (-1, n)) for f, n in zip(found, sizes, strict=True)], axis=1))
        return np.concatenate(rows)

    def gap(self, z: np.ndarray) -> np.ndarray:
        """What is 0 at a fixed point."""
        return self.value(z) if self.flow else self.value(z) - z

    def slope(self, z: np.ndarray) -> np.ndarray:
        """The derivative of `gap`."""
        return self.jacobian(z) if self.flow else self.jacobian(z) - np.eye(z.size)


@dataclass(frozen=True)
class Point:
    """A fixed point: its entries, the eigenvalues of the Jacobian there, what they say, |gap|, and the period of its orbit."""

    z: np.ndarray
    eigenvalues: np.ndarray
    verdict: str
    residual: float
    period: int = 1


@dataclass(frozen=True)
class Bifurcation:
    """Where an eigenvalue of a branch of fixed points reaches the border."""

    at: float
    z: np.ndarray
    eigenvalue: complex
    kind: str


# fixed points


def newton(field: Field, z: np.ndarray) -> np.ndarray | None:
    """A fixed point from a start by Newton's method with halved steps; None where it is not reached."""
    gap = field.gap(z)
    for _ in range(STEPS):
        if not np.isfinite(gap).all():
            return None
        if np.linalg.norm(gap) <= RESIDUAL * (1.0 + np.linalg.norm(z)) * 1e-2:
            break
        step = field.step(z, gap)
        if step is None:
            return None
        for half in range(HALVINGS):
            new = z + step / 2**half
            found = field.gap(new)
            if np.linalg.norm(found) < np.linalg.norm(gap) or half == HALVINGS - 1:
                break
        if np.array_equal(new, z) or not np.linalg.norm(found) < np.linalg.norm(gap):
            break
        z, gap = new, found
    return z if np.linalg.norm(gap) <= RESIDUAL * (1.0 + np.linalg.norm(z)) else None


def fixed_points(field: Field, starts: list[np.ndarray], inside: tuple[np.ndarray, np.ndarray]) -> tuple[Point, ...]:
    """The fixed points that Newton's method finds from the starts and that lie between the bounds, each once, in order."""
    found: list[np.ndarray] = []
    low, high = inside
    for start in starts:
        z = newton(field, start)
        if z is None or not _new(z, found) or (z < low - SAME).any() or (z > high + SAME).any():
            continue
        found.append(z)
        if len(found) == MOST_POINTS:
            break
    return tuple(sorted((_point(field, z) for z in found), key=lambda p: tuple(np.round(p.z, 6))))


def _new(z: np.ndarray, found: list[np.ndarray]) -> bool:
    """Is a point none of those found?"""
    return all(np.linalg.norm(z - other) > SAME * (1.0 + np.linalg.norm(z)) for other in found)


def _point(field: Field, z: np.ndarray) -> Point:
    z = np.where(np.abs(z) < 1e-14, 0.0, z)
    values = field.eigenvalues(z)
    values = values[np.lexsort((values.imag, values.real))]
    returns = (
        k
        for k in range(1, field.period + 1)
        if not np.linalg.norm(replace(field, period=k).gap(z)) > SAME * (1 + np.linalg.norm(z))
    )
    told = verdict(values, field.flow) if field.products is None else _of_leading(values, field.flow)
    return Point(z, values[~np.isnan(values)], told, float(np.linalg.norm(field.gap(z))), next(returns))


def margins(values: np.ndarray, flow: bool) -> np.ndarray:
    """How far each eigenvalue is beyond the border: Re for flows, |.| - 1 for maps; negative is stable."""
    return values.real if flow else np.abs(values) - 1.0


def verdict(values: np.ndarray, flow: bool) -> str:
    """stable, unstable, saddle, centre of the linearisation, or not decided by it."""
    beyond = margins(values, flow)
    neutral = np.abs(beyond) <= NEUTRAL * np.maximum(1.0, np.abs(values))
    turning = (
        " focus" if (np.abs(values.imag) > NEUTRAL).any() and values.size == 2 else " node" if values.size <= 2 else ""
    )
    turning = turning if flow else ""
    if neutral.any():
        if neutral.all() and (np.abs(values.imag) > NEUTRAL).all():
            return "centre of the linearisation"
        if (beyond[~neutral] > 0).any():
            return "unstable"
        return "not decided by the linearisation"
    if (beyond < 0).all():
        return f"stable{turning}"
    return f"unstable{turning}" if (beyond > 0).all() else "saddle"


def _of_leading(values: np.ndarray, flow: bool) -> str:
    """What the leading eigenvalues alone decide."""
    found = values[~np.isnan(values)]
    if (margins(found, flow) > NEUTRAL).any():
        return "unstable"
    settled = found.size == values.size and (margins(found, flow) < -NEUTRAL).all()
    return "stable" if settled else "not decided by the leading eigenvalues"


# along a hyper-parameter


def bifurcations(
    field: Field, name: str, low: float, high: float, starts: list[np.ndarray], inside: tuple[np.ndarray, np.ndarray]
) -> tuple[Bifurcation, ...]:
    """Where branches of fixed points change their stability, or end, for values of one hyper-parameter between two."""
    found: list[Bifurcation] = []
    grid, passed = np.linspace(low, high, GRID + 1), {}
    for order in (grid, grid[::-1]):
        for k in (0, GRID // 2):
            for p in fixed_points(field.at(name, order[k]), starts, inside):
                if _new(p.z, passed.get(order[k], [])):  # a branch that another one went along
                    found += _along(field, name, order[k:], p.z, passed)
    kept: list[Bifurcation] = []
    for b in sorted(found, key=lambda b: (b.at, tuple(b.z))):
        within = low <= b.at <= high and (b.z >= inside[0] - SAME).all() and (b.z <= inside[1] + SAME).all()
        if within and all(abs(b.at - o.at) > SAME or not _same_place(b, o) for o in kept):
            kept.append(b)
    return tuple(kept)


def _same_place(a: Bifurcation, b: Bifurcation) -> bool:
    return bool(np.linalg.norm(a.z - b.z) <= 1e-4 * (1.0 + np.linalg.norm(a.z)))


def _along(
    field: Field, name: str, values: np.ndarray, z: np.ndarray, passed: dict[float, list[np.ndarray]]
) -> list[Bifurcation]:
    """What happens to one branch along the values; what it passes is noted."""
    found: list[Bifurcation] = []
    passed.setdefault(values[0], []).append(z)
    before = _unstable(field.at(name, values[0]), z)
    for left, right in pairwise(values):
        new = newton(field.at(name, right), z)
        if new is None or np.linalg.norm(new - z) > 0.2 * (1.0 + np.linalg.norm(z)):
            end = _fold(field, name, left, z)
            return [*found, *([end] if end is not None else [])]
        now = _unstable(field.at(name, right), new)
        if now != before:
            crossing = _crossing(field, name, left, right, z)
            found += [crossing] if crossing is not None else []
        z, before = new, now
        passed.setdefault(right, []).append(z)
    return found


def _unstable(field: Field, z: np.ndarray) -> int:
    return int((margins(field.eigenvalues(z), field.flow) > 0).sum())


def _crossing(field: Field, name: str, left: float, right: float, z: np.ndarray) -> Bifurcation | None:
    """The value at which the number of unstable eigenvalues changes, by bisection along the branch."""
    first = _unstable(field.at(name, left), z)
    for _ in range(80):
        middle = (left + right) / 2
        if middle in (left, right):
            break
        new = newton(field.at(name, middle), z)
        if new is None:
            return None
        if _unstable(field.at(name, middle), new) == first:
            left, z = middle, new
        else:
            right = middle
    values = field.at(name, left).eigenvalues(z)
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    critical = values[np.argmin(np.abs(margins(values, field.flow)))]
    return Bifurcation(float(left), z, complex(critical), _kind(critical, field.flow))


def _kind(critical: complex, flow: bool) -> str:
    if abs(critical.imag) > 1e-4:
        return (
            "Hopf: a pair of eigenvalues passes the imaginary axis"
            if flow
            else "Neimark-Sacker: a pair passes the unit circle"
        )
    if not flow and critical.real < 0:
        return "period doubling: an eigenvalue passes -1"
    return f"an exchange of stability: an eigenvalue passes {0 if flow else 1}"


def _fold(field: Field, name: str, at: float, z: np.ndarray) -> Bifurcation | None:
    """Where a branch ends: gap = 0, (d gap) v = 0, v'v = 1, solved by Newton with the complex step (Moore & Spence 1980)."""
    if field.products is not None:
        return None  # the system of a fold takes the derivative in full
    v = np.linalg.svd(field.at(name, at).slope(z))[2][-1]
    n, u = z.size, np.concatenate([z, v, [at]])

    def system(u: np.ndarray) -> np.ndarray:
        here = field.at(name, u[-1])
        return np.concatenate([here.gap(u[:n]), here.slope(u[:n]) @ u[n : 2 * n], [u[n : 2 * n] @ u[n : 2 * n] - 1.0]])

    for _ in range(STEPS):
        value = system(u)
        columns = [system(u + 1j * COMPLEX_STEP * unit).imag / COMPLEX_STEP for unit in np.eye(u.size)]
        step = np.linalg.lstsq(np.array(columns).T, -value, rcond=None)[0]
        u = u + step
        if not np.isfinite(u).all():
            return None
        if np.linalg.norm(step) <= 1e-13 * (1.0 + np.linalg.norm(u)):
            break
    if np.linalg.norm(system(u)) > 1e-9 or abs(u[-1] - at) > 0.1 * (1.0 + abs(at)):
        return None
    return Bifurcation(float(u[-1]), u[:n], 0j if field.flow else 1 + 0j, "fold: two fixed points meet and vanish")


def starts_within(
    field: Field, first: np.ndarray, inside: tuple[np.ndarray, np.ndarray], several: int = 60
) -> list[np.ndarray]:
    """The page's start, 0, 1 and some points at random between the bounds (unbounded: of deviation 2)."""
    rng = np.random.default_rng(0)
    low, high = inside
    bounded, above, below = np.isfinite(low) & np.isfinite(high), np.isfinite(low), np.isfinite(high)
    least, most = np.where(above, low, 0.0), np.where(below, high, 0.0)
    found = [first, np.zeros(field.size), np.ones(field.size)]
    for _ in range(several):
        z, u = 2.0 * rng.normal(size=field.size), rng.uniform(size=field.size)
        choices = [least + u * (most - least), least + np.abs(z), most - np.abs(z)]
        found.append(np.select([bounded, above, below], choices, z))
    return found

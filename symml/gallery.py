"""The gallery: every example of a project trained, compared with its independent oracle and on every target.

    project = find();  rows = [row(project, claim) for claim in claims(project, areas)]

The table (`tests/areas/gallery.toml`) names the line that a derivation must contain, the oracle and its bound; the oracles
are the functions of `tests/areas/oracles.py`, which the tests call too. The examples own neither.
"""

from __future__ import annotations

import importlib.util
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np

from symml import faces, pipeline
from symml.api import Fit
from symml.errors import FileError, NumericError, SpecError, UnsupportedError
from symml.runtime import cache, launch
from symml.runtime.launch_cuda import DeviceError, require_device
from symml.source import Source

TABLE = Path("tests") / "areas" / "gallery.toml"
ORACLES = TABLE.with_name("oracles.py")
EXACT = 1e-10  # the largest relative difference between two targets in double precision
ROUNDED = 2  # times what the last bit of the data makes, where that alone makes more
TARGETS = ("reference", "module", "cuda")  # beside the compiled CPU, with which each is compared
STEPS = {"epochs": 2, "iterations": 5}  # of a run that the interpreter goes along
COLUMNS = ("area", "example", "derivation", "trained", "oracle", "figure", "bound", "targets", "ok")


@dataclass(frozen=True)
class Claim:
    """A line of the table: an example that is said to work, with an oracle and its bound; or, without an example, what an
    area still lacks (`derivation` then says it).

    ask: a product of `symml derive` whose lines are looked at too, such as steps or order 2; vary: of a page whose states move.
    """

    area: int
    name: str
    example: str
    derivation: str
    oracle: str = ""
    figure: str = ""
    bound: float = math.inf
    ask: str = ""
    vary: str = ""


@dataclass(frozen=True)
class Project:
    """The folder that holds examples, table and oracles; what was trained once serves several rows."""

    root: Path

    @cached_property
    def table(self) -> Mapping:
        """The table as it is written."""
        return tomllib.loads((self.root / TABLE).read_text(encoding="utf-8"))

    @cached_property
    def oracles(self) -> ModuleType:
        """The module of the oracles, which needs the development packages."""
        spec = importlib.util.spec_from_file_location("symml_oracles", self.root / ORACLES)
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except ModuleNotFoundError as problem:
            raise FileError(
                f"the gallery compares with other libraries, and '{problem.name}' is not installed",
                fix="install the development packages: uv sync",
            ) from None
        return module

    def page(self, example: str) -> Source:
        """An example's text."""
        return pipeline.read(self.root / "examples" / f"{example}.symml")


def find() -> Project:
    """The project that this package lies in, else the one in the current folder."""
    for root in (Path(__file__).parent.parent, Path.cwd()):
        if (root / TABLE).is_file() and (root / "examples").is_dir():
            return Project(root)
    raise FileError("there is no gallery here", fix="run it in the folder of symml's own repository")


def claims(project: Project, areas: Sequence[int] = ()) -> list[Claim]:
    """The lines of the table for some areas, or for all: first what works, then what is open."""
    known = [a["area"] for a in project.table["areas"]]
    wrong = [a for a in areas if a not in known]
    if wrong:
        raise SpecError(f"there is no area {wrong[0]}", fix=f"areas are numbered {known[0]} to {known[-1]}")
    lines = []
    for a in project.table["areas"]:
        if not areas or a["area"] in areas:
            lines += [Claim(a["area"], a["name"], **given) for given in a.get("rows", ())]
            lines += [Claim(a["area"], a["name"], "", a["open"])] if a.get("open") else []
    return lines


def row(project: Project, claim: Claim, known: dict[str, tuple[Fit, dict]], asked: Sequence[str] = TARGETS) -> dict:
    """One row: the example trained, its figure by the oracle, the targets that are asked for; `ok` where all of it holds.

    known: fits and targets by example, filled here, so that an example with two oracles is trained once.
    """
    if not claim.example:
        return {**dict.fromkeys(COLUMNS), "area": claim.area, "name": claim.name, "ok": False, "open": claim.derivation}
    oracle, source = getattr(project.oracles, claim.figure), project.page(claim.example)
    if pipeline.is_system(source):
        return _moving(claim, source, oracle)
    if claim.example not in known:
        result = pipeline.train(source, pipeline.Options(), {}, None)
        known[claim.example] = Fit(result), targets(source, result, asked)
    fit, agreement = known[claim.example]
    lines_ = faces.screen(fit._result)
    if claim.ask:
        product, _, argument = claim.ask.partition(" ")
        rows = pipeline.derivations(source, False, None, "matrix", {}, product=product, argument=argument)
        lines_ += pipeline.told(rows, "text")
    shown, figure = claim.derivation in "\n".join(lines_), float(oracle(fit))
    facts = {**_told(claim, shown, figure, f"{fit.status}, {fit._result.outcome['steps']} steps"), "targets": agreement}
    return {**facts, "ok": bool(shown and figure <= claim.bound and all(t["ok"] for t in agreement.values()))}


def _moving(claim: Claim, source: Source, oracle: Callable[[dict], float]) -> dict:
    """A row of a page whose states move: analysed by the interpreter, there is nothing to train on a target."""
    name, _, ends = claim.vary.partition("=")
    low, _, high = ends.partition("..")
    found = pipeline.analysed(source, {}, (name, float(low), float(high)) if name else None)
    shown = claim.derivation in "\n".join(pipeline.analysis_lines(found, "text"))
    figure = float(oracle(found))
    facts = _told(claim, shown, figure, f"{len(found['fixed_points'])} fixed points")
    return {**facts, "targets": {}, "ok": bool(shown and figure <= claim.bound)}


def _told(claim: Claim, shown: bool, figure: float, trained: str) -> dict:
    return {
        "area": claim.area,
        "name": claim.name,
        "example": claim.example,
        "derivation": claim.derivation if shown else None,
        "trained": trained,
        "oracle": claim.oracle,
        "figure": figure,
        "bound": claim.bound,
    }


# targets


def targets(source: Source, result: pipeline.Result, asked: Sequence[str] = TARGETS) -> dict[str, dict]:
    """How each target agrees with the compiled CPU: {target: {"ok": ..., "told": ...}}; what could not be asked is told."""
    data, ask = given(result), {"reference": _reference, "module": _module, "cuda": _cuda}
    return {target: ask[target](source, data) for target in asked}


def given(result: pipeline.Result) -> dict[str, np.ndarray]:
    """The data of a fit as arrays by name, to be given to another one."""
    m, arrays = result.kernel.manifest, result.bound.arrays
    edges = {
        g["name"]: np.column_stack([arrays[g["name"] + "_tail"], arrays[g["name"] + "_head"]]) for g in m["graphs"]
    }
    return {**{d["name"]: arrays[d["name"]] for d in m["data"]}, **edges}


def _reference(source: Source, data: Mapping[str, np.ndarray]) -> dict:
    """The interpreter."""
    return _compared(source, "reference", data)


def _compared(source: Source, target: str, data: Mapping[str, np.ndarray]) -> dict:
    """Value, gradient and the first updates of a target against the CPU's, as the largest relative difference. Where that is
    more than EXACT, it is compared with what the CPU itself makes of data without their last bit: a problem that multiplies
    rounding errors as much as that has no updates that are known more closely."""
    one, other = _begun(source, "cpu", data), _begun(source, target, data)
    worst = _largest(one, other)
    if worst <= EXACT:
        return {"ok": True, "told": f"{worst:.0e}", "difference": worst}
    moved = _largest(one, _begun(source, "cpu", {name: _rounded(a) for name, a in data.items()}))
    told = f"{worst:.0e} (the data's last bit: {moved:.0e})"
    return {"ok": bool(worst <= ROUNDED * moved < math.inf), "told": told, "difference": worst, "last_bit": moved}


def _rounded(a: np.ndarray) -> np.ndarray:
    """Numbers without their last bit, which keeps their signs, whole numbers and symmetry."""
    return (a.view(np.int64) & ~1).view(np.float64) if a.dtype == np.float64 else a


def _largest(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    return max(_difference(a, b) for a, b in zip(one, other, strict=True))


def _begun(source: Source, target: str, data: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The losses of the first steps and the parameters after the first one and after all of them; the first update of
    either method is a function of the first gradient alone."""
    kernel, _, bound, seed = pipeline.prepared(source, pipeline.Options(target=target), data, None)
    found = []
    for share in (1, None):
        p = launch.problem(_shortened(kernel, share), bound, {}, seed)
        x, outcome = launch.train(p)
        found += [np.array(outcome["history"]), x.astype(np.float64)]
    return found


def _shortened(kernel: launch.Kernel, most: int | None) -> launch.Kernel:
    """The same kernel with a run of few steps."""
    method = kernel.manifest["method"]
    few = {k: min(v, STEPS[k] if most is None else most) if k in STEPS else v for k, v in method["options"].items()}
    return replace(kernel, manifest={**kernel.manifest, "method": {**method, "options": few}})


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    """Of two arrays, relative to the largest entry; infinite where they have different shapes or are not finite."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.inf
    return float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-300))


def _module(source: Source, data: Mapping[str, np.ndarray]) -> dict:
    """The standalone module trains to the bits of the kernel."""
    text = pipeline.emit(source, pipeline.Options())
    path = cache.entry(cache.key(text, "standalone")) / "standalone.py"
    ours = pipeline.train(source, pipeline.Options(), data, None)
    theirs = launch.load_module(path, text).fit(data)
    same = np.array_equal(ours.x, theirs["x"]) and list(ours.outcome["history"]) == list(theirs["history"])
    return {"ok": bool(same), "told": "same bits" if same else "other bits"}


def _cuda(source: Source, data: Mapping[str, np.ndarray]) -> dict:
    """The CUDA target where there is a GPU; a page that it refuses is told, and one that was not run as well."""
    try:
        pipeline.build(source, pipeline.Options(target="cuda"))
        require_device()
        return _compared(source, "cuda", data)
    except UnsupportedError:
        return {"ok": True, "told": "not supported"}
    except DeviceError:
        return {"ok": True, "told": "not run here"}


# what a person sees


def failing(rows: Sequence[Mapping]) -> NumericError | None:
    """The error of a gallery whose claims do not all hold."""
    wrong = [r["example"] for r in rows if r["example"] and not r["ok"]]
    return NumericError(f"{', '.join(wrong)} does not do what the gallery claims") if wrong else None


def lines(rows: Sequence[Mapping]) -> list[str]:
    """The table, a line a row, columns aligned."""
    told = [("area", "example", "oracle", "figure", "bound", "trained", "targets", "ok"), *map(_cells, rows)]
    wide = [max(len(cells[k]) for cells in told if len(cells) > 3) for k in range(len(told[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(cells, wide, strict=False)).rstrip() for cells in told]


def _cells(r: Mapping) -> tuple[str, ...]:
    if not r["example"]:
        return str(r["area"]), "", f"open: {r['open']}"
    agreement = ", ".join(f"{name} {t['told']}" for name, t in r["targets"].items())
    ok = "ok" if r["ok"] else "no" if r["derivation"] else "no: the derivation is not shown"
    figures = (f"{r['figure']:.1e}", f"{r['bound']:.0e}")
    return str(r["area"]), r["example"], r["oracle"], *figures, r["trained"], agreement, ok

"""The first result of a page whose tuned kernel is not compiled yet: by a plain kernel, while the tuned one is compiled.

cold = first.cold(folder, assembled)     None where the tuned kernel is there, or compiles soon
cold.result(bound, hypers, seed, fit)    fit(plain kernel), or None where the tuned one is ready before

A fit is one kernel's from its first step to its last: where the tuned kernel is ready before the plain one has ended, the
fit begins anew. The plain kernel is the reference target, whose results agree with the tuned kernel's to rounding.
"""

from __future__ import annotations

import ast
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from symml.runtime import behind, cache
from symml.runtime.behind import Overtaken
from symml.runtime.launch import Kernel, is_large, is_wide, shape

if TYPE_CHECKING:
    from symml.loops.plan import Plan
    from symml.loops.work import Work
    from symml.results import Result
    from symml.runtime.bind import Bound

SWITCH = "SYMML_PLAIN"  # 0 in the environment: every result is the tuned kernel's
LONG = 2.0  # seconds to compile, from which on a plain kernel goes ahead
NODE = 1.2e-3  # seconds to compile a node of the module's syntax tree, roughly
STEP = 0.5  # seconds of a step of the plain kernel, up to which it is worth to begin with it
LARGEST = 2e7  # entries of a grid that the plain kernel holds in memory
STATEMENT, ENTRY, LOOP = 6e-5, 1e-8, 1.5e-7  # seconds of a statement, of an entry of its grid, of a round of a loop
BY_ENTRIES = ("lbfgs", "minibatch", "descent", "proximal_gradient", "trust_region", "alternating")
BY_ENTRIES += ("lbfgs_b", "augmented_lagrangian")


@dataclass(frozen=True)
class Cold:
    """A page whose tuned kernel is not compiled: manifest, what makes its Plan, its entry in the cache. A Plan is made only for
    data that the manifest's kernel takes: large data and many unknowns have another, which may be compiled."""

    manifest: Mapping
    planned: Callable[[], Plan]
    folder: Path

    @cached_property
    def plan(self) -> Plan:
        """The Plan of the kernel."""
        return self.planned()

    def is_light(self, bound: Bound) -> bool:
        """Is a step of the plain kernel a matter of moments, with these data?"""
        if is_large(self.manifest, bound.dims) or is_wide(self.manifest, bound.dims):
            return False
        dims = {**bound.dims, **self.manifest["sizes"]}
        if self.plan.batch is not None:
            dims[self.plan.batch.name] = int(min(self.manifest["method"]["options"]["batch"], dims[self.plan.row.name]))
        found = self._work({d: dims[d.name] for d in self.plan.dims if d.name in dims})
        if found is None or found.largest > LARGEST:
            return False
        seconds = STATEMENT * found.statements + ENTRY * found.entries
        return seconds + LOOP * _rounds(self.manifest, dims) <= STEP

    def _work(self, dims: Mapping) -> Work | None:
        """The work of the function that takes most; None where a size is not known before the run."""
        from symml.loops.work import work

        if len(dims) < len(self.plan.dims):
            return None
        found = [work(f.program, dims) for f in self.plan.functions]
        return max(found, key=lambda w: STATEMENT * w.statements + ENTRY * w.entries + 1e9 * (w.largest > LARGEST))

    def result(
        self, bound: Bound, hypers: Mapping[str, float], seed: int, fit: Callable[[Kernel], Result]
    ) -> Result | None:
        """What `fit` makes of the plain kernel, beside the process that compiles the tuned one; None where that is ready
        before, or the plain kernel would take long. A KeyboardInterrupt ends the process too."""
        if not self.is_light(bound):
            return None
        from symml.targets.reference import namespace

        process, racing = behind.start(self.folder, "float64", bound, hypers, seed), [True]

        def before() -> None:
            if racing:
                process.check()

        try:
            return fit(Kernel(self.manifest, namespace(self.plan, before), "float64", plain=True))
        except Overtaken:
            return None
        except KeyboardInterrupt:
            process.stop()
            raise
        finally:
            racing.clear()  # predictions of the result are never given up


def cold(folder: Path, assembled: Callable[[], tuple[str, dict, Plan]]) -> Cold | None:
    """What a plain kernel needs; None where the tuned one is compiled, compiles soon, or cannot be compiled behind."""
    if os.environ.get(SWITCH) == "0":
        return None
    found = cache.load(folder)
    if found is not None and (cache.holds(folder, found[1]["method"]["algorithm"]) or not behind.possible(folder)):
        return None
    made = assembled() if found is None else None
    if made is not None:
        from symml.targets import whitelist

        whitelist.check(made[0])
        with cache.locked(folder):
            found = cache.load(folder) or cache.store(folder, *made[:2])
    text, facts = found
    if seconds_to_compile(text) < LONG or not behind.possible(folder):
        return None
    return Cold(json.loads(json.dumps(facts)), lambda: (made or assembled())[2], folder)


def seconds_to_compile(text: str) -> float:
    """A rough estimate, by the size of a module."""
    return NODE * sum(1 for _ in ast.walk(ast.parse(text)))


def _rounds(m: Mapping, dims: Mapping[str, int]) -> float:
    """Rounds of the algorithm's own loops in a step: a few for each parameter and pair of memory, the cube for matrices;
    an epoch's permutation counts as one step."""
    method, functions = m["method"], m["functions"]
    p = sum(math.prod(shape(dims, q["shape"])) for q in m["params"])
    if method["algorithm"] in BY_ENTRIES:
        return 8.0 * p * method["options"].get("memory", 1) + 60.0 * (dims.get(m["row"], 0) if m["batch"] else 0)
    p += sum(math.prod(shape(dims, s)) for s in method["facts"]["unknowns"])
    parts = [f for name in ("conditions", "residuals") for f in functions.get(name, {"parts": []})["parts"]]
    return float(p) * p * (p + sum(math.prod(shape(dims, s)) for s in parts))

"""The gradient functions of many pages in few modules, compiled by numba or run as plain Python, against the interpreter.

compare(cases)                       ->  one line for each disagreement
compare(cases, run=plain_module)     the printed text without numba: what the fault run uses, many times faster
"""

from __future__ import annotations

import ast
import types
from collections.abc import Callable, Sequence

import numpy as np
import sympy
from trust.oracle import Case

from symml.ir.evaluate import evaluate
from symml.ir.functions import FUNCTIONS
from symml.loops.plan import Function, Plan, Start
from symml.loops.schedule import schedule
from symml.proof.complex_step import relative
from symml.runtime.launch import shape
from symml.targets import whitelist
from symml.targets.numba_cpu.bodies import RENAMED
from symml.targets.numba_cpu.config import Config
from symml.targets.numba_cpu.wrap import module_source
from symml.training.compose import all_dims

PAGES_A_MODULE = 25
BOUND = 1e-10
NAME = "value_and_grad"


def printed(c: Case, source: Callable[[Plan, Config], tuple] = module_source) -> tuple[str, dict, Plan]:
    """A module that holds the gradient function only, its manifest and its plan; `source` prints it for a target."""
    a = c.analysis
    program = c.printed or a.derivative
    function = Function(NAME, "gradient", schedule(program), "loss")
    hypers = tuple(h.tensor for h in a.model.hypers.values())
    dims = all_dims([a.program, program], a.model.over)
    starts = tuple(Start(t, "constant", (sympy.Integer(0),)) for t in a.model.over)
    plan = Plan(a.model.over, hypers, dims, (function,), starts, "")
    text, functions = source(plan, Config())
    whitelist.check(text)
    return text, functions[NAME], plan


def joined(texts: Sequence[str]) -> str:
    """One module of several: what they share stands once, gradient functions are numbered."""
    lines: dict[str, None] = {}
    for k, text in enumerate(texts):
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and node.name == NAME:
                node.name = f"{NAME}_{k}"
            elif isinstance(node, ast.FunctionDef) and node.name == "initialise":
                continue
            lines[ast.unparse(node)] = None
    return "\n".join(lines).replace("cache=True, ", "") + "\n"


def numba_module(text: str) -> types.ModuleType:
    """The module as it is used."""
    module = types.ModuleType("generated")
    exec(compile(text, "<generated>", "exec"), module.__dict__)
    return module


def plain_module(text: str) -> types.ModuleType:
    """The same text as plain Python: primitives take the values of the table of functions."""
    module = types.ModuleType("generated")
    kept = [
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.Import) or (isinstance(node, ast.FunctionDef) and not node.name.endswith("_f64"))
    ]
    for node in kept:
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
    module.__dict__["real"] = np.float64
    for name, row in FUNCTIONS.items():
        module.__dict__[f"{RENAMED.get(name, name)}_f64"] = row.numpy
    exec(compile(ast.Module(kept, []), "<generated>", "exec"), module.__dict__)
    return module


def called(function: Callable, c: Case, facts: dict, plan: Plan) -> dict[str, np.ndarray]:
    """The loss and the gradients by name. Work arrays start full of rubbish: nothing may rely on zeros."""
    sizes = {d.name: c.dims[d] for d in plan.dims if d in c.dims}
    data = {
        t.name: np.asarray(v, np.int64 if t.integer else np.float64) for t, v in c.values.items() if t.kind == "data"
    }
    work = tuple(np.full(shape(sizes, b["shape"]), 77, b["dtype"]) for b in facts["work"])
    x = np.concatenate([np.ravel(c.values[t]) for t in plan.params]).astype(np.float64)
    g = np.full(x.shape, 77.0)
    tuple_ = (
        np.array([sizes.get(d.name, 0) for d in plan.dims], np.int64),
        np.array([float(c.values.get(h, 1.0)) for h in plan.hypers]),
        *(np.ascontiguousarray(data[name]) for name in facts["data"]),
    )
    with np.errstate(all="ignore"):
        out = {"loss": np.asarray(function(x, g, tuple_, work))}
    at = 0
    for t in plan.params:
        count = np.size(c.values[t])
        out[f"d_{t.name}"] = g[at : at + count].reshape(np.shape(c.values[t]))
        at += count
    return out


def differing(c: Case, found: dict[str, np.ndarray]) -> list[str]:
    """Names whose values are not the interpreter's."""
    d = c.analysis.derivative
    with np.errstate(all="ignore"):
        env = evaluate(d, c.values, c.dims)
    truth = {name: np.asarray(env[t]) for name, t in d.outputs.items()}
    errors = {name: relative(found[name], truth[name]) for name in found}
    return [f"{c.analysis.model.name}: {name} is off by {e:.1e}" for name, e in errors.items() if not e <= BOUND]


def compare(cases: Sequence[Case], run: Callable[[str], types.ModuleType] = numba_module) -> list[str]:
    """Every disagreement of compiled functions with the interpreter."""
    wrong = []
    for start in range(0, len(cases), PAGES_A_MODULE):
        part = cases[start : start + PAGES_A_MODULE]
        made = [printed(c) for c in part]
        module = run(joined([text for text, _, _ in made]))
        for k, (c, (_, facts, plan)) in enumerate(zip(part, made, strict=True)):
            wrong += differing(c, called(getattr(module, f"{NAME}_{k}"), c, facts, plan))
    return wrong

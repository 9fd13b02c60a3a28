"""The kernel of a page: from the cache, or made from its text.

    kernel(source, options)  ->  Kernel, whether it was cached
    build(source, options)   ->  the module's source and manifest

Rooms are imported inside functions, so that a warm run (a cached kernel) loads neither sympy nor lark.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from symml.analysis import analyse
from symml.source import Source

if TYPE_CHECKING:
    from symml.loops.plan import Plan
    from symml.model.model import Model
    from symml.pipeline import Options
    from symml.runtime.launch import Kernel


def build(source: Source, options: Options) -> tuple[str, dict]:
    """The module's source and manifest, from text."""
    from symml.targets import whitelist

    text, facts, _ = assembled(source, options)
    whitelist.check(text)
    return text, facts


def assembled(source: Source, options: Options) -> tuple[str, dict, Plan]:
    """Source, manifest and Plan of a kernel."""
    from symml.assemble.curvature import curvature_plan, errors_plan, sandwich_plan
    from symml.assemble.manifest import manifest
    from symml.assemble.plan import plan
    from symml.derivations import gradients

    a = analyse(source)
    plans = {"errors": errors_plan, "sandwich": sandwich_plan, "curvature": curvature_plan}
    plan_, more = plans[options.purpose](a) if options.purpose in plans else (plan(a, options), {})
    text, functions = _module_source(plan_, options, a.model)
    rows = gradients.formulas(a) if options.purpose == "fit" else []
    return text, {**manifest(a, plan_, functions, rows, options), **more}, plan_


def _module_source(plan_: Plan, options: Options, model: Model) -> tuple[str, dict]:
    """The module of a target: source and manifest of its functions."""
    if options.target == "cuda":
        from symml.targets.numba_cuda.config import Config as CudaConfig
        from symml.targets.numba_cuda.wrap import module_source as cuda_source

        pairs = int(model.train.options.get("memory", 0)) if model.train else 0
        return cuda_source(plan_, CudaConfig(options.dtype, scratch=max(CudaConfig.scratch, pairs)))
    from symml.targets.numba_cpu.config import Config
    from symml.targets.numba_cpu.wrap import module_source

    return module_source(plan_, Config(options.dtype, options.boundscheck, options.chunks, model.sizes))


def entry(source: Source, options: Options) -> Path:
    """The folder of a page's kernel in the cache."""
    from symml.runtime import cache

    named = (source.text, options.target, options.dtype, str(options.boundscheck), options.purpose)
    return cache.entry(cache.key(*named, *(w for w in ("chunks", "large", "inside") if getattr(options, w))))


def kernel(source: Source, options: Options) -> tuple[Kernel, bool]:
    """The compiled kernel of a page, and whether it came from the cache."""
    from symml.runtime import cache
    from symml.runtime.launch import Kernel, load_module

    if options.target == "reference":
        return _reference(source, options), False
    if options.target == "cuda":
        from symml.runtime.launch_cuda import require_device

        require_device()
    folder = entry(source, options)
    found = cache.load(folder)
    if found is None:
        with cache.locked(folder):
            text, facts = cache.load(folder) or cache.store(folder, *build(source, options))
    else:
        text, facts = found
    from symml.targets import whitelist

    whitelist.check(text)
    return Kernel(facts, load_module(folder / "kernel.py", text), options.dtype), found is not None


def for_sizes(
    source: Source, options: Options, found: tuple[Kernel, bool], dims: Mapping[str, int]
) -> tuple[Kernel, bool]:
    """The kernel itself, or that of large data: its passes over rows are cut in chunks, which threads share; of many unknowns:
    by a method without matrices of second derivatives."""
    from symml.runtime.crew import usable_threads
    from symml.runtime.launch import cut_manifest, is_large, is_wide

    k, cached = found
    if options.target != "cuda" and not options.large and is_wide(k.manifest, dims):
        options = replace(options, large=True)
        k, cached = found = kernel(source, options)
    if options.target == "cuda" or not is_large(k.manifest, dims):
        return found
    if options.target == "cpu":
        other, again = kernel(source, replace(options, chunks=True))
        k, cached = replace(k, module=other.module), cached and again
    return replace(k, manifest=cut_manifest(k.manifest), threads=options.threads or usable_threads()), cached


def _reference(source: Source, options: Options) -> Kernel:
    from symml.runtime.launch import Kernel
    from symml.targets.reference import namespace

    _, facts, plan_ = assembled(source, options)
    return Kernel(json.loads(json.dumps(facts)), namespace(plan_), options.dtype)

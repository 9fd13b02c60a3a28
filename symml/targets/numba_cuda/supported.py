"""What the CUDA target cannot do yet, said with its place before anything is printed.

refuse(plan, ...)        # UnsupportedError names the first node that has no CUDA text
"""

from __future__ import annotations

from symml.errors import UnsupportedError
from symml.ir.functions import BY_CLASS
from symml.ir.program import Node, Statement, outs, parts
from symml.loops.plan import Plan
from symml.loops.program import Call, Gemm, Item, Nest, Rounds, Steps, statements_of
from symml.source import Span

ITEMS = (Nest, Gemm, Steps, Rounds)
REDUCTIONS = ("none", "sum", "prod", "max", "min", "logsumexp", "argmax", "argmin")
FIX = "--target cpu"
MOST_SCRATCH = 2048  # double numbers of shared memory, beside the tiles of the matrix product


def refuse(plan: Plan, scratch: int, algorithms: tuple[str, ...], functions: frozenset[str]) -> None:
    """`algorithms` and `functions` (of numbers) are those that the target has, `scratch` the numbers it is to keep."""
    if scratch > MOST_SCRATCH:
        raise UnsupportedError(
            f"the CUDA target keeps at most {MOST_SCRATCH} pairs of L-BFGS, not {scratch}",
            fix=f"a smaller memory, or {FIX}",
        )
    if plan.algorithm and plan.algorithm not in algorithms:
        raise UnsupportedError(f"the CUDA target does not train by '{plan.algorithm}' yet", fix=FIX)
    if plan.noise:
        raise UnsupportedError("the CUDA target does not draw noise yet", plan.noise[0].span, fix=FIX)
    if plan.optimizer is not None and plan.optimizer.by_tensor:
        raise UnsupportedError(f"the CUDA target does not train by '{plan.optimizer.name}' yet", fix=FIX)
    programs = [f.program for f in plan.functions] + ([plan.update] if plan.update else [])
    for region in (region for p in programs for region in p.regions):
        for item in region.items:
            _refuse_item(item)
        for s in statements_of(region):
            _refuse_statement(s, functions)


def _refuse_item(item: Item) -> None:
    if isinstance(item, ITEMS):
        for inner in getattr(item, "items", ()):
            _refuse_item(inner)
        return
    what = f"'{item.node.op}' of whole tensors" if isinstance(item, Call) else type(item).__name__
    raise UnsupportedError(f"the CUDA target does not compute {what} yet", _place(item.node), fix=FIX)


def _refuse_statement(s: Statement, functions: frozenset[str]) -> None:
    used = {BY_CLASS.get(f.func, f.func.__name__) for e in parts(s) for f in e.atoms(*BY_CLASS)}
    missing = sorted(used - functions) + [s.reduce] * (s.reduce not in REDUCTIONS)
    if missing:
        raise UnsupportedError(f"the CUDA target does not compute '{missing[0]}' yet", _place(s), fix=FIX)


def _place(node: Node) -> Span | None:
    """Where the page says it: the node's own place, or that of what it defines or belongs to."""
    spans = [node.span, *(t.span for t in outs(node)), *(t.adjoint_of.span for t in outs(node) if t.adjoint_of)]
    return next((s for s in spans if s is not None), None)

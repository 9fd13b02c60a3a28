"""An algorithm's text for one thread, turned into the text that every thread of a block runs.

    total = 0.0                                  total = 0.0
    for i in range(n):                           part1 = 0.0
        total += a[i] * b[i]          ->         for i in range(cuda.threadIdx.x, n, THREADS):
                                                     part1 += a[i] * b[i]
                                                 total += device_block_sum(part1, shared)

Arrays are shared, local names are each thread's own and equal in all threads; so control flow is uniform. Rules:

1. A loop whose steps are independent is shared out: its body stores only at the loop's own place (last index) and adds to
   local names, reads what it stores at that place only, and calls nothing but functions of numbers.
2. Any other store to an array is done by thread 0, between two barriers.
3. `name = np.zeros(m)` becomes the block's scratch of SCRATCH numbers, set to zero; one such line in a module.
4. A function of the block is given `shared`, and begins with a barrier where it may store (printed functions do).

Everything else runs in every thread. What the algorithm means does not change; sums are taken in another, fixed order.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable

from symml.names import Names

PREFIX = "device_"
PURE = ("float", "int", "abs", f"{PREFIX}min", f"{PREFIX}max")
SHARED = "shared"


def definitions(text: str) -> tuple[list[ast.FunctionDef], list[str]]:
    """The functions of a text, and its constants as source."""
    tree = ast.parse(text).body
    return [n for n in tree if isinstance(n, ast.FunctionDef)], [
        ast.unparse(n) for n in tree if isinstance(n, ast.Assign)
    ]


def block_function(node: ast.FunctionDef, alone: Iterable[str], together: Iterable[str]) -> ast.FunctionDef:
    """An algorithm's function for a block. `alone` are the names of device functions that a thread calls by itself,
    `together` of those that the block calls, this one among them."""
    node = renamed(node, alone, together)
    node.args.args.append(ast.arg(SHARED))
    return _Block().function(node)


def renamed(node: ast.FunctionDef, alone: Iterable[str], together: Iterable[str]) -> ast.FunctionDef:
    """A copy that calls device functions by their names there."""
    return _Renaming(frozenset(alone), frozenset(together)).visit(copy.deepcopy(node))


class _Renaming(ast.NodeTransformer):
    def __init__(self, alone: frozenset[str], together: frozenset[str]) -> None:
        self.alone, self.together = alone, together

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.name = PREFIX + node.name
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in self.alone | self.together:
            if node.func.id in self.together and SHARED not in map(ast.unparse, node.args):
                node.args.append(ast.Name(SHARED, ast.Load()))
            node.func.id = PREFIX + node.func.id
        return node


class _Block:
    """Rewrites the statements of one function."""

    def __init__(self) -> None:
        self.fresh = Names()

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
            node.body = node.body[1:]
        node.body = self._statements(node.body)
        return ast.fix_missing_locations(node)

    def _statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        out = [line for node in body for line in self._statement(node)]
        return [node for k, node in enumerate(out) if not (k and _is_barrier(node) and _is_barrier(out[k - 1]))]

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.For) and (sums := _independent(node)) is not None:
            return self._shared_out(node, sums)
        if isinstance(node, ast.For | ast.While | ast.If):
            node.body = self._statements(node.body)
            node.orelse = self._statements(node.orelse)
            return [node]
        if _stores(node):
            return self._stored_once(node)
        assert not any(isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store) for n in ast.walk(node)), (
            f"one store a statement: {ast.unparse(node)}"
        )
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("np.zeros("):
            return self._scratch(node)
        return [node]

    def _shared_out(self, loop: ast.For, sums: list[str]) -> list[ast.stmt]:
        """Each thread takes every THREADS-th step; sums are put together over the block."""
        (extent,) = loop.iter.args
        loop.iter = _expr(f"range(cuda.threadIdx.x, {ast.unparse(extent)}, THREADS)")
        parts = {name: self.fresh.fresh("part") for name in sums}
        for node in loop.body:
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                node.target.id = parts[node.target.id]
        stores = any(_stores(node) for node in loop.body)
        before = ast.parse("\n".join(f"{part} = 0.0" for part in parts.values())).body
        after = "\n".join(f"{name} += {PREFIX}block_sum({part}, {SHARED})" for name, part in parts.items())
        around = _barrier() if stores else []
        return [*around, *before, loop, *around, *ast.parse(after).body]

    def _stored_once(self, node: ast.Assign | ast.AugAssign) -> list[ast.stmt]:
        """Thread 0 stores; a value that takes the whole block is computed by all threads before."""
        before: list[ast.stmt] = []
        if any(isinstance(n, ast.Call) and not _is_pure(n.func) for n in ast.walk(node.value)):
            name = self.fresh.fresh("value")
            before = [ast.Assign([ast.Name(name, ast.Store())], node.value)]
            node.value = ast.Name(name, ast.Load())
        return [*before, *_barrier(), ast.If(_expr("cuda.threadIdx.x == 0"), [node], []), *_barrier()]

    def _scratch(self, node: ast.Assign) -> list[ast.stmt]:
        name, extent = ast.unparse(node.targets[0]), ast.unparse(node.value.args[0])
        at = self.fresh.fresh("at")
        lines = [
            f"_, _, _, _, {name} = {SHARED}",
            "cuda.syncthreads()",
            f"for {at} in range(cuda.threadIdx.x, {extent}, THREADS):\n    {name}[{at}] = 0.0",
            "cuda.syncthreads()",
        ]
        return ast.parse("\n".join(lines)).body


def _independent(loop: ast.For) -> list[str] | None:
    """The names a loop adds to, where its steps are independent of each other; else None."""
    counted = isinstance(loop.iter, ast.Call) and ast.unparse(loop.iter.func) == "range" and len(loop.iter.args) == 1
    if not counted or not isinstance(loop.target, ast.Name) or loop.orelse:
        return None
    at = loop.target.id
    written, sums = set(), []
    for node in loop.body:
        target = _target(node)
        if isinstance(target, ast.Subscript) and _own_place(target, at):
            written.add(ast.unparse(target))
        elif isinstance(target, ast.Name) and isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            sums.append(target.id)
        else:
            return None
    arrays = {ast.unparse(ast.parse(text, mode="eval").body.value) for text in written}
    for node in (n for statement in loop.body for n in ast.walk(statement.value)):
        if isinstance(node, ast.Call) and not _is_pure(node.func):
            return None
        if isinstance(node, ast.Name) and node.id in sums:
            return None
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) in arrays and ast.unparse(node) not in written:
            return None
    return list(dict.fromkeys(sums))


def _own_place(target: ast.Subscript, at: str) -> bool:
    """a[i] or a[k, ..., i], the other indices not depending on i."""
    places = target.slice.elts if isinstance(target.slice, ast.Tuple) else [target.slice]
    *others, last = places
    free = all(not (isinstance(n, ast.Name) and n.id == at) for k in others for n in ast.walk(k))
    return isinstance(target.value, ast.Name) and isinstance(last, ast.Name) and last.id == at and free


def _is_pure(func: ast.expr) -> bool:
    return ast.unparse(func) in PURE or ast.unparse(func).startswith("math.")


def _target(node: ast.stmt) -> ast.expr | None:
    if isinstance(node, ast.AugAssign):
        return node.target
    return node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None


def _stores(node: ast.stmt) -> bool:
    return isinstance(_target(node), ast.Subscript)


def _expr(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _barrier() -> list[ast.stmt]:
    return ast.parse("cuda.syncthreads()").body


def _is_barrier(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node) == "cuda.syncthreads()"

"""A block of threads without a GPU: a race detector for CUDA modules, and a scheduler that may run threads in any order.

    module = load(text, order)         text of `emit --target cuda` or of a kernel; its host functions launch here
    module.minibatch(...)              RaceError where two threads meet between barriers and one of them writes

Every function that waits at a barrier becomes a generator; a thread runs to its next barrier, then another does. Where
no two threads touch an entry between two barriers, one of them writing, every order of the threads gives the same bits.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Callable, Iterator

import numpy as np


class RaceError(AssertionError):
    """Two threads meet at an entry, or wait at different barriers."""


class Log:
    """Who read and who wrote each entry since the last barrier."""

    def __init__(self) -> None:
        self.thread = 0
        self.clear()

    def clear(self) -> None:
        self.readers: dict[tuple[int, int], set[int]] = {}
        self.writers: dict[tuple[int, int], int] = {}

    def read(self, entry: tuple[int, int]) -> None:
        if self.writers.get(entry, self.thread) != self.thread:
            raise RaceError(f"thread {self.thread} reads what thread {self.writers[entry]} writes")
        self.readers.setdefault(entry, set()).add(self.thread)

    def write(self, entry: tuple[int, int]) -> None:
        if self.writers.setdefault(entry, self.thread) != self.thread:
            raise RaceError(f"threads {self.thread} and {self.writers[entry]} write one entry")
        if self.readers.get(entry, {self.thread}) != {self.thread}:
            raise RaceError(f"thread {self.thread} writes what threads {self.readers[entry]} read")


class Watched:
    """An array whose entries are watched; views share its memory."""

    def __init__(self, log: Log, memory: np.ndarray, places: np.ndarray) -> None:
        self.log, self.memory, self.places = log, memory, places
        self.shape, self.itemsize = places.shape, memory.itemsize

    def _found(self, key: object) -> np.ndarray | np.integer:
        plain = [k for k in (key if isinstance(key, tuple) else (key,)) if not isinstance(k, slice)]
        assert all(k >= 0 for k in plain), f"a negative index: {key}"
        return self.places[key]

    def __getitem__(self, key: object) -> object:
        found = self._found(key)
        if np.ndim(found):
            return Watched(self.log, self.memory, found)
        self.log.read((id(self.memory), int(found)))
        return self.memory[found]

    def __setitem__(self, key: object, value: object) -> None:
        found = self._found(key)
        assert not np.ndim(found), "a device function stores entry by entry"
        self.log.write((id(self.memory), int(found)))
        self.memory[found] = value

    def __len__(self) -> int:
        return self.shape[0]

    def copy_to_host(self) -> np.ndarray:
        return self.memory[self.places]

    def copy_to_device(self, values: np.ndarray) -> None:
        self.memory[self.places] = values


class Cuda:
    """What a module uses of numba.cuda; `order(threads)` is asked anew after every barrier."""

    def __init__(self, order: Callable[[int], list[int]]) -> None:
        self.order, self.log, self.launches = order, Log(), 0
        self.threadIdx = types.SimpleNamespace(x=0)
        self.shared = types.SimpleNamespace(array=self._shared)
        self.local = types.SimpleNamespace(array=np.zeros)

    def jit(self, function: Callable | None = None, device: bool = False) -> object:
        return (lambda f: f) if device else _Kernel(self, function)

    def to_device(self, values: np.ndarray) -> Watched:
        memory = np.array(values).reshape(-1)
        return Watched(self.log, memory, np.arange(memory.size).reshape(values.shape))

    def _shared(self, count: int, dtype: type) -> Watched:
        """The block's array of this number among a thread's requests; what stands there at first is no number."""
        number = self.requests[self.log.thread]
        self.requests[self.log.thread] += 1
        if number not in self.arrays:
            self.arrays[number] = self.to_device(np.full(count, np.nan, dtype))
        return self.arrays[number]

    def run(self, kernel: Callable, threads: int, args: tuple) -> None:
        self.launches += 1
        self.arrays: dict[int, Watched] = {}
        self.requests = [0] * threads
        running: list[Iterator[int]] = [kernel(*args) for _ in range(threads)]
        while running:
            stops = {}
            self.log.clear()
            for number in self.order(threads):
                self.log.thread = self.threadIdx.x = number
                stops[number] = next(running[number], None)
            if len(set(stops.values())) > 1:
                raise RaceError(f"threads wait at different barriers: {stops}")
            if None in stops.values():
                return


class _Kernel:
    def __init__(self, cuda: Cuda, function: Callable) -> None:
        self.cuda, self.function = cuda, function

    def __getitem__(self, shape: tuple[int, int]) -> Callable:
        blocks, threads = shape
        assert blocks == 1, "one block runs a whole training"
        return lambda *args: self.cuda.run(self.function, threads, args)


class _Waiting(ast.NodeTransformer):
    """Barriers become yields, and calls of functions that wait become `yield from`; `dropped` barriers vanish."""

    def __init__(self, names: set[str], dropped: frozenset[int]) -> None:
        self.names, self.dropped = names, dropped

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if _is_barrier(node):
            return ast.Constant(None) if node.lineno in self.dropped else ast.Yield(ast.Constant(node.lineno))
        return ast.YieldFrom(node) if ast.unparse(node.func) in self.names else node


def _is_barrier(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "cuda.syncthreads"


def barriers(text: str) -> list[int]:
    """The lines of a module's barriers."""
    return sorted({n.lineno for n in ast.walk(ast.parse(text)) if _is_barrier(n)})


def load(
    text: str, order: Callable[[int], list[int]] = lambda n: list(range(n)), dropped: frozenset[int] = frozenset()
) -> types.ModuleType:
    """A CUDA module whose kernels run here; its attribute `cuda` counts launches."""
    tree = ast.parse(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.decorator_list]
    names = {n.name for n in functions if any(map(_is_barrier, ast.walk(n)))}
    while more := {f.name for f in functions if any(_calls(n, names) for n in ast.walk(f))} - names:
        names |= more
    names |= {f.name for f in functions if f.name.endswith("_kernel")}
    for f in functions:
        if f.name in names:
            f.body = [_Waiting(names, dropped).visit(node) for node in f.body]
            f.body.insert(0, ast.parse("if False:\n    yield").body[0])  # a generator even where no barrier is left
    tree.body = [n for n in tree.body if not (isinstance(n, ast.ImportFrom) and n.module == "numba")]
    module = types.ModuleType("block")
    settings = types.SimpleNamespace(ENABLE_CUDASIM=1)
    module.__dict__.update(cuda=Cuda(order), config=settings, njit=lambda **_: lambda f: f)
    exec(compile(ast.fix_missing_locations(tree), "<block>", "exec"), module.__dict__)
    return module


def _calls(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in names

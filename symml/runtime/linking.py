"""Functions of a kernel that call each other across their borders.

numba copies a function into each of its callers and optimises it there again, and again in theirs: a solver of many functions
is compiled several times over, and the model inside of it. A function too large to become a part of its caller is declared to
it instead, and found by its name in the memory of the process. What is read from the cache first loads what it calls so.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numba.core.base import BaseContext
    from numba.core.compiler import CompileResult

LARGE = 150  # instructions of a function that LLVM would not take into its caller: its bound is about 110 at the most


class Links:
    """The large functions of a module that are compiled or loaded, by the names by which others call them."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.known = module, {}

    def attach(self, name: str, cache: object) -> None:
        """Let the cache of one function keep what it calls with it."""
        reduce, rebuild = cache._impl.reduce, cache._impl.rebuild

        def kept(result: CompileResult) -> tuple:
            found = result.library._final_module.functions
            calls = [(f.name, *self.known[f.name]) for f in found if f.is_declaration and f.name in self.known]
            is_large, rest = _is_large(result), reduce(result)  # declared later, as numba keeps here what it defines
            if is_large:
                self._declare(name, result)
            return calls, is_large, rest

        def loaded(context: BaseContext, payload: tuple) -> CompileResult | None:
            calls, is_large, rest = payload
            if not all(self._is_there(*call) for call in calls):
                return None
            result = rebuild(context, rest)
            if is_large:
                self._declare(name, result)
            return result

        cache._impl.reduce, cache._impl.rebuild = kept, loaded

    def _declare(self, name: str, result: CompileResult) -> None:
        """Make a function one that callers find by its name."""
        from llvmlite import binding

        symbol, context = result.fndesc.llvm_func_name, result.target_context
        declaration = context.codegen()._create_empty_module(symbol)
        context.declare_function(declaration, result.fndesc)
        result.library._shared_module = binding.parse_assembly(str(declaration))
        self.known[symbol] = (name, result.signature.args)

    def _is_there(self, symbol: str, name: str, arguments: tuple) -> bool:
        """Is a function loaded, under the very name that its caller was compiled with?"""
        if symbol not in self.known:
            getattr(self.module, name).compile(arguments)
        return symbol in self.known


def _is_large(result: CompileResult) -> bool:
    """Does a function stay one of its own in its callers?"""
    function = result.library.get_function(result.fndesc.llvm_func_name)
    size = sum(1 for block in function.blocks for _ in block.instructions)
    return size >= LARGE and not result.fndesc.inline

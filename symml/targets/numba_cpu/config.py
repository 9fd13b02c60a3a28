"""What a CPU kernel is compiled with.

Reduction loops may be reassociated and contracted, which keeps NaN and infinity intact; the primitives carry their own,
stricter flags. `error_model="numpy"` keeps divisions free of branches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from symml.ir.program import Dim


@dataclass(frozen=True)
class Config:
    """dtype: float64 or float32; `boundscheck` is for tests; `chunks`: passes over rows are cut for threads; `sizes`: those
    that the page itself says."""

    dtype: str = "float64"
    boundscheck: bool = False
    chunks: bool = False
    sizes: Mapping[Dim, int] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """The ending of the primitives' names."""
        return {"float64": "f64", "float32": "f32"}[self.dtype]

    @property
    def block(self) -> int:
        """Rows of a block that runs through all items of a region. Measured on rows of 100: in single precision the second
        sweep over 64 rows comes from beyond the first cache (10 % slower than 32); in double precision memory takes longer
        than either, and fewer pauses between blocks win."""
        return {"float64": 64, "float32": 32}[self.dtype]

    @property
    def decorator(self) -> str:
        """The decorator of kernels: fast reductions."""
        check = ", boundscheck=True" if self.boundscheck else ""
        return (
            f'@njit(cache=True, no_cfunc_wrapper=True, error_model="numpy", fastmath={{"reassoc", "contract"}}{check})'
        )

    @property
    def strict_decorator(self) -> str:
        """The decorator of algorithms: no reassociation, so that plain Python gives the same bits."""
        check = ", boundscheck=True" if self.boundscheck else ""
        return f'@njit(cache=True, no_cfunc_wrapper=True, error_model="numpy"{check})'


def inlined(decorator: str) -> str:
    """The same decorator for a function that becomes a part of its callers: a loop around it vectorises, and no call,
    no reference count is left of it in a step of training."""
    return decorator.removesuffix(")") + ", forceinline=True)"


def internal(decorator: str) -> str:
    """The same decorator for a function that Python never calls: what turns Python's arguments into numba's, a good part
    of its compile time, is left out."""
    return decorator.removesuffix(")") + ", no_cpython_wrapper=True)"


def addressed(decorator: str) -> str:
    """The same decorator for a function that is called by its address alone."""
    return internal(decorator.replace("no_cfunc_wrapper=True, ", ""))

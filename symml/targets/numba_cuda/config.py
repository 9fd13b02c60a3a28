"""What a CUDA kernel is compiled with, and the size of its block.

The simulator runs every thread of a block as a thread of Python: there a block is small, so that the same module runs on
a GPU and, at small sizes, without one. Block and warp sizes are powers of two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from symml.ir.program import Dim

DEVICE = "@cuda.jit(device=True)"
KERNEL = "@cuda.jit"


@dataclass(frozen=True)
class Config:
    """dtype: float64 or float32. threads of the block; rows of one tile of a streaming region; scratch: the most numbers
    that the algorithm keeps in an array of its own (the pairs of L-BFGS); sizes that the page itself says."""

    dtype: str = "float64"
    threads: int = 256
    tile: int = 1024
    scratch: int = 64
    sizes: Mapping[Dim, int] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """The ending of the primitives' names."""
        return {"float64": "f64", "float32": "f32"}[self.dtype]

    @property
    def constants(self) -> list[str]:
        """Lines that name the block's shape; THREADS = TILE_ROWS * TILE_COLUMNS."""
        bits = self.threads.bit_length() - 1
        assert self.threads == 1 << bits >= 32, "a block is a power of two and at least a warp"
        return [
            "SIMULATED = bool(config.ENABLE_CUDASIM)",
            f"BITS = 3 if SIMULATED else {bits}",
            "THREADS = 1 << BITS",
            "WARP = 4 if SIMULATED else 32",
            "WARPS = THREADS // WARP",
            "TILE_COLUMNS = 1 << (BITS + 1) // 2",
            "TILE_ROWS = THREADS // TILE_COLUMNS",
            "TILE_DEPTH = 4 if SIMULATED else 16",
            "LEFT = TILE_DEPTH * 4 * TILE_ROWS",
            "RIGHT = TILE_DEPTH * 4 * TILE_COLUMNS",
            f"SCRATCH = {self.scratch}",
        ]

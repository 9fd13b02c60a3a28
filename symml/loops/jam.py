"""Is it worth to run several rows of a nest in one sweep (to jam them)? A row less is read and written in memory then; but
each row is one more copy of the body in the code, and what is left over another, and all of them have to be compiled.

pays(statement, loops, sizes that the page itself says)  ->  bool
"""

from __future__ import annotations

from collections.abc import Mapping

from sympy import Function

from symml.ir.functions import BY_CLASS
from symml.ir.program import Dim, Index, Statement, indices
from symml.loops.beside import WORK

FEW = 64  # entries of a nest's two inner loops, up to which rows go one by one


def pays(s: Statement, loops: tuple[Index, ...], sizes: Mapping[Dim, int]) -> bool:
    """Not where the lane computes exponentials, next to which loads and stores are nothing, nor for a handful of entries."""
    if any(loops[-1] in indices(f) for f in s.body.atoms(Function) if BY_CLASS.get(f.func) in WORK):
        return False
    known = [int(k.size) if k.size.is_Integer else sizes.get(k.size) for k in loops[-2:]]
    return None in known or known[0] * known[1] > FEW

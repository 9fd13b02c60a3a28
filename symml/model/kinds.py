"""What the names of an expression without a page are: its letters say so, unless nothing sensible comes of it.

a..g are scalars, h..z vectors, A..Z matrices. Where that reading multiplies two columns, transposes a number, spreads a
number over a vector or is no number at all, the reading with the fewest other kinds that does better is taken:

    read(tree of "a'*inv(X)*b", {})  ->  {"a": "vector", "X": "matrix", "b": "vector"}
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from symml.errors import SpecError
from symml.ir.functions import FUNCTIONS
from symml.syntax import tree

RANKS = {"scalar": 0, "vector": 1, "matrix": 2, "symmetric": 2, "spd": 2}
PLAIN = ("scalar", "vector", "matrix")
SQUARE = ("tr", "trace", "det", "inv", "logdet", "logabsdet", "chol", "solve", "eigvals", "eigvecs")
SCALAR_VALUED = (
    *("tr", "trace", "det", "logdet", "logabsdet", "sum", "norm1", "norm2"),
    *("normp", "frobenius", "nuclear", "spectral"),
)
VECTOR_VALUED = ("eigvals", "svdvals")
OF_A_MATRIX = ("svdvals", "svdu", "svdv")
CONSTANTS = ("pi", "e")
CONSTANT = {"vector": 1, "matrix": 2, "eye": 2}  # they take their shape from what stands beside them
MOST_CHANGES = 3

# What a reading costs: another kind than the letter's (from, to), a number turned or spread over a vector, no number as
# the result.
OTHER_KIND = {
    ("scalar", "vector"): 1.0,
    ("scalar", "matrix"): 1.2,
    ("vector", "scalar"): 1.1,
    ("vector", "matrix"): 1.1,
    ("matrix", "scalar"): 1.15,
    ("matrix", "vector"): 1.4,
}
TURNED, SPREAD, NO_NUMBER = 1.25, 1.25, 3.0
Shape = tuple[int, bool]  # rank; does a vector stand as a row?


class _Impossible(Exception):
    """No matrix expression under this reading."""


def kind_of(name: str) -> str:
    """What the first letter says."""
    return "matrix" if name[0].isupper() else "scalar" if name[0] <= "g" else "vector"


def read(node: tree.Expr, given: Mapping[str, str]) -> dict[str, str]:
    """The kind of each name, in order of appearance; `given` ones stay, SpecError where one is no kind."""
    names = _names(node)
    for name, kind in given.items():
        if kind not in RANKS:
            raise SpecError(f"'{kind}' is no kind of '{name}'", fix=f"one of {', '.join(RANKS)}")
    letters = {n: given.get(n) or kind_of(n) for n in names}
    free = [n for n in names if n not in given]
    best, least = letters, _cost(node, letters)
    if least in (0, NO_NUMBER):  # that it is no number alone is no mistake
        return letters
    for changes in range(1, min(MOST_CHANGES, len(free)) + 1):
        if changes * min(OTHER_KIND.values()) >= least:
            break
        for chosen in itertools.combinations(free, changes):
            for kinds in itertools.product(PLAIN, repeat=changes):
                if any(letters[n] == k for n, k in zip(chosen, kinds, strict=True)):
                    continue
                trial = {**letters, **dict(zip(chosen, kinds, strict=True))}
                cost = sum(OTHER_KIND[letters[n], trial[n]] for n in chosen) + _cost(node, trial)
                if cost < least:
                    best, least = trial, cost
    return best


def changed(node: tree.Expr, given: Mapping[str, str]) -> dict[str, str]:
    """The names that are read against their letters, without the user's word."""
    return {n: k for n, k in read(node, given).items() if n not in given and k != kind_of(n)}


def _names(node: tree.Expr) -> list[str]:
    parts = list(tree.walk(node))
    bound = {name.id for part in parts if isinstance(part, tree.Binder) for name in part.names}
    found = dict.fromkeys(p.id for p in parts if isinstance(p, tree.Name))
    return [n for n in found if n not in bound and n not in CONSTANTS]


def _cost(node: tree.Expr, kinds: Mapping[str, str]) -> float:
    reading = _Reading(kinds)
    try:
        rank, _ = reading.shape(node)
    except _Impossible:
        return float("inf")
    return reading.cost + NO_NUMBER * (rank > 0)


@dataclass
class _Reading:
    """One assignment of kinds and what it costs so far."""

    kinds: Mapping[str, str]
    cost: float = 0.0

    def shape(self, node: tree.Expr) -> Shape:
        """The rank of a node; _Impossible where it has none."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise _Impossible
        return method(node)

    def _number(self, node: tree.Number) -> Shape:
        return 0, False

    def _name(self, node: tree.Name) -> Shape:
        return RANKS[self.kinds[node.id]] if node.id in self.kinds else 0, False

    def _negate(self, node: tree.Negate) -> Shape:
        return self.shape(node.arg)

    def _transpose(self, node: tree.Transpose) -> Shape:
        rank, row = self.shape(node.arg)
        self.cost += TURNED * (rank == 0)
        return rank, rank == 1 and not row

    def _norm(self, node: tree.Norm) -> Shape:
        self.cost += TURNED * (self.shape(node.arg)[0] == 0)
        return 0, False

    def _bars(self, node: tree.Bars) -> Shape:
        return self.shape(node.arg)

    def _iverson(self, node: tree.Iverson) -> Shape:
        return self.shape(node.test)

    def _compare(self, node: tree.Compare) -> Shape:
        shapes = [self.shape(x) for x in (node.first, *(x for _, x in node.rest))]
        return max(shapes)

    def _logic(self, node: tree.Logic) -> Shape:
        return max(self.shape(a) for a in node.args)

    def _index(self, node: tree.Index) -> Shape:
        rank = self.shape(node.base)[0] - len(node.indices)
        if rank < 0 or any(self.shape(k)[0] for k in node.indices):
            raise _Impossible
        return rank, False

    def _reduction(self, node: tree.Reduction) -> Shape:
        return self.shape(node.body) if node.body is not None else (0, False)

    def _call(self, node: tree.Call) -> Shape:
        if node.function in CONSTANT:
            return CONSTANT[node.function], False
        shapes = [self.shape(a) for a in node.args]
        if not shapes:
            raise _Impossible
        rank, row = shapes[0]
        if node.function in (*SQUARE, *OF_A_MATRIX) and rank == 1:
            raise _Impossible
        if node.function in (*SQUARE, *SCALAR_VALUED):
            self.cost += TURNED * (rank == 0)
        if node.function in SCALAR_VALUED:
            return 0, False
        if node.function in VECTOR_VALUED:
            return 1, False
        if node.function == "solve" and len(shapes) == 2:
            return shapes[1]
        if node.function == "diag":
            if rank == 0:
                raise _Impossible
            return 3 - rank, False
        if node.function in ("logsumexp", "softmax", "logsoftmax") and rank == 0:
            raise _Impossible
        if node.function == "logsumexp":
            return rank - 1, False
        if node.function in FUNCTIONS and len(shapes) == 2:
            return self._beside(node.args[0], node.args[1], *shapes)
        return rank, row

    def _binary(self, node: tree.Binary) -> Shape:
        """Operands of a chain from left to right, without recursion along it."""
        chain: list[tree.Binary] = []
        rest: tree.Expr = node
        while isinstance(rest, tree.Binary):
            chain.append(rest)
            rest = rest.left
        left = self.shape(rest)
        for part in reversed(chain):
            right = self.shape(part.right)
            if part.op in ("+", "-"):
                left = self._beside(part.left, part.right, left, right)
            else:
                left = self._product(part.op, left, right)
        return left

    def _beside(self, first: tree.Expr, second: tree.Expr, a: Shape, b: Shape) -> Shape:
        """A sum: equal ranks, numbers with anything, other scalars at a cost."""
        if a[0] == b[0]:
            self.cost += SPREAD * (a[1] != b[1])
            return a
        small = first if a[0] < b[0] else second
        if min(a[0], b[0]) > 0 or any(isinstance(p, tree.Name) for p in tree.walk(small)):
            self.cost += SPREAD
        return max(a, b)

    def _product(self, op: str, a: Shape, b: Shape) -> Shape:
        (left, row), (right, other) = a, b
        if op in ("^", ".^", "/"):
            if right:
                raise _Impossible
            return a
        if left == 0 or right == 0:
            return b if left == 0 else a
        if op in (".*", "./"):
            self.cost += SPREAD * (a != b)
            return max(a, b)
        if left == right == 1:
            if row == other:
                raise _Impossible
            return (0, False) if row else (2, False)
        if left == 2 and right == 1 and other:
            raise _Impossible
        if left == 1 and right == 2 and not row:
            raise _Impossible
        return (2, False) if left == right else (1, left == 1)

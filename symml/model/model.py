"""The Model: a spec whose names are resolved. It holds declarations as data and the statements still as Tree.

model.data["X"].tensor.shape == (n, d);   model.train.method == "lbfgs"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from symml.ir.program import Dim, Tensor
from symml.model.constraints import Constraint, Region
from symml.source import Source, Span
from symml.syntax import tree


@dataclass(frozen=True)
class Data:
    """One `data` item: where it comes from and how it is prepared; `gaps`: entries may be missing.

    role: weight, lengths, or present (1 where the data `of` have an entry), or sparse, or row, col, value of the entries `of` it.
    """

    tensor: Tensor
    transform: str
    source: tree.From | None
    span: Span
    role: str = ""
    of: str = ""
    gaps: bool = False


@dataclass(frozen=True)
class Init:
    """How a parameter starts: kind `constant` (value), `normal` (mean, deviation), whose arguments are scalars, or `sample`
    (data whose rows it takes)."""

    kind: str
    args: tuple[tree.Expr, ...]
    span: Span


@dataclass(frozen=True)
class Graph:
    """`graph G over n`: edge e goes from node tail[e] to node head[e]; `edges` counts them once they are bound."""

    name: str
    nodes: Dim
    edges: Dim
    tail: Tensor
    head: Tensor
    undirected: bool
    self_loops: bool
    source: tree.From | None
    span: Span


@dataclass(frozen=True)
class Param:
    """One `param` item."""

    tensor: Tensor
    init: Init | None
    span: Span


@dataclass(frozen=True)
class Hyper:
    """One `hyper` item; `value` is None where a fit must give it or, with `choice`, find it among its domain's values."""

    tensor: Tensor
    value: float | None
    span: Span
    choice: tree.Choice | None = None


@dataclass(frozen=True)
class Split:
    """`split n into train 0.8, test 0.2, folds 5 seed 0 stratified by y`; the folds (0: none) are of the first part."""

    dim: Dim
    parts: tuple[tuple[str, float], ...]
    seed: int
    stratified_by: str | None
    folds: int = 0


@dataclass(frozen=True)
class Train:
    """The method by name, its options as numbers or schedules, the bounds on |grad| and on the duality gap (None: the
    method's own).

    `part` is the part of the split whose loss `until` watches, `patience` how many epochs without a lower one end a run.
    """

    method: str
    options: Mapping[str, float]
    tolerance: float | None
    span: Span
    schedules: Mapping[str, tree.Expr] = field(default_factory=dict)
    places: Mapping[str, Span] = field(default_factory=dict)
    part: tree.Name | None = None
    patience: int = 0
    gap: float | None = None


@dataclass(frozen=True)
class Model:
    """A checked spec; constraints, regions: see constraints.py (regions are recognised once the page is lowered)."""

    name: str
    source: Source
    dims: Mapping[str, Dim]
    sizes: Mapping[Dim, int]
    data: Mapping[str, Data]
    params: Mapping[str, Param]
    hypers: Mapping[str, Hyper]
    definitions: Mapping[str, tuple[tree.Define, ...]]
    objective: tree.Objective | None
    over: tuple[Tensor, ...]
    split: Split | None
    train: Train | None
    predict: tree.Predict | None
    reports: tuple[tree.Report, ...]
    expected: tuple[tuple[int, str], ...]
    graphs: Mapping[str, Graph] = field(default_factory=dict)
    iterations: Mapping[str, tree.Iterate] = field(default_factory=dict)
    functions: Mapping[str, tree.Function] = field(default_factory=dict)
    constraints: tuple[Constraint, ...] = ()
    regions: tuple[Region, ...] = ()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Data, parameters, hyper-parameters, in the order of declaration; the ends of the edges of graphs."""
        plain = tuple(item.tensor for group in (self.data, self.params, self.hypers) for item in group.values())
        return (*plain, *(t for graph in self.graphs.values() for t in (graph.tail, graph.head)))

    @property
    def weight(self) -> Tensor | None:
        """How often each row counts."""
        return next((d.tensor for d in self.data.values() if d.role == "weight"), None)

    @property
    def masks(self) -> dict[Tensor, Tensor]:
        """Data that may lack entries, each with the tensor that is 1 where they are there."""
        return {self.data[d.of].tensor: d.tensor for d in self.data.values() if d.role == "present"}

    @property
    def ragged(self) -> dict[Tensor, Tensor]:
        """Data of sequences, each with the tensor that says how long each of them is."""
        lengths = [d.tensor for d in self.data.values() if d.role == "lengths"]
        rows = [(d.tensor, k) for d in self.data.values() for k in lengths if d.role != "lengths"]
        return {t: k for t, k in rows if t.shape[:2] == (*k.shape, k.domain.size)}

    @property
    def stored(self) -> dict[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Sparse data, each with the row, the column and the value of its stored entries."""
        sparse = [d.tensor for d in self.data.values() if d.role == "sparse"]
        return {t: tuple(self.data[f"{t.name}_{end}"].tensor for end in ("row", "col", "value")) for t in sparse}

    @property
    def row_dim(self) -> Dim | None:
        """The dim that counts observations: the split's, else the first axis of the first data."""
        if self.split:
            return self.split.dim
        first = next((d.tensor.shape[0] for d in self.data.values() if d.tensor.shape), None)
        return first if isinstance(first, Dim) else None

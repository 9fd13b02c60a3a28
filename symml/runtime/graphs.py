"""A graph's edges from a table or an array: pairs of node numbers, both ways where it is undirected.

edge_ends({"name": "G", "nodes": "n", ...}, array of (edges, 2), 34)  ->  (tail, head), int64, sorted by tail
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from symml.errors import DataError
from symml.runtime.prepare import edge_list
from symml.runtime.tables import OFFENDERS, Table


def of_table(decl: Mapping, table: Table) -> np.ndarray:
    """The first two columns of a file."""
    columns = list(table.columns.values())
    if not table.titled and len(columns) == 1:
        return columns[0]
    if len(columns) < 2:
        raise DataError(f"'{table.path.name}' has {len(columns)} column, and '{decl['name']}' needs two: from, to")
    table.refuse(list(table.columns)[:2])
    return np.column_stack(columns[:2])


def edge_ends(decl: Mapping, pairs: np.ndarray, nodes: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Tails, heads and the number of nodes (told by the edges where nothing else does)."""
    name = decl["name"]
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not pairs.shape[0]:
        raise DataError(f"'{name}' is a list of edges of shape (edges, 2), not {pairs.shape}")
    if pairs.dtype.kind not in "iuf":
        raise DataError(f"'{name}' holds text where node numbers are expected", fix="number the nodes from 0 on")
    count = int(pairs.max()) + 1 if nodes is None else nodes
    wrong = np.flatnonzero(((pairs < 0) | (pairs >= count) | (pairs != np.floor(pairs))).any(axis=1))
    if wrong.size:
        listed = ", ".join(f"edge {k}: {pairs[k, 0]:g} {pairs[k, 1]:g}" for k in wrong[:OFFENDERS])
        raise DataError(f"'{name}' has nodes outside 0..{count - 1}: {listed}", fix="nodes are numbered from 0")
    return *edge_list(pairs.astype(np.int64), count, decl["undirected"], decl["self_loops"]), count

"""May rows be taken out of the data: does nothing on the page say where a row stands?

stand_alone(sheet, name)      UnsupportedError at the split that shares out the rows of `name`
in_order(program, row)        the first statement in which a row meets the one before it, or None
"""

from __future__ import annotations

from sympy import Expr

from symml.errors import SpecError, UnsupportedError
from symml.ir.program import Access, Dim, Program, Scan, Statement, accesses, flat, parts
from symml.model.sheet import Sheet
from symml.syntax import tree

FIX = "give the parts as data of their own, or mark them: seen[n] in {0, 1} and sum[i where seen[i] = 1] ..."


def stand_alone(sheet: Sheet, name: tree.Name) -> None:
    """Some data have these rows, and nothing else is as long as they are or holds their numbers."""
    rows, data = sheet.dims[name.id], [d for d in sheet.data.values() if d.role not in ("row", "col", "value")]
    if not any(d.tensor.shape[:1] == (rows,) for d in data):
        owners = sorted({s.name for d in data for s in d.tensor.shape[:1] if isinstance(s, Dim)})
        fix = f"split {' or '.join(owners)}" if owners else f"declare them: data X[{name.id}, d]"
        raise SpecError(f"no data have rows of '{name.id}'", name.span, fix=fix)
    tied = [(g.nodes, g.name) for g in sheet.graphs.values()]
    tied += [(s, d.tensor.name) for d in data for s in (*d.tensor.shape[1:], d.tensor.domain.size)]
    tied += [(s, p.tensor.name) for p in sheet.params.values() for s in p.tensor.shape]
    owner = next((owner for size, owner in tied if size == rows), None)
    if owner is not None:
        raise UnsupportedError(
            f"a split of '{name.id}' is not supported yet beside '{owner}', which belongs to all its rows together",
            name.span,
            fix=FIX,
        )


def refuse_order(program: Program, row: Dim) -> None:
    """UnsupportedError where a page that splits its rows reads one beside the next."""
    s = in_order(program, row)
    if s is not None:
        raise UnsupportedError(
            f"rows of '{row.name}' meet their neighbours here, and a split draws them at random: this is not supported yet",
            s.span,
            fix="make what stands in the neighbour a column of the data, or mark the parts: seen[n] in {0, 1}",
        )


def in_order(program: Program, row: Dim) -> Statement | None:
    """The first statement with a shifted or shortened walk over the rows, or a step of a recurrence over them."""
    for node in program.statements:
        if isinstance(node, Scan) and row in node.step.size.free_symbols:
            return node.statements[0]
        for s in flat([node]):
            if any(row in k.size.free_symbols and k.size != row for k in s.loops):
                return s
            read = [(a.idx[p], a.tensor.shape[p]) for e in parts(s) for a in accesses(e) for p in range(len(a.idx))]
            if any(size == row and k not in s.loops and _is_shifted(k) for k, size in read):
                return s
    return None


def _is_shifted(index: Expr) -> bool:
    """A letter with a number; what a table says is no neighbour."""
    return bool(index.free_symbols) and not any(isinstance(a, Access) for a in index.free_symbols)

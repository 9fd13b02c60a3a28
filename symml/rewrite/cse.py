"""Common statements: two tensors defined by the same statement, up to the names of indices, become one."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

from symml.ir.program import Access, Index, Program, Statement, Tensor, accesses, reindex, substitute
from symml.rewrite.cost import is_cheap

MOST_LOOPS = 4


def eliminate_common(program: Program) -> Program:
    """Merge equal definitions, then let reductions read the map whose body they repeat."""
    return _share_bodies(_merge_definitions(program))


def _share_bodies(program: Program) -> Program:
    """`t = sum[i] f(i)` beside a map `r[i] = f(i)` becomes `t = sum[i] r[i]`."""
    definitions = Counter(s.out for s in program.statements)
    maps: dict[tuple, Statement] = {}
    sizes: set[tuple] = set()  # of the maps: most reductions fit none, and substitution is dear
    canon: dict[tuple, Index] = {}
    new = []
    for s in program.statements:
        if s.reduce == "sum" and s.body.args and len(s.loops) <= MOST_LOOPS:
            for order in itertools.permutations(s.loops):
                if tuple(k.size for k in order) not in sizes:
                    continue
                table = {k: canon.setdefault((p, k.size), Index(f"c{p}", k.size)) for p, k in enumerate(order)}
                source = maps.get((tuple(k.size for k in order), substitute(s.body, table)))
                if source is not None:
                    s = s.with_body(Access(source.out, order))
                    break
        elif s.is_map and not is_cheap(s.body) and definitions[s.out] == 1:
            table = {k: canon.setdefault((p, k.size), Index(f"c{p}", k.size)) for p, k in enumerate(s.lhs)}
            sizes.add(tuple(k.size for k in s.lhs))
            maps.setdefault((tuple(k.size for k in s.lhs), substitute(s.body, table)), s)
        new.append(s)
    return program.with_statements(new)


def _merge_definitions(program: Program) -> Program:
    """Merge equal definitions; outputs keep their names by pointing at the tensor that stays."""
    definitions: dict[Tensor, int] = {}
    for s in program.statements:
        definitions[s.out] = definitions.get(s.out, 0) + 1
    canon: dict[tuple, Index] = {}
    seen: dict[tuple, Tensor] = {}
    same: dict[Tensor, Tensor] = {}
    kept = []
    for s in program.statements:
        s = rename(s, same)
        if definitions[s.out] == 1:
            first = seen.setdefault(_key(s, canon), s.out)
            if first is not s.out:
                same[s.out] = first
                continue
        kept.append(s)
    if not same:
        return program
    outputs = {name: same.get(t, t) for name, t in program.outputs.items()}
    return replace(program, statements=tuple(kept), outputs=outputs)


def rename(s: Statement, same: dict[Tensor, Tensor]) -> Statement:
    """The statement reading other tensors in the place of some."""
    if not same:
        return s
    parts = (s.body, *s.lhs) if s.guard is None else (s.body, *s.lhs, s.guard)
    table = {a: Access(same[a.tensor], a.idx) for part in parts for a in accesses(part) if a.tensor in same}
    if not table:
        return s
    return replace(
        s,
        body=substitute(s.body, table),
        lhs=tuple(substitute(k, table) for k in s.lhs),
        guard=None if s.guard is None else substitute(s.guard, table),
    )


def _key(s: Statement, canon: dict[tuple, Index]) -> tuple:
    """A statement over indices that are numbered by position, so that letters do not matter."""
    order = [k for k in s.lhs if isinstance(k, Index)]
    order += [k for k in s.loops if k not in order]
    table = {k: canon.setdefault((p, k.size), Index(f"c{p}", k.size)) for p, k in enumerate(order)}
    t = reindex(s, table)
    return (t.out.shape, t.lhs, t.mode, t.reduce, frozenset(t.loops), t.body, t.guard, t.out.integer)

"""Common statements: two tensors defined by the same statement, up to the names of indices, become one."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from symml.ir.program import (
    Access,
    Index,
    Iterate,
    Library,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    flat,
    outs,
    read_instead,
    reads,
    reindex,
    substitute,
)
from symml.rewrite.cost import is_cheap

MOST_LOOPS = 4


def eliminate_common(program: Program) -> Program:
    """Merge equal definitions, then let reductions read the map whose body they repeat."""
    return _share_bodies(_merge_definitions(program))


def _share_bodies(program: Program) -> Program:
    """`t = sum[i] f(i)` beside a map `r[i] = f(i)` becomes `t = sum[i] r[i]`."""
    definitions = Counter(s.out for s in flat(program.statements))
    maps: dict[tuple, Statement] = {}
    sizes: set[tuple] = set()  # of the maps: most reductions fit none, and substitution is dear
    canon: dict[tuple, Index] = {}
    new = []
    for s in program.statements:
        if not isinstance(s, Statement):
            new.append(s)
            continue
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
    definitions = Counter(t for node in program.statements for t in outs(node))
    canon: dict[tuple, Index] = {}
    seen: dict[tuple, tuple[Tensor, ...]] = {}
    same: dict[Tensor, Tensor] = {}
    kept: list[Node] = []
    for node in program.statements:
        node = rename(node, same)
        key = (
            _key(node, canon)
            if isinstance(node, Statement)
            else (node.op, node.args)
            if isinstance(node, Library)
            else None
        )
        if key is not None and all(definitions[t] == 1 for t in outs(node)):
            first = seen.setdefault(key, outs(node))
            if first != outs(node):
                same.update(zip(outs(node), first, strict=True))
                continue
        if isinstance(node, Scan):  # what a step defines holds at every step
            for s in (s for s in node.statements if s.covers and s.lhs[0] is node.step and definitions[s.out] == 1):
                seen.setdefault(_key(replace(s, loops=(node.step, *s.loops)), canon), (s.out,))
        kept.append(node)
    if not same:
        return program
    outputs = {name: same.get(t, t) for name, t in program.outputs.items()}
    return replace(program, statements=tuple(kept), outputs=outputs)


def rename(node: Node, same: Mapping[Tensor, Tensor]) -> Node:
    """The node reading other tensors in the place of some."""
    if not any(t in same for t in reads(node)):
        return node
    if isinstance(node, Statement):
        return read_instead(node, same)
    if isinstance(node, Library):
        return replace(node, args=tuple(same.get(t, t) for t in node.args))
    node = node.with_statements(rename(s, same) for s in node.statements)
    if isinstance(node, Iterate):
        return replace(node, states=tuple((x, same.get(start, start), new) for x, start, new in node.states))
    return node


def _key(s: Statement, canon: dict[tuple, Index]) -> tuple:
    """A statement over indices that are numbered by position, so that letters do not matter."""
    order = [k for k in s.lhs if isinstance(k, Index)]
    order += [k for k in s.loops if k not in order]
    table = {k: canon.setdefault((p, k.size), Index(f"c{p}", k.size)) for p, k in enumerate(order)}
    t = reindex(s, table)
    return (t.out.shape, t.lhs, t.mode, t.reduce, frozenset(t.loops), t.body, t.guard, t.out.integer)

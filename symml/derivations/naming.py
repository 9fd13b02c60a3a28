"""Names for intermediates that nobody named: T1, T2 ..., and P for a softmax; on a whole page the same thing has the same name.

names.named(program, tensors)  ->  the program with them, to be shown

Each block of a Hessian is a program of its own, in which the derivative of the softmax or of a recurrence stands again.
Two tensors are the same where their definitions are, down to what the page names; of recurrences that is decided as for
automata, by refining what may be the same until nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sympy import Expr

from symml.ir.program import Access, Index, Library, Program, Scan, Statement, Tensor, flat, outs, renamed
from symml.latex.tree import Leaf, Node
from symml.names import Names, number

HOLE = "\0"
MOST_ROUNDS = 12
Template = tuple[str, tuple[Tensor, ...]]  # the text of a definition with holes for the intermediates it reads


def known(program: Program) -> frozenset[Tensor]:
    """What the page names, and the adjoints of it."""
    own = (t for t in program.tensors() if t.kind != "temp")
    bars: dict[Tensor, Tensor] = {}  # the first one alone: an adjoint of higher order is another thing
    for t in program.tensors():
        if t.adjoint_of is not None and t.adjoint_of.kind == "definition":
            bars.setdefault(t.adjoint_of, t)
    return frozenset((*own, *bars.values()))


def naming(program: Program) -> Naming:
    """Nothing named yet; what the page names stands by its own name."""
    own = known(program)
    return Naming(own, Names(u.name for u in program.tensors() if u in own or u in program.inputs))


@dataclass
class Naming:
    """known: what has a name; table: the named intermediates; given: names of what a matrix form repeats."""

    known: frozenset[Tensor]
    taken: Names
    table: dict[Tensor, Tensor] = field(default_factory=dict)
    given: dict[Node, Leaf] = field(default_factory=dict)
    templates: dict[Tensor, Template] = field(default_factory=dict)

    def named(self, program: Program, tensors: Iterable[Tensor], soft: Iterable[Tensor] = ()) -> Program:
        """The program with names for some of its tensors; `soft` are those that are a softmax."""
        new = [u for u in tensors if u not in self.table]
        holes = frozenset((*new, *self.table))
        templates = {u: _template(program, u, holes) for u in new}
        same = self._same(templates)
        for u in new:
            if u in same:
                self.table[u] = same[u]
                continue
            self.table[u] = replace(u, name=self._fresh("P" if u in soft else "T"), adjoint_of=None, uid=number())
        for u in (u for u in new if u not in same):
            text, read = templates[u]
            self.templates[self.table[u]] = text, tuple(self.table.get(v, v) for v in read)
        return renamed(program, self.table)

    def _fresh(self, stem: str) -> str:
        letters = {leaf.tensor.name for leaf in self.given.values()}
        while True:
            name = self.taken.claim(stem) if stem == "P" else self.taken.fresh(stem)
            if name not in letters:
                return name

    def _same(self, new: Mapping[Tensor, Template]) -> dict[Tensor, Tensor]:
        """Which new intermediates are one that has a name."""
        both = {**self.templates, **{u: (text, tuple(self.table.get(v, v) for v in r)) for u, (text, r) in new.items()}}
        kinds = {u: hash(text) for u, (text, _) in both.items()}
        for _ in range(MOST_ROUNDS):
            finer = {u: hash((kinds[u], *(kinds.get(v, v.uid) for v in read))) for u, (_, read) in both.items()}
            settled = len(set(finer.values())) == len(set(kinds.values()))
            kinds = finer
            if settled:
                break
        by_kind = {kinds[u]: u for u in self.templates}
        return {u: by_kind[kinds[u]] for u in new if kinds[u] in by_kind}


def _template(program: Program, u: Tensor, holes: frozenset[Tensor]) -> Template:
    """What defines a tensor, as a text that does not depend on the names of indices and of intermediates."""
    texts, read = [], []
    for node in program.statements:
        if isinstance(node, Library) and u in outs(node):
            texts.append(f"{node.op} {node.outs.index(u)} {[v.uid if v not in holes else HOLE for v in node.args]}")
            read += [v for v in node.args if v in holes]
        for s in flat((node,)):
            if s.out is u:
                text, own = _statement(s, node.step if isinstance(node, Scan) else None, holes)
                texts.append(f"{text} {isinstance(node, Scan) and node.reverse}")
                read += own
            elif not isinstance(node, Statement | Scan):  # an iteration: what it is belongs to it alone
                texts.append(f"{id(node)}" if u in outs(node) else "")
    return "\n".join(texts), tuple(read)


def _statement(s: Statement, step: Index | None, holes: frozenset[Tensor]) -> tuple[str, list[Tensor]]:
    letters: dict[Index, str] = {} if step is None else {step: "step"}
    for k in (*(k for e in s.lhs for k in sorted(e.atoms(Index), key=lambda k: k.uid)), *s.loops):
        letters.setdefault(k, f"k{len(letters)}:{k.size}")
    texts, read = [f"{s.mode} {s.reduce} {[str(n) for n in s.out.shape]} {s.out.kind}"], []
    for e in (*s.lhs, s.body, *(() if s.guard is None else (s.guard,))):
        text, own = _written(e, letters, holes)
        texts.append(text)
        read += own
    return " | ".join(texts), read


def _written(e: Expr, letters: Mapping[Index, str], holes: frozenset[Tensor]) -> tuple[str, list[Tensor]]:
    if isinstance(e, Index):
        return letters.get(e, str(e)), []
    if isinstance(e, Access):
        parts = [_written(k, letters, holes) for k in e.idx]
        hole = e.tensor in holes
        name = HOLE if hole else str(e.tensor.uid)
        inner = ",".join(text for text, _ in parts)
        return f"{name}[{inner}]", [*([e.tensor] if hole else []), *(u for _, own in parts for u in own)]
    if not e.args:
        return str(e), []
    parts = [_written(a, letters, holes) for a in e.args]
    parts = sorted(parts, key=lambda p: p[0]) if e.is_Add or e.is_Mul else parts
    return f"{e.func.__name__}({','.join(text for text, _ in parts)})", [u for _, own in parts for u in own]

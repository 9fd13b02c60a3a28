"""What the names in a formula stand for, one tensor after another: in matrix form where it has one, else index by index.

definitions(program, (P, alpha), sample)
    ->  P = softmax(A);   alpha[t + 1, k] = Q[k, obs[t + 1]] sum[j] P[j, k] alpha[t, j]   for t = 0..T - 2

A sum that only one line reads stands in that line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from symml.errors import NumericError
from symml.ir.program import Iterate, Library, Program, Tensor, outs, read_once, reads
from symml.latex import index_form
from symml.latex.compared import BOUND, Sample, differs, drawn_once, lines_differ
from symml.latex.finish import finished
from symml.latex.matrix_form import NoForm, Recogniser, matrix_shape
from symml.latex.printing import LATEX, TEXT, tensor_name, write
from symml.latex.style import Both
from symml.latex.tree import Node, OneHot, children, count, leaves

OF_ROUNDS = 1e-6  # what a fixed point reads was computed one round before it
LONGEST = 12  # nodes of a tree in which what nobody named is written out


def definitions(program: Program, read: Iterable[Tensor], sample: Sample, keep: Collection[Tensor] = ()) -> list[Both]:
    """The lines, in the order of the program, of `read` and of all they need, as (LaTeX, text); `keep` are names in them."""
    found = by_tensor(program, read, sample, keep)
    return [line for u in program.tensors() if u in found for line in found[u]]


def by_tensor(
    program: Program, read: Iterable[Tensor], sample: Sample, keep: Collection[Tensor] = ()
) -> dict[Tensor, list[Both]]:
    """The lines of `read` and of all they need, by tensor."""
    made = {u for u in program.tensors() if u not in program.inputs}
    inside = read_once(program, keep)
    trees = _Trees(program, sample, frozenset(keep))
    found: dict[Tensor, list[Both]] = {}
    todo = [u for u in dict.fromkeys(read) if u in made]
    while todo:
        u = todo.pop()
        if u in found:
            continue
        tree = trees.of(u)
        if tree is not None:
            found[u] = [tuple(f"{tensor_name(u, style)} = {write(tree, style)}" for style in (LATEX, TEXT))]
            todo += [v for v in leaves(tree) if v in made]
        else:
            found[u] = index_form.lines(program, u, inside)
            trees.check_lines(u, inside)
            todo += [v for v in read_by(program, u, inside) if v in made]
    return found


def read_by(program: Program, t: Tensor, inside: Collection[Tensor] = ()) -> list[Tensor]:
    """What the lines of a tensor read; what stands inside of them by what that reads."""
    found: dict[Tensor, None] = {}
    todo, done = [t], set()
    while todo:
        u = todo.pop()
        if u in done:
            continue
        done.add(u)
        for node in program.statements:
            if u not in outs(node):
                continue
            for new in [new for x, _, new in node.states if x is u] if isinstance(node, Iterate) else ():
                if index_form.at_once(node, new):  # that stands in the line of u
                    todo.append(new)
                else:
                    found[new] = None
            for s in (node,) if not hasattr(node, "statements") else node.statements:
                for v in reads(s) if u in outs(s) else ():
                    if v in inside:
                        todo.append(v)
                    elif v is not t:
                        found[v] = None
    return list(found)


def checked(program: Program, t: Tensor, drawn: list, inside: index_form.Inside = index_form.NOTHING) -> float:
    """How far the lines of a tensor in index form are from it; NumericError where they do not say what it is."""
    told = [(left, mode, right) for (_, left), mode, (_, right) in index_form.sides(program, t, inside)]
    if any(isinstance(n, Library) and t in n.outs for n in program.statements):
        return 0.0  # an operation by its name is nothing else than itself
    error = lines_differ(t, told, drawn, index_form.letters_of(program, t, inside))
    bound = BOUND if not any(isinstance(n, Iterate) and t in outs(n) for n in program.statements) else OF_ROUNDS
    if not error <= bound:
        text = "; ".join(f"{left} {mode} {right}" for left, mode, right in told)
        raise NumericError(f"what is to be printed of '{t.name}' is off by {error:.0e}: {text}")
    return error


class _Trees:
    """The matrix forms of a program's tensors, each compared with its statement before it is given out."""

    def __init__(self, program: Program, sample: Sample, keep: frozenset[Tensor]) -> None:
        self.program, self.sample = program, sample
        whole = keep | {u for u in program.tensors() if u not in program.inputs}
        self.recognisers = [Recogniser(program, names, as_names=True) for names in (keep, whole)]
        self.by_element = {
            u for n in program.statements if isinstance(n, Library) and n.op in index_form.BY_ELEMENT for u in n.outs
        }
        self.drawn: list | None = None

    def of(self, t: Tensor) -> Node | None:
        """The tree of a tensor, over what the page names where that is short, else over all names; None where its elements
        are easier to read."""
        if len(t.shape) > 2 or t.integer or t in self.by_element:
            return None
        for recogniser in self.recognisers:
            try:
                tree = finished(recogniser.node(t, top=True))
            except NoForm:
                continue
            if recogniser is self.recognisers[0] and count(tree) > LONGEST:
                continue
            if (
                tree.shape == matrix_shape(t.shape)
                and not any(isinstance(n, OneHot) for n in _nodes(tree))
                and self._agrees(t, tree)
            ):
                return tree
        return None

    def _agrees(self, t: Tensor, tree: Node) -> bool:
        return differs(t, tree, self._values()) <= BOUND

    def _values(self) -> list:
        if self.drawn is None:
            self.drawn = drawn_once(self.program, self.sample)
        return self.drawn

    def check_lines(self, t: Tensor, inside: index_form.Inside) -> None:
        """NumericError where the lines of a tensor, read again, do not say what it is."""
        checked(self.program, t, self._values(), inside)


def _nodes(node: Node) -> Iterable[Node]:
    yield node
    for child in children(node):
        yield from _nodes(child)

"""A tensor as a formula: the shortest matrix form that survives its numeric check, else index form.

formula(program, d_w, sample, "matrix")  ->  Formula(text="1/n Xᵀ(σ(Xw + b) − y) + λw", error=2e-16, ...)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import sympy

from symml.ir.program import Dim, Program, Tensor, read_once, renamed
from symml.latex import index_form
from symml.latex.compared import BOUND, Sample, differs, drawn_once, draws
from symml.latex.definitions import by_tensor, checked, definitions, read_by
from symml.latex.distinct import others
from symml.latex.finish import finished
from symml.latex.matrix_form import NoForm, Recogniser
from symml.latex.naming import is_own, shared
from symml.latex.printing import LATEX, TEXT, one_hot_name, tensor_name, write
from symml.latex.shorten import SCALAR, product, symmetric, transpose
from symml.latex.sums_in_place import in_place, stated
from symml.latex.tree import ONE, Leaf, Node, OneHot, Ones, Scale, children, count, evaluate, leaves

LONGEST = 32  # nodes of a tree; above it, what the page names is named in the formula too
VANISHING = 1e-10  # below it a value is a candidate for zero; the proof decides


@dataclass(frozen=True)
class Formula:
    """LaTeX and text of a right side; `where` are definitions it uses, as (latex, text); `error` of tree against statement.
    read: what the formula names that has no matrix form of its own; at: in index form, the letters of the element it is of."""

    name: str
    latex: str
    text: str
    where: tuple[tuple[str, str], ...]
    form: str
    nodes: int
    error: float
    read: tuple[Tensor, ...] = ()
    at: tuple[str, ...] = ()


def formula(
    program: Program,
    t: Tensor,
    sample: Sample,
    form: str = "matrix",
    named: bool = False,
    given: dict[Node, Leaf] | None = None,
) -> Formula:
    """The formula of a tensor; `form` is matrix or index; named: what the page names stands by its name, however short it
    is; given: the names that formulas beside it gave to what they repeat, which grows; without it nothing gets a name.
    Never one that was not compared with its statement."""
    program = index_form.with_numbers(program, t)
    table = others(program)
    program, t = renamed(program, table), table.get(t, t)
    if form == "matrix":
        try:
            return _matrix(program, t, sample, named, given)
        except NoForm:
            pass
    return _index(program, t, sample)


def _matrix(program: Program, t: Tensor, sample: Sample, named: bool, given: dict[Node, Leaf] | None = None) -> Formula:
    vanishes = _vanishing(program, sample)
    whole = Recogniser(program, frozenset(), vanishes, True).node(t, top=True)
    kept: frozenset[Tensor] = frozenset()
    if named or count(whole) > LONGEST:
        kept = frozenset(u for u in program.tensors() if _named(u) and u is not t)
    recogniser = Recogniser(program, kept, vanishes, True)
    main = _in_full(recogniser.node(t, top=True), t)
    lines, todo = {}, [u for u in leaves(main) if u in kept]
    while todo:
        u = todo.pop(0)
        if u not in lines:
            lines[u] = recogniser.node(u, top=True)
            todo += [v for v in leaves(lines[u]) if v in kept]
    new: dict[Tensor, Node] = {}
    if not lines and given is not None:
        taken = {u.name for u in program.tensors()} | {d.name for d in _dims(program)}
        known = {**_page_names(program, t, vanishes), **given}
        found = shared(main, taken | set(map(TEXT.name, taken)), known)  # `alpha` is written with a letter of its own
        if count(finished(main)) > found.length:
            main, new = found.main, {u: finished(tree) for u, tree in found.defined.items()}
    main, lines = finished(main), {u: finished(tree) for u, tree in lines.items()}
    drawn = draws(program, sample)
    error = max(differs(u, tree, drawn, new) for u, tree in {t: main, **lines}.items())
    if not error <= BOUND:
        raise NoForm(t.name)
    if new:
        given.update(found.targets)
    lines = {**new, **lines}
    where = [_line(tensor_name(u, LATEX), tensor_name(u, TEXT), tree) for u, tree in lines.items()]
    nodes = sum(map(count, (main, *lines.values())))
    stepped = _step_by_step(program, recogniser.opaque, [main, *lines.values()])
    for u in (u for u in stepped if not any(u in leaves(tree) for tree in lines.values())):
        main, stepped = _with_sum(program, t, main, u, stepped, sample, kept, new)
    where += definitions(program, stepped, sample, kept) if stepped else []
    where += _one_hots([main, *lines.values()])
    return Formula(t.name, write(main, LATEX), write(main, TEXT), tuple(where), "matrix", nodes, error, stepped)


def _with_sum(
    program: Program,
    t: Tensor,
    main: Node,
    u: Tensor,
    stepped: tuple[Tensor, ...],
    sample: Sample,
    kept: frozenset[Tensor],
    new: Mapping[Tensor, Node],
) -> tuple[Node, tuple[Tensor, ...]]:
    """The formula with a number that only it reads as the sum that it is, and what is left to be defined beside it."""
    sum_ = stated(program, u, read_once(program, kept))
    found = in_place(main, sum_) if sum_ is not None else None
    if found is None:
        return main, stepped
    others = tuple(v for v in stepped if v is not u) + tuple(v for v in leaves(sum_) if v not in program.inputs)
    if u in by_tensor(program, others, sample, kept) or disagreement(program, t, found, sample, new) > BOUND:
        return main, stepped
    return found, tuple(dict.fromkeys(others))


def _page_names(program: Program, t: Tensor, vanishes: Callable[[Tensor | Node], bool]) -> dict[Node, Leaf]:
    """What the page itself named, by the trees it stands for: where a formula repeats one, it has that name."""
    recogniser, found = Recogniser(program, frozenset(), vanishes), {}
    for u in (u for u in program.tensors() if u.kind == "definition" and u is not t and u not in program.inputs):
        try:
            tree = recogniser.node(u, top=True)
        except NoForm:
            continue
        if is_own(tree):
            found[tree] = Leaf(tree.shape, u, symmetric(tree))
    return found


def _in_full(node: Node, t: Tensor) -> Node:
    """A number that stands for a whole array, with the ones it is multiplied by; 0 stays 0."""
    if node.shape != SCALAR or not t.shape or node == Scale(SCALAR, sympy.Integer(0), None):
        return node
    ones = [Ones((n, ONE)) for n in t.shape]
    return product((node, ones[0], *(transpose(o) for o in ones[1:])))


def _vanishing(program: Program, sample: Sample) -> Callable[[Tensor | Node], bool]:
    """Whether a tensor of the program, or a tree over them, is zero at random inputs."""
    drawn = draws(program, sample, seed=11)

    def vanishes(x: Tensor | Node) -> bool:
        try:
            found = [env.get(x) if isinstance(x, Tensor) else evaluate(x, env, dims) for env, dims in drawn]
        except ValueError:  # shapes that do not fit: a wrong tree, which its own check will find
            return False
        return all(a is not None and np.max(np.abs(a), initial=0.0) < VANISHING for a in found)

    return vanishes


def _named(u: Tensor) -> bool:
    """Does the page itself name this tensor, or the one whose adjoint it is?"""
    return u.kind == "definition" or (u.adjoint_of is not None and u.adjoint_of.kind == "definition")


def _line(left_latex: str, left_text: str, tree: Node) -> tuple[str, str]:
    return f"{left_latex} = {write(tree, LATEX)}", f"{left_text} = {write(tree, TEXT)}"


def _step_by_step(program: Program, opaque: frozenset[Tensor], trees: list[Node]) -> tuple[Tensor, ...]:
    """The recurrences, labels and other things without matrix form that formulas name."""
    made = {u for u in program.tensors() if u not in program.inputs}
    named = (u for tree in trees for u in leaves(tree) if u in opaque or (u.integer and u in made))
    return tuple(dict.fromkeys(named))


def _one_hots(trees: list[Node]) -> list[tuple[str, str]]:
    """`Y = onehot(y)` for each matrix of labels that is used."""
    found: dict[Tensor, None] = {}
    todo = list(trees)
    while todo:
        node = todo.pop(0)
        if isinstance(node, OneHot):
            found[node.labels] = None
        todo += children(node)
    return [
        (
            rf"{LATEX.name(one_hot_name(u))} = \operatorname{{onehot}}\left({LATEX.name(u.name)}\right)",
            f"{TEXT.name(one_hot_name(u))} = onehot({TEXT.name(u.name)})",
        )
        for u in found
    ]


def _dims(program: Program) -> set[Dim]:
    return {d for u in program.tensors() for n in u.shape for d in n.atoms(Dim)}


def disagreement(
    program: Program, t: Tensor, tree: Node, sample: Sample, named: Mapping[Tensor, Node] | None = None, times: int = 2
) -> float:
    """The largest relative difference between a tree and the interpreted statement, on random inputs.

    named: what names that are only in the formula stand for, each after those it needs.
    """
    return differs(t, tree, draws(program, sample, times), named)


def _index(program: Program, t: Tensor, sample: Sample) -> Formula:
    """Index form is the statement itself: it needs no recognition, but its text is read again."""
    inside = read_once(program, ())
    error = checked(program, t, drawn_once(program, sample), inside)
    where = tuple(definitions(program, read_by(program, t, inside), sample))
    latex, text = (index_form.write(program, t, style, inside) for style in (LATEX, TEXT))
    return Formula(t.name, latex, text, where, "index", len(text), error, at=index_form.at(program, t))

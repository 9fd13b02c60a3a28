"""gradient = 0 solved for one block of parameters, all else held, as a Program: the solution with its reason.

    affine       g(P) = H P + g(0) with H free of P: a linear system; entry by entry, row by row, or columns that share H
    separable    each entry's equation has that entry alone: S_1 phi_1(u) + S_2 phi_2(u) + ... = 0, the S sums over data
    simplex      the same with S_k / u_k only, and a multiplier: u_k = S_k / sum S
    eigenproblem g(P) = A P on P' P = I: the eigenvectors of the least eigenvalues of A (Rayleigh; Ky Fan 1949)
    covariance   a log det P + <P^-1, B>:  P = B / a;   precision: a log det P + <P, B>:  P = (-B / a)^-1

What an argmin chose (`min[k]`) is held too: the assignment is a step of its own, and the solution the other one.

    solve(derivative, C)  ->  ClosedForm(kind="affine", program with the output "solution", ...) or Unsolved(reason)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import sympy
from sympy import Dummy, Expr
from sympy.core.function import Application

from symml.calculus.columns import Columns, counted, shared
from symml.calculus.reverse import adjoint
from symml.calculus.second import hessian
from symml.calculus.stopped import stopped
from symml.errors import UnsupportedError
from symml.ir.expand import expand
from symml.ir.functions import BY_CLASS, KINKED, PIECEWISE_CONSTANT, equal
from symml.ir.program import (
    Access,
    Library,
    Node,
    Program,
    Statement,
    Tensor,
    accesses,
    dependents,
    direct_accesses,
    fresh_indices,
    outs,
    parts,
    read_instead,
    reads,
)
from symml.names import Names, number
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify

MOST_TERMS = 4
MOST_OPERATIONS = 40
INTEGERS = ("argmax", "argmin")


@dataclass(frozen=True)
class ClosedForm:
    """The solution of gradient = 0 in one block, the output `solution` of `program`.

    kind: affine, separable, simplex, eigenproblem, covariance, precision; matrix, right: of an affine one, H P = right (outputs
    of these programs); shared: the axis along which all systems have one matrix; held: the block as it was before this
    step, on which what an argmin chose depends (None: nothing does); derivative: the gradient with that held.
    """

    block: Tensor
    kind: str
    program: Program
    derivative: Program
    held: Tensor | None = None
    matrix: Program | None = None
    right: Program | None = None
    shared: int = -1
    diagonal: bool = False
    kept: Program | None = None

    @property
    def used(self) -> Program:
        """What a step computes: the solution, where an entry that nothing determines stays as it was."""
        return self.kept or self.program


@dataclass(frozen=True)
class Unsolved:
    """Why gradient = 0 was not solved."""

    block: Tensor
    reason: str


def solve(derivative: Program, forward: Program, block: Tensor, region: str = "") -> ClosedForm | Unsolved:
    """The closed form of one block, tried kind by kind.

    derivative: has d_NAME of the block; forward: the loss; region: the kind of set the block lies in, "" for all of R^n.
    """
    if stopped(forward, (block,)) is not None:
        return Unsolved(block, f"stop( ) holds what depends on {block.name}: it would not be least there")
    whole = prune(derivative, f"d_{block.name}")
    held, kept = _held(whole, block)
    if region == "simplex":
        return _simplex(kept, block)
    if region == "orthonormal":
        return _eigenproblem(kept, block)
    attempts = {
        "": (lambda: _affine(kept, block, held), lambda: _separable(kept, block, held)),
        "symmetric": (
            lambda: "its entries are tied by symmetry",
        ),  # gradient = 0 with all entries free is another problem
        "psd": (),
    }
    if region not in attempts:
        return Unsolved(block, f"it stays in a set with a boundary ({region})")
    reasons = []
    for attempt in (*attempts[region], lambda: _determinant(derivative, forward, block)):
        found = attempt()
        if not isinstance(found, str):
            return found
        reasons.append(found)
    return Unsolved(block, reasons[0])


def reads_block(program: Program, block: Tensor) -> bool:
    """Does anything of a program depend on the block?"""
    return any(block in reads(node) for node in program.statements)


# what an argmin chose


def _held(program: Program, block: Tensor) -> tuple[Tensor | None, Program]:
    """The program whose integers are chosen by the block as it was, another input; None where no integer depends on it."""
    depends = dependents(program.statements, (block,))
    chosen = [
        s.out
        for s in program.statements
        if isinstance(s, Statement) and s.out.integer and s.out in depends and s.reduce in INTEGERS
    ]
    if not chosen:
        return None, program
    names = Names(t.name for t in program.tensors())
    before = replace(block, name=names.claim(f"{block.name}_before"), kind="data", uid=number())
    needed = set(chosen)
    for node in reversed(program.statements):
        if not needed.isdisjoint(outs(node)):
            needed.update(reads(node))
    other: dict[Tensor, Tensor] = {block: before}
    copies: list[Node] = []
    for node in program.statements:
        if not isinstance(node, Statement) or node.out not in needed or node.out not in depends:
            continue
        if node.out not in other:
            other[node.out] = replace(node.out, name=names.fresh(node.out.name), uid=number())
        copies.append(replace(read_instead(node, other), out=other[node.out]))
    taken = {t: other[t] for t in chosen}
    rest = tuple(
        read_instead(n, taken) if isinstance(n, Statement) else n
        for n in program.statements
        if not set(outs(n)) & set(chosen)
    )
    ordered = _ordered((*copies, *rest), (*program.inputs, before))
    found = replace(program, inputs=(*program.inputs, before), statements=ordered)
    return before, simplify(prune(found, *found.outputs))


def _ordered(nodes: Iterable[Node], inputs: Iterable[Tensor]) -> tuple[Node, ...]:
    """Nodes with every tensor complete before it is read."""
    todo, done = list(nodes), []
    known = set(inputs)
    while todo:
        pending = {t for n in todo for t in outs(n)}
        ready = [n for n in todo if not (set(reads(n)) - set(outs(n)) - known) & pending]
        if not ready:
            return (*done, *todo)
        now = ready[0]
        todo.remove(now)
        done.append(now)
        known.update(t for t in outs(now) if not any(t in outs(n) for n in todo))
    return tuple(done)


# affine


def _affine(whole: Program, block: Tensor, held: Tensor | None) -> ClosedForm | str:
    """H P = -g(0), where the Hessian in the block does not read it."""
    try:
        h = hessian(whole, block, block)
    except UnsupportedError as problem:
        return problem.message
    if reads_block(h.program, block):
        return f"the gradient is not affine in {block.name}"
    if not h.program.statements or _is_zero(h.program):
        return f"the gradient does not depend on {block.name}"
    right = _at_zero(whole, block)
    if right is None:
        return f"an operation on whole matrices takes {block.name}"
    made = _system(h, right, block)
    if made is None:
        return f"the equations of {block.name} are one system over all of its entries"
    program, matrix, axis = made
    kept = None
    if held is not None and h.diagonal:  # an empty cluster has no centre: h = 0, and so is the right side
        kept = _staying(h, right, held)
    return ClosedForm(block, "affine", program, whole, held, matrix, right, axis, h.diagonal, kept)


def _staying(h: Columns, right: Program, held: Tensor) -> Program:
    """right / h where h is not 0, the entry as it was elsewhere."""
    k, out = fresh_indices(held.shape), Tensor("solution", held.shape)
    nothing = equal(Access(h.stored, k), sympy.Integer(0))
    body = (Access(right.outputs["right"], k) + nothing * Access(held, k)) / (Access(h.stored, k) + nothing)
    matrix = replace(prune_to(h.program, h.stored), outputs={"matrix": h.stored})
    joined = _joined(matrix, right, (Statement(out, k, "=", "none", k, body),), out)
    return replace(joined, inputs=tuple(dict.fromkeys((*joined.inputs, held))))


def _is_zero(program: Program) -> bool:
    return all(
        isinstance(s, Statement) and s.body == 0
        for s in program.statements
        if set(outs(s)) & set(program.outputs.values())
    )


def _at_zero(whole: Program, block: Tensor) -> Program | None:
    """-g(0) as the output `right`."""
    if any(block in reads(n) for n in whole.statements if not isinstance(n, Statement)):
        return None

    def zeroed(s: Statement) -> Statement:
        found = {a: sympy.Integer(0) for a in direct_accesses(s.body) if a.tensor is block}
        return s.with_body(s.body.xreplace(found)) if found else s

    g = whole.outputs[f"d_{block.name}"]
    out, k = Tensor("right", block.shape), fresh_indices(block.shape)
    minus = Statement(out, k, "=", "none", k, -Access(g, k))
    at_zero = whole.mapped(zeroed)
    at_zero = replace(at_zero, statements=(*at_zero.statements, minus), outputs={"right": out})
    return simplify(prune(_without_zeros(at_zero), "right"))


def _without_zeros(program: Program) -> Program:
    """Tensors that are 0 everywhere disappear from the sums that read them."""
    while True:
        zero = {t for t in program.tensors() if t not in program.inputs}
        zero -= {t for n in program.statements for t in outs(n) if not isinstance(n, Statement) or not _adds_zero(n)}

        def without(s: Statement, zero: set[Tensor] = zero) -> Statement:
            found = {a: sympy.Integer(0) for a in direct_accesses(s.body) if a.tensor in zero}
            return s.with_body(s.body.xreplace(found)) if found else s

        new = program.mapped(without)
        if new is program:
            return program
        program = new


def _adds_zero(s: Statement) -> bool:
    return s.body == 0 and s.reduce in ("none", "sum")


def _system(h: Columns, right: Program, block: Tensor) -> tuple[Program, Program, int] | None:
    """The program of the solution, that of its matrix (output `matrix`), and the axis whose systems share it."""
    r, k = right.outputs["right"], fresh_indices(block.shape)
    out = Tensor("solution", block.shape)
    if h.diagonal or not block.shape:
        matrix = replace(prune_to(_with_stored(h, block), h.stored), outputs={"matrix": h.stored})
        entry = Statement(out, k, "=", "none", k, Access(r, k) / Access(h.stored, k))
        return _joined(matrix, right, (entry,), out), matrix, -1
    if len(block.shape) == 1:
        matrix = replace(h.program, outputs={"matrix": h.full})
        return _joined(matrix, right, (Library("solve", (out,), (h.full, r)),), out), matrix, -1
    found = shared(h)
    steps: tuple[Node, ...]
    if found is None:
        return _one_by_one(h, right, out, block)
    program, a, axis = found
    matrix = replace(program, outputs={"matrix": a})
    if axis == 1:  # A P = R
        steps = (Library("solve", (out,), (a, r)),)
    else:  # P A = R, and A is symmetric: A P' = R'
        turned, back = Tensor("turned", block.shape[::-1]), Tensor("columns", block.shape[::-1])
        steps = (_turn(turned, r), Library("solve", (back,), (a, turned)), _turn(out, back))
    return _joined(matrix, right, steps, out), matrix, axis


def _with_stored(h: Columns, block: Tensor) -> Program:
    """The program of the Hessian with its compressed form: where that was no more than a name, the diagonal says it."""
    if any(h.stored in outs(n) for n in h.program.statements):
        return h.program
    (s,) = (n for n in h.program.statements if h.full in outs(n))
    k = s.lhs[: len(block.shape)]
    return replace(h.program, statements=(*h.program.statements, replace(s, out=h.stored, lhs=k, mode="=")))


def _turn(out: Tensor, t: Tensor) -> Statement:
    """out = t'"""
    i, j = fresh_indices(out.shape)
    return Statement(out, (i, j), "=", "none", (i, j), Access(t, (j, i)))


def _one_by_one(h: Columns, right: Program, out: Tensor, block: Tensor) -> tuple[Program, Program, int] | None:
    """A system of its own for each row of the block, or for each column."""
    if len(block.shape) != 2 or dict(h.ties) not in ({0: 0}, {1: 1}):
        return None
    r, (axis,) = right.outputs["right"], h.ties.values()
    matrix = replace(prune_to(h.program, h.stored), outputs={"matrix": h.stored})
    if axis == 0:
        return _joined(matrix, right, (Library("solve_each", (out,), (h.stored, r)),), out), matrix, -1
    n, m = block.shape
    systems, turned, back = Tensor("systems", (m, n, n)), Tensor("turned", (m, n)), Tensor("columns", (m, n))
    k, i, j = fresh_indices((m, n, n))
    steps = (
        Statement(systems, (k, i, j), "=", "none", (k, i, j), Access(h.stored, (i, k, j))),
        _turn(turned, r),
        Library("solve_each", (back,), (systems, turned)),
        _turn(out, back),
    )
    return _joined(matrix, right, steps, out), matrix, -1


def prune_to(program: Program, t: Tensor) -> Program:
    """The program of one of its tensors."""
    return prune(replace(program, outputs={"kept": t}), "kept")


def _joined(matrix: Program, right: Program, steps: tuple[Node, ...], out: Tensor) -> Program:
    inputs = tuple(dict.fromkeys((*matrix.inputs, *right.inputs)))
    nodes = tuple(dict.fromkeys((*matrix.statements, *right.statements)))
    requires = tuple(dict.fromkeys((*matrix.requires, *right.requires)))
    return Program(inputs, (*nodes, *steps), {"solution": out}, requires)


def _eigenproblem(whole: Program, block: Tensor) -> ClosedForm | Unsolved:
    """Half of tr(P' A P) with P' P = I is the sum of the eigenvalues of A whose vectors P has: least for the first ones."""
    no = Unsolved(block, f"on orthonormal columns, only tr({block.name}' A {block.name}) is solved")
    try:
        h = hessian(whole, block, block)
    except UnsupportedError as problem:
        return Unsolved(block, problem.message)
    found = shared(h)
    right = _at_zero(whole, block)
    if found is None or found[2] != 1 or reads_block(h.program, block) or right is None or not _is_zero(right):
        return no
    program, a, _ = found
    vectors, out, k = Tensor("vectors", a.shape), Tensor("solution", block.shape), fresh_indices(block.shape)
    steps = (Library("eigvecs", (vectors,), (a,)), Statement(out, k, "=", "none", k, Access(vectors, k)))
    requires = (*program.requires, block.shape[0] - block.shape[1])
    whole_ = replace(program, statements=(*program.statements, *steps), outputs={"solution": out}, requires=requires)
    matrix = replace(program, outputs={"matrix": a})
    return ClosedForm(block, "eigenproblem", whole_, whole, matrix=matrix)


# entry by entry


@dataclass(frozen=True)
class _Terms:
    """d_P[k] = sum over terms of S phi(u): the sums as statements, and phi by the tensor of its sum."""

    program: Program
    phi: tuple[tuple[Tensor, Expr], ...]
    u: Dummy


def _terms(whole: Program, block: Tensor) -> _Terms | str:
    """The equation of an entry, taken apart into sums that do not hold it and functions of it alone."""
    g = whole.outputs[f"d_{block.name}"]
    own = [s for s in whole.statements if isinstance(s, Statement) and s.out is g]
    others = [n for n in whole.statements if n not in own]
    no = f"the equations of {block.name} do not hold one entry each"
    if any(block in reads(n) for n in others):
        return no
    u = Dummy("u", positive=True) if block.domain.positive else Dummy("u", real=True)
    names = Names(t.name for t in whole.tensors())
    sums: dict[Expr, list[Statement]] = {}
    for s in own:
        mine = [a for e in parts(s) for a in accesses(e) if a.tensor is block]
        if any(a.idx != s.lhs for a in mine) or len(s.lhs) != len(block.shape) or s.reduce not in ("none", "sum"):
            return no
        if s.guard is not None and any(a.tensor is block for a in accesses(s.guard)):
            return no
        body = s.body.xreplace(dict.fromkeys(mine, u))
        if body.has(*KINKED, *PIECEWISE_CONSTANT):
            return f"the equations of {block.name} have kinks"
        for c, phi in _split(body, u):
            sums.setdefault(phi, []).append(replace(s, body=c))
    if not 1 <= len(sums) <= MOST_TERMS:
        return no
    phi, made = [], []
    for f, group in sums.items():
        total = Tensor(names.fresh("s"), block.shape)
        phi.append((total, f))
        first, *rest = sorted(group, key=lambda s: not s.covers)
        made += [replace(first, out=total, mode="=" if first.covers else "+=")]
        made += [replace(s, out=total, mode="+=") for s in rest]
    return _Terms(replace(whole, statements=(*others, *made)), tuple(phi), u)


def _split(body: Expr, u: Dummy) -> list[tuple[Expr, Expr]]:
    """(coefficient, function of u) of each term. Only a factor that mixes u with the data is multiplied out: (x - mu)^2 stays."""
    found = []
    for term in sympy.Add.make_args(body):
        c, phi = term.as_independent(u, as_Add=False)
        mixed = next((f for f in sympy.Mul.make_args(phi) if _mixes(f, u) and f.has(sympy.Add)), None)
        if mixed is None:
            found.append((c, phi))
            continue
        whole = mixed if mixed.is_Add else expand(mixed)
        if not whole.is_Add:
            found.append((c, phi))
            continue
        rest = term / mixed
        for part in whole.args:
            found += _split(rest * part, u)
    return found


def _mixes(phi: Expr, u: Dummy) -> bool:
    return bool(phi.free_symbols - {u})


def _separable(whole: Program, block: Tensor, held: Tensor | None) -> ClosedForm | str:
    """sympy solves the equation of one entry; the root that the numeric proof confirms is taken."""
    found = _terms(whole, block)
    if isinstance(found, str):
        return found
    if any(_mixes(phi, found.u) for _, phi in found.phi):
        return f"the equations of {block.name} mix its entries with the data"
    symbols = {t: Dummy(t.name, real=True) for t, _ in found.phi}
    equation = sympy.Add(*(symbols[t] * phi for t, phi in found.phi))
    try:
        roots = sympy.solve(sympy.numer(sympy.together(equation)), found.u, dict=False)
    except NotImplementedError:
        roots = []
    roots = [r for r in roots if not r.has(sympy.I) and not (r == 0 and block.domain.positive)]
    if len(roots) != 1 or roots[0].count_ops() > MOST_OPERATIONS:
        return f"the equation of an entry of {block.name} has no single root in closed form"
    if not all(type(f) in BY_CLASS for f in roots[0].atoms(Application)):
        return f"the root of the equation of an entry of {block.name} needs functions that no target computes"
    k, out = fresh_indices(block.shape), Tensor("solution", block.shape)
    body = roots[0].xreplace({symbols[t]: Access(t, k) for t, _ in found.phi})
    last = Statement(out, k, "=", "none", k, body)
    program = replace(found.program, statements=(*found.program.statements, last), outputs={"solution": out})
    program = simplify(simplify(prune(program, "solution")).mapped(counted))
    return ClosedForm(block, "separable", program, whole, held)


def _simplex(whole: Program, block: Tensor) -> ClosedForm | Unsolved:
    """S_k / u_k + nu = 0 with sum u = 1: u_k = S_k / sum of S along the axis of the simplex."""
    found = _terms(whole, block)
    if isinstance(found, str):
        return Unsolved(block, found)
    if len(found.phi) != 1 or sympy.simplify(found.phi[0][1] * found.u) != 1:
        return Unsolved(block, f"on a simplex, only sums of c[k] log {block.name}[k] are solved")
    s, k = found.phi[0][0], fresh_indices(block.shape)
    total, out = Tensor("total", block.shape[:-1]), Tensor("solution", block.shape)
    steps = (
        Statement(total, k[:-1], "=", "sum", k, Access(s, k)),
        Statement(out, k, "=", "none", k, Access(s, k) / Access(total, k[:-1])),
    )
    program = replace(found.program, statements=(*found.program.statements, *steps), outputs={"solution": out})
    return ClosedForm(block, "simplex", simplify(prune(program, "solution")), whole)


# log det


def _determinant(derivative: Program, forward: Program, block: Tensor) -> ClosedForm | str:
    """The block in a log det, and otherwise linear, or in its inverse only."""
    no = f"{block.name} is in no log det"
    if len(block.shape) != 2 or block.shape[0] != block.shape[1]:
        return no
    forward = prune(forward, "loss")
    nodes = [n for n in forward.statements if isinstance(n, Library) and block in n.args and n.op in ("logdet", "inv")]
    logs, inverses = [n for n in nodes if n.op == "logdet"], [n for n in nodes if n.op == "inv"]
    rest = [n for n in forward.statements if n not in nodes]
    if len(logs) != 1 or len(inverses) > 1 or bool(inverses) == any(block in reads(n) for n in rest):
        return no
    inside = inverses[0].outs[0] if inverses else block
    log = logs[0].outs[0]
    cut = Program(
        (*forward.inputs, log, *((inside,) if inverses else ())), tuple(rest), forward.outputs, forward.requires
    )
    back = simplify(
        prune(adjoint(cut, {cut.outputs["loss"]: sympy.Integer(1)}, (log, inside)), f"d_{log.name}", f"d_{inside.name}")
    )
    if any({log, inside, block} & set(reads(n)) for n in back.statements):
        return f"{block.name} is in more than a log det and a linear term"
    a, b = back.outputs[f"d_{log.name}"], back.outputs[f"d_{inside.name}"]
    i, j = fresh_indices(block.shape)
    names = Names(t.name for t in back.tensors())
    out = Tensor("solution", block.shape)
    half = (Access(b, (i, j)) + Access(b, (j, i))) / (2 * Access(a, ()))
    if inverses:
        steps: tuple[Node, ...] = (Statement(out, (i, j), "=", "none", (i, j), half),)
    else:
        m = Tensor(names.fresh("B"), block.shape)
        steps = (Statement(m, (i, j), "=", "none", (i, j), -half), Library("inv", (out,), (m,)))
    program = replace(back, statements=(*back.statements, *steps), outputs={"solution": out})
    kind = "covariance" if inverses else "precision"
    return ClosedForm(block, kind, simplify(prune(program, "solution")), prune(derivative, f"d_{block.name}"))

"""Statements to matrix expressions, by the structure of their indices.

An element body over (p, q) is entrywise; a sum over r joins the factors that hold r: vectors 1'v and u'v, matrices A v,
A B, A diag(v) B. A gather Z[i, y[i]] is the inner product with the one-hot matrix of y, a scatter that matrix itself.
What has no such form raises NoForm and is shown in index form.

    Recogniser(program).node(d_w)  ->  Scale(1/n, Product((Transpose(Leaf(X)), Add(...))))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import sympy
from sympy import Expr, exp

from symml.ir.expand import expand_products
from symml.ir.functions import BY_CLASS, equal, less, less_equal
from symml.ir.program import (
    Access,
    Index,
    Iterate,
    Library,
    Program,
    Scan,
    Statement,
    Tensor,
    accesses,
    indices,
    outs,
    substitute,
)
from symml.latex.comparisons import tidy
from symml.latex.expand import is_zero
from symml.latex.shorten import (
    SCALAR,
    diagonal,
    diagonal_of,
    entrywise,
    hadamard,
    identity,
    inverse,
    power,
    product,
    scale,
    split,
    symmetric,
    total,
    trace,
    transpose,
)
from symml.latex.solved import solved
from symml.latex.sums import add
from symml.latex.tree import ONE, Leaf, Map, Node, OneHot, Ones, Rowwise, Scale, Shape, SquaredNorm, Whole, count

Axes = tuple[Index, ...]
MOST_OPENED = 8  # terms of a product of sums that is written out because it has no form as it stands
LONGEST = 1000  # nodes of the tree of a tensor that is written in place of its name


class NoForm(Exception):
    """This statement has no matrix form."""


def opaque(program: Program) -> frozenset[Tensor]:
    """What has no formula of its own: recurrences, fixed points, definitions by cases. They are shown index by index."""
    found = {t for n in program.statements if isinstance(n, Scan | Iterate) for t in outs(n)}
    for s in program.statements:
        if isinstance(s, Statement) and s.mode == "=" and not s.covers and len(set(s.lhs)) == len(s.lhs):
            found.add(s.out)
    return frozenset(found)


class Recogniser:
    """Trees of a program's tensors; those in `keep` stand as names.

    vanishes: whether a tensor, or a tree, is zero at random inputs; what also is zero by the rules of expand.py is left out;
    as_names: what has no form of its own stands as a name, to be shown in index form.
    """

    def __init__(
        self,
        program: Program,
        keep: frozenset[Tensor] = frozenset(),
        vanishes: Callable[[Tensor | Node], bool] = lambda _: False,
        as_names: bool = False,
    ) -> None:
        self.vanishes = vanishes
        self.as_names = as_names
        self.definitions: dict[Tensor, list[Statement]] = {}
        self.operations: dict[Tensor, Library] = {}
        self.opaque = opaque(program)
        for node in program.statements:
            if isinstance(node, Library):
                self.operations.update(dict.fromkeys(node.outs, node))
            elif isinstance(node, Statement) and node.out not in self.opaque:
                self.definitions.setdefault(node.out, []).append(node)
        self.keep = keep
        self.known: dict[Tensor, Node] = {}
        self.formless: set[Tensor] = set()
        self.own_transposes: dict[Tensor, bool] = {}

    def node(self, t: Tensor, top: bool = False) -> Node:
        """The tree of a tensor; its name where it is an input or kept."""
        if t in self.operations and (t not in self.keep or top):
            return self._operation(self.operations[t], t)
        if t not in self.definitions or (t in self.keep and not top):
            if len(t.shape) > 2 or (top and t in self.opaque):
                raise NoForm(t.name)
            return (
                Scale(SCALAR, Access(t, ()), None)
                if not t.shape
                else Leaf(matrix_shape(t.shape), t, self._is_symmetric(t))
            )
        if top:
            return self._defined(t)
        if t in self.formless:
            raise NoForm(t.name)
        if t not in self.known:
            try:
                self.known[t] = self._defined(t)
                if count(self.known[t]) > LONGEST:
                    raise NoForm(t.name)
            except NoForm:
                if len(t.shape) > 2 or t.integer or not self.as_names:
                    self.formless |= {t} - self.known.keys()  # what reads it need not try again
                    raise
                self.opaque |= {t}
                self.known[t] = Scale(SCALAR, Access(t, ()), None) if not t.shape else Leaf(matrix_shape(t.shape), t)
        return self.known[t]

    def _is_symmetric(self, t: Tensor) -> bool:
        """Is a tensor that stands as a name defined as its own transpose, such as S = L L'?"""
        if t not in self.own_transposes:
            self.own_transposes[t] = self._equals_transpose(t)
        return self.own_transposes[t]

    def _equals_transpose(self, t: Tensor) -> bool:
        if t not in self.definitions or len(t.shape) != 2:
            return False
        try:
            found = self._defined(t)
            if found.shape[0] != found.shape[1]:
                return False
            return symmetric(found) or is_zero(add((found, scale(-ONE, transpose(found))), found.shape))
        except NoForm:
            return False

    def _defined(self, t: Tensor) -> Node:
        """The sum of what a tensor's statements contribute, without what is zero."""
        terms = [self.statement(s) for s in self.definitions[t]]
        if len(terms) > 1:
            terms = [x for x in terms if not (self.vanishes(x) and is_zero(x))]
        found = add(terms, matrix_shape(t.shape))
        return add((), matrix_shape(t.shape)) if self.vanishes(t) and is_zero(found) else found

    def _operation(self, node: Library, t: Tensor) -> Node:
        if t.integer or len(t.shape) > 2:
            raise NoForm(t.name)
        args = tuple(map(self.node, node.args))
        made = {"inv": inverse, "solve": solved}.get(node.op)
        return made(*args) if made else Whole(matrix_shape(t.shape), node.op, args)

    def statement(self, s: Statement) -> Node:
        """What one statement contributes to its tensor."""
        if len(s.lhs) > 2:
            raise NoForm(s.out.name)
        if s.guard is not None:
            if s.reduce not in ("none", "sum"):
                raise NoForm(s.out.name)
            s = replace(s, body=s.body * s.guard, guard=None)
        if s.body.has(less, less_equal):
            s = s.with_body(tidy(s.body))
        if any(not isinstance(k, Index) for k in s.lhs):
            return self._scatter(s)
        if len(set(s.lhs)) < len(s.lhs):
            entries = self.summed(s.body, s.lhs[:1], s.reduced)
            return diagonal(entries, s.lhs[0].size)
        if s.reduce == "logsumexp":
            return self._logsumexp(s)
        if s.reduce not in ("none", "sum"):
            raise NoForm(s.out.name)
        return self.summed(s.body, s.lhs, s.reduced)

    def _scatter(self, s: Statement) -> Node:
        """d[i, y[i]] += c[i] is diag(c) Y; d[y[i]] += c[i] is Y'c."""
        labels = s.lhs[-1]
        if not (isinstance(labels, Access) and len(s.loops) == 1 and labels.idx == s.loops):
            raise NoForm(s.out.name)
        (i,) = s.loops
        one_hot = OneHot((i.size, s.out.shape[-1]), labels.tensor)
        c = self.entries(s.body, s.loops) if i in indices(s.body) else scale(s.body, None)
        if s.lhs[:-1] == (i,):
            return (
                scale(c.factor, one_hot)
                if c.shape == SCALAR and isinstance(c, Scale)
                else product((diagonal(c), one_hot))
            )
        if len(s.lhs) == 1:
            vector = scale(c.factor, Ones((i.size, ONE))) if c.shape == SCALAR and isinstance(c, Scale) else c
            return product((transpose(one_hot), vector))
        raise NoForm(s.out.name)

    def _logsumexp(self, s: Statement) -> Node:
        if len(s.reduced) != 1 or len(s.lhs) > 1:
            raise NoForm(s.out.name)
        inner = self.entries(s.body, (*s.lhs, *s.reduced))
        return Rowwise(matrix_shape(s.out.shape), "logsumexp", inner)

    # entries: no reduction

    def entries(self, e: Expr, axes: Axes) -> Node:
        """The matrix with entries e over axes; what depends on fewer axes is spread over the others."""
        own = tuple(k for k in axes if k in indices(e))
        if len(axes) > 2:
            raise NoForm(str(e))
        if own != axes:
            return _spread(self.entries(e, own), own, axes)
        if not own and not accesses(e):
            return scale(e, None)
        if isinstance(e, Access):
            return self._access(e, axes)
        if e.is_Add:
            return add([self.entries(t, axes) for t in e.args], matrix_shape([k.size for k in axes]))
        if e.is_Mul:
            return self._times(e, axes)
        if isinstance(e, exp):
            return self._softmax(e, axes) or Map(
                matrix_shape([k.size for k in axes]), "exp", (self.entries(e.args[0], axes),)
            )
        if e.is_Pow:
            base = self.entries(e.base, axes) if e.exp == sympy.Rational(1, 2) else None
            if base is not None and not isinstance(split(base)[1], SquaredNorm):
                return Map(matrix_shape([k.size for k in axes]), "sqrt", (self.entries(e.base, axes),))
            if indices(e.exp) or any(a.tensor in self.definitions or a.tensor in self.opaque for a in accesses(e.exp)):
                raise NoForm(str(e))
            return hadamard([power(self.entries(e.base, axes), e.exp)])
        if isinstance(e, equal) and set(e.args) == set(axes) and len({k.size for k in axes}) == 1 < len(axes):
            return identity(axes[0].size)
        if isinstance(e, equal) and _says_itself(*e.args):
            return self.entries(e.args[0], axes)
        if e.func in BY_CLASS and not any(a.is_Symbol and isinstance(a, Index) for a in e.args):
            return entrywise(
                matrix_shape([k.size for k in axes]), BY_CLASS[e.func], tuple(self.entries(a, axes) for a in e.args)
            )
        raise NoForm(str(e))

    def _access(self, a: Access, axes: Axes) -> Node:
        partly = any(isinstance(k, Index) and k.size != n for k, n in zip(a.idx, a.tensor.shape, strict=True))
        if a.tensor.integer or partly:
            raise NoForm(a.name)
        node = self.node(a.tensor)
        if a.idx == axes:
            return node
        if a.idx == axes[::-1]:
            return transpose(node)
        if a.idx == axes * 2:
            return diagonal_of(node)
        raise NoForm(a.name)

    def _times(self, e: Expr, axes: Axes) -> Node:
        """Factors by the axes they hold: scalars in front, diag(u) M diag(v), u v'."""
        delta = next((f for f in e.args if isinstance(f, equal) and set(f.args) == set(axes)), None)
        if delta is not None and len(axes) == 2:
            i, j = axes
            found = self.entries(substitute(e / delta, {j: i}), (i,))
            return diagonal(found, i.size)
        return _combined(self._groups(e, axes), axes)

    def _groups(self, e: Expr, axes: Axes) -> list[tuple[Axes, Node]]:
        """The factors of a product, multiplied entry by entry within each set of axes."""
        return [
            (own, hadamard([self.entries(f, own) for f in sympy.Mul.make_args(part)]))
            for own, part in _grouped(e, axes)
        ]

    def _softmax(self, e: Expr, axes: Axes) -> Node | None:
        """exp(u - L) with L the logsumexp of u along one axis."""
        for term in sympy.Add.make_args(e.args[0]):
            if not isinstance(-term, Access) or len(self.definitions.get((-term).tensor, ())) != 1:
                continue
            lse = -term
            (s,) = self.definitions[lse.tensor]
            if s.reduce != "logsumexp" or len(s.reduced) != 1 or set(lse.idx) - set(axes):
                continue
            others = [k for k in axes if k not in lse.idx]
            if len(others) != 1:
                continue
            (along,) = others
            u = e.args[0] + lse
            rows = (*lse.idx, along)
            same = substitute(s.body, dict(zip((*s.lhs, *s.reduced), rows, strict=True)))
            inner = self.entries(u, rows)
            if u == same or inner == self.entries(same, rows):
                found = Rowwise(matrix_shape([k.size for k in rows]), "softmax", inner)
                return found if rows == axes else transpose(found)
        return None

    # sums

    def summed(self, e: Expr, lhs: Axes, reduced: Axes) -> Node:
        """The sum of e over `reduced`, as a matrix over lhs."""
        e, reduced = _without_deltas(e, reduced)
        if not reduced:
            return self.entries(e, lhs)
        if e.is_Add and (lhs or _gathers(e)):
            return add([self.summed(t, lhs, reduced) for t in e.args], matrix_shape([k.size for k in lhs]))
        if e.is_Mul and _gathers(e):
            outer = [f for f in e.args if not indices(f)]
            inner = sympy.Mul(*(f for f in e.args if indices(f)))
            if outer:
                return hadamard([self.entries(sympy.Mul(*outer), ()), self.summed(inner, lhs, reduced)])
            if inner.is_Add:
                return self.summed(inner, lhs, reduced)
        gathered = _gathers(e)
        if gathered:
            return self._gathered(e, gathered, lhs, reduced)
        diagonal = self._traced(e, lhs, reduced)
        if diagonal is not None:
            return diagonal
        try:
            return self._contracted(e, lhs, reduced)
        except NoForm:
            opened = expand_products(e)
            if not opened.is_Add or len(opened.args) > MOST_OPENED:
                raise
            return add([self.summed(t, lhs, reduced) for t in opened.args], matrix_shape([k.size for k in lhs]))

    def _gathered(self, e: Expr, gathered: list[Access], lhs: Axes, reduced: Axes) -> Node:
        """sum_i c[i] Z[i, y[i]] = <Y, Z> with rows weighted by c."""
        (i,) = reduced if len(reduced) == 1 else (None,)
        a = gathered[0]
        if i is None or lhs or len(gathered) != 1 or not isinstance(a.idx[-1], Access) or a.idx[-1].idx != (i,):
            raise NoForm(str(e))
        weight = e / a
        if a in weight.free_symbols:
            raise NoForm(str(e))
        one_hot: Node = OneHot((i.size, a.tensor.shape[-1]), a.idx[-1].tensor)
        if i in indices(weight):
            one_hot, weight = product((diagonal(self.entries(weight, (i,))), one_hot)), ONE
        if len(a.idx) == 1:
            return scale(weight, total(product((one_hot, self.node(a.tensor)))))
        if a.idx[0] is not i:
            raise NoForm(str(e))
        return scale(weight, total(hadamard((one_hot, self.node(a.tensor)))))

    def _traced(self, e: Expr, lhs: Axes, reduced: Axes) -> Node | None:
        """sum_i c M[i, i] = c tr(M)."""
        factors = sympy.Mul.make_args(e)
        diagonal = [f for f in factors if isinstance(f, Access) and len(f.idx) == 2 and f.idx[0] is f.idx[1]]
        if lhs or len(reduced) != 1 or len(diagonal) != 1:
            return None
        rest = sympy.Mul(*(f for f in factors if f is not diagonal[0]))
        if indices(rest):
            return None
        return hadamard([self.entries(rest, ()), trace(self.node(diagonal[0].tensor))])

    def _contracted(self, e: Expr, lhs: Axes, reduced: Axes) -> Node:
        """Join the factors that hold a reduced index, one index after another."""
        if not lhs and all(set(own) in (set(reduced), set()) for own, _ in _grouped(e, reduced)):
            outer = sympy.Mul(*(f for f in sympy.Mul.make_args(e) if not indices(f)))
            inner = sympy.Mul(*(f for f in sympy.Mul.make_args(e) if indices(f)))
            missing = sympy.Mul(*(k.size for k in reduced if k not in indices(e)))
            if missing != 1:
                raise NoForm(str(e))
            return hadamard([self.entries(outer, ()), total(self.entries(inner, reduced))])
        axes = (*lhs, *reduced)
        groups = self._groups(e, axes)
        for r in sorted(reduced, key=lambda k: sum(len(own) for own, _ in groups if k in own)):
            held = [g for g in groups if r in g[0]]
            if not held:
                raise NoForm(str(e))
            groups = _merged([g for g in groups if r not in g[0]] + [_join(held, r)])
        return _combined(groups, lhs)


def _says_itself(a: Expr, b: Expr) -> bool:
    """[a = 1] is a, where a is 0 or 1."""
    return b == 1 and isinstance(a, Access) and set(a.tensor.domain.values) == {0, 1}


def _without_deltas(e: Expr, reduced: Axes) -> tuple[Expr, Axes]:
    """sum_k [i = k] f(k) is f(i)."""
    for f in sympy.Mul.make_args(e):
        gone = [k for k in f.args if k in reduced] if isinstance(f, equal) else []
        if gone and all(isinstance(k, Index) for k in f.args):
            (kept,) = [k for k in f.args if k is not gone[-1]]
            rest = substitute(e / f, {gone[-1]: kept})
            return _without_deltas(rest, tuple(k for k in reduced if k is not gone[-1]))
    return e, reduced


def _join(held: list[tuple[Axes, Node]], r: Index) -> tuple[Axes, Node]:
    """sum over r of the product of factors that hold it."""
    vectors = [node for own, node in held if own == (r,)]
    matrices = [(own, node) for own, node in held if len(own) == 2]
    if len(matrices) > 2:
        raise NoForm(r.name)
    vector = hadamard(vectors) if vectors else None
    if not matrices:
        return (), total(vector)
    (p, left) = _oriented(*matrices[0], r, last=True)
    if len(matrices) == 1:
        return (p,), product((left, vector if vector is not None else Ones((r.size, ONE))))
    (q, right) = _oriented(*matrices[1], r, last=False)
    middle = () if vector is None else (diagonal(vector),)
    return (p, q), product((left, *middle, right))


def _oriented(own: Axes, node: Node, r: Index, last: bool) -> tuple[Index, Node]:
    other = own[0] if own[1] is r else own[1]
    return other, node if (own[1] is r) == last else transpose(node)


def _merged(groups: list[tuple[Axes, Node]]) -> list[tuple[Axes, Node]]:
    """One group for each set of axes."""
    found: dict[frozenset[Index], tuple[Axes, Node]] = {}
    for own, node in groups:
        key = frozenset(own)
        if key in found:
            first, other = found[key]
            node = node if own == first else transpose(node)
            own, node = first, hadamard((other, node))
        found[key] = (own, node)
    return list(found.values())


def _combined(groups: Sequence[tuple[Axes, Node]], axes: Axes) -> Node:
    """The product of groups, as a matrix over axes."""
    by = {own: node for own, node in _merged(list(groups))}
    scalars = [by.pop(())] if () in by else []
    if len(axes) < 2:
        return hadamard([*scalars, *by.values()]) if by or scalars else scale(ONE, None)
    p, q = axes
    full = by.get((p, q)) or (transpose(by[q, p]) if (q, p) in by else None)
    u, v = by.get((p,)), by.get((q,))
    if full is None:
        if u is None or v is None:
            raise NoForm("an outer product lacks a side")
        return hadamard([*scalars, product((u, transpose(v)))])
    left = () if u is None else (diagonal(u),)
    right = () if v is None else (diagonal(v),)
    return hadamard([*scalars, product((*left, full, *right))])


def _grouped(e: Expr, axes: Axes) -> list[tuple[Axes, Expr]]:
    """The factors of e, multiplied together by the axes they depend on."""
    groups: dict[Axes, list[Expr]] = {}
    for f in sympy.Mul.make_args(e):
        groups.setdefault(tuple(k for k in axes if k in indices(f)), []).append(f)
    return [(own, sympy.Mul(*fs)) for own, fs in groups.items()]


def _gathers(e: Expr) -> list[Access]:
    """Accesses through labels, in order of their text."""
    found = [a for a in e.atoms(Access) if any(not isinstance(k, Index) and k.atoms(Access) for k in a.idx)]
    return sorted(found, key=lambda a: a.name)


def _spread(node: Node, own: Axes, axes: Axes) -> Node:
    """A scalar stays (it broadcasts); a vector becomes v 1' or 1 v'."""
    if not own:
        return node
    (k,) = own
    if k is axes[0]:
        return product((node, transpose(Ones((axes[1].size, ONE)))))
    return product((Ones((axes[0].size, ONE)), transpose(node)))


def matrix_shape(sizes: Sequence[Expr]) -> Shape:
    """The shape of a number, vector or matrix as one of a matrix: vectors are columns."""
    return (sizes[0] if len(sizes) > 0 else ONE, sizes[1] if len(sizes) > 1 else ONE)

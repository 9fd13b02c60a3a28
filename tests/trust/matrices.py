"""Matrix form for the generator: products, transposes, entrywise functions, softmax, norms, all by shape.

value(writer)  ->  (term, dims)      a definition's right side
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trust.generator import Term, times

if TYPE_CHECKING:
    from trust.generator import Writer

LONGEST = 8  # the largest size that samples use


def value(w: Writer) -> tuple[Term | None, tuple[str, ...]]:
    """A right side in matrix form and its dims; None where no tensor of the page fits."""
    rank = w.rng.choice((0, 1, 1, 2, 2, 2))
    shaped = [t for t in w._real() if len(t.dims) in (1, 2)]
    start = w.rng.choice(shaped)
    dims = (*start.dims, *w.rng.sample(w.dims, 2))[:rank]
    term = {0: number, 1: vector, 2: matrix}[rank](w, tuple(dims), 2)
    return term, tuple(dims)


def _pick(w: Writer, dims: tuple[str, ...]) -> Term | None:
    """A tensor of this shape as it is or transposed."""
    found = [(t, "") for t in w._real() if t.dims == dims]
    found += [(t, "'") for t in w._real() if len(dims) == 2 and t.dims == dims[::-1]]
    if not found:
        return None
    t, mark = min(found, key=lambda f: (2 * f[0].uses + (f[0].kind == "data"), w.rng.random()))
    t.uses += 1
    return Term(t.name + mark, t.low, t.high, True)


def _entrywise(w: Writer, a: Term) -> Term:
    form, low, high = w.rng.choice(
        (
            ("tanh({})", -1, 1),
            ("sigmoid({})", 0, 1),
            ("softplus({})", 0, a.most + 0.7),
            ("relu({})", 0, a.most),
            ("arctan({})", -1.6, 1.6),
            ("sin({})", -1, 1),
            ("cos({})", -1, 1),
            ("abs({})", 0, a.most),
        )
    )
    return Term(form.format(a.text), low, high, True)


def matrix(w: Writer, dims: tuple[str, ...], depth: int) -> Term | None:
    """A matrix of these dims."""
    p, q = dims
    pick = w.rng.random()
    leaf = _pick(w, dims)
    if depth <= 0 or (leaf and pick < 0.1):
        return leaf
    if pick < 0.4 or leaf is None:
        m = w.rng.choice(w.dims)
        return _product(w, matrix(w, (p, m), depth - 1), matrix(w, (m, q), 0)) or _outer(w, dims)
    if pick < 0.5:
        return w._kept(_entrywise(w, leaf))
    if pick < 0.6:
        name = w.rng.choice(("softmax", "logsoftmax"))
        return Term(f"{name}({leaf.text})", *((0, 1) if name == "softmax" else (-2 * leaf.most - 2.1, 0)), True)
    other = matrix(w, dims, depth - 1) or leaf
    if pick < 0.7:
        return w._kept(Term(f"{leaf.factor} .* {other.factor}", *times(leaf, other)))
    if pick < 0.8 and p != q and (row := _pick(w, (q,))):
        return w._kept(Term(f"{other.text} + {row.factor}", other.low + row.low, other.high + row.high))
    if pick < 0.9:
        return w._kept(Term(f"{other.text} - 2 {leaf.factor}", other.low - 2 * leaf.most, other.high + 2 * leaf.most))
    return _outer(w, dims) or leaf


def _product(w: Writer, a: Term | None, b: Term | None) -> Term | None:
    if a is None or b is None:
        return None
    most = LONGEST * a.most * b.most
    op = w.rng.choice((" ", " @ "))
    return _kept(w, Term(f"{a.factor}{op}{b.factor}", -most, most))


def _kept(w: Writer, a: Term) -> Term:
    """Squeezed entrywise where it may be large."""
    return a if a.most <= 40 else Term(f"{w.rng.choice(('tanh', 'arctan', 'sin'))}({a.text})", -1.6, 1.6, True)


def _outer(w: Writer, dims: tuple[str, ...]) -> Term | None:
    u, v = _pick(w, dims[:1]), _pick(w, dims[1:])
    return None if u is None or v is None else w._kept(Term(f"{u.text} {v.text}'", *times(u, v)))


def vector(w: Writer, dims: tuple[str, ...], depth: int) -> Term | None:
    """A column of this dim."""
    (p,) = dims
    pick = w.rng.random()
    leaf = _pick(w, dims)
    if depth <= 0 or (leaf and pick < 0.1):
        return leaf
    if pick < 0.5 or leaf is None:
        m = w.rng.choice(w.dims)
        return _product(w, matrix(w, (p, m), depth - 1), vector(w, (m,), 0))
    if pick < 0.6:
        return w._kept(_entrywise(w, leaf))
    if pick < 0.7:
        return Term(f"softmax({leaf.text})", 0, 1, True)
    if pick < 0.8 and (m := matrix(w, (p, w.rng.choice(w.dims)), 0)):
        return Term(f"logsumexp({m.text})", m.low, m.high + 2.1, True)
    other = vector(w, dims, depth - 1) or leaf
    if pick < 0.9:
        return w._kept(Term(f"{leaf.factor} .* {other.factor}", *times(leaf, other)))
    return w._kept(Term(f"{other.text} - 1/2 {leaf.factor}", other.low - leaf.most, other.high + leaf.most))


def number(w: Writer, dims: tuple[str, ...], depth: int) -> Term | None:
    """A scalar made of vectors and matrices."""
    p, q = w.rng.choice(w.dims), w.rng.choice(w.dims)
    pick = w.rng.random()
    if pick < 0.3:
        u, v = _pick(w, (p,)), vector(w, (p,), depth - 1)
        return None if u is None or v is None else _squeezed(Term(f"{u.text}' {v.factor}", 0, 8 * u.most * v.most))
    if pick < 0.5:
        a, b = matrix(w, (p, q), depth - 1), matrix(w, (p, q), 0)
        return (
            None
            if a is None or b is None
            else _squeezed(Term(f"tr({a.factor}' {b.factor})", 0, 64 * a.most * b.most, True))
        )
    a = matrix(w, (p, q), depth - 1) if pick < 0.75 else vector(w, (p,), depth - 1)
    if a is None:
        return None
    form = w.rng.choice(("||{}||^2", "||{}||_1", "||{}||_inf", "sqrt(1 + ||{}||^2)"))
    return _squeezed(Term(form.format(a.text), 0, 64 * a.most**2, True))


def _squeezed(a: Term) -> Term:
    return Term(f"log(1 + {a.factor}^2)", 0, 20, True) if a.most > 25 else a

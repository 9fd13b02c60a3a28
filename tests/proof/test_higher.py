"""The oracles of second and higher derivatives accept what is right and see what is wrong by a thousandth."""

from dataclasses import replace

import pytest

from symml.calculus.reverse import gradient
from symml.calculus.second import hessian, hessian_times, jacobian, slope_along, transposed_times
from symml.calculus.tangent import tangent
from symml.derivations import verified
from symml.errors import NumericError
from symml.ir.program import Access, Program, Statement, Tensor, fresh_indices
from symml.proof.higher import (
    SERIES,
    Claim,
    check_along,
    check_direction,
    check_entries,
    check_pulled,
    check_series,
    check_trace,
)
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from tests.check import analysis

PAGE = """dims d = 3
data A[d, d], c[d]
param w[d]
p = tanh(A w + c)
minimize over w
  sum[i] exp(p[i]) w[i]^2
"""
FIXED = """dims d = 2
data A[d, d], c[d]
param w[d]
iterate x[i] <- tanh(c[i] + w[i]/4 sum[j] A[i, j] x[j]) from 0 until |change| < 1e-13
minimize over w
  sum[i] x[i]^2 w[i]
"""


def wrong(c: Claim) -> Claim:
    """The claim with its output a thousandth too large."""
    t = c.program.outputs[c.key]
    out, k = Tensor("wrong", t.shape), fresh_indices(t.shape)
    s = Statement(out, k, "=", "none", k, Access(t, k) * 1.001)
    program = replace(c.program, statements=(*c.program.statements, s), outputs={c.key: out})
    return replace(c, program=program)


def both(check, c, *args, **options):
    """The proof of a claim, which the wrong one does not get."""
    proof = check(c, *args, **options)
    assert proof.ok and proof.points > 0 and proof.error < 1e-11, proof
    seen = check(wrong(c), *args, **options)
    assert not seen.ok and seen.error > 1e-5, seen
    return proof


def test_hessians_and_products_with_them():
    a = analysis(PAGE)
    (w,) = a.model.over
    both(check_entries, Claim(a.raw, "loss", hessian(a.derivative, w, w).program, "hessian"), (w, w))
    _, product, (v,) = hessian_times(a.derivative, (w,))
    product = prune(product, "d_w")
    both(check_along, Claim(a.raw, "loss", product, "d_w"), w, v, by_entry=True)
    both(check_direction, Claim(a.derivative, "d_w", product, "d_w"), w, v)


def test_a_power_of_exact_numbers_is_a_number():
    """What has no symbol is left by sympy as a power of rational numbers."""
    a = analysis("dims n\ndata x[n] > 0, y[n]\nparam k\nminimize sum[i] (y[i] - x[i]^k)^2")
    (k,) = a.model.over
    both(check_entries, Claim(a.raw, "loss", hessian(a.derivative, k, k).program, "hessian"), (k, k))


def test_jacobians_and_products_with_them():
    a = analysis(PAGE)
    (w,) = a.model.over
    p = next(t for t in a.program.tensors() if t.name == "p")
    f = prune(replace(a.program, outputs={"p": p}), "p")
    j = jacobian(f, "p", w)
    both(check_entries, Claim(f, "p", j.program, "jacobian"), (w,))
    moved, (v,) = tangent(f, ("p",), (w,))
    both(check_along, Claim(f, "p", moved, "t_p"), w, v)
    both(check_direction, Claim(f, "p", moved, "t_p"), w, v)
    back, u = transposed_times(f, "p", (w,))
    both(check_pulled, Claim(f, "p", back, "d_w"), w, u)
    (k,), out = fresh_indices(w.shape), Tensor("div")
    total = Statement(out, (), "=", "sum", (k,), Access(j.full, (k, k)))
    divergence = replace(j.program, statements=(*j.program.statements, total), outputs={"div": out})
    both(check_trace, Claim(f, "p", divergence, "div"), w)


def terms(a, most):
    """D^k f [v, ..., v] for k = 1, 2 ..., with v."""
    (w,) = a.model.over
    program, (v,) = slope_along(a.derivative, (w,))
    for k in range(1, most + 1):
        if k > 1:
            d = gradient(program, "slope", (w,))
            loops, out = fresh_indices(w.shape), Tensor("slope")
            s = Statement(out, (), "=", "sum", loops, Access(d.outputs["d_w"], loops) * Access(v, loops))
            inputs = tuple(dict.fromkeys((*d.inputs, v)))
            program = simplify(Program(inputs, (*d.statements, s), {"slope": out}, d.requires))
        yield k, program, v


def scaled(program, k):
    """The Taylor term of a derivative of order k."""
    factorial = {1: 1, 2: 2, 3: 6, 4: 24, 5: 120}[k]
    out = Tensor("term")
    s = Statement(out, (), "=", "none", (), Access(program.outputs["slope"], ()) / factorial)
    return replace(program, statements=(*program.statements, s), outputs={"slope": out})


@pytest.mark.parametrize(("text", "most"), [(PAGE, 5), (FIXED, 2)], ids=["page", "fixed point"])
def test_taylor_terms_in_mpmath(text, most):
    """Of a fixed point as well: implicit differentiation, of first and second order."""
    a = analysis(text)
    (w,) = a.model.over
    for k, program, v in terms(a, most):
        proof = both(check_series, Claim(a.raw, "loss", scaled(program, k), "slope"), w, v, k)
        assert proof.error < SERIES == 1e-12
        other = check_series(Claim(a.raw, "loss", scaled(program, k), "slope"), w, v, k + 1)
        assert not other.ok  # a term of another order


def test_what_fails_is_not_shown():
    a = analysis(PAGE)
    (w,) = a.model.over
    c = Claim(a.raw, "loss", hessian(a.derivative, w, w).program, "hessian")
    assert "expansion by sympy agrees" in verified.told(verified.entries(c, (w, w)))
    with pytest.raises(NumericError, match="wrong"):
        verified.told(verified.entries(wrong(c), (w, w)))

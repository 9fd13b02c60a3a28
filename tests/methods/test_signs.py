"""Signs of weights by the ends of domains; a share of a penalty is enough for a duality gap, and an unknown sign is not."""

from __future__ import annotations

import pytest
import sympy
from check import page

from symml import pipeline
from symml.ir.program import Domain, Tensor
from symml.methods.signs import nonnegative, positive, weight

A = Tensor("a", (), "hyper", Domain("interval", 0.0, None, (True, True)))[()]
INSIDE, CLOSED = (
    Tensor(n, (), "hyper", Domain("interval", 0.0, 1.0, (o, o)))[()] for n, o in (("r", True), ("q", False))
)
FREE = Tensor("f", (), "hyper")[()]
SIGNS = [
    (A - A * INSIDE, True, True),
    (1 - INSIDE, True, True),
    (A * (2 * INSIDE - 2) * (INSIDE - 1) / 3, True, True),
    (1 - CLOSED, False, True),
    (A * CLOSED - A, False, False),
    (INSIDE - 1, False, False),
    (1 - 2 * INSIDE, False, False),
    (1 - FREE, False, False),
    (A - FREE**2, False, False),
]


@pytest.mark.parametrize(("e", "above", "not_below"), SIGNS)
def test_signs(e, above, not_below):
    assert positive(e) is above and nonnegative(e) is not_below


def test_a_weight_has_no_minus_in_front_of_a_difference():
    assert weight((A / 2, -A * INSIDE / 2)) == A * (1 - INSIDE) / 2
    assert sympy.expand(weight((A * INSIDE, -A, A * INSIDE**2)) - (A * INSIDE - A + A * INSIDE**2)) == 0


PAGE = (
    "dims n, d\ndata X[n, d], y[n]\nparam w[d] init 0\nhyper a > 0 = 0.1, r{} = 0.5\n"
    "minimize over w  1/(2 n) ||X w - y||^2 + a r ||w||_1 + a (1 - r)/2 ||w||^2"
)


@pytest.mark.parametrize(("domain", "told"), [(" in (0, 1)", True), (" in [0, 1]", True), (" > 0", False)])
def test_shares_of_a_penalty_have_a_duality_gap(domain, told):
    kernel, _ = pipeline.kernel(page(PAGE.format(domain)), pipeline.Options(target="reference"))
    assert ("stops by the duality gap" in kernel.manifest["method"]["reason"]) is told

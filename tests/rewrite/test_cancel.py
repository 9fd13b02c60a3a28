"""What cancels in a product: values stay the same, powers are counted, and what looks alike stays."""

from __future__ import annotations

import pytest
import sympy
from sympy import cosh, sinh, tanh

from symml.ir.functions import less, maximum, relu, step
from symml.rewrite.cancel import hyperbolic_ratio, maximum_alone

u, v = sympy.symbols("u v", real=True)
RATIOS = [
    (sinh(u) / cosh(u), tanh(u)),
    (3 * v * sinh(u) ** 2 / cosh(u) ** 2, 3 * v * tanh(u) ** 2),
    (sinh(u) ** 3 / cosh(u), sinh(u) ** 2 * tanh(u)),
    (cosh(u) ** 2 / sinh(u), cosh(u) / tanh(u)),
    (sinh(u) / cosh(v), None),
    (sinh(u) * cosh(u), None),
]
TESTS = [
    (less(0, u) * maximum(0, u), maximum(0, u)),
    (v * less(0, u) * maximum(0, u) ** 2, v * maximum(0, u) ** 2),
    (step(u) * relu(u), relu(u)),
    (step(u) * relu(v), None),
    (step(u) / relu(u), None),
    (less(0, u) * maximum(1, u), None),
]


@pytest.mark.parametrize("e, answer", RATIOS)
def test_hyperbolic_functions_over_each_other(e, answer):
    assert hyperbolic_ratio(e) == answer


@pytest.mark.parametrize("e, answer", TESTS)
def test_tests_beside_what_they_test(e, answer):
    assert maximum_alone(e) == answer


@pytest.mark.parametrize("e, answer", [x for x in RATIOS if x[1] is not None])
def test_values_stay(e, answer):
    at = {u: 0.7, v: -1.3}
    assert abs(float(e.subs(at)) - float(answer.subs(at))) < 1e-12

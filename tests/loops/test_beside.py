"""A sum that shares work with a map is done beside it, where that map can come as early."""

from __future__ import annotations

import pytest
from check import analysis, check_loops

from symml.ir.functions import FUNCTIONS
from symml.ir.program import Dim, Index, Program, Statement, Tensor
from symml.loops.beside import beside_maps
from symml.loops.program import Nest
from symml.loops.schedule import schedule

LOGISTIC = "dims n, d\ndata X[n, d], y[n]\nparam w[d]\nz = X w\nminimize 1/n sum[i] (softplus(z[i]) - y[i] z[i])"
POISSON = "dims n, d\ndata X[n, d], y[n]\nparam w[d]\nz = X w\nminimize 1/n sum[i] (exp z[i] - y[i] z[i])"
SQUARES = "dims n, d\ndata X[n, d], y[n]\nparam w[d]\nminimize 1/n ||X w - y||^2"


def nests(text):
    return [item for r in schedule(analysis(text).derivative).regions for item in r.items if isinstance(item, Nest)]


@pytest.mark.parametrize("text", [LOGISTIC, POISSON])
def test_the_terms_of_the_loss_stand_in_the_nest_of_the_gradient(text):
    assert any(len(nest.statements) == 2 and nest.statements[1].out.name.startswith("d_") for nest in nests(text))
    check_loops(analysis(text).derivative)


def test_what_shares_no_costly_function_stays():
    program = analysis(SQUARES).derivative
    assert beside_maps(program) is program


def program(body_of_map):
    """s = sum[i] exp(x[i]), then r[i] = a body of x[i] and s."""
    n = Dim("n")
    x, total, r = Tensor("x", (n,), "data"), Tensor("s"), Tensor("r", (n,))
    i, k = Index("i", n), Index("k", n)
    exp = FUNCTIONS["exp"].symbol
    first = Statement(total, (), "=", "sum", (i,), exp(x[i]))
    second = Statement(r, (k,), "=", "none", (k,), body_of_map(exp(x[k]), total[()]))
    return Program((x,), (first, second), {"s": total, "r": r})


def test_a_map_that_needs_the_sum_stays_behind_it():
    apart, together = program(lambda e, s: e / s), program(lambda e, s: 2 * e)
    assert beside_maps(apart) is apart
    assert [s.out.name for s in beside_maps(together).statements] == ["s_i", "r", "s"]
    check_loops(apart)
    check_loops(together)

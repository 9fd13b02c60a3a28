"""Rows of a batch: copied, multiplied with a vector and added up as vectors, from a matrix or by the numbers of the rows."""

from __future__ import annotations

import numpy as np
import pytest
from check import page
from numba import njit

from symml import pipeline
from symml.targets.numba_cpu.rows import add_rows, copy_rows, dot_rows
from symml.targets.numba_cpu.unowned import unowned

LOGISTIC = """dims n, d
data X[n, d], y[n] in {0, 1}
param w[d] init 0, b
hyper lam > 0 = 1e-2
z = X w + b
minimize 1/n sum[i] (softplus(z[i]) - y[i] z[i]) + lam/2 ||w||^2
train with sgd(lr = 0.1, batch = 10, epochs = 3, seed = 0)"""
ROWED = LOGISTIC.replace("+ lam/2 ||w||^2", "+ lam/2 1/n sum[i] sum[j] (X[i, j] w[j])^2")


@njit
def through(out, a, first, count, v, copied):
    """The three operations, each with what lies behind the end left as it is."""
    dot_rows(out[0], a, first, count, v[0])
    add_rows(out[1], a, first, count, v[1])
    copy_rows(copied, a, first, count)


@njit
def copies(out, a, first, count):
    copy_rows(out, a, first, count)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_and_copies_of_every_length(dtype):
    """Rows of one entry to several vectors, none to nine of them; what stands behind them is neither read nor written."""
    rng = np.random.default_rng(0)
    exact = {np.float32: 2e-6, np.float64: 4e-15}[dtype]
    for n in (1, 3, 7, 8, 9, 16, 20, 33, 70):
        A = rng.normal(size=(12, n)).astype(dtype)
        order = rng.permutation(12)
        w, e = rng.normal(size=n).astype(dtype), rng.normal(size=12).astype(dtype)
        for count in range(10):
            for a, rows in ((A, A[2 : 2 + count]), ((A, order), A[order[2 : 2 + count]])):
                z, g = np.full(12, 7, dtype), np.ones(n + 3, dtype)
                own = np.full((12, n), 7, dtype)
                through((z, g[:n]), a, 2, count, (w, e), own)
                np.testing.assert_allclose(z[:count], rows @ w, atol=exact * n, rtol=exact)
                np.testing.assert_allclose(g[:n], 1 + e[:count] @ rows, atol=exact * n, rtol=exact)
                assert (own[:count] == rows).all() and (own[count:] == 7).all()
                assert (z[count:] == 7).all() and (g[n:] == 1).all()
    z, g = np.zeros(12, dtype), np.zeros(70, dtype)
    through((z, g), (A, order[::-1].copy()), 2, 9, (w, e), own)
    assert np.abs(z[:9] - rows @ w).max() > 1e-2, "the test cannot tell rows apart"


@pytest.mark.parametrize("shape", [(6,), (6, 5), (6, 2, 3)])
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_rows_of_any_shape_are_copied(shape, dtype):
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    out, order = np.zeros_like(values), np.array([5, 0, 3, 1, 2, 4])
    copies(out, (values, order), 1, 4)
    assert (out[:4] == values[order[1:5]]).all() and (out[4:] == 0).all()


def test_what_is_not_a_number_stays_so():
    """A row that is infinite or no number shows in what it belongs to, and nowhere else."""
    A = np.ones((9, 5))
    A[8, 4], A[3, 0] = np.inf, np.nan
    z, g, own = np.zeros(9), np.zeros(5), np.zeros((9, 5))
    through((z, g), A, 0, 9, (np.ones(5), np.ones(9)), own)
    assert np.isnan(z).tolist() == [k == 3 for k in range(9)] and z[8] == np.inf
    assert np.isnan(g).tolist() == [True, False, False, False, False] and g[4] == np.inf


def test_arrays_without_owners_are_the_same():
    @njit
    def added(a, pair):
        a, pair = unowned((a, pair))
        a[0] += pair[1][0] * pair[0]
        return a

    a = np.arange(3.0)
    added(a, (2, np.array([4.0])))
    assert a.tolist() == [8.0, 1.0, 2.0]


def test_matrices_are_read_where_they_stand_only_if_products_are_all_they_are_for():
    text, _ = pipeline.build(page(LOGISTIC), pipeline.Options())
    assert "copy_rows(b_y" in text and "copy_rows(b_X" not in text and "(v_X, order[start:stop])" in text
    text, _ = pipeline.build(page(ROWED), pipeline.Options())
    assert "copy_rows(b_X" in text and "(v_X, order[start:stop])" not in text


def test_batches_train_as_the_interpreter_does():
    """23 rows in batches of 10: the last one is smaller."""
    found = trained(LOGISTIC, pipeline.Options())
    np.testing.assert_allclose(found, trained(LOGISTIC, pipeline.Options(target="reference")), rtol=1e-12, atol=1e-13)
    assert (
        np.abs(found).max() > 1e-3 and np.abs(found - trained(ROWED, pipeline.Options(target="reference"))).max() > 1e-6
    )


@pytest.mark.full
@pytest.mark.parametrize("body", [LOGISTIC, ROWED])
def test_checked_bounds_and_copied_rows_give_the_same(body):
    """With checked bounds rows are copied and loops are plain."""
    found = trained(body, pipeline.Options())
    for other in (pipeline.Options(target="reference"), pipeline.Options(boundscheck=True)):
        np.testing.assert_allclose(found, trained(body, other), rtol=1e-12, atol=1e-13)


def trained(body: str, options: pipeline.Options) -> np.ndarray:
    rng = np.random.default_rng(1)
    data = {"X": rng.normal(size=(23, 11)), "y": (rng.normal(size=23) > 0).astype(float)}
    return pipeline.train(page(body), options, data, 0).x

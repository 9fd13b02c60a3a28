"""A Hessian column by column, where it is not derived as one array.

Needs lagrangian_times(x, v, out, data, work), the Hessian times v.
"""

import numpy as np


def second_derivatives(x, out, data, work):
    """out: (n n,) becomes the Hessian at x, which is symmetric."""
    n = x.shape[0]
    v = np.zeros(n)
    for j in range(n):
        v[j] = 1.0
        lagrangian_times(x, v, out[j * n : (j + 1) * n], data, work)
        v[j] = 0.0

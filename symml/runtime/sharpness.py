"""The sharpness of a fit: the largest eigenvalue of the Hessian there, by products with vectors alone.

Gradient descent with the step lr is stable along an eigenvector of the Hessian where lr times its eigenvalue is below 2.

found = sharpness(kernel, problem)      the kernel is one of purpose "curvature"
found.largest, found.largest_step
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symml.algorithms.lanczos import lanczos
from symml.errors import NumericError
from symml.runtime.crew import Crew
from symml.runtime.launch import Kernel, Problem
from symml.runtime.uncertainty import times_vector

MOST = 200  # products
TOLERANCE = 1e-8


@dataclass(frozen=True)
class Sharpness:
    """The extreme eigenvalues, the products they took, and the residual |H u - theta u| of the worse one."""

    least: float
    largest: float
    products: int
    residual: float

    @property
    def largest_step(self) -> float:
        """2/sharpness: gradient descent with a larger step leaves this point; infinite where nothing curves upward."""
        return 2 / self.largest if self.largest > 0 else np.inf


def sharpness(kernel: Kernel, p: Problem) -> Sharpness:
    """The extreme eigenvalues of the Hessian at p.x; NumericError where it is not finite."""
    with Crew(kernel) as crew:
        times = times_vector(crew, p)
        start = np.random.default_rng(0).normal(size=p.x.shape[0])
        if not np.isfinite(times(start)).all():
            raise NumericError("the Hessian is not finite at the fit", fix="there is no sharpness here")
        least, largest, products, residual = lanczos(times, start, MOST, TOLERANCE)
    return Sharpness(float(least), float(largest), int(products), float(residual))

"""The methods of `train with` that read all rows: for which form each is, and where it is described (`symml list methods`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

KNOWN: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "alternating": (
            "blocks of parameters that each have a closed form",
            "Lloyd, IEEE Trans. Inf. Theory 28 (1982)",
        ),
        "augmented_lagrangian": (
            "constraints and kinks of many unknowns, by gradients of the Lagrangian",
            "Birgin & Martinez, Practical Augmented Lagrangian Methods (2014)",
        ),
        "closed_form": ("objectives whose gradient = 0 has a closed form", "each is plugged back"),
        "coordinate_descent": (
            "a quadratic plus weighted absolute values, between bounds",
            "Friedman, Hastie & Tibshirani, J. Stat. Softw. 33 (2010)",
        ),
        "gauss_newton": ("least squares, full steps", "Nocedal & Wright, Numerical Optimization (2006), section 10.3"),
        "interior_point": (
            "constraints and kinks, by the Hessian of the Lagrangian",
            "Waechter & Biegler, Math. Program. 106 (2006)",
        ),
        "lbfgs": ("any smooth objective", "Nocedal & Wright, Numerical Optimization (2006), section 7.2"),
        "lbfgs_b": (
            "bounds of many parameters, by gradients",
            "Byrd, Lu, Nocedal & Zhu, SIAM J. Sci. Comput. 16 (1995)",
        ),
        "levenberg_marquardt": ("least squares, nonlinear residuals", "More, The Levenberg-Marquardt algorithm (1978)"),
        "newton": ("any smooth objective, second order", "Nocedal & Wright, Numerical Optimization (2006), chapter 3"),
        "proximal_gradient": (
            "a smooth part plus absolute values and norms of groups; bounds, sums, simplices and balls by projection",
            "Beck & Teboulle, SIAM J. Imaging Sci. 2 (2009)",
        ),
        "scaled_qr": ("least squares, affine residuals", "Golub & Van Loan, Matrix Computations (2013), section 5.3"),
        "trust_region": ("bounds of parameters, by the Hessian times a vector", "Lin & More, SIAM J. Optim. 9 (1999)"),
    }
)

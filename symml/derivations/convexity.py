"""Is the objective convex, and why."""

from __future__ import annotations

from symml.analysis import Analysis
from symml.methods.convexity import Certificate, certify


def certificate(a: Analysis) -> Certificate:
    """Is the objective convex in all parameters, and why."""
    return certify(a.forward, "loss", a.model.over)

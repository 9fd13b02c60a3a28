"""symml: a page of mathematics in; derived formulas, their proofs and compiled training out.

model = symml.load("examples/logistic_regression.symml")
model.gradient("w").latex()
fit = model.train()
fit.params["w"], fit.report["accuracy"], fit.predict(X=rows)
"""

from symml.api import Derivation, Fit, Model, analyze, library, load, parse
from symml.errors import SymmlError

__all__ = ["Derivation", "Fit", "Model", "SymmlError", "analyze", "library", "load", "parse"]
__version__ = "0.1.0"

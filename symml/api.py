"""The Python face: Model, Derivation, Fit.

model = symml.parse("model m ...");  fit = model.train(X=array, y=array)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from symml import pipeline
from symml.errors import SpecError
from symml.source import Source

if TYPE_CHECKING:
    import numpy as np
    from sympy import Expr

    from symml.runtime.many import Fits
    from symml.runtime.sharpness import Sharpness
    from symml.runtime.uncertainty import Uncertainty


def load(path: str | Path) -> Model:
    """The model of a page; SymmlError with every mistake of it."""
    return Model(pipeline.read(path))


def parse(text: str, name: str = "page.symml") -> Model:
    """The model of a text; `name` is shown in messages, and its folder is where data files are looked for."""
    return Model(Source(name, text))


def analyze(
    path: str | Path,
    *,
    hyper: Mapping[str, float] | None = None,
    vary: tuple[str, float, float] | None = None,
    period: int = 1,
) -> dict:
    """Of a page whose states move: `moves`, `jacobian`, `fixed_points` with `eigenvalues` and `verdict`, `bifurcations`.

    hyper: values in the place of the page's; vary: a hyper-parameter and its two ends; period: of the orbits of a map.
    """
    return pipeline.analysed(pipeline.read(path), hyper or {}, vary, period)


def library(shelf: str) -> list[dict]:
    """What a page may name: `optimizers` with their updates and sources, `schedules`, `functions`."""
    return pipeline.shelf(shelf)


class Model:
    """A checked page."""

    def __init__(self, source: Source) -> None:
        self.source = source
        pipeline.load(source)

    @cached_property
    def _analysis(self) -> pipeline.Analysis:
        return pipeline.analyse(self.source)

    @property
    def name(self) -> str:
        return self._analysis.model.name

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of what is trained."""
        return tuple(t.name for t in self._analysis.model.over)

    def gradient(self, name: str) -> Derivation:
        """The derivative of the objective (as it is minimised) by one parameter."""
        if name not in self.parameters:
            raise SpecError(f"'{name}' is not trained here", fix=f"one of {', '.join(self.parameters)}")
        return Derivation(self._analysis, name)

    def steps(self, name: str) -> Steps:
        """The way to the derivative by one parameter, line by line, each with its rule and its numeric check."""
        if name not in self.parameters:
            raise SpecError(f"'{name}' is not trained here", fix=f"one of {', '.join(self.parameters)}")
        return Steps(tuple(pipeline.steps(self._analysis, name)))

    def numerics(self) -> list[dict]:
        """Bits of error of what the page writes and of what is computed, of each statement in which they differ."""
        return pipeline.numerics(self.source, is_expression=False)

    def kkt(self) -> Sections:
        """The Lagrangian and the Karush-Kuhn-Tucker conditions of an optimum."""
        return self._sections("kkt")

    def convexity(self) -> Sections:
        """Is the objective convex, jointly or by blocks, and the feasible set; the Lipschitz constants of the gradient."""
        return self._sections("convexity")

    def stationary(self) -> Sections:
        """gradient = 0 solved for each block of parameters where it can be, or at what that stopped."""
        return self._sections("stationary")

    def updates(self) -> Sections:
        """The update equations of the optimiser that trains the page."""
        return self._sections("updates")

    def dual(self) -> Sections:
        """The dual problem with the way to it, or at what the inner minimisation stopped."""
        return self._sections("dual")

    def hessian(self, one: str, other: str | None = None) -> Sections:
        """The block d^2 f / d one d other of the objective's Hessian, in the structure that it has."""
        return self._sections("block", f"{one} {other or one}")

    def derivative(self, *names: str) -> Sections:
        """The derivative of the objective by each of two or more parameters in turn: third, fourth and higher order."""
        if len(names) < 2:
            raise SpecError("a higher derivative is by two parameters or more", fix="model.gradient(name) is the first")
        return self._sections("block", " ".join(names))

    def jacobian(self, quantity: str, wrt: str | None = None) -> Sections:
        """The Jacobian of a quantity that the page defines, in one parameter or in each."""
        return self._sections("jacobian", quantity, wrt)

    def hvp(self, wrt: str | None = None) -> Sections:
        """The Hessian of the objective in one parameter times a vector v, without the Hessian."""
        return self._sections("hvp", "", wrt)

    def jvp(self, quantity: str, wrt: str | None = None) -> Sections:
        """The Jacobian of a quantity of the page times a vector v."""
        return self._sections("jvp", quantity, wrt)

    def vjp(self, quantity: str, wrt: str | None = None) -> Sections:
        """The transposed Jacobian of a quantity of the page times a vector u."""
        return self._sections("vjp", quantity, wrt)

    def directional(self, wrt: str | None = None) -> Sections:
        """The derivative of the objective along a vector v."""
        return self._sections("directional", "", wrt)

    def divergence(self, quantity: str, wrt: str | None = None) -> Sections:
        """The divergence of a quantity of the page that has the shape of the parameter."""
        return self._sections("divergence", quantity, wrt)

    def total(self, quantity: str, wrt: str | None = None) -> Sections:
        """The total derivative of a quantity of the page, by the chain rule over the quantities that it is made of."""
        return self._sections("total", quantity, wrt)

    def taylor(self, order: int, wrt: str | None = None) -> Sections:
        """The terms of the objective's Taylor series along a vector v, up to an order."""
        return self._sections("taylor", str(order), wrt)

    def _sections(self, product: str, argument: str = "", wrt: str | None = None) -> Sections:
        rows = pipeline.derivations(self.source, False, wrt, "matrix", {}, product=product, argument=argument)
        return Sections(tuple(rows))

    def loss(self) -> Derivation:
        """The objective in its stable form."""
        return Derivation(self._analysis, "")

    def certificate(self) -> str:
        """The curvature of the objective and the reason, in one line."""
        c = pipeline.certificate(self._analysis)
        return f"{c.curvature}: {c.reason}"

    def train(
        self,
        *,
        seed: int | None = None,
        dtype: str = "float64",
        target: str = "cpu",
        hyper: Mapping[str, float] | None = None,
        threads: int | None = None,
        checkpoint: str | Path | None = None,
        resume: str | Path | None = None,
        every: float = pipeline.EVERY,
        **data: object,
    ) -> Fit:
        """Train on the page's files, or on arrays and data frames given by name: `train(X=..., y=...)`.

        dtype: float64 or float32; target: cpu or reference; hyper: values of hyper-parameters by name; threads: how many
        share passes over large data (all usable cores; any number gives the same bits); checkpoint: a folder where the
        run is kept every some seconds; resume: the folder of a run to go on with, to the same bits.
        """
        options = pipeline.Options(target=target, dtype=dtype, hypers=hyper or {}, threads=threads, plain=True)
        return Fit(
            pipeline.train(self.source, options, data, seed, keeping=pipeline.keeping_of(checkpoint, resume, every))
        )

    def bootstrap(
        self,
        fits: int = 200,
        *,
        seed: int = 0,
        dtype: str = "float64",
        target: str = "cpu",
        hyper: Mapping[str, float] | None = None,
        threads: int | None = None,
        **data: object,
    ) -> Fits:
        """Fits of resamples of the training rows with one kernel: `.params["w"]` is (fits, ...), with
        `.standard_errors()` and `.intervals(0.95)`."""
        options = pipeline.Options(target=target, dtype=dtype, hypers=hyper or {}, threads=threads)
        return pipeline.bootstrap(self.source, options, data, seed, fits)

    def path(
        self,
        name: str,
        values: Sequence[float],
        *,
        warm: bool = True,
        seed: int | None = None,
        dtype: str = "float64",
        target: str = "cpu",
        hyper: Mapping[str, float] | None = None,
        threads: int | None = None,
        **data: object,
    ) -> Fits:
        """A fit for each value of the hyper-parameter `name`, with one kernel; `warm`: each begins where the one
        before ended. `.params["w"]` is (values, ...); `.reports` and `.outcomes` hold one mapping a value."""
        options = pipeline.Options(target=target, dtype=dtype, hypers=hyper or {}, threads=threads)
        return pipeline.path(self.source, options, data, seed, name, list(values), warm)

    def restore(self, folder: str | Path, target: str = "cpu") -> Fit:
        """A saved fit of this page, such as `runs/NAME`; a page that has changed since then is refused."""
        return Fit(pipeline.restore(self.source, Path(folder), target))

    def emit(self, dtype: str = "float64", large: bool = False) -> str:
        """A standalone module with value_and_grad, fit and predict; `large`: that of large data, whose sums `train` adds
        up in chunks, to the same bits."""
        return pipeline.emit(self.source, pipeline.Options(dtype=dtype, chunks=large))

    def _repr_latex_(self) -> str:
        return self.loss()._repr_latex_()


@dataclass(frozen=True)
class Derivation:
    """A derived tensor: its formula in several forms and its numeric proof."""

    analysis: pipeline.Analysis
    name: str

    def _row(self, form: str) -> dict:
        rows = pipeline.formulas(self.analysis, form, (self.name,) if self.name else ())
        return rows[0]

    def latex(self, form: str = "matrix") -> str:
        """The formula as LaTeX; form: matrix or index."""
        return self._row(form)["latex"]

    def text(self, form: str = "matrix") -> str:
        """The formula as Unicode text."""
        return self._row(form)["text"]

    def where(self, form: str = "matrix") -> tuple[str, ...]:
        """The definitions that the formula uses, as LaTeX."""
        return tuple(latex for latex, _ in self._row(form)["where"])

    def sympy(self) -> Expr:
        """The definition as native sympy: Eq(d_w[j], Sum(...)); other tensors stand as names."""
        return pipeline.native(self.analysis, self.name)

    def verify(self) -> tuple:
        """The proofs: complex step, expansion by plain sympy, mpmath at kinks. Each has method, error, bound, ok."""
        return pipeline.proofs(self.analysis, self.name)

    def _repr_latex_(self) -> str:
        row = self._row("matrix")
        left = rf"\frac{{\partial \ell}}{{\partial {row['symbol']}}}" if self.name else r"\ell"
        lines = [f"{left} = {row['latex']}", *(latex for latex, _ in row["where"])]
        return r"$\displaystyle " + r" \\ ".join(lines) + "$"


@dataclass(frozen=True)
class Sections:
    """Conditions of an optimum, a dual problem, or derivatives of higher order.

    `rows` hold section, text, latex, where and proof of each line.
    """

    rows: tuple[dict, ...]

    def text(self) -> str:
        """The lines below the heads of their sections."""
        return "\n".join(pipeline.told(self.rows, "text"))

    def latex(self) -> str:
        """The equations as LaTeX; heads and remarks are comments."""
        return "\n".join(pipeline.told(self.rows, "latex"))

    def section(self, name: str) -> tuple[str, ...]:
        """The texts of one section, such as stationarity."""
        return tuple(row["text"] for row in self.rows if row["section"] == name)


@dataclass(frozen=True)
class Steps:
    """A derivation line by line; `rows` hold left, relation, text, latex, rule, method and error of each."""

    rows: tuple[dict, ...]

    def text(self) -> str:
        """The lines in columns, each with its rule and the error of its check."""
        return "\n".join(pipeline.told(self.rows, "text"))

    def latex(self) -> str:
        """One aligned block."""
        return "\n".join(pipeline.told(self.rows, "latex"))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


class Fit:
    """A trained model."""

    def __init__(self, result: pipeline.Result) -> None:
        self._result = result

    @classmethod
    def load(cls, folder: str | Path, target: str = "cpu") -> Fit:
        """A saved fit with the page that was saved with it."""
        return cls(pipeline.restore(None, Path(folder), target))

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The parameters by name, in the units of the transformed data."""
        return self._result.params

    @property
    def params_in_data_units(self) -> dict[str, np.ndarray]:
        """Parameters that multiply transformed data, for the data as given: X w = raw X w' + shift."""
        return self._result.params_in_data_units

    @property
    def history(self) -> list[float]:
        """The loss after each step (full batch) or epoch."""
        return self._result.outcome["history"]

    @property
    def gaps(self) -> list[float | None]:
        """The duality gap after each step, None where it bounds nothing; empty where the method measures none."""
        return self._result.outcome.get("gaps", [])

    @property
    def report(self) -> Mapping[str, float]:
        """The numbers that the page reports."""
        return self._result.report

    @property
    def status(self) -> str:
        """converged, finished, stalled or stopped."""
        return self._result.outcome["status"]

    @property
    def loss(self) -> float:
        return self._result.outcome["loss"]

    def predict(self, **data: object) -> np.ndarray:
        """The page's prediction for new rows, `predict(X=rows)`; without data, for the rows of the fit.

        Only what the prediction reads must be given; the columns of a frame are found by the titles of the fit's.
        """
        return self._result.predict(data)

    def sharpness(self, target: str = "cpu") -> Sharpness:
        """The extreme eigenvalues of the Hessian here: `.largest`, `.least`, and `.largest_step` = 2/largest."""
        return pipeline.sharpness(self._result, target)

    def errors(self, kind: str = "likelihood", target: str = "cpu") -> Uncertainty:
        """Standard errors from the inverse Hessian; kind says what the objective is: likelihood (its negative logarithm,
        or the mean of it over the rows) or squares (a sum or mean of squares, whose variance is then estimated)."""
        return pipeline.errors(self._result, kind, target)

    def save(self, folder: str | Path) -> Path:
        """Write params.npz, fit.json and the page; returns the folder."""
        from symml.runtime.save import save

        return save(Path(folder), self._result)

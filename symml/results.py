"""A fit as a user holds it: the kernel, the data it met, the parameters, the figures; and its predictions.

result.params["w"];   result.predict({"X": rows})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symml.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from symml.runtime.bind import Bound
    from symml.runtime.launch import Kernel


@dataclass(frozen=True)
class Result:
    """A finished training: kernel, bound data, the parameter vector, outcome and reported numbers; seconds of each part."""

    kernel: Kernel
    bound: Bound
    x: np.ndarray
    outcome: Mapping
    report: Mapping[str, float]
    hypers: Mapping[str, float]
    cached: bool
    prepare_seconds: float
    train_seconds: float
    page: str

    @property
    def kernel_name(self) -> str:
        """Whose numbers these are: the `tuned` kernel's, the `plain` one's that stood in for it, or the `reference`."""
        if self.kernel.plain:
            return "plain"
        return "tuned" if self.kernel.module.__class__.__name__ == "module" else "reference"

    @property
    def params(self) -> dict:
        from symml.runtime.launch import parameters

        return parameters(self.kernel, self.x, self.bound.dims)

    @property
    def params_in_data_units(self) -> dict:
        """Parameters that multiply standardised or centred data, in the data's own units, with the shift they bring."""
        from symml.runtime.launch import in_data_units

        return in_data_units(self.kernel, self.x, self.bound)

    def predict(self, values: Mapping[str, object] | None = None) -> np.ndarray:
        """The page's prediction for new values of its inputs, or for the data of the fit."""
        from symml.runtime import launch
        from symml.runtime.bind import bind_again

        functions = self.kernel.manifest["functions"]
        if "predict" not in functions:
            raise DataError("the page predicts nothing", fix="write: predict p")
        bound, read = self.bound, functions["predict"]["data"]
        if values or any(name not in bound.arrays for name in read):
            bound = bind_again(self.kernel.manifest, read, values or {}, bound, self.kernel.dtype)
        return launch.predict(self.kernel, self.x, bound, self.hypers)

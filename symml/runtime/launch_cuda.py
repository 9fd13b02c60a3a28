"""Is there a GPU to launch on? Asked before anything is compiled for it. The only importer of numba.cuda in symml;
emitted modules import it for themselves.

require_device()        # DeviceError with the reason and what to do
"""

from __future__ import annotations

from symml.errors import SymmlError


class DeviceError(SymmlError):
    """The machine cannot run what was asked for."""

    exit_code = 4


def require_device() -> None:
    """Refuse where a driver, a GPU or CUDA's compiler is missing; numba's CUDA simulator will do in their place."""
    from numba import config, cuda

    if config.ENABLE_CUDASIM or cuda.is_available():
        return
    problem = cuda.cuda_error()
    if problem is None:
        raise DeviceError(
            "no CUDA kernel can be compiled here: numba finds no libNVVM",
            fix="install the CUDA toolkit and set CUDA_HOME to its folder, or --target cpu",
        )
    raise DeviceError(
        f"no CUDA GPU can be used here: {_words(problem)}",
        fix="install an NVIDIA driver, or --target cpu; NUMBA_ENABLE_CUDASIM=1 runs tiny problems without a GPU",
    )


def _words(problem: object) -> str:
    """The driver's own reason, its first sentence in one line."""
    return " ".join(str(problem).split()).removeprefix("Error at driver init: ").split(". ")[0].rstrip(".:")

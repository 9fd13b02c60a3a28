"""Is there a GPU to launch on? Asked before anything is compiled for it.

require_device()        # DeviceError with the reason and what to do
"""

from __future__ import annotations

import importlib.util

from symml.errors import SymmlError


class DeviceError(SymmlError):
    """The machine cannot run what was asked for."""

    exit_code = 4


def require_device() -> None:
    """Refuse where numba-cuda, a driver or a GPU is missing; numba's CUDA simulator will do in their place."""
    if importlib.util.find_spec("numba_cuda") is None:
        raise DeviceError(
            "the CUDA target needs the package numba-cuda", fix="pip install 'symml[cuda]', or --target cpu"
        )
    from numba import config, cuda

    if config.ENABLE_CUDASIM:
        return
    if not cuda.is_available():
        raise DeviceError(
            f"no CUDA GPU can be used here: {_reason(cuda)}",
            fix="install an NVIDIA driver, or --target cpu; NUMBA_ENABLE_CUDASIM=1 runs tiny problems without a GPU",
        )


def _reason(cuda: object) -> str:
    """The driver's own words in one line."""
    problem = cuda.cuda_error()
    words = " ".join(str(problem).split()) if problem else "the driver finds no device"
    return words.removeprefix("Error at driver init: ").split(". ")[0].rstrip(".:")

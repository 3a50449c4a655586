"""CuPy: one NVIDIA GPU. Where it cannot be used, the error names the cause and the mend."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np

from backends.backend import Array, Backend
from backends.errors import BackendUnavailableError

_OR_NUMPY = "or run on the CPU with SCRATCHNET_BACKEND=numpy"


class CuPyBackend(Backend):
    """CuPy on the current CUDA device."""

    name = "cupy"

    def __init__(self) -> None:
        """Import CuPy and prove that it works.

        Raises:
            BackendUnavailableError: CuPy or the driver is missing, too old or broken, or there
                is no device.
        """
        self.xp = load_cupy()
        self.array_type = self.xp.ndarray

    def to_host(self, array: Array) -> np.ndarray:
        """Copy to the host; waits for the device."""
        host: np.ndarray = self.xp.asnumpy(array)
        return host

    def synchronize(self) -> None:
        """Wait for the current stream."""
        self.xp.cuda.get_current_stream().synchronize()

    def describe(self) -> str:
        """CuPy's version, CUDA's, and the device."""
        runtime = self.xp.cuda.runtime
        device = runtime.getDeviceProperties(runtime.getDevice())["name"].decode()
        return f"cupy {self.xp.__version__}, CUDA {_version(runtime.runtimeGetVersion())}, {device}"


def load_cupy() -> ModuleType:
    """The cupy module, after one small computation on the device has succeeded."""
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            raise _unavailable(
                "CuPy is not installed", 'pip install "scratchnet[cuda13]" (or [cuda12])'
            ) from error
        raise _broken(error) from error
    except Exception as error:
        # CuPy raises many kinds where its libraries do not load; the cause is in the text.
        raise _broken(error) from error
    _check_driver(cupy.cuda.runtime)
    try:
        answer = int((cupy.arange(3) + 1).sum())
    except Exception as error:
        raise _broken(error) from error
    if answer != 6:
        raise _unavailable(f"the device computed 1 + 2 + 3 = {answer}", "nvidia-smi -q")
    return cupy


def _check_driver(runtime: ModuleType) -> None:
    """Raise the one cause of an unusable driver or device that applies."""
    driver, built_for = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if driver == 0:
        raise _unavailable(
            "CuPy is installed but this machine has no NVIDIA driver",
            "sudo apt-get install nvidia-driver-580 (or your system's package)",
        )
    if driver // 1000 < built_for // 1000:
        raise _unavailable(
            f"this CuPy is built for CUDA {_version(built_for)} "
            f"and the driver supports only {_version(driver)}",
            f"pip uninstall -y cupy-cuda{built_for // 1000}x && "
            f'pip install "scratchnet[cuda{driver // 1000}]"',
        )
    try:
        devices = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        raise _unavailable(f"CUDA finds no usable device ({error})", "nvidia-smi") from error
    if devices == 0:
        raise _unavailable(
            "the driver sees no device", "unset CUDA_VISIBLE_DEVICES, and look at nvidia-smi"
        )


def _unavailable(cause: str, mend: str) -> BackendUnavailableError:
    return BackendUnavailableError(f"backend cupy: {cause}; mend: {mend}, {_OR_NUMPY}")


def _broken(error: Exception) -> BackendUnavailableError:
    cause = " ".join(str(error).split())
    return _unavailable(
        f"CuPy does not work here ({type(error).__name__}: {cause})",
        'pip install --force-reinstall "scratchnet[cuda13]" (or [cuda12])',
    )


def _version(number: int) -> str:
    """CUDA's 13020 as 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"

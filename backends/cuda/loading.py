"""Load CuPy. If it cannot be used, the error names the cause and the fix."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from backends.errors import BackendUnavailableError, one_line

_OR_NUMPY = "or run on the CPU with SCRATCHNET_BACKEND=numpy"
_OLDEST = 75
"""Compute capability 7.5, the oldest that CUDA 13 and these kernels support."""


_LOCAL_RANKS = "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"
"""Where Open MPI, MPICH and Slurm write the number of a process on its machine; the inner one first."""


def load_cupy() -> ModuleType:
    """Return the cupy module, after one small computation on the device has succeeded."""
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            raise _unavailable(
                "CuPy is not installed", 'pip install "scratchnet[cuda13]" (or [cuda12])'
            ) from error
        raise _broken(error) from error
    except Exception as error:
        # CuPy raises many types if its libraries do not load. The text has the cause.
        raise _broken(error) from error
    check_driver(cupy.cuda.runtime)
    try:
        answer = int((cupy.arange(3) + 1).sum())
    except Exception as error:
        raise _broken(error) from error
    if answer != 6:
        raise _unavailable(f"the device computed 1 + 2 + 3 = {answer}", "nvidia-smi -q")
    return cupy


def check_driver(runtime: ModuleType) -> None:
    """Raise the error for the cause that makes the driver or the device unusable."""
    driver, built_for = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if driver == 0:
        raise _unavailable(
            "CuPy is installed but this machine has no NVIDIA driver",
            "sudo apt-get install nvidia-driver-580 (or your system's package)",
        )
    if driver // 1000 < built_for // 1000:
        raise _unavailable(
            f"this CuPy is built for CUDA {version_name(built_for)} "
            f"and the driver supports only {version_name(driver)}",
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
    choose_device(runtime, devices)
    device = runtime.getDeviceProperties(runtime.getDevice())
    if 10 * device["major"] + device["minor"] < _OLDEST:
        raise _unavailable(
            f"{device['name'].decode()} has compute capability {device['major']}.{device['minor']}, "
            f"and scratchnet's kernels need {_OLDEST / 10}",
            "choose a newer GPU with CUDA_VISIBLE_DEVICES=<its number>",
        )


def choose_device(runtime: ModuleType, devices: int) -> None:
    """Give each process that a launcher started on this machine another device.

    The process with number k gets device k, in the thread that calls this, before it holds anything on
    a device. Without a launcher, the current device stays. A launcher such as Slurm may show each
    process only a device of its own; then there is nothing to choose.

    Raises:
        BackendUnavailableError: there are more processes than devices.
    """
    number = next((int(os.environ[name]) for name in _LOCAL_RANKS if os.environ.get(name)), None)
    if number is None or (devices == 1 and os.environ.get("CUDA_VISIBLE_DEVICES")):
        return
    if number >= devices:
        raise _unavailable(
            f"this is process {number + 1} on a machine with {devices} device{'s'[: devices - 1]}",
            f"start at most {devices} on it: mpiexec -n {devices}",
        )
    runtime.setDevice(number)


def _unavailable(cause: str, fix: str) -> BackendUnavailableError:
    return BackendUnavailableError(f"backend cupy: {cause}; fix: {fix}, {_OR_NUMPY}")


def _broken(error: Exception) -> BackendUnavailableError:
    cause = one_line(error)
    return _unavailable(
        f"CuPy does not work here ({type(error).__name__}: {cause})",
        'pip install --force-reinstall "scratchnet[cuda13]" (or [cuda12])',
    )


def version_name(number: int) -> str:
    """Format CUDA's 13020 as 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"

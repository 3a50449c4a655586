"""The array layer: the array library, the device and the kernels.

    from backends import xp

    xp.zeros((2, 3))  # NumPy's function, or CuPy's after backends.use("cupy")

Every name below is imported when it is first used. `__init__.pyi` is the same table for type checkers.
"""

from importlib import import_module
from typing import Any

_EXPORTS = {
    "backends": "xp",
    "backends.backend": "Backend",
    "backends.errors": (
        "BackendError BackendUnavailableError CaptureError DeviceError DeviceMemoryError LabelError "
        "ReadOnlyError TransferError UnknownBackendError WrongArrayError"
    ),
    "backends.numpy.backend": "PlainBackend",
    "backends.plain.communicator": "Communicator",
    "backends.plain.library": "Array",
    "backends.registry": "active available check diagnose use",
    "backends.setting": "Setting",
    "backends.boundary": "Transfers forbid_transfers synchronize to_device to_host transfers",
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'backends' has no attribute {name!r}")
    if name == "xp":
        return import_module("backends.xp")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__

"""The array layer: which library, which device, which kernels.

from backends import xp

xp.zeros((2, 3))  # NumPy's, or CuPy's after backends.use("cupy")
"""

from backends import xp as xp
from backends.backend import Array as Array
from backends.backend import Backend as Backend
from backends.errors import BackendError as BackendError
from backends.errors import BackendUnavailableError as BackendUnavailableError
from backends.errors import CaptureError as CaptureError
from backends.errors import DeviceError as DeviceError
from backends.errors import DeviceMemoryError as DeviceMemoryError
from backends.errors import LabelError as LabelError
from backends.errors import ReadOnlyError as ReadOnlyError
from backends.errors import TransferError as TransferError
from backends.errors import UnknownBackendError as UnknownBackendError
from backends.errors import WrongArrayError as WrongArrayError
from backends.errors import kind_of as kind_of
from backends.errors import one_line as one_line
from backends.numpy.backend import PlainBackend as PlainBackend
from backends.numpy.blas import DeferredProduct as DeferredProduct
from backends.numpy.blas import computed as computed
from backends.numpy.blas import deferred_products as deferred_products
from backends.registry import active as active
from backends.registry import available as available
from backends.registry import check as check
from backends.registry import diagnose as diagnose
from backends.registry import use as use
from backends.setting import Setting as Setting
from backends.transfers import Transfers as Transfers
from backends.transfers import forbid_transfers as forbid_transfers
from backends.transfers import synchronize as synchronize
from backends.transfers import to_device as to_device
from backends.transfers import to_host as to_host
from backends.transfers import transfers as transfers

__all__ = [
    "Array",
    "Backend",
    "BackendError",
    "BackendUnavailableError",
    "CaptureError",
    "DeferredProduct",
    "DeviceError",
    "DeviceMemoryError",
    "LabelError",
    "PlainBackend",
    "ReadOnlyError",
    "Setting",
    "TransferError",
    "Transfers",
    "UnknownBackendError",
    "WrongArrayError",
    "active",
    "available",
    "check",
    "computed",
    "deferred_products",
    "diagnose",
    "forbid_transfers",
    "synchronize",
    "to_device",
    "to_host",
    "transfers",
    "use",
    "xp",
]

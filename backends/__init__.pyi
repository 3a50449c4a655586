"""What `import backends` offers, for type checkers and editors: the table of `__init__.py`."""

from backends import xp as xp
from backends.backend import Backend as Backend
from backends.boundary import Transfers as Transfers
from backends.boundary import forbid_transfers as forbid_transfers
from backends.boundary import synchronize as synchronize
from backends.boundary import to_device as to_device
from backends.boundary import to_host as to_host
from backends.boundary import transfers as transfers
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
from backends.numpy.backend import PlainBackend as PlainBackend
from backends.plain.library import Array as Array
from backends.registry import active as active
from backends.registry import available as available
from backends.registry import check as check
from backends.registry import diagnose as diagnose
from backends.registry import use as use
from backends.setting import Setting as Setting

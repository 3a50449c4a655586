"""The errors of the array layer. Each says what was wrong, where, and the mend, in one line."""


class BackendError(Exception):
    """Base of every error that the array layer raises on purpose."""


class UnknownBackendError(BackendError, ValueError):
    """A backend was asked for by a name nobody registered."""


class BackendUnavailableError(BackendError, RuntimeError):
    """A known backend cannot be used on this machine: the cause, and the command that mends it."""


class WrongArrayError(BackendError, TypeError):
    """An operation met an array of another library than the active backend's."""


class TransferError(BackendError, RuntimeError):
    """The device boundary was crossed where `forbid_transfers` forbids it."""


class LabelError(BackendError, ValueError):
    """A class label lies outside the classes that the logits have."""


class ReadOnlyError(BackendError, ValueError):
    """A parameter lies in memory that must not be written to."""


class CaptureError(BackendError, RuntimeError):
    """Work that was to become one launch does what cannot be captured."""


class DeviceError(BackendError, RuntimeError):
    """The device reported a failure; its process must be started anew."""


class DeviceMemoryError(BackendError, MemoryError):
    """The device has no room for an array.

    Attributes:
        wanted: bytes of the array.
        free: bytes that the device has left.
        in_use: bytes that this process's arrays hold.
    """

    def __init__(self, message: str, wanted: int, free: int, in_use: int) -> None:
        """The line, and the figures in it."""
        super().__init__(message)
        self.wanted, self.free, self.in_use = wanted, free, in_use


def kind_of(value: object) -> str:
    """What messages call a value by its class: "an int", "an ndarray", "a Linear"."""
    name = type(value).__name__
    return f"{'an' if name.startswith((*'AEIOUaeiou', 'nd')) else 'a'} {name}"


def one_line(message: object) -> str:
    """The message of another's error, which may have several."""
    return " ".join(str(message).split())

"""The errors of the array layer. Each says in one line what was wrong, where, and how to fix it."""

from collections.abc import Iterable


class BackendError(Exception):
    """Base class of every error that the array layer raises on purpose."""


class UnknownBackendError(BackendError, ValueError):
    """No backend is registered under this name."""


class BackendUnavailableError(BackendError, RuntimeError):
    """A known backend cannot be used on this machine. The message has the cause and the fix."""


class WrongArrayError(BackendError, TypeError):
    """An operation met an array of a library that is not the active backend's."""


class TransferError(BackendError, RuntimeError):
    """A copy between host and device where `forbid_transfers` forbids it."""


class LabelError(BackendError, ValueError):
    """A class label is outside the range of the logits' classes."""


class ReadOnlyError(BackendError, ValueError):
    """A parameter is in read-only memory."""


class CaptureError(BackendError, RuntimeError):
    """Work cannot be captured as one launch."""


class DeviceError(BackendError, RuntimeError):
    """The device reported a failure. Start the process again."""


class DeviceMemoryError(BackendError, MemoryError):
    """The device has too little memory for an array.

    Attributes:
        wanted: the bytes of the array.
        free: the bytes that are free on the device.
        in_use: the bytes of this process's arrays.
    """

    def __init__(self, message: str, wanted: int, free: int, in_use: int) -> None:
        """Take the message and its sizes."""
        super().__init__(message)
        self.wanted, self.free, self.in_use = wanted, free, in_use


def kind_of(value: object) -> str:
    """Return the type of a value for messages: "an int", "an ndarray", "a Linear"."""
    name = type(value).__name__
    return f"{'an' if name.startswith((*'AEIOUaeiou', 'nd')) else 'a'} {name}"


def one_line(message: object) -> str:
    """Return the message of another library's error in one line that can be printed."""
    return printable(" ".join(str(message).split()))


def printable(text: object) -> str:
    """Return text with a question mark for each character that cannot be printed in a line."""
    return "".join(each if each.isprintable() else "?" for each in str(text))


def some_of(names: Iterable[str], most: int) -> str:
    """Return the first names, with commas, and a mark if there are more."""
    shown = list(names)
    return ", ".join(shown[:most]) + (", …" if len(shown) > most else "")

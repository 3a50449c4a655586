"""The errors that a user can cause. Each says in one line what was wrong, where, and how to fix it."""

import sys
import warnings
from types import FrameType


class ScratchnetError(Exception):
    """Base class of every error that scratchnet raises on purpose."""


class ShapeError(ScratchnetError, ValueError):
    """Two shapes do not fit together; the message names both."""


class IndexingError(ScratchnetError, IndexError):
    """An index is out of range, or there are more indices than axes."""


class OperandError(ScratchnetError, TypeError):
    """A Function, a Variable or a layer cannot take this operand."""


class GraphError(ScratchnetError, RuntimeError):
    """The graph does not allow the operation, such as a backward pass from a result without gradient."""


class GraphFreedError(GraphError):
    """The graph was freed by an earlier backward pass."""


class StaleGraphError(GraphError):
    """Data that the backward pass needs have changed since forward."""


class AnomalyError(ScratchnetError, ArithmeticError):
    """Inside `detect_anomaly`, a Function made NaN or infinity."""


class GradientError(ScratchnetError, AssertionError):
    """`gradcheck` found a gradient that differs from the numerical one."""


class NonFiniteLossError(ScratchnetError, ArithmeticError):
    """The loss became infinite or NaN; training stopped."""


class SettingError(ScratchnetError, ValueError):
    """A setting is out of its range, such as a batch size of 0 or a negative learning rate."""


class CheckpointError(ScratchnetError, ValueError):
    """A saved model cannot be read, or belongs to another network."""


class ParityError(ScratchnetError, ArithmeticError):
    """The results of two backends differ by more than rounding."""


class DataError(ScratchnetError, ValueError):
    """A data file has a fault; the message names the file and the row."""


class DataNotFoundError(DataError, FileNotFoundError):
    """There is no data set at the place that was searched."""


class DownloadError(DataNotFoundError):
    """The data set is not on this machine, and no mirror could deliver it."""


class CaptureWarning(UserWarning):
    """Work runs step by step, or was captured again; the message gives the reason."""


class NotDrawnWarning(UserWarning):
    """The curves are not drawn, because there is no terminal to draw them on."""


class OtherDataWarning(UserWarning):
    """The data differ from what their folder and file names say, such as digits in place of garments."""


class LostStateWarning(UserWarning):
    """A checkpoint does not keep something that changes during training."""


class OtherVersionWarning(UserWarning):
    """Another version of scratchnet wrote the checkpoint; the last digits may differ."""


class AloneWarning(UserWarning):
    """A launcher has started several processes, and each of them trains alone."""


class CrowdedWarning(UserWarning):
    """Other programs use the cores that training needs; the message says what to set."""


class UntrainedWarning(UserWarning):
    """The loss depends on a Variable that needs a gradient, but the optimizer does not train it."""


class PrecisionWarning(UserWarning):
    """Data of float64 became float32."""


class UncentredDataWarning(UserWarning):
    """The validation data were not centered with the mean of the training data."""


def users_frame() -> tuple[int, FrameType]:
    """Return the `stacklevel` with which the caller warns outside the library, and the frame there."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    return level, frame


def _is_ours(frame: FrameType) -> bool:
    return (frame.f_globals.get("__package__") or "").partition(".")[0] == "scratchnet"


def warn_the_user(line: str, category: type[Warning]) -> None:
    """Issue a warning that points to the user's code."""
    warnings.warn(line, category, stacklevel=users_frame()[0])

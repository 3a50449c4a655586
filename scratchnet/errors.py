"""The errors a user of the network can cause. One line each: what, where, and the fix."""

import sys
import warnings
from types import FrameType


class ScratchnetError(Exception):
    """Base of every error that scratchnet raises on purpose."""


class ShapeError(ScratchnetError, ValueError):
    """Two shapes that do not fit together; both are named."""


class OperandError(ScratchnetError, TypeError):
    """An operand that a Function, a Variable or a layer cannot take."""


class GraphError(ScratchnetError, RuntimeError):
    """A graph that cannot do what is asked of it, such as a backward pass that has no meaning."""


class GraphFreedError(GraphError):
    """A graph that is asked for after a backward pass has consumed it."""


class StaleGraphError(GraphError):
    """A backward pass through a graph that needs data as they were, which were changed since."""


class AnomalyError(ScratchnetError, ArithmeticError):
    """Within `detect_anomaly`, a Function made NaN or infinity."""


class GradientError(ScratchnetError, AssertionError):
    """`gradcheck` found a gradient that differs from the numerical one."""


class NonFiniteLossError(ScratchnetError, ArithmeticError):
    """The loss became infinite or NaN; training stopped."""


class SettingError(ScratchnetError, ValueError):
    """A setting out of its range: a batch size of 0, a negative learning rate."""


class CheckpointError(ScratchnetError, ValueError):
    """A saved model that cannot be read, or is of another network."""


class ParityError(ScratchnetError, ArithmeticError):
    """Two backends whose results differ by more than rounding."""


class DataError(ScratchnetError, ValueError):
    """A data file that is not what it should be: file and row are named."""


class DataNotFoundError(DataError, FileNotFoundError):
    """No data set where it was looked for."""


class DownloadError(DataNotFoundError):
    """The data set is not on this machine, and no mirror gave it."""


class CaptureWarning(UserWarning):
    """Work that runs step by step, or was captured anew, and why."""


class NotDrawnWarning(UserWarning):
    """Curves that are not drawn, for there is no terminal to draw them on."""


class OtherDataWarning(UserWarning):
    """Data that are not what their place and names tell: digits where garments belong."""


class LostStateWarning(UserWarning):
    """A checkpoint does not keep something that changes in training."""


class OtherVersionWarning(UserWarning):
    """A training goes on that another version of scratchnet began: the last digits may differ."""


class UntrainedWarning(UserWarning):
    """The loss depends on a Variable that needs a gradient and that the optimizer does not have."""


class UncentredDataWarning(UserWarning):
    """A validation set that was not centred with the training mean."""


def users_frame() -> tuple[int, FrameType]:
    """The innermost frame outside the library, and the `stacklevel` that points our caller there."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    return level, frame


def _is_ours(frame: FrameType) -> bool:
    return (frame.f_globals.get("__package__") or "").partition(".")[0] == "scratchnet"


def warn_the_user(line: str, category: type[Warning]) -> None:
    """A warning that points to the user's code."""
    warnings.warn(line, category, stacklevel=users_frame()[0])

"""The cases of `parity`: each Function, layer, optimizer and kernel, a training step, and three epochs.

Each case draws its arrays on the host from its own seed. So it is the same computation on every backend
and in every precision.
"""

from scratchnet.verify.cases.case import Case
from scratchnet.verify.cases.functions import function_cases
from scratchnet.verify.cases.kernels import kernel_cases
from scratchnet.verify.cases.layers import layer_cases
from scratchnet.verify.cases.losses import loss_cases
from scratchnet.verify.cases.optimizers import optimizer_cases
from scratchnet.verify.cases.training import training_cases


def cases() -> list[Case]:
    """Return all cases, the small ones first."""
    return [
        *function_cases(), *layer_cases(), *loss_cases(), *optimizer_cases(), *kernel_cases(),
        *training_cases(),
    ]  # fmt: skip

"""Write derivatives.npz again: PyTorch's derivatives of tests/support/random_graphs.py.

PYTHONPATH=.:tests/support python tests/files/pytorch/write.py
"""

from pathlib import Path

import numpy as np
import torch
from random_graphs import by_pytorch, programs

arrays = {
    f"{number} {order} {operand}": array
    for number, program in enumerate(programs())
    for order, gradients in enumerate(by_pytorch(torch, program))
    for operand, array in enumerate(gradients)
}
np.savez_compressed(Path(__file__).with_name("derivatives.npz"), version=torch.__version__, **arrays)

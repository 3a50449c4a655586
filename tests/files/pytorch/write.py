"""Store PyTorch's results again: those of these test modules, or without arguments all of them.

    PYTHONPATH=.:tests/support python tests/files/pytorch/write.py [layers/test_convolution …]

`derivatives` stands for the derivatives of tests/support/random_graphs.py.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import torch
from oracle import FILES, MODULES
from random_graphs import by_pytorch, programs


def derivatives():
    return {
        f"{number} {order} {operand}": array
        for number, program in enumerate(programs())
        for order, gradients in enumerate(by_pytorch(torch, program))
        for operand, array in enumerate(gradients)
    }


def results_of(path):
    spec = spec_from_file_location("cases", FILES.parents[1] / f"{path}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    arrays = {
        f"{case}/{name}": array
        for case in module.CASES
        for name, array in module.by_pytorch(torch, case).items()
    }
    return module.ROOM, arrays


for path in sys.argv[1:] or ["derivatives", *MODULES]:
    room, arrays = (path, derivatives()) if path == "derivatives" else results_of(path)
    np.savez_compressed(Path(FILES) / f"{room}.npz", version=torch.__version__, **arrays)

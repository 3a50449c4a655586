"""Results of PyTorch, stored in tests/files/pytorch, one file for each room.

A test module that compares with PyTorch has `ROOM`, its name; `CASES`, names; and
`by_pytorch(torch, case)`, which returns arrays by name. Add the module to `MODULES`, and store its
results with

    PYTHONPATH=.:tests/support python tests/files/pytorch/write.py layers/test_convolution
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

FILES = Path(__file__).parents[1] / "files" / "pytorch"
MODULES = [
    "optimizers/test_optimizers",
    "layers/test_attention_layers",
    "layers/test_normalization",
    "functions/test_attention",
    "layers/test_embedding",
    "functions/test_convolution",
    "functions/test_pooling",
    "layers/test_convolution_layers",
    "losses/test_losses_against_pytorch",
    "layers/test_recurrent",
    "training/test_programs_against_pytorch",
    "benchmarks/test_learning",
]
"""The test modules whose results are stored, as paths below tests/."""


@cache
def stored(room):
    with np.load(FILES / f"{room}.npz") as file:
        return {name: file[name] for name in file.files}


def expected(room, case):
    """Return what PyTorch gave for a case: arrays by name."""
    start = f"{case}/"
    found = {n.removeprefix(start): a for n, a in stored(room).items() if n.startswith(start)}
    assert found, f"no results of PyTorch for {case}"
    return found


def assert_pytorch(room, case, found, rtol=1e-7, atol=1e-10):
    """Compare arrays with PyTorch's: the same names, shapes and numbers, relative to the largest."""
    wanted = expected(room, case)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].shape == array.shape, name
        scale = max(1.0, np.abs(array).max(initial=0))
        np.testing.assert_allclose(found[name], array, rtol=rtol, atol=atol * scale, err_msg=name)


def assert_still_stored(room, case, by_pytorch, rtol=1e-7, atol=1e-10):
    """Compute a case again if PyTorch is installed, and compare it with what is stored."""
    why = 'PyTorch is not installed; pip install "scratchnet[bench]"'
    torch = pytest.importorskip("torch", reason=why)
    assert_pytorch(room, case, by_pytorch(torch, case), rtol, atol)

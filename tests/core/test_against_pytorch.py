"""First, second and third derivatives of random graphs, compared with PyTorch's.

PyTorch's are stored in tests/files/pytorch. If PyTorch is installed, they are computed again.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from arrays import host
from random_graphs import BINARY, ORDERS, PROGRAMS, SHAPES, UNARY, by_pytorch, derivatives, programs

import scratchnet as sn
from backends import to_device

STORED = Path(__file__).parents[1] / "files" / "pytorch" / "derivatives.npz"
every_program = pytest.mark.parametrize("number", range(PROGRAMS))


@cache
def stored():
    with np.load(STORED) as file:
        return {name: file[name] for name in file.files}


@cache
def all_programs():
    return programs()


def assert_stored(number, found):
    for order in range(ORDERS):
        for operand, array in enumerate(found[order]):
            expected = stored()[f"{number} {order} {operand}"]
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(array, expected, rtol=1e-7, atol=1e-10 * scale)


@pytest.mark.guarantee("Every first and second derivative matches finite differences.")
@every_program
def test_derivatives_of_every_order_are_pytorch_s(backend, number):
    program = all_programs()[number]
    leaves = [sn.Variable(to_device(each)) for each in program.operands]

    def grad(total, leaves):
        return sn.grad(total, leaves, create_graph=True)

    found = derivatives(sn, program, leaves, grad, to_device)
    assert_stored(
        number,
        [
            [np.zeros(s) if each is None else host(each) for each, s in zip(order, SHAPES, strict=True)]
            for order in found
        ],
    )


def test_the_programs_use_every_step_and_have_higher_derivatives():
    used = {name for program in all_programs() for name, *_ in program.steps}
    assert used == {*UNARY, *BINARY}
    for order in range(ORDERS):
        assert any(np.abs(stored()[f"{n} {order} 0"]).max() > 0.1 for n in range(PROGRAMS))


@every_program
def test_what_is_stored_is_what_pytorch_computes(number):
    torch = pytest.importorskip(
        "torch", reason='PyTorch is not installed; pip install "scratchnet[bench]"'
    )
    assert_stored(number, by_pytorch(torch, all_programs()[number]))

"""The training steps that are compared with PyTorch's run, and wrong calls are one line."""

import numpy as np
import pytest
from arrays import host

from benchmarks.layers import CASES, main, our_step


@pytest.mark.parametrize("name", CASES)
def test_our_step_computes_and_learns(name):
    case = CASES[name]
    small = case._replace(shape=(2, *case.shape[1:]))
    step = our_step(small)
    y = host(step())
    assert len(y) == 2
    assert np.isfinite(y).all()
    changed = (host(step()) != y).any()
    assert changed != name.startswith("MaxPool2d")  # which has no parameters


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["Linear"], "Linear: not one of CNN; "), (["--rounds", "0"], "must be positive integers"),
        (["--threads", "-1"], "must be positive integers"), ([], "PyTorch is not installed; "),
    ],
)  # fmt: skip
def test_a_wrong_call_is_one_line(asked, message, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.layers.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as caught:
        main(asked)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]

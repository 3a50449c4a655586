"""Damaged and hostile models: each gives one line that names the file."""

import json
import os

import numpy as np
import pytest
from data_files import csv
from processes import shell

import scratchnet as sn
from benchmarks.fuzz.inputs import safetensors
from scratchnet.training.trained import load_model


@pytest.fixture
def state():
    net = sn.Classifier(3, 0)
    return net.state_dict() | {"mean_image": np.zeros((1, 784), np.float32)}


def good_metadata():
    return {"kind": "scratchnet classifier 1", "trained_on": "nothing"}


@pytest.mark.guarantee("A model that does not fit its network, or cannot compute, is refused.")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fc1.weight": np.float32(1)}, "is not a model of scratchnet train"),
        ({"fc1.weight": np.zeros((0, 784), np.float32)}, "is not a model of scratchnet train"),
        ({"fc1.weight": np.zeros((1 << 40, 0), np.float32)}, "not float32 of"),
        ({"fc1.weight": np.zeros((3, 784))}, "fc1.weight is float64 .* not float32 of"),
        ({"fc1.bias": np.zeros((1, 4), np.float32)}, r"fc1.bias .* of shape \(1, 4\), not .*\(3,\)"),
        ({"mean_image": np.zeros((1, 784), np.uint8)}, "input_mean is uint8"),
        ({"mean_image": np.zeros((1, 784), np.float16)}, "input_mean is float16"),
        ({"fc2.bias": np.full((1, 10), np.inf, np.float32)}, "fc2.bias holds NaN or infinity"),
        ({"new\nline\x1b[31m": np.zeros(1)}, r"'new\\nline\\x1b\[31m'"),
        ({f"name{i}": np.zeros(1) for i in range(1000)}, ", …; save one"),
    ],
    ids=range(10),
)
def test_a_model_that_does_not_fit_is_refused(state, changes, message, tmp_path):
    path = tmp_path / "model"
    sn.save(path, state | changes, good_metadata())
    with pytest.raises(sn.CheckpointError, match=message) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_what_a_model_was_trained_on_is_shown_on_one_line(state, tmp_path):
    sn.save(tmp_path / "model", state, good_metadata() | {"trained_on": "a\nb\x1b[31mc"})
    assert load_model(tmp_path / "model").source == "a?b?[31mc"


@pytest.mark.guarantee("A model that does not fit its network, or cannot compute, is refused.")
def test_a_model_whose_sums_overflow_is_refused(command, tmp_path):
    net = sn.Classifier(3, 0)
    net.fc1.weight.data[...] = net.fc2.weight.data[...] = 3e38
    model = tmp_path / "model"
    sn.save(model, net.state_dict() | {"mean_image": np.zeros((1, 784), np.float32)}, good_metadata())
    code, out, err = command("predict", model, "--data", "synthetic")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.strip().endswith("its weights are too large to compute with; train it again")


def test_a_file_whose_name_is_no_text_is_read_and_named(state, tmp_path):
    sn.save(tmp_path / "model", state, good_metadata())
    path = os.fsencode(tmp_path) + b"/\xff.csv"
    with open(path, "wb") as file:
        file.write(csv(np.zeros((1, 784), np.uint8), [1]))
    done = shell("predict", tmp_path / "model", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "images: " in done.stdout
    os.truncate(path, 100)
    done = shell("predict", tmp_path / "model", path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"shape": [1 << 62, 0], "data_offsets": [0, 0]}, "a shape that NumPy cannot have"),
        ({"shape": [1] * 65, "data_offsets": [0, 4]}, "a shape that NumPy cannot have"),
        ({"shape": [1], "data_offsets": [4, 0]}, r"damaged: .*a( |\\n)b"),
    ],
)
def test_a_header_that_lies_is_one_line(told, message, tmp_path):
    header = json.dumps({"a\nb": {"dtype": "F32"} | told}).encode()
    (tmp_path / "model").write_bytes(safetensors(header, bytes(told["data_offsets"][1])))
    with pytest.raises(sn.CheckpointError, match=message) as caught:
        sn.load(tmp_path / "model")
    assert len(str(caught.value).splitlines()) == 1

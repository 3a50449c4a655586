"""`scratchnet train --model`: the convolutional network is trained, stopped, resumed, saved and used."""

from types import SimpleNamespace

import numpy as np
import pytest
from arrays import host

import scratchnet as sn
from scratchnet.training.recipe import RECIPES, network

QUICK = ["train", "--data", "synthetic", "--take", "200", "--batch-size", "50"]
CNN = [*QUICK, "--model", "cnn", "--hidden", "8"]


def test_a_convolutional_network_is_stopped_resumed_saved_and_used(command, tmp_path):
    never, model, c = (tmp_path / name for name in ("never", "model", "c"))
    code, out, err = command(*CNN, "--epochs", 2, "--save", never)
    assert (code, err) == (0, "")
    assert "3x3x32-3x3x64-pool-8-10, batch 50, learning rate 0.001, seed 231" in out.splitlines()[0]
    assert command(*CNN, "--epochs", 1, "--checkpoint", c)[0] == 0
    resumed = ["train", "--data", "synthetic", "--checkpoint", c, "--resume", "--epochs", 2]
    code, out, err = command(*resumed, "--save", model)
    assert (code, err) == (0, "")
    assert model.read_bytes() == never.read_bytes()  # dropout draws the same numbers
    images = tmp_path / "images"
    images.write_bytes(b"\0\0\x08\3" + np.array([3, 28, 28], ">u4").tobytes() + bytes(3 * 784))
    code, out, err = command("predict", model, images)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 4


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mlp", "784-100-10, batch 256, learning rate 0.1,"),
        ("cnn", "3x3x32-3x3x64-pool-128-10, batch 128, learning rate 0.001,"),
    ],
)
def test_each_model_has_defaults_of_its_own(command, name, told):
    code, out, err = command(
        "train", "--data", "synthetic", "--take", 20, "--epochs", 1, "--model", name
    )
    assert (code, err) == (0, "")
    assert told in out.splitlines()[0]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_knows_the_shapes_of_its_network(name):
    recipe = RECIPES[name]
    state = recipe.net(5, 0, (3, 9, 8), 4).state_dict()
    assert {each: array.shape for each, array in state.items()} == recipe.shapes(5, (3, 9, 8), 4)


def test_networks_have_as_many_units_as_in_the_original_and_in_keras():
    assert len(sn.Classifier().fc1.bias) == 100
    assert len(sn.ConvolutionalClassifier().fc1.bias) == 128


def test_a_target_that_never_changes_has_the_scale_one():
    reading = SimpleNamespace(task="regression", shape=(3,), outputs=2)
    targets = np.array([[7.0, 1.0], [7.0, 5.0]], np.float32)
    net = network(RECIPES["mlp"], reading, 4, 0, SimpleNamespace(targets=targets))
    assert host(net.target_std).tolist() == [1, 2]
    assert host(net.target_mean).tolist() == [7, 3]


def test_wrong_models_are_one_line(command, tmp_path):
    code, _, err = command(*QUICK, "--model", "rnn")
    assert (code, err) == (2, "scratchnet: --model rnn: there is none; give mlp or cnn\n")
    command(*CNN, "--epochs", 1, "--checkpoint", tmp_path / "c")
    code, _, err = command(*QUICK, "--model", "mlp", "--checkpoint", tmp_path / "c", "--resume")
    assert code == 2
    assert "was made with cnn" in err
    mlp = sn.Classifier(4, 0).state_dict() | {"mean_image": np.zeros((1, 784), np.float32)}
    sn.save(tmp_path / "mixed", mlp, {"kind": "scratchnet cnn 1", "trained_on": "x"})
    code, _, err = command("predict", tmp_path / "mixed", "--data", "synthetic")
    assert code == 2
    assert "is not a model of scratchnet train" in err

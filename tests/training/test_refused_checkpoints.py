"""A checkpoint that does not fit is refused by name, and changes nothing."""

import json

import numpy as np
import pytest
from noisy import Noisy, learner

import scratchnet as sn
from scratchnet.errors import CheckpointError
from scratchnet.training import checkpoint


def other_network(saved):
    return learner(Noisy(hidden=9))


def float64_network(saved):
    training = learner()
    for each in training.net.parameters():
        each.data = each.data.astype("float64")
    return training


def more_parameters(saved):
    return learner(Noisy() >> sn.Linear(3, 3, 0))


def other_data(saved):
    training = learner()
    training.train.inputs += 1
    return training


def fewer_data(saved):
    return learner(size=90)


def other_seed(saved):
    return learner(seed=4)


def other_order(saved):
    return learner(shuffle=None)


def no_evaluator(saved):
    return learner(evaluator=False)


def other_generators(saved):
    net = Noisy()
    net.third = np.random.default_rng(0)
    return learner(net)


def other_kind_of_generator(saved):
    net = Noisy()
    net.rng = np.random.Generator(np.random.SFC64(0))
    return learner(net)


def a_model(saved):
    sn.save(saved, {"weight": np.zeros(3)}, {"kind": "model"}, overwrite=True)
    return learner()


def changed_description(**changes):
    def change(saved):
        arrays, metadata = checkpoint.read(saved)
        sn.save(saved, arrays, metadata | changes, overwrite=True)
        return learner()

    return change


def changed_part(part, **changes):
    def change(saved):
        arrays, metadata = checkpoint.read(saved)
        facts = json.loads(metadata["training"])
        facts["parts"][part] |= changes
        sn.save(saved, arrays, metadata | {"training": json.dumps(facts)}, overwrite=True)
        return learner()

    return change


WRONG = {
    r"fc1.bias has shape \(8,\), but the network's has \(9,\)": other_network,
    "no value for 0.fc1.weight": more_parameters,
    "its fc1.weight is of float32, and the network's of float64": float64_network,
    "train data are data of no name with fingerprint [0-9a-f]{12}, these are": other_data,
    "with samples 80, these are data of no name with samples 70": fewer_data,
    "with seed 3, these are data of no name with seed 4": other_seed,
    "with shuffle batches, these are data of no name with shuffle None": other_order,
    "it holds evaluator, .*, not generators": no_evaluator,
    "has the generators rng, other, and this one rng, other, third": other_generators,
    "a part of it does not fit": other_kind_of_generator,
    "is a model, not a checkpoint": a_model,
    "newer scratchnet: its format is 3": changed_description(format="3"),
    "is not understood": changed_description(training="{"),
    "not understood: settings is a list": changed_description(
        training='{"parts": {}, "settings": [], "made_by": {}}'
    ),
    "its progress is -1 epochs": changed_part("progress", epochs=-1),
    "and 5 batches": changed_part("progress", batches=5),
    "its optimizer kept momentum, but SGD keeps parameters, learning_rate": changed_part(
        "optimizer", momentum=0.9
    ),
    "learning_rate is 'high'": changed_part("optimizer", **{"groups.0.learning_rate": "high"}),
    "number of passes is None": changed_part("train", passes=None),
    "evaluator kept": changed_part("evaluator", more=1),
}


@pytest.mark.guarantee("A checkpoint of another network, data set or optimizer is refused by name.")
@pytest.mark.parametrize("message", WRONG)
def test_what_does_not_fit_is_said_and_changes_nothing(tmp_path, message):
    path = tmp_path / "c"
    learner().fit(2, None, path)
    training = WRONG[message](path)
    weights, rate = training.net.state_dict(), training.optimizer.learning_rate
    with pytest.raises(CheckpointError, match=message) as caught:
        training.resume(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert training.epochs == training.batches_done == 0
    assert training.optimizer.learning_rate == rate
    assert not any(training.history.values())
    for name, value in training.net.state_dict().items():
        np.testing.assert_array_equal(value, weights[name])


@pytest.mark.parametrize("path", [None, 3, b"c", "", "a\0b"])
def test_a_path_that_is_none_is_named(path):
    with pytest.raises(sn.SettingError, match=r"^save: .* is not a path; give a str"):
        learner().save(path)
    with pytest.raises(sn.SettingError, match=r"^resume: .* is not a path; give a str"):
        learner().resume(path)


def test_the_kind_of_another_file_is_printed_in_one_line(tmp_path):
    sn.save(tmp_path / "c", {"a": np.zeros(1)}, {"kind": "\x1b[31m\nred"})
    with pytest.raises(CheckpointError, match=r"is there already, a \?\[31m\?red; name another file"):
        learner().save(tmp_path / "c")

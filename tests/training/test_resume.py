"""A saved training run goes on as if it had never stopped; what cannot be resumed is an error."""

import json
import os
import random
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from arrays import host
from noisy import Noisy, learner, outcome
from processes import python

import scratchnet as sn
from backends import use
from scratchnet.errors import CheckpointError, NonFiniteLossError, SettingError
from scratchnet.training import checkpoint, resume


class Watched(sn.Module):
    """A network, and something to do before each step."""

    def __init__(self, inner, before_a_step):
        self.inner, self.before_a_step = inner, before_a_step

    def forward(self, x):
        if self.training:
            self.before_a_step()
        return self.inner(x)


def stopped_after(steps, **options):
    """Run training that is stopped at some step, as by a signal."""
    done = 0

    def count():
        nonlocal done
        done += 1
        if done == steps:
            stopped.stop()

    stopped = learner(Watched(Noisy(), count), **options)
    return stopped


@pytest.mark.guarantee("Callbacks and checkpoints change no bit of a training run.")
@pytest.mark.guarantee("A run that was stopped or killed at any moment ends with the same bits.")
@pytest.mark.parametrize("shuffle", ["batches", "samples", None])
@pytest.mark.parametrize("steps", [1, 4, 5, 8, 15])
def test_stopped_after_any_batch_saved_and_resumed_it_ends_the_same(backend, tmp_path, shuffle, steps):
    never = stopped_after(None, shuffle=shuffle)
    never.fit(3, None)
    stopped = stopped_after(steps, shuffle=shuffle)
    stopped.fit(3, None, tmp_path / "c")
    assert 5 * stopped.epochs + stopped.batches_done == steps
    again = stopped_after(None, shuffle=shuffle)
    again.resume(tmp_path / "c")
    again.fit(3 - again.epochs, None)
    assert outcome(again) == outcome(never)
    stopped.fit(3 - stopped.epochs, None)  # or resumed at once
    assert outcome(stopped) == outcome(never)
    assert len(again.history["duration"]) == 3


def test_a_loader_that_draws_each_batch_is_asked_for_none_too_many(tmp_path):
    class Drawing(sn.ArrayDataLoader):
        drawn = 0

        def __iter__(self):
            for batch in super().__iter__():
                self.drawn += 1
                yield batch

    training = stopped_after(3)
    data = training.train
    training.train = Drawing(data.inputs, data.labels, 16)
    training.fit(1, None)
    assert training.batches_done == training.train.drawn == 3


def test_stop_before_fit_holds_for_the_next_one():
    training = learner()
    training.stop()
    training.fit(3, None)
    assert training.epochs == 0
    training.fit(1, None)
    assert training.epochs == 1


@pytest.mark.guarantee("A checkpoint is replaced only by the run that wrote or resumed it last.")
def test_another_training_s_checkpoint_is_not_written_over_by_fit(tmp_path):
    path = tmp_path / "c"
    training = learner()
    training.fit(2, None, path)
    training.fit(1, None, path)
    before = path.read_bytes()
    other = learner()
    with pytest.raises(CheckpointError, match=r"is there already, of another training; .*resume"):
        other.fit(1, None, path)
    assert path.read_bytes() == before
    other.resume(path)
    other.fit(1, None, path)
    assert other.epochs == 4


class Keeps(sn.Module):
    """Has something outside its parameters that changes in training."""

    def __init__(self, what):
        self.layer, self.kept, self.constant = sn.Linear(12, 3, 0), what, np.ones(3)

    def forward(self, x):
        if self.training and isinstance(self.kept, list):
            self.kept[0].random()
        elif self.training and self.kept is not None:
            self.kept += 1
        return self.layer(x)


@pytest.mark.guarantee("What a checkpoint cannot keep is named.")
@pytest.mark.parametrize(
    "what",
    [np.zeros(3), 0, [np.random.default_rng(0)], [random.Random(1)]],
    ids=["array", "number", "NumPy's generator", "Python's generator"],
)
def test_what_changes_in_training_and_is_not_kept_is_said(tmp_path, what):
    training = learner(Keeps(what))
    training.fit(1, None)
    with pytest.warns(sn.LostStateWarning, match=r"net\.kept(\.0)? has changed in training"):
        training.save(tmp_path / "c")
    training.save(tmp_path / "c")  # said once


def draws_in_a_helper():
    return drawn_from.random()


drawn_from = np.random.default_rng(0)
HOLDERS = {
    "a tuple": lambda: (np.random.default_rng(0),),
    "the older generator": lambda: np.random.RandomState(0),
    "an object": lambda: SimpleNamespace(inner={"a": [np.random.default_rng(0)]}),
    "a function": lambda: draws_in_a_helper,
    "a method": lambda: partial(np.random.default_rng(0).normal, scale=2),
}


def draw(thing):
    if isinstance(thing, tuple):
        thing[0].random()
    elif isinstance(thing, SimpleNamespace):
        thing.inner["a"][0].random()
    else:
        getattr(thing, "random_sample", thing)()


class Draws(sn.Module):
    """Draws from what it holds, or from nothing."""

    def __init__(self, held):
        self.layer, self.held = sn.Linear(12, 3, 0), held

    def forward(self, x):
        if self.held is not None and self.training:
            draw(self.held)
        return self.layer(x)


def drawing(function, held):
    def draws(*given):
        draw(held)
        return function(*given)

    return draws


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("part", ["net", "train", "loss"])
def test_a_generator_is_found_wherever_it_is(tmp_path, holder, part):
    held = HOLDERS[holder]()
    net = Draws(held if part == "net" else None)
    transform = drawing(lambda x: x, held) if part == "train" else None
    train = sn.ArrayDataLoader(np.ones((4, 12), np.float32), np.zeros(4, int), 2, transform=transform)
    loss = drawing(sn.softmax_loss, held) if part == "loss" else sn.softmax_loss
    training = sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), loss)
    training.save(tmp_path / "c")  # nothing was drawn: no warning, which would be an error
    training.fit(1, None)
    with pytest.warns(sn.LostStateWarning, match=f"^{part}.* has changed in training") as caught:
        training.save(tmp_path / "c")
    assert len(caught) == 1


class Counts(sn.SGD):
    """An optimizer whose averages its state does not have."""

    def __init__(self, parameters):
        super().__init__(parameters, 0.1)
        self.averages = {"first": 0.0}

    def step(self):
        self.averages["first"] += 1
        super().step()


class Loss:
    drawn = 0

    def __call__(self, logits, labels):
        self.drawn += 1
        return sn.softmax_loss(logits, labels)


def test_what_an_optimizer_and_a_loss_change_is_said(tmp_path):
    train, net = learner().train, sn.Linear(12, 3, 0)
    training = sn.Learner(train, net, Counts(net.parameters()), Loss())
    training.fit(1, None)
    with pytest.warns(sn.LostStateWarning) as caught:
        training.save(tmp_path / "c")
    said = sorted(str(each.message).partition(" has changed")[0] for each in caught)
    assert said == ["loss.drawn", "optimizer.averages.first"]


class CountsInItsClass(sn.SGD):
    steps = 0

    def step(self):
        type(self).steps += 1
        super().step()


class Weighted(sn.Module):
    """A loss with a running mean, which no network has."""

    def __init__(self):
        self.mean = sn.Buffer(np.zeros(1))

    def forward(self, logits, labels):
        self.mean.data = self.mean.data + 1
        return sn.softmax_loss(logits, labels)


generator = np.random.default_rng(0)


def draws(logits, labels):
    return sn.softmax_loss(logits, labels) * generator.random()


def counting():
    calls = []
    return lambda logits, labels: calls.append(1) or sn.softmax_loss(logits, labels)


class DrawsFromTheModule(Keeps):
    def forward(self, x):
        return self.layer(x * (generator.random() if self.training else 1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optimizer": CountsInItsClass}, "optimizer.steps"),
        ({"loss": Weighted()}, "loss.mean"),
        ({"loss": draws}, "loss: generator"),
        ({"loss": counting()}, "loss: calls"),
        ({"net": DrawsFromTheModule(None)}, "net: generator"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_stands_outside_of_every_object_is_said_too(tmp_path, given, said):
    parts = {"net": sn.Linear(12, 3, 0), "optimizer": sn.SGD, "loss": sn.softmax_loss} | given
    net = parts["net"]
    optimizer = parts["optimizer"](net.parameters(), 0.1)
    training = sn.Learner(learner().train, net, optimizer, parts["loss"])
    training.fit(1, None)
    with pytest.warns(sn.LostStateWarning, match=f"^{said} has changed in training, and "):
        training.save(tmp_path / "c")


class DrawsGlobally(sn.Module):
    def __init__(self):
        self.layer = sn.Linear(12, 3, 0)

    def forward(self, x):
        if self.training:
            x = x * (random.random() + np.random.standard_normal())
        return self.layer(x)


def test_the_global_generators_are_kept_if_they_are_used(tmp_path):
    random.seed(1)
    np.random.seed(1)
    expected = learner(DrawsGlobally())
    expected.fit(1, None, tmp_path / "c")
    expected.fit(1, None)
    random.seed(2)
    np.random.seed(2)
    again = learner(DrawsGlobally())
    again.resume(tmp_path / "c")
    again.fit(1, None)
    assert outcome(again) == outcome(expected)


class Shakes(sn.Callback):
    """Changes the network by chance."""

    def __init__(self, method):
        setattr(self, method, self.shake)

    def shake(self, *_):
        with sn.no_grad():
            self.learner.net.layer.weight *= np.float32(np.random.random())


@pytest.mark.parametrize("method", ["on_epoch_begin", "on_epoch_end"])
def test_the_global_generators_are_kept_also_if_a_callback_uses_them(tmp_path, method):
    def trained(epochs, resume=False):
        training = learner(Keeps(None))
        np.random.seed(3)
        if resume:
            training.resume(tmp_path / "c")
        training.fit(
            epochs, None, None if resume else tmp_path / str(epochs), callbacks=[Shakes(method)]
        )
        return training

    trained(1)
    (tmp_path / "1").rename(tmp_path / "c")
    assert outcome(trained(1, resume=True)) == outcome(trained(2))


def test_what_does_not_change_is_no_matter(tmp_path):
    training = learner(Keeps(None))
    training.fit(2, None, tmp_path / "c")  # no warning: it would be an error
    assert (tmp_path / "c").exists()


def test_a_report_may_save_and_stop(tmp_path):
    def report(line):
        reported.append(line)
        training.save(tmp_path / "c")
        if len(reported) == 2:
            training.stop()

    training, reported, expected, again = learner(), [], learner(), learner()
    training.fit(5, report)
    expected.fit(2, None)
    again.resume(tmp_path / "c")
    assert outcome(training) == outcome(expected) == outcome(again)


@pytest.mark.guarantee("A run whose epochs are single launches can be resumed too.")
@pytest.mark.parametrize("shuffle", ["batches", "samples"])
def test_launches_are_gone_on_with_too(backend, tmp_path, shuffle):
    def captured():
        net = sn.Linear(12, 8, 0, activation=sn.tanh) >> sn.Linear(8, 3, 1)
        return learner(net, shuffle, capture=True)

    never, begun, again = captured(), captured(), captured()
    never.fit(6, None)
    begun.fit(3, None, tmp_path / "c")
    again.resume(tmp_path / "c")
    again.fit(3, None)
    assert again.replay.how == never.replay.how
    assert outcome(again) == outcome(never)


@pytest.mark.guarantee("A run can be resumed on another backend or number of processes.")
def test_saved_on_one_backend_resumed_on_the_other(tmp_path):
    def in_float64():
        net = Noisy()
        for each in net.parameters():
            each.data = each.data.astype("float64")
        return learner(net)

    for first, second in (("numpy", "strict"), ("strict", "numpy")):
        with use(first):
            begun = in_float64()
            begun.fit(2, None, tmp_path / first)
            weights = begun.net.state_dict()
        with use(second):
            gone_on = in_float64()
            saved = gone_on.resume(tmp_path / first)
            assert saved.made_by["backend"] == first
            for path, value in gone_on.net.state_dict().items():
                np.testing.assert_array_equal(value, weights[path])
            gone_on.fit(2, None)
        with use(first):
            begun.fit(2, None)
        # After ten steps of such a network in float64, `rounding.Rounded` bounds each error by 2e-11.
        np.testing.assert_allclose(
            *(each.history["valid_loss"] for each in (begun, gone_on)), rtol=2e-11
        )


@pytest.mark.guarantee("A checkpoint of another version, machine or backend is reported.")
def test_another_version_is_told_and_is_no_obstacle(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("scratchnet.training.resume.__version__", "0.0.9")
        learner().fit(1, None, tmp_path / "c")
    training = learner()
    with pytest.warns(sn.OtherVersionWarning, match=r"by scratchnet 0\.0\.9, and this is") as caught:
        training.resume(tmp_path / "c")
    assert caught[0].filename == __file__
    training.fit(1, None)
    assert training.epochs == 2


def test_a_checkpoint_is_written_at_the_beginning_every_so_often_and_at_the_end(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(sn.Learner, "save", lambda self, path: saved.append(self.epochs))
    learner().fit(7, None, tmp_path / "c", every=3)
    assert saved == [0, 3, 6, 7]
    with pytest.raises(SettingError, match="every is 0"):
        learner().fit(1, None, tmp_path / "c", every=0)


# What a kill leaves behind.

KILLED = """
import sys
from itertools import count
from pathlib import Path
from killed import is_killed, moment
from scratchnet import softmax_loss
from scratchnet.training import resume
from noisy import learner, outcome

EPOCHS = 2

def train(path):
    training = learner(shuffle="samples")
    training.loss = lambda *given: (moment("before a step"), softmax_loss(*given))[1]
    if path.exists():
        training.resume(path)
    training.fit(EPOCHS - training.epochs, None, path)
    path.with_name("outcome").write_text(repr(outcome(training)))

never = learner(shuffle="samples")
never.fit(EPOCHS, None)
reached, killed = [], True
for number in count(1):
    path = Path(sys.argv[1]) / str(number) / "c"
    path.parent.mkdir()
    killed = is_killed(number, path.parent, train, path)
    reached.append(resume.read_training(path).state["progress"]["epochs"] if path.exists() else -1)
    is_killed(number, path.parent, train, path)  # and once more, if it gets so far
    assert not is_killed(0, path.parent, train, path)
    assert path.with_name("outcome").read_text() == repr(outcome(never))
    assert {each.name for each in path.parent.iterdir()} == {"c", "outcome"}  # no part of a file
    if not killed:
        break
assert reached == sorted(reached), reached  # no kill has cost an earlier checkpoint
assert set(reached) == {-1, 0, 1, 2}
"""


@pytest.mark.guarantee("A run that was stopped or killed at any moment ends with the same bits.")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_killed_at_any_moment_and_resumed_it_ends_the_same(tmp_path):
    done = python("-c", KILLED, tmp_path, environment={"OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == {
        "before a step", "before open", "before write", "before the rest of a write", "before flush",
        "before fsync", "before close", "before replace", "before unlink",
    }  # fmt: skip


@pytest.mark.guarantee("Whichever call to the system fails, the old or the new file is there, whole.")
def test_a_full_disk(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "c"
    training = learner()
    training.fit(1, None, path)
    before = path.read_bytes()
    training.fit(1, None)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="cannot be written"):
            training.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.guarantee("A changed byte in a saved file is noticed.")
def test_every_damaged_byte_is_seen(tmp_path, rng):
    path = tmp_path / "c"
    learner().fit(1, None, path)
    whole = path.read_bytes()
    damaged = tmp_path / "damaged"
    for end in [0, 7, 8, 100, len(whole) // 2, len(whole) - 1]:
        damaged.write_bytes(whole[:end])
        with pytest.raises(CheckpointError, match="damaged"):
            learner().resume(damaged)
    for place in rng.integers(0, len(whole), 100):
        content = bytearray(whole)
        content[place] ^= 1 << rng.integers(0, 8)
        damaged.write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged"):
            learner().resume(damaged)


class Silent(sn.Evaluator):
    def evaluate(self, net):
        return sn.EpochMetrics(1, 1, 1, 1)


@pytest.mark.guarantee("What a checkpoint cannot keep is named.")
def test_what_would_be_lost_is_not_saved(tmp_path):
    path = tmp_path / "c"
    training = learner()
    training.evaluator = Silent()
    with pytest.raises(CheckpointError, match=r"Silent must define state_dict\(\)"):
        training.save(path)
    training = learner()
    training.optimizer.parameters.append(sn.Variable([1.0]))
    with pytest.raises(CheckpointError, match="would be lost"):
        training.save(path)
    assert not path.exists()


@pytest.mark.guarantee("What a checkpoint cannot keep is named.")
def test_a_training_broken_off_in_a_step_cannot_be_saved(tmp_path):
    def broken(output, labels):
        raise KeyboardInterrupt

    training = learner()
    training.fit(1, None, tmp_path / "c")
    whole, training.loss = training.loss, broken
    with pytest.raises(KeyboardInterrupt):
        training.fit(1, None)
    with pytest.raises(CheckpointError, match="an error ended the training run in the middle of a step"):
        training.save(tmp_path / "c")
    training.loss = whole
    training.fit(1, None)  # a whole epoch
    assert (training.epochs, training.batches_done) == (2, 0)
    training.resume(tmp_path / "c")
    training.fit(1, None)
    expected = learner()
    expected.fit(2, None)
    assert outcome(training) == outcome(expected)


@pytest.mark.guarantee("NaN or infinity ends a run with an error, and the last checkpoint stays.")
def test_a_loss_that_is_no_number_leaves_the_last_good_checkpoint(tmp_path):
    training = learner()
    training.fit(1, None, tmp_path / "c")
    training.optimizer.learning_rate = 1e30
    with np.errstate(all="ignore"), pytest.raises(NonFiniteLossError, match="epoch 1"):
        training.fit(5, None, tmp_path / "c")
    again = learner()
    again.resume(tmp_path / "c")
    assert again.epochs == 1
    assert np.isfinite(host(again.net.fc1.weight)).all()


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


@pytest.mark.parametrize("state", [{}, {"learning_rate": 0.5, "momentum": 0.9}, {"rate": 0.5}])
def test_an_optimizer_takes_its_own_state_alone(state):
    optimizer = learner().optimizer
    with pytest.raises(CheckpointError, match="but SGD keeps parameters, learning_rate"):
        optimizer.load_state_dict(state)
    assert optimizer.learning_rate == 0.1


class Remembers(sn.SGD):
    """Says what it keeps."""

    def __init__(self, parameters, rate):
        super().__init__(parameters, rate)
        self.kept = {"velocity": np.ones(2, ">f4"), "steps": [1, 2.5, {"a": None}]}

    def state_dict(self):
        return {"learning_rate": self.learning_rate, **self.kept}

    def load_state_dict(self, state):
        self.found = state


@pytest.mark.guarantee("What a checkpoint cannot keep is named.")
def test_an_optimizer_of_one_s_own_gets_back_what_it_has_said(tmp_path):
    training = learner()
    training.optimizer = Remembers(training.net.parameters(), 0.1)
    training.save(tmp_path / "c")
    training.resume(tmp_path / "c")
    assert training.optimizer.found["steps"] == [1, 2.5, {"a": None}]
    np.testing.assert_array_equal(training.optimizer.found["velocity"], np.ones(2))
    for changed in ({0: 1}, {"tuple": (1, 2)}):
        training.optimizer.kept = changed
        with pytest.raises(CheckpointError, match="would come back changed"):
            training.save(tmp_path / "c")
    training.optimizer.kept = {"object": object()}
    with pytest.raises(CheckpointError, match="only arrays, numbers and text can be kept"):
        training.save(tmp_path / "c")


@pytest.mark.skipif(os.name == "nt", reason="links and modes are those of POSIX")
def test_a_link_is_followed_and_the_mode_kept(tmp_path):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "c", tmp_path / "link"
    training = learner()
    training.save(target)
    target.chmod(0o600)
    link.symlink_to(target)
    training.fit(1, None)
    training.save(link)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert resume.read_training(target).state["progress"]["epochs"] == 1


@pytest.mark.guarantee("A changed byte in a saved file is noticed.")
def test_a_file_of_ours_without_its_digest_is_damaged(tmp_path):
    path = tmp_path / "c"
    learner().save(path)
    path.write_bytes(path.read_bytes().replace(b"sha256", b"sha257"))
    with pytest.raises(CheckpointError, match="damaged"):
        learner().resume(path)


@pytest.mark.guarantee("Whichever call to the system fails, the old or the new file is there, whole.")
def test_no_file_and_no_folder_to_write_to(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        learner().resume(tmp_path / "none")
    with pytest.raises(CheckpointError, match="cannot be written"):
        learner().save("/proc/checkpoint")

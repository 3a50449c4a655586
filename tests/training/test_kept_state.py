"""A checkpoint keeps all that changes in training, or what it cannot keep is named."""

import random
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from noisy import learner, outcome

import scratchnet as sn
from scratchnet.errors import CheckpointError


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

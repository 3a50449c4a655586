"""A checkpoint keeps all that changes in training, or what it cannot keep is named."""

import random
from collections.abc import Mapping
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


class Slotted:
    __slots__ = ("rng",)

    def __init__(self, rng):
        self.rng = rng

    def __call__(self):
        self.rng.random()


drawn_from = np.random.default_rng(0)
HOLDERS = {
    "a tuple": lambda: (np.random.default_rng(0),),
    "the older generator": lambda: np.random.RandomState(0),
    "the older generator with other bits": lambda: np.random.RandomState(np.random.PCG64(0)),
    "bits alone": lambda: np.random.PCG64(0),
    "an attribute with a place": lambda: Slotted(np.random.default_rng(0)),
    "an object": lambda: SimpleNamespace(inner={"a": [np.random.default_rng(0)]}),
    "a function": lambda: draws_in_a_helper,
    "a method": lambda: partial(np.random.default_rng(0).normal, scale=2),
}


def draw(thing):
    if isinstance(thing, tuple):
        thing[0].random()
    elif isinstance(thing, SimpleNamespace):
        thing.inner["a"][0].random()
    elif isinstance(thing, np.random.PCG64):
        thing.random_raw()
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


class Mean:
    total = 0.0


class Averages:
    """A loss with an object that changes."""

    def __init__(self):
        self.mean = Mean()

    def __call__(self, logits, labels):
        self.mean.total += 1
        return sn.softmax_loss(logits, labels)

    def reset(self):
        self.mean.owner = self  # a cycle
        return self


so_far = {"calls": 0}


def counts_globally(logits, labels):
    so_far["calls"] += 1
    return sn.softmax_loss(logits, labels)


def counts_in_a_default(logits, labels, calls=[0]):  # noqa: B006 - a user's function may do so
    calls[0] += 1
    return sn.softmax_loss(logits, labels)


def counts_by_keyword(logits, labels, *, calls=[0]):  # noqa: B006
    return counts_in_a_default(logits, labels, calls)


def slower(parameters, rate):
    steps = 0

    def schedule(step):
        nonlocal steps
        steps += 1
        return rate / steps

    return sn.SGD(parameters, schedule)


class Batches:
    """An iterable that is no loader."""

    passes = 0

    def __len__(self):
        return 1

    def __iter__(self):
        self.passes += 1
        yield np.ones((4, 12), np.float32), np.zeros(4, int)


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
        ({"loss": Averages()}, "loss.mean.total"),
        ({"loss": Averages().reset()}, "loss.mean.total"),
        ({"loss": counts_globally}, "loss: so_far.calls"),
        ({"loss": counts_in_a_default}, "loss: calls"),
        ({"loss": counts_by_keyword}, "loss: calls"),
        ({"loss": partial(counts_by_keyword, calls=[0])}, "loss: calls"),
        ({"loss": partial(drawing(sn.softmax_loss, (np.random.default_rng(0),)))}, "loss: held"),
        ({"optimizer": slower}, "learning_rate.0: steps"),
        ({"train": Batches()}, "train.passes"),
        ({"metric": lambda outputs, targets: generator.random()}, "metrics.metric: generator"),
        ({"valid": drawing(lambda x: x, (np.random.default_rng(0),))}, "evaluator.valid: held"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_stands_outside_of_every_object_is_said_too(tmp_path, given, said):
    parts = {"net": sn.Linear(12, 3, 0), "optimizer": sn.SGD, "loss": sn.softmax_loss} | given
    net, loss, data = parts["net"], parts["loss"], (np.ones((4, 12), np.float32), np.zeros(4, int), 2)
    evaluator = None
    if given.keys() & {"metric", "valid"}:
        valid = sn.ArrayDataLoader(*data, transform=given.get("valid"))
        metrics = {"metric": parts["metric"]} if "metric" in given else None
        evaluator = sn.MetricsCollector(None, valid, loss, metrics=metrics)
    train = given.get("train") or sn.ArrayDataLoader(*data)
    training = sn.Learner(train, net, parts["optimizer"](net.parameters(), 0.1), loss, evaluator)
    training.fit(1, None)
    with pytest.warns(sn.LostStateWarning, match=f"^{said} has changed in training, and ") as caught:
        training.save(tmp_path / "c")
    assert len({str(each.message) for each in caught}) == len(caught)


mean = 0.0


def test_what_only_has_the_name_of_an_attribute_is_no_matter(tmp_path, monkeypatch):
    def loss(logits, labels):
        return sn.softmax_loss(logits, labels, reduction="none").mean()

    training = learner()
    training.loss = loss
    training.fit(1, None)
    monkeypatch.setitem(globals(), "mean", 1.0)
    training.save(tmp_path / "c")  # no warning


def test_what_a_script_sets_before_training_is_no_matter(tmp_path):
    training = learner()
    training.save(tmp_path / "c")
    training.net.factor = 2.0
    training.fit(1, None)
    training.save(tmp_path / "c")  # no warning


class Lazy(Mapping):
    """A mapping that loads a value when it is asked for it."""

    def __getitem__(self, key):
        raise OSError("nobody asks")

    def __iter__(self):
        return iter(range(3))

    def __len__(self):
        return 3


@pytest.mark.parametrize("held", [Lazy(), random.SystemRandom()], ids=["mapping", "the system's chance"])
def test_what_has_no_state_to_look_at_is_left_alone(tmp_path, held):
    learner(Keeps(None)).fit(1, None, tmp_path / "a")
    net = Keeps(None)
    net.held = held
    learner(net).fit(1, None, tmp_path / "b")


def test_numpy_s_global_generator_may_have_other_bits(tmp_path):
    former = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        expected, stopped = learner(DrawsGlobally()), learner(DrawsGlobally())
        random.seed(1)
        expected.fit(2, None)
        np.random.set_bit_generator(np.random.PCG64(1))
        random.seed(1)
        stopped.fit(1, None, tmp_path / "c")
        np.random.set_bit_generator(np.random.PCG64(5))
        resumed = learner(DrawsGlobally())
        resumed.resume(tmp_path / "c")
        resumed.fit(1, None)
        assert outcome(resumed) == outcome(expected)
    finally:
        np.random.set_bit_generator(former)


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

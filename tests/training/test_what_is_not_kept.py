"""What a training run changes is kept by its checkpoint or named; what does not matter is not named."""

import itertools
import random
from collections import deque
from dataclasses import dataclass
from enum import Enum
from functools import partial
from threading import Semaphore
from types import SimpleNamespace

import numpy as np
import other_program
import pytest

import scratchnet as sn

X, Y = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32), np.arange(8) % 2


def learner(loss=sn.softmax_loss, train=None, net=None, optimizer=None, evaluator=None):
    net = net or sn.Linear(3, 2, 0)
    optimizer = optimizer(net.parameters()) if optimizer else sn.SGD(net.parameters(), 0.1)
    return sn.Learner(train or sn.ArrayDataLoader(X, Y, 4), net, optimizer, loss, evaluator)


def named(training, path, **options):
    """Train, and return what a checkpoint says it does not keep."""
    training.fit(2, None, **options)
    with pytest.warns() as caught:
        training.save(path)
    assert {each.category for each in caught} == {sn.LostStateWarning}
    return [str(each.message).partition(" has changed in training")[0] for each in caught]


class Holds:
    """A loss that holds something, and a function that changes it with each batch."""

    def __init__(self, held, change):
        self.held, self.change = held, change

    def __call__(self, outputs, targets):
        if (new := self.change(self.held)) is not None:
            self.held = new
        return sn.softmax_loss(outputs, targets)


class Tracker:
    total = 0.0

    def up(self):
        self.total += 1


class Narrow:
    __slots__ = ("total",)

    def __init__(self):
        self.total = 0

    up = Tracker.up


class Narrower(Narrow):
    __slots__ = ()


@dataclass(slots=True)
class Packed:
    total: float = 0.0
    up = Tracker.up


class Phase(Enum):
    WARM, MAIN = 0, 1


class Number(float):
    def __repr__(self):
        raise AssertionError("nobody asks")


class Installed(Tracker):
    """As if its program were an installed package."""

    __module__ = "pytest"

    def __call__(self, outputs, targets):
        self.up()
        return sn.softmax_loss(outputs, targets)


def moved(teacher):
    for each in teacher.parameters():
        each.data = each.data + 1


def stepped(optimizer):
    optimizer.parameters[0].data = optimizer.parameters[0].data * 2


CHANGES = {
    "an array in a dict in a dict": (
        {1: {"v": np.zeros(2)}},
        lambda held: held[1]["v"].fill(held[1]["v"][0] + 1),
    ),
    "a list in a dict": ({"a": []}, lambda held: held["a"].append(1)),
    "a list in a list": ([[0.0], [1.0]], lambda held: held[1].append(1)),
    "a tuple in a list": ([(0, 0.0)], lambda held: held.__setitem__(0, (1, 1.0))),
    "a number in a deque": (deque([0], 1), lambda held: held.append(held[0] + 1)),
    "the end of a long list": ([0] * 5000, lambda held: held.__setitem__(4999, held[4999] + 1)),
    "an object far in a list": ([Tracker() for _ in range(9)], lambda held: held[8].up()),
    "an object of another file": (other_program.Tracker(), lambda held: held.up()),
    "an object with places": (Narrow(), lambda held: held.up()),
    "an object with its class's places": (Narrower(), lambda held: held.up()),
    "a dataclass with places": (Packed(), lambda held: held.up()),
    "a set": (set(), lambda held: held.add(len(held))),
    "a truth value of NumPy": (np.bool_(False), lambda held: np.bool_(True)),
    "a number of NumPy": (np.int16(1), lambda held: held + np.int16(1)),
    "a complex number": (0j, lambda held: held + 1),
    "a number of one's own": (Number(1), lambda held: Number(held + 1)),
    "a very long number": (10**5000, lambda held: held + 1),
    "a phase": (Phase.WARM, lambda held: Phase.MAIN),
    "text": ("warm", lambda held: "main"),
    "a count": (itertools.count(), lambda held: next(held) * 0 or None),
    "what becomes nothing": (SimpleNamespace(boost=3.0), lambda held: setattr(held, "boost", None)),
    "what is used up": ([3.0, 2.0, 1.0, 0.5], lambda held: held.pop() and None),
    "a Variable": ([sn.Variable(np.zeros(2))], lambda held: held.__setitem__(0, held[0] + 1)),
    "another network": (sn.Linear(2, 2, 0), moved),
    "another optimizer": (sn.Adam([sn.Variable(np.ones(2))]), stepped),
    "the end of an array": (np.zeros(9), lambda held: held[8:].fill(held[8] + 1)),
    "a large array": (np.zeros(1_000_000), lambda held: held.fill(held[0] + 1)),
}


@pytest.mark.guarantee("What a checkpoint cannot keep is named.")
@pytest.mark.parametrize("kind", CHANGES)
def test_whatever_changes_is_named(tmp_path, kind):
    (name,) = named(learner(Holds(*CHANGES[kind])), tmp_path / "c")
    assert name.startswith("loss.held")


def other(outputs, targets):
    return sn.softmax_loss(outputs, targets)


calls = [0]


def bump():
    calls[0] += 1


def through_a_helper(outputs, targets):
    bump()
    return sn.softmax_loss(outputs, targets)


def through_a_module(outputs, targets):
    other_program.counted += 1
    return sn.softmax_loss(outputs, targets)


def through_a_module_s_function(outputs, targets):
    other_program.count()
    return sn.softmax_loss(outputs, targets)


def through_a_function_inside(outputs, targets):
    return (lambda: bump() or sn.softmax_loss(outputs, targets))()


def with_an_attribute(outputs, targets):
    with_an_attribute.calls += 1
    return sn.softmax_loss(outputs, targets)


with_an_attribute.calls = 0


def decorated(function):
    def wrapper(*given):
        return function(*given)

    return wrapper


def counting():
    counted = [0]

    @decorated
    def loss(outputs, targets):
        counted[0] += 1
        return sn.softmax_loss(outputs, targets)

    return loss


def with_a_list(counted, outputs, targets):
    counted[0] += 1
    return sn.softmax_loss(outputs, targets)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (through_a_helper, "loss: bump: calls"),
        (through_a_module, "loss: other_program.counted"),
        (through_a_module_s_function, "loss: other_program.count: counted"),
        (through_a_function_inside, "loss: bump: calls"),
        (with_an_attribute, "loss: calls"),
        (counting(), "loss: function: counted"),
        (partial(with_a_list, [0]), "loss: 0"),
        (Installed(), "loss.total"),
    ],
)
def test_what_a_function_changes_is_named(tmp_path, loss, said):
    assert said in named(learner(loss), tmp_path / "c")


class Images(sn.Dataset):
    def __init__(self):
        self.calls = 0

    def __len__(self):
        return 8

    def __getitem__(self, index):
        self.calls += 1
        return X[index], Y[index]


class Shift:
    calls = 0

    def __call__(self, inputs):
        self.calls += 1
        return inputs


class Loader(sn.ArrayDataLoader):
    calls = 0

    def __iter__(self):
        self.calls += 1
        return super().__iter__()


class Memory(sn.SGD):
    """Momentum in the form that PyTorch's optimizers have."""

    def __init__(self, parameters):
        super().__init__(parameters, 0.1)
        self.memory = {}

    def step(self):
        for each in self.parameters:
            held = self.memory.setdefault(id(each), {"v": np.zeros(each.shape, np.float32)})
            held["v"] = 0.9 * held["v"] + each.grad
        super().step()


class Best:
    def __init__(self):
        self.found = {"best": [0.0]}

    def __call__(self, outputs, targets):
        self.found["best"][0] += 1
        return self.found["best"][0]


def measured(metric):
    return sn.MetricsCollector(
        None, sn.ArrayDataLoader(X, Y, 4), sn.softmax_loss, metrics={"best": metric}
    )


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"train": lambda: sn.DataLoader(Images(), 4)}, "train.dataset.calls"),
        ({"train": lambda: sn.ArrayDataLoader(X, Y, 4, transform=Shift())}, "train.calls"),
        ({"train": lambda: Loader(X, Y, 4)}, "train.calls"),
        ({"optimizer": lambda: Memory}, "optimizer.memory.v"),
        ({"evaluator": lambda: measured(Best())}, "metrics.best.found.best"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_what_a_part_changes_is_named(tmp_path, parts, said):
    training = learner(**{name: make() for name, make in parts.items()})
    assert said in named(training, tmp_path / "c")


class Does(sn.Callback):
    """Does something after the first epoch."""

    def __init__(self, what):
        self.what = what

    def on_epoch_end(self, epoch, logs):
        if not epoch:
            self.what(self)


@pytest.mark.parametrize(
    ("what", "said", "fix"),
    [
        (lambda self: setattr(self, "mean", np.ones(2)), "callbacks.Does.mean", "only_writes = True"),
        (lambda self: setattr(self.learner.net.weight, "requires_grad", False),
         "net.weight.requires_grad", "set it again after resume"),
        (lambda self: setattr(self.learner, "loss", other), "loss", "keep it in the network"),
        (lambda self: setattr(self.learner.net, "factor", 2.0), "net.factor", "sn.Buffer"),
    ],
)  # fmt: skip
def test_what_a_callback_changes_is_named(tmp_path, what, said, fix):
    training = learner()
    training.fit(2, None, callbacks=[Does(what)])
    with pytest.warns(sn.LostStateWarning, match=f"^{said} has changed.*{fix}"):
        training.save(tmp_path / "c")


def test_a_dropout_s_rate_that_changes_is_named(tmp_path):
    net = sn.Sequential(sn.Dropout(0.5, rng=0), sn.Linear(3, 2, 0))
    less = Does(lambda self: setattr(self.learner.net[0], "p", 0.1))
    assert named(learner(net=net), tmp_path / "c", callbacks=[less]) == ["net.0.p"]


class Saves(sn.Callback):
    only_writes = True

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, epoch, logs):
        self.learner.save(self.path)


@pytest.mark.parametrize("method", ["on_epoch_begin", "on_epoch_end"])
def test_a_file_that_a_callback_saves_has_the_global_generators_too(tmp_path, method):
    draws = Does(lambda _: None)
    setattr(draws, method, lambda *_: np.random.random())
    training = learner()
    training.fit(1, None, callbacks=[draws, Saves(tmp_path / "c")])
    resumed = learner()
    resumed.resume(tmp_path / "c")
    assert resumed.draws_globally


def test_a_file_that_is_saved_before_anything_was_drawn_has_no_global_generators(tmp_path):
    saves = Saves(tmp_path / "c")
    saves.on_train_begin = lambda: saves.learner.save(tmp_path / "c")
    learner().fit(0, None, callbacks=[saves])
    resumed = learner()
    resumed.resume(tmp_path / "c")
    assert not resumed.draws_globally


class Keeps(sn.Callback):
    """Says what it keeps, and holds more."""

    def __init__(self):
        self.counted, self.rng = 0, np.random.default_rng(0)

    def on_epoch_end(self, epoch, logs):
        self.counted += 1
        self.rng.random()

    def state_dict(self):
        return {"counted": self.counted}


class Writes(sn.Callback):
    only_writes = True
    lines = 0

    def on_epoch_end(self, epoch, logs):
        self.lines += 1


class Idle(sn.Callback):
    limit = 3


class Strange:
    """Has its own idea of everything."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    @property
    def __dict__(self):
        raise RuntimeError("__dict__")

    def __call__(self, outputs, targets):
        return sn.softmax_loss(outputs, targets)


def test_what_does_not_matter_is_not_named(tmp_path):
    net = sn.Linear(3, 2, 0)
    everything = SimpleNamespace(net=net, rng=random.SystemRandom(), strange=Strange())
    everything.of_python = Semaphore()

    def loss(outputs, targets):
        everything.of_python.release()
        return sn.softmax_loss(outputs, targets) + 0 * (everything.net.weight**2).sum()

    training = learner(loss, net=net)
    everything.learner = training
    lower = sn.ReduceLROnPlateau("duration", patience=9)
    training.fit(2, None, tmp_path / "c", callbacks=[Keeps(), Writes(), lower])
    training.fit(1, None, tmp_path / "c", callbacks=[Idle()])
    training.fit(1, None, tmp_path / "c", callbacks=[Writes()])
    learner(Strange()).fit(1, None, tmp_path / "d")  # no warning: it would be an error


def test_a_file_in_memory_is_not_read(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.ones((1000, 3), np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr(np.memmap, "tobytes", None)

    class Mapped(Images):
        def __init__(self):
            self.whole, self.part = mapped, np.asarray(mapped[1:])

    training = learner(train=sn.DataLoader(Mapped(), 4))
    assert not [name for name in training._attributes() if name.startswith("train.dataset.")]

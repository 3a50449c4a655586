"""An epoch as one launch: the same numbers, or a reason why not."""

import gc
import itertools
import re
import warnings
from functools import partial

import numpy as np
import pytest
from arrays import host
from rounding import Rounded, assert_within, train_two_layers, two_layers

import backends
import scratchnet as sn
from backends import to_device, xp
from scratchnet.training.outside import collector_paused
from scratchnet.verify.parity import ULP_ALLOWED

RNG = 5


def loader(samples=150, batch_size=32, shuffle="batches"):
    rng = np.random.default_rng(RNG)
    x = rng.standard_normal((samples, 12)).astype("float32")
    y = (x[:, :3].argmax(axis=1)).astype("int64")
    return sn.ArrayDataLoader(to_device(x), to_device(y), batch_size, seed=1, shuffle=shuffle)


def deep():
    return sn.Sequential(sn.Linear(12, 9, 0), sn.tanh, sn.Linear(9, 7, 1), sn.relu, sn.Linear(7, 3, 2))


def shallow():
    return sn.Sequential(sn.Linear(12, 9, 0), sn.relu, sn.Linear(9, 3, 1))


def train(net, epochs=5, capture="auto", data=None, optimizer=sn.SGD, loss=sn.softmax_loss, **options):
    """Return a trained learner. A warning is an error."""
    data = data or loader(**options)
    metrics = sn.MetricsCollector(data, data, loss, capture)
    learner = sn.Learner(data, net, optimizer(net.parameters(), 0.1), loss, metrics, capture)
    learner.fit(epochs, None)
    return learner


def bits(learner):
    return [host(p) for p in learner.net.parameters()] + [learner.history["train_loss"]]


def same(one, other):
    for a, b in zip(bits(one), bits(other), strict=True):
        np.testing.assert_array_equal(a, b)


def launched(learner, how="one launch"):
    """Whether the backend has captured the epoch; True on backends that cannot capture."""
    expected = how if backends.active().captures else "step by step"
    return learner.replay.how == expected


@pytest.mark.parametrize("shuffle", ["batches", "samples", None])
@pytest.mark.parametrize("samples", [150, 128, 20])
def test_a_captured_epoch_is_the_same_steps_bit_for_bit(backend, shuffle, samples):
    captured, plain = (train(deep(), capture=c, shuffle=shuffle, samples=samples) for c in (True, False))
    assert launched(captured)
    assert [launched(each) for each in captured.evaluator.evaluations] == [True, True]
    assert plain.replay.how == "step by step"
    same(captured, plain)
    if backends.active().captures:
        assert captured.net.gradients() == [None] * 6


def test_layers_without_bias_are_captured(backend):
    learners = []
    for capture in (True, False):
        net = sn.Linear(12, 9, 0, sn.relu, bias=False) >> sn.Linear(9, 3, 1, bias=False)
        learners.append(train(net, capture=capture))
    assert launched(learners[0])
    same(*learners)


def test_a_captured_step_sees_the_learning_rate_change(backend):
    learners = []
    for capture in (True, False):
        learner = train(deep(), capture=capture)
        recorded = learner.replay._recorded
        learner.optimizer.learning_rate = 0.01
        learner.fit(2, None)
        assert learner.replay._recorded is recorded
        learners.append(learner)
    assert learners[0].history["train_loss"][5] != train(deep(), 6).history["train_loss"][5]
    same(*learners)


@pytest.mark.parametrize("weight", [[1.0, 2.0, 0.5], (1, 2, 3)])
def test_a_list_of_weights_is_copied_once_and_an_epoch_captured(backend, weight):
    for loss in (sn.softmax_loss, sn.nll_loss):
        of_list = partial(partial(loss, weight=weight), ignore_index=7)
        of_array = partial(loss, weight=to_device(np.array(weight)), ignore_index=7)
        listed, plain = train(deep(), capture=True, loss=of_list), train(deep(), loss=of_array)
        assert launched(listed)
        assert listed.loss is of_list
        same(listed, plain)


SPELLINGS = {
    "stages": shallow,
    "activation": lambda: sn.Linear(12, 9, 0, activation=sn.relu) >> sn.Linear(9, 3, 1),
    "threshold's heir": lambda: sn.Linear(12, 9, 0) >> sn.functions.ReLU() >> sn.Linear(9, 3, 1),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("shuffle", ["batches", "samples"])
def test_the_two_layer_network_is_recognised_and_its_numbers_are_the_same(backend, spelling, shuffle):
    """Test two epochs: the bound of the error grows with each step."""
    make, data = SPELLINGS[spelling], loader(36, shuffle=shuffle)
    one, again, plain = (train(make(), 2, c, samples=36, shuffle=shuffle) for c in (True, True, False))
    assert launched(one, "one launch of fused kernels")
    same(one, again)
    start, steps = [host(each) for each in make().parameters()], []
    for epoch in range(2):
        steps += [(host(x), host(y)) for x, y in data]
        parameters = train_two_layers(start, steps, 0.1, "float32")
        *_, logits = two_layers(parameters, Rounded(host(data.inputs), "float32"))
        loss, _ = logits.softmax_loss(host(data.labels))
        for learner in (one, plain):
            assert_within(learner.history["train_loss"][epoch], loss.value, loss.error)
            assert_within(learner.history["valid_loss"][epoch], loss.value, loss.error)
    for learner in (one, plain):
        for found, each in zip(learner.net.parameters(), parameters, strict=True):
            assert_within(host(found), each.value, each.error)
    for name in ("train_accuracy", "valid_accuracy"):
        assert one.history[name] == plain.history[name]


def same_work(part):
    """Declare that the part does the same work at every call."""
    part.capturable = True
    return part


class Doubled(sn.SGD):
    capturable = True

    def step(self):
        super().step()
        super().step()


class TwoOfThem(sn.SGD):
    capturable = True

    def __init__(self, parameters, learning_rate):
        super().__init__(parameters[2:], learning_rate)
        for each in parameters[:2]:
            each.requires_grad = False


OTHERS = {
    "a loss of its own": {"loss": same_work(lambda z, y: 2 * sn.softmax_loss(z, y))},
    "other labels": {"loss": same_work(lambda z, y: sn.softmax_loss(z, 2 - y.data))},
    "other inputs": {"net": lambda: same_work(lambda x: x * 2) >> shallow()},
    "another optimizer": {"optimizer": Doubled},
    "parameters that are not trained": {"optimizer": TwoOfThem},
    "three layers": {"net": deep},
    "another threshold": {"net": lambda: sn.Linear(12, 9, 0) >> sn.Threshold(0.1) >> sn.Linear(9, 3, 1)},
    "a layer used twice": {"net": lambda: (lambda f: f >> sn.relu >> f)(sn.Linear(12, 12, 0))},
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_only_looks_like_it_is_captured_step_for_step(backend, other):
    options = dict(OTHERS[other])
    make = options.pop("net", shallow)
    captured, plain = (train(make(), capture=c, **options) for c in (True, False))
    assert launched(captured)
    for a, b in zip(captured.net.parameters(), plain.net.parameters(), strict=True):
        np.testing.assert_array_equal(host(a), host(b))
    # The evaluation may have kernels with other roundings. `verify/parity.py` derives
    # this bound from the terms of the sums: inputs, hidden units, classes, and a batch.
    losses = [each.history["train_loss"] for each in (captured, plain)]
    terms = 12 + 12 + 3 + 32
    np.testing.assert_allclose(*losses, rtol=ULP_ALLOWED * terms**0.5 * np.finfo("float32").eps)


class Product(sn.Function):
    capturable = True

    def forward(self, x):
        return (x.T @ x).sum() * x

    def backward(self, grad):
        return grad


def counting(net):
    class Counting(sn.Module):
        capturable = True
        steps = 0

        def __init__(self):
            self.net = net

        def forward(self, x):
            self.steps += 1
            return self.net(x)

    return Counting()


def module(forward):
    class Other(sn.Module):
        capturable = True

        def __init__(self):
            self.net, self.rng = deep(), np.random.default_rng(0)

        def forward(self, x):
            return forward(self, x)

    return Other()


class Momentum(sn.Optimizer):
    """Creates an array in the first step, then changes it in place: this can be captured."""

    capturable = True

    velocity = None

    def __init__(self, parameters, learning_rate):
        super().__init__(parameters)
        self.rate = learning_rate

    def step(self):
        self.velocity = self.velocity or [xp.zeros_like(p.data) for p in self.parameters]
        for velocity, p in zip(self.velocity, self.parameters, strict=True):
            velocity *= 0.9
            velocity += p.grad
            p.data -= self.rate * velocity


class Adam(Momentum):
    """Counts its steps on the host: this cannot be captured."""

    count = 0

    def step(self):
        self.count += 1
        super().step()


class Rebinding(Momentum):
    capturable = True

    def step(self):
        for p in self.parameters:
            p.data = p.data - self.rate * p.grad


def noisy(self, x):
    return self.net(x * self.rng.uniform(0.9, 1.1))


def globally_noisy(self, x):
    return self.net(x * np.random.uniform(0.9, 1.1))


class ReadingTheRate(sn.SGD):
    capturable = True

    def step(self):
        for p in self.parameters:
            p.data -= self.learning_rate * p.grad


class Lowering(sn.SGD):
    capturable = True

    def step(self):
        super().step()
        self.learning_rate *= 0.97


class KeepingGradients(sn.SGD):
    capturable = True

    def zero_grad(self):
        for p in self.parameters:
            p.grad = p.grad * 0.9 if p.grad is not None else None


def cycling():
    factors = itertools.cycle([1.0, 0.9, 1.1])
    return deep() >> same_work(lambda x: x * next(factors))


REFUSED = {
    "reads or sets a setting": {"net": deep, "optimizer": ReadingTheRate},
    "sets a setting, such as the learning rate": {"net": deep, "optimizer": Lowering},
    "launched again it gives other numbers": {"net": deep, "optimizer": KeepingGradients},
    "launched again it gives other numbers: a step": {"net": cycling},
    "copies between host and device": {
        "net": lambda: module(lambda self, x: self.net(x * float(x.data[0, 0])) * to_device([1.0]))},
    "net.steps changes during a step": {"net": lambda: counting(deep())},
    "net.rng changes during a step": {"net": lambda: module(noisy)},
    "global random generator": {"net": lambda: module(globally_noisy)},
    "optimizer.count changes during a step": {"net": deep, "optimizer": Adam},
    "net.0.weight changes during a step": {"net": deep, "optimizer": Rebinding},
    "cannot capture cuBLAS": {"net": lambda: deep() >> Product()},
    "waits for the device": {
        "net": lambda: module(lambda self, x: self.net(x * (2 if bool(x.data[0, 0] > 9) else 1)))},
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_captured_runs_step_by_step_and_says_why(backend, reason):
    options = dict(REFUSED[reason])
    make = options.pop("net")
    np.random.seed(0)
    if not backends.active().captures:
        train(make(), capture=True, **options)
        return
    with pytest.warns(sn.CaptureWarning) as caught:
        learner = train(make(), **options)
    lines = [str(each.message) for each in caught if "training pass" in str(each.message)]
    assert len(lines) == 1
    assert "runs step by step, not as one launch" in lines[0]
    assert reason in lines[0]
    assert "\n" not in lines[0]
    assert learner.replay.how == "step by step"
    np.random.seed(0)
    if not any(word in reason for word in ("random", "rng", ": a step")):  # it has moved on
        same(learner, train(make(), capture=False, **options))
    with warnings.catch_warnings(action="ignore"):
        learner = train(make(), 1, capture=True, **options)
        for _ in range(2):  # and again, not step by step without a message
            with pytest.raises(backends.CaptureError, match="give capture=False"):
                learner.fit(4, None)


def test_state_that_is_made_at_the_first_step_is_no_hindrance(backend):
    captured, plain = (train(deep(), 6, c, optimizer=Momentum) for c in (True, False))
    assert launched(captured)
    same(captured, plain)


class Words(sn.Module):
    """A table. Each step indexes its rows with an array, in which rows repeat."""

    capturable = True

    def __init__(self):
        self.table = sn.Variable(
            xp.asarray(np.random.default_rng(0).standard_normal((13, 12)), "float32")
        )
        self.net = deep()

    def forward(self, x):
        return self.net(self.table[(x.data > 0).sum(axis=1)])


def columns():
    picked = to_device(np.random.default_rng(0).integers(0, 9, 40))
    return sn.Linear(12, 9, 0) >> sn.tanh >> same_work(lambda h: h[:, picked]) >> sn.Linear(40, 3, 1)


def vectors():
    signs = same_work(lambda x: sn.Variable((x.data > 0).astype("int64")))
    return signs >> sn.Embedding(2, 4, padding_idx=0, rng=0) >> sn.Flatten() >> sn.Linear(48, 3, 1)


@pytest.mark.parametrize("make", [Words, columns, vectors])
def test_a_step_that_indexes_with_arrays_is_captured_and_gives_the_same_bits_each_time(backend, make):
    captured, again, plain = (train(make(), capture=c, samples=400) for c in (True, True, False))
    assert launched(captured)
    same(captured, again)
    same(captured, plain)


def test_a_loader_of_new_arrays_is_not_captured(backend):
    class Stream(sn.DataLoader):
        def __init__(self):
            self.inner = loader()
            self.num_samples, self.num_batches = self.inner.num_samples, self.inner.num_batches

        def __iter__(self):
            return iter(self.inner)

        def in_order(self):
            return self.inner.in_order()

    if backends.active().captures:
        with pytest.warns(sn.CaptureWarning, match="may hand out new arrays; take an") as told:
            learner = train(deep(), data=Stream())
        # The evaluation of this loader is not named again. (The validation set is the same one here.)
        assert [str(each.message).partition(" runs")[0] for each in told] == ["the training pass"]
        same(learner, train(deep(), capture=False))
    else:
        train(deep(), data=Stream())


def test_a_network_that_changes_between_epochs_is_captured_anew(backend):
    learners = []
    for capture in ("auto", False):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            learner = train(deep(), capture=capture)
            stages = learner.net.stages
            learner.net.stages = (*stages[:3], sn.sigmoid, sn.Linear(7, 3, 8))
            learner.optimizer = sn.SGD(learner.net.parameters(), 0.2)
            learner.fit(4, None)
        told = [str(each.message) for each in caught if "the training pass" in str(each.message)]
        if capture and backends.active().captures:
            assert launched(learner)
            assert len(told) == 1
            assert "begins anew, step by step: net.stages" in told[0]
        else:
            assert told == []
        learners.append(learner)
    same(*learners)


class Own(sn.Module):
    """A user's module that declares nothing."""

    def __init__(self):
        self.net = deep()

    def forward(self, x):
        return self.net(x)


class Promises(Own):
    capturable = True


def with_own_forward(net):
    forward = net.forward
    net.forward = lambda x: forward(x) * 1
    return net


class OwnSequential(sn.Sequential):
    capturable = True

    def __init__(self, *stages):
        self.stages = list(stages)


def own_loss(z, y):
    return sn.softmax_loss(z, y)


class OwnFunction(sn.Function):
    def forward(self, x):
        return x * 1

    def backward(self, grad):
        return grad


UNDECLARED = {
    "the network Own is not the library's own; .*: Own.capturable = True": {"net": Own},
    "module 1, Own is not the library's own": {"net": lambda: sn.tanh >> Own()},
    r"stages\[0\] of the network, \S*<lambda> is not the library's own": {
        "net": lambda: (lambda x: x) >> deep()
    },
    r"activation of 0, \S*<lambda> is not the library's own": {
        "net": lambda: sn.Linear(12, 9, 0, lambda x: x * 1) >> sn.Linear(9, 3, 1)
    },
    r"stages\[1\] of the network, \S*<lambda> is not": {
        "net": lambda: OwnSequential(deep(), lambda x: x * 1)
    },
    r"forward of the network, \S*<lambda> is not": {"net": lambda: with_own_forward(deep())},
    "the loss own_loss is not the library's own": {"net": deep, "loss": own_loss},
    "the optimizer Undeclared is not": {"net": deep, "optimizer": type("Undeclared", (sn.SGD,), {})},
    "the Function OwnFunction is not": {"net": lambda: deep() >> same_work(lambda x: OwnFunction()(x))},
}


@pytest.mark.parametrize("line", UNDECLARED)
def test_what_does_not_promise_the_same_work_is_not_captured_and_one_line_says_what_to_declare(
    backend, line
):
    options = dict(UNDECLARED[line])
    make = options.pop("net")
    if not backends.active().captures:
        train(make(), capture=True, **options)
        return
    with pytest.warns(sn.CaptureWarning) as caught:
        learner = train(make(), **options)
    told = [str(each.message) for each in caught if "the training pass" in str(each.message)]
    assert len(told) == 1
    assert re.search(line, told[0])
    assert "\n" not in told[0]
    assert learner.replay.how == "step by step"
    same(learner, train(make(), capture=False, **options))
    with pytest.raises(backends.CaptureError, match=line):
        train(make(), capture=True, **options)


@pytest.mark.parametrize("make", [
    Promises, deep, lambda: sn.Sequential(sn.functions.ReLU(), sn.Linear(12, 3, 0), sn.softmax),
])  # fmt: skip
def test_any_network_of_the_library_and_what_promises_it_are_captured(backend, make):
    captured, plain = (train(make(), capture=c) for c in (True, False))
    assert launched(captured)
    same(captured, plain)


class Averaging(sn.Module):
    """Keeps a running mean of its weight on the device: work that is not in the loss's graph."""

    capturable = True

    def __init__(self):
        self.net = shallow()
        self.mean = xp.zeros_like(self.net[0].weight.data)

    def forward(self, x):
        if self.training:
            self.mean *= 0.9
            self.mean += 0.1 * self.net[0].weight.data
        return self.net(x)


class Twice(sn.Learner):
    def train_on(self, batches):
        batches = list(batches)
        super().train_on(batches)
        return super().train_on(batches)


def clipped(net):
    sgd = sn.SGD(net.parameters(), 0.1)
    plain = sgd.step

    def step():
        for p in sgd.parameters:
            p.grad = xp.clip(p.grad, -0.01, 0.01)
        plain()

    sgd.step = step
    return sgd


@same_work
def by_length(z, y):
    return sn.softmax_loss(z, y) if len(z) == 32 else 0.1 * sn.softmax_loss(z, y)


@pytest.mark.parametrize("case", ["averaging", "clipped", "by length", "twice"])
def test_work_beside_the_two_layer_network_is_not_lost(backend, case):
    learners = []
    for capture in (True, False):
        net = Averaging() if case == "averaging" else shallow()
        sgd = clipped(net) if case == "clipped" else sn.SGD(net.parameters(), 0.1)
        loss = by_length if case == "by length" else sn.softmax_loss
        kind = Twice if case == "twice" else sn.Learner
        learner = kind(loader(), net, sgd, loss, capture=capture)
        learner.fit(5, None)
        learners.append(learner)
    assert launched(learners[0])
    for a, b in zip(*(each.net.parameters() for each in learners), strict=True):
        np.testing.assert_array_equal(host(a), host(b))
    if case == "averaging":
        np.testing.assert_array_equal(*(host(each.net.mean) for each in learners))


def test_a_loader_s_own_batches_are_what_is_trained_on(backend):
    class Mirrored(sn.ArrayDataLoader):
        def __iter__(self):
            return ((sn.Variable(-x.data, False), y) for x, y in super().__iter__())

    def mirrored():
        plain = loader()
        return Mirrored(plain.inputs, plain.labels, 32, seed=1)

    if not backends.active().captures:
        return
    with pytest.warns(sn.CaptureWarning, match="take an ArrayDataLoader as it is"):
        captured = train(shallow(), data=mirrored())
    same(captured, train(shallow(), capture=False, data=mirrored()))


def test_arrays_with_gaps_and_another_loader_over_the_same_arrays(backend):
    rng = np.random.default_rng(0)
    both = to_device(np.stack([rng.integers(0, 3, 40), rng.integers(0, 3, 40)], axis=1))
    x = to_device(rng.standard_normal((80, 12)).astype("float32"))[::2]
    start, steps = [host(each) for each in shallow().parameters()], []
    for size in (32, 32, 25, 25):
        steps += [(host(x[:size]), host(both[:size, 0])), (host(x[size:]), host(both[size:, 0]))]
    expected = train_two_layers(start, steps, 0.1, "float32")
    for capture in (True, False):
        learner = train(shallow(), 2, capture, sn.ArrayDataLoader(x, both[:, 0], 32, shuffle=False))
        learner.train = sn.ArrayDataLoader(learner.train.inputs, learner.train.labels, 25, shuffle=False)
        with warnings.catch_warnings(action="ignore"):
            learner.fit(2, None)
        for found, each in zip(learner.net.parameters(), expected, strict=True):
            assert_within(host(found), each.value, each.error)


def test_the_rate_of_parameters_with_gaps_may_change_too(backend):
    learners = []
    for capture in (True, False):
        net = deep()
        net[0].weight.data = net[0].weight.data.T.copy().T
        learner = train(net, capture=capture)
        learner.optimizer.learning_rate = 0.001
        learner.fit(3, None)
        assert launched(learner) or not capture
        learners.append(learner)
    same(*learners)


def test_no_graph_outlives_its_learner(backend):
    import weakref

    gc.collect()
    with collector_paused():
        learner = train(deep())
        dropped = weakref.ref(learner.replay)
        del learner
        assert dropped() is None


def test_on_the_cpu_capture_is_the_identity_and_nothing_lies_there_twice():
    def work():
        return 1

    assert backends.active().capture(work) is work
    learner = train(deep(), capture=True)
    assert learner._launched.resident is None
    with pytest.raises(sn.SettingError, match="capture is 'yes'"):
        train(deep(), capture="yes")
    for mode in (1, np.array([True, False])):
        with pytest.raises(sn.SettingError, match="it must be True, False"):
            train(deep(), capture=mode)


def test_a_failed_capture_leaves_the_stream_usable_and_nothing_done(backend):
    array = to_device(np.ones(3, "float32"))

    def work():
        nonlocal array
        array += 1
        return backends.to_host(array)

    if not backends.active().captures:
        return
    with pytest.raises(backends.CaptureError):
        backends.active().capture(work)
    np.testing.assert_array_equal(host(array), [1, 1, 1])
    replay = backends.active().capture(lambda: array * 3)
    np.testing.assert_array_equal(host(replay()), [3, 3, 3])


@pytest.fixture
def without_pools(monkeypatch):
    """The stand-in without its pools, as for compute-sanitizer. Each use of a pool is an error."""
    import strict_cupy

    def malloc(*_):
        raise AssertionError("an array was allocated from a pool")

    try:
        with backends.use("strict") as active:
            monkeypatch.setattr(active, "_pooled", True)
            monkeypatch.setattr(strict_cupy, "_allocator", malloc)
            monkeypatch.setattr(strict_cupy.MemoryPool, "malloc", malloc)
            active.without_pools()
            yield
    except backends.BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("make", [deep, shallow, Words])
def test_without_pools_a_graph_keeps_an_allocation_for_each_of_its_arrays(without_pools, make):
    captured = train(make(), capture=True)
    assert captured.replay.how.startswith("one launch")
    kept = captured.replay._recorded.memory._kept
    assert len(kept) == len({id(each.mem) for each in kept}) > 3
    again = train(make(), capture=True)
    same(captured, again)


def test_a_graph_whose_memory_is_freed_cannot_be_launched(backend):
    if backends.active().captures and backend != "cupy":
        learner = train(deep())
        learner.replay._recorded.memory = None
        with pytest.raises(backends.DeviceError, match="memory of the graph has been freed"):
            learner.fit(1, None)


def test_on_the_cpu_there_is_no_pool_to_do_without():
    backends.active().without_pools()
    assert host(to_device(np.ones(3))).tolist() == [1, 1, 1]


def test_too_little_memory_is_told_with_the_figures_and_a_batch_that_fits(monkeypatch):
    import strict_cupy

    with backends.use("strict"):
        data = loader(samples=4000, batch_size=2000)
        net = sn.Linear(12, 500, 0) >> sn.tanh >> sn.Linear(500, 3, 1)
        monkeypatch.setattr(strict_cupy, "memory_limit", 1_000_000)
        with pytest.raises(backends.DeviceMemoryError) as caught:
            train(net, data=data)
        line = str(caught.value)
        assert "an array of 4 MB does not fit on strict stand-in, which has 1 MB free" in line
        assert "a batch of 250 would fit, this one has 2000" in line
        assert (caught.value.wanted, caught.value.free) == (4_000_000, 1_000_000)
        monkeypatch.setattr(strict_cupy, "memory_limit", 1000)
        with pytest.raises(backends.DeviceMemoryError, match="does not fit"):
            to_device(np.zeros(1000))


def test_too_little_memory_for_capture_alone_is_no_hindrance(monkeypatch):
    import strict_cupy

    with backends.use("strict"):
        data = loader(samples=4000)
        monkeypatch.setattr(strict_cupy, "memory_limit", 100_000)  # no room for the data twice
        with pytest.warns(
            sn.CaptureWarning, match="step by step.*an array of 192 kB does not fit"
        ) as caught:
            learner = train(deep(), 2, data=data)
        assert len(learner.history["train_loss"]) == 2
        assert {each.filename for each in caught} == {__file__}  # it points to the caller


def test_a_failure_of_the_device_is_one_line_and_an_end(monkeypatch):
    import strict_cupy

    with backends.use("strict"):
        learner = train(shallow(), epochs=4)

        def fail(graph):
            raise strict_cupy.CUDARuntimeError("cudaErrorIllegalAddress: an illegal access")

        monkeypatch.setattr(strict_cupy.Graph, "launch", fail)
        with pytest.raises(backends.DeviceError, match=r"stand-in failed: cudaErrorIllegal.*restart"):
            learner.fit(1, None)

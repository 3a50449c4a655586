"""The training loop: what it computes, what it prints, and what it never does."""

import re

import numpy as np
import pytest
from arrays import host
from rounding import Rounded, assert_within, train_two_layers, two_layers
from small_run import SMALL, in_float64, small_run

import backends
import scratchnet as sn
from backends import to_device


def test_an_epoch_sets_the_network_to_training(backend):
    class Watched(sn.Linear):
        def forward(self, x):
            modes.append(self.training)
            return super().forward(x)

    modes = []
    loader = sn.ArrayDataLoader(to_device(np.ones((8, 3), np.float32)), to_device(np.zeros(8, int)), 4)
    net = Watched(3, 2, 0)
    optimizer = sn.SGD(net.parameters(), 0.1)
    net.eval()
    sn.Learner(loader, net, optimizer, sn.softmax_loss, capture=False).fit(2, None)
    assert modes == [True] * 4


def test_history_lines_and_series(backend):
    learner, lines = small_run(2)
    history = learner.fit(1, lines.append)
    assert learner.epochs == 3
    assert {name: len(values) for name, values in history.items()} == dict.fromkeys(
        ["train_loss", "valid_loss", "train_accuracy", "valid_accuracy", "duration"], 3
    )
    pair = r"\d\.\d{4} / \d\.\d{4}"
    for epoch, line in enumerate(lines):
        start = rf"epoch:  {epoch} duration: [ \d.]{{4,}}ms"
        assert re.fullmatch(rf"{start} loss: {pair}\taccuracy: {pair}", line)
    assert f"loss: {history['valid_loss'][2]:.4f} / {history['train_loss'][2]:.4f}\t" in lines[2]
    metrics = learner.evaluator
    assert [len(series) for series in metrics.metrics] == [3 * 11] * 4
    assert metrics.metrics[0] is metrics.train_loss_metrics
    assert history["train_loss"][2] < history["train_loss"][0]
    assert history["valid_accuracy"][2] > 0.3


def test_the_means_are_exact_over_samples_though_the_last_batch_is_short(backend):
    learner = in_float64(small_run(0)[0])
    learner.fit(1, None)
    x, *parameters = (
        Rounded(host(each), "float64") for each in (learner.train.inputs, *learner.net.parameters())
    )
    labels = host(learner.train.labels)
    *_, logits = two_layers(parameters, x)
    loss, _ = logits.softmax_loss(labels)
    assert_within(learner.history["train_loss"], loss.value, loss.error)
    accuracy = (logits.value.argmax(axis=1) == labels).mean()
    assert learner.history["train_accuracy"][0] == pytest.approx(accuracy, rel=1e-6)


@pytest.mark.parametrize(("dtype", "batches"), [("float64", 11), ("float32", 2)])
def test_the_loop_is_the_mathematics_of_the_original(dtype, batches):
    """Compare one epoch with a written-out loop. For more batches the float32 bound would be useless."""
    data = small_run(0, take=min(700, 64 * batches))[0].train
    data = sn.ArrayDataLoader(data.inputs.astype(dtype), data.labels, 64, shuffle=False, dtype=dtype)
    net = sn.Classifier(20, 0)
    for each in net.parameters():
        each.data = each.data.astype(dtype)
    given = [(host(x), host(y)) for x, y in data]
    assert len(given) == batches
    expected = train_two_layers([each.data for each in net.parameters()], given, 0.1, dtype)
    sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss).fit(1, None)
    for found, each in zip(net.parameters(), expected, strict=True):
        assert_within(found.data, each.value, each.error)


def test_every_backend_trains_the_same_network(backend):
    lines = []
    in_float64(small_run(0, take=400)[0]).fit(1, lines.append)
    with backends.use("numpy"):
        learner = in_float64(small_run(0, take=400)[0])
        given = [(host(x), host(y)) for x, y in learner.train]
        parameters = [each.data.copy() for each in learner.net.parameters()]
        learner.fit(1, None)
    parameters = train_two_layers(parameters, given, 0.1, "float64")
    images = np.vstack([each.inputs for each in (learner.train, learner.evaluator.valid)])
    *_, logits = two_layers(parameters, Rounded(images, "float64"))
    found = [[float(n) for n in re.findall(r"\d\.\d{4}", line)] for line in lines]
    names = ("valid_loss", "train_loss", "valid_accuracy", "train_accuracy")
    expected = np.array([learner.history[name] for name in names]).T
    # Two results. A loss changes by at most twice its logits' error, and a line has four decimals.
    assert_within(found, expected, 4 * logits.error.max() + 0.5001e-4)


def test_the_same_seed_gives_the_same_bits(backend):
    (one, _), (two, _), (other, _) = (small_run(2, take=300, seed=seed) for seed in (0, 0, 1))
    assert one.net.state_dict().keys() == two.net.state_dict().keys()
    for name, value in one.net.state_dict().items():
        np.testing.assert_array_equal(value, two.net.state_dict()[name])
    assert one.history["train_loss"] == two.history["train_loss"] != other.history["train_loss"]


@pytest.mark.parametrize("shuffle", ["batches", "samples", None])
def test_a_training_pass_makes_no_crossing(backend, shuffle):
    import strict_cupy

    learner, _ = small_run(0, shuffle=shuffle)
    batches = iter(learner.train)
    waits, before = strict_cupy.synchronizations, backends.transfers()
    with backends.forbid_transfers():
        for x, y in batches:
            learner.optimizer.zero_grad()
            learner.loss(learner.net(x), y).backward()
            learner.optimizer.step()
    assert backends.transfers() == before
    if backend == "strict":
        assert strict_cupy.synchronizations == waits


def test_an_epoch_crosses_once_for_the_losses_and_once_for_the_evaluation(backend):
    learner, _ = small_run(0, take=300)
    order = int(backends.active().captures)  # goes to the device before the pass
    learner.fit(2, None)  # the captured one is compared with its steps
    for _ in range(2):
        before = backends.transfers()
        learner.fit(1, None)
        after = backends.transfers()
        assert (after.to_host - before.to_host, after.to_device - before.to_device) == (2, order)


def test_a_step_of_many_functions_makes_no_crossing(backend, rng):
    import strict_cupy

    x, y = to_device(rng.standard_normal((8, 5))), to_device(rng.integers(0, 3, 8))
    net = sn.Linear(5, 4, 0) >> sn.tanh >> sn.Linear(4, 4, 1) >> sn.sigmoid >> sn.Linear(4, 3, 2)
    waits = strict_cupy.synchronizations
    with backends.forbid_transfers():
        z = net(x)
        penalty = sum((p**2).mean() for p in net.parameters())
        loss = sn.plain_softmax_loss(z, y) + 1e-3 * penalty + z.max() / 10 + z[0].exp().mean().log()
        loss.backward()
        sn.SGD(net.parameters(), 0.1).step()
    assert strict_cupy.synchronizations == waits


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_stops_with_the_batch(backend):
    with pytest.raises(sn.NonFiniteLossError, match=r"at epoch 0, batch \d+ of 11; lower the learning"):
        small_run(2, learning_rate=1e20)


def test_validation_data_that_were_not_centred_warn():
    train = sn.FashionMnistDataLoader("train", 64, **SMALL)
    valid = sn.FashionMnistDataLoader("valid", 64, **SMALL)
    net = sn.Classifier(5, 0)
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss)
    with pytest.warns(sn.UncentredDataWarning, match="zero_center"):
        sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, metrics)


def test_evaluation_records_no_graph_and_restores_the_mode(backend):
    modes = []

    class Spy(sn.Classifier):
        def forward(self, x):
            out = super().forward(x)
            modes.append((self.training, out.requires_grad))
            return out

    learner, _ = small_run(0)
    net = Spy(5, 0)
    metrics = sn.MetricsCollector(learner.train, learner.train, sn.softmax_loss, capture=False)
    metrics.evaluate(net)
    assert set(modes) == {(False, False)}
    assert net.training


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_loader_of_the_users_own(rng, wrapped):
    class Endless(sn.DataLoader):
        num_samples, num_batches = 32, 4

        def __iter__(self):
            for _ in range(4):
                x = rng.standard_normal((8, 3)).astype(np.float32)
                labels = (x.sum(axis=1) > 0).astype(int)
                yield (
                    (sn.Variable(x, requires_grad=False), sn.Variable(labels))
                    if wrapped
                    else (x, labels)
                )

    data, net = Endless(), sn.Linear(3, 2, 0)
    metrics = sn.MetricsCollector(data, data, sn.softmax_loss)
    history = sn.Learner(data, net, sn.SGD(net.parameters(), 0.5), sn.softmax_loss, metrics).fit(
        20, None
    )
    assert history["valid_accuracy"][-1] > 0.8


def test_arguments_in_the_wrong_order_are_named():
    learner, _ = small_run(0)
    with pytest.raises(
        sn.OperandError, match="Classifier given, Iterable expected; the order is train, net"
    ):
        sn.Learner(learner.net, learner.train, learner.optimizer, sn.softmax_loss)
    with pytest.raises(sn.OperandError, match="DataLoader given, Evaluator expected"):
        sn.Learner(learner.train, learner.net, learner.optimizer, sn.softmax_loss, learner.train)


# Mean and standard deviation of the training loss after each epoch, over six seeds, of the recipe
# written as a plain NumPy loop; the official split.
REFERENCE = np.array([.5168, .4476, .4150, .3939, .3782, .3656, .3551, .3461, .3382, .3310])  # fmt: skip
DEVIATION = np.array([.0037, .0037, .0034, .0033, .0031, .0030, .0029, .0027, .0027, .0026])  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_recipe_on_the_real_data(real_data, seed):
    train = sn.FashionMnistDataLoader("train", 256, seed=seed, folder=real_data)
    valid = sn.FashionMnistDataLoader("valid", 256, seed=seed, folder=real_data)
    valid.zero_center(train.mean_image)
    net = sn.Classifier(rng=seed)
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss)
    optimizer = sn.SGD(net.parameters(), 0.1)
    history = sn.Learner(train, net, optimizer, sn.softmax_loss, metrics).fit(10, None)
    deviations = np.abs(np.array(history["train_loss"]) - REFERENCE) / DEVIATION
    assert (deviations <= 3).all(), deviations
    assert history["valid_accuracy"][-1] >= 0.857

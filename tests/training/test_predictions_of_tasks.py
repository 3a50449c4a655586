"""Predictions of every task: what the outputs of a network mean follows the loss and the targets."""

from functools import partial

import numpy as np
import pytest
from arrays import host

import backends
import scratchnet as sn
from backends import to_device

X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
TWO = sn.binary_cross_entropy_with_logits


def net_of(outputs):
    return sn.Linear(4, outputs, 0)


def loader_of(targets, **options):
    return sn.ArrayDataLoader(X, targets, 16, shuffle=False, mode="valid", **options)


def outputs_of(net):
    return host(net(sn.Variable(to_device(X))))


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def test_one_output_is_never_a_class_of_probability_one(backend):
    net = net_of(1)
    for given in (to_device(X), loader_of(X[:, :1]), loader_of(np.arange(50))):
        found = sn.predict(net, given)
        assert (found.task, found.class_names) == ("regression", ())
        np.testing.assert_array_equal(found.predicted, outputs_of(net))
        with pytest.raises(sn.OperandError, match="outputs are numbers without probabilities; see pred"):
            _ = found.probabilities


@pytest.mark.parametrize("shape", [(50,), (50, 1)])
def test_binary_predictions_are_those_of_the_sigmoid(backend, shape):
    net, targets = net_of(1), (X[:, 0] > 0).astype(np.float32).reshape(shape)
    found = sn.predict(net, loader_of(targets, class_names=["no", "yes"]), TWO)
    logits, true = outputs_of(net)[:, 0], targets.reshape(-1).astype(int)
    assert (found.task, found.thing, found.class_names) == ("binary", "sample", ("no", "yes"))
    np.testing.assert_allclose(found.probabilities, sigmoid(logits), rtol=1e-6)
    np.testing.assert_array_equal(found.predicted, logits > 0)
    np.testing.assert_array_equal(found.outputs, logits[:, None])
    wanted = [[((true == t) & ((logits > 0) == p)).sum() for p in (0, 1)] for t in (0, 1)]
    assert found.confusion_matrix().tolist() == wanted
    chance = np.where(true, sigmoid(logits), sigmoid(-logits))
    np.testing.assert_allclose(found.losses, -np.log(chance), rtol=1e-5)
    worst = found.worst(3)
    assert (found.predicted[worst] != true[worst]).all()
    assert (np.diff(found.losses[worst]) <= 0).all()


def test_the_losses_of_two_classes_say_what_an_output_is(backend):
    net, targets = net_of(1), (X[:, :1] > 0).astype(np.float32)
    squashed = sn.Sequential(net, sn.sigmoid)
    logits = outputs_of(net)[:, 0]
    found = sn.predict(squashed, loader_of(targets), sn.binary_cross_entropy)
    np.testing.assert_allclose(found.probabilities, sigmoid(logits), rtol=1e-5)
    np.testing.assert_array_equal(found.predicted, logits > 0)
    found = sn.predict(net, loader_of(2 * targets - 1), sn.hinge_loss)
    np.testing.assert_array_equal(found.predicted, logits > 0)
    np.testing.assert_array_equal(found.targets, targets[:, 0])
    np.testing.assert_allclose(
        found.losses, np.maximum(0, 1 - (2 * targets[:, 0] - 1) * logits), rtol=1e-5
    )
    with pytest.raises(sn.OperandError, match="outputs are scores without probabilities"):
        _ = found.probabilities


def test_several_labels_have_a_sigmoid_each(backend):
    net, targets = net_of(3), (X[:, :3] > 0).astype(np.float32)
    found = sn.predict(net, loader_of(targets, class_names=["a", "b", "c"]), TWO)
    logits = outputs_of(net)
    assert found.task == "multilabel"
    np.testing.assert_allclose(found.probabilities, sigmoid(logits), rtol=1e-6)
    np.testing.assert_array_equal(found.predicted, logits > 0)
    counts = found.confusion_matrix()
    for label in range(3):
        true, seen = targets[:, label] == 1, logits[:, label] > 0
        wanted = [[((true == t) & (seen == p)).sum() for p in (False, True)] for t in (False, True)]
        assert counts[label].tolist() == wanted
    np.testing.assert_allclose(found.class_accuracy(), (targets == (logits > 0)).mean(axis=0))
    first = "".join(name for name, has in zip("abc", targets[0], strict=True) if has)
    assert found.words(0, target=True).replace(", ", "") == (first or "none")
    np.testing.assert_array_equal(np.sort(found.worst(50)), np.flatnonzero(found.wrong))


def test_numbers_have_residuals_and_no_confusion(backend):
    net, targets = net_of(2), X[:, :2]
    found = sn.predict(net, loader_of(targets), sn.mse_loss)
    np.testing.assert_allclose(found.residuals, outputs_of(net) - targets, rtol=1e-6)
    np.testing.assert_allclose(found.losses, (found.residuals**2).mean(axis=1), rtol=1e-5)
    assert found.worst(1).tolist() == [found.losses.argmax()]
    with pytest.raises(sn.OperandError, match="numbers have no confusion matrix; see residuals"):
        found.confusion_matrix()
    of_rows = sn.predict(net_of(1), loader_of(X[:, 0]), sn.l1_loss)
    assert of_rows.residuals.shape == (50, 1)


def test_classes_are_guessed_only_from_integers(backend):
    labels = np.arange(50) % 3
    for given, loss, task in (
        (labels, None, "classification"),
        (labels[:, None], None, "classification"),
        (labels, lambda outputs, targets: sn.softmax_loss(outputs, targets), "classification"),
        (labels, partial(sn.softmax_loss, label_smoothing=0.1), "classification"),
        (np.eye(3, dtype=np.float32)[labels], sn.softmax_loss, "classification"),
        (np.eye(3, dtype=np.float32)[labels], None, "regression"),
        (np.eye(3, dtype=np.int64)[labels], None, "regression"),
        (np.eye(3, dtype=np.int64)[labels], TWO, "multilabel"),
        (np.eye(3)[labels].astype(np.float32), sn.mse_loss, "regression"),
    ):
        assert sn.predict(net_of(3), loader_of(given), loss).task == task
    told = sn.predict(net_of(3), to_device(X), task="multilabel")
    np.testing.assert_allclose(told.probabilities, sigmoid(outputs_of(net_of(3))), rtol=1e-6)
    with pytest.raises(sn.SettingError, match='task is \'classes\'; it must be "classification", "bin'):
        sn.predict(net_of(3), to_device(X), task="classes")


def test_the_log_probabilities_of_a_divergence_are_of_classes(backend, rng):
    x, wanted = rng.normal(size=(6, 4)).astype("float32"), rng.dirichlet(np.ones(3), 6).astype("float32")
    net = sn.Sequential(sn.Linear(4, 3, 0), sn.log_softmax)
    found = sn.predict(net, sn.ArrayDataLoader(x, wanted, 4), sn.kl_divergence)
    assert found.task == "classification"
    np.testing.assert_allclose(found.probabilities, np.exp(found.outputs), rtol=1e-5)
    np.testing.assert_array_equal(found.targets, wanted.argmax(axis=1))


def test_the_pixels_of_an_autoencoder_are_numbers_between_0_and_1(backend):
    net, targets = net_of(4), sigmoid(X).astype(np.float32)
    found = sn.predict(net, loader_of(targets), TWO)
    assert found.task == "regression"
    np.testing.assert_allclose(found.predicted, sigmoid(outputs_of(net)), rtol=1e-6)


def test_each_word_has_a_class_and_what_is_ignored_counts_nowhere(backend, rng):
    net = sn.Sequential(sn.Embedding(9, 5, rng=0), sn.Linear(5, 3, 0))
    words = rng.integers(0, 9, (20, 6))
    labels = np.where(np.arange(6) < 4, words % 3, -100)
    loader = sn.ArrayDataLoader(words, labels, 8, shuffle=False, mode="valid")
    found = sn.predict(net, loader, partial(sn.softmax_loss, ignore_index=-100))
    logits = host(net(sn.Variable(to_device(words), requires_grad=False)))
    assert found.predicted.shape == (20, 6)
    assert found.confusion_matrix().sum() == 80
    seen = logits.argmax(-1)
    assert found.confusion_matrix().trace() == (seen == labels).sum()
    np.testing.assert_array_equal(found.wrong, (seen != labels)[:, :4].any(axis=1))
    loss = sn.softmax_loss(to_device(logits), to_device(labels), ignore_index=-100)
    assert found.losses.mean() == pytest.approx(float(loss), rel=1e-5)
    with pytest.raises(backends.LabelError, match="label -100 of sample 0 is not one of 0 to 2"):
        sn.predict(net, loader)


def test_inputs_and_outputs_of_any_structure(backend):
    class Two(sn.Module):
        def __init__(self):
            self.layer = sn.Linear(4, 3, 0)

        def forward(self, left, right):
            out = self.layer(left + right)
            return {"class": out, "size": out[:, :1]}

    net, labels = Two(), np.arange(50) % 3
    targets = {"class": labels, "size": X[:, :1]}
    losses = {"class": sn.softmax_loss, "size": sn.mse_loss}
    loader = sn.ArrayDataLoader((X, X), targets, 16, shuffle=False, mode="valid")
    found = sn.predict(net, loader, losses)
    assert {name: each.task for name, each in found.items()} == {
        "class": "classification", "size": "regression",
    }  # fmt: skip
    np.testing.assert_array_equal(found["class"].labels, labels)
    alone = sn.predict(net, {"left": to_device(X), "right": to_device(X)})
    np.testing.assert_allclose(alone["size"].predicted, found["size"].predicted, rtol=1e-5)
    with pytest.raises(sn.OperandError, match="not known; predict a loader"):
        _ = alone["size"].residuals
    learner = sn.Learner(loader, net, sn.SGD(net.parameters(), 0.1), losses)
    assert learner.predict(loader)["class"].predicted.tolist() == found["class"].predicted.tolist()


def test_targets_that_do_not_fit_the_predictions():
    for task, outputs, targets, error, message in (
        ("binary", (5, 2), (5,), sn.ShapeError, r"binary outputs of shape \(5, 2\); give \(n,\) or"),
        ("multilabel", (5,), (5,), sn.ShapeError, r"multi-label outputs of shape \(5,\); give \(n, lab"),
        ("multilabel", (5, 2), (5,), sn.ShapeError, "give one target for each output"),
        ("regression", (5, 2), (5,), sn.ShapeError, r"targets of shape \(5,\) and outputs of shape"),
        ("binary", (2,), [0, 3], backends.LabelError, "target 3 of sample 1 is not one of two classes"),
        ("sorting", (2,), None, sn.SettingError, "task is 'sorting'; it must be one of classification"),
    ):
        targets = np.zeros(targets, int) if isinstance(targets, tuple) else targets
        with pytest.raises(error, match=message):
            sn.Predictions(np.zeros(outputs), None if targets is None else np.array(targets), task=task)
    with pytest.raises(sn.DataError, match="1 class names for 2 classes"):
        sn.Predictions(np.zeros(3), None, ["yes"], "binary")

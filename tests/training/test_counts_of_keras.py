"""Callbacks that monitor a figure do what Keras's do: see tests/support/monitored.py."""

from itertools import pairwise

import numpy as np
import pytest
from monitored import BATCHES, FREQUENCIES, RATE, cases, stored

import scratchnet as sn


class Given(sn.Evaluator):
    """Measures given figures in turn."""

    measures = ("figure",)

    def __init__(self, figures):
        self.figures = iter(figures)

    def evaluate(self, net):
        return Figure({"figure": next(self.figures)})


class Figure(dict):
    def _asdict(self):
        return self


def mean(output, target):
    return output.mean()


def training_of(figures):
    """Return a learner whose one weight changes in each epoch."""
    inputs = np.ones((1, 1), np.float32)
    net = sn.Linear(1, 1, 0)
    train = sn.ArrayDataLoader(inputs, np.zeros(1, int), 1)
    return sn.Learner(train, net, sn.SGD(net.parameters(), RATE), mean, Given(figures), capture=False)


def fitted(figures, callback):
    """Return the learner after training, and its weight and learning rate after each epoch."""
    training, weights, rates = training_of(figures), [], []

    def report(line):
        weights.append(training.net.weight.data.item())
        rates.append(training.optimizer.learning_rate)

    training.fit(len(figures), report, callbacks=[callback])
    return training, weights, rates


SERIES = list(zip(cases(), stored()["series"], strict=True))


@pytest.mark.parametrize("part", range(10))
def test_early_stopping(part):
    for (figures, settings), expected in SERIES[part::10]:
        stopping = sn.EarlyStopping("figure", **settings["stopping"])
        training, weights, _ = fitted(figures, stopping)
        assert training.epochs == expected["epochs"], settings["stopping"]
        assert stopping.best_epoch == expected["best_epoch"]
        assert all(a != b for a, b in pairwise(weights))
        assert training.net.weight.data.item() == weights[expected["weights_of"] - 1]


@pytest.mark.parametrize("part", range(10))
def test_reduce_lr_on_plateau(part):
    for (figures, settings), expected in SERIES[part::10]:
        given = dict(settings["reducing"])
        reducing = sn.ReduceLROnPlateau("figure", **given)
        _, _, rates = fitted(figures, reducing)
        assert rates == [RATE / each for each in expected["rates"]], given
        assert reducing.wait == expected["wait"]


@pytest.mark.parametrize("part", range(10))
def test_model_checkpoint(part, tmp_path):
    for number, ((figures, settings), expected) in enumerate(SERIES[part::10]):
        path = tmp_path / f"{number}-{{epoch}}"
        fitted(figures, sn.ModelCheckpoint(path, "figure", save_best_only=True, **settings["saving"]))
        saved = sorted(int(each.name.partition("-")[2]) for each in tmp_path.glob(f"{number}-*"))
        assert saved == expected["saved"]


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_model_checkpoint_after_batches(tmp_path, frequency):
    net = sn.Linear(1, 1, 0)
    train = sn.ArrayDataLoader(np.ones((BATCHES, 1), np.float32), np.zeros(BATCHES, int), 1)
    training = sn.Learner(train, net, sn.SGD(net.parameters(), RATE), mean, capture=False)
    path = tmp_path / "{epoch}-{batch}"
    training.fit(4, None, callbacks=[sn.ModelCheckpoint(path, save_freq=frequency)])
    places = [map(int, each.name.split("-")) for each in tmp_path.iterdir()]
    saved = sorted(epoch * BATCHES + batch for epoch, batch in places)
    assert saved == stored()["batches"][str(frequency)]


def test_the_cases_reach_every_branch():
    assert {len(figures) > expected["epochs"] for (figures, _), expected in SERIES} == {True, False}
    assert any(expected["weights_of"] != expected["epochs"] for _, expected in SERIES)

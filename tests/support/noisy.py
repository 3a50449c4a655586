"""Training of a network that draws random numbers, and all its results."""

import numpy as np

import scratchnet as sn
from backends import to_device


class Noisy(sn.Module):
    """Draws from its own random generators, of two kinds."""

    def __init__(self, hidden=8):
        self.fc1, self.fc2 = sn.Linear(12, hidden, 0, activation=sn.relu), sn.Linear(hidden, 3, 1)
        self.rng = np.random.default_rng(5)
        self.other = np.random.Generator(np.random.MT19937(3))

    def forward(self, x):
        if not self.training:
            return x >> self.fc1 >> self.fc2
        kept = self.rng.random((len(x), 1)) + 0.1 * self.other.random((len(x), 1))
        return (x * to_device(kept.astype("float32"))) >> self.fc1 >> self.fc2


def learner(net=None, shuffle="batches", size=100, seed=3, rate=0.1, evaluator=True, capture=False):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((size, 12)).astype("float32"), rng.integers(0, 3, size)
    train, valid = (
        sn.ArrayDataLoader(
            to_device(x[part]), to_device(y[part]), 16, seed=seed, shuffle=shuffle, mode=mode
        )
        for part, mode in ((slice(0, -20), "train"), (slice(-20, None), "valid"))
    )
    net = net or Noisy()
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss, capture) if evaluator else None
    sgd = sn.SGD(net.parameters(), rate)
    return sn.Learner(train, net, sgd, sn.softmax_loss, metrics, capture)


def outcome(trained):
    """Return all results of training as bytes, except for the durations."""
    weights = {path: value.tobytes() for path, value in trained.net.state_dict().items()}
    history = {k: v for k, v in trained.history.items() if k != "duration"}
    return weights, history, trained.evaluator.metrics, trained.evaluator.epochs, trained.epochs

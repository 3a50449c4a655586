"""A small training run, and its final bits, for the tests of determinism and threads."""

from typing import NamedTuple

import numpy as np

import scratchnet as sn
from backends import to_device, to_host

SAMPLES, INPUTS, HIDDEN, CLASSES = 100, 64, 256, 5  # the first weight is the largest array


class Trained(NamedTuple):
    weights: bytes
    metrics: bytes
    how: str


def learner(seed=0, evaluator=True, capture="auto"):
    """Return a learner on the active backend. By default, its evaluator is a MetricsCollector."""
    rng = np.random.default_rng(7)
    images = rng.standard_normal((SAMPLES, INPUTS)).astype(np.float32)
    labels = rng.integers(0, CLASSES, SAMPLES)
    loader = sn.ArrayDataLoader(to_device(images), to_device(labels), 32, seed=seed, shuffle="batches")
    draws = np.random.default_rng(seed)
    first = sn.Linear(INPUTS, HIDDEN, draws, activation=sn.relu)
    net = sn.Sequential(first, sn.Linear(HIDDEN, CLASSES, draws))
    if evaluator is True:
        evaluator = sn.MetricsCollector(loader, loader, sn.softmax_loss, capture)
    optimizer = sn.SGD(net.parameters(), 0.1)
    return sn.Learner(loader, net, optimizer, sn.softmax_loss, evaluator, capture)


def train(seed=0, fits=(3,), evaluated=True, capture="auto", report=None):
    """Train on the active backend. `fits` are the epochs of each call of `fit`."""
    training = learner(seed, True if evaluated else None, capture)
    for epochs in fits:
        training.fit(epochs, report)
    weights = b"".join(to_host(each.data).tobytes() for each in training.net.parameters())
    series = np.concatenate(training.evaluator.metrics).tobytes() if evaluated else b""
    return Trained(weights, series, training.replay.how)

"""The measured recipe, in both ways in which a user trains, and a check that the network has learned."""

from collections.abc import Callable
from itertools import islice
from time import perf_counter

import numpy as np

import scratchnet as sn
from backends import synchronize, to_host

LEAST_ACCURACY = 0.8
"""The accuracy on the first training images that a network needs for its time to count."""


def learner_on(train: sn.FashionMnistDataLoader) -> sn.Learner:
    """784-100-10, SGD 0.1, on the active backend, without an evaluator."""
    net = sn.Classifier(rng=np.random.default_rng(231))
    return sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)


def loop_on(train: sn.FashionMnistDataLoader) -> tuple[sn.Module, Callable[[], float]]:
    """The same network and its training loop, as a user writes both.

    Returns:
        The network, and a function that trains for one epoch and returns its seconds.
    """
    net = sn.Sequential(sn.Linear(784, 100, rng=0), sn.relu, sn.Linear(100, 10, rng=1))
    optimizer = sn.SGD(net.parameters(), learning_rate=0.1)

    def epoch() -> float:
        start = perf_counter()
        for x, y in train:
            optimizer.zero_grad()
            sn.softmax_loss(net(x), y).backward()
            optimizer.step()
        synchronize()
        return perf_counter() - start

    return net, epoch


def accuracy(net: sn.Module, train: sn.FashionMnistDataLoader) -> float:
    """Return the fraction of the first training images that the network classifies correctly."""
    right = total = 0
    with sn.no_grad():
        for x, y in islice(train.in_order(), 20):
            right += int((to_host(net(x).data).argmax(axis=1) == to_host(y.data)).sum())
            total += len(x)
    return right / total

"""The recipe that is measured, and whether a network has learnt from it."""

from itertools import islice

import numpy as np

import scratchnet as sn
from backends import to_host

LEAST_ACCURACY = 0.8
"""On the first training images; a network that has not learnt has no time that counts."""


def learner_on(train: sn.FashionMnistDataLoader) -> sn.Learner:
    """784-100-10, SGD 0.1, on the active backend, without an evaluator."""
    net = sn.Classifier(rng=np.random.default_rng(231))
    return sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)


def accuracy(learner: sn.Learner) -> float:
    """On the first training images."""
    right = total = 0
    with sn.no_grad():
        for x, y in islice(learner.train.in_order(), 20):
            right += int((to_host(learner.net(x).data).argmax(axis=1) == to_host(y.data)).sum())
            total += len(x)
    return right / total

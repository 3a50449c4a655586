"""Loops of a user's own on several ranks: python own_loops.py FILE. Rank 0 writes the weights there."""

import json
import sys
from pathlib import Path

import numpy as np
from parallel_cases import X, Y, dense, loader

import scratchnet as sn


def plain(train, *middle):
    net = dense(sn.BatchNorm1d(8), *middle)
    optimizer = sn.SGD(net.parameters(), 0.1, momentum=0.9)
    for _ in range(2):
        for x, y in train:
            optimizer.zero_grad()
            sn.softmax_loss(net(x), y).backward()
            optimizer.step()
    return net


def with_dropout(train):
    return plain(train, sn.Dropout(0.5, rng=3))


def clipped(train):
    net = dense()
    optimizer = sn.Adam(net.parameters(), 0.01)
    for x, y in train:
        optimizer.zero_grad()
        sn.softmax_loss(net(x), y).backward()
        sn.clip_grad_norm(net.parameters(), 0.1)
        optimizer.step()
    return net


def accumulated(train):
    net = dense()
    optimizer = sn.SGD(net.parameters(), 0.1)
    for number, (x, y) in enumerate(train):
        (sn.softmax_loss(net(x), y) / 2).backward()
        if number % 2:
            optimizer.step()
            optimizer.zero_grad()
    return net


def of_few_rows(train):
    """The last batch has fewer rows than ranks."""
    net = dense(sn.BatchNorm1d(8))
    optimizer = sn.SGD(net.parameters(), 0.1)
    for x, y in loader(X[:13], Y[:13], 5):
        optimizer.zero_grad()
        sn.softmax_loss(net(x), y, ignore_index=2, weight=[1.0, 3.0, 1.0]).backward()
        optimizer.step()
    return net


def never_zeroed(train):
    net = dense()
    optimizer = sn.SGD(net.parameters(), 0.01)
    for x, y in train:
        sn.softmax_loss(net(x), y).backward()
        optimizer.step()
    return net


def changed(train):
    """Gradients are clipped, changed, and more are added."""
    net = dense()
    optimizer = sn.SGD(net.parameters(), 0.1)
    for x, y in train:
        optimizer.zero_grad()
        for _ in range(2):
            sn.softmax_loss(net(x), y).backward()
            sn.clip_grad_value(net.parameters(), 0.05)
            for each in net.parameters():
                each.grad = each.grad * 0.5
        optimizer.step()
    return net


def two_optimizers(train):
    first, second = dense(), sn.Linear(3, 3, rng=9)
    optimizers = [sn.SGD(first.parameters(), 0.1), sn.SGD(second.parameters(), 0.2)]
    for x, y in train:
        sn.softmax_loss(second(first(x)), y).backward()
        for each in optimizers:
            each.step()
            each.zero_grad()
    return first >> second


def of_whole_batches(train):
    """A list of batches knows nothing of ranks: all compute the same."""
    return clipped(list(zip(np.split(X[:48], 4), np.split(Y[:48], 4), strict=True)))


LOOPS = [
    plain, with_dropout, clipped, accumulated, of_few_rows, never_zeroed, changed, two_optimizers,
    of_whole_batches,
]  # fmt: skip


class OnFirst(sn.Evaluator):
    """Measures on rank 0 alone."""

    measures = ("figure",)

    def evaluate(self, net):
        return {"figure": 0.1} if ranks.rank == 0 else {}


if __name__ == "__main__":
    with sn.data_parallel(timeout=20) as ranks:
        nets = {loop.__name__: loop(loader()) for loop in LOOPS}
        net = dense()
        learner = sn.Learner(loader(), net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, OnFirst())
        assert learner.fit(2, None)["figure"] == [0.1, 0.1]
    if ranks.rank == 0:
        weights = {
            name: {key: each.tolist() for key, each in net.state_dict().items()}
            for name, net in nets.items()
        }
        Path(sys.argv[1]).write_text(json.dumps(weights))

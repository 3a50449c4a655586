"""Two ranks train: rank 1 differs, or rank 0 cannot write. python odd_rank.py HOW FILE"""

import errno
import os
import sys

import numpy as np
from parallel_cases import X, Y, dense, loader

import scratchnet as sn
from scratchnet.training import running
from scratchnet.training.parallel import alike

how, file = sys.argv[1:]


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


class Changes(sn.Callback):
    """Changes the learner on rank 1 alone."""

    def on_epoch_end(self, epoch, logs):
        if odd and how == "rate later":
            self.learner.optimizer.learning_rate = 0.2

    def on_batch_end(self, batch, logs):
        if odd and how == "weights later":
            self.learner.net.parameters()[0].data[0, 0] += 1


class Random(list):
    """Batches in an order of this process."""

    def __iter__(self):
        return iter(self[::-1] if odd else self[:])


def steps(number):
    """A batch of three sequences."""
    return np.ones((3, number, 36), np.float32), np.ones((3, number), np.int64)


with sn.data_parallel(timeout=5) as ranks:
    odd = ranks.rank == 1
    net = dense() if not (odd and how == "weights") else sn.Flatten() >> sn.Linear(36, 3, rng=5)
    if odd and how == "values":
        net.parameters()[0].data[0, 0] += 1
    x = X[:50] * 2 if odd and how == "data" else X[:50]
    size = 10 if odd and how == "batch size" else 12
    rate = 0.2 if odd and how == "rate" else 0.1
    if odd and how == "version":
        facts = alike.made_by()
        alike.made_by = lambda: facts | {"NumPy": "1.0"}
    if odd and how == "more versions":
        more = alike.made_by() | {"other": "1.0"}
        alike.made_by = lambda: more
    train = loader(x, size=size)
    evaluator = None
    if how == "random loader":
        train = Random([(X[:10], Y[:10]), (X[10:20], Y[10:20])])
    if how == "shapes":
        net = sn.Linear(36, 3, rng=0)
        train = [steps(4), steps(5)]
        evaluator = sn.MetricsCollector(None, train, sn.softmax_loss, metrics=["f1"])
    if how == "threads":
        running.thread = 1
    learner = sn.Learner(train, net, sn.SGD(net.parameters(), rate), sn.softmax_loss, evaluator)
    if how == "nan":
        np.put(train.inputs, 7, np.nan)
    if how == "full disk":
        learner.fit(1, report=None, checkpoint=file)
        os.fsync = full_disk
    learner.fit(3 if odd and how == "epochs" else 2, None, checkpoint=file, callbacks=[Changes()])
    print("trained")

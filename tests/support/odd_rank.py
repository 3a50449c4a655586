"""Two ranks train: rank 1 differs, or rank 0 cannot write. python odd_rank.py HOW FILE"""

import errno
import os
import sys

import numpy as np
from parallel_cases import X, dense, loader

import scratchnet as sn
from scratchnet.training.parallel import alike

how, file = sys.argv[1:]


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


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
    learner = sn.Learner(train, net, sn.SGD(net.parameters(), rate), sn.softmax_loss)
    if how == "nan":
        np.put(train.inputs, 7, np.nan)
    if how == "full disk":
        learner.fit(1, report=None, checkpoint=file)
        os.fsync = full_disk
    learner.fit(3 if odd and how == "epochs" else 2, report=None, checkpoint=file)
    print("trained")

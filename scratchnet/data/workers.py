"""Stub until the real one is merged."""

import numpy as np


def load_samples(dataset, indices):
    items = [dataset[int(i)] for i in indices]
    return tuple(np.stack([np.asarray(i[k]) for i in items]) for k in range(2))


def read_ahead(load, orders, workers, worker_type):
    return map(load, orders)

"""Two-layer networks whose sizes are not multiples of a tile, and their parameters."""

NETWORKS = [  # samples, batch, inputs, hidden, classes: short batches, and sizes off every tile
    (352, 256, 784, 100, 10), (300, 256, 30, 7, 2), (40, 16, 785, 129, 32), (70, 33, 930, 300, 21),
    (5, 8, 3, 1, 2), (600, 300, 13, 21, 20),
]  # fmt: skip


def draw_network(rng, samples, inputs, hidden, classes):
    parameters = [
        rng.standard_normal((hidden, inputs)) / inputs**0.5, 0.1 * rng.standard_normal(hidden),
        rng.standard_normal((classes, hidden)) / hidden**0.5, 0.1 * rng.standard_normal(classes),
    ]  # fmt: skip
    return rng.standard_normal((samples, inputs)), rng.integers(0, classes, samples), parameters

"""The network of `scratchnet train --model cnn` on Fashion-MNIST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import scratchnet as sn
from scratchnet.data.sources import SYNTHETIC
from scratchnet.training.recipe import RECIPES

EPOCHS, SEED = 10, 231
GOAL = 0.92
"""The validation accuracy that the network has to reach in these epochs."""


def learn(quick: bool = False) -> Iterator[dict[str, Any]]:
    """Train, and yield the record after each epoch. A quick run has two epochs of 128 synthetic images.

    Raises:
        DataError: the real files cannot be read or downloaded.
    """
    recipe = RECIPES["cnn"]
    epochs, take, folder = (2, 128, SYNTHETIC) if quick else (EPOCHS, None, None)
    train, valid = (
        sn.FashionMnistDataLoader(mode, recipe.batch_size, take, SEED, folder)
        for mode in ("train", "valid")
    )
    valid.zero_center(train.mean_image)
    form = (1, *train.image_shape), len(train.class_names or ())
    net = recipe.net(recipe.hidden, SEED, *form)
    optimizer = recipe.optimizer(net.parameters(), recipe.learning_rate)
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss)
    learner = sn.Learner(train, net, optimizer, sn.softmax_loss, metrics)
    setting = {
        "data": train.source, "training": train.num_samples, "validation": valid.num_samples,
        "network": recipe.layers(recipe.hidden, *form), "optimizer": type(optimizer).__name__,
        "learning_rate": recipe.learning_rate, "batch_size": recipe.batch_size, "seed": SEED,
        "epochs": epochs, "goal": GOAL,
    }  # fmt: skip
    for _ in range(epochs):
        learner.fit(1, report=lambda line: print(line, flush=True))
        history = {name: list(series) for name, series in learner.history.items()}
        best = max(history["valid_accuracy"])
        yield setting | {"history": history, "best": best, "complete": learner.epochs == epochs}
